"""A message is read as a reader sees it, whatever stands in it, and within bounds."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.checks.score.growth import in_proportion
from vaglio.checks.score.mime import Oddity
from vaglio.checks.score.reading import MAX_HTML, MAX_TEXT, MAX_VALUE, Link, Mailbox, Reading, mailbox_of, read_message
from vaglio.examination import Field
from vaglio.milter.replay import read

DATA = Path(os.environ.get("VAGLIO_DATA") or Path(__file__).parents[4] / "shared" / "data") / "mime"


def reading(text: str | bytes, size: int = 0) -> Reading:
    """Read a message that is written with LF."""
    headers, body = read(text.encode() if isinstance(text, str) else text)
    return read_message(headers, body, size or len(body))


LETTER = """\
From: "Caio" <caio@example.it>
SUBJECT: =?utf-8?q?Perch=C3=A9?= no
Received: one
Received: two
Content-Type: multipart/mixed; boundary=out

--out
Content-Type: multipart/alternative; boundary=in

--in

Ciao, guarda http://a.example.it/
--in
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

<p>Ciao, guarda <a href=3D"http://b.example.it/">qui</a><p hidden>oro</p><img src=3Dhttp://c.example.it/d.png>
--in--

--out
Content-Type: text/html; name="pagina.html"
Content-Disposition: attachment

<form action=http://d.example.it/>segreto
--out
Content-Type: application/pdf; name="http://e.example.it/f.pdf"
Content-Transfer-Encoding: base64

JVBERi0xLjQK
--out--
"""


def test_a_message_is_read_as_its_reader_sees_it() -> None:
    found = reading(LETTER)
    assert found.subject == "Perché no"
    assert found.author == Mailbox("Caio", "caio@example.it")
    assert found.values["received"] == ("one", "two")
    assert found.values["subject"] == ("Perché no",)
    assert found.text == "Ciao, guarda http://a.example.it/\nCiao, guarda qui"
    assert found.plain == ("Ciao, guarda http://a.example.it/",)
    assert [(page.shown, page.hidden, page.attached) for page in found.pages] == [
        ("Ciao, guarda qui", "oro", False), ("segreto", "", True),
    ]  # fmt: skip
    assert found.pages[1].links == (Link("http://d.example.it/", ""),)
    assert [(url.host, url.shown) for url in found.urls] == [
        ("b.example.it", "qui"), ("d.example.it", ""), ("a.example.it", ""), ("e.example.it", ""), ("c.example.it", ""),
    ]  # fmt: skip
    assert {url.domain for url in found.urls} == {"example.it"}
    assert [part.name for part in found.attachments] == ["pagina.html", "http://e.example.it/f.pdf"]
    assert len(found.parts) == 4
    assert found.oddities == frozenset()


def test_nothing_at_all_is_read_too() -> None:
    found = read_message([], b"", 0)
    assert (found.subject, found.author, found.text, found.urls) == ("", Mailbox("", ""), "", ())


@pytest.mark.parametrize(
    ("value", "mailbox"),
    [
        ("caio@example.it", ("", "caio@example.it")),
        ("<caio@example.it>", ("", "caio@example.it")),
        ("Caio <caio@example.it>, Tizio <tizio@example.it>", ("Caio", "caio@example.it")),
        ('"Caio, il <grande>" <caio@example.it>', ("Caio, il <grande>", "caio@example.it")),
        ('"Caio \\"C\\" T" <c@x.it>', ('Caio "C" T', "c@x.it")),
        ("caio@example.it (Caio)", ("Caio", "caio@example.it")),
        ("=?utf-8?q?Caio_=3Cc=40x.it=3E?= <caio@example.it>", ("Caio <c@x.it>", "caio@example.it")),
        ('"=?utf-8?b?Q2Fpbw==?=" <caio@example.it>', ("Caio", "caio@example.it")),
        ('"bank@example.com" <caio@example.it>', ("bank@example.com", "caio@example.it")),
        ('"Caio", <caio@example.it>', ("Caio", "caio@example.it")),
        ('"Caio <caio@example.it>', ("Caio", "caio@example.it")),
        ("Caio <caio@example.it", ("Caio", "caio@example.it")),
        ("Perché <caio@esempié.it>", ("Perché", "caio@esempié.it")),
        ("Caio\r\n\t<caio@example.it>", ("Caio", "caio@example.it")),
        ("Caio", ("Caio", "")),
        ("undisclosed:;", ("undisclosed:", "")),
        ("", ("", "")),
        ("<>", ("", "")),
    ],
)
def test_an_author_is_read_whatever_is_wrong_with_it(value: str, mailbox: tuple[str, str]) -> None:
    assert mailbox_of(value.encode()) == mailbox


@pytest.mark.parametrize(
    ("value", "text", "odd"),
    [
        (b" plain", "plain", set()),
        ("perché".encode(), "perché", set()),
        (b"perch\xe9", "perché", {Oddity.RAW_HEADER}),
        (b"one\r\n two\r\n\tthree", "one two\tthree", set()),
        (b"=?utf-8?q?perch=E9?=", "perché", {Oddity.BAD_WORD}),
        (b"=?nothing?q?a?=", "a", {Oddity.BAD_WORD}),
        (b"x" * 5000, "x" * MAX_VALUE, set()),
    ],
)
def test_fields_are_unfolded_and_decoded(value: bytes, text: str, odd: set[Oddity]) -> None:
    found = read_message([Field(b"Subject ", value)], b"", 0)
    assert found.values == {"subject": (text,)}
    assert found.subject == text
    assert found.oddities == odd


@pytest.mark.parametrize("begin", ["<html><b>", "\n <!DOCTYPE html><p>", "<DIV class=x>"])
def test_html_that_says_to_be_plain_text_is_read_as_a_page(begin: str) -> None:
    found = reading(f"Content-Type: text/plain\n\n{begin}ciao")
    assert (found.text, found.plain, len(found.pages)) == ("ciao", (), 1)
    assert found.oddities == {Oddity.WRONG_KIND}


def test_plain_text_that_says_to_be_html_keeps_its_lines() -> None:
    found = reading("Content-Type: text/html\n\nuno\ndue < 3\n")
    assert (found.text, found.plain, found.pages) == ("uno\ndue < 3\n", ("uno\ndue < 3\n",), ())
    assert found.oddities == {Oddity.WRONG_KIND}


def test_text_with_tags_somewhere_in_it_is_text() -> None:
    found = reading("Subject: x\n\nuse <b> for bold, <html> for all\n")
    assert (found.plain, found.pages) == (("use <b> for bold, <html> for all\n",), ())


@pytest.mark.parametrize(
    ("kind", "name"),
    [("text/html", "x"), ("application/octet-stream", "x.HTM"), ("image/svg+xml", ""), ("application/xhtml+xml", "")],
)
def test_pages_in_attachments_are_read_and_are_no_text(kind: str, name: str) -> None:
    disposition = f"attachment; filename={name}" if name else "attachment"
    found = reading(
        f"Content-Type: {kind}\nContent-Disposition: {disposition}\nContent-Transfer-Encoding: base64\n\n"
        + base64.b64encode(b"<script></script><a href=http://a.example.it>vai</a>").decode()
    )
    (page,) = found.pages
    assert (page.attached, page.shown, found.text) == (True, "vai", "")
    assert page.marks == {"script"}
    assert [url.host for url in found.urls] == ["a.example.it"]


def test_urls_of_the_subject_count_too() -> None:
    assert [url.whole for url in reading("Subject: vai su www.example.it\n\n").urls] == ["http://www.example.it"]


def test_there_is_an_end_to_text_and_to_pages() -> None:
    for header in ("", "Content-Type: text/html\n"):
        many = reading(f"Subject: x\n{header}\n<br>" + "x " * MAX_TEXT)
        assert len(many.text) <= MAX_TEXT
        assert Oddity.TOO_MUCH_TEXT in many.oddities
    part = "--x\nContent-Type: text/html\n\n<p" + " " * (MAX_HTML // 3 - 20) + ">ciao\n"
    many = reading("Content-Type: multipart/mixed; boundary=x\n\n" + part * 4 + "--x--\n")
    assert [page.shown for page in many.pages] == [""] * 4
    assert Oddity.TOO_MUCH_TEXT in many.oddities
    few = reading("Content-Type: multipart/mixed; boundary=x\n\n" + part * 3 + "--x--\n")
    assert [page.shown for page in few.pages] == ["ciao"] * 3


_BEHIND = {
    "a plain text": "Content-Type: text/plain\n\n" + "due parole " * (MAX_TEXT // 5),
    "a page": "Content-Type: text/html\n\n<p>" + "due parole " * (MAX_TEXT // 5),
    "a long style": "Content-Type: text/html\n\n<style>" + "p {color: red}\n" * (MAX_HTML // 20) + "</style>",
    "a page attached": "Content-Type: text/html\nContent-Disposition: attachment\n\n<p" + " " * MAX_HTML + ">",
}


@pytest.mark.parametrize("before", _BEHIND)
def test_what_is_long_hides_nothing_behind_it(before: str) -> None:
    found = reading(
        f"Content-Type: multipart/mixed; boundary=x\n\n--x\n{_BEHIND[before]}\n"
        "--x\nContent-Type: text/html\n\n<p>compra <a href='http://caio.it/'>qui</a></p>\n--x--\n"
    )
    assert "compra qui" in found.text
    assert "http://caio.it/" in [url.whole for url in found.urls]
    assert len(found.text) <= MAX_TEXT + 2


def test_a_style_sheet_or_comment_hides_nothing_behind_it() -> None:
    for filler in ("<style>" + "p {color: red}\n" * 40_000 + "</style>", "<!--" + "x " * 300_000 + "-->"):
        assert reading(f"Content-Type: text/html\n\n{filler}<p>compra qui").text == "compra qui"


def test_a_message_that_is_longer_than_what_was_read_says_so() -> None:
    headers, body = read(b"Subject: x\n\nciao\n")
    assert read_message(headers, body, len(body)).whole
    assert not read_message(headers, body, len(body) + 1).whole


def test_there_is_an_end_to_urls() -> None:
    many = reading("Subject: x\n\n" + " ".join(f"http://a{number}.it" for number in range(600)))
    assert len(many.urls) == 500
    assert many.oddities == {Oddity.TOO_MANY_URLS}


def test_what_was_not_read_to_its_end_is_not_odd_for_that() -> None:
    cut = LETTER.partition("JVBERi")[0]
    assert Oddity.NO_END in reading(cut).oddities
    assert reading(cut, size=10_000_000).oddities == frozenset()
    assert reading(cut, size=10_000_000).size == 10_000_000


def test_all_shared_messages_are_read() -> None:
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is not there: VAGLIO_DATA names the folder of the shared data")
    hosts = 0
    for file in sorted(DATA.glob("*/*")):
        if file.is_file() and file.suffix != ".json":
            found = reading(file.read_bytes())
            hosts += len(found.urls)
            for text in _texts(found):
                text.encode()
    assert hosts > 100


def _texts(found: Reading) -> Iterator[str]:
    """Yield all text of a message, which is to be fit for a journal."""
    yield from (found.subject, *found.author, found.text, *found.plain)
    for name, values in found.values.items():
        yield from (name, *values)
    for page in found.pages:
        yield from (page.shown, page.hidden, *page.images, *(text for link in page.links for text in link))
    for url in found.urls:
        yield from url
    for part in found.parts:
        yield from (part.kind, part.name, part.charset, part.encoding)


@given(st.binary(max_size=1500))
def test_any_bytes_are_read(raw: bytes) -> None:
    for text in _texts(reading(raw)):
        text.encode()


_PIECES = st.sampled_from([
    b"\n", b"\n\n", b"From: ", b"Subject: ", b"Content-Type: ", b"multipart/mixed; boundary=x", b"--x", b"--x--",
    b"text/html", b"text/plain", b"; charset=utf-7", b"; charset=utf-16", b"; name*=a'b'%ff", b"; name=x.html",
    b"=?utf-8?q?", b"?=", b"<", b">", b'"', b"(", b")", b"@", b",", b"\\", b"<p style='font-size:0'>", b"<a href=//",
    b"http://", b"www.",
    b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"+2AA-", b"Content-Disposition: attachment", b"%", b"message/rfc822", b"\0",
    b"&#xd800;", b"Content-Transfer-Encoding: base64", b"\x1b$B",
])  # fmt: skip


@given(st.lists(_PIECES, max_size=60).map(b"".join))
def test_any_message_made_of_what_matters_is_read(raw: bytes) -> None:
    for text in _texts(reading(raw)):
        text.encode()


_MULTIPART = b"Content-Type: multipart/mixed; boundary=x\n\n"
HOSTILE: dict[str, Callable[[int], bytes]] = {
    "boundaries": lambda size: _MULTIPART + b"--x\n" * size,
    "boundaries in one line": lambda size: _MULTIPART + b"--x" * size,
    "beginnings of boundaries": lambda size: _MULTIPART + b"--xx\n" * size,
    "header lines of a part": lambda size: _MULTIPART + b"--x\n" + b"a\n" * size,
    "parameters": lambda size: _MULTIPART + b"".join(
        b"--x\nContent-Type: text/plain" + b';"a=;' * 300 + b"\n\nx\n" for _ in range(size // 100)
    ),
    "messages in messages": lambda size: b"Content-Type: message/rfc822\n\n" * size,
    "encoded words": lambda size: b"".join(b"Subject: " + b"=?a?q?b?= " * 150 + b"\n" for _ in range(size // 100)),
    "beginnings of words": lambda size: b"".join(b"From: " + b'"=?a?q?' * 150 + b"<\n" for _ in range(size // 100)),
    "blanks": lambda size: b"Subject: x\n\n" + b" \n" * size,
    "escapes": lambda size: b"Content-Transfer-Encoding: quoted-printable\n\n" + b"= \r=" * size,
    "no base64": lambda size: b"Content-Transfer-Encoding: base64\n\n" + b"=a-" * size,
    "links": lambda size: b"Subject: x\n\n" + b"http://a.it " * size,
    "pages": lambda size: _MULTIPART + b"--x\nContent-Type: text/html\n\n<p>x\n" * (size // 10),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_time_grows_no_faster_than_the_message(name: str) -> None:
    def prepare(size: int) -> Callable[[], object]:
        headers, body = read(HOSTILE[name](size))
        return lambda: read_message(headers, body, len(body))

    assert in_proportion(prepare, 2000)
