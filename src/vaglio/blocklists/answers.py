"""What the answer of a list says: listed, not listed, or not to be believed. Pure.

A list that does not answer, or that says that it does not answer us, is never a hit: that is the difference between a
blocklist and an outage (RFC 5782). Who asks what, and what follows from it, is others' business.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from vaglio.blocklists.settings import KEY, DnsListSettings, parse_bit, parse_codes
from vaglio.ports import Answer, Outcome

PRIVATE = ("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
           "192.168.0.0/16", "::/127", "fc00::/7", "fe80::/10")  # fmt: skip
"""Addresses that nobody on the open net has (RFC 6890): no list is asked about them."""


class Trouble(StrEnum):
    """Why a list is not to be believed at the moment."""

    REFUSES_US = "refuses-us"
    NO_ADDRESS_LIST = "answers-outside-127"
    LISTS_ALL = "lists-everybody"
    LISTS_NOBODY = "lists-nobody"
    SILENT = "silent"


class Listed(NamedTuple):
    """An answer that counts: the code and its weight."""

    code: str
    weight: float


Reading = Listed | Trouble | None
"""What an answer says; None: not listed."""

One = TypeVar("One", bound=DnsListSettings)
Settings = TypeVar("Settings", bound=DnsListSettings, covariant=True)


@dataclass(frozen=True, slots=True)
class DnsList(Generic[Settings]):
    """A list with its codes read. ``low`` and ``high`` bound what it can add to a score."""

    settings: Settings
    suffix: str
    """What stands behind the reversed address or the name, with its dot; it may hold a key, so it is never shown."""
    weights: Sequence[tuple[Callable[[bytes], bool], float]]
    reasons: Sequence[tuple[Callable[[bytes], bool], str]]
    blocked: Sequence[Callable[[bytes], bool]]
    low: float
    high: float
    subjects: Collection[str] = field(default_factory=frozenset)

    @property
    def name(self) -> str:
        """Its short name, the only one that is shown."""
        return self.settings.name

    def reason_of(self, code: str) -> str:
        """Return what the configuration says that a code means; "" where it says nothing."""
        packed = octets_of(code)
        return next((text for fits, text in self.reasons if fits(packed)), "") if packed else ""


AnyList = DnsList[DnsListSettings]
"""A list, whoever asks it."""


def compiled(settings: One) -> DnsList[One]:
    """Read the codes of a list, which were validated with the settings."""
    weights = [(_matcher(code), weight) for code, weight in settings.codes.items()] or [(_any_code, settings.weight)]
    at_all = [weight for _, weight in weights]
    shadow = settings.shadow
    return DnsList(
        settings,
        "." + settings.zone.replace(KEY, settings.key),
        weights,
        [(_matcher(code), text) for code, text in settings.reasons.items()],
        [_matcher(code) for code in ("127.255.255.0-255", *settings.blocked)],
        low=0.0 if shadow else min(0.0, *at_all),
        high=0.0 if shadow else max(0.0, *at_all),
        subjects=frozenset(settings.asked_about),
    )


def _matcher(pattern: str) -> Callable[[bytes], bool]:
    if pattern.startswith("bit"):
        bit = parse_bit(pattern)
        # Never 127.0.0.1, by which URIBL and others say that they do not answer us.
        return lambda packed: packed[:3] == b"\x7f\0\0" and packed[3] != 1 and bool(packed[3] & bit)
    ranges = parse_codes(pattern)
    return lambda packed: all(low <= octet <= high for octet, (low, high) in zip(packed, ranges, strict=True))


def _any_code(packed: bytes) -> bool:
    return packed[1] == 0 and packed[2:] >= b"\0\2"


def octets_of(code: str) -> bytes:
    """Return the four bytes of an IPv4 address in text, such as a resolver gave; empty if it is none."""
    parts = code.split(".")
    if len(parts) == 4 and all(part.isascii() and part.isdigit() and len(part) < 4 for part in parts):
        octets = [int(part) for part in parts]
        return bytes(octets) if max(octets) < 256 else b""
    return b""


def read(one: AnyList, answer: Answer) -> Reading:
    """Return what an answer to an A question says."""
    if answer.outcome is not Outcome.OK:
        return Trouble.SILENT if answer.outcome is Outcome.TEMPERROR else None
    found: Listed | None = None
    for value in answer.values[:32]:
        packed = octets_of(value)
        if not packed or packed[0] != 127:
            return Trouble.NO_ADDRESS_LIST  # RFC 5782 2.1; mostly a zone that somebody else bought
        if any(refuses(packed) for refuses in one.blocked):
            return Trouble.REFUSES_US
        weighs = [weight for fits, weight in one.weights if fits(packed)]
        for weight in weighs:
            if found is None or abs(weight) > abs(found.weight):
                found = Listed(value, weight)
    return found


_NIBBLES = "0123456789abcdef"


def reversed_address(packed: bytes) -> str:
    """Return ``7.2.0.192`` for 192.0.2.7, and the 32 nibbles for IPv6 (RFC 5782 2.1 and 2.4)."""
    if len(packed) == 4:
        return f"{packed[3]}.{packed[2]}.{packed[1]}.{packed[0]}"
    return ".".join(f"{_NIBBLES[octet & 15]}.{_NIBBLES[octet >> 4]}" for octet in reversed(packed))
