"""NAME
    vaglio-dkim-verify - milter that verifies DKIM signatures (RFC 6376)

SYNOPSIS
    vaglio-dkim-verify [--config FILE] [--listen SOCKET]... [--workers N]

DESCRIPTION
    Verifies the DKIM signatures of each message (RFC 6376, 8301, 8463, 8616) and writes the results into it, as
    Authentication-Results (RFC 8601): by whom it is signed, by which key, and if a signature does not hold, why.
    Authentication-Results in our own name that came with the message are forged, and are taken out.

    Keys are asked for as soon as a signature is seen, and the body is hashed while it comes in, so that nothing of it
    is kept. Nobody is refused, unless dkim.verify.policies says so. "vaglio why REFERENCE" tells the story of a
    message, "vaglio dkim verify FILE" judges one without a mail server.

    Any mail server that speaks the milter protocol will do: Postfix 2.6 or later, Sendmail 8.14 or later.

CONFIGURATION
    The section [dkim.verify] of /etc/vaglio/vaglio.toml; "vaglio config defaults" prints all settings with their
    meaning. Our name in the results is identity.authserv_id. Behind another milter of ours, set
    dkim.verify.remove_forged = false, or what that one wrote is taken out; or have both in one process: "dkim_verify"
    among the checks of a chain, see vaglio-chain(8).

OPTIONS
    --config FILE     read this file; else $VAGLIO_CONFIG, else /etc/vaglio/vaglio.toml
    --listen SOCKET   unix:/path, inet:host:port or inet:[::1]:port, in place of dkim.verify.listen; may be repeated
    --workers N       number of worker processes, or "auto"
    --replace         take the place of a daemon that listens on the same UNIX sockets: see EXIT STATUS
    0 after a clean stop, 78 for a bad configuration, 69 for a socket that cannot be opened

FILES
    /etc/vaglio/vaglio.toml
    /run/vaglio/dkim-verify.sock
    /var/lib/vaglio/journal.sqlite

SEE ALSO
    vaglio(1), vaglio-dkim-sign(8), vaglio-spf(8), vaglio-chain(8), postconf(5)
"""

from __future__ import annotations

import sys

from vaglio.checks.dkim.check import Context, DkimVerify
from vaglio.checks.dkim.replay import SCHEMA, Replays
from vaglio.config.model import VaglioConfig
from vaglio.daemon.main import run
from vaglio.daemon.seldom import seldom
from vaglio.daemon.service import Daemon, Hosted, Ports, Service, milter, no_housekeeping


def hosted(config: VaglioConfig, ports: Ports) -> Hosted:
    """Put the check together for one worker."""
    settings, replays = config.dkim.verify, None
    if settings.replay.limit:
        replays = Replays(settings.replay, ports.shared(SCHEMA), ports.clock, seldom(ports.warn))
    context = Context(
        clock=ports.clock,
        resolver=ports.resolver(),
        references=ports.references,
        language=config.identity.language_for,
        replays=replays,
    )
    upkeep = replays.upkeep if replays else no_housekeeping
    return Hosted(DkimVerify(settings, context), settings, upkeep=upkeep)


def build(config: VaglioConfig, ports: Ports) -> Service:
    """Put the milter together for one worker."""
    return milter([hosted(config, ports)])


DAEMON = Daemon(
    name="dkim.verify",
    schema=None,
    manual=__doc__ or "",
    settings=lambda config: config.dkim.verify,
    build=build,
    command="vaglio-dkim-verify",
)


def main() -> int:
    """Run the daemon."""
    return run(DAEMON)


if __name__ == "__main__":
    sys.exit(main())
