"""Our milters beside pymilter and Debian's pyspf-milter, in one run, on one machine: scripts/bench milters.

Both engines are measured, each with all three sizes of messages. What is measured, and under which conditions, is told
in docs/performance.md; how, in the modules beside this one.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import messages, runs
from bench.generator import MILTER, Generator, Measured
from bench.inflight import in_flight
from bench.milterservers import ENGINES, Bodies, Engine, MilterServer, Noop, NoopPymilter, Ours, PyspfMilter, Spf
from bench.nameserver import NameServer
from bench.processes import memory
from bench.report import Row, Target
from bench.runs import Lengths, Pair, Runs, Say, Subject, rates
from bench.servers import BenchError
from bench.throughpostfix import Relays
from lab.space import Space
from lab.waiting import LabError

PASSED = "continue accept"
IN_FLIGHT = 50
"""Connections with a message of 1 MB each."""
MIB = 2**20
SMALL, *LARGER = messages.SIZES


@dataclass(frozen=True, slots=True)
class Plan(Lengths):
    """How much is measured."""

    few: int
    many: int
    """Messages of mixed size after which a worker's memory is looked at."""
    mails: int
    """Messages of a run through Postfix."""


FULL = Plan(5, 3.0, 0.5, 10_000, 100_000, 4000)
QUICK = Plan(3, 1.0, 0.2, 1000, 5000, 500)

Rates = Sequence[float]


class Bench(Runs):
    """The measurements, one method each."""

    def __init__(self, plan: Plan, generator: Generator, directory: Path, say: Say) -> None:
        super().__init__(plan, generator, directory, say)
        self._plan = plan
        self._names = NameServer(self._load)
        self._messages = messages.write(directory / "messages")
        self._both = self._server + self._load

    # --- tools ---

    def _noop(self, engine: Engine, workers: int = 1, cores: Sequence[int] = ()) -> Noop:
        return Noop(self._fresh(), cores or self._server, engine, workers)

    def _spf(self, engine: Engine, workers: int = 1, cores: Sequence[int] = ()) -> Spf:
        return Spf(self._fresh(), cores or self._server, engine, workers, self._names.address)

    def _bodies(self, engine: Engine) -> Bodies:
        return Bodies(self._fresh(), self._server, engine)

    def _send(self, server: MilterServer, size: str = SMALL, both_cores: bool = False) -> Callable[[], Measured]:
        """Return a step that sends it messages of one size."""
        where = str(self._messages[size])
        return lambda: self._timed(server, PASSED, both_cores=both_cores, messages=where)

    def _must_pass(self, *servers: MilterServer) -> None:
        """Raise BenchError unless each finds that SPF passes: another result would be another measurement."""
        for server in servers:
            command = (*self.generator.command, "--dump", "-n", "1", server.address, str(self._messages[SMALL]))
            said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
            if "spf=pass" not in said:
                raise BenchError(f"{server.name} did not say spf=pass: {said}\n{server.log_end()}")

    # --- rows ---

    def noop(self) -> Iterator[Row]:
        """Nothing to be done with messages, but to take them in."""
        self._say("no-op milters")
        with ExitStack() as stack:
            peer = stack.enter_context(NoopPymilter(self._fresh(), self._server))
            bodiless = stack.enter_context(NoopPymilter(self._fresh(), self._server, bodies=False))
            ours = {engine: stack.enter_context(self._noop(engine)) for engine in ENGINES}
            for size in messages.SIZES:
                self._say(f" {size}")
                steps = [self._send(server, size) for server in (peer, bodiless, *ours.values())]
                theirs, without, *found = self._rounds(*steps)
                for engine, measured in zip(ours, found, strict=True):
                    name = f"no-op ({engine}), {size}"
                    yield from _rows(name, Pair(theirs, measured), _promised(engine, 1.5))
                    yield Pair(without, measured).row(f"{name}; the peer without bodies", "msg/s", "rate")

    def spf(self) -> Iterator[Row]:
        """SPF for HELO and MAIL FROM, both with a result of pass."""
        self._say("SPF")
        with ExitStack() as stack:
            peer = stack.enter_context(PyspfMilter(self._fresh(), self._server, self._names.address))
            ours = {engine: stack.enter_context(self._spf(engine)) for engine in ENGINES}
            self._must_pass(peer, *ours.values())
            for size in messages.SIZES:
                self._say(f" {size}")
                theirs, *found = self._rounds(*(self._send(server, size) for server in (peer, *ours.values())))
                for engine, measured in zip(ours, found, strict=True):
                    yield from _rows(f"SPF ({engine}), {size}", Pair(theirs, measured), _promised(engine, 4))

    def workers(self) -> Iterator[Row]:
        """One worker and two, and the peers: servers and generator all on both cores, so they compete."""
        noop = NoopPymilter(self._fresh(), self._both)
        yield from self._workers("no-op", noop, self._noop)
        spf = PyspfMilter(self._fresh(), self._both, self._names.address)
        yield from self._workers("SPF", spf, self._spf)

    def _workers(
        self, name: str, peer: MilterServer, ours: Callable[[Engine, int, Sequence[int]], Ours]
    ) -> Iterator[Row]:
        self._say(f"{name}, all on both cores")
        with ExitStack() as stack:
            stack.enter_context(peer)
            servers = [stack.enter_context(ours(engine, count, self._both)) for engine in ENGINES for count in (1, 2)]
            theirs, *found = self._rounds(*(self._send(server, both_cores=True) for server in (peer, *servers)))
        for engine, one, two in zip(ENGINES, found[::2], found[1::2], strict=True):
            what = f"{name} ({engine})"
            yield Pair(theirs, one).row(f"{what}, one worker on both cores", "msg/s", "rate")
            yield Pair(theirs, two).row(f"{what}, two workers on both cores", "msg/s", "rate")
            grown = tuple(b / a for a, b in zip(rates(one), rates(two), strict=True))
            yield Row(f"{what}, two workers over one", "", (), grown, Target("ours", ">=", 1.7))

    def postfix(self) -> Iterator[Row]:
        """The same through real Postfixes, which throw the mail away: what is left of their speed."""
        self._say("through Postfix")
        try:
            with self._milters_for_postfix() as paths, Space() as space:
                relays = Relays(space, paths)
                found = self._through(relays, list(paths))
        except LabError as error:
            raise BenchError(f"no Postfix: {error}") from None
        bare = found["bare"]
        yield Row("through Postfix, no milter", "msg/s", (), bare)
        for engine in ENGINES:
            noop, spf = found[f"noop {engine}"], found[f"spf {engine}"]
            yield Row(f"through Postfix, no-op ({engine})", "msg/s", found["pymilter"], noop)
            yield Row(f"through Postfix, SPF ({engine})", "msg/s", found["pyspf"], spf)
            share = tuple(b / a for a, b in zip(noop, spf, strict=True))
            yield Row(f"SPF over no-op ({engine})", "", (), share, Target("ours", ">=", 0.85))

    @contextmanager
    def _milters_for_postfix(self) -> Iterator[Mapping[str, Path | None]]:
        """Give the sockets of all milters, where Postfix's user may go."""
        with TemporaryDirectory(prefix="vaglio-bench-") as name, ExitStack() as stack:
            home = Path(name)
            home.chmod(0o755)
            address = self._names.address
            servers: dict[str, MilterServer] = {
                "pymilter": NoopPymilter(home / "pymilter", self._both),
                "pyspf": PyspfMilter(home / "pyspf", self._both, address),
            }
            for engine in ENGINES:
                servers[f"noop {engine}"] = Noop(home / f"noop-{engine}", self._both, engine)
                servers[f"spf {engine}"] = Spf(home / f"spf-{engine}", self._both, engine, nameserver=address)
            for server in servers.values():
                stack.enter_context(server)
            self._must_pass(*(server for name, server in servers.items() if "spf" in name))
            yield {"bare": None, **{name: server.path for name, server in servers.items()}}

    def _through(self, relays: Relays, names: Sequence[str]) -> Mapping[str, tuple[float, ...]]:
        """Return the rates of all, taken in turns; the first turn is not counted, since Postfix starts processes."""
        turns = []
        for number in range(self.lengths.runs + 1):
            self._say(f"  run {number} of {self.lengths.runs}")
            turns.append([relays.rate(name, self._messages[SMALL], self._plan.mails) for name in names])
        return dict(zip(names, zip(*turns[1:], strict=True), strict=True))

    def memory(self) -> Iterator[Row]:
        """What a worker holds after many messages, and while many are under way."""
        for engine in ENGINES:
            yield from self._memory(engine)

    def _memory(self, engine: Engine) -> Iterator[Row]:
        plan = self._plan
        self._say(f"memory ({engine})")
        with self._spf(engine) as server:
            self._mixed(server, plan.few)
            few = memory(server.worker)
            self._mixed(server, plan.many - plan.few)
            many = memory(server.worker)
            spf = self._while_under_way(server)
        with self._bodies(engine) as server:
            bodies = self._while_under_way(server)
        what = f"memory ({engine})"
        yield Row(f"{what}, SPF, after {plan.few:,} messages (RSS)", "MiB", (), (few.rss / MIB,))
        most = Target("ours", "<=", 60)
        yield Row(f"{what}, SPF, after {plan.many:,} messages", "MiB", (), (many.rss / MIB,), most)
        yield Row(f"{what}, the same, shared pages divided (PSS)", "MiB", (), (many.pss / MIB,))
        yield Row(f"{what}, the second over the first", "", (), (many.rss / few.rss,), Target("ours", "<=", 1.05))
        most = Target("ours", "<=", 60 + 2 * IN_FLIGHT)
        yield Row(f"{what}, SPF, {IN_FLIGHT} messages of 1 MB under way", "MiB", (), (spf / MIB,), most)
        yield Row(f"{what}, bodies kept, {IN_FLIGHT} messages of 1 MB under way", "MiB", (), (bodies / MIB,), most)

    def _mixed(self, server: Ours, count: int) -> None:
        self._ask(server, PASSED, "-n", str(count), messages=str(self._messages["mixed"]))

    def _while_under_way(self, server: Ours) -> int:
        """Return the most that the worker held while many messages were under way, in bytes."""
        with in_flight(server.path, self._messages["1 MB"].read_bytes(), IN_FLIGHT):
            return max(self._look(server) for _ in range(5))

    def _look(self, server: Ours) -> int:
        time.sleep(0.2)  # what was sent last must have been taken in
        return memory(server.worker).rss

    def rows(self) -> Iterator[Row]:
        """Measure everything."""
        with self._names:
            self._helper = self._names.pid
            for part in (self.noop, self.spf, self.workers, self.postfix, self.memory):
                yield from part()


def _promised(engine: Engine, times: float) -> Target | None:
    """Return the target of the default engine; the other is measured for information."""
    return Target("ratio", ">=", times) if engine == "native" else None


def _rows(name: str, pair: Pair, target: Target | None) -> Iterator[Row]:
    yield pair.row(name, "msg/s", "rate", target)
    yield pair.row(f"{name}, median latency", "ms", "p50")
    yield pair.row(f"{name}, processor time", "us/msg", "cpu")


def _make(quick: bool, generator: Generator, directory: Path, say: Say) -> Bench:
    return Bench(QUICK if quick else FULL, generator, directory, say)


PEERS = ("python3-milter", "pyspf-milter")

SUBJECT = Subject(
    "milters", "pymilter and pyspf-milter", "the other", (*PEERS, "postfix"), _make, generator=MILTER,
    title="Vaglio's milters",
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(runs.main(SUBJECT))
