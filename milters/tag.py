"""NAME
    vaglio-tag - milter that puts marks such as [SPAM] in front of the subject

SYNOPSIS
    vaglio-tag [--config FILE] [--listen SOCKET]... [--workers N]

DESCRIPTION
    Puts a mark in front of the subject of a message where a rule says so: [SPAM] where vaglio-score, or a spam filter
    that is trusted, finds it so; and what else you write down, such as [EXTERNAL] for all mail from outside, or a mark
    for what fails DMARC. Encoded and 8-bit subjects stay what they are, "Re:" and "Fwd:" stand behind the mark, and a
    message without a subject gets one.

    Marks of yours that a message brings along are taken away first, also where no rule holds: a stranger who pretends
    to have been checked, or an answer to marked mail. A subject that needs no change is not touched. Mail of your own
    users, who log in or come from tag.trusted_networks, never is.

    A change of the subject breaks DKIM signatures that cover it. So this milter belongs behind all that verify, and
    before one that seals for others. Nobody is refused. "vaglio why REFERENCE", or its queue id, tells why a subject
    was changed.

    In a chain, with "tag" among its checks behind those that it rests on, it hears of them in memory. As a milter of
    its own it reads what those before it have written into the header, and only where the configuration says that this
    can be believed: tag.remove_forged = false for Authentication-Results in our own name, tag.trust_spam_headers for
    X-Spam-Flag and its like.

    Any mail server that speaks the milter protocol will do: Postfix 2.6 or later, Sendmail 8.14 or later.

CONFIGURATION
    The section [tag] of /etc/vaglio/vaglio.toml; "vaglio config defaults" prints all settings with their meaning.
    Postfix is wired by the lines that "vaglio postconf tag" prints; or have it in one process with the others, see
    vaglio-chain(8).

OPTIONS
    --config FILE     read this file; else $VAGLIO_CONFIG, else /etc/vaglio/vaglio.toml
    --listen SOCKET   unix:/path, inet:host:port or inet:[::1]:port, in place of tag.listen; may be repeated
    --workers N       number of worker processes, or "auto"
    --replace         take the place of a daemon that listens on the same UNIX sockets: see vaglio-spf(8), RESTART
    --version         print the version
    --help            print a short help

EXAMPLES
    vaglio-tag --config ./vaglio.toml --listen inet:127.0.0.1:8894

SIGNALS
    SIGHUP   read the configuration again; a bad one is reported and the old one stays
    SIGTERM  let messages under way come to their end, for 8 seconds at most, and end

EXIT STATUS
    0 after a clean stop, 78 for a bad configuration, 69 for a socket that cannot be opened

FILES
    /etc/vaglio/vaglio.toml
    /run/vaglio/tag.sock
    /var/lib/vaglio/journal.sqlite

SEE ALSO
    vaglio(1), vaglio-chain(8), vaglio-dkim-verify(8), postconf(5)
"""

from __future__ import annotations

import sys

from vaglio.checks.tag.check import Context, Tag
from vaglio.config.model import VaglioConfig
from vaglio.daemon.main import run
from vaglio.daemon.service import Daemon, Hosted, Ports, Service, milter


def hosted(config: VaglioConfig, ports: Ports, authserv_id: str = "") -> Hosted:
    """Put the check together for one worker; ``authserv_id`` is the name whose results in headers are believed."""
    context = Context(ports.references, authserv_id, config.score.mode == "rehearse")
    return Hosted(Tag(config.tag, context), config.tag)


def build(config: VaglioConfig, ports: Ports) -> Service:
    """Put the milter together for one worker. In a chain, results come in memory, and headers prove nothing."""
    ours = "" if config.tag.remove_forged else config.identity.authserv_id
    return milter([hosted(config, ports, ours)])


DAEMON = Daemon(
    name="tag",
    schema=None,
    manual=__doc__ or "",
    settings=lambda config: config.tag,
    build=build,
)


def main() -> int:
    """Run the daemon."""
    return run(DAEMON)


if __name__ == "__main__":
    sys.exit(main())
