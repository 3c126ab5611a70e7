"""Text of strangers made fit for one line: what every place where text goes out has in common. Pure.

What a line may hold beyond that (of a policy answer, a header field, an SMTP reply) is for these places to say.
"""

from __future__ import annotations

import re

MAX_REPLY = 400
"""Bytes of a reply text: with code, address and the mail server's words it stays within RFC 5321 4.5.3.1.5 (512)."""

CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""A character that ends a line somewhere, does something to a terminal, or is no UTF-8."""

_RUNS = re.compile(f"{CONTROLS.pattern}+")
_FIELD_NAME = re.compile(r"[!-9;-~]{1,60}")  # RFC 5322 3.6.8: printable US-ASCII but the colon


def one_line(text: str, limit: int) -> str:
    """Return ``text`` on one line, without control characters, in at most ``limit`` bytes of valid UTF-8."""
    line = _RUNS.sub(" ", text).strip()
    raw = line.encode()
    return line if len(raw) <= limit else raw[:limit].decode("utf-8", "ignore")


def is_field_name(name: str) -> bool:
    """Say whether a header field may have this name, of at most 60 characters."""
    return _FIELD_NAME.fullmatch(name) is not None
