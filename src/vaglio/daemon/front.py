"""How a worker meets the mail server: the policy protocol, or the milter protocol by one of its two engines.

A front puts what a service does behind the guard and the protocol. It is fitted anew at each reload, while its
connections live on. It knows no check.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import NamedTuple, Protocol

from vaglio.config.model import VaglioConfig
from vaglio.config.sense import WANT_PYMILTER
from vaglio.config.types import DaemonSection, MilterSection
from vaglio.daemon.accept import Acceptor
from vaglio.daemon.service import Service
from vaglio.daemon.sockets import Listener
from vaglio.facts import Facts
from vaglio.turn import Turn
from vaglio.verdict import Verdict


class Surroundings(NamedTuple):
    """What a worker lends to its front: at the end of each ``turn`` of the policy protocol ``settle`` makes the store's
    changes durable, ``record`` keeps account of an answer, ``note_failure`` hears of each failure of a check,
    ``has_most`` tells whether another worker has fewer connections than so many; ``references`` names decisions.
    """

    name: str
    listeners: Sequence[Listener]
    turn: Turn
    settle: Callable[[], None]
    record: Callable[[Facts, Verdict, float], None]
    note_failure: Callable[[BaseException | None, Facts], None]
    warn: Callable[[str], None]
    has_most: Callable[[int], bool]
    references: Callable[[], str]


class Served(Protocol):
    """What speaks a protocol on connections."""

    @property
    def connections(self) -> int:
        """Number of open connections."""

    async def drain(self) -> None:
        """Answer what was asked, then close all connections."""


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


def front_for(section: DaemonSection) -> Callable[[Surroundings], Front]:
    """Return what makes the front of a daemon with this section; to be fitted before it is opened.

    Only what it needs is loaded: with both protocols a daemon starts a tenth later. To be called before the fork, so
    that workers share it.
    """
    if not isinstance(section, MilterSection):
        from vaglio.daemon.policyfront import PolicyFront

        return PolicyFront
    if section.engine == "libmilter":
        from vaglio.daemon.libmilterfront import LibmilterFront  # for those who have pymilter

        return LibmilterFront
    from vaglio.daemon.milterfront import MilterFront

    return partial(MilterFront, section)


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


class Listening:
    """The sockets of a front whose connections are ours."""

    def __init__(self, server: Served, acceptor: Acceptor) -> None:
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
