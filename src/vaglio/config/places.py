"""Where in a TOML text each key stands: a path of keys -> its line.

tomllib gives the values without their lines; this small scanner gives the lines without the values. It is no
second parser: it relies on the text being valid (TOML 1.0.0), and does not look into inline tables and arrays,
whose content has the line of its key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping

Path = tuple[str | int, ...]
"""Keys from the top, with the index of each ``[[table]]`` and list entry: ``("greylist", "rule", 1, "delay")``."""

_BASIC = r'"(?:\\.|[^"\\\n])*"'
_LITERAL = r"'[^'\n]*'"
# A closing """ may have up to two quotes of content directly before it.
_STRING = rf'"""(?:\\.|[^\\])*?"""(?:"{{0,2}})|\'\'\'.*?\'\'\'(?:\'{{0,2}})|{_BASIC}|{_LITERAL}'
_PART = rf"{_BASIC}|{_LITERAL}|[A-Za-z0-9_-]+"
_KEY = rf"(?:{_PART})(?:[ \t]*\.[ \t]*(?:{_PART}))*"

_token = re.compile(rf"""{_STRING}|\#[^\n]*|[\[{{]|[\]}}]|\n|[^"'#\[\]{{}}\n]+|.""", re.DOTALL)
_header = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_KEY})[ \t]*\]")
_pair = re.compile(rf"[ \t]*()({_KEY})[ \t]*=")
_part = re.compile(_PART)


def places(text: str) -> dict[Path, int]:
    """Return the line (from 1) where each table and key of ``text`` is first named. ``text`` must be valid TOML."""
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    for line, brackets, key in _statements(text):
        path = table = _enter(key, brackets == "[[", counts) if brackets else table
        path = path if brackets else table + key
        for length in range(1, len(path) + 1):
            found.setdefault(path[:length], line)
    return found


def line_of(found: Mapping[Path, int], path: Path) -> int:
    """Return the line of ``path``, else that of the innermost key around it, else 0."""
    while path and path not in found:
        path = path[:-1]
    return found.get(path, 0)


def _statements(text: str) -> Iterator[tuple[int, str, Path]]:
    """Yield the line, the opening brackets ("" for a key) and the key of each header and key/value pair."""
    line, start = 1, 0
    while start < len(text):
        end = _end(text, start)
        match = _header.match(text, start, end) or _pair.match(text, start, end)
        if match:
            yield line, match[1], tuple(_plain(part) for part in _part.findall(match[2]))
        line += text.count("\n", start, end)
        start = end


def _end(text: str, start: int) -> int:
    """Return where the statement ends: behind the first line end outside of strings and brackets."""
    depth = 0
    for token in _token.finditer(text, start):
        first = token[0]
        depth += (first in "[{") - (first in "]}")
        if first == "\n" and depth <= 0:
            return token.end()
    return len(text)


def _enter(key: Path, is_array: bool, counts: dict[Path, int]) -> Path:
    """Return the path of a header's table; ``[[key]]`` opens a new one, any other means the newest."""
    path: Path = ()
    for number, part in enumerate(key, 1):
        path += (part,)
        if is_array and number == len(key):
            counts[path] = counts.get(path, 0) + 1
        if path in counts:
            path += (counts[path] - 1,)
    return path


def _plain(part: str) -> str:
    return str(tomllib.loads(f"key = {part}")["key"]) if part[0] in "\"'" else part
