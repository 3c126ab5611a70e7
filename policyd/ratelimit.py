"""NAME
    vaglio-ratelimit - rate limit policy daemon for Postfix

SYNOPSIS
    vaglio-ratelimit [--config FILE] [--listen SOCKET]... [--workers N]

DESCRIPTION
    Answers Postfix's policy requests (SMTPD_POLICY_README) about mail that your users send: it counts messages,
    recipients or bytes by login, sender or client, within windows that slide, and defers, refuses or holds what is
    beyond a limit. A refused message counts for nothing, and is counted apart. The reply says which limit, and when
    there is room again; "vaglio ratelimit quota USER" says it beforehand.

    Signs of an account in wrong hands are limits too: how many different client networks or countries a login comes
    from, how many recipients it never wrote to before, which share of its recipients is refused. The admin is told
    once: in the log, by a metric, and by mail or a webhook ([alert]).

CONFIGURATION
    The section [ratelimit] of /etc/vaglio/vaglio.toml; "vaglio config defaults" prints all settings with their
    meaning. Without a file the defaults serve: 200 recipients an hour and 1,000 a day for each login. Postfix is wired
    by the lines that "vaglio postconf" prints: in master.cf, at the end of data of submission (587, 465).

OPTIONS
    --config FILE     read this file; else $VAGLIO_CONFIG, else /etc/vaglio/vaglio.toml
    --listen SOCKET   unix:/path, inet:host:port or inet:[::1]:port, in place of ratelimit.listen; may be repeated
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
    /var/lib/vaglio/ratelimit.sqlite, journal.sqlite

SEE ALSO
    vaglio(1), vaglio-greylist(8), postconf(5), access(5)
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from vaglio.checks.listfiles import ListFiles
from vaglio.checks.ratelimit.alarm import alarm_mail
from vaglio.checks.ratelimit.check import Context, Ratelimit
from vaglio.checks.ratelimit.decide import Alarm
from vaglio.checks.ratelimit.logins import parse_logins
from vaglio.checks.ratelimit.overridesource import source_of
from vaglio.checks.ratelimit.rules import ready
from vaglio.checks.ratelimit.usage import SCHEMA
from vaglio.config.model import VaglioConfig
from vaglio.daemon.clock import monotonic
from vaglio.daemon.main import run
from vaglio.daemon.seldom import seldom
from vaglio.daemon.service import Daemon, Ports, Service
from vaglio.store.rows import read_rows

_log = logging.getLogger("vaglio.ratelimit")


def build(config: VaglioConfig, ports: Ports) -> Service:
    """Put the check together for one worker."""
    settings = config.ratelimit
    country = _countries(settings.country_database)
    rules = ready(settings, country)
    logins = ListFiles(settings.sender_logins, parse_logins, ports.warn, needed=True)
    overrides = source_of(settings, read_rows, monotonic, ports.warn)
    check = Ratelimit(
        settings,
        rules,
        Context(
            clock=ports.clock,
            store=ports.store,
            references=ports.references,
            overrides=lambda: overrides.current,
            logins=lambda: logins.current,
            country=country,
            language=config.identity.language_for,
            hostname=config.identity.hostname,
            warn=seldom(ports.warn),
            alarm=_teller(ports, settings.mode == "rehearse"),
        ),
    )

    def refresh() -> None:
        logins.refresh()
        overrides.refresh()

    async def begin() -> None:
        await overrides.begin()
        await check.begin()

    return Service(check.check, refresh, check.upkeep, check.write_back, check.gauges, begin)


def _teller(ports: Ports, rehearse: bool) -> Callable[[Alarm, int], None]:
    """Return what tells the admin of a key that is over its limit."""

    def tell(alarm: Alarm, now: int) -> None:
        mail = alarm_mail(alarm, now, rehearse)
        ports.warn(mail.line)
        ports.alarm(mail.subject, mail.text, mail.details)

    return tell


def _countries(path: str) -> Callable[[str], str]:
    if not path:
        return lambda _: ""
    from vaglio.store.countries import open_countries  # for those who have such a file

    return open_countries(path)


DAEMON = Daemon(
    name="ratelimit",
    schema=SCHEMA,
    manual=__doc__ or "",
    settings=lambda config: config.ratelimit,
    build=build,
)


def main() -> int:
    """Run the daemon."""
    return run(DAEMON)


if __name__ == "__main__":
    sys.exit(main())
