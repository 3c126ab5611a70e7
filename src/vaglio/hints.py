"""What one daemon lets another know of a client: listed, or trusted, and until when.

The blocklist daemon writes, the greylisting daemon reads, and neither knows the other: they share these records in a
store of their own. No I/O here, no clock.
"""

from __future__ import annotations

from typing import NamedTuple

from vaglio.facts import Client, Standing
from vaglio.ports import Schema, Table, Transaction

LONGEST = 7 * 86400
"""Seconds that a hint may hold: what would hold for longer was written by a clock that ran ahead."""


class Hint(NamedTuple):
    """What blocklists say of one client; ``until`` in Unix seconds."""

    address: str = ""
    standing: str = ""
    score: float = 0.0
    until: int = 0


HINTS = Table("hints", Hint)
SCHEMA = Schema("hints", (HINTS,))


def key(packed: bytes) -> bytes:
    """Return the key of a client's hint: its address, IPv4 in the place that RFC 4291 2.5.5.2 gives it."""
    return packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed


def standing(tx: Transaction, client: Client, now: int) -> Standing:
    """Return what is known of the client at ``now``; UNKNOWN where nothing is, or no more. What would hold for longer
    than ``LONGEST`` counts for nothing.
    """
    found = tx.get(HINTS, key(client.packed))
    if found is None or not now < found.until <= now + LONGEST or found.standing not in set(Standing):
        return Standing.UNKNOWN
    return Standing(found.standing)
