"""Results of our other milters, as they stand in the header: Authentication-Results in our own name (RFC 8601). Pure.

For milters behind another of ours, where the first has taken out what strangers wrote in our name: nothing here tells a
forgery. What can't be read is passed over, not guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vaglio.examination import Field
from vaglio.verdict import AuthResult

MAX_FIELD = 8192
"""Bytes of a field that is read; longer ones are passed over."""

MAX_FIELDS = 50
"""Fields that are read."""

_QUOTED = r'"(?>(?:[^"\\]|\\.)*)"'
_TOKEN = re.compile(rf'{_QUOTED}|[();]|\\.|[^"();\\]+', re.DOTALL)
_RESINFO = re.compile(r"\s*([A-Za-z0-9-]{1,40})\s*(?:/\s*[0-9]{1,4}\s*)?=\s*([A-Za-z]{1,40})(?=\s|\Z)(.*)", re.DOTALL)
_PROPERTY = re.compile(rf'{_QUOTED}|([a-z-]{{1,20}}\.[a-z0-9-]{{1,20}})\s*=\s*({_QUOTED}|[^\s"]*)', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def results_of(headers: Sequence[Field], authserv_id: str) -> list[AuthResult]:
    """Return the results in fields of this name, with their properties; without comments and reasons."""
    fields = [one.value for one in headers if one.name.lower() == b"authentication-results"][:MAX_FIELDS]
    return [result for value in fields for result in _results(value, authserv_id)]


def _results(value: bytes, authserv_id: str) -> Iterator[AuthResult]:
    name, *parts = _parts(value) or ("",)
    said = name.split()
    if not said or _plain(said[0]).lower() != authserv_id.lower() or said[1:] not in ([], ["1"]):
        return
    for part in parts:
        if found := _RESINFO.match(part):
            properties = tuple((key, _plain(text)) for key, text in _PROPERTY.findall(found[3]) if key)
            yield AuthResult(found[1].lower(), found[2].lower(), properties)


def _plain(text: str) -> str:
    """Return a value without its quotes."""
    return _ESCAPE.sub(r"\1", text[1:-1]) if text.startswith('"') else text


def _parts(value: bytes) -> list[str]:
    """Return what stands between the semicolons, without comments; nothing where a comment or a quoted text does not
    end.
    """
    text = value.decode("utf-8", "replace") if len(value) <= MAX_FIELD else ""
    parts, depth, place = [""], 0, 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None and depth == 0:
            return []
        word = token[0] if token else text[place]  # a quote within a comment is a character
        if depth and word.startswith('"'):
            word = '"'
        place += len(word)
        if word == "(":
            depth += 1
        elif word == ")":
            if not depth:
                return []
            depth -= 1
        elif depth:
            continue
        elif word == ";":
            parts.append("")
        else:
            parts[-1] += word
    return [] if depth else parts
