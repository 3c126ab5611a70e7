"""Limits of single keys in place of their rule's: read from CSV, TOML or rows of a database.

A row is a rule's name, a key and its limits: ``per-user,tizio@tizio.it,500/1h 5000/1d``. ``unlimited`` counts and never
refuses, ``0/1d`` lets nothing through. ``@tizio.it`` holds for all keys of that domain that have no row of their own.
The parts of a key of several attributes stand with a blank between them. Pure: it opens no file and no database.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vaglio.checks.ratelimit.decide import UNLIMITED
from vaglio.checks.ratelimit.limits import Kind, Limit, parse_limits
from vaglio.lists import MAX_PROBLEMS, Problem

MOST = 100_000
"""Rows that are taken."""

Row = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Overrides:
    """Limits by rule and key in words, all in lower case; ``UNLIMITED`` for none."""

    limits: Mapping[tuple[str, str], tuple[Limit, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.limits)

    def __add__(self, other: Overrides) -> Overrides:
        """Return the rows of both; those of the left one count where both have one."""
        return Overrides({**other.limits, **self.limits})

    def find(self, rule: str, values: tuple[str, ...]) -> tuple[Limit, ...] | None:
        """Return the limits of a key; None where the rule's own hold."""
        if not self.limits:
            return None
        name = " ".join(values).lower()
        found = self.limits.get((rule, name))
        if found is None and len(values) == 1:
            found = self.limits.get((rule, "@" + name.rpartition("@")[2]))
        return found


def parse_csv(lines: Iterable[str], source: str, kinds: Mapping[str, Kind]) -> tuple[Overrides, list[Problem]]:
    """Read ``rule,name,limits`` a line; a first line with just these words is skipped, ``#`` begins a comment.
    ``kinds`` are the rules by name.
    """
    rows: list[tuple[int, Row]] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            cells = [cell.strip() for cell in next(csv.reader([line], strict=True))]
        except csv.Error:
            cells = []
        if number == 1 and [cell.lower() for cell in cells] == ["rule", "name", "limits"]:
            continue
        if len(cells) != 3:
            problems.append(Problem(source, number, f'"{ascii(line[:60])[1:-1]}"', 'three columns: rule,name,limits'))
            continue
        rows.append((number, (cells[0], cells[1], cells[2])))
    return _read(rows, source, kinds, problems)


def parse_toml(lines: Iterable[str], source: str, kinds: Mapping[str, Kind]) -> tuple[Overrides, list[Problem]]:
    """Read a table for each rule: ``[per-user]`` and ``"tizio@tizio.it" = ["500/1h"]`` or ``= "unlimited"``."""
    try:
        content = tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"no TOML: {error}") from None
    except RecursionError:
        raise ValueError("no TOML of overrides: brackets within brackets, too deep to be read") from None
    rows: list[tuple[int, Row]] = []
    problems: list[Problem] = []
    for rule, keys in content.items():
        if not isinstance(keys, dict):
            problems.append(Problem(source, 0, f'"{rule}"', "a table for each rule, such as [per-user]"))
            continue
        for name, limits in keys.items():
            text = " ".join(map(str, limits)) if isinstance(limits, list) else str(limits)
            rows.append((0, (rule, name, text)))
    return _read(rows, source, kinds, problems)


def parse_rows(
    rows: Iterable[Sequence[object]], source: str, kinds: Mapping[str, Kind]
) -> tuple[Overrides, list[Problem]]:
    """Read the rows of a database; the row's number stands where a file has the line."""
    texts: list[tuple[int, Row]] = []
    problems: list[Problem] = []
    for number, row in enumerate(rows, 1):
        if len(row) != 3 or any(cell is None for cell in row):
            problems.append(Problem(source, number, "a row", "three columns, none of them NULL: rule, name, limits"))
            continue
        rule, name, limits = (str(cell).strip() for cell in row)
        texts.append((number, (rule, name, limits)))
    return _read(texts, source, kinds, problems)


def _read(
    rows: Sequence[tuple[int, Row]], source: str, kinds: Mapping[str, Kind], problems: list[Problem]
) -> tuple[Overrides, list[Problem]]:
    found: dict[tuple[str, str], tuple[Limit, ...]] = {}
    for number, (rule, name, limits) in rows:
        try:
            if len(found) == MOST:
                raise ValueError(f"at most {MOST} rows; the rest is left out")
            if rule not in kinds:
                known = ", ".join(kinds) or "none"
                raise ValueError(f"the name of a rule ({known})")
            if not name.split():
                raise ValueError('a key such as "tizio@tizio.it" or "@tizio.it"')
            read = UNLIMITED if limits == "unlimited" else _limits(limits, kinds[rule])
            found.setdefault((rule, " ".join(name.lower().split())), read)
        except ValueError as error:
            shown = ascii(f"{rule},{name},{limits}"[:80])[1:-1]
            problems.append(Problem(source, number, f'"{shown}"', str(error)))
            if len(found) == MOST:
                break
    if len(problems) > MAX_PROBLEMS:
        rest = len(problems) - MAX_PROBLEMS
        line = problems[MAX_PROBLEMS].line
        problems = [*problems[:MAX_PROBLEMS], Problem(source, line, f"{rest} more like these", "limits")]
    return Overrides(found), problems


def _limits(text: str, kind: Kind) -> tuple[Limit, ...]:
    words = text.replace(",", " ").split()
    if not words:
        raise ValueError('limits such as "500/1h 5000/1d", or "unlimited"')
    return parse_limits(words, kind)
