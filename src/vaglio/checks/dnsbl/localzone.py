"""Private lists: lines of addresses, networks and domain names, in our own plain form or in those of rbldnsd(8).

All forms share this; an entry is followed by its value or by nothing:

- ``:127.0.0.3:text``, ``:3:text`` (short for 127.0.0.3), ``:3`` (the default text), ``text`` (the default code).
- A line that is only such a value sets the default of all lines below it; before any it is 127.0.0.2 without text.
- In a text ``$`` stands for the address or name that was asked about, ``$$`` for a dollar sign, ``$1`` for the text of
  a line ``$1 text`` above it; ``filled`` puts in the first two.
- ``!entry`` is an exclusion. The narrowest entry that fits decides: excluded or listed. Of equal ones an exclusion
  decides, else the first.
- ``#`` and ``;`` begin a comment, at the start of a line or right behind an entry.
- ``$SOA``, ``$NS``, ``$TTL`` and ``$TIMESTAMP`` say nothing to us; ``$MAXRANGE4 /24`` (or 256) makes larger IPv4
  networks invalid.

Entries by form:

- ``ip4set``: ``192.0.2.7``, ``192.0.2`` (that /24), ``192.0.2.0/24``, ``192.0.2.4-9``, ``192.0.2.4-192.0.2.9``
- ``ip4trie``: the same without ranges
- ``ip6trie``: ``2001:db8::1``, ``2001:db8::/32``, ``2001:db8`` (the zeros behind it left out, that /32)
- ``dnset``: ``example.com`` (only this name), ``*.example.com`` (all below it), ``.example.com`` (both)
- ``plain``: any of these, and a comment may also follow a text, behind a blank: ``192.0.2.7 sends spam # by hand``

Unlike rbldnsd, an address or name has one value, that of the narrowest entry, even where several lists it twice.
Reads no files (``checks/listfiles.py`` does), fills in no names, decides nothing.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

from vaglio.facts import pack_address, unpack_address
from vaglio.lists import MAX_LINE, MAX_PROBLEMS, Problem
from vaglio.names import a_labels

MAX_ENTRIES = 2_000_000
"""Most entries of one file, where a range counts as the prefixes that make it up: 32 MB."""
MAX_VALUES = 100_000
"""Most different values (code and text) of one file; beyond it an entry keeps its code and loses its text."""
MAX_TEXT = 200
"""Longest text of a value in characters."""
MAX_FILLED = 255
"""Longest text once ``$`` is filled in: one string of a TXT record (RFC 1035 3.3), as rbldnsd has it."""
DEFAULT_CODE = "127.0.0.2"  # RFC 5782 2.1


class Listing(NamedTuple):
    """What a private list says of an address or name.

    ``text`` is still to be ``filled``; ``where`` is ``file:line``; ``entry`` is what matched: ``192.0.2.0/24``,
    ``example.com``, or ``*.example.com`` for a name below it.
    """

    code: str
    text: str
    where: str
    entry: str


def filled(text: str, subject: str) -> str:
    """Return a listing's text with ``subject``, the address or name asked about, for ``$`` and a dollar for ``$$``."""
    return re.sub(r"\$\$?", lambda match: "$" if match[0] == "$$" else subject, text)[:MAX_FILLED]


# --- looking up -------------------------------------------------------------------------------------------------


class _Found(NamedTuple):
    code: str  # "" is an exclusion
    text: str
    where: str


class _Table:
    """Rows of one file and one kind, sorted by a key of 64 bits: 16 bytes a row, and nothing for Python to count.

    A dict of the same takes ten times as much, and workers could not share it: reference counts unshare its pages.
    """

    __slots__ = ("_keys", "_lines", "_source", "_values", "_which")

    def __init__(self, rows: list[int], source: str, values: Sequence[tuple[str, str]]) -> None:
        """Take rows as ``_row`` packs them."""
        rows.sort()  # equal keys: exclusions first (value 0), then by value, in the order of their first use
        self._keys = array("Q", (row >> 64 for row in rows))
        self._which = array("I", (row >> 32 & 0xFFFF_FFFF for row in rows))
        self._lines = array("I", (row & 0xFFFF_FFFF for row in rows))
        self._source = source
        self._values = values

    def find(self, key: int) -> _Found | None:
        at = bisect_left(self._keys, key)
        if at == len(self._keys) or self._keys[at] != key:
            return None
        return _Found(*self._values[self._which[at]], f"{self._source}:{self._lines[at]}")


def _row(key: int, value: int, line: int) -> int:
    return key << 64 | value << 32 | line


def _key_of(prefix: int, width: int) -> int:
    """Return the key of the leading bits of an address of ``width`` bytes."""
    return prefix if width == 4 else _hashed(prefix.to_bytes(16))


def _hashed(what: str | bytes) -> int:
    # No name need be kept: chance takes an unlisted one for one of 2,000,000 once in 10^13 questions.
    what = what.encode() if isinstance(what, str) else what
    return int.from_bytes(blake2b(what, digest_size=8).digest())


class LocalZone:
    """Addresses and names of one or several lists. Asking costs one binary search for each prefix length in use."""

    __slots__ = ("_below", "_names", "_networks", "_size")

    def __init__(
        self,
        networks: Iterable[tuple[int, int, _Table]] = (),
        names: Sequence[_Table] = (),
        below: Sequence[_Table] = (),
        size: int = 0,
    ) -> None:
        """Take networks as (bytes of an address, bits behind the prefix, table)."""
        self._networks = sorted(networks, key=lambda network: network[1])  # narrowest first; stable: the left one first
        self._names = tuple(names)
        self._below = tuple(below)
        self._size = size

    def __add__(self, other: LocalZone) -> LocalZone:
        return LocalZone(
            [*self._networks, *other._networks],
            self._names + other._names,
            self._below + other._below,
            self._size + other._size,
        )

    def __len__(self) -> int:
        return self._size

    def find_address(self, packed: bytes) -> Listing | None:
        """Return what the list says of a 4- or 16-byte address; None where it is not listed, or excluded."""
        number = int.from_bytes(packed)
        for width, shift, table in self._networks:
            if width == len(packed) and (found := table.find(_key_of(number >> shift, width))):
                return _listing(found, _network(number >> shift << shift, width, shift))
        return None

    def find_name(self, name: str) -> Listing | None:
        """Return what the list says of a domain name, in any letter case; None where it is not listed, or excluded."""
        name = _normal_name(name)
        if found := _first(self._names, name):
            return _listing(found, name)
        above = name.partition(".")[2]
        while above:
            if found := _first(self._below, above):
                return _listing(found, f"*.{above}")
            above = above.partition(".")[2]
        return None


def _first(tables: Sequence[_Table], name: str) -> _Found | None:
    key = _hashed(name)
    return next((found for table in tables if (found := table.find(key))), None)


def _listing(found: _Found, entry: str) -> Listing | None:
    return Listing(*found, entry) if found.code else None


def _network(number: int, width: int, shift: int) -> str:
    text = unpack_address(number.to_bytes(width))
    return f"{text}/{8 * width - shift}" if shift else text


def _normal_name(text: str) -> str:
    """Return a name in lower case, A-labels for U-labels, no dot at its end; "" if it is none."""
    name = text[:256].lower().removesuffix(".")
    try:
        name = a_labels(name)
    except UnicodeError:
        return ""
    return name if len(name) <= 253 and _NAME.fullmatch(name) else ""


_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*", re.ASCII)


# --- entries ----------------------------------------------------------------------------------------------------


class _Span(NamedTuple):
    """Part of what an entry stands for. ``width`` is 4 or 16 for addresses; for names it says which table."""

    width: int
    shift: int
    key: int


NAME, BELOW = 0, 1
_V4 = re.compile(r"(\d{1,3}(?:\.\d{1,3}){0,3})(?:/(\d{1,2})|-(\d{1,3}(?:\.\d{1,3}){0,3}))?", re.ASCII)
_V6 = re.compile(r"([0-9a-f:.]{2,45})(?:/(\d{1,3}))?", re.ASCII | re.IGNORECASE)
_HOST_BITS = "a network without bits behind its prefix, such as 192.0.2.0/24"


def _range(text: str) -> Iterable[_Span]:
    if len(packed := pack_address(text)) == 4:  # nearly every line of a large list
        return (_Span(4, 0, int.from_bytes(packed)),)
    match = _V4.fullmatch(text)
    if not match:
        raise ValueError
    first, octets = _octets(match[1], 0)
    if match[3]:
        return _prefixes(first, _end_of_range(first, octets, match[3]))
    if match[2] is None and octets == 1:  # a bare number is more likely a slip than a /8
        raise ValueError
    bits = 8 * octets if match[2] is None else int(match[2])
    if bits > 32:
        raise ValueError
    behind = (1 << 32 - bits) - 1
    if first & behind:
        raise ValueError(_HOST_BITS)
    return _prefixes(first, first | behind)


def _octets(text: str, fill: int) -> tuple[int, int]:
    """Return the address that leading octets make, the others being ``fill``, and how many there are."""
    octets = [int(octet) for octet in text.split(".")]
    if max(octets) > 255:
        raise ValueError
    return int.from_bytes(bytes(octets) + bytes([fill]) * (4 - len(octets))), len(octets)


def _end_of_range(first: int, octets: int, text: str) -> int:
    """Return the last address of a range: "192.0.2.4-9" gives only the last octet that the first one has."""
    if "." not in text and octets > 1:
        kept = first.to_bytes(4)[: octets - 1]
        text = ".".join(map(str, kept)) + "." + text
    last, also = _octets(text, 255)
    if also != octets or last < first:
        raise ValueError
    return last


def _prefixes(first: int, last: int) -> Iterator[_Span]:
    """Return the prefixes that make up a range, at most 62."""
    while first <= last:
        fitting = (last - first + 1).bit_length() - 1
        aligned = (first & -first).bit_length() - 1 if first else 32
        shift = min(fitting, aligned)
        yield _Span(4, shift, first >> shift)
        first += 1 << shift


def _prefix4(text: str) -> Iterable[_Span]:
    if "-" in text:
        raise ValueError
    return _range(text)


def _prefix6(text: str) -> Iterator[_Span]:
    match = _V6.fullmatch(text)
    if not match or ":" not in match[1]:
        raise ValueError
    address, bits = match[1], int(match[2] or 128)
    words = address.count(":") + 1
    if words < 8 and "::" not in address and "." not in address:  # rbldnsd: "2001:db8" is 2001:db8::/32
        address, bits = address + "::", int(match[2] or 16 * words)
    packed = pack_address(address)
    if len(packed) == 4:  # RFC 4291 2.5.5.2: a mapped address
        bits -= 96
    width = len(packed)
    shift, number = 8 * width - bits, int.from_bytes(packed)
    if not packed or not 0 <= shift <= 8 * width:
        raise ValueError
    if number & (1 << shift) - 1:
        raise ValueError(_HOST_BITS)
    yield _Span(width, shift, _key_of(number >> shift, width))


def _domain(text: str) -> Iterator[_Span]:
    wild = text.startswith("*.")
    name = _normal_name(text[2:] if wild else text.removeprefix("."))
    if not name:
        raise ValueError
    if not wild:
        yield _Span(NAME, 0, _hashed(name))
    if wild or text.startswith("."):
        yield _Span(BELOW, 0, _hashed(name))


def _any(text: str) -> Iterable[_Span]:
    if ":" in text:
        return _prefix6(text)
    return _range(text) if re.fullmatch(r"[0-9./-]+", text) else _domain(text)


# --- reading ----------------------------------------------------------------------------------------------------


class _Form(NamedTuple):
    entry: re.Pattern[str]
    spans: Callable[[str], Iterable[_Span]]
    """Raises ValueError, without a text where ``wanted`` says it all."""
    wanted: str


_WORD = re.compile(r"(!?)[ \t]*([^\s#;]+)(.*)", re.DOTALL)
_NUMBERS = re.compile(r"(!?)[ \t]*([^\s#;:]+)(.*)", re.DOTALL)  # a value may follow without a blank
_FORMS = {
    "plain": _Form(_WORD, _any, "an address, a network, a range or a domain name"),
    "ip4set": _Form(
        _NUMBERS, _range, 'an address, a network or a range such as "192.0.2.7", "192.0.2.0/24" or "192.0.2.4-9"'
    ),
    "ip4trie": _Form(_NUMBERS, _prefix4, 'an address or a network such as "192.0.2.7" or "192.0.2.0/24"'),
    "ip6trie": _Form(_WORD, _prefix6, 'an address or a network such as "2001:db8::1" or "2001:db8::/32"'),
    "dnset": _Form(_WORD, _domain, 'a domain name such as "example.com", "*.example.com" or ".example.com"'),
}
_CODE = re.compile(r"(?:127\.(\d{1,3})\.(\d{1,3})\.)?(\d{1,3})", re.ASCII)
_WANTED_CODE = 'a value such as ":127.0.0.3:text", ":3:text" or "text"'
_SPECIAL = re.compile(r"[#;:]?\$(\w+)\s*(.*)", re.ASCII | re.DOTALL)
_IDLE = frozenset(("soa", "ns", "ttl", "timestamp"))


def reader(form: str) -> Callable[[Iterable[str], str], tuple[LocalZone, list[Problem]]]:
    """Return what reads lists of a form (``ListSettings.format``): lines and the name of their file, as problems and
    listings give it, make a zone and the problems of lines that were left out.
    """
    chosen = _FORMS[form]

    def read(lines: Iterable[str], source: str) -> tuple[LocalZone, list[Problem]]:
        reading = _Reading(chosen, form == "plain", source)
        for number, line in enumerate(lines, 1):
            reading.take(number, line)
            if reading.done:
                break
        return reading.zone(), reading.named_problems()

    return read


class _Reading:
    """A list while it is read."""

    def __init__(self, form: _Form, is_plain: bool, source: str) -> None:
        self.done = False
        self._form = form
        self._is_plain = is_plain
        self._source = source
        self._default = (DEFAULT_CODE, "")
        self._variables: dict[str, str] = {}
        self._largest = 0  # most IPv4 addresses of one entry; 0 is no limit
        self._values = {("", ""): 0}
        self._rows: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        self._size = 0  # rows; a line may make several
        self._entries = 0
        self._problems: list[Problem] = []
        self._unnamed = 0

    def take(self, number: int, line: str) -> None:
        """Read a line."""
        text = line[: MAX_LINE + 1].strip()
        try:
            if len(line) > MAX_LINE:
                raise ValueError(f"a line of at most {MAX_LINE} characters")
            if text.startswith(("$", "#$", ";$", ":$")):
                self._special(text)
            elif text.startswith(":") and not text.startswith("::"):  # "::1" is an address
                self._default = self._value(text, (DEFAULT_CODE, ""))
            elif text and text[0] not in "#;":
                self._entry(text, number)
        except ValueError as error:
            self._problem(number, text, str(error))

    def _entry(self, text: str, number: int) -> None:
        match = self._form.entry.fullmatch(text)
        if not match:
            raise ValueError(self._form.wanted)
        negation, entry, value = match.groups()
        try:
            spans = tuple(self._form.spans(entry))
        except ValueError as error:
            raise ValueError(str(error) or self._form.wanted) from None
        if self._largest and sum(1 << span.shift for span in spans if span.width == 4) > self._largest:
            raise ValueError("no more addresses than $MAXRANGE4 allows")
        if self._size + len(spans) > MAX_ENTRIES:
            self.done = True
            raise ValueError(f"at most {MAX_ENTRIES} entries; the rest is left out")
        index = 0 if negation else self._index(self._value(value.strip(), self._default))
        for width, shift, key in spans:
            self._rows[width, shift].append(_row(key, index, number))
        self._size += len(spans)
        self._entries += 1

    def _value(self, text: str, default: tuple[str, str]) -> tuple[str, str]:
        """Return code and text of a value, given those of the default that holds here."""
        if not text or text[0] in "#;":
            return default
        if not text.startswith(":"):
            return default[0], self._text(text)
        code, colon, text = text[1:].partition(":")
        match = _CODE.fullmatch(code.strip())
        octets = [int(octet or 0) for octet in match.groups()] if match else [0]
        if not 0 < max(octets) < 256:
            raise ValueError(_WANTED_CODE)
        return "127." + ".".join(map(str, octets)), self._text(text) if colon else default[1]

    def _text(self, text: str) -> str:
        if self._is_plain:
            text = re.split(r"(?:^|\s)[#;]", text, maxsplit=1)[0]
        if "$" in text:
            text = re.sub(r"\$(\$|\d)", self._variable, text[:MAX_TEXT])
        if not text.isprintable():
            text = "".join(one if one.isprintable() else " " for one in text)
        return text.strip()[:MAX_TEXT]

    def _variable(self, match: re.Match[str]) -> str:
        return match[0] if match[1] == "$" else self._variables.get(match[1], f"${match[0]}")

    def _index(self, value: tuple[str, str]) -> int:
        if value not in self._values and len(self._values) >= MAX_VALUES:
            value = (value[0], "")
        return self._values.setdefault(value, len(self._values))

    def _special(self, text: str) -> None:
        match = _SPECIAL.fullmatch(text)
        word, rest = (match[1].lower(), match[2].strip()) if match else ("", "")
        if len(word) == 1 and word.isdigit():
            # The first counts, and its own dollar signs stand for themselves, as with rbldnsd.
            self._variables.setdefault(word, rest[:MAX_TEXT].replace("$", "$$"))
        elif word == "maxrange4" and (size := _range_size(rest)):
            self._largest = min(self._largest or size, size)
        elif word == "dataset":
            self.done = True
            raise ValueError("a file of one dataset; the rest is left out")
        elif word not in _IDLE and text[0] not in "#;":
            raise ValueError('"$SOA", "$NS", "$TTL", "$TIMESTAMP", "$MAXRANGE4 /24" or "$0" to "$9"')

    def _problem(self, number: int, text: str, wanted: str) -> None:
        if len(self._problems) <= MAX_PROBLEMS:
            found = ascii(text[:80])[1:-1] + ("..." if len(text) > 80 else "")
            self._problems.append(Problem(self._source, number, f'"{found}"', wanted))
        else:
            self._unnamed += 1

    def named_problems(self) -> list[Problem]:
        """Return at most MAX_PROBLEMS; one more then says how many there are."""
        if len(self._problems) <= MAX_PROBLEMS:
            return self._problems
        first = self._problems[MAX_PROBLEMS]
        rest = Problem(self._source, first.line, f"{self._unnamed + 1} more lines like these", "a list")
        return [*self._problems[:MAX_PROBLEMS], rest]

    def zone(self) -> LocalZone:
        """Return what was read; the rows are gone then."""
        values = list(self._values)
        tables = {}
        while self._rows:  # one kind after the other, so that not all of them are there twice
            kind, rows = self._rows.popitem()
            tables[kind] = _Table(rows, self._source, values)
        return LocalZone(
            [(width, shift, table) for (width, shift), table in tables.items() if width >= 4],
            [table for (width, _), table in tables.items() if width == NAME],
            [table for (width, _), table in tables.items() if width == BELOW],
            self._entries,
        )


def _range_size(text: str) -> int:
    """Return how many addresses ``/24`` or ``256`` is; 0 if it is neither."""
    match = re.fullmatch(r"(/?)(\d{1,10})", text, re.ASCII)
    number = int(match[2]) if match else 0
    if match and match[1]:
        return 1 << 32 - number if number <= 32 else 0
    return number
