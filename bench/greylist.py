"""vaglio-greylist beside Debian's postgrey, in one run, on one machine: scripts/bench greylist.

The server has one core and the generator another; servers take turns, and of the runs the median counts. What is
measured, and under which conditions, is told in docs/performance.md; how, in the modules beside this one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import fill, runs
from bench.generator import ANONYMOUS, Generator, Measured
from bench.processes import Memory, family, memory
from bench.report import Row, Target
from bench.runs import Lengths, Pair, Runs, Say, Subject, at_the_same_cost, rates
from bench.servers import Postgrey, Server, Vaglio

DEFER, PREPEND, PASS = "DEFER_IF_PERMIT", "PREPEND", "DUNNO"
PARTNER = "partner.example.net"
ONE_CLIENT = ("--set", "client_address=192.0.2.25", "--set", f"client_name=mail.{PARTNER}")
AGED = 2 * 3600  # seconds: what was last seen an hour ago is written anew


@dataclass(frozen=True, slots=True)
class Plan(Lengths):
    """How much is measured."""

    repeated: int
    """Triplets of the row "known"."""
    few: int
    many: int
    """Triplets stored, to see whether more of them cost more."""
    peer: int
    """Triplets in postgrey's store when its size and start are measured."""


FULL = Plan(5, 3.0, 0.5, 5000, 1000, 1_000_000, 100_000)
QUICK = Plan(3, 1.0, 0.2, 1000, 1000, 50_000, 5000)


class Bench(Runs):
    """The measurements, one method each."""

    def __init__(self, plan: Plan, generator: Generator, directory: Path, say: Say) -> None:
        super().__init__(plan, generator, directory, say)
        self._plan = plan

    def _make_known(self, server: Server, triplets: int, *options: str) -> None:
        """Have each of so many triplets deferred, wait out the delay of 1 s, and try again."""
        wanted = ("-T", str(triplets), "--fill", *options)
        self._ask(server, DEFER, *wanted)
        time.sleep(2.1)
        self._ask(server, PREPEND, *wanted)

    # --- rows ---

    def new(self) -> Iterator[Row]:
        """First contacts: each run begins with an empty store. What they leave on the disk is measured with them."""
        self._say("new triplets")
        peers: list[Postgrey] = []
        ours: list[Vaglio] = []

        def postgrey() -> Measured:
            peers.append(Postgrey(self._fresh(), self._server))
            with peers[-1] as server:
                return self._timed(server, DEFER, *ANONYMOUS)

        def vaglio() -> Measured:
            ours.append(Vaglio(self._fresh(), self._server))
            with ours[-1] as server:
                return self._timed(server, DEFER, *ANONYMOUS)

        yield from _rows("new triplets", self._in_turns(postgrey, vaglio), 8, 0.2)
        made = [server.disk() / fill.rows(server.database) for server in ours]
        yield Row("disk, of these new triplets", "bytes/triplet", (), tuple(made))
        yield Row("journal, of these deferrals", "bytes/deferral", (), tuple(map(_journal, ours)))

    def known(self) -> Iterator[Row]:
        """Triplets that passed before; nobody is auto-whitelisted."""
        self._say(f"known triplets ({self._plan.repeated:,})")
        again = ("-T", str(self._plan.repeated), "-R", "1", *ANONYMOUS)
        with (
            Postgrey(self._fresh(), self._server, delay=1) as peer,
            Vaglio(self._fresh(), self._server, delay=1) as ours,
        ):
            for server in (peer, ours):
                self._make_known(server, self._plan.repeated, *ANONYMOUS)
            pair = self._in_turns(lambda: self._timed(peer, PASS, *again), lambda: self._timed(ours, PASS, *again))
        yield from _rows("known triplets", pair, 10)

    def listed(self) -> Iterator[Row]:
        """A client whose name is in the admin's list, behind those that Debian ships."""
        self._say("a whitelisted client")
        with (
            Postgrey(self._fresh(), self._server, listed=PARTNER) as peer,
            Vaglio(self._fresh(), self._server, listed=PARTNER) as ours,
        ):
            pair = self._in_turns(
                lambda: self._timed(peer, PASS, *ONE_CLIENT), lambda: self._timed(ours, PASS, *ONE_CLIENT)
            )
        yield from _rows("whitelisted client", pair, 5)

    def trusted(self) -> Iterator[Row]:
        """A client that one delivery has put on the servers' own list (five by default)."""
        self._say("an auto-whitelisted client")
        with (
            Postgrey(self._fresh(), self._server, delay=1, auto_whitelist=1) as peer,
            Vaglio(self._fresh(), self._server, delay=1, auto_whitelist=1) as ours,
        ):
            for server in (peer, ours):
                self._make_known(server, 1, *ONE_CLIENT)
            pair = self._in_turns(
                lambda: self._timed(peer, PASS, *ONE_CLIENT), lambda: self._timed(ours, PASS, *ONE_CLIENT)
            )
        yield from _rows("auto-whitelisted client", pair, 5)

    def workers(self) -> Iterator[Row]:
        """One worker and two, who pass all: server and generator both on both cores, so they compete."""
        self._say("two workers and one, all on both cores")
        both, known = self._server + self._load, ("-T", str(self._plan.repeated), "-R", "1", *ANONYMOUS)
        with (
            Vaglio(self._fresh(), both, listed=PARTNER, delay=1) as one,
            Vaglio(self._fresh(), both, listed=PARTNER, delay=1, workers=2) as two,
        ):
            for server in (one, two):
                self._make_known(server, self._plan.repeated, *ANONYMOUS)
            for name, options in (("known triplets", known), ("whitelisted client", ONE_CLIENT)):
                pair = self._in_turns(*(
                    partial(self._timed, server, PASS, *options, both_cores=True) for server in (one, two)
                ))  # fmt: skip
                yield from _growth(pair, f"{name}, one worker on both cores", f"{name}, two workers on both cores", 1.5)
                yield Row(f"{name}, what these cores have at the same cost", "", (), at_the_same_cost(pair.peer))

    def stored(self) -> Iterator[Row]:
        """What grows with the number of stored triplets, and what should not."""
        plan = self._plan
        few, many = self._fresh(), self._fresh()
        for directory, triplets in ((few, plan.few), (many, plan.many)):
            self._say(f"filling a store with {triplets:,} triplets")
            directory.mkdir()
            fill.fill(directory, triplets)
        pair, used = self._few_and_many(few, many)
        yield from _growth(pair, f"known, {plan.few:,} stored", f"known, {plan.many:,} stored", 0.8)
        most = Target("ours", "<=", 60)
        yield Row(f"resident memory (RSS), {plan.many:,} stored", "MiB", (), (used.rss / 2**20,), most)
        yield Row("the same, shared pages divided (PSS)", "MiB", (), (used.pss / 2**20,))
        yield from self._start_and_disk(many)
        yield from self._stale(many)

    def _few_and_many(self, few: Path, many: Path) -> tuple[Pair, Memory]:
        plan = self._plan
        self._say(f"known triplets, {plan.few:,} and {plan.many:,} stored")
        with Vaglio(few, self._server) as small, Vaglio(many, self._server) as large:
            pair = self._in_turns(
                lambda: self._timed(small, PASS, "-T", str(plan.few), "-R", "1", *ANONYMOUS),
                lambda: self._timed(large, PASS, "-T", str(plan.many), "-R", "1", *ANONYMOUS),
            )
            return pair, memory(family(large.pid)[1])

    def _start_and_disk(self, many: Path) -> Iterator[Row]:
        plan = self._plan
        self._say(f"filling postgrey with {plan.peer:,} triplets")
        directory = self._fresh()
        with Postgrey(directory, self._server) as filled:
            self._ask(filled, DEFER, "-T", str(plan.peer), "--fill", *ANONYMOUS)
        peer, ours = Postgrey(directory, self._server), Vaglio(many, self._server)
        self._say("start to first answer")
        # The first start has caches to fill, and postgrey's log to read.
        starts = [(_start(peer), _start(ours)) for _ in range(plan.runs + 1)][1:]
        peers, our = zip(*starts, strict=True)
        what = f"{plan.many:,} stored (postgrey: {plan.peer:,})"
        yield Row(f"start to first answer, {what}", "s", peers, our, Target("ratio", "<=", 2))
        disk = (ours.disk() / fill.rows(ours.database),)
        yield Row(f"disk, {what}", "bytes/triplet", (peer.disk() / plan.peer,), disk, Target("ours", "<=", 200))
        for table, size in fill.table_bytes(ours.database).items():
            if table in ("triplets", "pools"):
                yield Row(f"of that, the table {table}", "bytes/triplet", (), (size / plan.many,))
        yield Row("all of it, with Berkeley DB's logs", "bytes/triplet", (peer.disk_with_logs() / plan.peer,), disk)

    def _stale(self, many: Path) -> Iterator[Row]:
        """Triplets last seen two hours ago: each is written anew, with its pool. The worst that can be known."""
        plan = self._plan
        self._say("known triplets that were not seen for two hours")
        server = Vaglio(many, self._server)
        fill.age(server.database, AGED)
        with server:
            stale = [
                self._timed(server, PASS, "-T", str(plan.many), "-R", "1", "--seed", str(number + 100), *ANONYMOUS)
                for number in range(plan.runs)
            ]
        yield Row(f"known, {plan.many:,} stored, all last seen {AGED // 3600} h ago", "req/s", (), rates(stale))

    def rows(self) -> Iterator[Row]:
        """Measure everything."""
        for part in (self.new, self.known, self.listed, self.trusted, self.workers, self.stored):
            yield from part()


def _rows(name: str, pair: Pair, times: float, share: float | None = None) -> Iterator[Row]:
    """Return rate, latencies and processor time of a pair; ``times`` the peer's rate, ``share`` of its p99 wanted."""
    yield pair.row(name, "req/s", "rate", Target("ratio", ">=", times))
    yield pair.row(f"{name}, median latency", "ms", "p50")
    yield pair.row(f"{name}, 99th percentile", "ms", "p99", Target("ratio", "<=", share) if share else None)
    yield pair.row(f"{name}, processor time", "us/req", "cpu")


def _growth(pair: Pair, less: str, more: str, bound: float) -> Iterator[Row]:
    """Return the rates of two configurations of ours, and the second's over the first's, run by run."""
    before, after = rates(pair.peer), rates(pair.ours)
    yield Row(less, "req/s", (), before)
    yield Row(more, "req/s", (), after)
    quotients = tuple(b / a for a, b in zip(before, after, strict=True))
    yield Row("the second over the first", "", (), quotients, Target("ours", ">=", bound))


def _start(server: Server) -> float:
    with server:
        return server.started


def _journal(server: Vaglio) -> float:
    file = server.directory / "journal.sqlite"
    return file.stat().st_size / fill.rows(file, "journal")


def _make(quick: bool, generator: Generator, directory: Path, say: Say) -> Bench:
    return Bench(QUICK if quick else FULL, generator, directory, say)


SUBJECT = Subject("greylist", "postgrey", "postgrey", ("postgrey",), _make)

if __name__ == "__main__":
    sys.exit(runs.main(SUBJECT))
