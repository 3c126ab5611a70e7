"""Settings of opendkim and dkimpy-milter that have no counterpart here, in lower case, and why. Values only."""

from __future__ import annotations

_UNIT = "the unit of systemd sees to it"
_LOG = "the log goes to stderr, which systemd keeps"
_RESOLVER = "the resolver sees to it: vaglio dns check"
_BOUNDS = "bounds are built in"
_ALWAYS = "it is always so"
_DEAD = "nobody uses that protocol any more"
NONE = "there is no counterpart"
_REPORTS = "no failure reports (RFC 6651) are sent"
_SCRIPTS = "there are no scripts"

WHY: dict[str, str] = {
    **dict.fromkeys(("userid", "umask", "pidfile", "background", "autorestart", "autorestartcount", "autorestartrate",
                     "changerootdirectory", "temporarydirectory", "enablecoredumps", "softstart"), _UNIT),
    **dict.fromkeys(("syslog", "syslogfacility", "syslogname", "syslogsuccess", "logwhy", "logresults",
                     "milterdebug"), _LOG),
    **dict.fromkeys(("trustanchorfile", "resolverconfiguration", "querycache", "boguskey", "unprotectedkey",
                     "dnsconnect", "resolvertracing"), _RESOLVER),
    **dict.fromkeys(("maximumheaders", "maximumsignedbytes", "on-security", "strictheaders", "weaksyntaxchecks",
                     "requiredheaders"), _BOUNDS),
    **dict.fromkeys(("requiresafekeys", "alwaysaddarheader", "addallsignatureresults"), _ALWAYS),
    **dict.fromkeys(("reportaddress", "reportbccaddress", "sendreports", "requestreports"), _REPORTS),
    **dict.fromkeys(("setuppolicyscript", "screenpolicyscript", "finalpolicyscript", "statisticspolicyscript"),
                    _SCRIPTS),
    **dict.fromkeys(("adspaction", "disableadsp", "localadsp", "sendadspreports", "atpsdomains", "domainkeyscompat"),
                    _DEAD),
    "externalignorelist": "it only spared opendkim some lines in its log",
    "bodylengthdb": "l= is never signed: anybody could add to the text",
    "signaturealgorithm": "the kind of the key says it; rsa-sha1 is never used (RFC 8301)",
    "fixcrlf": "the mail server sees to line ends",
    "removearall": "those of our own authserv-id are always removed, others never",
    "removearfrom": "those of our own authserv-id are always removed, others never",
    "statistics": "vaglio journal and the metrics tell",
    "softwareheader": "no header says which software runs here",
    "peerlist": "who needs no milter is for the mail server to say (smtpd_milter_maps of Postfix)",
    "noheaderb": "header.b is always given, as RFC 6008 wants it",
    "authservidwithjobid": "the id stays the same for all messages, so that forged ones can be removed",
    "minimum": "what l= leaves out never counts: partial_body in [dkim.verify]",
    "testpublickeys": "a zone file takes its place: zone_file in [dns]",
    "dnsoverride": "a zone file takes its place: zone_file in [dns]",
    "mustbesigned": "From must be signed, no more",
    "macrolistverify": "who is not to be signed for has no place in networks and daemon_names",
    "keytableed25519": "there is one key table: put its lines into that of KeyTable, under names of their own, let the "
                       "SigningTable name both, and set all_matches = true in [dkim.sign]",
}  # fmt: skip
"""Why, by setting."""
