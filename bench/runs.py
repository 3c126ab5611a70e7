"""What all benchmarks do alike: runs in turns, medians, the command that starts them, the report. What is measured is
in the modules of the daemons; here nothing is known of them.

The server has one core and the load generator another.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bench import machine, report
from bench.generator import POLICY, Generator, Measured, Program, find
from bench.processes import cores
from bench.report import Row, Target
from bench.servers import BenchError, Server

CACHE = Path(".cache/bench")
DOCUMENT = Path("docs/performance.md")

Say = Callable[[str], None]
Step = Callable[[], Measured]


@dataclass(frozen=True, slots=True)
class Lengths:
    """How much is measured; durations in seconds."""

    runs: int
    seconds: float
    warmup: float


class Pair(NamedTuple):
    """Runs of the peer and of ours, or of two configurations of ours."""

    peer: Sequence[Measured]
    ours: Sequence[Measured]

    def row(self, name: str, unit: str, figure: str, target: Target | None = None) -> Row:
        """Return one ``figure`` (a field of ``Measured``) as a row."""
        peer, ours = (tuple(getattr(run, figure) for run in side) for side in self)
        return Row(name, unit, peer, ours, target)


class Runs(ABC):
    """The tools of a benchmark; ``say`` tells what is being done."""

    def __init__(self, lengths: Lengths, generator: Generator, directory: Path, say: Say) -> None:
        self.lengths = lengths
        self.generator = generator
        self.busy: list[float] = []
        """How many cores other processes took, run by run."""
        self.remarks: list[str] = []
        """What this run has to say of itself."""
        self._directory, self._say = directory, say
        self._server, self._load = ([core] for core in cores()[:2])
        self._count = 0
        self._helper = 0
        """Process that the server needs for its answers and that is not measured with it; 0 for none."""

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """Measure everything."""

    def _fresh(self) -> Path:
        self._count += 1
        return self._directory / f"{self._count:03}"

    def _timed(
        self, server: Server, expect: str, *options: str, both_cores: bool = False, messages: str = ""
    ) -> Measured:
        """Return one measured run: ten connections, or twenty on both cores."""
        where, connections = (self._server + self._load, "20") if both_cores else (self._load, "10")
        wanted = ("-c", connections, "-d", str(self.lengths.seconds), *options)
        warmup = self.lengths.warmup
        found = self.generator.run(
            server, where, expect, *wanted, warmup=warmup, helper=self._helper, messages=messages
        )
        self.busy.append(found.other)
        return found

    def _ask(self, server: Server, expect: str, *options: str, messages: str = "") -> Measured:
        """Send requests for their effect."""
        wanted = ("-c", "10", *options)
        return self.generator.run(server, self._load, expect, *wanted, helper=self._helper, messages=messages)

    def _rounds(self, *steps: Step) -> list[list[Measured]]:
        """Return the runs of each step, taken in turns."""
        rounds = []
        for number in range(self.lengths.runs):
            self._say(f"  run {number + 1} of {self.lengths.runs}")
            rounds.append([step() for step in steps])
        return [list(runs) for runs in zip(*rounds, strict=True)]

    def _in_turns(self, peer: Step, ours: Step) -> Pair:
        return Pair(*self._rounds(peer, ours))


def at_the_same_cost(one: Sequence[Measured]) -> tuple[float, ...]:
    """Return how many times the rate of one worker two would give that left no time of two cores unused, run by run, if
    each request took as long as it took with one: in the server, in the generator and in the helper.
    """
    return tuple(2e6 / (run.cpu + run.load) / run.rate for run in one)


def rates(runs: Sequence[Measured]) -> tuple[float, ...]:
    """Return the rates of some runs."""
    return tuple(run.rate for run in runs)


# --- the command ------------------------------------------------------------------------------------------------


class Subject(NamedTuple):
    """What is measured, by which benchmark. ``make`` is told whether it shall be quick."""

    name: str
    peers: str
    """Beside what, for people."""
    column: str
    """Heading of the figures that ours are compared with."""
    packages: tuple[str, ...]
    """Debian packages of the peers."""
    make: Callable[[bool, Generator, Path, Say], Runs]
    remarks: tuple[str, ...] = ()
    generator: Program = POLICY
    title: str = ""
    """What it is a benchmark of, if not of the daemon of that name."""


@contextmanager
def workspace() -> Iterator[Path]:
    """Give a directory that is gone at the end, also after a SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    CACHE.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="run-", dir=CACHE)).resolve()
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        yield directory


@contextmanager
def open_directory() -> Iterator[Path]:
    """Give a directory that other users may look into, too: servers that give up root, and their sockets."""
    with tempfile.TemporaryDirectory(prefix="vaglio-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


def notes(bench: Runs) -> list[str]:
    """Return what must be known beside the table."""
    busy, lengths = bench.busy, bench.lengths
    return [
        f"Load generator: {bench.generator.title}. Medians of {lengths.runs} runs of {lengths.seconds:g} s each.",
        f"Other processes took {sorted(busy)[len(busy) // 2]:.2f} cores in the median run, {max(busy):.2f} at most"
        + ("." if max(busy) < 0.15 else ": above 0.15, rates are too low; trust the processor times."),
    ]


def main(subject: Subject, arguments: Sequence[str] | None = None) -> int:
    """Measure and report; return 0 when all could be measured, whatever the figures say."""
    program, what = f"scripts/bench {subject.name}", f"Measures it beside Debian's {subject.peers}."
    parser = argparse.ArgumentParser(prog=program, description=what)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs, smaller stores: to see it work")
    parser.add_argument("--json", action="store_true", help="print JSON, with the figures of each run")
    parser.add_argument("--write", action="store_true", help=f"put date, machine and table into {DOCUMENT}")
    options = parser.parse_args(arguments)
    try:
        measure(subject, options.quick, options.json, options.write)
    except BenchError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    return 0


def measure(subject: Subject, quick: bool, json_wanted: bool, write: bool) -> None:
    """Do all of it and print the report. Raises BenchError."""
    if len(cores()) < 2:
        raise BenchError("two processors are needed: one for the server, one for the load generator")
    facts = {"Date": f"{datetime.now(UTC):%Y-%m-%d}", **machine.describe(subject.packages)}
    with workspace() as directory:
        generator = find(CACHE, subject.generator)
        bench = subject.make(quick, generator, directory, lambda text: print(text, file=sys.stderr, flush=True))
        rows = list(bench.rows())
    remarks = [*notes(bench), *bench.remarks, *subject.remarks]
    if json_wanted:
        found = [report.as_json(row, subject.column) for row in rows]
        print(json.dumps({**facts, "notes": remarks, "rows": found}, indent=2))
    else:
        where = "\n".join(f"{name}: {value}" for name, value in facts.items())
        print(where, report.text_table(rows, subject.column), *remarks, sep="\n\n")
    if write:
        title = f"{subject.title or f'vaglio-{subject.name}'} and {subject.peers}"
        title += " (a quick run: figures are rough)" if quick else ""
        body = report.section(title, facts, rows, remarks, subject.column)
        DOCUMENT.write_text(report.replace_section(DOCUMENT.read_text(), subject.name, body))
