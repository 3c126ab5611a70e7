"""Look-ups from a file and none from the network, for tests and rehearsals (``[dns] zone_file``).

Two forms:

- lines ``NAME TYPE VALUE``: ``caio.it MX 10 mail.caio.it``, ``caio.it TXT "v=spf1 mx" " -all"`` (quoted strings are
  joined, anything else is taken as it stands), ``caio.it A TIMEOUT``, ``caio.it * SERVFAIL``. ``IN`` and a TTL before
  the type, as dig and BIND write them, say nothing. A value in parentheses goes on to the one that closes, over several
  lines if need be. A line that begins with ``#`` or ``;`` is a comment, and so is what follows ``;`` in parentheses.
- with a name that ends in .json: ``{"caio.it": [["TXT", ["part", "part"]], ["MX", [10, "mail.caio.it"]], ["A",
  "192.0.2.1"], ["*", "TIMEOUT"]]}``.

A name that is not there is NXDOMAIN; one without records of the type NODATA, unless ``*`` says that it fails. CNAMEs
are followed. There are no wildcards, TTLs or delegations.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import dns.rdatatype

from vaglio.facts import pack_address
from vaglio.ports import NODATA, NXDOMAIN, Answer, Outcome

MAX_CNAMES = 8
MAX_LINES = 100
"""Lines of one record: a key of 4,096 bits takes 5."""

_FAILURES = {f"\0{word}": Answer(Outcome.TEMPERROR, why=word.lower()) for word in ("TIMEOUT", "SERVFAIL")}
"""Values of records that stand for look-ups that fail."""
_LOOP = Answer(Outcome.TEMPERROR, why="loop")


class ZoneError(ValueError):
    """The file can't be read as a zone; the message says where and why."""


class Record(NamedTuple):
    """One line of the file; ``rrtype`` ``*`` stands for all types that are not given."""

    name: str
    rrtype: str
    value: str


class Zone:
    """A ``Lookup`` that answers from records."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._names: dict[str, dict[str, list[str]]] = {}
        for record in records:
            by_type = self._names.setdefault(_host(record.name), {})
            by_type.setdefault(record.rrtype, []).append(record.value)

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._names)

    def __call__(self, name: str, rrtype: str) -> Answer:
        """Return the answer; a chain of more than 8 CNAMEs is TEMPERROR (``loop``)."""
        for _ in range(MAX_CNAMES + 1):
            by_type = self._names.get(_host(name))
            if by_type is None:
                return NXDOMAIN
            values = by_type.get(rrtype)
            if values is None and "CNAME" in by_type:
                name = by_type["CNAME"][0]
                continue
            if values is None:
                values = by_type.get("*")
                if values is None:
                    return NODATA
            failure = next((_FAILURES[value] for value in values if value in _FAILURES), None)
            return failure or Answer(Outcome.OK, tuple(values))
        return _LOOP


class ZoneResolver:
    """The port ``Resolver`` over a zone. Nothing is at hand: each question is asked, as it would be of a server."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone

    def at_hand(self, name: str, rrtype: str) -> Answer | None:  # noqa: ARG002  # the port's signature
        """Return None."""
        return None

    async def lookup(self, name: str, rrtype: str) -> Answer:
        """Return the answer."""
        return self._zone(name, rrtype)

    async def ask_again(self, name: str, rrtype: str) -> Answer:
        """Return the answer: it is the same each time."""
        return self._zone(name, rrtype)

    def forget(self, suffix: str) -> None:
        """Do nothing: there is no memory but the file."""

    def close(self) -> None:
        """There is nothing to let go of."""


def load_zone(path: Path) -> Zone:
    """Read a zone file in either form. Raises ZoneError."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ZoneError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ZoneError(f"{path}: {error}") from None
    try:
        return Zone(parse_json(text) if path.suffix == ".json" else parse_lines(text))
    except ZoneError as error:
        raise ZoneError(f"{path}: {error}") from None


# --- lines ------------------------------------------------------------------------------------------------------

_LINE = re.compile(r"(\S+)\s+(?:(?:IN|\d+[smhdw]?)\s+){0,2}(\S+)\s+(\S.*)", re.IGNORECASE)
_NO_NAME = re.compile(r"IN|\d+[smhdw]?", re.IGNORECASE)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*')
_ESCAPE = re.compile(r"\\([0-9]{3}|.)", re.ASCII)
_TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*"|[^\s"();]+)|(\))|(;.*)?$)')
"""In parentheses: a word or a quoted string, what closes them, or the end of the line."""


def parse_lines(text: str) -> Iterator[Record]:
    """Yield the records of ``NAME TYPE VALUE`` lines; raises ZoneError with the number of a record's first line."""
    lines = enumerate(text.splitlines(), 1)
    following = (line for _, line in lines)
    for number, line in lines:
        written = line.strip()
        if not written or written.startswith(("#", ";")):
            continue
        try:
            yield _line_record(written, following)
        except ZoneError as error:
            raise ZoneError(f"line {number}: {error}") from None


def _line_record(line: str, following: Iterator[str]) -> Record:
    found = _LINE.fullmatch(line)
    if not found or _NO_NAME.fullmatch(found[1]):  # a name that is left out is that of the line before, with BIND
        raise ZoneError(f"found {line[:80]!r}, wanted NAME TYPE VALUE")
    name, rrtype, value = found[1], _type(found[2]), found[3]
    if value.startswith("("):
        value = _grouped(value[1:], following)
    failure = f"\0{value}"
    return Record(name, rrtype, failure if failure in _FAILURES else _checked(rrtype, _unquoted(value)))


def _grouped(first: str, following: Iterator[str]) -> str:
    """Return what stands up to a closing parenthesis, on one line (RFC 1035 5.1)."""
    words: list[str] = []
    for line in chain([first], islice(following, MAX_LINES - 1)):
        end = 0
        while token := _TOKEN.match(line, end):
            word, closes, _ = token.groups()
            end = token.end()
            if closes and line[end:].strip()[:1] not in ("", ";"):
                raise ZoneError(f"found {line[end:].strip()[:80]!r} behind the closing parenthesis")
            if closes:
                return " ".join(words)
            if not word:
                break
            words.append(word)
        else:
            raise ZoneError(f"found {line[end:].strip()[:80]!r} in parentheses, wanted words or quoted strings")
    raise ZoneError(f'found "(", and no ")" within {MAX_LINES} lines')


def _unquoted(value: str) -> str:
    """Join quoted strings (RFC 1035 5.1: a backslash escapes a character, or gives a byte in three decimal digits)."""
    if not value.startswith('"'):
        return value
    parts, end = [], 0
    while match := _QUOTED.match(value, end):
        parts.append(_ESCAPE.sub(_unescaped, match[1]))
        end = match.end()
    if end != len(value):
        raise ZoneError(f"found {value[end:][:80]!r} where a quoted string ends")
    # Escaped bytes that make up a character become one.
    return "".join(parts).encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _unescaped(match: re.Match[str]) -> str:
    if len(match[1]) == 1:
        return match[1]
    if int(match[1]) > 255:
        raise ZoneError(f"found {match[0]!r}, wanted a byte")
    return bytes([int(match[1])]).decode("utf-8", "surrogateescape")


# --- JSON -------------------------------------------------------------------------------------------------------


def parse_json(text: str) -> Iterator[Record]:
    """Yield the records of the JSON form; raises ZoneError with the name in question."""
    try:
        names = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ZoneError(f"no JSON: {error}") from None
    if not isinstance(names, dict):
        raise ZoneError('wanted {"name": [[TYPE, VALUE], ...]}')
    for name, records in names.items():
        for record in records if isinstance(records, list) else [records]:
            try:
                yield _json_record(name, record)
            except ZoneError as error:
                raise ZoneError(f"{name[:80]!r}: {error}") from None


def _json_record(name: str, record: object) -> Record:
    match record:
        case [str(rrtype), str(value)] if f"\0{value}" in _FAILURES:
            return Record(name, _type(rrtype), f"\0{value}")
        case [str(rrtype), str(value)]:
            return Record(name, _type(rrtype), _checked(_type(rrtype), value))
        case ["MX", [int(preference), str(host)]]:
            return Record(name, "MX", _checked("MX", f"{preference} {host}"))
        case [str(rrtype), [*parts]] if rrtype != "MX" and all(isinstance(part, str) for part in parts):
            return Record(name, _type(rrtype), _checked(_type(rrtype), "".join(map(str, parts))))
    raise ZoneError(f"found {str(record)[:80]!r}, wanted [TYPE, VALUE]")


# --- values -----------------------------------------------------------------------------------------------------

def _type(text: str) -> str:
    """Return a type of records, or ``*``; a word that is none would be a record that nobody ever asks for."""
    rrtype = text.upper()
    try:
        if rrtype != "*":
            dns.rdatatype.from_text(rrtype)
    except (dns.rdatatype.UnknownRdatatype, ValueError):
        raise ZoneError(f"found {text[:80]!r}, wanted a type of DNS records: A, AAAA, MX, TXT, ... or *") from None
    return rrtype


_HOST_TYPES = ("CNAME", "NS", "PTR")


def _checked(rrtype: str, value: str) -> str:
    """Return the value as ``Answer`` has it; raises ZoneError if it is none of its type."""
    if rrtype == "*":
        raise ZoneError(f"found {value[:80]!r} for all types, wanted TIMEOUT or SERVFAIL")
    if rrtype in ("A", "AAAA"):
        # A mapped IPv4 address in an AAAA record is kept: a resolver would give it, too.
        if (":" in value) != (rrtype == "AAAA") or not pack_address(value):
            raise ZoneError(f"found {value[:80]!r}, wanted an address for {rrtype}")
        return value
    if rrtype == "MX":
        preference, _, host = value.partition(" ")
        if not preference.isdecimal() or not host.strip():
            raise ZoneError(f'found {value[:80]!r}, wanted a preference and a host: "10 mail.caio.it"')
        return f"{int(preference)} {_host(host.strip())}"
    return _host(value) if rrtype in _HOST_TYPES else value


def _host(name: str) -> str:
    return name.lower().removesuffix(".")
