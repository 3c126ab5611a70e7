"""How a worker meets the mail server: the policy protocol, or the milter protocol by one of its two engines.

A front puts what a service does behind the guard and the protocol. It is fitted anew at each reload, while its
connections live on. It knows no check.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import NamedTuple, Protocol

from vaglio.config.model import VaglioConfig
from vaglio.config.sense import WANT_PYMILTER
from vaglio.config.types import DaemonSection, MilterSection
from vaglio.daemon.accept import Acceptor, UvloopAcceptor
from vaglio.daemon.clock import timer
from vaglio.daemon.guard import Guard, GuardedCheck
from vaglio.daemon.seldom import seldom
from vaglio.daemon.service import Hosted, Milter, Service
from vaglio.daemon.sockets import Listener
from vaglio.facts import Facts
from vaglio.milter.host import Host, Manner
from vaglio.milter.native import Server as MilterServer
from vaglio.policy.serve import Server as PolicyServer
from vaglio.ports import StoreError
from vaglio.verdict import Verdict

POLICY_CONNECTIONS = 10_000
"""Connections of one worker. Postfix has one for each smtpd process, 100 by default."""

LONGEST_JUDGEMENT = 240.0
"""Seconds for which a message may be judged by all checks together: Postfix's milter_content_timeout is 300."""

LONGEST_AT_RCPT = 8.0
"""Seconds for which a recipient may be judged: Sendmail waits 10 s for an answer to it, Postfix 30."""


class Surroundings(NamedTuple):
    """What a worker lends to its front: ``settle`` makes the store's changes durable, ``record`` keeps account of an
    answer, ``note_failure`` hears of each failure of a check, ``has_most`` tells whether another worker has fewer
    connections than so many; ``references`` names decisions.
    """

    name: str
    listeners: Sequence[Listener]
    settle: Callable[[], None]
    record: Callable[[Facts, Verdict, float], None]
    note_failure: Callable[[BaseException | None, Facts], None]
    warn: Callable[[str], None]
    has_most: Callable[[int], bool]
    references: Callable[[], str]


class Front(Protocol):
    """What a worker does with either."""

    @property
    def connections(self) -> int:
        """Number of open connections."""

    def fit(self, service: Service, section: DaemonSection, config: VaglioConfig) -> Callable[[], None]:
        """Put a service behind the guard; return what sets it to work in place of the one before."""

    def open(self) -> None:
        """Begin to take connections."""

    def close(self) -> None:
        """Take no more connections."""

    async def drain(self) -> None:
        """Answer what was asked, then close all connections. The caller bounds the time."""


def front_for(section: DaemonSection, around: Surroundings) -> Front:
    """Return the front of a daemon with this section; to be fitted before it is opened."""
    if not isinstance(section, MilterSection):
        return PolicyFront(around)
    if section.engine == "libmilter":
        from vaglio.daemon.libmilterfront import LibmilterFront  # for those who have pymilter

        return LibmilterFront(around)
    return MilterFront(section, around)


def obstacle(section: DaemonSection, listeners: Sequence[Listener]) -> str:
    """Return what keeps a daemon with this section from serving on these, told before any worker is started."""
    if not isinstance(section, MilterSection) or section.engine != "libmilter":
        return ""
    if find_spec("milter") is None:
        return f'engine = "libmilter" can\'t be had, since pymilter is not installed: {WANT_PYMILTER}'
    if len(listeners) == 1:
        return ""
    found = " and ".join(one.address for one in listeners)
    return (
        f'engine = "libmilter" listens on one socket, not on {found}: name one (for inet, by its address), or let '
        'engine be "native"'
    )


class _Listening:
    """The sockets of a front whose connections are ours."""

    def __init__(self, server: PolicyServer | MilterServer, acceptor: Acceptor) -> None:
        self._server, self._acceptor = server, acceptor

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return self._server.connections

    def open(self) -> None:
        """Begin to take connections."""
        self._acceptor.open()

    def close(self) -> None:
        """Take no more connections."""
        self._acceptor.close()

    async def drain(self) -> None:
        """Answer what was asked, then close all connections."""
        await self._acceptor.settled()
        await self._server.drain()
        while self._server.connections:  # noqa: ASYNC110  # their last bytes are on the way to the kernel
            await asyncio.sleep(0.005)


class PolicyFront(_Listening):
    """Postfix's policy protocol."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._policy = server = PolicyServer(around.settle, self._failed, around.record, timer, around.warn)
        acceptor = Acceptor(
            around.listeners, server, lambda: server.connections, POLICY_CONNECTIONS, around.warn, around.has_most
        )
        super().__init__(server, acceptor)

    def _failed(self, facts: Facts, error: StoreError) -> Verdict:
        return self._guard.failed(facts, error)

    def fit(self, service: Service, section: DaemonSection, config: VaglioConfig) -> Callable[[], None]:  # noqa: ARG002
        """Put a check behind the guard."""
        around, check = self._around, service.work
        assert not isinstance(check, Milter)
        guard = Guard(around.name, section.on_error, section.mode, section.deadline, around.note_failure)

        def use() -> None:
            self._guard = guard
            self._policy.answer = lambda facts: guard.begin(facts, check, facts)

        return use


class MilterFront(_Listening):
    """The milter protocol, by the engine of our own. Its connections are short and spread by themselves, over who is
    idle; to step aside would only cost time (two workers then did less than one).
    """

    def __init__(self, section: MilterSection, around: Surroundings) -> None:
        self._around = around
        self._milter = server = MilterServer(timer, seldom(around.warn))
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
