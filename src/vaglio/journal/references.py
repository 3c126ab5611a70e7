"""The short name of a decision: ``G7K2-9QFD``.

It stands in the SMTP reply, so people read it over the telephone and copy it out of bounces. Hence Crockford's
base 32 (no I, L, O, U), in two groups of four; and reading it back forgives what hands and eyes do to it. It does
not promise to be unique: of 40 random bits, two in a million decisions are alike now and then, and a search then
finds both.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

_PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)  # ten bits each
_AT_ONCE = 64
_LOOKALIKES = str.maketrans("OIL", "011")
_WRITTEN = re.compile(
    r"[\W_]*(?:REF(?:ERENCE)?(?:[\W_]+|(?=[0-9A-Z]{4}[\W_]?[0-9A-Z]{4}\b)))?"  # "(ref. G7K2-9QFD)", "refG7K29QFD"
    r"([0-9A-TV-Z]{4})(?:\s*[-‐-―−_]?\s*)([0-9A-TV-Z]{4})[\W_]*",  # mail programs make a dash of the hyphen  # noqa: RUF001
    re.ASCII,
)


def references() -> Iterator[str]:
    """Give references without end: 40 bits each from the system's random source, as ``XXXX-XXXX``.

    Random bytes are fetched for many at once, since a system call for each costs more than all the rest. So an
    iterator must not be taken across a fork: both sides would give the same.
    """
    while True:
        for (bits,) in struct.iter_unpack("=Q", os.urandom(8 * _AT_ONCE)):
            first, second = bits >> 44 & 0xFFFFF, bits >> 24 & 0xFFFFF
            yield f"{_PAIRS[first >> 10]}{_PAIRS[first & 1023]}-{_PAIRS[second >> 10]}{_PAIRS[second & 1023]}"


def normalise(text: str) -> str:
    """Return the reference that somebody typed or pasted as ``references`` gave it; empty if it is none.

    Forgives lower case, a missing hyphen, O for 0, I and L for 1, marks around it and a leading ``ref``.
    """
    match = _WRITTEN.fullmatch(text.upper())
    return "-".join(match.groups()).translate(_LOOKALIKES) if match else ""
