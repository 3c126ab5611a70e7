"""Questions and answers as bytes (RFC 1035 4.1, EDNS of RFC 6891, negative answers of RFC 2308).

The question is a template that dnspython makes once: only id, name and type differ (2 us against 88 for a message of
its own). Of an answer only what was asked for is read: the header, the records of the answer section that belong to the
name or to its aliases, and the SOA of a "no". dnspython reads whole messages into objects, which takes 50 to 100 us
against 15, and 1.7 s for 8 KiB of pointers that someone made for it. Here it reads the values of types that hold
neither an address nor a host. The tests hold what is read here against what dnspython reads.

Nothing here knows of servers, waiting or caching. What can't be read is Garbled.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TXT

from vaglio.facts import unpack_address
from vaglio.ports import NODATA, NXDOMAIN, Answer, Outcome

PAYLOAD = 1232
"""RFC 9715: larger datagrams would be fragmented."""
MAX_MESSAGE = 16_384
"""Longer answers, which only TCP can carry, are not taken."""
MAX_RECORDS = 256
MAX_CNAMES = 8
MAX_TTL = 86_400.0
MAX_NEGATIVE_TTL = 3_600.0  # RFC 2308 5: one to three hours
BRIEF_TTL = 30.0
"""For a "no" without a SOA: RFC 2308 5 would not keep it at all, and then it is asked for every mail."""

_MAX_NAME = 255
_LONGEST_TEXT = 4 * _MAX_NAME  # each byte may take four characters
_MAX_POINTERS = 127  # a name has no more labels
_IN = dns.rdataclass.IN
_A, _AAAA, _CNAME, _SOA = 1, 28, 5, 6
_TARGETS = {"CNAME": 0, "MX": 2, "NS": 0, "PTR": 0}
"""Types that hold a host's name, and where in the record it begins."""
_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_QR, _OPCODE, _AD, _RCODE = 0x8000, 0x7800, 0x0020, 0x000F
_TC = 0x02  # of the third byte
_WITHOUT_QUESTION = (1, 2, 4, 5)
"""FORMERR, SERVFAIL, NOTIMP, REFUSED may come from a server that could not even read the question."""

_HOST_NAME = re.compile(rb"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")


class Garbled(ValueError):
    """The message can't be read, or goes beyond what is taken."""


class Looped(ValueError):
    """The aliases lead back to where they began, or there are too many."""


class Found(NamedTuple):
    """What an answer says, for ``ttl`` seconds; with an ``alias`` only under which name to go on asking."""

    answer: Answer
    ttl: float
    alias: str = ""


# --- questions --------------------------------------------------------------------------------------------------


def _template() -> tuple[bytes, bytes]:
    """Return what stands before and behind the question, without the id.

    RD: the server shall go and look. AD: it shall tell whether DNSSEC vouches for the answer (RFC 6840 5.7).
    """
    message = dns.message.make_query(
        dns.name.root, "A", use_edns=0, payload=PAYLOAD, flags=dns.flags.RD | dns.flags.AD
    )
    whole = message.to_wire()
    return whole[2:12], whole[12 + len(dns.name.root.to_wire() or b"") + 4 :]


_HEAD, _OPT = _template()


def normal(name: str) -> str:
    """Return a name as it stands in the cache."""
    return name.lower().removesuffix(".")


def question(name: str, rrtype: str) -> bytes | None:
    """Return the question for a name in normal form; None for a name that can't exist (an empty label, one too long).

    Raises ValueError for a type that there isn't.
    """
    number = _number(rrtype)
    if not name or len(name) > _LONGEST_TEXT:  # the root has no mail
        return None
    text = name.encode("utf-8", "surrogatepass")
    if len(text) < _MAX_NAME - 1 and _HOST_NAME.fullmatch(text):
        labels = text.split(b".")
        if max(map(len, labels)) > 63:
            return None
        wire = b"".join([bytes((len(label),)) + label for label in labels]) + b"\0"
    else:
        try:
            wire = dns.name.from_text(name + ".").to_wire() or b""
        except (dns.exception.DNSException, UnicodeError):
            return None
    return b"%b%b\0\1" % (wire.lower(), number)


# What these import, they import now: later the daemon may have given up the right to read it.
dns.rdata.from_text(_IN, dns.rdatatype.TXT, "-")
dns.name.from_text("perché.it.")

_NUMBERS: dict[str, bytes] = {}


def _number(rrtype: str) -> bytes:
    number = _NUMBERS.get(rrtype)
    if number is None:
        try:
            number = _NUMBERS[rrtype] = struct.pack("!H", dns.rdatatype.from_text(rrtype))
        except dns.exception.DNSException as error:
            raise ValueError(f"no type of DNS records: {rrtype!r}") from error
    return number


def query(number: int, asked: bytes) -> bytes:
    """Return the whole message."""
    return b"%b%b%b%b" % (number.to_bytes(2), _HEAD, asked, _OPT)


# --- answers ----------------------------------------------------------------------------------------------------


def belongs(message: bytes, asked: bytes) -> bool:
    """Return whether a message, whose id is right, answers this question (RFC 5452 4.2)."""
    if len(message) < 12:
        return False
    _, flags, questions, *_ = _HEADER.unpack_from(message)
    if not flags & _QR or flags & _OPCODE:
        return False
    if questions == 1:
        # In the name lengths are no letters, and a first name can't be compressed: so plain bytes can be compared.
        # Type and class may look like letters: 65, HTTPS, is an A.
        end = 8 + len(asked)
        return message[12:end].lower() == asked[:-4] and message[end : end + 4] == asked[-4:]
    return questions == 0 and flags & _RCODE in _WITHOUT_QUESTION


def is_truncated(message: bytes) -> bool:
    """Return whether to ask again over TCP."""
    return bool(message[2] & _TC)


_FAILURES = {1: "garbled", 2: "servfail"}  # FORMERR: it took our question for garbage


def failure(message: bytes) -> str:
    """Return why the server could not tell: a slug as in ``Answer.why``, "" if it could."""
    code = message[3] & _RCODE
    return "" if code in (0, 3) else _FAILURES.get(code, "refused")


class _Record(NamedTuple):
    owner: bytes
    rrtype: int
    ttl: float
    start: int
    length: int


def read(message: bytes, asked: bytes, rrtype: str) -> Found:
    """Return what a message that ``belongs`` and is no ``failure`` says. Raises Garbled and Looped."""
    try:
        return _read(message, asked, rrtype)
    except (struct.error, IndexError, dns.exception.DNSException) as error:
        raise Garbled(str(error)) from error


def _read(message: bytes, asked: bytes, rrtype: str) -> Found:
    _, flags, _, answers, authorities, _ = _HEADER.unpack_from(message)
    if len(message) > MAX_MESSAGE or answers + authorities > MAX_RECORDS:
        raise Garbled("more than is taken")
    authentic, missing, number = bool(flags & _AD), bool(flags & _RCODE), int.from_bytes(asked[-4:-2])
    records, end = _section(message, 12 + len(asked), answers, asked[:-4])
    name, ttl = asked[:-4], MAX_TTL
    for _ in range(MAX_CNAMES + 1):
        here = [record for record in records if record.owner == name and record.rrtype == number]
        if here and not missing:
            values = tuple(dict.fromkeys(_value(message, record, rrtype) for record in here))
            return Found(Answer(Outcome.OK, values, authentic=authentic), min(ttl, *(record.ttl for record in here)))
        alias = next((record for record in records if record.owner == name and record.rrtype == _CNAME), None)
        if alias is None:
            break
        name, ttl = _name(message, alias.start)[0], min(ttl, alias.ttl)
    else:
        raise Looped("aliases without an end")
    soa, _ = _section(message, end, authorities, asked[:-4])
    negative = next((_negative_ttl(message, record) for record in soa if record.rrtype == _SOA), None)
    answer = NXDOMAIN if missing else NODATA
    if authentic:
        answer = answer._replace(authentic=True)
    if name != asked[:-4] and not missing and negative is None:
        return Found(answer, ttl, _host(name))  # an alias of the root, which has no records of use, ends here too
    return Found(answer, min(ttl, MAX_NEGATIVE_TTL, BRIEF_TTL if negative is None else negative))


def _section(message: bytes, position: int, count: int, asked: bytes) -> tuple[list[_Record], int]:
    """Return the records of a section, those of class IN, and where it ends."""
    records = []
    for _ in range(count):
        if message[position : position + 2] == b"\xc0\x0c":  # nearly always: the name in the question
            owner, position = asked, position + 2
        else:
            owner, position = _name(message, position)
        rrtype, rrclass, ttl, length = _RECORD.unpack_from(message, position)
        start = position + 10
        position = start + length
        if position > len(message):
            raise Garbled("a record longer than the message")
        if rrclass == _IN:
            records.append(_Record(owner, rrtype, ttl if ttl < 1 << 31 else 0, start, length))  # RFC 2181 8
    return records, position


def _negative_ttl(message: bytes, soa: _Record) -> float:
    """RFC 2308 5: the lesser of the record's TTL and its last field, MINIMUM."""
    if soa.length < 22:
        raise Garbled("a SOA that is too short")
    return min(soa.ttl, int.from_bytes(message[soa.start + soa.length - 4 : soa.start + soa.length]))


def _name(message: bytes, position: int) -> tuple[bytes, int]:
    """Return a name in small letters, without compression, and where it ends. Raises Garbled."""
    labels, total, end = [], 0, 0
    for _ in range(2 * _MAX_POINTERS + 1):
        length = message[position]
        if length >= 0xC0:
            end = end or position + 2
            target = (length & 0x3F) << 8 | message[position + 1]
            if target >= position:
                raise Garbled("a pointer that does not lead back")
            position = target
        elif length >= 0x40:
            raise Garbled("a label of no known kind")
        else:
            total += length + 1
            if total > _MAX_NAME or position + length >= len(message):
                raise Garbled("a name that is too long")
            labels.append(message[position : position + length + 1])
            position += length + 1
            if not length:
                return b"".join(labels).lower(), end or position
    raise Garbled("too many pointers in a name")


# --- values -----------------------------------------------------------------------------------------------------


def _value(message: bytes, record: _Record, rrtype: str) -> str:
    """Return a record's value as ``Answer`` has it."""
    start, length = record.start, record.length
    if record.rrtype == _A or record.rrtype == _AAAA:
        if length != (4 if record.rrtype == _A else 16):
            raise Garbled("an address of the wrong length")
        return unpack_address(message[start : start + length])
    offset = _TARGETS.get(rrtype)
    if offset is not None:
        name, end = _name(message, start + offset)
        if end != start + length:
            raise Garbled("a name that does not fill its record")
        return f"{int.from_bytes(message[start : start + 2])} {_host(name)}" if offset else _host(name)
    value = dns.rdata.from_wire(_IN, dns.rdatatype.RdataType.make(record.rrtype), message, start, length)
    if isinstance(value, dns.rdtypes.ANY.TXT.TXT):
        return b"".join(value.strings).decode("utf-8", "surrogateescape")
    return value.to_text()


def _labels(name: bytes) -> Iterator[bytes]:
    position = 0
    while length := name[position]:
        yield name[position + 1 : position + length + 1]
        position += length + 1


def _host(name: bytes) -> str:
    """Return a host's name in text form: what is no letter, digit, ``-`` or ``_`` is escaped (RFC 1035 5.1)."""
    labels = list(_labels(name))
    text = b".".join(labels)
    if _HOST_NAME.fullmatch(text) and text.count(b".") == len(labels) - 1:
        return text.decode("ascii")
    return dns.name.Name([*labels, b""]).to_text(omit_final_dot=True).removesuffix(".") if labels else ""
