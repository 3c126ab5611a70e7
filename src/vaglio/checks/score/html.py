"""An HTML part as a reader sees it: text that is shown, text that is there and not seen, links, images, and what else
matters. Pure; strangers write all of it.

One pass over the tags with a stack of what is open: time is linear in the size, whatever is nested in what, and there
is no recursion. Parsers of browsers' kind (lexbor, by selectolax) build the tree that the standard says, and that takes
the square of the time: 12 s for 144 kB of tags that an attacker chose. What is done here of the standard (WHATWG HTML)
is where tags begin and end, which of them end others, and how style is inherited. Style sheets are not read, only style
at the tag itself (where a sheet speaks of backgrounds, no colour is taken for that of the ground unless a tag says it);
scripts are not run.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from html import unescape
from typing import NamedTuple

from vaglio.checks.score.urls import joined

MAX_DEPTH = 500
"""Tags that are open at a time; what is deeper counts as beside. Browsers keep 512."""

MAX_TAGS = 25_000
"""Tags that are read; the rest of a page with more is left out."""

MAX_LINKS = 2000
"""Links of a page that are kept, and images."""

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
    "long": "more tags than are read",
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
    lines = (" ".join(line.split()) for line in "".join(pieces).split(_BREAK))
    return "\n".join(line for line in lines if line)


_INVISIBLE = dict.fromkeys((0xAD, 0x34F, 0x61C, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF))
"""Characters that take no room: senders of newsletters fill hidden lines with them, which says nothing of the text."""

_BREAK = "\x0b"  # ends a line in pieces of text, where line ends of the source are blanks


# --- tags ---

_TAG = re.compile(
    r"""
    ((?: [^<]++ | <(?![a-z/!?]) )*+)                    # text
    (?: <(/?)([a-z][^\s/>]*+)                           # a tag, and its attributes
        ((?: [^>=]++ | =\s*+ (?: "[^"]*+" | '[^']*+' | [^\s>"'][^\s>]*+ )?+ )*+)>
      | <!-- (?: -?> | (?: [^-]++ | -(?!-!?>) )*+ (?: --!?> | \Z ) )
      | </?(?![a-z/]) [!?]?+ [^>]*+ (?: > | \Z )         # what browsers take for a comment
      | <[\s\S]*+                                       # broken off: browsers show nothing of it
      | \Z )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_ATTRIBUTE = re.compile(r"""([^\s/>=]++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>]*+)))?+""")
_VOID = frozenset(("area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "image", "input",
                   "keygen", "link", "meta", "param", "source", "track", "wbr"))  # fmt: skip
_RAW = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("script", "style", "title", "iframe", "noembed", "noframes", "textarea", "xmp")
}
"""Tags with no tags in them; of the text, too, nobody sees any, but in the last two."""

_BLOCKS = frozenset(("address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog", "dir",
                     "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4",
                     "h5", "h6", "head", "header", "hr", "html", "legend", "li", "listing", "main", "menu", "nav", "ol",
                     "option", "p", "pre", "section", "select", "summary", "table", "tbody", "tfoot", "thead", "tr",
                     "ul", "xmp"))  # fmt: skip
"""What begins and ends a line."""

_CELLS = frozenset(("td", "th", "caption"))
_SCOPE = frozenset(("table", "td", "th", "caption", "object", "marquee", "applet", "template", "html", "svg"))
"""What no end tag of something outside reaches through."""

_FORMATTING = frozenset(("a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt",
                         "u"))  # fmt: skip
_SPECIAL = _BLOCKS | _SCOPE
"""What no end tag of a tag such as span reaches through."""

_OF_TABLE = frozenset(("table", "tbody", "thead", "tfoot", "tr", "td", "th", "caption"))
_ROWS = ("tr", "td", "th", "caption")
_ENDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    **{name: (("p",), tuple(_SCOPE)) for name in _BLOCKS - _OF_TABLE - {"option", "select", "body", "head", "html"}},
    "table": (("p",), tuple(_SCOPE)),
    "li": (("li", "p"), ("ul", "ol", "menu", *_SCOPE)),
    "dt": (("dt", "dd", "p"), ("dl", *_SCOPE)),
    "dd": (("dt", "dd", "p"), ("dl", *_SCOPE)),
    "option": (("option",), ("select",)),
    "tr": (_ROWS, ("table",)),
    "td": (("td", "th", "caption"), ("table", "tr")),
    "th": (("td", "th", "caption"), ("table", "tr")),
    **dict.fromkeys(("tbody", "thead", "tfoot"), (("tbody", "thead", "tfoot", *_ROWS), ("table",))),
    "a": (("a",), tuple(_SCOPE)),
}
"""Which open tags a tag ends by beginning, and which of those around them keep them open."""


# --- style ---

_Colour = tuple[int, int, int]


class _Look(NamedTuple):
    """How text looks in a place. A colour that is not known is None: text over an image, say."""

    displayed: bool = True
    visible: bool = True
    size: float = 16.0
    colour: _Colour | None = (0, 0, 0)
    ground: _Colour | None = (255, 255, 255)

    @property
    def seen(self) -> bool:
        """Whether a reader sees text here."""
        if not self.displayed or not self.visible or self.size <= _TINY:
            return False
        return self.colour is None or self.ground is None or not _alike(self.colour, self.ground)


_PLAIN = _Look()
_TINY = 2.0
"""Pixels of the height of letters up to which nobody reads them."""

_ALIKE = 16
"""Steps, of 255, by which red, green and blue may differ for a text to be lost on its ground."""

_LINK_COLOUR = (0, 0, 238)


def _alike(one: _Colour, other: _Colour) -> bool:
    return (
        abs(one[0] - other[0]) <= _ALIKE and abs(one[1] - other[1]) <= _ALIKE and abs(one[2] - other[2]) <= _ALIKE
    )


def _look_within(look: _Look, name: str, attributes: Mapping[str, str]) -> _Look:
    """Return how text looks within a tag, by how it looks around it."""
    if name == "a" and "href" in attributes:
        look = look._replace(colour=_LINK_COLOUR)
    if "hidden" in attributes:
        look = look._replace(displayed=False)
    if "color" in attributes:
        look = look._replace(colour=_colour(attributes["color"], look.ground))
    if name == "font" and "size" in attributes:
        look = look._replace(size=_PLAIN.size)  # the smallest, size=1, is 10 pixels
    if name == "body" and "text" in attributes:
        look = look._replace(colour=_colour(attributes["text"], look.ground))
    if "bgcolor" in attributes:
        look = look._replace(ground=_colour(attributes["bgcolor"], look.ground))
    if "background" in attributes:
        look = look._replace(ground=None)
    if style := attributes.get("style"):
        look = _styled(look, _declared(style[:_MAX_STYLE]))
    return look


_MAX_STYLE = 1000
_DECLARATION = re.compile(
    r"(?:^|[;{\s])(display|visibility|font-size|font|opacity|color|background|background-color|(?:max-)?(?:width|height)"
    r"|overflow|text-indent|left|top|position)\s*+:\s*+([^;]*)",
    re.IGNORECASE,
)
_CSS_COMMENT = re.compile(r"/\*(?:[^*]++|\*(?!/))*+(?:\*/|\Z)")


@functools.lru_cache(maxsize=1024)
def _declared(style: str) -> Mapping[str, str]:
    """Return what a style says of those properties that can hide text; the last of a name counts."""
    if "/*" in style:
        style = _CSS_COMMENT.sub("", style)
    return {
        name.lower(): value.partition("!")[0].strip().lower() for name, value in _DECLARATION.findall(style)
    }


def _styled(look: _Look, style: Mapping[str, str]) -> _Look:
    if not style:
        return look
    if look.displayed and _takes_no_room(style):
        look = look._replace(displayed=False)
    if visibility := style.get("visibility"):
        look = look._replace(visible=visibility not in ("hidden", "collapse"))
    if size := style.get("font-size") or style.get("font"):
        look = look._replace(size=_pixels(size, look.size))
    ground = style.get("background-color") or style.get("background")
    if ground:
        look = look._replace(ground=_ground(ground, look.ground))
    if style.get("background", "").startswith("url("):
        look = look._replace(ground=None)
    if colour := style.get("color"):
        look = look._replace(colour=_colour(colour, look.ground))
    return look


_FAR = 500


def _takes_no_room(style: Mapping[str, str]) -> bool:
    """Whether what has this style is nowhere to be seen, whatever is in it."""
    if style.get("display") == "none" or _pixels(style.get("opacity", "1"), 1.0) <= 0.05:
        return True
    if style.get("overflow") == "hidden" and any(
        name in style and _pixels(style[name], 16.0) <= 1 and style[name][:1].isdigit()
        for name in ("width", "height", "max-width", "max-height")
    ):
        return True
    away = ("text-indent", "left", "top") if style.get("position") in ("absolute", "fixed") else ("text-indent",)
    return any(style[name].startswith("-") and _pixels(style[name][1:], 16.0) >= _FAR for name in away if name in style)


_SIZE = re.compile(r"(?:^|\s)(\d{0,6}(?:\.\d{0,6})?)(px|pt|pc|em|rem|ex|in|cm|mm|%)?(?=[\s/]|$)")
_UNITS = {"": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "rem": 16.0, "in": 96.0, "cm": 37.8, "mm": 3.78}
_RELATIVE = {"em": 1.0, "ex": 0.5, "%": 0.01}
_WORDS = {"xx-small": 9.0, "x-small": 10.0, "small": 13.0, "medium": 16.0, "large": 18.0, "x-large": 24.0}


def _pixels(text: str, outer: float) -> float:
    """Return a length; ``outer``, of which relative ones are a part, also stands for what can't be read."""
    if (word := _WORDS.get(text)) is not None:
        return word
    found = _SIZE.search(text)
    if found is None or not found[1].strip("."):
        return outer
    number, unit = float(found[1]), found[2] or ""
    return number * (outer * _RELATIVE[unit] if unit in _RELATIVE else _UNITS[unit])


_NAMED: Mapping[str, _Colour] = {
    "white": (255, 255, 255), "black": (0, 0, 0), "red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255),
    "yellow": (255, 255, 0), "gray": (128, 128, 128), "grey": (128, 128, 128), "silver": (192, 192, 192),
    "maroon": (128, 0, 0), "purple": (128, 0, 128), "fuchsia": (255, 0, 255), "magenta": (255, 0, 255),
    "lime": (0, 255, 0), "olive": (128, 128, 0), "navy": (0, 0, 128), "teal": (0, 128, 128), "aqua": (0, 255, 255),
    "cyan": (0, 255, 255), "orange": (255, 165, 0), "snow": (255, 250, 250), "ivory": (255, 255, 240),
    "ghostwhite": (248, 248, 255), "whitesmoke": (245, 245, 245), "floralwhite": (255, 250, 240),
    "mintcream": (245, 255, 250), "azure": (240, 255, 255), "lightyellow": (255, 255, 224), "seashell": (255, 245, 238),
    "gainsboro": (220, 220, 220), "lightgrey": (211, 211, 211), "lightgray": (211, 211, 211),
    "darkblue": (0, 0, 139), "darkred": (139, 0, 0), "darkgreen": (0, 100, 0), "brown": (165, 42, 42),
    "pink": (255, 192, 203), "beige": (245, 245, 220), "gold": (255, 215, 0),
}  # fmt: skip
_HEX = re.compile(r"#?([0-9a-f]{8}|[0-9a-f]{6}|[0-9a-f]{3,4})")
_RGB = re.compile(r"rgba?\(\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})(?:[\s,/]+(\d{0,3}\.?\d{1,8})(%?))?\s*\)")
_FAINT = 0.05
"""Opacity up to which a colour is none."""


def _colour(text: str, ground: _Colour | None) -> _Colour | None:
    """Return a colour, that of its ground where it is see-through; None where it can't be read."""
    text = text.strip().lower()
    if (named := _NAMED.get(text)) is not None:
        return named
    if text == "transparent":
        return ground
    if found := _HEX.fullmatch(text):
        digits = found[1] if len(found[1]) > 4 else "".join(digit * 2 for digit in found[1])
        red, green, blue, *opacity = bytes.fromhex(digits)
        return ground if opacity and opacity[0] <= 255 * _FAINT else (red, green, blue)
    if found := _RGB.fullmatch(text):
        if found[4] and float(found[4]) <= _FAINT * (100 if found[5] else 1):
            return ground
        return int(found[1]), int(found[2]), int(found[3])
    return None


def _ground(text: str, ground: _Colour | None) -> _Colour | None:
    """Return the colour of a background; None where it is an image, or can't be read."""
    if "url(" in text or "gradient(" in text:
        return None
    if text in ("none", "inherit", "initial", "unset", "transparent"):
        return ground
    return _colour(text if "(" in text else text.partition(" ")[0], ground)


# --- the page ---


class _Reader:
    """What is read of a page so far, and which tags are open."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.hidden: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.images: list[str] = []
        self.marks: set[str] = set()
        self.base = ""
        self._known = {"": _Said({}, False, False)}  # many tags of a page have the same attributes
        self._names: list[str] = []  # of open tags
        self._looks: list[_Look] = []  # around each of them
        self._places: dict[str, list[int]] = {}  # of the open tags of a name, in these two; and of those of a kind:
        self._scopes: list[int] = []
        self._specials: list[int] = []
        self._look = _PLAIN
        self._seen = True
        self._has_sheet = False
        self._link = ""  # where the open one leads
        self._link_start = 0  # the piece of text that it begins with

    def read(self, html: str) -> None:
        """Take in all of a page."""
        place, end, room = 0, len(html), MAX_TAGS
        while place < end and (found := _TAG.match(html, place)):
            text, slash, name, attributes = found.groups()
            place = found.end()
            if not (room := room - 1):
                self.marks.add("long")
                break
            if text:
                self._text(text)
            if not name:
                continue
            name = name.lower()
            if slash:
                self._end(name)
                continue
            self._begin(name, attributes)
            if name in _RAW:
                raw = _RAW[name].search(html, place)
                inside, place = place, raw.start() if raw else end
                if name in ("textarea", "xmp"):
                    self._text(html[inside:place])
                elif name == "style" and not self._has_sheet and "background" in html[inside:place].lower():
                    self._lose_ground()
        self._end_link()

    def _text(self, text: str) -> None:
        if "&" in text:
            text = _unescaped(text)
        if self._seen or text.isspace():
            self.shown.append(text)
        else:
            self.hidden.append(text)

    def _break(self) -> None:
        self.shown.append(_BREAK)
        if self.hidden and self.hidden[-1] != _BREAK:
            self.hidden.append(_BREAK)

    def _begin(self, name: str, written: str) -> None:
        if (ends := _ENDS.get(name)) is not None:
            self._end_others(*ends)
        if name in _BLOCKS or name == "br":
            self._break()
        elif name in _CELLS:
            self.shown.append(" ")
        said = self._known.get(written)
        if said is None:
            said = self._known[written] = _Said.of(written)
        if name not in _VOID:
            self._open(name, _look_within(self._look, name, said.attributes) if said.of_look else self._look)
        if said.of_note or name in _NOTED:
            self._note(name, said.attributes)

    def _open(self, name: str, look: _Look) -> None:
        place = len(self._names)
        if place >= MAX_DEPTH:
            self.marks.add("deep")
            return
        self._names.append(name)
        self._looks.append(self._look)
        self._places.setdefault(name, []).append(place)
        if name in _SPECIAL:
            self._specials.append(place)
            if name in _SCOPE:
                self._scopes.append(place)
        self._turn_to(look if name != "template" else look._replace(displayed=False))

    def _lose_ground(self) -> None:
        """Take no ground for white any more: a style sheet may have coloured it."""
        self._has_sheet = True
        self._looks = [look._replace(ground=None) for look in self._looks]
        self._turn_to(self._look._replace(ground=None))

    def _turn_to(self, look: _Look) -> None:
        if look is not self._look:
            self._look = look
            self._seen = look.seen

    def _end(self, name: str) -> None:
        if name in _BLOCKS or name == "br":
            self._break()
        elif name == "a":
            self._end_link()
        places = self._places.get(name)
        if not places:
            return
        if name in _OF_TABLE:
            around = self._last("table") if name != "table" else -1
        elif name in _SCOPE:
            around = -1
        else:
            around = _last_of(self._scopes if name in _SPECIAL or name in _FORMATTING else self._specials)
        if places[-1] > around:
            self._close(places[-1])

    def _end_others(self, names: tuple[str, ...], around: tuple[str, ...]) -> None:
        """End those of these names that are open, but for what is around one of those."""
        places = [place for name in names if (place := self._last(name)) >= 0]
        if places:
            limit = max(map(self._last, around))
            places = [place for place in places if place > limit]
            if places:
                self._close(min(places))

    def _last(self, name: str) -> int:
        return _last_of(self._places.get(name, ()))

    def _close(self, place: int) -> None:
        """End all open tags from this one on."""
        self._turn_to(self._looks[place])
        while len(self._names) > place:
            name = self._names.pop()
            self._looks.pop()
            self._places[name].pop()
            if name in _SPECIAL:
                self._specials.pop()
                if name in _SCOPE:
                    self._scopes.pop()
            elif name == "a":
                self._end_link()

    def _note(self, name: str, attributes: Mapping[str, str]) -> None:
        """Take note of where a tag leads, and of what else it means."""
        if name in _LINKS:
            self._note_link(name, attributes)
        elif name in _IMAGES:
            self._note_image(attributes)
        for mark in _MARKED.get(name, ()):
            self.marks.add(mark)
        if name == "input" and attributes.get("type", "").strip().lower() == "password":
            self.marks.add("password")
        elif name == "meta" and attributes.get("http-equiv", "").strip().lower() == "refresh":
            self.marks.add("meta-refresh")
            self._add_link(attributes.get("content", "").partition("=")[2].strip("'\" "))
        elif name == "base" and not self.base:
            self.base = attributes.get("href", "")[:MAX_TARGET]
        elif name == "script" and "svg" in self._places and self._places["svg"]:
            self.marks.add("svg-script")
        if any(map(_HANDLER.match, attributes)):
            self.marks.add("handler")
        if "background" in attributes:
            self._add_image(attributes["background"])
        if "url(" in attributes.get("style", ""):
            for source in _STYLE_URL.findall(attributes["style"]):
                self._add_image(source)

    def _note_link(self, name: str, attributes: Mapping[str, str]) -> None:
        target = next((attributes[key] for key in _LINKS[name] if attributes.get(key)), "")
        if name == "a":
            self._end_link()
            self._link, self._link_start = target, len(self.shown)
        elif target:
            self._add_link(target)

    def _note_image(self, attributes: Mapping[str, str]) -> None:
        for key in ("src", "href", "xlink:href", "poster"):
            if source := attributes.get(key):
                self._add_image(source)

    def _end_link(self) -> None:
        if self._link:
            shown = " ".join("".join(self.shown[self._link_start :]).split())
            self._add_link(self._link, shown[:MAX_SHOWN])
            self._link = ""

    def _add_link(self, target: str, shown: str = "") -> None:
        begins = _BLANKS.sub("", target[:100]).lower()
        if begins.startswith("data:"):
            self.marks.add("data-link")
        elif begins.startswith(("javascript:", "vbscript:")):
            self.marks.add("script-link")
        if target and len(self.links) < MAX_LINKS:
            self.links.append((target[:MAX_TARGET], shown))

    def _add_image(self, source: str) -> None:
        if _BLANKS.sub("", source[:100])[:5].lower() == "data:":
            self.marks.add("data-image")
            source = source[:100]
        if source and len(self.images) < MAX_LINKS:
            self.images.append(source[:MAX_TARGET])


_LINKS: Mapping[str, tuple[str, ...]] = {
    "a": ("href", "xlink:href"), "area": ("href",), "form": ("action",), "iframe": ("src",), "frame": ("src",),
    "embed": ("src",), "object": ("data",), "script": ("src",), "link": ("href",), "button": ("formaction",),
}  # fmt: skip
_MARKED: Mapping[str, tuple[str, ...]] = {
    "script": ("script",), "form": ("form",), "iframe": ("iframe",), "frame": ("iframe",), "object": ("object",),
    "embed": ("object",), "applet": ("object",), "area": ("image-map",), "base": ("base",),
}  # fmt: skip
_IMAGES = ("img", "image", "input", "video")
_NOTED = frozenset((*_LINKS, *_MARKED, *_IMAGES, "meta"))
_BLANKS = re.compile(r"[\x00-\x20]+")
_STYLE_URL = re.compile(r"url\(\s*+[\"']?+([^\"')]*+)")


def _last_of(places: Sequence[int]) -> int:
    return places[-1] if places else -1


class _Said(NamedTuple):
    """The attributes of a tag; whether any of them says how text looks, and whether any is worth a note."""

    attributes: Mapping[str, str]
    of_look: bool
    of_note: bool

    @classmethod
    def of(cls, written: str) -> _Said:
        """Read what is written."""
        found = _attributes(written)
        style = found.get("style", "")
        return cls(
            found,
            not _OF_LOOK.isdisjoint(found) or ("style" in found and bool(_declared(style[:_MAX_STYLE]))),
            "background" in found or "url(" in style or any(map(_HANDLER.match, found)),
        )


_OF_LOOK = frozenset(("hidden", "color", "size", "text", "bgcolor", "background", "href"))
_HANDLER = re.compile("on[a-z]{3}")


def _attributes(written: str) -> dict[str, str]:
    """Return the attributes of a tag by name in lower case; the first of a name counts."""
    if "&" in written:
        found = [(name, _unescaped(one or two or three)) for name, one, two, three in _ATTRIBUTE.findall(written)]
    else:
        found = [(name, one or two or three) for name, one, two, three in _ATTRIBUTE.findall(written)]
    found.reverse()
    return {name.lower(): value for name, value in found}


def _unescaped(text: str) -> str:
    try:
        return unescape(text)
    except ValueError:  # a number with more digits than Python reads
        return text
