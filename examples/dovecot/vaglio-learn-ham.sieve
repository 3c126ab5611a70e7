# Installed as /etc/dovecot/sieve/vaglio-learn-ham.sieve: a message that a user takes out of Junk is learned as wanted
# mail, but not if it goes into the Trash: spam is thrown away, too.
require ["vnd.dovecot.pipe", "copy", "imapsieve", "environment"];

if environment :matches "imap.mailbox" ["Trash", "Trash/*", "Trash.*", "Deleted*", "Cestino*"] {
  stop;
}

pipe :copy :try "vaglio-learn-ham";
