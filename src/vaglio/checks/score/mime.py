"""Takes a message apart into its leaves (RFC 2045 to 2049, 2183, 2231): kind, name, bytes, text, and what is odd about
it. Pure; strangers write all of it.

Any bytes are read, without an exception, in time linear in their number, and within bounds: what lies beyond is left
out and named. Python's own parser takes 29 ms for a message of 1 MB and goes as deep as it is told to; here a part is
found by its boundary and decoded when it is asked for. HTML is not looked into here.
"""

from __future__ import annotations

import binascii
import codecs
import quopri
import re
from collections.abc import Iterator, Sequence
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import collapse_rfc2231_value
from enum import StrEnum
from typing import NamedTuple

from vaglio.examination import Field

MAX_DEPTH = 30
MAX_PARTS = 1000
MAX_FIELDS = 1000
"""Of all parts together."""

MAX_HEADER = 64 * 1024
"""Bytes of the header of one part."""

MAX_VALUE = 2000
"""Characters of a field of which parameters are read."""

MAX_TEXT = 1_000_000
"""Characters of all text together."""


class Oddity(StrEnum):
    """What no usual mail program writes."""

    TOO_DEEP = "too-deep"
    TOO_MANY_PARTS = "too-many-parts"
    TOO_MANY_FIELDS = "too-many-fields"
    TOO_MUCH_TEXT = "too-much-text"
    NO_BOUNDARY = "no-boundary"
    """A multipart that names none, or one that is nowhere in it."""
    NO_END = "no-end"
    """The last boundary is missing: cut off, or never there."""
    BAD_HEADER = "bad-header"
    """A line in a part's header that is no field."""
    BAD_TRANSFER = "bad-transfer-encoding"
    """An encoding that there isn't, or bytes that it never gives."""
    BAD_CHARSET = "bad-charset"
    """A character set that there isn't, or bytes that it does not have."""
    RAW_8BIT = "raw-8bit"
    """Bytes beyond ASCII where 7bit is said."""
    NUL = "nul"


class Part(NamedTuple):
    """A leaf. ``kind`` is its type in lower case, such as text/html; ``name`` its file's name; ``attached`` whether it
    says to be an attachment; ``depth`` how many multiparts and messages it is in.
    """

    kind: str
    charset: str = ""
    name: str = ""
    attached: bool = False
    encoding: str = ""
    raw: bytes = b""
    depth: int = 0

    @property
    def is_text(self) -> bool:
        """Whether a reader is shown it as text."""
        return self.kind.startswith("text/") and not self.attached

    def data(self, most: int = -1) -> tuple[bytes, bool]:
        """Return the first bytes, decoded (all of them, for -1), and whether they were encoded as they should be."""
        return _decoded(self.raw if most < 0 else self.raw[: 2 * most + 4], self.encoding)


class Content(NamedTuple):
    """A message taken apart: its leaves in their order, and what is odd."""

    parts: tuple[Part, ...]
    oddities: frozenset[Oddity]


def take_apart(headers: Sequence[Field], body: bytes) -> Content:
    """Return what a message is made of; ``body`` may have LF or CRLF at line ends, and may be cut off."""
    walk = _Walk()
    walk.visit(_Header(headers), body, 0)
    return Content(tuple(walk.parts), frozenset(walk.odd))


class Text(NamedTuple):
    """The text of a part, and what was odd about its bytes."""

    text: str
    oddities: frozenset[Oddity]


def text_of(part: Part, most: int = MAX_TEXT) -> Text:
    """Return up to ``most`` characters of the text of a part, line ends as LF."""
    odd = set()
    raw, well = part.data()
    if not well:
        odd.add(Oddity.BAD_TRANSFER)
    if b"\0" in raw:
        odd.add(Oddity.NUL)
    if part.encoding in ("", "7bit") and not raw.isascii():
        odd.add(Oddity.RAW_8BIT)
    text, known = _in_charset(raw[: 4 * most], part.charset)
    if not known:
        odd.add(Oddity.BAD_CHARSET)
    if len(text) > most or len(raw) > 4 * most:
        odd.add(Oddity.TOO_MUCH_TEXT)
    return Text(text[:most].replace("\r\n", "\n"), frozenset(odd))


# --- the walk ---


class _Header:
    """Those fields of a part's header that say what it is."""

    __slots__ = ("_values",)

    def __init__(self, fields: Sequence[Field]) -> None:
        self._values: dict[bytes, str] = {}
        for name, value in fields:
            if name[:1] in b"cC" and (plain := name.rstrip(b" \t").lower()).startswith(b"content-"):
                self._values.setdefault(plain, _unfolded(value))

    def message(self, default: str) -> Message:
        """Return the header as Python's email has it, for its reading of parameters; ``default`` is the type where none
        is said.
        """
        found = Message()
        found.set_default_type(default)
        for name in (b"content-type", b"content-disposition"):
            if value := self._values.get(name):
                found[name.decode("ascii")] = value
        return found

    @property
    def encoding(self) -> str:
        """The transfer encoding, in lower case."""
        return self._values.get(b"content-transfer-encoding", "").partition(";")[0].strip().lower()


def _unfolded(value: bytes) -> str:
    return " ".join(value[:MAX_VALUE].decode("utf-8", "replace").split())


class _Walk:
    """Goes through a message; collects leaves and oddities."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.odd: set[Oddity] = set()
        self._fields = 0

    def visit(self, header: _Header, body: bytes, depth: int, default: str = "text/plain") -> None:
        """Take in a part, and those in it."""
        if len(self.parts) >= MAX_PARTS:
            self.odd.add(Oddity.TOO_MANY_PARTS)
            return
        message = header.message(default)
        kind = message.get_content_type()
        inner = kind.startswith("multipart/") or (kind == "message/rfc822" and header.encoding != "base64")
        if inner and depth >= MAX_DEPTH:
            self.odd.add(Oddity.TOO_DEEP)
        elif kind == "message/rfc822" and inner:
            self._visit_whole(body, depth + 1)
            return
        elif inner:
            pieces = self._pieces(body, _parameter(message, "boundary").encode("utf-8", "replace"))
            if pieces:
                # RFC 2046 5.1.5: what is in a digest is a message, unless it says something else
                of_each = "message/rfc822" if kind == "multipart/digest" else "text/plain"
                for piece in pieces:
                    self._visit_whole(piece, depth + 1, of_each)
                return
            kind = "text/plain"  # what a reader is shown of it
        self.parts.append(_leaf(message, kind, header.encoding, body, depth))

    def _visit_whole(self, raw: bytes, depth: int, default: str = "text/plain") -> None:
        fields, body = self._split(raw)
        self.visit(_Header(fields), body, depth, default)

    def _split(self, raw: bytes) -> tuple[list[Field], bytes]:
        """Return the header of a part, and the rest."""
        if raw[:1] == b"\n" or raw[:2] == b"\r\n":
            return [], raw[raw.index(b"\n") + 1 :]
        end = _HEADER_END.search(raw, 0, MAX_HEADER)
        head, body = (raw[: end.start()], raw[end.end() :]) if end else (raw[:MAX_HEADER], raw[MAX_HEADER:])
        fields = list(self._header_fields(head))
        return fields, body

    def _header_fields(self, head: bytes) -> Iterator[Field]:
        for line in _FOLD.sub(b" ", head).split(b"\n"):
            if self._fields >= MAX_FIELDS:
                self.odd.add(Oddity.TOO_MANY_FIELDS)
                return
            self._fields += 1
            name, colon, value = line.partition(b":")
            if colon and name.strip() and b" " not in name.rstrip(b" \t"):
                yield Field(name, value)
            elif line.strip():
                self.odd.add(Oddity.BAD_HEADER)

    def _pieces(self, body: bytes, boundary: bytes) -> list[bytes]:
        """Return what stands between the boundaries (RFC 2046 5.1.1); nothing where there is none."""
        found: list[bytes] = []
        start = -1
        ended = False
        if boundary:
            for place, after, last in _delimiters(body, b"--" + boundary):
                if start >= 0:
                    found.append(_without_line_end(body, start, place))
                start = after
                ended = last
                if last or len(found) > MAX_PARTS:
                    break
            if start >= 0 and not ended:
                found.append(body[start:])
        if not found:
            self.odd.add(Oddity.NO_BOUNDARY)
        elif not ended:
            self.odd.add(Oddity.NO_END)
        return found


_HEADER_END = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")


def _delimiters(body: bytes, delimiter: bytes) -> Iterator[tuple[int, int, bool]]:
    """Yield where each delimiter stands at the beginning of a line, where the line behind it begins, and whether it is
    the last.
    """
    place = body.find(delimiter)
    while place >= 0:
        end = body.find(b"\n", place)
        after = len(body) if end < 0 else end + 1
        if place == 0 or body[place - 1 : place] == b"\n":
            rest = body[place + len(delimiter) : after].rstrip(b" \t\r\n")
            if rest in (b"", b"--"):  # else another boundary, of which this one is the beginning
                yield place, after, rest == b"--"
        place = body.find(delimiter, after)


def _without_line_end(body: bytes, start: int, end: int) -> bytes:
    """Return a piece without the line end before the delimiter, which belongs to that."""
    piece = body[start:end]
    return piece.removesuffix(b"\n").removesuffix(b"\r")


# --- a leaf ---


def _leaf(message: Message, kind: str, encoding: str, body: bytes, depth: int) -> Part:
    disposition = message.get_content_disposition() or ""
    name = _parameter(message, "filename", "content-disposition") or _parameter(message, "name")
    return Part(
        kind, _parameter(message, "charset").lower(), _words(name), disposition == "attachment", encoding, body, depth
    )


def _parameter(message: Message, name: str, header: str = "content-type") -> str:
    """Return a parameter, RFC 2231 undone; "" where there is none, or none that can be read."""
    try:
        value = message.get_param(name, "", header)
        return collapse_rfc2231_value(value).strip() if value else ""
    except (ValueError, LookupError, TypeError):  # no such character set; sections of RFC 2231 that can't be sorted
        return ""


def _words(text: str) -> str:
    """Return a text with its encoded words decoded (RFC 2047), which many write into names of files, too."""
    if "=?" not in text:
        return text
    try:
        return str(make_header(decode_header(text)))
    except (ValueError, LookupError, HeaderParseError):
        return text


_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_UU = ("x-uuencode", "uuencode", "uue", "x-uue")
_PLAIN = ("", "7bit", "8bit", "binary")


def _decoded(raw: bytes, encoding: str) -> tuple[bytes, bool]:
    if encoding in _PLAIN:
        return raw, True
    if encoding == "base64":
        return _from_base64(raw)
    if encoding == "quoted-printable":
        return quopri.decodestring(raw), True  # takes anything, as readers do
    if encoding in _UU:
        return _from_uu(raw)
    return raw, False


def _from_uu(raw: bytes) -> tuple[bytes, bool]:
    """Decode what stands between "begin" and "end"."""
    lines = iter(raw.splitlines())
    if not any(line.startswith(b"begin ") for line in lines):
        return raw, False
    found: list[bytes] = []
    for line in lines:
        if line.strip() == b"end":
            return b"".join(found), True
        try:
            found.append(binascii.a2b_uu(line))
        except binascii.Error:  # some encoders write a byte too many
            size = ((line[0] - 32) & 63) if line else 0
            try:
                found.append(binascii.a2b_uu(line[: (size * 4 + 5) // 3]))
            except binascii.Error:
                break
    return b"".join(found), False


def _from_base64(raw: bytes) -> tuple[bytes, bool]:
    """Decode as readers do: what is no base64 is passed over, and a broken end is left out."""
    try:
        return binascii.a2b_base64(raw), True
    except binascii.Error:
        digits = _NOT_BASE64.sub(b"", raw)
        digits = digits[: len(digits) - (len(digits) % 4 == 1)]
        return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4)), False


_SAFE_CODECS = re.compile(r"(?:utf-?(?:7|8|16|32)(?:-?[lb]e)?|us-ascii|ascii|iso-?8859-?\d{1,2}|latin-?1|"
                          r"(?:windows-?|cp)\d{3,4}|koi8-?[rut]|big5(?:hkscs)?|gb(?:2312|k|18030)|euc-?(?:jp|kr|cn)|"
                          r"(?:shift_?jis|sjis)(?:_?2004|x0213)?|iso-?2022-?(?:jp|kr)(?:-?[123])?|tis-?620|"
                          r"mac-?\w{4,12}|hz(?:-gb-2312)?|ks_c_5601-1987|viscii|armscii-8)", re.IGNORECASE)  # fmt: skip
"""Character sets of mail; Python has other codecs, among them some that are none of text."""


def _in_charset(raw: bytes, charset: str) -> tuple[str, bool]:
    """Return bytes as text, as best can be, and whether that was without doubt."""
    if not charset or charset in ("us-ascii", "ascii", "utf-8", "utf8"):
        try:
            return raw.decode("utf-8"), True
        except UnicodeDecodeError:
            return raw.decode("windows-1252", "replace"), not charset
    if _SAFE_CODECS.fullmatch(charset):
        try:
            codec = codecs.lookup(charset).name
            return raw.decode(codec), True
        except UnicodeDecodeError:
            return raw.decode(codec, "replace"), False
        except LookupError:
            pass
    return raw.decode("utf-8", "replace"), False
