"""What tags of HTML do: how they begin and end each other, what their attributes say. Pure; strangers write all of it.

What is done here of the standard (WHATWG HTML) is where a tag ends and which of those around it it ends.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from html import unescape

from vaglio.checks.score.htmllook import PLAIN, Look, look_within, says_of_look

# --- kinds of tags ---

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
_ENDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], bool]] = {
    **dict.fromkeys(_BLOCKS - _OF_TABLE - {"option", "select", "body", "head", "html"}, (("p",), (), True)),
    "table": (("p",), (), True),
    "li": (("li", "p"), ("ul", "ol", "menu"), True),
    "dt": (("dt", "dd", "p"), ("dl",), True),
    "dd": (("dt", "dd", "p"), ("dl",), True),
    "option": (("option",), ("select",), False),
    "tr": (_ROWS, ("table",), False),
    "td": (("td", "th", "caption"), ("table", "tr"), False),
    "th": (("td", "th", "caption"), ("table", "tr"), False),
    **dict.fromkeys(("tbody", "thead", "tfoot"), (("tbody", "thead", "tfoot", *_ROWS), ("table",), False)),
    "a": (("a",), (), True),
}
"""Which open tags a tag ends by beginning; which of those around them keep them open; whether any scope does."""

_LINES = _BLOCKS | {"br"}
_OF_LINKS: Mapping[str, tuple[str, ...]] = {
    "a": ("href", "xlink:href"), "area": ("href",), "form": ("action",), "iframe": ("src",), "frame": ("src",),
    "embed": ("src",), "object": ("data",), "script": ("src",), "link": ("href",), "button": ("formaction",),
}  # fmt: skip
_IMAGES = frozenset(("img", "image", "input", "video"))
_MARKED: Mapping[str, str] = {
    "script": "script", "form": "form", "iframe": "iframe", "frame": "iframe", "object": "object", "embed": "object",
    "applet": "object", "area": "image-map", "base": "base",
}  # fmt: skip
_ODD = frozenset((*_MARKED, "input", "meta"))


class Reach(Enum):
    """What an end tag does not reach through, to end one that is open outside."""

    ALL = auto()
    """Nothing."""
    TABLE = auto()
    """A table."""
    SCOPE = auto()
    """A cell, a table, an object."""
    SPECIAL = auto()
    """Any tag with a meaning of its own for what is in it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What all tags of a name have in common. ``holds``: something may be in it; ``raw`` finds the end of one that has
    no tags in it. ``line``: it begins and ends a line; ``cell``: it is a cell of a table. Open tags named in ``ends``
    it ends by beginning, but for what is around one of ``within``, or, if it is ``scoped``, around any scope.
    ``special`` and ``scope`` say what it is to the reach of end tags. ``links`` are attributes that say where it leads;
    ``image``: it shows one; ``mark`` is what it means for the page; ``odd``: more than links and images is to be noted.
    """

    name: str
    holds: bool = True
    raw: re.Pattern[str] | None = None
    line: bool = False
    cell: bool = False
    ends: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    scoped: bool = False
    special: bool = False
    scope: bool = False
    reach: Reach = Reach.SPECIAL
    links: tuple[str, ...] = ()
    image: bool = False
    mark: str = ""
    odd: bool = False


def _kind(name: str) -> Kind:
    ends, within, scoped = _ENDS.get(name, ((), (), False))
    return Kind(
        name,
        name not in _VOID,
        _RAW.get(name),
        name in _LINES,
        name in _CELLS,
        ends,
        within,
        scoped,
        name in _SPECIAL,
        name in _SCOPE,
        _reach(name),
        _OF_LINKS.get(name, ()),
        name in _IMAGES,
        _MARKED.get(name, ""),
        name in _ODD,
    )


def _reach(name: str) -> Reach:
    if name in _OF_TABLE and name != "table":
        return Reach.TABLE
    if name in _SCOPE:
        return Reach.ALL
    return Reach.SCOPE if name in _SPECIAL or name in _FORMATTING else Reach.SPECIAL


_KINDS = {
    name: _kind(name)
    for name in {*_VOID, *_RAW, *_SPECIAL, *_FORMATTING, *_ENDS, *_OF_LINKS, *_IMAGES, *_MARKED, *_ODD}
}  # fmt: skip
ENDED = frozenset(name for kind in _KINDS.values() for name in (*kind.ends, *kind.within, "table"))
"""Names of open tags that are asked for by other tags."""


# --- tags ---


class Tag:
    """A tag as it is written: its kind, whether it is an end tag, its attributes. ``notable``: something of its kind or
    of them is to be noted; ``odd``: more than links and images.
    """

    __slots__ = ("_around", "_of_look", "_within", "attributes", "closes", "kind", "notable", "odd")

    def __init__(self, closes: bool, name: str, written: str) -> None:
        name = name.lower()
        kind = self.kind = _KINDS.get(name) or Kind(name)
        found = self.attributes = _attributes(written) if written and not closes else {}
        self.closes = closes
        self.odd = kind.odd or "background" in found or "url(" in found.get("style", "") or has_handler(found)
        self.notable = bool(self.odd or kind.links or kind.image)
        self._of_look = name == "template" or says_of_look(found)
        self._around: Look | None = None
        self._within = PLAIN

    def look_within(self, look: Look) -> Look:
        """Return how text looks in this tag, by how it looks around it."""
        if not self._of_look:
            return look
        if look is not self._around:  # else as the last time: most tags that are written alike stand in the same place
            self._around = look
            self._within = look_within(look, self.kind.name, self.attributes)
        return self._within


def has_handler(attributes: Mapping[str, str]) -> bool:
    """Whether any attribute is a script."""
    return any(map(_HANDLER.match, attributes))


_HANDLER = re.compile("on[a-z]{3}")

TAG = re.compile(
    r"""
    <(?: (/?)([a-z][^\s/>]*+)                           # a tag, and its attributes
        ((?> (?: [^>=]++ | =\s*+ (?> (?: "[^"]*+" | '[^']*+' | [^\s>"'][^\s>]*+ )? ) )* ))>
      | !-- (?: -?> | (?> (?: [^-]++ | -(?!-!?>) )* ) (?: --!?> | \Z ) )
      | (?: /(?![a-z]) | (?![a-z/]) ) [^>]*+ (?: > | \Z ) # what browsers take for a comment
      | [\s\S]*+ )                                     # broken off: browsers show nothing of it
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What begins with "<" and a letter, "/", "!" or "?"."""

_WHOLE = re.compile(
    r"""(/?)([a-z][^\s/]*+)((?>(?:[^=]++|=\s*+(?:"[^"]*+"|'[^']*+'|[^\s"'][^\s]*+|(?!["'])))*))""", re.IGNORECASE
)
_ATTRIBUTE = re.compile(r"""([^\s/>=]++)(?>(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>]*+)))?)""")
_SHORT = 100


def read_tag(written: str) -> Tag | None:
    """Return the tag that is written between "<" and the first ">" behind it; None where it does not end there, or is
    none.
    """
    return _short_tag(written) if len(written) <= _SHORT else _tag(written)


def _tag(written: str) -> Tag | None:
    found = _WHOLE.fullmatch(written)
    return Tag(bool(found[1]), found[2], found[3]) if found else None


_short_tag = functools.lru_cache(2048)(_tag)
"""Most tags of a page are in others, too."""


def _attributes(written: str) -> dict[str, str]:
    """Return the attributes of a tag by name in lower case; the first of a name counts."""
    if "&" in written:
        found = [(name, unescaped(one or two or three)) for name, one, two, three in _ATTRIBUTE.findall(written)]
    else:
        found = [(name, one or two or three) for name, one, two, three in _ATTRIBUTE.findall(written)]
    found.reverse()
    return {name.lower(): value for name, value in found}


def unescaped(text: str) -> str:
    """Return a text with its entities undone."""
    try:
        return unescape(text)
    except ValueError:  # a number with more digits than Python reads
        return text
