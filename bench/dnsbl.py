"""vaglio-dnsbl beside Debian's postfwd2 and policyd-weight, and beside vaglio-greylist: scripts/bench dnsbl.

All ask the same name server on the loopback about the same eight lists. What is measured, and under which conditions,
is told in docs/performance.md; how, in the modules beside this one.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from bench import runs
from bench.dnsblservers import Dnsbl, PolicydWeight, Postfwd
from bench.generator import Generator, Measured
from bench.nameserver import LISTED, SILENT, ZONES, NameServer
from bench.processes import family, memory
from bench.report import Row, Target
from bench.runs import Lengths, Pair, Runs, Say, Subject, rates
from bench.servers import BenchError, Server, Vaglio

PASS, REFUSE = "DUNNO", "554"
PARTNER = "partner.example.net"
ONE_CLIENT = ("--set", "client_address=192.0.2.25", "--set", f"client_name=mail.{PARTNER}")
SAME_PORT = ("--set", "client_port=40025")  # else postfwd2, which looks at all attributes, never knows a request again
STRETCH = 100_000
"""More clients than any run asks about."""
LOOKUP_TIMEOUT = 3.0
"""Seconds: the default of dnsbl.lookup_timeout."""
MARGIN = 0.2
"""Seconds that an answer may take beyond it."""
SUSPENSION = 30.0
"""Seconds within which the silent list must be suspended."""


@dataclass(frozen=True, slots=True)
class Plan(Lengths):
    """How much is measured."""

    known: int
    """Clients of the rows "known clients": no more than policyd-weight remembers."""
    many: int
    """Clients that are asked about once, for the memory."""


FULL = Plan(5, 3.0, 0.5, 500, 1_000_000)
QUICK = Plan(3, 1.0, 0.2, 500, 50_000)


class Bench(Runs):
    """The measurements, one method each."""

    def __init__(self, plan: Plan, generator: Generator, directory: Path, say: Say) -> None:
        super().__init__(plan, generator, directory, say)
        self._plan = plan
        self._names = NameServer(self._load)
        self._stretches = count(1)
        self._known: list[Measured] = []

    # --- tools ---

    def _ours(self, zones: Sequence[str] = ZONES) -> Dnsbl:
        return Dnsbl(self._fresh(), self._server, self._names.address, zones)

    def _postfwd(self) -> Postfwd:
        return Postfwd(self._server, self._names.address)

    def _policyd_weight(self, lists_only: bool) -> PolicydWeight:
        return PolicydWeight(self._server, self._names.address, lists_only)

    def _new(self) -> tuple[str, ...]:
        """Return the options for clients that nobody was asked about before."""
        return ("--first-new", str(next(self._stretches) * STRETCH))

    # --- rows ---

    def known(self) -> Iterator[Row]:
        """Clients whose answers are in the caches, and such as nobody is asked about."""
        plan = self._plan
        self._say(f"known clients ({plan.known:,}), and exempt ones")
        again = ("-T", str(plan.known), "-R", "1", *SAME_PORT)
        private, listed = (("--set", f"client_address={address}") for address in ("10.1.2.3", LISTED))
        with (
            Vaglio(self._fresh(), self._server, listed=PARTNER) as greylist,
            self._postfwd() as postfwd,
            self._policyd_weight(lists_only=False) as weight,
            self._ours() as ours,
        ):
            for server in (postfwd, weight, ours):
                self._ask(server, PASS, "-T", str(plan.known), "--fill", *SAME_PORT)
            self._ask(ours, REFUSE, *listed, "-n", "10")
            white, fwd, weighed, known, exempt, refused = self._rounds(
                lambda: self._timed(greylist, PASS, *ONE_CLIENT),
                lambda: self._timed(postfwd, PASS, *again),
                lambda: self._timed(weight, PASS, *again),
                lambda: self._timed(ours, PASS, *again),
                lambda: self._timed(ours, PASS, *private),
                lambda: self._timed(ours, REFUSE, *listed),
            )
        beside = "vaglio-greylist, whitelisted client"
        yield from _beside("known clients", beside, Pair(white, known), 0.5)
        yield from _beside("a private client", beside, Pair(white, exempt), 1)
        yield from _beside("known clients", "postfwd2", Pair(fwd, known))
        yield from _beside("known clients", "policyd-weight", Pair(weighed, known))
        yield Row("a listed client, refused", "req/s", (), rates(refused))
        yield Row("a listed client, refused, processor time", "us/req", (), tuple(run.cpu for run in refused))
        self._known = known

    def new(self) -> Iterator[Row]:
        """Clients that nobody was asked about before: each takes eight questions."""
        self._say("new clients")
        with (
            self._postfwd() as postfwd,
            self._policyd_weight(lists_only=False) as weight,
            self._policyd_weight(lists_only=True) as only,
            self._ours() as ours,
        ):
            servers: tuple[Server, ...] = (postfwd, weight, only, ours)
            found = self._rounds(*(lambda server=server: self._timed(server, PASS, *self._new()) for server in servers))
        fwd, weighed, lists, our = found
        yield from _beside("new clients", "postfwd2", Pair(fwd, our), 4)
        yield from _beside("new clients", "policyd-weight", Pair(weighed, our), 3)
        yield from _beside("new clients", "policyd-weight, lists only", Pair(lists, our))
        for name, asking in (("postfwd2", fwd), ("policyd-weight", weighed)):
            pair = Pair(asking, self._known)
            yield pair.row(f"known clients, over new ones of {name}", "req/s", "rate", Target("ratio", ">=", 50))
        yield Pair(fwd, our).row("new clients, processors that the name server took (postfwd2)", "", "helper")

    def silent(self) -> Iterator[Row]:
        """One of the eight lists never answers. It must delay a little, and then not at all."""
        self._say("a silent list")
        with self._ours((*ZONES[:-1], SILENT)) as server, self._ours(ZONES[:-1]) as without:
            late = self._ask(server, PASS, "-n", "20", *self._new())
            slowest = Target("ours", "<=", (LOOKUP_TIMEOUT + MARGIN) * 1000)
            yield Row("a silent list, slowest of the first 20 answers", "ms", (), (late.p99,), slowest)
            self._suspended(server)
            pair = self._in_turns(
                lambda: self._timed(without, PASS, *self._new()), lambda: self._timed(server, PASS, *self._new())
            )
        yield Row("new clients, seven lists", "req/s", (), rates(pair.peer))
        yield Row("with an eighth that is suspended", "req/s", (), rates(pair.ours))
        quotients = tuple(b.cpu / a.cpu for a, b in zip(*pair, strict=True))
        yield Row("its processor time over that of seven", "", (), quotients, Target("ours", "<=", 1.1))
        yield Row("its 99th percentile", "ms", (), tuple(run.p99 for run in pair.ours))

    def _suspended(self, server: Dnsbl) -> None:
        """Wait until the log tells of it, with a few mails in between."""
        limit = time.perf_counter() + SUSPENSION
        while f"the list {SILENT} is suspended" not in (server.directory / "log").read_text():
            if time.perf_counter() > limit:
                raise BenchError(f"the silent list was not suspended within {SUSPENSION:g} s:\n{server.log_end()}")
            self._ask(server, PASS, "-n", "10", *self._new())
            time.sleep(0.5)

    def many(self) -> Iterator[Row]:
        """Memory after so many different clients, and whether it still grows."""
        most = self._plan.many
        few = most // 5
        self._say(f"{most:,} different clients")
        with self._ours() as server:
            self._ask(server, PASS, "-T", str(few), "--fill")
            before = memory(family(server.pid)[1])
            self._ask(server, PASS, "-n", str(most - few), "--first-new", str(few))
            after = memory(family(server.pid)[1])
        yield Row(f"resident memory (RSS), after {few:,} clients", "MiB", (), (before.rss / 2**20,))
        yield Row(f"the same after {most:,}", "MiB", (), (after.rss / 2**20,), Target("ours", "<=", 60))
        yield Row("the same, shared pages divided (PSS)", "MiB", (), (after.pss / 2**20,))

    def rows(self) -> Iterator[Row]:
        """Measure everything."""
        with ExitStack() as stack:
            self._helper = stack.enter_context(self._names).pid
            for part in (self.known, self.new, self.silent, self.many):
                yield from part()


def _beside(name: str, other: str, pair: Pair, times: float = 0.0) -> Iterator[Row]:
    """Return rate, latency and processor time beside the ``other``; ``times`` its rate is wanted (0: nothing is)."""
    yield pair.row(f"{name} ({other})", "req/s", "rate", Target("ratio", ">=", times) if times else None)
    yield pair.row(f"{name}, median latency ({other})", "ms", "p50")
    yield pair.row(f"{name}, processor time ({other})", "us/req", "cpu")


def _make(quick: bool, generator: Generator, directory: Path, say: Say) -> Bench:
    if os.geteuid() != 0:
        raise BenchError("root is needed: policyd-weight starts as root only, and asks name servers at port 53 only")
    return Bench(QUICK if quick else FULL, generator, directory, say)


SUBJECT = Subject("dnsbl", "postfwd2 and policyd-weight", "the other", ("postfwd", "policyd-weight"), _make)

if __name__ == "__main__":
    sys.exit(runs.main(SUBJECT))
