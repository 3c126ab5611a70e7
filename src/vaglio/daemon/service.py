"""The contract between a daemon file (``policyd/greylist.py``, ``milters/spf_verify.py``) and ``daemon/``: what the one
names, the other runs.

No behaviour here: ``main.run`` takes a ``Daemon``, each worker builds its ``Service`` from the configuration and
the ``Ports``, and builds it anew when the configuration is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from vaglio.config.model import VaglioConfig
from vaglio.config.types import DaemonSection
from vaglio.examination import MessageCheck
from vaglio.facts import Facts
from vaglio.ports import Clock, FreshResolver, References, Schema, Store, StoreError, TokenStore
from vaglio.verdict import Fact, Verdict

Gauges = Mapping[str, Mapping[str, float]]
"""Figures by name (see ``metrics.GAUGES``) and label: ``{"rows": {"triplets": 1234}}``."""

Check = Callable[[Facts], Coroutine[Any, Any, Verdict]]
"""Answers one question. May raise anything: the guard turns that into the failure verdict."""


NO_TABLES = Schema("none", ())
"""The store of a daemon that keeps nothing."""

SELDOM = 3600.0
"""Seconds between two looks whether there is housekeeping to do, where there is none."""


def nothing() -> None:
    """Do nothing."""


async def nothing_to_wait_for() -> None:
    """Do nothing, and be done at once."""


async def no_housekeeping() -> float:
    """Do nothing; ask again seldom."""
    return SELDOM


def no_gauges() -> Gauges:
    """Report no figures."""
    return {}


class Hosted(NamedTuple):
    """A check of messages, and the section whose on_error, mode and deadline hold for it. ``own`` are the fields,
    besides Authentication-Results, in which it tells its results, each with our name there. The others are as in
    ``Service``.
    """

    check: MessageCheck
    section: DaemonSection
    own: Mapping[str, str] = MappingProxyType({})
    refresh: Callable[[], None] = nothing
    upkeep: Callable[[], Coroutine[Any, Any, float]] = no_housekeeping
    write_back: Callable[[], Coroutine[Any, Any, None]] = nothing_to_wait_for
    gauges: Callable[[], Gauges] = no_gauges
    begin: Callable[[], Coroutine[Any, Any, None]] = nothing_to_wait_for


class Milter(NamedTuple):
    """What a milter does: its checks in their order, and whether their results become Authentication-Results."""

    checks: Sequence[Hosted]
    results: bool = True


@dataclass(frozen=True, slots=True)
class Ports:
    """What a worker lends to the service it builds.

    ``state`` is the directory of the daemon's files (also of list files that the CLI writes); ``warn`` logs one line
    that the admin should act on, ``tell`` one that is good to know. ``shared`` opens a store that several daemons use,
    once for each schema; it is one that fails, and no error, where it can't be opened now. ``resolver`` gives the DNS
    as the configuration has it, ``tokens`` what Bayes has learned. ``alarm`` tells the admin, by mail or webhook, if
    the configuration says so: subject, text, and the same as values. It is for the check to see to it that no subject
    comes too often.
    """

    clock: Clock
    store: Store
    references: References
    state: Path
    warn: Callable[[str], None]
    tell: Callable[[str], None]
    shared: Callable[[Schema], Store]
    resolver: Callable[[], FreshResolver]
    alarm: Callable[[str, str, Mapping[str, Fact]], None]
    tokens: Callable[[], TokenStore]


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Service:
    """What is at work in one worker: a check that answers policy requests, or a milter.

    ``refresh`` is called every 5 s in each worker: re-read files that changed. ``upkeep`` is called in the first
    worker only: one small step of housekeeping, which returns the seconds until it wants to be called again; it may
    raise StoreError. ``write_back`` is called every 2 s in each worker, before a reload and before the end: it adds to
    the store what was only counted so far; it may raise StoreError, and is called again then. ``begin`` is called once,
    before the first question: it takes in what the store knows, and may raise StoreError. ``gauges`` are figures
    for the metrics, as of the last sweep.
    """

    work: Check | Milter
    refresh: Callable[[], None] = nothing
    upkeep: Callable[[], Coroutine[Any, Any, float]] = no_housekeeping
    write_back: Callable[[], Coroutine[Any, Any, None]] = nothing_to_wait_for
    gauges: Callable[[], Gauges] = no_gauges
    begin: Callable[[], Coroutine[Any, Any, None]] = nothing_to_wait_for


def milter(checks: Sequence[Hosted], results: bool = True) -> Service:
    """Return the service of a milter with these checks. What fails for one of them fails after the others had their
    turn.
    """

    def refresh() -> None:
        for one in checks:
            one.refresh()

    def gauges() -> Gauges:
        merged: dict[str, dict[str, float]] = {}
        for one in checks:
            for name, figures in one.gauges().items():
                merged.setdefault(name, {}).update(figures)
        return merged

    upkeep = in_rounds([one.upkeep for one in checks])
    write_back, begin = all_of([one.write_back for one in checks]), all_of([one.begin for one in checks])
    return Service(Milter(checks, results), refresh, upkeep, write_back, gauges, begin)


def all_of(steps: Sequence[Callable[[], Coroutine[Any, Any, None]]]) -> Callable[[], Coroutine[Any, Any, None]]:
    """Return what takes each of these steps, and raises the last StoreError of any when all had their turn."""

    async def taken() -> None:
        failed: StoreError | None = None
        for step in steps:
            try:
                await step()
            except StoreError as error:
                failed = error
        if failed:
            raise failed

    return taken


def in_rounds(steps: Sequence[Callable[[], Coroutine[Any, Any, float]]]) -> Callable[[], Coroutine[Any, Any, float]]:
    """Return the housekeeping of all these: each step is taken when the seconds that it gave have gone by, as far as
    whoever calls this waits as long as he is told to. A StoreError is raised when all had their turn.
    """
    left = [0.0] * len(steps)

    async def upkeep() -> float:
        failed: StoreError | None = None
        for place, step in enumerate(steps):
            if left[place] <= 0:
                try:
                    left[place] = await step()
                except StoreError as error:
                    failed = error
        if failed:
            raise failed
        rest = min(left, default=SELDOM)
        left[:] = [one - rest for one in left]
        return rest

    return upkeep


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon: ``name`` is ``greylist`` where the command is ``vaglio-greylist``, ``chain.inbound`` for a chain; it is
    that of its section. A daemon whose section is a ``MilterSection`` is a milter, any other answers policy requests.
    ``schema`` is that of the store without which it does not start, None if there is no such.

    ``manual`` is its man page as text, ``settings`` finds its section of the configuration, ``build`` makes the
    service; it does no I/O that may block for long and raises nothing for a configuration that was validated.
    ``command`` is set where it is not "vaglio-" and the name.
    """

    name: str
    schema: Schema | None
    manual: str
    settings: Callable[[VaglioConfig], DaemonSection]
    build: Callable[[VaglioConfig, Ports], Service]
    command: str = ""

    @property
    def called(self) -> str:
        """The command: ``vaglio-greylist``, ``vaglio-chain inbound``."""
        return self.command or f"vaglio-{self.name}"
