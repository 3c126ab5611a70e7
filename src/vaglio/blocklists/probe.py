"""Is a list in order? Each has entries that it must have and must not have (RFC 5782 5).

A list that has died often answers for everybody, or for nobody; one that refuses us says so by a code. Asks two
questions of a list, four where it knows IPv6, and judges by the answers alone; what is known of earlier answers does
not count.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from vaglio.blocklists.answers import AnyList, Trouble, read, reversed_address
from vaglio.facts import pack_address
from vaglio.ports import Answer, FreshResolver, Outcome


class Finding(NamedTuple):
    """``trouble`` is None when all is in order; ``detail`` is the code or failure that was met."""

    trouble: Trouble | None
    detail: str = ""


async def probe(one: AnyList, resolver: FreshResolver) -> Finding:
    """Ask for what the list must and must not have; for the latter alone where ``probe = false`` says that there are no
    test entries.
    """
    for point, wanted in _points(one):
        if wanted and not one.settings.probe:
            continue
        finding = judge(one, await resolver.ask_again(point + one.suffix, "A"), wanted, point)
        if finding.trouble:
            return finding
    return Finding(None)


def _points(one: AnyList) -> list[tuple[str, bool]]:
    """Return the names before the zone, and whether the list must have them."""
    settings = one.settings
    if settings.kind == "hash":  # RFC 5782 knows none: what must not be there is the hash of nothing
        return [(hashlib.new(settings.hash, b"").hexdigest(), False)]
    if settings.kind == "domain":
        return [(settings.probe_listed or "test", True), (settings.probe_unlisted or "invalid", False)]
    points: list[tuple[str, bool]] = []
    if settings.ipv4:
        points += [(settings.probe_listed or "127.0.0.2", True), (settings.probe_unlisted or "127.0.0.1", False)]
    if settings.ipv6:
        points += [("::ffff:7f00:2", True), ("::ffff:7f00:1", False)]
    return [(_reversed(address), wanted) for address, wanted in points]


def _reversed(address: str) -> str:
    # The IPv6 points of RFC 5782 are IPv4-mapped on purpose: they are asked for as IPv6 all the same.
    packed = pack_address(address)
    return reversed_address(bytes(10) + b"\xff\xff" + packed if ":" in address and len(packed) == 4 else packed)


def judge(one: AnyList, answer: Answer, wanted: bool, point: str = "") -> Finding:
    """Judge the answer for the test entry ``point``; ``wanted``: whether the list must have it."""
    reading = read(one, answer)
    if isinstance(reading, Trouble):
        return Finding(reading, answer.why if reading is Trouble.SILENT else answer.values[0][:40])
    listed = answer.outcome is Outcome.OK
    if listed == wanted:
        return Finding(None)
    return Finding(Trouble.LISTS_NOBODY, point) if wanted else Finding(Trouble.LISTS_ALL, answer.values[0][:40])
