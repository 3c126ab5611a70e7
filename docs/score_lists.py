"""Write the tables of ``docs/score-lists.md`` anew from the lists of links' domains that ship with Vaglio.

Run it after a change of ``linkcatalogue.toml``; a test compares. What stands around the tables is written by hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vaglio.checks.score.linkcatalogue import common, shipped
from vaglio.checks.score.settings import LinkListSettings

PAGE = Path(__file__).with_name("score-lists.md")


def page(text: str) -> str:
    """Return the page's text with its tables made anew."""
    for name, wanted in (("on", True), ("off", False)):
        text = _with_rows(text, name, _table(one for one in shipped().values() if one.enabled is wanted))
    return _with_rows(text, "common", [", ".join(f"`{name}`" for name in sorted(common()))])


def _with_rows(text: str, name: str, rows: Iterable[str]) -> str:
    before, mark, behind = text.partition(f"<!-- {name}: made by docs/score_lists.py -->\n")
    made = "\n".join(rows)
    return f"{before}{mark}{made}\n<!-- end -->{behind.partition('<!-- end -->')[2]}"


def _table(lists: Iterable[LinkListSettings]) -> list[str]:
    head = ["| name | zone | asked about | weighs | terms | checked |", "|---|---|---|---|---|---|"]
    return [*head, *map(_row, lists)]


def _row(one: LinkListSettings) -> str:
    subjects = ", ".join(one.asked_about)
    return f"| `{one.name}` | `{one.zone}` | {subjects} | {_weights(one)} | {one.terms} | {one.checked} |"


def _weights(one: LinkListSettings) -> str:
    low, high = min(one.codes.values()), max(one.codes.values())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
