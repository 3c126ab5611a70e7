"""Reply texts from templates: placeholders filled in, on one line, short enough, the reference at the end.

What may stand in braces is for each check's settings to say; nothing is made harmless here (``policy/render.py`` does).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache

ROOM = 360
"""Bytes, so that code, enhanced code and the reference still fit into the reply (RFC 5321 4.5.3.1.5)."""


def checked(template: str, known: AbstractSet[str]) -> str:
    """Return ``template``. Raises ValueError, with what is wanted, where something else than ``known`` is in braces."""
    if set(re.findall(r"\{(\w*)\}", template)) - known:
        names = ", ".join(f"{{{name}}}" for name in sorted(known))
        raise ValueError(f"a text in which nothing but {names} stands in braces")
    return template


def filled(template: str, values: Mapping[str, str], ref: str) -> str:
    """Return ``template`` with the values in place of ``{name}``, cut where it is too long, and the reference if there
    is one. A value is taken as it is: braces in it mean nothing.
    """
    pieces = list(_pieces(template))
    pieces[1::2] = [values[name] for name in pieces[1::2]]
    text = cut("".join(pieces), ROOM)
    return f"{text}; ref {ref}" if ref else text


def cut(text: str, room: int) -> str:
    """Return as much of ``text`` as ``room`` bytes of UTF-8 hold."""
    raw = text.encode("utf-8", "replace")
    return text if len(raw) <= room else raw[:room].decode("utf-8", "ignore")


@lru_cache(maxsize=64)
def _pieces(template: str) -> tuple[str, ...]:
    """Return text and names of placeholders by turns."""
    return tuple(re.split(r"\{(\w+)\}", template))
