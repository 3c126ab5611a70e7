"""Which character sets are read, and as what; that any bytes are is shown where texts of messages are read."""

from __future__ import annotations

import pytest

from vaglio.checks.charsets import in_charset, is_known


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        ("", b"caff\xc3\xa8", "caffè"),
        ("us-ascii", b"caffe", "caffe"),
        ("utf-8", b"caff\xc3\xa8", "caffè"),
        ("iso-8859-1", b"\x93caff\xe8\x94", "“caffè”"),
        ("macintosh", b"caff\x8f", "caffè"),
        ("iso-8859-8-i", b"\xf9", "ש"),
        ("windows-1251", b"\xcf", "П"),
        ("gb2312", b"\xc4\xe3", "你"),
        ("ks_c_5601-1987", b"\xc7\xd1", "한"),
    ],
)
def test_a_character_set_of_mail_is_known_and_read(charset: str, raw: bytes, text: str) -> None:
    assert is_known(charset)
    assert in_charset(raw, charset) == (text, True)


@pytest.mark.parametrize("charset", ["x-none", "rot13", "idna", "unicode_escape", "mbcs", "utf-8x", "cp9999", "\n"])
def test_what_is_no_character_set_of_mail_is_not_known(charset: str) -> None:
    assert not is_known(charset)
    assert in_charset(b"x", charset) == ("x", False)
