"""Our milters beside pymilter and Debian's pyspf-milter, in one run, on one machine: scripts/bench milters.

Both engines are measured, each with all three sizes of messages. What is measured, and under which conditions, is told
in docs/performance.md; how, in the modules beside this one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import dkim, messages, runs
from bench.generator import MILTER, Generator
from bench.milterruns import FULL, LARGE, QUICK, SMALL, MilterRuns, Part, Plan, rows_of, under_way_row, worker_rows
from bench.milterservers import ENGINES, Bodies, Engine, Inbound, MilterServer, Noop, NoopPymilter, PyspfMilter, Spf
from bench.report import Row, Target
from bench.runs import Pair, Say, Subject, open_directory, rates


class Bench(MilterRuns):
    """The measurements, one method each."""

    def __init__(self, plan: Plan, generator: Generator, directory: Path, say: Say) -> None:
        super().__init__(plan, generator, directory, say)
        self._messages = messages.write(directory / "messages")

    def _parts(self) -> Sequence[Part]:
        return self.noop, self.spf, self.workers, self.postfix, self.memory

    # --- servers ---

    def _noop(self, engine: Engine, workers: int = 1, cores: Sequence[int] = ()) -> Noop:
        return Noop(self._fresh(), cores or self._server, engine, workers)

    def _spf(self, engine: Engine, workers: int = 1, cores: Sequence[int] = ()) -> Spf:
        return Spf(self._fresh(), cores or self._server, engine, workers, self._names.address)

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
                servers: list[MilterServer] = [peer, bodiless, *ours.values()]
                steps = [self._sending(server, self._messages[size]) for server in servers]
                theirs, without, *found = self._rounds(*steps)
                for engine, measured in zip(ours, found, strict=True):
                    name = f"no-op ({engine}), {size}"
                    yield from rows_of(name, Pair(theirs, measured), _promised(engine, 1.5))
                    yield Pair(without, measured).row(f"{name}; the peer without bodies", "msg/s", "rate")

    def spf(self) -> Iterator[Row]:
        """SPF for HELO and MAIL FROM, both with a result of pass."""
        self._say("SPF")
        with ExitStack() as stack:
            peer = stack.enter_context(PyspfMilter(self._fresh(), self._server, self._names.address))
            ours = {engine: stack.enter_context(self._spf(engine)) for engine in ENGINES}
            servers: list[MilterServer] = [peer, *ours.values()]
            for server in servers:
                self._must_say(server, self._messages[SMALL], "spf=pass")
            for size in messages.SIZES:
                self._say(f" {size}")
                steps = [self._sending(server, self._messages[size]) for server in servers]
                theirs, *found = self._rounds(*steps)
                for engine, measured in zip(ours, found, strict=True):
                    yield from rows_of(f"SPF ({engine}), {size}", Pair(theirs, measured), _promised(engine, 4))

    def workers(self) -> Iterator[Row]:
        """One worker and two, and the peers: servers and generator all on both cores, so they compete."""
        both, numbers = self._both, [(engine, count) for engine in ENGINES for count in (1, 2)]
        self._say("no-op, all on both cores")
        noops = [self._noop(engine, count, both) for engine, count in numbers]
        theirs, found = self._on_both([NoopPymilter(self._fresh(), both)], noops, self._messages[SMALL])
        for engine, one, two in zip(ENGINES, found[::2], found[1::2], strict=True):
            yield from worker_rows(f"no-op ({engine})", theirs, one, two)
        self._say("SPF, all on both cores")
        spfs = [self._spf(engine, count, both) for engine, count in numbers]
        peer = PyspfMilter(self._fresh(), both, self._names.address)
        theirs, found = self._on_both([peer], spfs, self._messages[SMALL], "spf=pass")
        for engine, one, two in zip(ENGINES, found[::2], found[1::2], strict=True):
            yield from worker_rows(f"SPF ({engine})", theirs, one, two)
        self._say("the inbound chain, all on both cores")
        chains = [Inbound(self._fresh(), both, self._names.address, workers=count) for count in (1, 2)]
        _, (one, two) = self._on_both([], chains, self._messages[SMALL], "spf=pass", "X-Spam-Status")
        yield from worker_rows("inbound chain (native)", (), one, two)

    def postfix(self) -> Iterator[Row]:
        """The same through real Postfixes, which throw the mail away: what is left of their speed."""
        self._say("through Postfix")
        address, both = self._names.address, self._both
        with open_directory() as home:
            servers: dict[str, MilterServer] = {
                "pymilter": NoopPymilter(home / "pymilter", both),
                "pyspf": PyspfMilter(home / "pyspf", both, address),
            }
            for engine in ENGINES:
                servers[f"noop {engine}"] = Noop(home / f"noop-{engine}", both, engine)
                servers[f"spf {engine}"] = Spf(home / f"spf-{engine}", both, engine, nameserver=address)
            words = {name: ("spf=pass",) for name in servers if "spf" in name}
            found = self._through_postfix(servers, self._messages[SMALL], words)
        yield Pair((), found["bare"]).row("through Postfix, no milter", "msg/s", "rate")
        for engine in ENGINES:
            noop, spf = found[f"noop {engine}"], found[f"spf {engine}"]
            yield Pair(found["pymilter"], noop).row(f"through Postfix, no-op ({engine})", "msg/s", "rate")
            yield Pair(found["pyspf"], spf).row(f"through Postfix, SPF ({engine})", "msg/s", "rate")
            share = tuple(b / a for a, b in zip(rates(noop), rates(spf), strict=True))
            yield Row(f"SPF over no-op ({engine})", "", (), share, Target("ours", ">=", 0.85))

    def memory(self) -> Iterator[Row]:
        """What a worker holds after many messages, and while many are under way."""
        for engine in ENGINES:
            what = f"memory ({engine})"
            self._say(what)
            held = self._held(self._spf(engine), self._messages["mixed"], self._messages[LARGE])
            yield from self._memory_rows(f"{what}, SPF", held)
            with Bodies(self._fresh(), self._server, engine) as server:
                bodies = self._while_under_way(server, self._messages[LARGE])
            yield under_way_row(f"{what}, bodies kept", bodies)


def _promised(engine: Engine, times: float) -> Target | None:
    """Return the target of the default engine; the other is measured for information."""
    return Target("ratio", ">=", times) if engine == "native" else None


def _make(quick: bool, generator: Generator, directory: Path, say: Say) -> Bench:
    return Bench(QUICK if quick else FULL, generator, directory, say)


PEERS = ("python3-milter", "pyspf-milter")

SUBJECT = Subject(
    "milters", "pymilter and pyspf-milter", "the other", (*PEERS, "postfix"), _make, generator=MILTER,
    title="Vaglio's milters",
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(runs.main(SUBJECT) or runs.main(dkim.SUBJECT))
