"""How well Bayes alone tells spam from ham that it has not seen, on many cuts of the corpora in halves, in one process:
python -m bench.bayes [--cuts N].

For whoever changes how words are made or weighed (checks/score/tokens.py, bayes.py): one cut says little, since at so
few false alarms two newsletters decide what is missed. scripts/bench score has the same rows, by way of the store and
the command, for fewer cuts. Beside it stands Debian's bogofilter where it is installed, as it comes.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

from bench import corpora
from bench.corpora import LABELS, Label, Mail
from vaglio.checks.score.bayes import probability, token_id
from vaglio.checks.score.learning import unmarked
from vaglio.checks.score.reading import read_message
from vaglio.checks.score.tokens import tokens_of
from vaglio.milter.replay import read

BOGOFILTER = Path("/usr/bin/bogofilter")
SHARES = {0.0007: 7.0, 0.0036: None, 0.014: 0.5}
"""Of ham taken for spam: percent of the spam that may be missed then."""

Judged = Mapping[Label, Sequence[float]]
Judge = Callable[[Sequence[Mail], Sequence[Mail]], Judged]
"""Learns the one half, and returns what it makes of the other."""


def words_of(mail: Mail) -> list[int]:
    """Return the ids of a message's words, as they are learned."""
    fields, body = read(mail.content)
    return [*map(token_id, tokens_of(read_message(unmarked(fields), body, len(body))))]


class Ours:
    """Our words and our Bayes, over a store that is a dictionary."""

    def __init__(self, mails: Iterable[Mail]) -> None:
        self._words = {mail.sha256: words_of(mail) for mail in mails}

    def __call__(self, taught: Sequence[Mail], judged: Sequence[Mail]) -> Judged:
        """Learn and judge."""
        seen: dict[Label, Counter[int]] = {label: Counter() for label in LABELS}
        for mail in taught:
            seen[mail.label].update(self._words[mail.sha256])
        spam, ham = seen["spam"], seen["ham"]
        learned = len(corpora.of("spam", taught)), len(corpora.of("ham", taught))

        def judge(mail: Mail) -> float:
            return probability({word: (spam[word], ham[word]) for word in self._words[mail.sha256]}, learned)

        return {label: [judge(mail) for mail in corpora.of(label, judged)] for label in LABELS}


def bogofilter(taught: Sequence[Mail], judged: Sequence[Mail]) -> Judged:
    """Have bogofilter learn and judge."""
    with tempfile.TemporaryDirectory() as directory:
        lessons = corpora.write(taught, Path(directory, "taught"))
        questions = corpora.write(judged, Path(directory, "judged"))
        for label, option in (("spam", "-s"), ("ham", "-n")):
            subprocess.run([BOGOFILTER, "-C", "-d", directory, option, "-B", lessons / label], check=True)
        return {label: _by_bogofilter(directory, questions / label) for label in LABELS}


def _by_bogofilter(directory: str, folder: Path) -> list[float]:
    command: list[str | Path] = [BOGOFILTER, "-C", "-d", directory, "-TT", "-B", folder]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # its status is its verdict
    return [float(line.split()[-1]) for line in said.splitlines()]


def missed(judged: Judged, share: float) -> float:
    """Return how many percent of the spam are missed where at most a ``share`` of the ham is taken for spam, to the
    nearest message.
    """
    line = sorted(judged["ham"], reverse=True)[round(share * len(judged["ham"]))]
    return 100 * fmean(one <= line for one in judged["spam"])


def report(name: str, judge: Judge, cuts: Sequence[tuple[list[Mail], list[Mail]]]) -> None:
    """Print what is missed, on all halves of all cuts."""
    found = [judge(*halves) for cut in cuts for halves in (cut, cut[::-1])]
    for share, most in SHARES.items():
        runs = [missed(one, share) for one in found]
        spread = f"{min(runs):5.2f} to {max(runs):6.2f}, deviation {stdev(runs):5.2f}"
        wanted = f"; at most {most} wanted" if most else ""
        print(f"{name:12} {share:.2%} false alarms: {fmean(runs):5.2f} % missed, {spread}{wanted}", flush=True)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description="Bayes alone on the corpora, cut in halves in several ways.")
    parser.add_argument("--cuts", type=int, default=8, help="ways to cut, each judged both ways (%(default)s)")
    number = parser.parse_args().cuts
    mails = corpora.read(corpora.home(), corpora.REAL)
    cuts = [corpora.halves(mails, f"cut {cut}") for cut in range(number)]
    report("vaglio", Ours(mails), cuts)
    if BOGOFILTER.exists():
        report("bogofilter", bogofilter, cuts)
    else:
        print(f"{BOGOFILTER} is not there: nothing is compared with it.")


if __name__ == "__main__":
    main()
