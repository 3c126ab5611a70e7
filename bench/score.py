"""Scoring beside Debian's SpamAssassin, rspamd and bogofilter, in one run, on one machine: scripts/bench score.

How well it tells spam from wanted mail that it has not seen, and how fast. What is measured, and under which
conditions, is told in docs/performance.md; how, in the modules beside this one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, quantiles
from typing import NamedTuple

from bench import corpora, messages, runs
from bench.corpora import LABELS, of
from bench.generator import MILTER, Generator, Measured
from bench.milterruns import LARGE, MEDIUM, MIB, PASSED, SMALL, must_say, rows_of
from bench.milterservers import MilterServer
from bench.processes import used_seconds
from bench.report import Row, Target
from bench.runs import Lengths, Pair, Runs, Say, Step, Subject
from bench.scoreservers import (
    PEERS,
    Bogofilter,
    Command,
    Judged,
    Rspamd,
    Score,
    Spamassassin,
    Spamd,
    Took,
    Vaglio,
    missing_peers,
)

THRESHOLD = 5.0

_WORD = "X-Spam-Status"
"""What is written into a message that was judged, by rspamd as by ours."""
_FIRST = 20
"""Messages that are judged before it counts."""
_MOST_RUNS = 3
"""Runs of what takes long."""


@dataclass(frozen=True, slots=True)
class Plan(Lengths):
    """How much is measured."""

    judged: int
    """Messages of each kind that are judged, of one half."""
    taught: int
    """Messages of each kind that are learned before, at most, of the other half."""
    cuts: int
    """Ways in which the corpora are cut in halves for Bayes alone."""
    lessons: int
    """Messages that are learned against the clock."""
    whole: bool
    """Whether it is what was promised of, so that there are targets for counts."""


FULL = Plan(5, 3.0, 0.5, 500, 100_000, 5, 4000, whole=True)
QUICK = Plan(2, 0.7, 0.2, 60, 210, 1, 400, whole=False)

_SALTS = ("", "b", "c", "d", "e")
_BAYES = {0.0007: 7.0, 0.014: 0.5}
"""Of wanted mail taken for spam: percent of the spam that are missed then, at most."""
_PROMISED = {"untrained": (4, 150), "trained": (2, 60)}
"""False alarms and misses, at most."""
NEWSLETTER = "50 kB, a newsletter"
_RATES = {SMALL: 1.0, MEDIUM: 5.0, NEWSLETTER: 5.0, LARGE: 1.0}
"""How many times as fast as rspamd, at least."""


class Errors(NamedTuple):
    """Wanted mail taken for spam, and spam taken for wanted mail."""

    false_alarms: int
    misses: int


def errors(scored: Judged) -> Errors:
    """Return what is wrong when spam is what scores five points or more."""
    spam = {label: sum(one.score >= THRESHOLD for one in found) for label, found in scored.items()}
    return Errors(spam["ham"], len(scored["spam"]) - spam["spam"])


def missed(scored: Judged, share: float) -> float:
    """Return how many percent of the spam are missed by Bayes where the line is drawn so that no more than a ``share``
    of wanted mail is taken for spam, to the nearest message. Spam that is no more probable than the next one of these
    counts as missed.
    """
    line = sorted((one.probability for one in scored["ham"]), reverse=True)[round(share * len(scored["ham"]))]
    return 100 * fmean(one.probability <= line for one in scored["spam"])


def one_by_one(seconds: Sequence[float], processor: float) -> Measured:
    """Return the figures of messages that were judged one after the other in so many seconds each, and so many of the
    processors in all.
    """
    p99 = quantiles(seconds, n=100)[98]
    return Measured(1 / fmean(seconds), median(seconds) * 1000, p99 * 1000, processor / len(seconds) * 1e6, 0.0)


class Bench(Runs):
    """The measurements, one method each. A peer that is not installed leaves its column empty."""

    def __init__(self, plan: Plan, generator: Generator, directory: Path, say: Say) -> None:
        super().__init__(plan, generator, directory, say)
        self._plan = plan
        self._missing = missing_peers()
        for name in self._missing:
            self.remarks.append(f"{name} is not installed here: nothing is compared with it.")
            say(self.remarks[-1])
        say("reading the corpora")
        self._all = corpora.read(corpora.home(), corpora.ALL)
        self._real = [mail for mail in self._all if mail.corpus in corpora.REAL]
        taught, judged = corpora.halves(self._real)
        self._taught, self._judged = corpora.balanced(taught, plan.taught), corpora.balanced(judged, plan.judged)

    def rows(self) -> Iterator[Row]:
        """Measure everything."""
        with runs.open_directory() as self._directory:
            lessons = corpora.write(self._taught, self._fresh())
            ours = Vaglio(self._fresh(), self._server)
            self._say(f"learning {len(self._taught):,} messages")
            ours.learn(lessons)
            yield from self.bayes()
            yield from self.judging(ours, lessons)
            yield from self.sizes(ours)
            yield from self.learning()
            yield from self.storing()

    def _has(self, name: str) -> bool:
        return name not in self._missing

    # --- what is taken for what ---

    def bayes(self) -> Iterator[Row]:
        """Bayes alone, on halves that are cut in several ways."""
        kinds: list[type[Command]] = [Vaglio, *([Bogofilter] if self._has("bogofilter") else [])]
        found: dict[type[Command], list[Judged]] = {kind: [] for kind in kinds}
        for number in range(self._plan.cuts):
            self._say(f"Bayes alone, cut {number + 1} of {self._plan.cuts}")
            taught, judged = (corpora.write(half, self._fresh()) for half in corpora.halves(self._real, _SALTS[number]))
            for kind in kinds:
                program = kind(self._fresh(), self._server)
                program.learn(taught)
                found[kind].append(program.judge(judged))
        for share, most in _BAYES.items():
            theirs, ours = (tuple(missed(one, share) for one in found.get(kind, [])) for kind in (Bogofilter, Vaglio))
            what = f"Bayes alone: spam missed where {100 * share:g} % of wanted mail is taken for spam (bogofilter)"
            yield Row(what, "%", theirs, ours, Target("ours", "<=", most))

    def judging(self, taught: Vaglio, lessons: Path) -> Iterator[Row]:
        """All rules, without Bayes and with it; and how long that takes."""
        questions = corpora.write(self._judged, self._fresh())
        ours = {"untrained": Vaglio(self._fresh(), self._server), "trained": taught}
        for state, vaglio in ours.items():
            self._say(f"judging {len(self._judged):,} messages, {state}")
            scored = vaglio.judge(questions)
            theirs, took = self._by_spamd(lessons if state == "trained" else None)
            yield from self._error_rows(state, theirs, scored)
        yield from self._mail_rows(took, self._by_milter(taught))

    def _by_spamd(self, lessons: Path | None) -> tuple[Judged | None, Sequence[Measured]]:
        """Return what SpamAssassin makes of them, and what that took; nothing where it is not installed."""
        if not self._has("spamd"):
            return None, []
        settings = Spamassassin(self._fresh(), self._server)
        if lessons:
            settings.learn(lessons)
        with Spamd(self._fresh(), self._server, settings) as server:
            for mail in self._judged[:_FIRST]:
                server.judge(mail.content)
            before = used_seconds(server.pid)
            found = {label: [server.judge(mail.content) for mail in of(label, self._judged)] for label in LABELS}
            used = used_seconds(server.pid) - before
        return found, [one_by_one([one.seconds for judged in found.values() for one in judged], used)]

    def _error_rows(self, state: str, theirs: Judged | None, ours: Judged) -> Iterator[Row]:
        peer = [[float(count)] for count in errors(theirs)] if theirs else [[], []]
        alarms, misses = (Target("ours", "<=", most) if self._plan.whole else None for most in _PROMISED[state])
        found = errors(ours)
        what = f"{state}: of {len(ours['ham'])} wanted, taken for spam (SpamAssassin)"
        yield Row(what, "messages", tuple(peer[0]), (float(found.false_alarms),), alarms)
        what = f"{state}: of {len(ours['spam'])} spam, missed (SpamAssassin)"
        yield Row(what, "messages", tuple(peer[1]), (float(found.misses),), misses)

    # --- how fast ---

    def _by_milter(self, taught: Vaglio) -> list[Measured]:
        """Return what it takes the milter to judge the same messages, one after the other."""
        mixed = corpora.write_mixed(self._judged, self._fresh())
        with Score(self._fresh(), self._server, taught.store) as server:
            must_say(self.generator, server, next(iter(sorted(mixed.iterdir()))), _WORD)
            options = ("-c", "1", "-n")
            self.generator.run(server, self._load, PASSED, *options, str(_FIRST), messages=str(mixed))
            once = (*options, str(len(self._judged)))
            return [
                self.generator.run(server, self._load, PASSED, *once, messages=str(mixed))
                for _ in range(self.lengths.runs)
            ]

    def _mail_rows(self, theirs: Sequence[Measured], ours: Sequence[Measured]) -> Iterator[Row]:
        what = "the same messages one by one, trained (SpamAssassin)"
        yield from rows_of(what, Pair(theirs, ours), Target("ratio", ">=", 12) if theirs else None)
        theirs_mean, ours_mean = (tuple(1000 / rate for rate in runs.rates(side)) for side in (theirs, ours))
        yield Row(f"{what}, mean", "ms", theirs_mean, ours_mean)

    def sizes(self, taught: Vaglio) -> Iterator[Row]:
        """Messages of three sizes, beside rspamd: both as milters."""
        self._say("messages of three sizes")
        files = messages.write(self._fresh())
        files[NEWSLETTER] = self._fresh()
        files[NEWSLETTER].write_bytes(messages.newsletter())
        with ExitStack() as stack:
            servers: list[MilterServer] = [stack.enter_context(Score(self._fresh(), self._server, taught.store))]
            if self._has("rspamd"):
                rspamd = stack.enter_context(Rspamd(self._fresh(), self._server))
                servers.append(rspamd)
                if not rspamd.compiled:
                    self.remarks.append("rspamd had not compiled its patterns: elsewhere it may be faster.")
            for size, times in _RATES.items():
                self._say(f" {size}")
                for server in servers:
                    must_say(self.generator, server, files[size], _WORD)
                ours, *others = self._rounds(*(self._sending(server, files[size]) for server in servers))
                theirs = others[0] if others else []
                target = Target("ratio", ">=", times) if theirs else None
                yield from rows_of(f"{size} (rspamd)", Pair(theirs, ours), target)

    def _sending(self, server: MilterServer, message: Path) -> Step:
        return lambda: self._timed(server, PASSED, messages=str(message))

    # --- learning ---

    def learning(self) -> Iterator[Row]:
        """What it takes to learn."""
        count = self._plan.lessons
        self._say(f"learning {count:,} messages against the clock")
        lessons = corpora.write(corpora.some(self._real, count), self._fresh())
        kinds: list[type[Command]] = [Vaglio, *([Bogofilter] if self._has("bogofilter") else [])]
        took: dict[type[Command], list[Took]] = {kind: [] for kind in kinds}
        for _ in range(min(self.lengths.runs, _MOST_RUNS)):
            for kind in kinds:
                took[kind].append(kind(self._fresh(), self._server).learn(lessons))
        what, ours, theirs = f"learning {count:,} messages (bogofilter)", took[Vaglio], took.get(Bogofilter, [])
        target = Target("ratio", "<=", 10) if theirs else None
        yield Row(what, "s", tuple(run.seconds for run in theirs), tuple(run.seconds for run in ours), target)
        what = f"{what}, processor time"
        yield Row(what, "s", tuple(run.processor for run in theirs), tuple(run.processor for run in ours))

    def storing(self) -> Iterator[Row]:
        """What it takes on the disk."""
        mails = self._all if self._plan.whole else corpora.some(self._all, self._plan.lessons)
        self._say(f"storing what {len(mails):,} messages teach")
        lessons = corpora.write(mails, self._fresh())
        ours, bogofilter = Vaglio(self._fresh(), self._server), Bogofilter(self._fresh(), self._server)
        programs: list[Command] = [ours, *([bogofilter] if self._has("bogofilter") else [])]
        for program in programs:
            program.learn(lessons)
        _, *theirs = sizes = [program.disk() / MIB for program in programs]
        what = f"disk, {len(mails):,} messages of all corpora learned (bogofilter)"
        yield Row(what, "MiB", tuple(theirs), (sizes[0],), Target("ours", "<=", 100))


def _make(quick: bool, generator: Generator, directory: Path, say: Say) -> Bench:
    return Bench(QUICK if quick else FULL, generator, directory, say)


SUBJECT = Subject(
    "score", "SpamAssassin, rspamd and bogofilter", "the other", tuple(PEERS), _make, generator=MILTER,
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(runs.main(SUBJECT))
