"""NAME
    vaglio-spf - milter that verifies SPF (RFC 7208)

SYNOPSIS
    vaglio-spf [--config FILE] [--listen SOCKET]... [--workers N]

DESCRIPTION
    Asks the DNS whether the client may send in the name of the sender's domain, and of the name that it says in HELO,
    and writes the results into the message: Authentication-Results (RFC 8601), Received-SPF (RFC 7208 9.1), or both.
    Those in our own name that came with the message are forged, and are taken out: Authentication-Results, and where
    Received-SPF is written, that too.

    By itself SPF refuses nobody but those who write in the name of a domain that sends no mail at all ("v=spf1 -all"):
    what else is refused or deferred is for spf.mail_from and spf.helo to say, and for DMARC. A refusal says what the
    sender's admin must do, and "vaglio why REFERENCE" tells the whole story. Mail of your own users is not looked at,
    unless spf.own_addresses has it looked at as others would see it.

    Any mail server that speaks the milter protocol will do: Postfix 2.6 or later, Sendmail 8.14 or later.

CONFIGURATION
    The section [spf] of /etc/vaglio/vaglio.toml; "vaglio config defaults" prints all settings with their meaning. Our
    name in the results is identity.authserv_id. Postfix is wired by the lines that "vaglio postconf spf" prints;
    Sendmail by those in examples/sendmail.

    To have several checks in one process, see vaglio-chain(8).

OPTIONS
    --config FILE     read this file; else $VAGLIO_CONFIG, else /etc/vaglio/vaglio.toml
    --listen SOCKET   unix:/path, inet:host:port or inet:[::1]:port, in place of spf.listen; may be repeated
    --workers N       number of worker processes, or "auto"
    --replace         take the place of a daemon that listens on the same UNIX sockets: see RESTART
    --version         print the version
    --help            print a short help

EXAMPLES
    vaglio-spf

    vaglio-spf --config ./vaglio.toml --listen inet:127.0.0.1:8890

    vaglio-spf --workers auto --replace

SIGNALS
    SIGHUP   read the configuration again; a bad one is reported and the old one stays. A message under way is judged
             by the configuration that it began with.
    SIGTERM  let messages under way come to their end, for 8 seconds at most, and end

RESTART
    With socket activation (vaglio-spf.socket) no mail server is refused during a restart: connections wait in the
    queue. Without it, start a new daemon with --replace: once all its workers are ready, new connections go to it, and
    the old one, told to end by SIGTERM, finishes what it has. One that can't begin leaves the old one its place. An
    SMTP session that is between two messages then has 2 seconds to go on; what it sends later meets the mail
    server's default for a milter that is gone.

EXIT STATUS
    0 after a clean stop, 78 for a bad configuration, 69 for a socket that cannot be opened

FILES
    /etc/vaglio/vaglio.toml
    /run/vaglio/spf.sock
    /var/lib/vaglio/journal.sqlite

SEE ALSO
    vaglio(1), vaglio-dkim-verify(8), vaglio-chain(8), postconf(5)
"""

from __future__ import annotations

import sys

from vaglio.checks.spf.check import Context, Spf
from vaglio.config.model import VaglioConfig
from vaglio.daemon.main import run
from vaglio.daemon.seldom import seldom
from vaglio.daemon.service import Daemon, Hosted, Ports, Service, milter


def hosted(config: VaglioConfig, ports: Ports) -> Hosted:
    """Put the check together for one worker."""
    context = Context(
        clock=ports.clock,
        resolver=ports.resolver(),
        references=ports.references,
        language=config.identity.language_for,
        hostname=config.identity.hostname,
        warn=seldom(ports.warn),
        alarm=ports.alarm,
    )
    name = config.identity.hostname
    own = {} if config.spf.header == "authentication-results" else {"Received-SPF": name}
    return Hosted(Spf(config.spf, context), config.spf, own)


def build(config: VaglioConfig, ports: Ports) -> Service:
    """Put the milter together for one worker."""
    return milter([hosted(config, ports)], results=config.spf.header != "received-spf")


DAEMON = Daemon(
    name="spf",
    schema=None,
    manual=__doc__ or "",
    settings=lambda config: config.spf,
    build=build,
)


def main() -> int:
    """Run the daemon."""
    return run(DAEMON)


if __name__ == "__main__":
    sys.exit(main())
