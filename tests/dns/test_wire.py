"""Questions and answers as bytes: what dnspython would write and read, and bounds that it does not have."""

from __future__ import annotations

import struct
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from vaglio.dns import wire
from vaglio.dns.wire import Found, Garbled, Looped
from vaglio.ports import NODATA, Answer, Outcome

TYPES = ("A", "AAAA", "MX", "TXT", "NS", "PTR", "CNAME")
NAMES = ("a.it.", "b.it.", "c.a.it.", "Mixed.It.", r"w\.x\255\000.it.", ".", "it.")

# --- questions ---

labels = st.text("abcXYZ019-_", min_size=1, max_size=70) | st.text(min_size=1, max_size=20)


@given(st.lists(labels, max_size=12).map(".".join), st.sampled_from(TYPES), st.integers(0, 65535))
@example("x" * 63 + ".it", "A", 0)
@example(".".join(["x" * 63] * 3 + ["y" * 61]), "A", 1)
@example(".".join(["x" * 63] * 3 + ["y" * 62]), "A", 1)
@example("", "A", 1)
@settings(deadline=None)  # dnspython imports a type when it meets it
def test_a_question_is_the_one_that_dnspython_writes(name: str, rrtype: str, number: int) -> None:
    text = wire.normal(name)
    asked = wire.question(text, rrtype)
    try:
        absolute = dns.name.from_text(text + ".")
        message = dns.message.make_query(absolute, rrtype, use_edns=0, payload=1232, id=number)
    except (dns.exception.DNSException, UnicodeError):
        assert asked is None
        return
    if not text:
        assert asked is None
        return
    assert asked is not None
    message.flags = dns.flags.Flag(dns.flags.RD | dns.flags.AD)
    assert wire.query(number, asked) == message.to_wire().replace(
        absolute.to_wire() or b"", (absolute.to_wire() or b"").lower()
    )


@pytest.mark.parametrize("rrtype", ["A", "MX", "HTTPS", "TYPE90"])  # 65 and 90 look like letters
def test_an_answer_belongs_to_its_question_whatever_the_type(rrtype: str) -> None:
    asked = wire.question("a.it", rrtype)
    assert asked is not None
    assert wire.belongs(b"\0\1\x81\x80\0\1\0\0\0\0\0\0" + asked.replace(b"a", b"A"), asked)
    other = asked[:-4] + bytes([asked[-4], asked[-3] ^ 32]) + asked[-2:]
    assert not wire.belongs(b"\0\1\x81\x80\0\1\0\0\0\0\0\0" + other, asked)


# --- answers, as dnspython writes and reads them ---


class Record(NamedTuple):
    owner: str
    rrtype: str
    value: str
    ttl: int


hosts = st.sampled_from(NAMES)
texts = st.lists(st.binary(max_size=20), min_size=1, max_size=3).map(
    lambda parts: " ".join('"' + "".join(f"\\{byte:03}" for byte in part) + '"' for part in parts)
)
values = st.one_of(
    st.tuples(st.just("A"), st.ip_addresses(v=4).map(str)),
    st.tuples(st.just("AAAA"), st.ip_addresses(v=6).map(str)),
    st.tuples(st.just("MX"), st.tuples(st.integers(0, 65535), hosts).map(lambda both: f"{both[0]} {both[1]}")),
    st.tuples(st.just("TXT"), texts),
    st.tuples(st.sampled_from(("NS", "PTR", "CNAME")), hosts),
)
records = st.builds(
    lambda owner, value, ttl: Record(owner, value[0], value[1], ttl), hosts, values, st.integers(0, 200_000)
)
soas = st.builds(
    lambda owner, ttl, minimum: Record(owner, "SOA", f"ns.it. admin.it. 1 2 3 4 {minimum}", ttl),
    hosts, st.integers(0, 9000), st.integers(0, 9000),
)  # fmt: skip


def message_of(name: str, rrtype: str, rcode: int, answers: list[Record], soa: list[Record], ad: bool) -> bytes:
    query = dns.message.make_query(name, rrtype)
    reply = dns.message.make_response(query)
    reply.set_rcode(dns.rcode.Rcode(rcode))
    reply.flags |= dns.flags.AD if ad else 0
    for section, found in ((reply.answer, answers), (reply.authority, soa)):
        for record in found:
            section.append(dns.rrset.from_text(record.owner, record.ttl, "IN", record.rrtype, record.value))
    return reply.to_wire(max_size=65535)


def as_dnspython_reads(message: bytes, name: str, rrtype: str) -> tuple[str, set[str], bool]:
    """Return outcome, values and AD by dnspython's own reading: names in its form, values as the port has them."""
    reply = dns.message.from_wire(message)
    assert isinstance(reply, dns.message.QueryMessage)
    owner, kind = dns.name.from_text(name), dns.rdatatype.from_text(rrtype)
    for _ in range(wire.MAX_CNAMES + 1):
        found = reply.get_rrset(reply.answer, owner, dns.rdataclass.IN, kind)
        if found is not None and reply.rcode() == dns.rcode.NOERROR:
            return "ok", {_text(record) for record in found}, bool(reply.flags & dns.flags.AD)
        alias = reply.get_rrset(reply.answer, owner, dns.rdataclass.IN, dns.rdatatype.CNAME)
        if alias is None:
            break
        owner = alias[0].target
    else:
        return "loop", set(), False
    soa = any(rrset.rdtype == dns.rdatatype.SOA for rrset in reply.authority)
    if reply.rcode() == dns.rcode.NXDOMAIN:
        return "nxdomain", set(), bool(reply.flags & dns.flags.AD)
    if owner not in (dns.name.from_text(name), dns.name.root) and not soa:
        return "alias", {owner.canonicalize().to_text(omit_final_dot=True).removesuffix(".")}, False
    return "nodata", set(), bool(reply.flags & dns.flags.AD)


def _text(record: dns.rdata.Rdata) -> str:
    strings, exchange, target = (getattr(record, field, None) for field in ("strings", "exchange", "target"))
    if strings is not None:
        return b"".join(strings).decode("utf-8", "surrogateescape")
    host = exchange or target
    if isinstance(host, dns.name.Name):
        text = host.canonicalize().to_text(omit_final_dot=True).removesuffix(".")
        return f"{getattr(record, 'preference', '')} {text}".lstrip(" ") if exchange else text
    return record.to_text()


def has_one_alias_per_name(answers: list[Record]) -> bool:
    """Return whether the answer is well-formed: of several aliases of a name dnspython takes the last, we the first."""
    aliases = {(record.owner, record.value) for record in answers if record.rrtype == "CNAME"}
    return len(aliases) == len(dict(aliases))


def as_we_read(message: bytes, name: str, rrtype: str) -> tuple[str, set[str], bool]:
    asked = wire.question(wire.normal(name), rrtype)
    assert asked is not None
    assert wire.belongs(message, asked)
    try:
        found = wire.read(message, asked, rrtype)
    except Looped:
        return "loop", set(), False
    if found.alias:
        return "alias", {found.alias}, False
    return found.answer.outcome.value, set(found.answer.values), found.answer.authentic


@given(
    st.sampled_from(("a.it.", "c.a.it.", "mixed.it.")),
    st.sampled_from(TYPES),
    st.sampled_from((0, 3)),
    st.lists(records, max_size=8),
    st.lists(soas, max_size=1),
    st.booleans(),
)
@settings(deadline=None)  # dnspython imports a type when it meets it
def test_an_answer_is_read_as_dnspython_reads_it(
    name: str, rrtype: str, rcode: int, answers: list[Record], soa: list[Record], ad: bool
) -> None:
    assume(has_one_alias_per_name(answers))
    message = message_of(name, rrtype, rcode, answers, soa, ad)
    assert as_we_read(message, name, rrtype) == as_dnspython_reads(message, name, rrtype)


@given(st.data())
@settings(deadline=None)  # dnspython imports a type when it meets it
def test_a_damaged_answer_is_garbled_or_read_as_dnspython_reads_it(data: st.DataObject) -> None:
    rrtype = data.draw(st.sampled_from(TYPES))
    answers = data.draw(st.lists(records, min_size=1, max_size=5).filter(has_one_alias_per_name))
    message = bytearray(message_of("a.it.", rrtype, 0, answers, [], False))
    asked = wire.question("a.it", rrtype)
    assert asked is not None
    start = 12 + len(asked)
    for position, byte in data.draw(
        st.lists(st.tuples(st.integers(start, len(message) - 1), st.integers(0, 255)), max_size=4)
    ):
        message[position] = byte
    del message[data.draw(st.integers(start, len(message))) :]
    try:
        found = as_we_read(bytes(message), "a.it.", rrtype)
    except Garbled:
        return
    try:
        expected = as_dnspython_reads(bytes(message), "a.it.", rrtype)
    except (dns.exception.DNSException, ValueError):
        return  # it reads all the message, we read what was asked for
    assert found == expected


@given(st.binary(max_size=200), st.sampled_from(TYPES), st.integers(0, 20), st.integers(0, 20), st.sampled_from((0, 3)))
@settings(deadline=None)  # dnspython imports a type when it meets it
def test_no_bytes_bring_it_down(body: bytes, rrtype: str, answers: int, authorities: int, code: int) -> None:
    asked = wire.question("a.it", rrtype)
    assert asked is not None
    message = struct.pack("!HHHHHH", 1, 0x8000 | code, 1, answers, authorities, 0) + asked + body
    try:
        found = wire.read(message, asked, rrtype)
    except (Garbled, Looped):
        return
    assert 0 <= found.ttl <= wire.MAX_TTL


@given(st.binary(max_size=60))
def test_no_bytes_are_taken_for_an_answer_by_mistake(message: bytes) -> None:
    asked = wire.question("a.it", "A")
    assert asked is not None
    if wire.belongs(message, asked):
        assert asked in message.lower() or wire.failure(message)


# --- hostile ones ---

ASKED = wire.question("a.it", "TXT") or b""


def hostile(body: bytes, answers: int = 1) -> bytes:
    return struct.pack("!HHHHHH", 1, 0x8000, 1, answers, 0, 0) + ASKED + body


LOOP = b"\xc0" + bytes((12 + len(ASKED),))
HUGE = b"\xc0\x0c" + struct.pack("!HHIH", 16, 1, 60, 65_280) + b"\xff" * 65_280


@pytest.mark.parametrize(
    "message",
    [
        hostile(b""),
        hostile(LOOP + bytes(10)),  # a pointer to itself
        hostile(b"\xc0\xff" + bytes(10)),  # a pointer forward
        hostile(b"\xc0" + bytes((12 + len(ASKED) + 12,)) + struct.pack("!HHIH", 16, 1, 60, 6) + b"\x01a\x02it\0"),
        hostile(b"\x41a" + bytes(10)),  # no kind of label
        hostile((b"\x01a" * 130 + b"\0") + bytes(10)),  # 260 bytes
        hostile(b"\xc0\x0c" + struct.pack("!HHIH", 16, 1, 60, 9) + b"\x01a"),  # longer than the message
        hostile(b"\xc0\x0c" + struct.pack("!HHIH", 16, 1, 60, 2) + b"\x09a"),  # a string longer than its record
        hostile(HUGE),
        hostile((b"\xc0\x0c" + struct.pack("!HHIH", 16, 1, 60, 2) + b"\x01a") * 257, 257),
        hostile(b"\xc0\x0c" + struct.pack("!HHIH", 16, 1, 60, 2) + b"\x01a", 65_535),
    ],
)
def test_what_goes_beyond_the_bounds_is_garbled(message: bytes) -> None:
    with pytest.raises(Garbled):
        wire.read(message, ASKED, "TXT")


def test_pointers_that_lead_to_pointers_are_not_followed_for_long() -> None:
    start = 12 + len(ASKED)
    chain = b"".join(
        struct.pack("!H", 0xC000 | (start + 10 + 2 * (number - 1) if number else 12)) for number in range(1, 4000)
    )
    record = b"\xc0\x0c" + struct.pack("!HHIH", 99, 1, 60, len(chain)) + chain
    last = struct.pack("!H", 0xC000 | (start + 12 + len(chain) - 2)) + struct.pack("!HHIH", 16, 1, 60, 2) + b"\x01a"
    with pytest.raises(Garbled, match="pointers"):
        wire.read(hostile(record + last * 200, 201), ASKED, "TXT")


def test_an_answer_of_the_wrong_size_for_its_type_is_garbled() -> None:
    asked = wire.question("a.it", "A")
    assert asked is not None
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 5) + bytes(5)
    with pytest.raises(Garbled):
        wire.read(struct.pack("!HHHHHH", 1, 0x8000, 1, 1, 0, 0) + asked + record, asked, "A")


def test_records_of_another_class_are_ignored() -> None:
    record = b"\xc0\x0c" + struct.pack("!HHIH", 16, 3, 60, 2) + b"\x01a"
    assert wire.read(hostile(record), ASKED, "TXT").answer == NODATA


def test_other_types_are_given_as_zone_files_have_them() -> None:
    message = message_of("a.it.", "CAA", 0, [Record("a.it.", "CAA", '0 issue "caio.it"', 60)], [], False)
    asked = wire.question("a.it", "CAA")
    assert asked is not None
    found = wire.read(message, asked, "CAA")
    assert found == Found(Answer(Outcome.OK, ('0 issue "caio.it"',)), 60)
