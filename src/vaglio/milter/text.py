"""Header fields and replies as they go to the mail server: the one place where text of milters becomes bytes. Pure.

Nothing in a value can end its field, start another one, or make a line longer than RFC 5322 2.1.1 has it. What words a
value needs (quoted strings, comments) is for who writes it to know; 8-bit text stays what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from vaglio.text import MAX_REPLY, is_field_name, one_line

MAX_VALUE = 16_000
"""Bytes of a header value, before it is folded: what is longer is cut."""

MAX_LINE = 78
"""Bytes of a line, where there are blanks to fold at (RFC 5322 2.1.1: should)."""

MAX_WORD = 800
"""Bytes between two places to fold, blanks in front included. With the longest name a line stays below 998 bytes, which
RFC 5322 2.1.1 demands: a longer word is broken by a blank."""

_MAX_BLANKS = 64  # in a row: a longer run is shortened, lest it makes a line too long by itself
_FOLDED = re.compile(rb"\r?\n(?=[ \t])")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")  # also U+0080 to 9F, 2028, 2029
_NOT_UTF8 = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # surrogates that do not stand for a byte
_LONG_RUN = re.compile(rb"[ \t]{%d,}" % _MAX_BLANKS)
_WORD = re.compile(rb"[ \t]*[^ \t]+")

_NOT_IN_NAME = re.compile(rb"[\x00\r\n:]")

_CODE = re.compile(r"[45][0-5][0-9]")  # RFC 5321 4.2
_ENHANCED = re.compile(r"[45]\.[0-9]{1,3}\.[0-9]{1,3}")  # RFC 3463 2
_SAFE = {"4": ("4.3.0", "Please try again later"), "5": ("5.7.1", "Not accepted")}


def header_name(name: str) -> bytes:
    """Return a field's name (RFC 5322 3.6.8, at most 60 characters). Raises ValueError if no field can have it."""
    if not is_field_name(name):
        raise ValueError(f"{name[:80]!r}: want a header field's name: up to 60 printable ASCII characters, no colon")
    return name.encode()


def name_there(name: str) -> bytes:
    """Return the name of a field that a message has, as the mail server gave it: it finds the field by that, blanks
    before the colon and all. Raises ValueError for what can't be in a name at all.
    """
    raw = name.encode("utf-8", "surrogateescape")
    if not raw or _NOT_IN_NAME.search(raw):
        raise ValueError(f"{name[:80]!r}: want a header field's name, as it stands in the message")
    return raw


def header_value(value: str, name: bytes = b"") -> bytes:
    """Return a field's value, without the blank behind the colon, folded by LF and blank as libmilter wants it.

    ``name`` is that of the field: its first line has less room. A line break in front of a blank is a place to fold,
    and kept; any other one, and any control character, becomes a blank. Surrogate escapes become their bytes again.
    """
    raw = _NOT_UTF8.sub("\ufffd", value[:MAX_VALUE]).encode("utf-8", "surrogateescape")
    pieces = [_CONTROL.sub(b" ", piece).rstrip() for piece in _FOLDED.split(_cut(raw, MAX_VALUE))]
    pieces = [_LONG_RUN.sub(b" " * _MAX_BLANKS, piece) for piece in pieces if piece]
    if not pieces:
        return b""
    pieces[0] = pieces[0].lstrip()
    return b"\n".join(_lines(pieces, MAX_LINE - len(name) - 2))


def _lines(pieces: Iterable[bytes], room: int) -> Iterator[bytes]:
    """Yield lines: each piece begins one. None is blank only, since each ends with a word."""
    for piece in pieces:
        if len(piece) <= room:  # most are, and what follows takes 0.8 us for such a one, against 0.06
            yield piece
            room = MAX_LINE
            continue
        line = b""
        for word in _words(piece):
            if line and len(line) + len(word) > room:
                yield line
                line, room = word, MAX_LINE
            else:
                line += word
        yield line
        room = MAX_LINE


def _words(piece: bytes) -> Iterator[bytes]:
    """Yield the words with the blanks in front of them."""
    for word in _WORD.findall(piece):
        while len(word) > MAX_WORD:
            head = _cut(word, MAX_WORD)
            yield head
            word = b" " + word[len(head) :]
        yield word


def _cut(raw: bytes, limit: int) -> bytes:
    """Return at most ``limit`` bytes, not ending within a character of UTF-8 (RFC 3629 3: three more bytes at most)."""
    if len(raw) <= limit:
        return raw
    end = limit
    while end > limit - 3 and raw[end] & 0xC0 == 0x80:
        end -= 1
    return raw[:end]


def reply_text(code: int, enhanced: str, text: str) -> str:
    """Return a whole reply on one line: code, enhanced code, text of at most 400 bytes, which may be UTF-8.

    Only refusals and deferrals are replies: another code becomes 451, and an enhanced code of another class 4.3.0 or
    5.7.1 (RFC 3463 2: both begin with the same digit).
    """
    said = str(code) if _CODE.fullmatch(str(code)) else "451"
    safe, words = _SAFE[said[0]]
    if not _ENHANCED.fullmatch(enhanced) or enhanced[0] != said[0]:
        enhanced = safe
    return f"{said} {enhanced} {one_line(text, MAX_REPLY) or words}"


def doubled(text: str) -> str:
    """Return a reply as smfi_setreply and its like on the wire want it: ``%`` is written twice."""
    return text.replace("%", "%%")
