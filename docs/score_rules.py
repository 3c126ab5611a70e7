"""Write the tables of ``docs/score-rules.md`` anew from the rules and facts that ship with Vaglio.

Run it after a change of ``rules.d``; a test compares. How often a rule fits is measured in collections of spam and
wanted mail: a folder with a ``manifest.csv`` and an archive for each collection (``docs/score_rules.py FOLDER``, by
default ``../shared/data/spam``). Without them what was measured before stays. What stands around the tables is written
by hand.
"""

from __future__ import annotations

import csv
import re
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from vaglio.checks.score.case import Case
from vaglio.checks.score.oddfacts import FACTS, Circumstances, facts_of
from vaglio.checks.score.reading import read_message
from vaglio.checks.score.rulefiles import load_rules
from vaglio.checks.score.rules import Rule, Ruleset
from vaglio.checks.score.settings import ScoreSettings
from vaglio.facts import Envelope, Session, Stage, client_of
from vaglio.milter.replay import read

PAGE = Path(__file__).with_name("score-rules.md")
COLLECTIONS = Path(__file__).parents[2] / "shared" / "data" / "spam"
WHOLE = ("spamassassin-public", "csdmc2010", "list-ham")
"""Collections with whole headers, spam and wanted mail of the same time."""
PHISHING = "phishing-pot"
GROUPS = ("spam", "wanted", "phishing")
NOTHING = "\N{EN DASH}"

Shares = Mapping[str, tuple[str, ...]]
"""Of a rule: the share that it fits of each of GROUPS, as written."""

_ROW = re.compile(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \| ([^|]*) \| ([^|]*) \|", re.MULTILINE)


def page(text: str, measured: Shares | None = None) -> str:
    """Return the page's text with its tables made anew; without ``measured`` with the shares that stand there."""
    shares = measured or {row[0]: (row[1], row[2], row[3]) for row in _ROW.findall(text)}
    rules = load_rules(ScoreSettings())[0]
    text = _between(text, "rules", _rules(rules, shares))
    facts = (f"| `{name}` | {says} |" for name, says in FACTS.items())
    return _between(text, "facts", ["| fact | says |", "|---|---|", *facts])


def _between(text: str, name: str, rows: list[str]) -> str:
    before, mark, behind = text.partition(f"<!-- {name}: made by docs/score_rules.py -->\n")
    table = "\n".join(rows)
    return f"{before}{mark}{table}\n<!-- end -->{behind.partition('<!-- end -->')[2]}"


def _rules(rules: Ruleset, shares: Shares) -> list[str]:
    table: list[str] = []
    for file in dict.fromkeys(rule.file for rule in rules.rules):
        shown = [rule for rule in rules.rules if rule.file == file and rule.score]
        groups = dict.fromkeys(rule.group for rule in shown if rule.group in rules.caps)
        caps = ", ".join(f"{rules.caps[name]:g} for `{name}`" for name in groups)
        table += ["", f"### {Path(file).name}", *([f"\nTogether at most {caps}."] if caps else []), ""]
        table += ["| rule | points | spam % | wanted % | phishing % | says |", "|---|---|---|---|---|---|"]
        table += [_row(rule, shares.get(rule.symbol, (NOTHING,) * 3)) for rule in shown]
    return table


def _row(rule: Rule, shares: tuple[str, ...]) -> str:
    points = f"{rule.score:g}".replace("-", "\N{MINUS SIGN}")
    return f"| `{rule.symbol}` | {points} | {' | '.join(shares)} | {rule.en} |"


# --- measuring ---


class Sample(NamedTuple):
    """A message of a collection, and which group it belongs to."""

    group: str
    raw: bytes


def samples(folder: Path) -> Iterator[Sample]:
    """Yield the messages of the collections."""
    with (folder / "manifest.csv").open(newline="") as lines:
        labels = {row["file"]: row["label"] for row in csv.DictReader(lines)}
    for name in (*WHOLE, PHISHING):
        with tarfile.open(folder / f"{name}.tar.xz") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name in labels else None
                if file:
                    group = "phishing" if name == PHISHING else {"ham": "wanted"}.get(labels[member.name], "spam")
                    yield Sample(group, file.read())


def measure(folder: Path) -> Shares:
    """Return how often each rule fits."""
    rules = load_rules(ScoreSettings())[0]
    about = Circumstances(client_of(""), Envelope("", ""), Session(Stage.END_OF_MESSAGE))
    totals: Counter[str] = Counter()
    hits: Counter[tuple[str, str]] = Counter()
    for group, raw in samples(folder):
        headers, body = read(raw)
        reading = read_message(headers, body, len(body))
        judgement = rules.judge(Case(reading, facts_of(reading, about)))
        totals[group] += 1
        hits.update((group, hit.symbol) for hit in judgement.hits)
        hits[(group, "tagged")] += judgement.score >= ScoreSettings().tag
    print({group: f"{hits[(group, 'tagged')]} of {totals[group]} tagged" for group in GROUPS})
    return {
        rule.symbol: tuple(_share(hits[(group, rule.symbol)], totals[group]) for group in GROUPS)
        for rule in rules.rules
    }


def _share(count: int, total: int) -> str:
    return f"{100 * count / total:.2f}" if count else NOTHING


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else COLLECTIONS
    there = (folder / "manifest.csv").is_file()
    PAGE.write_text(page(PAGE.read_text(), measure(folder) if there else None))
