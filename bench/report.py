"""Rows of figures with their targets: as a table for people, as Markdown for the docs, as JSON. No measuring."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Target:
    """What is promised: of our figure (``ours``), or of its ratio to the peer's (``ratio``)."""

    of: Literal["ours", "ratio"]
    sign: Literal[">=", "<="]
    bound: float

    def __str__(self) -> str:
        words = "at least" if self.sign == ">=" else "at most"
        return f"{words} {_number(self.bound)}{' times' if self.of == 'ratio' else ''}"


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: the figures of all runs, of the peer (may be none) and of ours; their medians count."""

    name: str
    unit: str
    peer: tuple[float, ...]
    ours: tuple[float, ...]
    target: Target | None = None

    @property
    def peer_median(self) -> float | None:
        """The peer's figure, None where it was not measured."""
        return median(self.peer) if self.peer else None

    @property
    def our_median(self) -> float:
        """Our figure."""
        return median(self.ours)

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's, None where that was not measured."""
        return self.our_median / self.peer_median if self.peer_median else None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.target is None:
            return None
        value = self.our_median if self.target.of == "ours" else self.ratio
        if value is None:
            return False
        return value >= self.target.bound if self.target.sign == ">=" else value <= self.target.bound


_RIGHT = (2, 3, 4)  # columns of numbers


def head(peer: str) -> tuple[str, ...]:
    """Return the headings; ``peer`` is that of the figures that ours are compared with."""
    return "", "unit", peer, "vaglio", "ratio", "target", "met"


def cells(row: Row) -> tuple[str, ...]:
    """Return the row as text, column by column."""
    return (
        row.name,
        row.unit,
        _number(row.peer_median),
        _number(row.our_median),
        _number(row.ratio),
        str(row.target) if row.target else "",
        {None: "", True: "yes", False: "NO"}[row.met],
    )


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def text_table(rows: Sequence[Row], peer: str = "postgrey") -> str:
    """Return the rows as an aligned table."""
    lines = [head(peer), *map(cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = ["  ".join(_aligned(line, widths)).rstrip() for line in lines]
    return "\n".join([texts[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *texts[1:]])


def _aligned(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    pairs = zip(line, widths, strict=True)
    return [f"{cell:>{width}}" if column in _RIGHT else f"{cell:{width}}" for column, (cell, width) in enumerate(pairs)]


def markdown_table(rows: Sequence[Row], peer: str = "postgrey") -> str:
    """Return the rows as a Markdown table."""
    rule = ["---:" if column in _RIGHT else "---" for column in range(len(head(peer)))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head(peer), rule, *map(cells, rows)])


def as_json(row: Row, peer: str = "postgrey") -> dict[str, Any]:
    """Return the row with the figures of every run."""
    return {
        "name": row.name, "unit": row.unit, peer: row.peer_median, "vaglio": row.our_median, "ratio": row.ratio,
        "target": str(row.target) if row.target else None, "met": row.met,
        f"{peer}_runs": list(row.peer), "vaglio_runs": list(row.ours),
    }  # fmt: skip


def section(
    title: str, facts: Mapping[str, str], rows: Sequence[Row], notes: Sequence[str], peer: str = "postgrey"
) -> str:
    """Return what goes into the docs: on which machine, the table, what is to be known of it."""
    where = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    return "\n\n".join([f"### {title}", where, markdown_table(rows, peer), *(f"- {note}" for note in notes)])


def replace_section(document: str, name: str, body: str) -> str:
    """Return ``document`` with ``body`` between its two marks of that ``name``; ValueError if it has none."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(document):
        raise ValueError(f"there is no {begin} ... {end}")
    return pattern.sub(lambda _: f"{begin}\n\n{body}\n\n{end}", document, count=1)
