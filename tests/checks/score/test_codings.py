"""Any bytes become text, and what is wrong with them is told."""

from __future__ import annotations

import email.header
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.checks.score.growth import in_proportion
from vaglio.checks.score.codings import decoded, in_charset, undo_words


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("nothing of it", "nothing of it"),
        ("=?utf-8?q?perch=C3=A9_no?=", "perché no"),
        ("=?UTF-8?B?cGVyY2jDqQ==?= e =?utf-8?Q?poi?=", "perché e poi"),
        ("=?utf-8?q?a?=  =?utf-8?q?b?=\t=?iso-8859-1?q?=E9?=", "abé"),
        ("=?utf-8?q?perch=C3?= =?utf-8?q?=A9?=", "perché"),
        ("=?utf-8*it?q?a?=", "a"),
        ("=?utf-8?q?a b?=", "a b"),
        ("x=?utf-8?q?a?=y", "xay"),
        ("=?utf-8?q?a?=x=?utf-8?q?b?=", "axb"),
        ("=?utf-8?q?what??=", "what?"),
        ("=?iso-8859-1?q?=93ciao=94?=", "“ciao”"),
        ("=?gb2312?B?xOO6ww==?=", "你好"),
        ("=?iso-2022-jp?b?GyRCJDMkcxsoQg==?=", "こん"),
        ("=?windows-1251?Q?=CF?=", "П"),
        ("=?utf-8?q?no end", "=?utf-8?q?no end"),
        ("=?utf-8?x?a?= =?=?", "=?utf-8?x?a?= =?=?"),
        ("=?utf-8?q?=?utf-8?q?a?=", "=?utf-8?q?a"),
    ],
)
def test_encoded_words_are_decoded_wherever_they_stand(written: str, text: str) -> None:
    assert undo_words(written) == (text, True)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("=?nothing?q?a?=", "a"),
        ("=?utf-8?q?perch=E9?=", "perché"),
        ("=?utf-8?b?Y2lhbw?=", "ciao"),
        ("=?rot13?q?pvnb?=", "pvnb"),
        ("=?base64?q?Y2lhbw?=", "Y2lhbw"),
    ],
)
def test_words_that_are_wrong_are_read_as_can_be_and_told(written: str, text: str) -> None:
    assert undo_words(written) == (text, False)


@pytest.mark.parametrize(
    "charset", ["utf-7", "utf-16", "utf-32", "hz", "iso-2022-jp", "iso-2022-kr", "big5", "gbk", "macintosh", "cp1252",
                "windows-1256", "windows-949", "x-mac-roman", "iso-8859-8-i", "koi8-r", "unknown-8bit", "windows-9999",
                "mbcs", "idna", "punycode", "hex", "zlib", "undefined", "unicode_escape", "", "utf-8", "\x00"]
)  # fmt: skip
@given(raw=st.binary(max_size=60))
def test_text_in_any_character_set_can_be_written_again(charset: str, raw: bytes) -> None:
    text, _ = in_charset(raw, charset)
    text.encode()


def test_half_a_surrogate_pair_is_no_text() -> None:
    assert in_charset(b"+2AA-", "utf-7") == ("?", True)


@given(st.text(max_size=200), st.sampled_from(["utf-8", "iso-8859-1", "koi8-r", "windows-1250"]))
def test_what_python_encodes_is_decoded(text: str, charset: str) -> None:
    plain = " ".join(text.encode(charset, "ignore").decode(charset).split())
    if plain.isprintable() and "=?" not in plain:
        written = email.header.Header(plain, charset).encode().replace("\n", "")
        assert undo_words(written)[0].split() == plain.split()


@given(st.text(max_size=200), st.lists(st.sampled_from(["=?", "?=", "?q?", "?b?", "utf-8", "=", "é", " ", "_"])))
def test_any_field_is_read(text: str, pieces: list[str]) -> None:
    for field in (text, "".join(pieces), f"=?utf-8?b?{text}?="):
        undo_words(field)[0].encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("unit", ["=?", "=?a?q?", "=?a?q?b?= ", "=?utf-8?b?Y?==?", "?="])
def test_time_grows_no_faster_than_the_field(unit: str) -> None:
    def prepare(size: int) -> Callable[[], object]:
        text = unit * size
        return lambda: undo_words(text)

    assert in_proportion(prepare, 2000)


@given(st.binary(max_size=300), st.sampled_from(["base64", "quoted-printable", "x-uuencode", "8bit", "nothing"]))
def test_any_bytes_are_decoded(raw: bytes, encoding: str) -> None:
    assert len(decoded(raw, encoding)[0]) <= len(raw) + 50
