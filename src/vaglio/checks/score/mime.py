"""Takes a message apart into its leaves (RFC 2045 to 2049, 2183, 2231): kind, name, bytes, text, and what is odd about
it. Pure; strangers write all of it.

Any bytes are read, without an exception, in time linear in their number, and within bounds: what lies beyond is left
out and named. Python's own parser takes 29 ms for a message of 1 MB and goes as deep as it is told to; here a part is
found by its boundary and decoded when it is asked for. Its reading of parameters takes the square of the time on some.
HTML is not looked into here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from vaglio.checks.score.codings import decoded, in_charset, undo_words
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
    WRONG_KIND = "wrong-kind"
    """HTML that says to be plain text, or plain text that says to be HTML."""
    TOO_MANY_URLS = "too-many-urls"
    BAD_WORD = "bad-encoded-word"
    """An encoded word in the header that can't be decoded as it says."""
    RAW_HEADER = "raw-8bit-header"
    """Bytes in the header that are neither ASCII nor UTF-8."""


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
        return decoded(self.raw if most < 0 else self.raw[: 2 * most + 4], self.encoding)


class Content(NamedTuple):
    """A message taken apart: its leaves in their order, and what is odd."""

    parts: tuple[Part, ...]
    oddities: frozenset[Oddity]


def take_apart(headers: Sequence[Field], body: bytes) -> Content:
    """Return what a message is made of; ``body`` may have LF or CRLF at line ends, and may be cut off."""
    walk = _Walk(body)
    walk.visit(_Header(headers), 0, len(body), 0)
    return Content(tuple(walk.parts), frozenset(walk.odd))


class Text(NamedTuple):
    """The text of a part, and what was odd about its bytes."""

    text: str
    oddities: frozenset[Oddity]


def text_of(part: Part, most: int = MAX_TEXT) -> Text:
    """Return up to ``most`` characters of the text of a part, line ends as LF."""
    odd = set()
    enough = 4 * most  # bytes of a character, in any set
    whole = len(part.raw) <= 3 * enough  # each of them as =XX
    raw, well = decoded(part.raw if whole else part.raw[: 3 * enough], part.encoding)
    if whole and not well:
        odd.add(Oddity.BAD_TRANSFER)
    if b"\0" in raw:
        odd.add(Oddity.NUL)
    if part.encoding in ("", "7bit") and not raw.isascii():
        odd.add(Oddity.RAW_8BIT)
    text, known = in_charset(raw[:enough], part.charset)
    if not known and len(raw) <= enough:
        odd.add(Oddity.BAD_CHARSET)
    if len(text) > most or len(raw) > enough or not whole:
        odd.add(Oddity.TOO_MUCH_TEXT)
    return Text(text[:most].replace("\r\n", "\n"), frozenset(odd))


# --- the walk ---


class _Header:
    """Those fields of a part's header that say what it is; the first of a name counts."""

    __slots__ = ("_values",)

    def __init__(self, fields: Sequence[Field]) -> None:
        self._values: dict[bytes, str] = {}
        for name, value in fields:
            if name[:1] in b"cC" and (plain := name.rstrip(b" \t").lower()).startswith(b"content-"):
                self._values.setdefault(plain, _unfolded(value))

    @property
    def type(self) -> str:
        """The whole of Content-Type."""
        return self._values.get(b"content-type", "")

    @property
    def disposition(self) -> str:
        """The whole of Content-Disposition."""
        return self._values.get(b"content-disposition", "")

    @property
    def encoding(self) -> str:
        """The transfer encoding, in lower case."""
        value = self._values.get(b"content-transfer-encoding", "").partition(";")[0].strip().lower()
        return value if value.isascii() else "?"


def _unfolded(value: bytes) -> str:
    return value[:MAX_VALUE].replace(b"\r", b"").replace(b"\n", b"").strip().decode("utf-8", "surrogateescape")


class _Walk:
    """Goes through a message; collects leaves and oddities. Pieces of it are named by where they begin and end, so that
    no bytes are copied but those of leaves.
    """

    def __init__(self, body: bytes) -> None:
        self.parts: list[Part] = []
        self.odd: set[Oddity] = set()
        self._body = body
        self._fields = 0

    def visit(self, header: _Header, start: int, end: int, depth: int, default: str = "text/plain") -> None:
        """Take in a part, and those in it."""
        if len(self.parts) >= MAX_PARTS:
            self.odd.add(Oddity.TOO_MANY_PARTS)
            return
        kind = _kind(header.type, default)
        inner = kind.startswith("multipart/") or (kind == "message/rfc822" and header.encoding != "base64")
        if inner and depth >= MAX_DEPTH:
            self.odd.add(Oddity.TOO_DEEP)
        elif kind == "message/rfc822" and inner:
            self._visit_whole(start, end, depth + 1)
            return
        elif inner:
            of_type = parameters(header.type)
            boundary = of_type.get("boundary") or parameter(of_type, "boundary")
            pieces = self._pieces(start, end, boundary.encode("utf-8", "surrogateescape"))
            if pieces:
                # RFC 2046 5.1.5: what is in a digest is a message, unless it says something else
                of_each = "message/rfc822" if kind == "multipart/digest" else "text/plain"
                for piece in pieces:
                    self._visit_whole(*piece, depth + 1, of_each)
                return
            kind = "text/plain"  # what a reader is shown of it
        self.parts.append(_leaf(header, kind, self._body[start:end], depth))

    def _visit_whole(self, start: int, end: int, depth: int, default: str = "text/plain") -> None:
        fields, body = self._split(start, end)
        self.visit(_Header(fields), body, end, depth, default)

    def _split(self, start: int, end: int) -> tuple[list[Field], int]:
        """Return the header of a part, and where the rest begins."""
        if blank := _BLANK_LINE.match(self._body, start, end):
            return [], blank.end()
        most = min(end, start + MAX_HEADER)
        found = _HEADER_END.search(self._body, start, most)
        head, body = (found.start(), found.end()) if found else (most, most)
        return list(self._header_fields(self._body[start:head])), body

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

    def _pieces(self, start: int, end: int, boundary: bytes) -> list[tuple[int, int]]:
        """Return what stands between the boundaries (RFC 2046 5.1.1); nothing where there is none."""
        found: list[tuple[int, int]] = []
        begin = -1
        ended = False
        if boundary:
            for place, after, last in _delimiters(self._body, b"--" + boundary, start, end):
                if begin >= 0:
                    found.append((begin, _before_line_end(self._body, begin, place)))
                begin = after
                ended = last
                if last or len(found) > MAX_PARTS:
                    break
            if begin >= 0 and not ended:
                found.append((begin, end))
        if not found:
            self.odd.add(Oddity.NO_BOUNDARY)
        elif not ended:
            self.odd.add(Oddity.NO_END)
        return found


_BLANK_LINE = re.compile(rb"\r?\n")
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")


def _delimiters(body: bytes, delimiter: bytes, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """Yield where each delimiter stands at the beginning of a line, where the line behind it begins, and whether it is
    the last.
    """
    place = _find(body, delimiter, start, end)
    while place >= 0:
        line_end = body.find(b"\n", place, end)
        after = end if line_end < 0 else line_end + 1
        if place == start or body[place - 1] == _LF:
            rest = body[place + len(delimiter) : after].rstrip(b" \t\r\n")
            if rest in (b"", b"--"):  # else another boundary, of which this one is the beginning
                yield place, after, rest == b"--"
        place = _find(body, delimiter, after, end)


def _find(body: bytes, delimiter: bytes, start: int, end: int) -> int:
    """Return where a delimiter stands. Behind a part's header, base64 has no hyphen; to look for one of these takes 10
    us for 1 MB, to look for the delimiter 230.
    """
    near = min(start + _NEAR, end)
    place = body.find(delimiter, start, near)
    if place < 0 and near < end and (hyphen := body.find(b"-", max(start, near - len(delimiter)), end)) >= 0:
        place = body.find(delimiter, hyphen, end)
    return place


_NEAR = 4096


def _before_line_end(body: bytes, start: int, end: int) -> int:
    """Return where a piece ends without the line end before the delimiter, which belongs to that."""
    if end > start and body[end - 1] == _LF:
        end -= 1
        if end > start and body[end - 1] == _CR:
            end -= 1
    return end


_CR, _LF = b"\r\n"


# --- a leaf ---


def _leaf(header: _Header, kind: str, body: bytes, depth: int) -> Part:
    of_type = parameters(header.type)
    of_file = parameters(header.disposition)
    name = parameter(of_file, "filename") or parameter(of_type, "name")
    attached = header.disposition.partition(";")[0].strip().lower() == "attachment"
    charset = parameter(of_type, "charset").lower()
    return Part(kind, charset, undo_words(name)[0], attached, header.encoding, body, depth)


_KIND = re.compile(r"[!#-.0-:<-~]+/[!#-.0-:<-~]+")


def _kind(value: str, default: str) -> str:
    """Return a type in lower case; what is none is plain text (RFC 2045 5.2), as readers have it."""
    if not value:
        return default
    found = _KIND.match(value)
    return found[0].lower() if found else "text/plain"


# --- parameters ---

_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*(?:"((?>(?:[^"\\]|\\.)*))"?|([^;]*))', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SECTIONS = 100


def parameters(value: str) -> dict[str, str]:
    """Return the parameters of a field as they are written, by name in lower case; the first of a name counts."""
    found: dict[str, str] = {}
    for name, quoted, plain in _PARAMETER.findall(value) if ";" in value else ():
        found.setdefault(name.lower(), _ESCAPED.sub(r"\1", quoted) if quoted else plain.strip())
    return found


def parameter(found: Mapping[str, str], name: str) -> str:
    """Return a parameter, RFC 2231 undone: the extended form before the plain one; "" where there is none."""
    if value := found.get(f"{name}*"):
        return _extended(*_with_charset(value))
    if value := found.get(name, ""):
        return _in_text(value.encode("utf-8", "surrogateescape"))
    return _joined(found, name)


def _joined(found: Mapping[str, str], name: str) -> str:
    """Return a parameter that comes in numbered sections (RFC 2231 3 and 4.1)."""
    charset, pieces = "", []
    for number in range(_SECTIONS):
        section = f"{name}*{number}"
        if (value := found.get(f"{section}*")) is not None:
            if not number:
                charset, value = _with_charset(value)
            pieces.append(value)
        elif (value := found.get(section)) is not None:
            pieces.append(value.replace("%", "%25"))
        else:
            break
    return _extended(charset, "".join(pieces))


def _with_charset(value: str) -> tuple[str, str]:
    """Return the character set of an extended value, and the rest of it: charset'language'rest."""
    charset, quote, rest = value.partition("'")
    return (charset, rest.partition("'")[2]) if quote else ("", value)


def _extended(charset: str, text: str) -> str:
    return _in_text(unquote_to_bytes(text.encode("utf-8", "surrogateescape")), charset.strip().lower())


def _in_text(raw: bytes, charset: str = "") -> str:
    return in_charset(raw, charset)[0]
