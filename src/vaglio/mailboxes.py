"""Addresses in a header field: the list of RFC 5322 3.4, with comments, quoted strings and groups. Pure.

Strangers write it, so it is read in linear time, bounded, and not at all where there is doubt: a field that one reader
takes for this address and another one for that is how mail is forged. Parts come as they were written.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_FIELD = 10_000
"""Bytes of a field; of a longer one nothing is read."""

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ATOM = r'[^\s"\\<>\[\],:;@()]'
_GROUP = rf'(?:{_QUOTED}|[^"\\<>,:;@])*:'
_NAME = rf'(?:{_QUOTED}|[^"\\<>,:;])*<(?:@[^:<>]*:)?'  # with an "@", too, and an obsolete route behind it
_ADDRESS = rf"\s*(?P<local>(?:{_QUOTED}|{_ATOM})+)\s*@\s*(?P<domain>{_ATOM}+|\[[^\[\]\\]*\])\s*"
_ELEMENT = re.compile(
    rf"(?:{_GROUP})?(?:(?P<named>{_NAME})?{_ADDRESS}(?(named)>\s*)|\s*)(?:[,;]|\Z)", re.DOTALL
)
_OUTSIDE = re.compile(rf'(?:{_QUOTED}|[^"\\()])*', re.DOTALL)
_INSIDE = re.compile(r"(?:\\.|[^\\()])*", re.DOTALL)


class Mailbox(NamedTuple):
    """An address: its local part, perhaps a quoted string, and its domain."""

    local: str
    domain: str


def mailboxes(value: bytes) -> list[Mailbox]:
    """Return the addresses of a field; none at all where any of it can't be read."""
    text = _without_comments(value.decode("utf-8", "surrogateescape")) if len(value) <= MAX_FIELD else ""
    found, place = [], 0
    while place < len(text):
        element = _ELEMENT.match(text, place)
        if element is None:
            return []
        if element["domain"]:
            found.append(Mailbox(element["local"], element["domain"]))
        place = element.end()
    return found


def _without_comments(text: str) -> str:
    """Return a field with a blank for each comment; "" where one has no end, or anything else is broken off."""
    kept, depth, place = [], 0, 0
    while place < len(text):
        run = (_INSIDE if depth else _OUTSIDE).match(text, place)
        end = run.end() if run else place
        if not depth:
            kept.append(text[place:end])
        mark, place = text[end : end + 1], end + 1
        if mark == "(":
            depth += 1
        elif mark == ")" and depth:
            depth -= 1
        elif mark:  # half a quoted string, the end of no comment
            return ""
    return "" if depth else " ".join(kept)
