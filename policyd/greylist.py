"""NAME
    vaglio-greylist - greylisting policy daemon for Postfix

SYNOPSIS
    vaglio-greylist [--config FILE] [--listen SOCKET]... [--workers N]

DESCRIPTION
    Answers Postfix's policy requests (SMTPD_POLICY_README). The first time that a sender writes to a recipient from
    some place, the recipient is deferred: mail servers try again by themselves, most spam software does not. Who
    comes back after the delay is let in and remembered for 35 days, and a place that has delivered a few messages
    is not asked any more.

    "Some place" is the registered domain of the client's verified name, so that a provider's other hosts may make
    the second try; where there is no such name it is the network, /24 or /64.

    Every deferral carries a reference in its reply text: "vaglio why REFERENCE" tells what was decided and why.

CONFIGURATION
    The section [greylist] of /etc/vaglio/vaglio.toml; "vaglio config defaults" prints all settings with their
    meaning. Without a file the defaults serve. Postfix is wired by the lines that "vaglio postconf" prints.

OPTIONS
    --config FILE     read this file; else $VAGLIO_CONFIG, else /etc/vaglio/vaglio.toml
    --listen SOCKET   unix:/path, inet:host:port or inet:[::1]:port, in place of greylist.listen; may be repeated
    --workers N       number of worker processes, or "auto"
    --version         print the version
    --help            print a short help

SIGNALS
    SIGHUP   read the configuration again; a bad one is reported and the old one stays
    SIGTERM  answer every request that was read, and end

EXIT STATUS
    0 after a clean stop, 78 for a bad configuration, 69 for a socket or store that cannot be opened

FILES
    /etc/vaglio/vaglio.toml, /etc/vaglio/whitelist_clients, whitelist_senders, whitelist_recipients
    /var/lib/vaglio/greylist.sqlite, journal.sqlite, greylist-allow-clients, -senders, -recipients

SEE ALSO
    vaglio(1), postconf(5), access(5)
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

from vaglio.checks.greylist.check import Context, Greylist
from vaglio.checks.greylist.decide import SCHEMA
from vaglio.checks.greylist.whitelists import Whitelists
from vaglio.config.model import VaglioConfig
from vaglio.daemon.main import run
from vaglio.daemon.seldom import seldom
from vaglio.daemon.service import Daemon, Ports, Service
from vaglio.hints import SCHEMA as HINTS

SECRET = 32
"""Bytes of the key that veils addresses."""

_log = logging.getLogger("vaglio.greylist")


def build(config: VaglioConfig, ports: Ports) -> Service:
    """Put the check together for one worker."""
    settings = config.greylist
    lists = Whitelists(settings, ports.state, ports.warn)
    check = Greylist(
        settings,
        Context(
            clock=ports.clock,
            store=ports.store,
            references=ports.references,
            lists=lists.current,
            language=config.identity.language_for,
            hostname=config.identity.hostname,
            secret=secret(ports.state) if settings.privacy else b"",
            warn=seldom(ports.warn),
            note=_log.info,
            hints=partial(ports.shared, HINTS),
        ),
    )
    return Service(check.check, lists.refresh, check.upkeep, check.write_back, check.gauges)


def secret(state: Path) -> bytes:
    """Return the key that veils addresses, made at first use. All workers get the same: the first file wins."""
    path = state / "greylist.secret"
    with suppress(FileExistsError):
        draft = path.with_suffix(f".secret-{os.getpid()}")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(os.urandom(SECRET))
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    key = path.read_bytes()
    if len(key) != SECRET:
        raise OSError(f"{path} is damaged: {SECRET} bytes are wanted, {len(key)} found; without it nothing is known")
    return key


DAEMON = Daemon(
    name="greylist",
    schema=SCHEMA,
    manual=__doc__ or "",
    settings=lambda config: config.greylist,
    build=build,
)


def main() -> int:
    """Run the daemon."""
    return run(DAEMON)


if __name__ == "__main__":
    sys.exit(main())
