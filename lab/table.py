"""A table for people: cells wrap, columns share the width, sections have titles, and no word is broken."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from itertools import zip_longest

Row = Sequence[str]


def table(head: Row, sections: Iterable[tuple[str, Sequence[Row]]], shares: Sequence[int], width: int = 120) -> str:
    """Return a table of ``width`` characters whose columns have the given shares of it; a column is as wide as its
    longest word at least, and the table wider for it.
    """
    sections = list(sections)
    room = width - 3 * (len(head) - 1)
    columns = zip(head, *(row for _, rows in sections for row in rows), strict=True)
    needs = [max((len(word) for cell in column for word in cell.split()), default=1) for column in columns]
    widths = [max(need, room * share // sum(shares)) for need, share in zip(needs, shares, strict=True)]
    thin, thick = (f"{mark}+{mark}".join(mark * size for size in widths) for mark in "-=")
    parts = [_row(head, widths)]
    for title, rows in sections:
        parts += [thick, title, thin, f"\n{thin}\n".join(_row(row, widths) for row in rows)]
    return "\n".join([*parts, thick])


def _row(cells: Row, widths: Sequence[int]) -> str:
    wrapped = [_wrap(cell, size) for cell, size in zip(cells, widths, strict=True)]
    lines = zip_longest(*wrapped, fillvalue="")
    return "\n".join(" | ".join(f"{c:{w}}" for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _wrap(cell: str, width: int) -> list[str]:
    """Break at blanks only; line ends of the cell are kept."""
    return [part for line in cell.split("\n") for part in (textwrap.wrap(line, width, break_on_hyphens=False) or [""])]
