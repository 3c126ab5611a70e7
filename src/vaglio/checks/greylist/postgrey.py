"""What postgrey knew: reading its Berkeley databases through the text of ``db_dump``.

``db_dump /var/lib/postgrey/postgrey.db`` prints the triplets, ``db_dump /var/lib/postgrey/postgrey_clients.db`` the
clients that whitelisted themselves, in hexadecimal or (``-p``) as printable text. postgrey 1.37 writes

- triplets: key ``network/sender/recipient`` in lower case, value ``first,last`` in Unix seconds. The network is an
  address with its host bits cleared (or a host's, with --lookup-by-host); the sender is folded (see ``pool.py``) and
  may hold a ``/``. With --privacy the key is a SHA-1 hash, of which nothing can be learned.
- clients: key: address, value ``count,last``.

What can't be read is counted by its kind and left out; nothing raises. This module opens no file and writes to no
store: it turns lines into values.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from vaglio.facts import pack_address, unpack_address

DELAY = 300
"""Seconds that postgrey lets a first contact wait, unless it ran with another --delay."""

MAX_LINE = 16384
"""Longest line in characters; postgrey cuts each attribute to 512 bytes."""


@dataclass(frozen=True, slots=True)
class ImportedTriplet:
    """A triplet as postgrey has it; ``address`` is that of the network (or host), times are Unix seconds."""

    address: str
    sender: str
    recipient: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class ImportedClient:
    """A client that delivered ``count`` messages after greylisting, the last at ``last`` (Unix seconds)."""

    address: str
    count: int
    last: int


class Trouble(StrEnum):
    """Why a part of a dump was left out."""

    NO_DUMP = "not the output of db_dump"
    FORMAT = "neither format=bytevalue nor format=print"
    LINE = "a line that is no key and no value"
    NO_VALUE = "a key without a value"
    CUT = "the dump ends before DATA=END"
    HASHED = "hashed by --privacy: holds no address"
    KEY = "a key that is not postgrey's"
    VALUE = "a value that is not postgrey's"


@dataclass(slots=True)
class Problems:
    """Collects what was left out: how often, and the line where each kind was first met."""

    counts: Counter[Trouble] = field(default_factory=Counter)
    first_lines: dict[Trouble, int] = field(default_factory=dict)

    def add(self, trouble: Trouble, line: int) -> None:
        """Count one."""
        self.counts[trouble] += 1
        self.first_lines.setdefault(trouble, line)

    def __str__(self) -> str:
        return "; ".join(
            f"{count} x {trouble} (first in line {self.first_lines[trouble]})" for trouble, count in self.counts.items()
        )


# --- the text of db_dump ----------------------------------------------------------------------------------------

_ESCAPE = re.compile(rb"\\(\\|[0-9a-fA-F]{2})")


def parse_dump(lines: Iterable[str], problems: Problems) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the line number, key and value of each record of a dump."""
    rows = enumerate(lines, 1)
    number = 0
    for number, line in rows:
        if line.startswith("VERSION="):
            yield from _database(rows, number, problems)
        elif line.strip():
            problems.add(Trouble.NO_DUMP, number)
            return
    if number == 0:
        problems.add(Trouble.NO_DUMP, number)


def _database(
    rows: Iterator[tuple[int, str]], number: int, problems: Problems
) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the records of one database: header, HEADER=END, lines of keys and values by turns, DATA=END."""
    form = "bytevalue"
    for number, line in rows:  # noqa: B007 (the last one is where a cut dump ends)
        name, _, value = line.strip().partition("=")
        if name == "format":
            form = value
        elif name == "HEADER":
            break
    if form not in ("bytevalue", "print"):
        problems.add(Trouble.FORMAT, number)
        for _, line in rows:  # go on behind it
            if line.startswith("DATA=END"):
                break
        return
    key: bytes | None = None
    for number, line in rows:
        if line.startswith("DATA=END"):
            if key is not None:
                problems.add(Trouble.NO_VALUE, number)
            return
        data = _data(line, form)
        if data is None:
            problems.add(Trouble.LINE, number)
        if key is None:
            key = data or b""  # an unreadable key keeps its place, so that its value is not taken for a key
        else:
            if key and data is not None:
                yield number, key, data
            key = None
    problems.add(Trouble.CUT, number)


def _data(line: str, form: str) -> bytes | None:
    """Return the bytes of a data line, None if it is none."""
    if not line.startswith(" ") or len(line) > MAX_LINE:
        return None
    text = line[1:].rstrip("\r\n")
    try:
        if form == "bytevalue":
            return bytes.fromhex(text)
        raw = text.encode("utf-8", "surrogateescape")
    except ValueError:  # UnicodeEncodeError is one
        return None
    if b"\\" in _ESCAPE.sub(b"", raw):
        return None
    return _ESCAPE.sub(lambda match: b"\\" if match[1] == b"\\" else bytes.fromhex(match[1].decode()), raw)


# --- postgrey's records -----------------------------------------------------------------------------------------

_HASH = re.compile(rb"[0-9a-f]{40}")
_NUMBERS = re.compile(rb"([0-9]{1,12}),([0-9]{1,12})(?:,.*)?", re.DOTALL)


def read_triplets(lines: Iterable[str], problems: Problems) -> Iterator[ImportedTriplet]:
    """Yield the triplets of a dump of ``postgrey.db``, as they are read."""
    for number, key, value in parse_dump(lines, problems):
        if (pair := _checked(number, key, value, problems)) is None:
            continue
        first, last = pair
        parts = _split_key(key)
        if parts is None:
            problems.add(Trouble.KEY, number)
        elif first > last:
            problems.add(Trouble.VALUE, number)
        else:
            yield ImportedTriplet(*parts, first, last)


def read_clients(lines: Iterable[str], problems: Problems) -> Iterator[ImportedClient]:
    """Yield the clients of a dump of ``postgrey_clients.db``, as they are read."""
    for number, key, value in parse_dump(lines, problems):
        if (pair := _checked(number, key, value, problems)) is None:
            continue
        address = _address(key.decode("ascii", "replace"))
        if address:
            yield ImportedClient(address, *pair)
        else:
            problems.add(Trouble.KEY, number)


def _checked(number: int, key: bytes, value: bytes, problems: Problems) -> tuple[int, int] | None:
    """Return the two numbers of a value; count and return None where key or value can't serve."""
    match = _NUMBERS.fullmatch(value)
    if _HASH.fullmatch(key):
        problems.add(Trouble.HASHED, number)
    elif match is None:
        problems.add(Trouble.VALUE, number)
    else:
        return int(match[1]), int(match[2])
    return None


def _address(text: str) -> str:
    """Return the normal form of an address (postgrey writes all eight groups of IPv6); "" if it is none."""
    return unpack_address(pack_address(text))


def _split_key(key: bytes) -> tuple[str, str, str] | None:
    """Return address, sender and recipient of ``network/sender/recipient``; None if it is no such key."""
    try:
        network, slash, rest = key.decode("utf-8").partition("/")
    except UnicodeDecodeError:
        return None
    sender, recipient = _split_addresses(rest)
    address = _address(network)
    return (address, sender, recipient) if address and slash and recipient else None


def _split_addresses(text: str) -> tuple[str, str]:
    """Split ``sender/recipient`` where local parts may hold a slash too, but domains do not."""
    if text.startswith("/") and text.count("@") <= 1:
        return "", text[1:]  # the null sender
    at = text.find("@")
    cut = text.find("/", at) if at >= 0 else -1
    if cut < 0:  # a sender without a domain, such as root
        cut = text.find("/")
    return (text[:cut], text[cut + 1 :]) if cut >= 0 else (text, "")
