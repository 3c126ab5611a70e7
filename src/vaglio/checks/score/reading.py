"""A message as a scorer reads it: header fields decoded, text as a reader sees it, links, attachments. Pure.

What strangers wrote is read within bounds and without an exception; what lies beyond the bounds is left out and named
(``Oddity``). Nothing is judged here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from vaglio.checks.score.codings import in_charset, undo_words
from vaglio.checks.score.html import Link, Page, page_of
from vaglio.checks.score.mime import MAX_HEADER, Oddity, Part, take_apart, text_of
from vaglio.checks.score.urls import Url, urls_of
from vaglio.examination import Field

__all__ = ["Link", "Mailbox", "Page", "Reading", "Url", "mailbox_of", "read_message"]

MAX_TEXT = 128 * 1024
"""Characters of text that are read of a message, all parts together; each has its share. As much as rules look at."""

MAX_HTML = 1_000_000
"""Characters of HTML that are read of a message, all parts together; each has its share. As much as is read of a
message by default: no style sheet or comment is so long that what stands behind it goes unread.
"""

MAX_VALUE = 2000
"""Characters of a header field that are kept."""


class Mailbox(NamedTuple):
    """An address of a header field, with the name in front of it (decoded); either may be empty."""

    name: str
    address: str


class Reading(NamedTuple):
    """What is read of a message.

    ``fields`` is the header as it came; ``values`` its fields by name in lower case: unfolded, decoded (RFC 2047; raw
    UTF-8 as it is), at most 2,000 characters each. ``text`` is all that a reader sees as text, plain parts and pages;
    ``plain`` the plain parts alone; ``pages`` has those in attachments too, which are no part of ``text``. ``parts``
    are the leaves, ``attachments`` those with a name or that say to be one. ``size`` is that of the whole body in
    bytes, also where less of it was read. ``returned`` is the header of the message that a mail server's
    report gives back, empty for all other messages. ``whole`` is false where less than all of the body was read.
    """

    fields: Sequence[Field]
    values: Mapping[str, tuple[str, ...]]
    subject: str
    author: Mailbox
    text: str
    plain: tuple[str, ...]
    pages: tuple[Page, ...]
    urls: tuple[Url, ...]
    parts: tuple[Part, ...]
    attachments: tuple[Part, ...]
    oddities: frozenset[Oddity]
    size: int
    returned: bytes = b""
    whole: bool = True


def read_message(fields: Sequence[Field], body: bytes, size: int) -> Reading:
    """Read a message; ``body`` has its first bytes, ``size`` says how many there are."""
    content = take_apart(fields, body)
    header = _Header(fields)
    texts = _Texts()
    texts.read(content.parts)
    attachments = tuple(part for part in content.parts if part.name or part.attached)
    found = urls_of(
        [(link.target, link.shown) for page in texts.pages for link in page.links],
        _texts_with_urls(header.first("subject"), texts, attachments),
        (image for page in texts.pages for image in page.images),
    )
    odd = content.oddities | header.odd | texts.odd | (set() if found.all else {Oddity.TOO_MANY_URLS})
    return Reading(
        fields,
        header.values,
        header.first("subject"),
        mailbox_of(next((value for name, value in fields if name.strip().lower() == b"from"), b"")),
        "\n".join(texts.shown),
        tuple(texts.plain),
        tuple(texts.pages),
        found.urls,
        content.parts,
        attachments,
        odd if size <= len(body) else odd - _OF_THE_END,
        size,
        _returned(body) if header.first("content-type").lower().startswith("multipart/report") else b"",
        size <= len(body),
    )


_GIVEN_BACK = re.compile(rb"^content-type:[ \t]*(?:message/rfc822|text/rfc822-headers)\b", re.IGNORECASE | re.MULTILINE)
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


def _returned(body: bytes) -> bytes:
    """Return the header of the message in a report (RFC 6522): a walk through the parts yields but what is in it."""
    found = _GIVEN_BACK.search(body)
    start = _BLANK_LINE.search(body, found.end()) if found else None
    if start is None:
        return b""
    end = _BLANK_LINE.search(body, start.end(), start.end() + MAX_HEADER)
    return body[start.end() : end.start() if end else start.end() + MAX_HEADER]


_OF_THE_END = {Oddity.NO_END, Oddity.BAD_TRANSFER}
"""What is odd about every message that was not read to its end."""


def _texts_with_urls(subject: str, texts: _Texts, attachments: Sequence[Part]) -> Iterator[str]:
    yield subject
    yield from texts.plain
    yield from (page.shown for page in texts.pages)
    yield from (part.name for part in attachments if "://" in part.name)


# --- the header ---


class _Header:
    """The fields of a header, decoded, by name."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self.odd: set[Oddity] = set()
        found: dict[str, list[str]] = {}
        for name, value in fields:
            found.setdefault(name.decode("latin-1").strip().lower(), []).append(self._decoded(value))
        self.values: Mapping[str, tuple[str, ...]] = {name: tuple(values) for name, values in found.items()}

    def first(self, name: str) -> str:
        """Return the first field of this name; "" where there is none."""
        return self.values.get(name, ("",))[0]

    def _decoded(self, value: bytes) -> str:
        raw = _unfolded(value)
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = in_charset(raw, "")[0]
            self.odd.add(Oddity.RAW_HEADER)
        decoded, well = undo_words(text)
        if not well:
            self.odd.add(Oddity.BAD_WORD)
        return decoded[:MAX_VALUE].strip()


def _unfolded(value: bytes) -> bytes:
    value = value[: 4 * MAX_VALUE]
    return value.replace(b"\r", b"").replace(b"\n", b"") if b"\n" in value else value


_MAILBOX = re.compile(r'(?P<name>(?>(?:"(?>(?:[^"\\]|\\.)*)"|[^"<,;])*))<(?P<address>[^<>]*)>', re.DOTALL)
_BARE = re.compile(r"[^\s<>()\",;:]+@[^\s<>()\",;]+")
_COMMENT = re.compile(r"\(([^()]*)\)")


def mailbox_of(value: bytes) -> Mailbox:
    """Return the first address of a field as readers show it, whatever is wrong with it."""
    text = in_charset(_unfolded(value), "")[0][:MAX_VALUE].strip()
    if found := _MAILBOX.match(text):
        return Mailbox(_name(found["name"]), found["address"].strip())
    name, angle, rest = text.rpartition("<")
    if angle:
        return Mailbox(_name(name), rest.partition(">")[0].strip())
    bare, comment = _BARE.search(text), _COMMENT.search(text)
    if bare:
        return Mailbox(_name(comment[1]) if comment else "", bare[0])
    return Mailbox(_name(text), "")


def _name(text: str) -> str:
    """Return a display name without its quotes, decoded: many put encoded words into quotes, too."""
    text = text.strip(" \t,;")
    if text[:1] == '"':
        text = text.strip('"').replace('\\"', '"').replace("\\\\", "\\")
    return undo_words(text)[0].strip()


# --- the text ---

_PAGES = ("text/html", "application/xhtml+xml", "image/svg+xml", "text/x-html")
_PAGE_FILES = (".html", ".htm", ".xhtml", ".xht", ".shtml", ".svg", ".hta")
_BEGINS = re.compile(
    r"\s*+<(?:!doctype\s+html|(?:html|head|body|title|meta|style|table|center|font|div|p|br|a|img)[\s/>])",
    re.IGNORECASE,
)
_HAS_TAG = re.compile(r"<[a-z!/?]", re.IGNORECASE)


def _is_page(part: Part) -> bool:
    return part.kind in _PAGES or part.name.lower().endswith(_PAGE_FILES)


class _Texts:
    """Reads the texts of parts, those first that are shown, within the bounds for all of them together. What is left
    of these is shared evenly by the parts that are still to be read, so that a long one in front hides none behind it.
    """

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.plain: list[str] = []
        self.pages: list[Page] = []
        self.odd: set[Oddity] = set()
        self._room = MAX_TEXT
        self._html = MAX_HTML
        self._left = 1  # parts to be read, with the one at hand

    def read(self, parts: Sequence[Part]) -> None:
        """Take in all parts: text that a reader is shown, and pages in attachments."""
        shown = [part for part in parts if part.is_text]
        pages = [part for part in parts if not part.is_text and _is_page(part)]
        for some in (shown, pages):
            for read, part in enumerate(some):
                self._left = len(some) - read
                self._read(part)

    def _read(self, part: Part) -> None:
        if _is_page(part):
            text = self._text(part, self._html)
            if not part.is_text:
                self._page(text, attached=True)
            elif _HAS_TAG.search(text) or not text.strip():
                self._page(text)
            else:
                self.odd.add(Oddity.WRONG_KIND)
                self._plain(text)
        else:
            text = self._text(part, self._room)
            if _BEGINS.match(text):
                self.odd.add(Oddity.WRONG_KIND)
                self._page(text)
            else:
                self._plain(text)

    def _text(self, part: Part, room: int) -> str:
        text, odd = text_of(part, room // self._left)
        self.odd |= odd
        return text

    def _plain(self, text: str) -> None:
        self.plain.append(self._fitted(text))
        self.shown.append(self.plain[-1])

    def _page(self, html: str, attached: bool = False) -> None:
        html = self._cut(html, self._html // self._left)
        self._html -= len(html)
        page = page_of(html)
        if attached:
            self.pages.append(page._replace(attached=True))
            return
        self.pages.append(page._replace(shown=self._fitted(page.shown)))
        self.shown.append(self.pages[-1].shown)

    def _fitted(self, text: str) -> str:
        text = self._cut(text, self._room // self._left)
        self._room -= len(text)
        return text

    def _cut(self, text: str, room: int) -> str:
        if len(text) > room:
            self.odd.add(Oddity.TOO_MUCH_TEXT)
        return text[:room]
