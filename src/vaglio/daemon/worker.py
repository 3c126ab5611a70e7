"""A worker process: from the fork to its last answer.

Everything that a fork could split is opened here: event loop, store, journal. The configuration that the parent
found good is used; at SIGHUP it is read again, and all that depends on it is built anew and swapped, while connections
and the store live on. What a check says, and what the protocol is, is not known here.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vaglio import __version__
from vaglio.config.load import ConfigError, Loaded
from vaglio.config.model import VaglioConfig
from vaglio.daemon import log
from vaglio.daemon.accept import Acceptor, Shares
from vaglio.daemon.alert import PATIENCE, Alerter
from vaglio.daemon.clock import SystemClock, monotonic
from vaglio.daemon.front import Surroundings, front_for
from vaglio.daemon.latestore import LateStore
from vaglio.daemon.lifeline import BEAT, SIGNALS, Lifeline
from vaglio.daemon.metrics import MOST_CONNECTIONS, Endpoint, open_meter
from vaglio.daemon.record import Recorder
from vaglio.daemon.resolvers import Resolvers
from vaglio.daemon.service import NO_TABLES, Daemon, Ports, Service
from vaglio.daemon.sockets import Listener
from vaglio.daemon.turns import TurnStore
from vaglio.facts import Facts
from vaglio.journal.references import references
from vaglio.journal.writer import JournalWriter
from vaglio.ports import Schema, Store, StoreError, TokenStore
from vaglio.store import open_store
from vaglio.store.tokens import open_tokens
from vaglio.turn import Turn
from vaglio.verdict import Fact, Verdict

MAX_FILES = 10_100
"""File descriptors of a worker: as many connections as it may have, and some for itself."""

DRAIN = 8.0
"""Seconds that answers under way may still take at a stop; the parent kills a worker after 10."""

REFRESH = 5.0
"""Seconds between two looks at files that may have changed."""

WRITE_BACK = 2.0
"""Seconds that a service's counts may wait in memory."""

FLUSH = 0.1
"""Seconds that a journal entry may wait in memory."""

PURGE = 60.0
"""Seconds between two times that the journal is cleaned up."""

UPKEEP_AGAIN = 60.0
"""Seconds after which housekeeping that failed is tried again."""


UNWELL = 10.0
"""Seconds after a failure of the store in which /readyz says that this worker wants no requests."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is given at its fork.

    ``listeners`` are for the mail server, ``metrics`` for Prometheus (none: no figures are kept). ``state`` is the
    directory for the daemon's files; ``load`` reads the configuration again. ``shares`` counts all workers'
    connections.
    """

    daemon: Daemon
    config: VaglioConfig
    load: Callable[[], Loaded]
    listeners: Sequence[Listener]
    metrics: Sequence[Listener]
    state: Path
    shares: Shares


def work(job: Job, number: int, lifeline: Lifeline) -> int:
    """Serve as worker ``number`` until told to stop; return the exit status (``lifeline.Work``)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, MAX_FILES if hard < 0 else min(MAX_FILES, hard)), hard))
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_work(job, number, lifeline))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _work(job: Job, number: int, lifeline: Lifeline) -> int:
    logger = logging.getLogger(f"vaglio.{job.daemon.name}")
    clock = SystemClock()

    def warn(text: str) -> None:
        logger.warning("%s", text)

    url, schema = (job.config.state.url, job.daemon.schema) if job.daemon.schema else ("memory:", NO_TABLES)
    opener = partial(open_store, url, schema, warn=warn, now=clock.now)
    inner: Store
    try:
        inner = opener()
    except StoreError as error:
        logger.error("can't open the store: %s", error)
        if not job.shares.served:
            return os.EX_UNAVAILABLE
        inner = LateStore(opener, error, monotonic)
    turn = Turn()
    store = TurnStore(inner, turn, warn)
    try:
        worker = _Worker(job, number, lifeline, logger, clock, store, turn)
    except OSError as error:
        logger.error("can't begin: %s", error)
        return os.EX_UNAVAILABLE
    return await worker.run()


def _no_reference() -> str:
    return ""  # nothing is kept that it could lead to


class _Worker:
    """The parts of a running worker, and what happens to them when."""

    def __init__(
        self, job: Job, number: int, lifeline: Lifeline, logger: logging.Logger, clock: SystemClock,
        store: TurnStore, turn: Turn,
    ) -> None:  # fmt: skip
        self._job, self._number, self._lifeline = job, number, lifeline
        self._logger, self._clock, self._store, self._turn = logger, clock, store, turn
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._upkeep: asyncio.Task[float] | None = None
        self._next_upkeep: asyncio.TimerHandle | None = None
        self._writing: set[asyncio.Task[None]] = set()
        self._shared: dict[str, TurnStore] = {}
        self._tokens: TokenStore | None = None
        self._resolvers = Resolvers(self._loop)
        self._store_failed = -UNWELL
        self._meter = open_meter("on" if job.metrics else "", job.daemon.name, __version__)
        self._front = front_for(job.daemon.settings(job.config))(Surroundings(
            job.daemon.name, job.listeners, turn, store.settle_turn, self._record, self._note_failure, self._warn,
            partial(job.shares.has_most, number), lambda: self._reference(),
        ))  # fmt: skip
        self._fit(job.config)
        self._use()
        self._accepting = self._front, self._metrics_acceptor()

    async def run(self) -> int:
        """Serve until told to stop, then answer what was read and leave all in order."""
        self._heed_signals()
        await self._begun(self._service)
        for one in self._accepting:
            one.open()
        self._start_timers()
        gc.freeze()  # what is here now stays: a collection that walks through it would hold up answers by 20 ms
        self._lifeline.ready()
        self._job.shares.served = True
        await self._stop.wait()
        stopped = monotonic()
        for one in self._accepting:
            one.close()
        self._clock.stop()
        await self._drain()
        await self._written_back(self._service)
        left = DRAIN - (monotonic() - stopped)
        await asyncio.to_thread(self._alerter.finish, max(0, min(PATIENCE / 2, left)))  # the records say they are sent
        self._close()
        return os.EX_OK

    def _metrics_acceptor(self) -> Acceptor:
        endpoint = Endpoint(self._meter, self._is_well)
        return Acceptor(self._job.metrics, endpoint, lambda: len(endpoint.open), MOST_CONNECTIONS, self._warn)

    def _is_well(self) -> bool:
        return not self._stop.is_set() and monotonic() - self._store_failed >= UNWELL

    # --- parts that depend on the configuration ---

    def _fit(self, config: VaglioConfig) -> None:
        """Build what depends on the configuration, all of it before any of it is used."""
        daemon = self._job.daemon
        section = daemon.settings(config)
        reference = partial(next, references()) if config.journal.enabled else _no_reference
        service = daemon.build(config, self._ports(config, reference))
        self._resolvers.used_by(service)
        journal = self._journal_for(config)
        lines = log.setup(config.log.format, config.log.level)
        self._service: Service = service
        self._use = self._front.fit(service, section, config)
        self._log, self._journal, self._reference = lines, journal, reference
        self._alerter = Alerter(config.alert, config.identity.hostname)
        self._recorder = Recorder(lines, self._meter, journal, daemon.name, self._clock.now, config.identity.hostname)

    def _ports(self, config: VaglioConfig, reference: Callable[[], str]) -> Ports:
        return Ports(
            self._clock,
            self._store,
            reference,
            self._job.state,
            self._warn,
            partial(self._logger.info, "%s"),
            self._shared_store,
            partial(self._resolvers.lend, config.dns),
            self._raise_alarm,
            self._learned_tokens,
        )

    def _raise_alarm(self, subject: str, text: str, details: Mapping[str, Fact]) -> None:
        self._meter.alarm()
        self._alerter.raise_alarm(f"{self._job.daemon.name}: {subject}", text, details, own_pace=True)

    def _shared_store(self, schema: Schema) -> Store:
        if schema.name not in self._shared:
            opener = partial(open_store, self._job.config.state.url, schema, warn=self._warn, now=self._clock.now)
            inner: Store
            try:
                inner = opener()
            except StoreError as error:
                self._warn(f"store: {error}")
                inner = LateStore(opener, error, monotonic)
            self._shared[schema.name] = TurnStore(inner, self._turn, self._warn)
        return self._shared[schema.name]

    def _learned_tokens(self) -> TokenStore:
        if self._tokens is None:
            directory = self._job.config.state.directory
            self._tokens = open_tokens(directory, warn=self._warn, now=self._clock.now)
        return self._tokens

    def _journal_for(self, config: VaglioConfig) -> JournalWriter | None:
        directory = self._job.config.state.directory  # where the store is; another one takes a restart
        if directory is None or not config.journal.enabled:
            return None
        with suppress(OSError):  # the journal itself says what is wrong
            directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        keep, most = config.journal.keep, config.journal.max_size
        return JournalWriter(directory / "journal.sqlite", keep, most, self._warn, self._clock.now)

    def _reload(self) -> None:
        self._spawn(self._reloaded())

    async def _reloaded(self) -> None:
        try:
            config = self._job.load().config
        except ConfigError as error:  # the parent found it good a moment ago: the file has changed since
            for problem in error.problems:
                self._warn(f"the configuration stays as it was: {problem}")
        else:
            await self._refit(config)
        self._lifeline.reloaded()

    async def _refit(self, config: VaglioConfig) -> None:
        journal, service = self._journal, self._service
        try:
            self._fit(config)
        except OSError as error:
            self._warn(f"the configuration stays as it was: {error}")
            return
        if journal:
            journal.close()
        await self._begun(self._service)  # this may take seconds, in which the old one answers and counts
        self._use()
        await self._written_back(service)
        if self._next_upkeep is not None:
            self._next_upkeep.cancel()
            self._keep_up()

    # --- what the server calls ---

    def _record(self, facts: Facts, verdict: Verdict, seconds: float) -> None:
        self._recorder(facts, verdict, seconds)

    def _note_failure(self, error: BaseException | None, facts: Facts) -> None:  # noqa: ARG002  # the guard's hook
        if isinstance(error, StoreError):
            self._store_failed = monotonic()
            self._meter.store_error()
            if self._number == 0:  # a store fails for all workers; one mail is enough
                self._alerter.raise_alarm(f"{self._job.daemon.name}: the store fails", str(error))

    def _warn(self, text: str) -> None:
        self._logger.warning("%s", text)

    # --- timers and signals ---

    def _heed_signals(self) -> None:
        self._loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        self._loop.add_signal_handler(signal.SIGINT, self._stop.set)
        self._loop.add_signal_handler(signal.SIGHUP, self._reload)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _start_timers(self) -> None:
        self._every(BEAT, self._beat)
        self._every(REFRESH, lambda: self._service.refresh())
        self._every(FLUSH, self._flush)
        self._every(WRITE_BACK, lambda: self._write_back(self._service))
        if self._number == 0:
            self._keep_up()
            self._purge()

    def _every(self, seconds: float, call: Callable[[], None]) -> None:
        """Call ``call`` every so many seconds; an error is logged by the event loop and ends nothing."""

        def tick() -> None:
            self._loop.call_later(seconds, tick)
            call()

        self._loop.call_later(seconds, tick)

    def _beat(self) -> None:
        self._log.flush()
        if not self._lifeline.beat() and not self._stop.is_set():
            self._warn("the parent process is gone: stopping")
            self._stop.set()

    def _flush(self) -> None:
        if self._journal:
            self._journal.flush()
            self._meter.journal_dropped(self._journal.dropped)

    def _write_back(self, service: Service) -> None:
        self._spawn(self._written_back(service))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _begun(self, service: Service) -> None:
        try:
            await service.begin()
        except StoreError as error:
            self._warn(f"begins without what the store knows: {error}")

    async def _written_back(self, service: Service) -> None:
        try:
            await service.write_back()
        except StoreError as error:
            self._warn(f"counts wait for the store: {error}")

    def _purge(self) -> None:
        more = self._journal is not None and self._journal.purge_step()
        self._loop.call_later(FLUSH if more else PURGE, self._purge)

    def _keep_up(self) -> None:
        self._next_upkeep = None
        self._upkeep = self._loop.create_task(self._service.upkeep())
        self._upkeep.add_done_callback(partial(self._kept_up, self._service))

    def _kept_up(self, service: Service, step: asyncio.Task[float]) -> None:
        if step.cancelled():
            return
        error = step.exception()
        if isinstance(error, StoreError):
            self._warn(f"housekeeping waits for the store: {error}")
        elif error is not None:
            self._logger.error("a bug in the housekeeping", exc_info=error)
        elif service is self._service:
            self._meter.gauges(service.gauges())
        rest = step.result() if error is None else UPKEEP_AGAIN
        self._next_upkeep = self._loop.call_later(rest if service is self._service else 0, self._keep_up)

    # --- the end ---

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(DRAIN):
                await self._front.drain()
        except TimeoutError:
            self._warn(f"{self._front.connections} connections did not take their answers within {DRAIN:.0f} s")

    def _close(self) -> None:
        if self._upkeep:
            self._upkeep.cancel()
        if self._journal:
            self._journal.close()
        self._resolvers.close()
        stores: list[Store | TokenStore] = [self._store, *self._shared.values()]
        for store in [*stores, self._tokens] if self._tokens else stores:
            try:
                store.close()
            except StoreError as error:
                self._warn(f"the store could not be closed in good order: {error}")
        self._meter.push()
        self._log.flush(1.0)
