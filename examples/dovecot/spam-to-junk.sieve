# Installed as /etc/dovecot/sieve/spam-to-junk.sieve, which Dovecot runs at delivery, before the script of each user (see
# vaglio-junk.conf): what vaglio-score found to be spam is filed into Junk, which is made where there is none.
#
# X-Spam-Flag is believed, since vaglio-score takes out those of strangers. Mail that was not scored (of users who logged
# in, or while the daemon was gone) has none, or brought one along that takes it no further than into Junk.
require ["fileinto", "mailbox"];

if header :is "X-Spam-Flag" "YES" {
  fileinto :create "Junk";
  # Nothing more is done with spam: a user's own script can't forward it, nor answer it with a vacation notice.
  stop;
}
