"""Write the tables of ``docs/dnsbl-lists.md`` anew from the lists that ship with Vaglio.

Run it after a change of ``catalogue.toml``; a test compares. What stands around the tables is written by hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vaglio.blocklists.catalogue import ended
from vaglio.checks.dnsbl.catalogue import shipped
from vaglio.checks.dnsbl.settings import ListSettings

PAGE = Path(__file__).with_name("dnsbl-lists.md")


def page(text: str) -> str:
    """Return the page's text with its tables made anew."""
    for name, wanted in (("on", True), ("off", False)):
        text = _with_table(text, name, _table(one for one in shipped().values() if one.enabled is wanted))
    return _with_table(text, "dead", _dead())


def _with_table(text: str, name: str, table: Iterable[str]) -> str:
    before, mark, behind = text.partition(f"<!-- {name}: made by docs/dnsbl_lists.py -->\n")
    rows = "\n".join(table)
    return f"{before}{mark}{rows}\n<!-- end -->{behind.partition('<!-- end -->')[2]}"


def _dead() -> list[str]:
    zones: dict[str, list[str]] = {}
    for zone, what in ended().items():
        zones.setdefault(what, []).append(f"`{zone}`")
    rows = [f"| {', '.join(alike)} | {what} |" for what, alike in zones.items()]
    return ["| zone, and all below it | what became of it |", "|---|---|", *rows]


def _table(lists: Iterable[ListSettings]) -> list[str]:
    head = ["| name | zone | of | weighs | terms | checked |", "|---|---|---|---|---|---|"]
    return head + [
        f"| `{one.name}` | `{one.zone}` | {_kind(one)} | {_weights(one)} | {one.terms} | {one.checked} |"
        for one in lists
    ]


def _kind(one: ListSettings) -> str:
    if one.kind == "domain":
        return "domains"
    return " and ".join(name for name, has in (("IPv4", one.ipv4), ("IPv6", one.ipv6)) if has)


def _weights(one: ListSettings) -> str:
    weights = sorted(one.codes.values() or [one.weight], key=abs)
    low, high = (f"{weight:g}".replace("-", "\N{MINUS SIGN}") for weight in (weights[0], weights[-1]))
    return low if low == high else f"{low} to {high}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
