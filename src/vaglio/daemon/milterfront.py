"""The front of a milter that runs on our own engine, and what hosts the checks of any."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vaglio.config.model import VaglioConfig
from vaglio.config.types import DaemonSection, MilterSection
from vaglio.daemon.accept import Acceptor, UvloopAcceptor
from vaglio.daemon.clock import timer
from vaglio.daemon.front import Listening, Surroundings
from vaglio.daemon.guard import Guard, GuardedCheck
from vaglio.daemon.seldom import seldom
from vaglio.daemon.service import Hosted, Milter, Service
from vaglio.milter.host import Host, Manner
from vaglio.milter.native import Server

LONGEST_JUDGEMENT = 240.0
"""Seconds for which a message may be judged by all checks together: Postfix's milter_content_timeout is 300."""

LONGEST_AT_RCPT = 8.0
"""Seconds for which a recipient may be judged: Sendmail waits 10 s for an answer to it, Postfix 30."""


class MilterFront(Listening):
    """The milter protocol, by the engine of our own. Its connections are short and spread by themselves, over who is
    idle; to step aside would only cost time (two workers then did less than one).
    """

    def __init__(self, section: MilterSection, around: Surroundings) -> None:
        self._around = around
        self._milter = server = Server(timer, seldom(around.warn))
        on_uvloop = type(asyncio.get_running_loop()).__module__.startswith("uvloop")
        kind = UvloopAcceptor if on_uvloop else Acceptor
        acceptor = kind(
            around.listeners, server, lambda: server.connections, section.max_connections, around.warn,
            to_the_last=True,  # Postfix does without a milter that closes a connection
        )  # fmt: skip
        super().__init__(server, acceptor)

    def fit(self, service: Service, section: DaemonSection, config: VaglioConfig) -> Callable[[], None]:
        """Put checks of messages behind guards of their own, and their judgement behind another."""
        assert isinstance(section, MilterSection)
        host = hosted(service, section, config.identity.authserv_id, self._around)

        def use() -> None:
            self._milter.host = host

        return use


def hosted(service: Service, section: MilterSection, authserv_id: str, around: Surroundings) -> Host:
    """Return the host of a milter's checks; it keeps the service alive."""
    milter = service.work
    assert isinstance(milter, Milter)
    checks = [GuardedCheck(one.check, _guard_of(one, section, around)) for one in milter.checks]
    # Each check has its own deadline, and they are awaited one after the other; a little more for what is done between.
    deadline = min(LONGEST_JUDGEMENT, sum(_deadline(one, section) for one in milter.checks) + 2.0)
    guard, recipient_guard = (
        Guard(around.name, section.on_error, section.mode, limit, around.note_failure)
        for limit in (deadline, min(section.deadline, LONGEST_AT_RCPT))
    )
    own = {name.lower().encode(): ours for one in milter.checks for name, ours in one.own.items()}
    manner = Manner(
        authserv_id, section.remove_forged, milter.results, section.max_scan, section.mode == "rehearse", own
    )
    return Host(checks, guard, recipient_guard, around.record, manner, around.references, service)


def _deadline(one: Hosted, section: MilterSection) -> float:
    return min(one.section.deadline, section.deadline)


def _guard_of(one: Hosted, section: MilterSection, around: Surroundings) -> Guard:
    own = one.section
    return Guard(
        one.check.name, own.on_error, own.mode, _deadline(one, section), around.note_failure, results=tuple(one.own)
    )
