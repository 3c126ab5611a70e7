"""NAME
    vaglio-dkim-sign - milter that signs mail of your own users with DKIM (RFC 6376)

SYNOPSIS
    vaglio-dkim-sign [--config FILE] [--listen SOCKET]... [--workers N]

DESCRIPTION
    Signs the messages of clients that have logged in, or that come from your networks, for the domain of the author
    (From); mail of others is not touched. Each key of the domain makes a signature, RSA and Ed25519 in one pass over
    the message (RFC 8463). The fields that readers see are signed once more than they are there, so that nobody can
    add another one; a signature ends after dkim.sign.valid, and never covers a part of the body only (no l=).

    Keys are made and looked after by "vaglio dkim new", check, rotate and list; OpenDKIM's KeyTable and SigningTable
    are read as they are, and "vaglio dkim import" tells what its configuration becomes here. New and changed keys are
    taken up within seconds. A private key that others may read is not used.

    A message that is to be signed and can't be (a key that can't be read) is deferred: the client tries again, and
    nothing goes out unsigned by mistake. A message with several From fields is refused. "vaglio why REFERENCE", or its
    queue id, tells why a message was signed or not.

    At the start, and when it changes, the log tells for whom there are keys that sign, or warns that there are none.

    At the start and once a day, each key is compared with its record in the DNS; what does not fit is logged as a
    warning, and told as the section [alert] has it.

    Any mail server that speaks the milter protocol will do: Postfix 2.6 or later, Sendmail 8.14 or later. In Postfix it
    belongs to the submission services (smtpd_milters in master.cf) and to non_smtpd_milters; "vaglio postconf
    dkim.sign" prints the lines. With "dkim_sign" among its checks, a chain does the same, see vaglio-chain(8).

CONFIGURATION
    The section [dkim.sign] of /etc/vaglio/vaglio.toml; "vaglio config defaults" prints all settings with their
    meaning.

OPTIONS
    --config FILE     read this file; else $VAGLIO_CONFIG, else /etc/vaglio/vaglio.toml
    --listen SOCKET   unix:/path, inet:host:port or inet:[::1]:port, in place of dkim.sign.listen; may be repeated
    --workers N       number of worker processes, or "auto"
    --replace         take the place of a daemon that listens on the same UNIX sockets: see vaglio-spf(8), RESTART
    --version         print the version
    --help            print a short help

EXAMPLES
    vaglio dkim new tizio.it

    vaglio-dkim-sign --config ./vaglio.toml --listen inet:127.0.0.1:8892

SIGNALS
    SIGHUP   read the configuration again; a bad one is reported and the old one stays
    SIGTERM  let messages under way come to their end, for 8 seconds at most, and end

EXIT STATUS
    0 after a clean stop, 78 for a bad configuration, 69 for a socket that cannot be opened

FILES
    /etc/vaglio/vaglio.toml
    /etc/vaglio/dkim
    /run/vaglio/dkim-sign.sock
    /var/lib/vaglio/journal.sqlite

SEE ALSO
    vaglio(1), vaglio-dkim-verify(8), vaglio-chain(8), postconf(5)
"""

from __future__ import annotations

import sys

from vaglio.checks.dkim.signing.check import Context, DkimSign
from vaglio.checks.dkim.signing.keys import Keys
from vaglio.checks.dkim.signing.roll import Roll
from vaglio.checks.dkim.signing.watch import Watch
from vaglio.config.model import VaglioConfig
from vaglio.daemon.main import run
from vaglio.daemon.service import SELDOM, Daemon, Hosted, Ports, Service, milter

_last: list[Keys] = []
"""The keys of this worker: those that the next ones, after SIGHUP, take the place of."""


_AGAIN = 5.0
"""Seconds between two looks whether other keys sign: as often as the files are looked at."""


def hosted(config: VaglioConfig, ports: Ports) -> Hosted:
    """Put the check together for one worker."""
    settings = config.dkim.sign
    keys = Keys(settings, ports.warn, *_last)
    _last[:] = [keys]
    context = Context(
        clock=ports.clock,
        keys=keys,
        references=ports.references,
        language=config.identity.language_for,
    )

    def refresh() -> None:
        keys.refresh()

    watch = Watch(keys, ports.resolver(), ports.clock, ports.warn, ports.alarm)
    roll = Roll(keys, ports.tell, ports.warn)

    async def upkeep() -> float:
        roll.call()
        return min(await watch.upkeep() if settings.check_keys else SELDOM, _AGAIN)

    return Hosted(DkimSign(settings, context), settings, refresh=refresh, upkeep=upkeep)


def build(config: VaglioConfig, ports: Ports) -> Service:
    """Put the milter together for one worker."""
    return milter([hosted(config, ports)])


DAEMON = Daemon(
    name="dkim.sign",
    schema=None,
    manual=__doc__ or "",
    settings=lambda config: config.dkim.sign,
    build=build,
    command="vaglio-dkim-sign",
)


def main() -> int:
    """Run the daemon."""
    return run(DAEMON)


if __name__ == "__main__":
    sys.exit(main())
