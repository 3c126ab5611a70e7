"""Lists of tags (RFC 6376 3.2): "v=1; a=rsa-sha256; ...". Strict, linear, and bounded by whoever hands in the text."""

from __future__ import annotations

import re

from vaglio.checks.dkim.outcome import shown

BLANKS = " \t\r\n"
"""What may stand around names and values (FWS of RFC 6376 2.8)."""

MAX_TAGS = 100

_NONE = dict.fromkeys(map(ord, BLANKS))

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_PLAIN = b"\t\r\n" + bytes(range(0x20, 0x7F))
_NEVER = re.compile(r"[^\t\r\n -~\u00a0-\ud7ff\ue000-\U0010ffff]")  # controls; surrogates: what is no UTF-8


class BadTags(ValueError):
    """The text is no list of tags; the message says why."""


def parse_tags(text: str) -> dict[str, str]:
    """Return the values by name, without blanks at their ends. Raises BadTags for the first thing that is wrong: a name
    that stands there twice spoils all of it (RFC 6376 3.2).
    """
    # Nearly all are plain ASCII, for which there is a way ten times as fast.
    is_plain = text.isascii() and not text.encode().translate(None, _PLAIN)
    if not is_plain and (found := _NEVER.search(text)):
        raise BadTags(f"a character that may not be there (0x{ord(found[0]) & 0xFF:02x})")
    specs = text.split(";", MAX_TAGS + 1)
    if not specs[-1].strip(BLANKS):
        specs.pop()  # a ";" behind the last one
    if len(specs) > MAX_TAGS:
        raise BadTags(f"more than {MAX_TAGS} tags")
    tags: dict[str, str] = {}
    for spec in specs:
        name, equals, value = spec.partition("=")
        name = name.strip(BLANKS)
        if not equals or not _NAME.fullmatch(name):
            raise BadTags(f'"{shown(spec.strip(BLANKS), 30)}" is no tag')
        if name in tags:
            raise BadTags(f"{shown(name, 30)}= stands there twice")
        tags[name] = value.strip(BLANKS)
    return tags


def unfolded(value: str) -> str:
    """Return a value without any blanks: those in base64 and lists of names mean nothing."""
    return value.translate(_NONE)
