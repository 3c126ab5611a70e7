"""What is kept of a key (a login, a sender, a client): one record for all rules that share it.

The counts of all rules lie in one blob, so that a request reads and writes one row, however many rules and windows
there are. Who and when stand beside it in words, for the admin and for alarms. Pure; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from struct import Struct, error
from types import MappingProxyType
from typing import NamedTuple

from vaglio.checks.ratelimit.window import NOTHING, Things, Window
from vaglio.ports import Schema, StoreCorrupt, Table

RECENT = 16
"""Messages that each rule remembers of a key, so that none counts twice: as many may be under way at once."""

SAMPLES = 5
"""Clients and recipient domains that are remembered in words."""

LONGEST_SAMPLE = 100
"""Characters of each."""

_ID = 8


class Usage(NamedTuple):
    """One key. ``spec`` and ``name`` say which: ``sasl_username`` and ``tizio@tizio.it``. Times in Unix seconds."""

    spec: str = ""
    name: str = ""
    first: int = 0
    last: int = 0
    """When something was counted, or refused, last."""
    clients: str = ""
    """The last few client addresses, newest first."""
    domains: str = ""
    """A few of the last recipient domains, newest first."""
    state: bytes = b""
    """Counts by rule: see ``Counts``."""


_NONE: Mapping[int, Window] = MappingProxyType({})


class Counts(NamedTuple):
    """What one rule counted for one key; never changed once made.

    ``windows`` by length in seconds. ``things`` where different things are counted. ``refused`` stands beside
    ``windows`` (which then count all attempts) where a share is counted. ``over`` is how many requests were over the
    limit since ``over_since``, the last at ``over_last``; ``alarmed`` is when the admin was told. ``recent`` are the
    last few messages that were counted, 8 bytes each, newest first.
    """

    windows: Mapping[int, Window]
    refused: Mapping[int, Window] = _NONE
    things: Things = NOTHING
    over: int = 0
    over_since: int = 0
    over_last: int = 0
    alarmed: int = 0
    recent: bytes = b""


class Seen(NamedTuple):
    """Somebody to whom a key has written before; ``last`` in Unix seconds."""

    last: int = 0


class Mark(NamedTuple):
    """Something that happened once; ``at`` in Unix seconds."""

    name: str = ""
    at: int = 0


USAGE = Table("usage", Usage)
SEEN = Table("seen", Seen)
MARKS = Table("marks", Mark)
SCHEMA = Schema("ratelimit", (USAGE, SEEN, MARKS))

BEGUN = b"begun"
"""Key of the mark of when counting began: who was first seen within the ramp-up after it is no newcomer."""


def usage_key(spec: str, values: tuple[str, ...]) -> bytes:
    """Return the key of a record; ``values`` are those of the attributes that ``spec`` names."""
    return blake2b(_joined(spec, values).encode("utf-8", "surrogateescape"), digest_size=16).digest()


def _joined(spec: str, values: tuple[str, ...]) -> str:
    """Return all as one text that nothing else gives, whatever stands in the values."""
    if len(values) == 1:
        return f"{spec}\0{values[0]}"
    return "\0".join([spec, *(f"{len(value)}:{value}" for value in values)])


def seen_key(spec: str, values: tuple[str, ...], recipient: str) -> bytes:
    """Return the key of the record that says whether this recipient was written to before."""
    return usage_key(spec, (*values, recipient))


def short_hash(text: str) -> int:
    """Return 64 bits that stand for a text; 0 for none."""
    if not text:
        return 0
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "little")


def message_id(instance: str) -> bytes:
    """Return the 8 bytes that stand for a message; empty where Postfix did not name it."""
    return blake2b(instance.encode("utf-8", "surrogateescape"), digest_size=_ID).digest() if instance else b""


def storable(text: str) -> str:
    """Return text that a store can hold, ``\\xff`` for a byte that is no UTF-8: nobody gets by a limit with one."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def is_recent(recent: bytes, message: bytes) -> bool:
    """Tell whether the message is one of the recent ones."""
    if not message or message not in recent:
        return False
    return any(recent[at : at + _ID] == message for at in range(0, len(recent), _ID))


def remembered(recent: bytes, message: bytes) -> bytes:
    """Return the recent messages with this one in front."""
    return (message + recent)[: RECENT * _ID] if message else recent


def sampled(samples: str, value: str) -> str:
    """Return the samples (words) with ``value`` in front, each once, as many as are kept, of bounded length."""
    if samples.partition(" ")[0] == value or not value:
        return samples
    value = storable(value)[:LONGEST_SAMPLE].replace(" ", "")
    return " ".join([value, *(one for one in samples.split() if one != value)][:SAMPLES])


# --- counts as bytes --------------------------------------------------------------------------------------------
# A section for each rule: tag, then the counters, how many windows there are, how long the recent messages and the
# things are, and these; then, for each window, its length, its total, the length of its slots, and these.

_RULE = Struct("<IIIIIHHI")
_WINDOW = Struct("<IQI")
_REFUSED = 0x8000_0000
"""Set in a window's length where it counts the refused ones of a share."""


def rule_tag(name: str, kind: str) -> int:
    """Return the number that stands for a rule: another one once it counts something else."""
    return int.from_bytes(blake2b(f"{name}\0{kind}".encode(), digest_size=4).digest(), "little")


def encode(counts: Mapping[int, Counts]) -> bytes:
    """Return the counts of all rules, by ``rule_tag``, as bytes."""
    parts: list[bytes] = []
    for tag, (windows, refused, (seen,), over, since, last, alarmed, recent) in counts.items():
        number = len(windows) + len(refused)
        parts += _RULE.pack(tag, over, since, last, alarmed, number, len(recent), len(seen)), recent, seen
        for seconds, (total, slots) in windows.items():
            parts += _WINDOW.pack(seconds, total, len(slots)), slots
        for seconds, (total, slots) in refused.items():
            parts.append(_WINDOW.pack(seconds | _REFUSED, total, len(slots)) + slots)
    return b"".join(parts)


def decode(state: bytes) -> dict[int, Counts]:
    """Return the counts by ``rule_tag``. Raises StoreCorrupt for bytes that ``encode`` did not make."""
    counts: dict[int, Counts] = {}
    at = 0
    try:
        while at < len(state):
            tag, over, since, last, alarmed, number, short, long = _RULE.unpack_from(state, at)
            at += _RULE.size
            recent = state[at : at + short]
            at += short
            things = NOTHING
            if long:
                things = Things(state[at : at + long])
                at += long
            windows: dict[int, Window] = {}
            refused: dict[int, Window] = {}
            for _ in range(number):
                seconds, total, long = _WINDOW.unpack_from(state, at)
                at += _WINDOW.size
                window = Window(total, state[at : at + long])
                at += long
                if seconds & _REFUSED:
                    refused[seconds ^ _REFUSED] = window
                else:
                    windows[seconds] = window
            counts[tag] = Counts(windows, refused or _NONE, things, over, since, last, alarmed, recent)
    except error as trouble:
        raise StoreCorrupt(f"ratelimit.sqlite: counts that can't be read ({trouble})") from trouble
    return counts
