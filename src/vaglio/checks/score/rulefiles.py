"""The rules in force, read from files: those that ship and the admin's, and read again when the admin's change.

Knows files, not what stands in them: ``rules`` reads that. A file or folder of ``score.rules`` that is not there has no
rules; one that changes for the worse, or goes, keeps what it said last.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from vaglio.checks.listfiles import State, state_of
from vaglio.checks.score.linkcatalogue import everything
from vaglio.checks.score.links import symbol_of
from vaglio.checks.score.oddfacts import FACTS
from vaglio.checks.score.rules import Rule, RuleProblem, Ruleset, load
from vaglio.checks.score.ruletext import HasKeywords
from vaglio.checks.score.settings import ScoreSettings

MAX_BYTES = 1_000_000
"""Largest rule file in bytes."""
MAX_FILES = 200
"""Most files of all folders together."""
ENDING = ".toml"
_SHIPPED = "rules.d"

MOST_TOLD = 20
"""Most problems that are told one by one."""
MOST_NAMED = 5
"""Most changed files that are told by name."""


@functools.cache
def shipped() -> Sequence[tuple[str, str]]:
    """Return the rule files that ship, by their names."""
    folder = files("vaglio.checks.score").joinpath(_SHIPPED)
    if not folder.is_dir():
        return ()
    found = (file for file in folder.iterdir() if file.name.endswith(ENDING))
    return tuple(sorted((f"{_SHIPPED}/{file.name}", file.read_text("utf-8")) for file in found))


class Place(NamedTuple):
    """What an entry of ``score.rules`` leads to: its files, or why there are none."""

    entry: str
    files: tuple[Path, ...]
    trouble: str = ""
    """Why it can't be read; "" also where it is not there."""
    absent: bool = False


def places(entries: Iterable[str]) -> list[Place]:
    """Return the rule files that the settings name: of a folder those that end in .toml, by their names."""
    return [_place(entry) for entry in entries]


def _place(entry: str) -> Place:
    path = Path(entry)
    try:
        if not path.is_dir():
            path.stat()
            return Place(entry, (path,))
        with os.scandir(path) as folder:
            names = sorted(one.name for one in folder if one.name.endswith(ENDING) and not one.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return Place(entry, (), absent=True)
    except OSError as error:
        return Place(entry, (), _words(error))
    except ValueError:  # a NUL in its name
        return Place(entry, (), "no name of a file")
    return Place(entry, tuple(path / name for name in names))


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def read_rules(settings: ScoreSettings) -> tuple[list[tuple[str, str]], list[RuleProblem]]:
    """Return the texts of all rule files, those that ship first, and what can't be read."""
    sources, problems = list(shipped()), []
    paths: list[Path] = []
    for place in places(settings.rules):
        paths += place.files
        if place.absent:
            problems.append(RuleProblem(place.entry, 0, "", "no such file", "a rule file, or a folder of such files"))
        elif place.trouble:
            problems.append(_unreadable(Path(place.entry), place.trouble))
    for number, path in enumerate(dict.fromkeys(paths)):
        try:
            if number >= MAX_FILES:
                raise ValueError(f"rule file number {number + 1}, and at most {MAX_FILES} are read")
            sources.append((str(path), _read(path)))
        except (OSError, ValueError) as error:
            problems.append(_unreadable(path, _words(error) if isinstance(error, OSError) else str(error)))
    return sources, problems


def _read(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError("a larger file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"bytes that are no UTF-8 in line {line}") from None


def _unreadable(path: Path, found: str) -> RuleProblem:
    return RuleProblem(str(path), 0, "", found, "a readable file of at most 1 MB in UTF-8")


def load_rules(settings: ScoreSettings) -> tuple[Ruleset, list[RuleProblem]]:
    """Return the rules in force, and all that is wrong with their files."""
    sources, unread = read_rules(settings)
    rules, problems = _load(sources, settings)
    return rules, unread + problems


def _load(sources: Sequence[tuple[str, str]], settings: ScoreSettings) -> tuple[Ruleset, list[RuleProblem]]:
    rules, problems = load(sources, settings, FACTS, symbols_of_lists(settings))
    return rules, problems + [_unheard(rule, settings) for rule in rules.rules if _is_unheard(rule, settings)]


def symbols_of_lists(settings: ScoreSettings) -> list[str]:
    """Return the symbols of all lists, those too that are not asked."""
    return [symbol_of(one.name) for one in everything(settings.links)]


def _is_unheard(rule: Rule, settings: ScoreSettings) -> bool:
    """Say whether a rule of the admin's has keywords of no language that is looked for: it never fits."""
    if not isinstance(rule.matcher, HasKeywords) or rule.file in dict(shipped()):
        return False
    return rule.matcher.words.keys().isdisjoint(settings.languages)


def _unheard(rule: Rule, settings: ScoreSettings) -> RuleProblem:
    assert isinstance(rule.matcher, HasKeywords)
    found = f"keywords in {' and '.join(rule.matcher.words)} only"
    wanted = f"some of a language in score.languages, which are {', '.join(settings.languages) or 'none'}"
    return RuleProblem(rule.file, rule.line, rule.symbol, found, wanted)


class RuleFiles:
    """``current`` are the rules in force. ``warn`` hears what is wrong with their files, each thing once; ``tell`` that
    they changed, and that nothing is wrong any more.
    """

    def __init__(
        self, settings: ScoreSettings, warn: Callable[[str], None], tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self._settings, self._warn, self._say = settings, warn, tell
        self._told: frozenset[RuleProblem] = frozenset()
        self._states = self._look()
        sources, unread = read_rules(settings)
        self.current, problems = _load(sources, settings)
        self._texts = dict(sources)
        self._tell(unread + problems, set())

    def refresh(self) -> bool:
        """Read again what changed, and return whether the rules did. Costs a stat a file when nothing changed.

        A file that is wrong now, or gone though it is named, keeps what it said last. One that is gone from a folder
        takes its rules along.
        """
        states = self._look()
        if states == self._states:
            return False
        self._states = states
        sources, unread = read_rules(self._settings)
        rules, problems = _load(sources, self._settings)
        if kept := self._kept({problem.file for problem in unread + problems}):
            sources = [*{**dict(sources), **kept}.items()]
            rules, _ = _load(sources, self._settings)
        repaired = {problem.file for problem in self._told} - {problem.file for problem in unread + problems}
        self._tell(unread + problems, kept.keys())
        changed = dict(sources) != self._texts
        if changed or repaired:
            self._tell_of_change({**self._texts, **dict.fromkeys(repaired, "")}, dict(sources), len(rules.rules))
        self.current, self._texts = rules, dict(sources)
        return changed

    def _tell_of_change(self, before: Mapping[str, str], now: Mapping[str, str], rules: int) -> None:
        files = sorted(file for file in before.keys() | now.keys() if before.get(file) != now.get(file))
        more = f" and {len(files) - MOST_NAMED} more" if len(files) > MOST_NAMED else ""
        self._say(f"rule files: read again {', '.join(files[:MOST_NAMED])}{more}; {rules} rules are in force")

    def _look(self) -> Mapping[str, State]:
        """Return what tells that a file changed, came or went."""
        found = places(self._settings.rules)
        states = {place.entry: state_of(Path(place.entry)) for place in found if not place.files}
        return {**states, **{str(path): state_of(path) for place in found for path in place.files}}

    def _kept(self, wrong: Set[str]) -> dict[str, str]:
        """Return the last texts of files that are wrong, or in a folder that is."""
        return {
            file: text for file, text in self._texts.items() if file in wrong or str(Path(file).parent) in wrong
        }

    def _tell(self, problems: Sequence[RuleProblem], kept: Set[str]) -> None:
        """Warn of what was not told before; what is wrong now is remembered."""
        new = [problem for problem in dict.fromkeys(problems) if problem not in self._told]
        self._told = frozenset(problems)
        for problem in new[:MOST_TOLD]:
            left = "the file's last state stays" if problem.file in kept else "it is left out"
            self._warn(f"{problem}; {left}")
        if len(new) > MOST_TOLD:
            self._warn(f"rule files: {len(new) - MOST_TOLD} more problems like these (vaglio config check tells all)")
