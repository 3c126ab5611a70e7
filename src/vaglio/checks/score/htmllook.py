"""How text looks in a place of an HTML part: whether a reader sees it, by the style at the tags around it. Pure.

Of CSS there is what can hide text: display, size, place, colours. What can't be read changes nothing, and leaves a
colour unknown.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import NamedTuple

Colour = tuple[int, int, int]


class Look(NamedTuple):
    """How text looks in a place. A colour that is not known is None: text over an image, say. ``seen`` says whether a
    reader sees it: ``look_of`` finds out.
    """

    displayed: bool
    visible: bool
    size: float
    colour: Colour | None
    ground: Colour | None
    seen: bool


def look_of(displayed: bool, visible: bool, size: float, colour: Colour | None, ground: Colour | None) -> Look:
    """Return a look, ``size`` in pixels."""
    lost = colour is not None and ground is not None and _alike(colour, ground)
    return Look(displayed, visible, size, colour, ground, displayed and visible and size > _TINY and not lost)


_TINY = 2.0
"""Pixels of the height of letters up to which nobody reads them."""

_ALIKE = 16
"""Steps, of 255, by which red, green and blue may differ for a text to be lost on its ground."""

_LINK_COLOUR = (0, 0, 238)
_USUAL_SIZE = 16.0


def _alike(one: Colour, other: Colour) -> bool:
    return (
        abs(one[0] - other[0]) <= _ALIKE and abs(one[1] - other[1]) <= _ALIKE and abs(one[2] - other[2]) <= _ALIKE
    )


PLAIN = look_of(True, True, _USUAL_SIZE, (0, 0, 0), (255, 255, 255))
"""How text looks in a page that says nothing of it."""

_OF_LOOK = frozenset(("hidden", "color", "size", "text", "bgcolor", "background", "href"))


def says_of_look(attributes: Mapping[str, str]) -> bool:
    """Whether any of a tag's attributes may say how text looks."""
    if not _OF_LOOK.isdisjoint(attributes):
        return True
    style = attributes.get("style", "")
    return bool(style) and _style(style[:_MAX_STYLE]) is not None


def look_within(look: Look, name: str, attributes: Mapping[str, str]) -> Look:
    """Return how text looks within a tag, by how it looks around it."""
    displayed, visible, size, colour, ground, _ = look
    if name == "a" and "href" in attributes:
        colour = _LINK_COLOUR
    if "hidden" in attributes:
        displayed = False
    if "color" in attributes:
        colour = _colour(attributes["color"], ground)
    if name == "font" and "size" in attributes:
        size = _USUAL_SIZE  # the smallest, size=1, is 10 pixels
    if name == "body" and "text" in attributes:
        colour = _colour(attributes["text"], ground)
    if "bgcolor" in attributes:
        ground = _colour(attributes["bgcolor"], ground)
    if "background" in attributes:
        ground = None
    if name == "template":
        displayed = False
    if (style := attributes.get("style")) and (says := _style(style[:_MAX_STYLE])) is not None:
        displayed = displayed and not says.away
        visible = visible if says.visible is None else says.visible
        size = _pixels(says.size, size) if says.size else size
        ground = _ground(says.ground, ground) if says.ground else ground
        ground = None if says.over_image else ground
        colour = _colour(says.colour, ground) if says.colour else colour
    return look_of(displayed, visible, size, colour, ground)


def without_ground(look: Look) -> Look:
    """Return how text looks where the colour of its ground is not known."""
    return look_of(look.displayed, look.visible, look.size, look.colour, None)


# --- style ---


class _Style(NamedTuple):
    """What a style says of all that can hide text; "" and None for nothing."""

    away: bool
    visible: bool | None
    size: str
    ground: str
    over_image: bool
    colour: str


_MAX_STYLE = 1000
_DECLARATION = re.compile(
    r"(?:^|[;{\s])(display|visibility|font-size|font|opacity|color|background|background-color|(?:max-)?(?:width|height)"
    r"|overflow|text-indent|left|top|position)\s*+:\s*+([^;]*)",
    re.IGNORECASE,
)
_CSS_COMMENT = re.compile(r"/\*(?>(?:[^*]++|\*(?!/))*)(?:\*/|\Z)")


@functools.lru_cache(maxsize=1024)
def _style(text: str) -> _Style | None:
    """Read a style; the last of a name counts. None for one that says nothing of this."""
    if "/*" in text:
        text = _CSS_COMMENT.sub("", text)
    said = {name.lower(): value.partition("!")[0].strip().lower() for name, value in _DECLARATION.findall(text)}
    if not said:
        return None
    visibility = said.get("visibility")
    return _Style(
        _takes_no_room(said),
        visibility not in ("hidden", "collapse") if visibility else None,
        said.get("font-size") or said.get("font", ""),
        said.get("background-color") or said.get("background", ""),
        said.get("background", "").startswith("url("),
        said.get("color", ""),
    )


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


_NAMED: Mapping[str, Colour] = {
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


def _colour(text: str, ground: Colour | None) -> Colour | None:
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


def _ground(text: str, ground: Colour | None) -> Colour | None:
    """Return the colour of a background; None where it is an image, or can't be read."""
    if "url(" in text or "gradient(" in text:
        return None
    if text in ("none", "inherit", "initial", "unset", "transparent"):
        return ground
    return _colour(text if "(" in text else text.partition(" ")[0], ground)
