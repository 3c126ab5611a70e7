"""The test suite of RFC 7208 (openspf, 203 cases) as values: cases, and the DNS of each scenario as a zone.

The files are not ours and not in this repository: they are where ``VAGLIO_DATA`` says, or in ``../shared/data``.
Nothing is judged here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from vaglio.dns.zonefile import Record, Zone

DATA = Path(os.environ.get("VAGLIO_DATA") or Path(__file__).parents[2] / "shared" / "data")
SUITE = DATA / "spf" / "openspf" / "rfc7208-tests.yml"


class Case(NamedTuple):
    """One case: who sends what, and which results are right. ``explanation`` is the domain's own text, ``DEFAULT`` for
    none, "" where it does not matter.
    """

    name: str
    helo: str
    address: str
    sender: str
    results: tuple[str, ...]
    explanation: str
    zone: Zone
    records: tuple[Record, ...]
    """What ``zone`` was made from, for whoever wants to write it into a file."""


def cases() -> list[Case]:
    """Return all cases; none where the suite is not there."""
    if not SUITE.exists():
        return []
    documents = yaml.safe_load_all(SUITE.read_text("utf-8"))
    return [case for document in documents if document for case in _scenario(document)]


def _scenario(document: dict[str, Any]) -> Iterator[Case]:
    records = tuple(_records(document["zonedata"]))
    zone = Zone(records)
    for name, test in document["tests"].items():
        result = test["result"]
        results = (result,) if isinstance(result, str) else tuple(result)
        yield Case(
            name, test["helo"], test["host"], test["mailfrom"], results, test.get("explanation") or "", zone, records
        )


def _records(zonedata: dict[str, list[Any]]) -> Iterator[Record]:
    for name, entries in zonedata.items():
        pairs = [pair for entry in entries if isinstance(entry, dict) for pair in entry.items()]
        has_txt = any(rrtype == "TXT" for rrtype, _ in pairs)
        if "TIMEOUT" in entries:
            yield Record(name, "*", "\0TIMEOUT")
        for rrtype, value in pairs:
            if value != "NONE":
                yield Record(name, rrtype, _value(value))
            if rrtype == "SPF" and not has_txt:  # the suite writes SPF for what is TXT nowadays
                yield Record(name, "TXT", _value(value))


def _value(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], int):
        return f"{value[0]} {value[1]}".lower()  # an MX
    parts = value if isinstance(value, list) else [value]
    # YAML has bytes as characters up to U+00FF.
    return "".join(map(str, parts)).encode("latin-1").decode("utf-8", "surrogateescape")
