"""NAME
    vaglio-dnsbl - blocklist policy daemon for Postfix

SYNOPSIS
    vaglio-dnsbl [--config FILE] [--listen SOCKET]... [--workers N]

DESCRIPTION
    Answers Postfix's policy requests (SMTPD_POLICY_README). It asks blocklists and allow lists in the DNS, and lists of
    your own in files, about the client, its names and the sender's domain, all at once; adds up what their answers
    weigh; and refuses the client when the sum reaches dnsbl.reject. The reply says which list, why, and where the
    listed find help.

    No list can cause an outage: one that refuses to answer us (127.255.255.254 and the like), lists everybody, lists
    nobody, answers what no list answers, or is silent, is suspended, and a warning in the log says what to do. It comes
    back by itself after a good probe. "vaglio dnsbl status" shows all lists.

    What it thinks of a client it tells vaglio-greylist through the store: see greylist.scope and greylist.pass_trusted.

CONFIGURATION
    The section [dnsbl] of /etc/vaglio/vaglio.toml; "vaglio config defaults" prints all settings with their meaning,
    "vaglio dnsbl lists" the lists that ship and the terms under which they may be asked. The resolver is set in [dns]:
    it should be one of your own. "vaglio dns check" tells whether it is fit. Postfix is wired by the lines that "vaglio
    postconf" prints; this daemon belongs before vaglio-greylist.

OPTIONS
    --config FILE     read this file; else $VAGLIO_CONFIG, else /etc/vaglio/vaglio.toml
    --listen SOCKET   unix:/path, inet:host:port or inet:[::1]:port, in place of dnsbl.listen; may be repeated
    --workers N       number of worker processes, or "auto"
    --version         print the version
    --help            print a short help

SIGNALS
    SIGHUP   read the configuration again; a bad one is reported and the old one stays
    SIGTERM  answer every request that was read, and end

EXIT STATUS
    0 after a clean stop, 78 for a bad configuration, 69 for a socket or store that cannot be opened

FILES
    /etc/vaglio/vaglio.toml
    /var/lib/vaglio/dnsbl.sqlite, hints.sqlite, journal.sqlite

SEE ALSO
    vaglio(1), vaglio-greylist(8), postconf(5), access(5)
"""

from __future__ import annotations

import sys

from vaglio.blocklists.answers import compiled
from vaglio.blocklists.words import teller
from vaglio.checks.dnsbl.catalogue import effective
from vaglio.checks.dnsbl.check import Context, Dnsbl
from vaglio.checks.dnsbl.privatelists import PrivateLists
from vaglio.checks.dnsbl.sweep import SCHEMA
from vaglio.config.model import VaglioConfig
from vaglio.daemon.main import run
from vaglio.daemon.seldom import seldom
from vaglio.daemon.service import Daemon, Ports, Service
from vaglio.hints import SCHEMA as HINTS


def build(config: VaglioConfig, ports: Ports) -> Service:
    """Put the check together for one worker."""
    settings = config.dnsbl
    lists = effective(settings)
    files = PrivateLists([one for one in lists if one.file], ports.warn)
    check = Dnsbl(
        settings,
        [compiled(one) for one in lists if one.zone],
        Context(
            clock=ports.clock,
            store=ports.store,
            hints=ports.shared(HINTS),
            resolver=ports.resolver(),
            references=ports.references,
            files=files.current,
            language=config.identity.language_for,
            hostname=config.identity.hostname,
            warn=seldom(ports.warn),
            told=teller("dnsbl", ports.warn, ports.tell),
        ),
    )

    async def begin() -> None:
        await files.begin()
        await check.begin()

    return Service(check.check, files.refresh, check.upkeep, check.write_back, check.gauges, begin)


DAEMON = Daemon(
    name="dnsbl",
    schema=SCHEMA,
    manual=__doc__ or "",
    settings=lambda config: config.dnsbl,
    build=build,
)


def main() -> int:
    """Run the daemon."""
    return run(DAEMON)


if __name__ == "__main__":
    sys.exit(main())
