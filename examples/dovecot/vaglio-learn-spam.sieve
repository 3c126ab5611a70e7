# Installed as /etc/dovecot/sieve/vaglio-learn-spam.sieve: a message that a user puts into Junk is learned as spam. What
# the mail server files there by itself is not: that is no user's word, and Sieve at delivery does not come here.
require ["vnd.dovecot.pipe", "copy", "imapsieve"];

# :try: the message goes to Junk also when Vaglio can't learn it (Dovecot's log says why).
pipe :copy :try "vaglio-learn-spam";
