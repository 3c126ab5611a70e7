"""vaglio-ratelimit beside Debian's policyd-rate-limit, in one run, on one machine: scripts/bench ratelimit.

Every request is a message of its own of a user that has logged in. Afterwards the stores must have counted as many as
were answered. What is measured, and under which conditions, is told in docs/performance.md; how, in the modules beside
this one.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from bench import fill, runs
from bench.fillusage import BUSY, USUAL, Habit
from bench.fillusage import fill as fill_usage
from bench.generator import Generator, Measured
from bench.processes import family, memory
from bench.ratelimitservers import RAISED, TIGHT, PolicydRateLimit, Ratelimit, per_user, shipped
from bench.report import Row, Target
from bench.runs import Lengths, Pair, Runs, Say, Subject, rates
from bench.servers import BenchError

Limiter = Ratelimit | PolicydRateLimit

NETWORKS = ("-T", "4", "-R", "1")
"""Each user sends from four client networks, by chance."""
USERS = 1000
HIJACKED = 10
"""Users that send without end."""
WARM = 2000
"""Requests to a server before it is measured."""


@dataclass(frozen=True, slots=True)
class Plan(Lengths):
    """How much is measured."""

    many: int
    """Users in the store, to see whether more of them cost more."""


FULL = Plan(5, 3.0, 0.0, 1_000_000)  # no warm-up of the generator's: all answers must be known
QUICK = Plan(3, 1.0, 0.0, 50_000)


class Bench(Runs):
    """The measurements, one method each."""

    def __init__(self, plan: Plan, generator: Generator, directory: Path, say: Say) -> None:
        super().__init__(plan, generator, directory, say)
        self._plan = plan
        self._seeds = count(1)
        self._answers: Counter[Limiter] = Counter()

    # --- tools ---

    def _mail(self, server: Limiter, users: int = USERS, both_cores: bool = False) -> Measured:
        """Return a measured run of mail that is let through."""
        found = self._timed(server, server.passed, *self._options(server, users), both_cores=both_cores)
        self._answers[server] += found.answers
        return found

    def _warm(self, server: Limiter, users: int = USERS) -> None:
        found = self._ask(server, server.passed, "-n", str(WARM), *self._options(server, users))
        self._answers[server] += found.answers

    def _options(self, server: Limiter, users: int) -> tuple[str, ...]:
        """Return the options for mail of so many users by chance, others each time."""
        who = ("--sasl", "1", "--users", str(users), "--seed", str(next(self._seeds)))
        return (*who, *NETWORKS, "--state", server.stage)

    def _lost(self, server: Limiter) -> int:
        """Return how many answers were given for messages that were not counted."""
        return self._answers[server] - server.counted()

    def _all_counted(self, *servers: Limiter) -> None:
        for server in servers:
            if lost := self._lost(server):
                raise BenchError(f"{server.name} counted {lost} messages less than it answered: no figure holds")

    def _filled(self, users: int, habit: Habit) -> Path:
        self._say(f"filling a store with {users:,} users")
        directory = self._fresh()
        directory.mkdir()
        fill_usage(directory, users, habit)
        return directory

    # --- rows ---

    def passing(self) -> Iterator[Row]:
        """Mail within the limits: counted, and let through."""
        busy = self._filled(USERS, BUSY)
        self._say(f"mail of {USERS:,} users")
        with (
            PolicydRateLimit(self._fresh(), self._server, RAISED) as peer,
            Ratelimit(self._fresh(), self._server, per_user(RAISED)) as ours,
            Ratelimit(self._fresh(), self._server, shipped()) as rules,
            Ratelimit(busy, self._server, shipped()) as long,
        ):
            servers: tuple[Limiter, ...] = (peer, ours, rules, long)
            for server in servers:
                self._warm(server)
            found = self._rounds(*(lambda server=server: self._mail(server) for server in servers))
            self._all_counted(peer, ours, rules)
            lost = Row("answers less messages counted", "", (self._lost(peer),), (self._lost(ours),))
        theirs, two, all_rules, longest = found
        yield from _rows("one rule, two windows", Pair(theirs, two), 20)
        yield lost
        yield from _rows("the rules that ship", Pair(theirs, all_rules))
        yield from _rows("the same, windows at their longest", Pair(theirs, longest))

    def refused(self) -> Iterator[Row]:
        """A few users beyond their limits: nearly all is refused, by each server in its own way."""
        self._say("users beyond their limits")
        with (
            PolicydRateLimit(self._fresh(), self._server, TIGHT) as peer,
            Ratelimit(self._fresh(), self._server, per_user(TIGHT)) as ours,
        ):
            for server in (peer, ours):
                self._ask(server, _either(server), "-n", str(WARM), *self._options(server, HIJACKED))
            pair = self._in_turns(lambda: self._beyond(peer), lambda: self._beyond(ours))
        yield from _rows("beyond the limit", pair)

    def _beyond(self, server: Limiter) -> Measured:
        return self._timed(server, _either(server), *self._options(server, HIJACKED))

    def stored(self) -> Iterator[Row]:
        """What grows with the number of users, and what should not."""
        most = self._plan.many
        few, many = self._filled(USERS, USUAL), self._filled(most, USUAL)
        self._say(f"mail, {USERS:,} and {most:,} users stored")
        with Ratelimit(few, self._server, shipped()) as small, Ratelimit(many, self._server, shipped()) as large:
            self._warm(small)
            self._warm(large, most)
            pair = self._in_turns(lambda: self._mail(small), lambda: self._mail(large, most))
            used = memory(family(large.pid)[1])
        yield from _growth(pair, f"{USERS:,} users stored", f"{most:,} users stored", Target("ours", ">=", 0.8))
        yield Row("the second's 99th percentile", "ms", (), tuple(run.p99 for run in pair.ours))
        name = f"resident memory (RSS), {most:,} users stored"
        yield Row(name, "MiB", (), (used.rss / 2**20,), Target("ours", "<=", 60))
        yield Row("the same, shared pages divided (PSS)", "MiB", (), (used.pss / 2**20,))
        yield Row("disk", "bytes/user", (), (large.disk() / fill.rows(large.database, "usage"),))

    def workers(self) -> Iterator[Row]:
        """One worker and two, the same users: server and generator both on both cores, so they compete."""
        self._say("two workers and one, all on both cores")
        both = self._server + self._load
        with (
            Ratelimit(self._fresh(), both, shipped()) as one,
            Ratelimit(self._fresh(), both, shipped(), workers=2) as two,
        ):
            self._warm(one)
            self._warm(two, HIJACKED)
            pair = self._in_turns(lambda: self._mail(one, both_cores=True), lambda: self._mail(two, both_cores=True))
            lost = self._lost(two)
        yield from _growth(pair, "one worker on both cores", "two workers on both cores")
        yield Row("answers less messages counted, two workers", "", (), (lost,), Target("ours", "<=", 0))

    def rows(self) -> Iterator[Row]:
        """Measure everything."""
        for part in (self.passing, self.refused, self.stored, self.workers):
            yield from part()


def _either(server: Limiter) -> str:
    return f"{server.passed} {server.refused}"


def _rows(name: str, pair: Pair, times: float = 0.0) -> Iterator[Row]:
    """Return rate, latencies and processor time of a pair; ``times`` the peer's rate is wanted (0: nothing is)."""
    yield pair.row(name, "req/s", "rate", Target("ratio", ">=", times) if times else None)
    yield pair.row(f"{name}, median latency", "ms", "p50")
    yield pair.row(f"{name}, 99th percentile", "ms", "p99")
    yield pair.row(f"{name}, processor time", "us/req", "cpu")


def _growth(pair: Pair, less: str, more: str, target: Target | None = None) -> Iterator[Row]:
    """Return the rates of two configurations of ours, and the second's over the first's, run by run."""
    before, after = rates(pair.peer), rates(pair.ours)
    yield Row(less, "req/s", (), before)
    yield Row(more, "req/s", (), after)
    yield Row("the second over the first", "", (), tuple(b / a for a, b in zip(before, after, strict=True)), target)
    quotients = tuple(b.cpu / a.cpu for a, b in zip(*pair, strict=True))
    yield Row("its processor time over that of the first", "", (), quotients)


def _make(quick: bool, generator: Generator, directory: Path, say: Say) -> Bench:
    return Bench(QUICK if quick else FULL, generator, directory, say)


SUBJECT = Subject("ratelimit", "policyd-rate-limit", "policyd-rate-limit", ("policyd-rate-limit",), _make)

if __name__ == "__main__":
    sys.exit(runs.main(SUBJECT))
