"""What the benchmarks of milters do alike: messages sent and results looked at, one worker and two, mail through
Postfix, memory. Which milters, and what is promised of them, is in milters.py and dkim.py.
"""

from __future__ import annotations

import subprocess
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench import messages
from bench.generator import Generator, Measured
from bench.inflight import in_flight
from bench.milterservers import MilterServer, Ours
from bench.nameserver import NameServer
from bench.processes import memory, used_seconds
from bench.report import Row, Target
from bench.runs import Lengths, Pair, Runs, Say, Step, at_the_same_cost, rates
from bench.servers import BenchError
from bench.throughpostfix import Relays
from lab.space import Space
from lab.waiting import LabError

PASSED = "continue accept"
IN_FLIGHT = 50
"""Connections with a message of 1 MB each."""
MIB = 2**20
SMALL, MEDIUM, LARGE = messages.SIZES


@dataclass(frozen=True, slots=True)
class Plan(Lengths):
    """How much is measured."""

    few: int
    many: int
    """Messages of mixed size after which a worker's memory is looked at."""
    mails: int
    """Messages of a run through Postfix."""


FULL = Plan(5, 3.0, 0.5, 10_000, 100_000, 4000)
QUICK = Plan(2, 0.7, 0.2, 1000, 5000, 300)

Part = Callable[[], Iterator[Row]]


class Held(NamedTuple):
    """What a worker held, in bytes: resident after few messages and after many, then with shared pages divided, and the
    most while many were under way.
    """

    few: int
    many: int
    divided: int
    under_way: int


class MilterRuns(Runs):
    """The tools; ``texts`` are TXT records that the name server has besides its own."""

    def __init__(
        self, plan: Plan, generator: Generator, directory: Path, say: Say, texts: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(plan, generator, directory, say)
        self._plan = plan
        self._names = NameServer(self._load, texts)
        self._both = self._server + self._load

    @abstractmethod
    def _parts(self) -> Sequence[Part]:
        """Return what is measured, in this order."""

    def rows(self) -> Iterator[Row]:
        """Measure everything."""
        with self._names:
            self._helper = self._names.pid
            for part in self._parts():
                yield from part()

    # --- messages ---

    def _sending(self, server: MilterServer, message: Path, both_cores: bool = False) -> Step:
        """Return a step that sends it a message again and again."""
        return lambda: self._timed(server, PASSED, both_cores=both_cores, messages=str(message))

    def _must_say(self, server: MilterServer, message: Path, *words: str) -> None:
        must_say(self.generator, server, message, *words)

    # --- one worker and two ---

    def _on_both(
        self, peers: Sequence[MilterServer], ours: Sequence[Ours], message: Path, *words: str
    ) -> tuple[list[Measured], list[list[Measured]]]:
        """Return the runs of the peer, of which there is one or none, and of each of ours: all of them are on both
        cores, as is the generator.
        """
        with ExitStack() as stack:
            servers = [stack.enter_context(server) for server in (*peers, *ours)]
            for server in servers:
                self._must_say(server, message, *words)
            found = self._rounds(*(self._sending(server, message, both_cores=True) for server in servers))
        return found[0] if peers else [], found[len(peers) :]

    # --- through Postfix ---

    def _through_postfix(
        self, servers: Mapping[str, MilterServer], message: Path, words: Mapping[str, Sequence[str]]
    ) -> Mapping[str, list[Measured]]:
        """Return what was measured of a Postfix with each of the milters, and of one without, which is "bare": rates,
        and processor time of the milter. ``words`` are what a milter must say of the message.
        """
        try:
            with ExitStack() as stack:
                for name, server in servers.items():
                    self._must_say(stack.enter_context(server), message, *words.get(name, ()))
                own: dict[str, Path | None] = {name: server.path for name, server in servers.items()}
                paths = {"bare": None, **own}
                relays = Relays(stack.enter_context(Space()), paths)
                return self._in_turns_through(relays, {"bare": None, **servers}, message)
        except LabError as error:
            raise BenchError(f"no Postfix: {error}") from None

    def _in_turns_through(
        self, relays: Relays, servers: Mapping[str, MilterServer | None], message: Path
    ) -> Mapping[str, list[Measured]]:
        """Take turns; the first one is not counted, since Postfix starts processes."""
        turns = []
        for number in range(self.lengths.runs + 1):
            self._say(f"  run {number} of {self.lengths.runs}")
            turns.append([self._once_through(relays, name, server, message) for name, server in servers.items()])
        return {name: list(runs) for name, runs in zip(servers, zip(*turns[1:], strict=True), strict=True)}

    def _once_through(self, relays: Relays, name: str, server: MilterServer | None, message: Path) -> Measured:
        before, count = used_seconds(server.pid) if server else 0.0, self._plan.mails
        rate = relays.rate(name, message, count)
        used = used_seconds(server.pid) - before if server else 0.0
        return Measured(rate, 0.0, 0.0, used / count * 1e6, 0.0)

    # --- memory ---

    def _held(self, server: Ours, mixed: Path, large: Path) -> Held:
        """Return what its worker holds after messages of mixed size, and while large ones are under way."""
        plan = self._plan
        with server:
            self._send_mixed(server, mixed, plan.few)
            few = memory(server.worker)
            self._send_mixed(server, mixed, plan.many - plan.few)
            many = memory(server.worker)
            return Held(few.rss, many.rss, many.pss, self._while_under_way(server, large))

    def _send_mixed(self, server: Ours, mixed: Path, count: int) -> None:
        self._ask(server, PASSED, "-n", str(count), messages=str(mixed))

    def _while_under_way(self, server: Ours, large: Path) -> int:
        """Return the most that the worker held while many messages were under way, in bytes."""
        with in_flight(server.path, large.read_bytes(), IN_FLIGHT):
            return max(self._look(server) for _ in range(5))

    def _look(self, server: Ours) -> int:
        time.sleep(0.2)  # what was sent last must have been taken in
        return memory(server.worker).rss

    def _memory_rows(self, what: str, held: Held) -> Iterator[Row]:
        plan = self._plan
        yield Row(f"{what}, after {plan.few:,} messages (RSS)", "MiB", (), (held.few / MIB,))
        yield Row(f"{what}, after {plan.many:,} messages", "MiB", (), (held.many / MIB,), Target("ours", "<=", 60))
        yield Row(f"{what}, the same, shared pages divided (PSS)", "MiB", (), (held.divided / MIB,))
        growth = held.many / held.few
        yield Row(f"{what}, the second over the first", "", (), (growth,), Target("ours", "<=", 1.05))
        yield under_way_row(what, held.under_way)


def must_say(generator: Generator, server: MilterServer, message: Path, *words: str) -> None:
    """Raise BenchError unless all the words are in what it would have done with the message: another result would be
    another measurement.
    """
    command = (*generator.command, "--dump", "-n", "1", server.address, str(message))
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    if missing := [word for word in words if word not in said]:
        raise BenchError(f"{server.name} did not say {', '.join(missing)}: {said}\n{server.log_end()}")


def under_way_row(what: str, held: int) -> Row:
    """Return what a worker may hold while messages of 1 MB are under way: twice what they are, at most."""
    most = Target("ours", "<=", 60 + 2 * IN_FLIGHT)
    return Row(f"{what}, {IN_FLIGHT} messages of 1 MB under way", "MiB", (), (held / MIB,), most)


def rows_of(name: str, pair: Pair, target: Target | None = None) -> Iterator[Row]:
    """Return rate, latency and processor time; the target is the rate's."""
    yield pair.row(name, "msg/s", "rate", target)
    yield pair.row(f"{name}, median latency", "ms", "p50")
    yield pair.row(f"{name}, processor time", "us/msg", "cpu")


def worker_rows(
    what: str, theirs: Sequence[Measured], one: Sequence[Measured], two: Sequence[Measured]
) -> Iterator[Row]:
    """Return the rows about one worker and two, both beside the one process of the peer."""
    yield Pair(theirs, one).row(f"{what}, one worker on both cores", "msg/s", "rate")
    yield Pair(theirs, two).row(f"{what}, two workers on both cores", "msg/s", "rate")
    grown = tuple(b / a for a, b in zip(rates(one), rates(two), strict=True))
    yield Row(f"{what}, two workers over one", "", (), grown, Target("ours", ">=", 1.7))
    yield Row(f"{what}, two workers over one, what these cores have at the same cost", "", (), at_the_same_cost(one))
