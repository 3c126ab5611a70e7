"""A message is taken apart as its reader would see it, whatever stands in it, and within bounds."""

from __future__ import annotations

import base64
import email
import email.policy
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaglio.checks.score.mime import (
    MAX_DEPTH,
    MAX_FIELDS,
    MAX_PARTS,
    Content,
    Oddity,
    Part,
    take_apart,
    text_of,
)
from vaglio.examination import Field
from vaglio.milter.replay import read

DATA = Path(os.environ.get("VAGLIO_DATA") or Path(__file__).parents[4] / "shared" / "data") / "mime"


def shared_messages() -> Iterator[bytes]:
    """Yield the shared messages; skip the test where they are not there."""
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is not there: VAGLIO_DATA names the folder of the shared data")
    for file in sorted(DATA.glob("*/*")):
        if file.is_file() and file.suffix != ".json":
            yield file.read_bytes()


def apart(text: str | bytes) -> Content:
    """Take a message apart that is written with LF."""
    raw = text.encode() if isinstance(text, str) else text
    headers, body = read(raw)
    return take_apart(headers, body)


def only(text: str | bytes) -> Part:
    (part,) = apart(text).parts
    return part


MIXED = """\
Content-Type: multipart/mixed; boundary="a b"

what is here is shown to nobody
--a b
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain; charset=ISO-8859-15
Content-Transfer-Encoding: quoted-printable

costa 5 =A4
--inner
Content-Type: text/html

<p>costa 5
--inner--

--a b
Content-Type: application/pdf; name="=?utf-8?q?l=27offerta=2Epdf?="
Content-Disposition: attachment
Content-Transfer-Encoding: base64

JVBERi0xLjQK
--a b--
nor this
"""


def test_leaves_come_in_their_order_with_kind_name_and_bytes() -> None:
    plain, html, file = apart(MIXED).parts
    assert (plain.kind, plain.charset, plain.depth, plain.is_text) == ("text/plain", "iso-8859-15", 2, True)
    assert text_of(plain) == ("costa 5 €", frozenset())
    assert (html.kind, text_of(html).text) == ("text/html", "<p>costa 5")
    assert (file.kind, file.name, file.attached, file.is_text) == ("application/pdf", "l'offerta.pdf", True, False)
    assert file.data() == (b"%PDF-1.4\n", True)
    assert file.data(4)[0].startswith(b"%PDF")
    assert apart(MIXED).oddities == frozenset()


def test_without_mime_it_is_text() -> None:
    part = only("Subject: x\n\nCiao\nCaio\n")
    assert (part.kind, text_of(part).text) == ("text/plain", "Ciao\nCaio\n")


def test_a_message_in_a_message_is_taken_apart_too() -> None:
    inner = "Subject: inner\nContent-Type: text/html\n\n<p>x\n"
    part = only(f"Content-Type: message/rfc822\n\n{inner}")
    assert (part.kind, part.depth, text_of(part).text) == ("text/html", 1, "<p>x\n")


@pytest.mark.parametrize(
    ("header", "body", "text", "odd"),
    [
        ("text/plain", "ciao", "ciao", set()),
        ("text/plain; charset=utf-8", "perché", "perché", {Oddity.RAW_8BIT}),
        ("text/plain; charset=latin1", b"perch\xe9", "perché", {Oddity.RAW_8BIT}),
        ("text/plain", b"perch\xe9", "perché", {Oddity.RAW_8BIT}),
        ("text/plain; charset=utf-8", b"perch\xe9", "perché", {Oddity.RAW_8BIT, Oddity.BAD_CHARSET}),
        ("text/plain; charset=nothing", "ciao", "ciao", {Oddity.BAD_CHARSET}),
        ("text/plain; charset=rot13", "ciao", "ciao", {Oddity.BAD_CHARSET}),
        ("text/plain; charset=\"a\xa0b\"", "ciao", "ciao", {Oddity.BAD_CHARSET}),
        ("text/plain", "ci\0ao", "ci\0ao", {Oddity.NUL}),
        ("text/plain; charset=iso-2022-jp", b"\x1b$B$3$s\x1b(B", "こん", set()),
    ],
)  # fmt: skip
def test_text_is_decoded_and_what_is_odd_about_it_is_named(
    header: str, body: str | bytes, text: str, odd: set[Oddity]
) -> None:
    raw = body.encode() if isinstance(body, str) else body
    found = text_of(only(f"Content-Type: {header}\n\n".encode() + raw))
    assert (found.text, set(found.oddities)) == (text, odd)


@pytest.mark.parametrize(
    ("encoding", "body", "data", "well"),
    [
        ("base64", "Y2lhbw==", b"ciao", True),
        ("base64", "Y2l\n!! hbw==\n", b"ciao", True),
        ("base64", "Y2lhbw", b"ciao", False),
        ("base64", "Y2lhb", b"cia", False),
        ("BASE64 ; x=y", "Y2lhbw==", b"ciao", True),
        ("quoted-printable", "ci=61o=\n!", b"ciao!", True),
        ("quoted-printable", "100% =ZZ", b"100% =ZZ", True),
        ("x-uuencode", "ciao", b"ciao", False),
        ("x-uuencode", "begin 644 x\n$8VEA;P``\n`\nend\n", b"ciao", True),
        ("x-uuencode", "begin 644 x\n$8VEA;P``", b"ciao", False),
        ("x-unknown", "ciao", b"ciao", False),
    ],
)
def test_transfer_encodings_are_undone_as_readers_do(encoding: str, body: str, data: bytes, well: bool) -> None:
    part = only(f"Content-Transfer-Encoding: {encoding}\n\n{body}")
    assert part.data() == (data, well)
    assert (Oddity.BAD_TRANSFER in text_of(part).oddities) is not well


@pytest.mark.parametrize(
    ("body", "kinds", "odd"),
    [
        ("--x\n\none\n--x\n\ntwo\n", 2, {Oddity.NO_END}),
        ("--x\n\none\n--xy\n\ntwo\n--x--\n", 1, set()),
        ("nothing", 1, {Oddity.NO_BOUNDARY}),
        ("--x--\n", 1, {Oddity.NO_BOUNDARY}),
        (" --x\n\none\n", 1, {Oddity.NO_BOUNDARY}),
        ("--x\nno field\nContent-Type: text/html\n\none\n--x--\n", 1, {Oddity.BAD_HEADER}),
        ("--x \t\r\n\r\none\r\n--x--", 1, set()),
    ],
)
def test_boundaries_that_are_missing_or_no_boundaries(body: str, kinds: int, odd: set[Oddity]) -> None:
    found = apart(f"Content-Type: multipart/mixed; boundary=x\n\n{body}")
    assert len(found.parts) == kinds
    assert set(found.oddities) == odd


@pytest.mark.parametrize(
    ("parameter", "name"),
    [
        ('filename="x.exe"', "x.exe"),
        ("FileName = x.exe ; size=1", "x.exe"),
        ('filename="a;b\\"c.exe', 'a;b"c.exe'),
        ("filename*=utf-8''x%2Eexe", "x.exe"),
        ("filename=a.txt; filename*=iso-8859-1'it'perch%E9.exe", "perché.exe"),
        ("filename*=nothing''x%2Eexe", "x.exe"),
        ("filename*=x.exe", "x.exe"),
        ("filename*0=x%2E; filename*1=exe", "x%2Eexe"),
        ("filename*1=exe; filename*0=x.; filename*3=no", "x.exe"),
        ("filename*0*=utf-8''perch%C3; filename*1*=%A9; filename*2=.exe", "perché.exe"),
        ("filename==?utf-8?b?eC5leGU=?=", "x.exe"),
        ('filename="=?utf-8?q?x=2E?=\n =?utf-8?q?exe?="', "x.exe"),
        ("filename=perché.exe", "perché.exe"),
        ("filename=; filename", ""),
    ],
)
def test_names_of_files_come_in_any_form(parameter: str, name: str) -> None:
    assert only(f"Content-Disposition: attachment; {parameter}\n\n").name == name


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("TEXT/Html", "text/html"),
        ("text/html charset=utf-8", "text/html"),
        ("text/html;;; charset", "text/html"),
        ("html", "text/plain"),
        ("text/", "text/plain"),
        ('"text/html"', "text/plain"),
        ("text/perché", "text/perch"),
        ("", "text/plain"),
    ],
)
def test_a_type_is_read_as_readers_do(value: str, kind: str) -> None:
    assert only(f"Content-Type: {value}\n\n").kind == kind


@pytest.mark.parametrize("fill", ["x", "-", "x-"])
def test_a_boundary_is_found_wherever_it_stands(fill: str) -> None:
    for size in (0, 1, *range(4060, 4110), 9000):
        first = (fill * size)[:size] + "\n"
        found = apart(f"Content-Type: multipart/mixed; boundary=xy\n\n--xy\n\n{first}--xy\n\ntwo\n--xy--\n")
        assert [part.raw for part in found.parts] == [first[:-1].encode(), b"two"]


@pytest.mark.parametrize("boundary", ["a'b(c)", '"a b"', "perch\xe9", '"x\\"y"', "x; boundary=y"])
def test_any_boundary_is_found(boundary: str) -> None:
    plain = boundary.strip('"').partition(";")[0].replace("\\", "")
    raw = f"Content-Type: multipart/mixed; boundary={boundary}\n\n--{plain}\n\none\n--{plain}--\n".encode("latin-1")
    assert text_of(only(raw)).text == "one"


def test_bytes_that_are_no_text_are_in_no_word_of_a_part() -> None:
    raw = b"Content-Type: text/\xff; charset=\xff; name=\xff\nContent-Transfer-Encoding: \xff\n\n"
    part = only(raw)
    assert (part.kind, part.charset, part.name, part.encoding) == ("text/plain", "ÿ", "ÿ", "?")


def nested(depth: int) -> str:
    text = "\nx"
    for level in range(depth):
        text = f"Content-Type: multipart/mixed; boundary=b{level}.\n\n--b{level}.\n{text}\n--b{level}.--\n"
    return text


def test_what_goes_too_deep_is_not_followed() -> None:
    assert apart(nested(MAX_DEPTH)).oddities == frozenset()
    found = apart(nested(MAX_DEPTH + 1))
    assert found.oddities == {Oddity.TOO_DEEP}
    assert found.parts[0].depth == MAX_DEPTH
    assert Oddity.TOO_DEEP in apart(nested(2000)).oddities


def test_there_is_an_end_to_parts_and_to_fields() -> None:
    many = apart("Content-Type: multipart/mixed; boundary=x\n\n" + "--x\n\ny\n" * (2 * MAX_PARTS))
    assert len(many.parts) == MAX_PARTS
    assert Oddity.TOO_MANY_PARTS in many.oddities
    fields = "X: y\n" * (2 * MAX_FIELDS)
    assert Oddity.TOO_MANY_FIELDS in apart(f"Content-Type: multipart/mixed; boundary=x\n\n--x\n{fields}\nz\n").oddities


def test_there_is_an_end_to_text() -> None:
    found = text_of(only("\n" + "x" * 1000), 100)
    assert (found.text, found.oddities) == ("x" * 100, frozenset({Oddity.TOO_MUCH_TEXT}))


@given(st.binary(max_size=2000))
def test_any_bytes_are_read(raw: bytes) -> None:
    for part in apart(raw).parts:
        assert len(text_of(part).text) <= len(raw) + 1


_PIECES = st.sampled_from([
    b"\n", b"\n\n", b"\r\n", b"--x", b"--x--", b"--y", b"Content-Type: multipart/mixed; boundary=x",
    b"Content-Type: multipart/mixed; boundary=\"y", b"Content-Type: message/rfc822", b"Content-Type: ;;;\"\"\\",
    b"Content-Transfer-Encoding: base64", b"Content-Disposition: x; filename*1*=a'b'%ff; filename*=%", b"=?a?b?c?=",
    b"Content-Type: text/html; charset=utf-16", b"\xff\xfe", b"\0", b"Y2lhbw", b"=", b" ",
])  # fmt: skip


@given(st.lists(_PIECES, max_size=60).map(b"".join))
def test_any_message_made_of_what_matters_is_read(raw: bytes) -> None:
    for part in apart(raw).parts:
        text_of(part)
        part.data(10)


OTHERWISE = re.compile(rb"\A[ \t]|^[\w-]+[ \t]+:", re.MULTILINE)
"""Headers that Python's parser reads in another way: a blank in front, or before a colon."""


def _leaves(raw: bytes) -> list[tuple[str, bytes]]:
    """Return what Python's own parser makes of a message."""
    message = email.message_from_bytes(raw, policy=email.policy.compat32)
    found = []
    for part in message.walk():
        if not part.is_multipart():
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            found.append((part.get_content_type(), payload.replace(b"\r\n", b"\n").rstrip()))
    return found


def test_sound_messages_are_taken_apart_as_pythons_parser_does() -> None:
    compared = 0
    for raw in shared_messages():
        found = apart(raw)
        sound = not found.oddities and all(part.data()[1] for part in found.parts)
        if sound and b"message/" not in raw.lower() and not OTHERWISE.search(raw):
            ours = [(part.kind, part.data()[0].replace(b"\r\n", b"\n").rstrip()) for part in found.parts]
            # Two boundaries with nothing in between are no part to Python's parser.
            assert [one for one in ours if one[1]] == [one for one in _leaves(raw) if one[1]], raw[:400]
            compared += 1
    assert compared > 100


def test_what_is_odd_is_named_and_never_raises() -> None:
    seen: set[Oddity] = set()
    for raw in shared_messages():
        found = apart(raw)
        seen |= found.oddities
        for part in found.parts:
            seen |= text_of(part).oddities
    assert {Oddity.NO_BOUNDARY, Oddity.NO_END, Oddity.BAD_CHARSET, Oddity.BAD_TRANSFER} <= seen


def test_a_large_file_costs_no_copy_of_it_for_each_part() -> None:
    body = base64.encodebytes(bytes(300_000)).decode()
    part = only(f"Content-Type: application/zip; name=x.zip\nContent-Transfer-Encoding: base64\n\n{body}")
    assert len(part.data(100)[0]) <= 300
    assert part.data()[0] == bytes(300_000)


def test_only_the_header_says_what_a_message_is() -> None:
    assert take_apart([Field(b"X", b"y")], b"").parts == (Part("text/plain"),)
