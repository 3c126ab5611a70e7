"""What the story shows for its watcher: of a message the lines that it speaks of, and in the end who sent what.

It reads the story's own messages, which are short and plain; it is no reader of mail at large.
"""

from __future__ import annotations

import html
import re
import textwrap
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

_ROOM = 110
"""Characters of a line."""

_SPOKEN_OF = re.compile(r"(?:From|Reply-To|Subject|Authentication-Results|DKIM-Signature|X-Spam-[\w-]+):")
_LINK = re.compile(r'<a href="([^"]*)">(.*?)</a>')
_TAG = re.compile(r"<[^>]*>")


def header_lines(message: bytes) -> list[str]:
    """Return the header lines of a message, unfolded."""
    head = message.partition(b"\n\n")[0].decode("utf-8", "replace")
    return re.sub(r"\n[ \t]+", " ", head).split("\n")


def lines(message: bytes) -> list[str]:
    """Return what is to be seen of a message that is sent: header lines, the text in one line, where links lead."""
    header = [_short(line) for line in header_lines(message) if _SPOKEN_OF.match(line)]
    if not _value(message, "Subject"):
        header.append("(no subject)")
    links = [f"(a link that shows {shown} leads to {target})" for target, shown in _LINK.findall(_body(message))]
    return [*header, _text(message) or "(no text)", *links]


def in_a_line(message: bytes) -> str:
    """Return author, subject and text of a message."""
    return _short(f'{_value(message, "From")}, "{_value(message, "Subject")}": {_text(message)}')


def summary(ends: Iterable[tuple[str, str]], wrong: Collection[str], width: int) -> str:
    """Return who sent what, and what became of it, from pairs of a sender and one message's end. Equal ends are
    counted; of a sender in ``wrong``, not all went as told.
    """
    of_all: dict[str, list[str]] = {}
    for (who, end), count in Counter(ends).items():
        of_all.setdefault(who, []).append(f"{count} {end}")
    column = max(map(len, of_all)) + 4
    return "\n".join(_line(who, ends, column, width, who in wrong) for who, ends in of_all.items())


def _line(who: str, ends: Sequence[str], column: int, width: int, wrong: bool) -> str:
    said = ", ".join(ends) + (": NOT AS TOLD" if wrong else "")
    begin = f"  {who}".ljust(column)
    return textwrap.fill(begin + said, width, subsequent_indent=" " * column, break_on_hyphens=False)


def _text(message: bytes) -> str:
    return _short(html.unescape(_TAG.sub("", _body(message))))


def _body(message: bytes) -> str:
    return message.partition(b"\n\n")[2].decode("utf-8", "replace")


def _value(message: bytes, name: str) -> str:
    found = (line.partition(":")[2].strip() for line in header_lines(message) if line.startswith(f"{name}:"))
    return next(found, "")


def _short(text: str) -> str:
    return textwrap.shorten(text, _ROOM, placeholder=" ...")
