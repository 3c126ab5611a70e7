"""An HTML part as a reader sees it: text that is shown, text that is there and not seen, links, images, and what else
matters. Pure; strangers write all of it.

One pass over the tags with a stack of what is open: time is linear in the size, whatever is nested in what, and there
is no recursion. Parsers of browsers' kind (lexbor, by selectolax) build the tree that the standard says, and that takes
the square of the time: 12 s for 144 kB of tags that an attacker chose. What is done here of the standard (WHATWG HTML)
is where tags begin and end, which of them end others (``htmltags``), and how style is inherited (``htmllook``). Style
sheets are not read, only style at the tag itself (where a sheet speaks of backgrounds, no colour is taken for that of
the ground unless a tag says it); scripts are not run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import NamedTuple

from vaglio.checks.score.htmllook import PLAIN, Look, without_ground
from vaglio.checks.score.htmltags import ENDED, TAG, Kind, Reach, Tag, has_handler, read_tag, unescaped
from vaglio.checks.score.urls import joined

MAX_DEPTH = 500
"""Tags that are open at a time; what is deeper counts as beside. Browsers keep 512."""

MAX_TAGS = 25_000
"""Tags that are read one by one; of what is behind them all is text that is seen, whatever it looks like."""

MAX_LINKS = 2000
"""Links of a page that are kept, of more the first and the last ones; and images."""

MAX_TARGET = 4000
"""Characters of where a link leads."""

MAX_SHOWN = 500
"""Characters of the text of a link."""

MARKS: Mapping[str, str] = {
    "script": "a script",
    "handler": "a script in an attribute, such as onload",
    "script-link": "a link that runs a script (javascript:)",
    "svg-script": "a script within a drawing",
    "form": "a form to be filled in",
    "password": "a field for a password",
    "iframe": "a frame with another page in it",
    "object": "something to be run by a plug-in: object, embed, applet",
    "meta-refresh": "it goes to another page by itself",
    "data-link": "a link or frame with its page within itself (data:)",
    "data-image": "an image within the page itself (data:)",
    "image-map": "an image of which places are links",
    "base": "it says what its links are relative to",
    "deep": "more tags within each other than browsers take",
    "long": "more tags than are read one by one",
}
"""What a page may have beside text, links and images, by the names in ``Page.marks``."""


class Link(NamedTuple):
    """A link of an HTML part: where it leads, as written (entities undone; a relative one joined with the page's base,
    if it has one), and the text that is shown for it. Frames and what forms are sent to count as links without text.
    """

    target: str
    shown: str


class Page(NamedTuple):
    """An HTML part. ``shown`` is the text that a reader sees; ``hidden`` what is there and not seen: not displayed, of
    no or tiny size, in the colour of its ground. ``images`` are their sources; ``marks`` what else is in it that
    matters, by the names of ``MARKS``. ``attached`` says that readers have to open it first, being an attachment.
    """

    shown: str
    hidden: str
    links: tuple[Link, ...]
    images: tuple[str, ...]
    marks: frozenset[str]
    attached: bool = False


def page_of(html: str) -> Page:
    """Read a page."""
    reader = _Reader()
    reader.read(html)
    base = reader.base
    return Page(
        _lines(reader.shown),
        _lines(piece.translate(_INVISIBLE) for piece in reader.hidden),
        tuple(Link(joined(base, target), shown) if base else Link(target, shown) for target, shown in reader.links),
        tuple(joined(base, image) if base else image for image in reader.images),
        frozenset(reader.marks),
    )


def _lines(pieces: Iterable[str]) -> str:
    """Return pieces of text as lines without needless blanks."""
    return "\n".join(" ".join(words) for line in "".join(pieces).split(_BREAK) if (words := line.split()))


_INVISIBLE = dict.fromkeys((0xAD, 0x34F, 0x61C, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF))
"""Characters that take no room: senders of newsletters fill hidden lines with them, which says nothing of the text."""

_BREAK = "\x0b"  # ends a line in pieces of text, where line ends of the source are blanks


# --- the page ---

_Open = tuple[str, Look, int, int, int]
"""A tag that is open: its name, how text looks around it, then places among the open tags: the innermost scope around
it, the innermost special tag, and the next tag of its name; -1 for none.
"""

_MARKUP = re.compile("[a-z/!?]", re.IGNORECASE)


class _Reader:
    """What is read of a page so far, and which tags are open."""

    def __init__(self) -> None:
        self.shown = [_BREAK]
        self.hidden: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.images: list[str] = []
        self.marks: set[str] = set()
        self.base = ""
        self._known: dict[str, Tag] = {}  # many tags of a page are written alike
        self._open: list[_Open] = []
        self._last = dict.fromkeys(ENDED, -1)  # the innermost open tag of each name
        self._scope = self._special = -1  # and of all that are such
        self._look = PLAIN
        self._has_sheet = False
        self._link = ""  # where the open one leads
        self._link_start = 0  # the piece of text that it begins with

    def read(self, html: str) -> None:
        """Take in all of a page.

        It is cut at each "<": a tag that ends at the next ">", as nearly all do, is looked up as it is written. To
        search for each tag with an expression that knows quotes and comments takes three times as long.
        """
        pieces = html.split("<")
        self._text(pieces[0])
        place = len(pieces[0])  # of the "<" before the next piece
        done = 0  # so far the page has been read; this may lie ahead
        room = MAX_TAGS
        for piece in islice(pieces, 1, None):
            start = place
            place += 1 + len(piece)
            if start < done:
                self._text(html[done:place])
                continue
            written, closed, text = piece.partition(">")
            tag = self._tag(written) if closed else None
            if tag is not None:
                end = start + len(written) + 2
            elif _MARKUP.match(piece):
                tag, end = _tag_at(html, start)
                text = html[end:place]
                done = end
            else:
                self._text("<" + piece)
                continue
            if not (room := room - 1):
                self.marks.add("long")
                self._rest(html[start:])
                break
            if tag is not None:
                if tag.closes:
                    self._end(tag.kind)
                else:
                    self._begin(tag)
                    if tag.kind.raw:
                        done = self._raw(tag.kind, html, end)
                        continue
            self._text(text)
        self._end_link()

    def _rest(self, html: str) -> None:
        """Take in what is behind the last tag that is read by itself: nothing is hidden there."""
        for found in _HREF.finditer(html):
            self._add_link(unescaped(found[1]))
        text = _OTHER_TAG.sub(" ", _INLINE_TAG.sub("", _UNSEEN.sub(" ", html)))
        self.shown.append(unescaped(text))

    def _tag(self, written: str) -> Tag | None:
        tag = self._known.get(written)
        if tag is None and (tag := read_tag(written)):
            self._known[written] = tag
        return tag

    def _raw(self, kind: Kind, html: str, start: int) -> int:
        """Take in what has no tags in it; return where it ends."""
        assert kind.raw
        found = kind.raw.search(html, start)
        end = found.start() if found else len(html)
        if kind.name in ("textarea", "xmp"):
            self._text(html[start:end])
        elif kind.name == "style" and not self._has_sheet and "background" in html[start:end].lower():
            self._lose_ground()
        return end

    def _text(self, text: str) -> None:
        if not text:
            return
        if "&" in text:
            text = unescaped(text)
        if self._look.seen or text.isspace():
            self.shown.append(text)
        else:
            self.hidden.append(text)

    def _break(self) -> None:
        if self.shown[-1] != _BREAK:
            self.shown.append(_BREAK)
        if self.hidden and self.hidden[-1] != _BREAK:
            self.hidden.append(_BREAK)

    def _begin(self, tag: Tag) -> None:
        kind = tag.kind
        for name in kind.ends:
            if self._last[name] >= 0:
                self._end_others(kind)
                break
        if kind.line:
            self._break()
        elif kind.cell:
            self.shown.append(" ")
        if kind.holds:
            self._go_into(kind, tag.look_within(self._look))
        if tag.notable:
            self._note(tag)

    def _go_into(self, kind: Kind, look: Look) -> None:
        name, place = kind.name, len(self._open)
        if place >= MAX_DEPTH:
            self.marks.add("deep")
            return
        self._open.append((name, self._look, self._scope, self._special, self._last.get(name, -1)))
        self._last[name] = place
        self._look = look
        if kind.special:
            self._special = place
            if kind.scope:
                self._scope = place

    def _lose_ground(self) -> None:
        """Take no ground for white any more: a style sheet may have coloured it."""
        self._has_sheet = True
        self._open = [(one[0], without_ground(one[1]), *one[2:]) for one in self._open]
        self._look = without_ground(self._look)

    def _end(self, kind: Kind) -> None:
        if kind.line:
            self._break()
        elif kind.name == "a":
            self._end_link()
        place = self._last.get(kind.name, -1)
        if place >= 0 and (place == len(self._open) - 1 or place > self._around(kind.reach)):
            self._close(place)

    def _around(self, reach: Reach) -> int:
        """Return the place of the tag that the end of another does not reach through; -1 for none."""
        if reach is Reach.TABLE:
            return self._last["table"]
        if reach is Reach.ALL:
            return -1
        return self._scope if reach is Reach.SCOPE else self._special

    def _end_others(self, kind: Kind) -> None:
        """End those open tags that one of this kind ends by beginning."""
        limit = max([self._scope if kind.scoped else -1, *map(self._last.__getitem__, kind.within)])
        places = [place for name in kind.ends if (place := self._last[name]) > limit]
        if places:
            self._close(min(places))

    def _close(self, place: int) -> None:
        """End all open tags from this one on."""
        _, self._look, self._scope, self._special, _ = self._open[place]
        while len(self._open) > place:
            name, _, _, _, same = self._open.pop()
            self._last[name] = same
            if name == "a":
                self._end_link()

    def _note(self, tag: Tag) -> None:
        """Take note of where a tag leads, and of what else it means."""
        kind, attributes = tag.kind, tag.attributes
        if kind.links:
            target = next((attributes[key] for key in kind.links if attributes.get(key)), "")
            if kind.name == "a":
                self._end_link()
                self._link, self._link_start = target, len(self.shown)
            else:
                self._add_link(target)
        elif kind.image:
            for key in _SOURCES:
                if source := attributes.get(key):
                    self._add_image(source)
        if tag.odd:
            self._note_odd(kind, attributes)

    def _note_odd(self, kind: Kind, attributes: Mapping[str, str]) -> None:
        if kind.mark:
            self.marks.add(kind.mark)
        if kind.name == "input" and attributes.get("type", "").strip().lower() == "password":
            self.marks.add("password")
        elif kind.name == "meta" and attributes.get("http-equiv", "").strip().lower() == "refresh":
            self.marks.add("meta-refresh")
            self._add_link(attributes.get("content", "").partition("=")[2].strip("'\" "))
        elif kind.name == "base" and not self.base:
            self.base = attributes.get("href", "")[:MAX_TARGET]
        elif kind.name == "script" and self._last.get("svg", -1) >= 0:
            self.marks.add("svg-script")
        if has_handler(attributes):
            self.marks.add("handler")
        if "background" in attributes:
            self._add_image(attributes["background"])
        if "url(" in attributes.get("style", ""):
            for source in _STYLE_URL.findall(attributes["style"]):
                self._add_image(source)

    def _end_link(self) -> None:
        if self._link:
            shown = " ".join("".join(self.shown[self._link_start :]).split())
            self._add_link(self._link, shown[:MAX_SHOWN])
            self._link = ""

    def _add_link(self, target: str, shown: str = "") -> None:
        if not target.startswith("http"):
            begins = _BLANKS.sub("", target[:100]).lower()
            if begins.startswith("data:"):
                self.marks.add("data-link")
            elif begins.startswith(("javascript:", "vbscript:")):
                self.marks.add("script-link")
        if target:
            self.links.append((target[:MAX_TARGET], shown))
            if len(self.links) > MAX_LINKS:
                del self.links[MAX_LINKS // 2]

    def _add_image(self, source: str) -> None:
        if not source.startswith("http") and _BLANKS.sub("", source[:100])[:5].lower() == "data:":
            self.marks.add("data-image")
            source = source[:100]
        if source and len(self.images) < MAX_LINKS:
            self.images.append(source[:MAX_TARGET])


_HREF = re.compile(r"[\s\"'/](?:href|action)\s*+=\s*+[\"']?+([^\s\"'<>]++)", re.IGNORECASE)
_UNSEEN = re.compile(r"<!--[\s\S]*?(?:--!?>|\Z)|<(style|script|title)\b[\s\S]*?(?:</\1[^<>]*+>?|\Z)", re.IGNORECASE)
_INLINE_TAG = re.compile(r"</?(?:[abisu]|big|em|font|small|span|strong|tt)(?>(?:[\s/][^<>]*+)?)>", re.IGNORECASE)
_OTHER_TAG = re.compile(r"<[a-z/!?][^<>]*+>?+", re.IGNORECASE)

_SOURCES = ("src", "href", "xlink:href", "poster")
_BLANKS = re.compile(r"[\x00-\x20]+")
_STYLE_URL = re.compile(r"url\(\s*+[\"']?+([^\"')]*+)")


def _tag_at(html: str, start: int) -> tuple[Tag | None, int]:
    """Return the tag that begins there, if it is one and no comment, and where it ends, whatever it is."""
    found = TAG.match(html, start)
    assert found  # it takes anything
    slash, name, attributes = found.groups()
    return Tag(bool(slash), name, attributes) if name else None, found.end()
