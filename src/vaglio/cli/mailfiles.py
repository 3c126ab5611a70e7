"""Messages out of files, Maildir folders, mailboxes (mbox) and directories: one after the other, each within bounds.

Nothing is judged, and nothing is read as mail here but what separates the messages of a mailbox. Symbolic links within
a directory are passed over: whoever may put one there could have root read any file.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from vaglio.cli.common import said
from vaglio.cli.given import LARGEST

_LINE = 65_536
"""Bytes read at once, also of a line that does not end."""

_BEGIN = re.compile(rb"From \S.*\d\d:\d\d")
"""The line in front of a message in a mailbox: "From tizio@tizio.it Sun Nov 22 18:00:00 2026"."""
_ESCAPED = re.compile(rb">+From ")


class Piece(NamedTuple):
    """A message: where it lies, its first bytes, and how many it has in all. ``trouble`` says why it can't be read."""

    place: str
    content: bytes
    size: int = 0
    trouble: str = ""


def pieces(paths: Sequence[str], most: int, recursive: bool = False) -> Iterator[Piece]:
    """Yield the messages of all paths, in order; "-" is standard input. Of each ``most`` bytes are kept.

    A folder of a Maildir is read in "cur" and "new", any other directory as files; ``recursive`` goes into the folders
    below. A file that begins with "From " is a mailbox.
    """
    for path in paths:
        if path == "-":
            yield from _read(sys.stdin.buffer, "standard input", most)
        elif os.path.isdir(path):  # noqa: PTH112  # a path may be any bytes, as the shell gave it
            yield from _directory(Path(path), most, recursive)
        else:
            yield from _file(Path(path), most)


def _directory(path: Path, most: int, recursive: bool) -> Iterator[Piece]:
    try:
        entries = sorted(os.scandir(path), key=lambda one: one.name)
        folders = [one for one in entries if one.is_dir(follow_symlinks=False)]
        files = [one for one in entries if one.is_file(follow_symlinks=False)]
    except OSError as error:
        yield Piece(str(path), b"", trouble=said(error))
        return
    inner = [one for one in folders if one.name in ("cur", "new")]
    for folder in inner:
        yield from _directory(Path(folder.path), most, recursive=False)
    for file in files:
        if not inner and not file.name.startswith("."):  # beside "cur" lies what the mail server keeps for itself
            yield from _file(Path(file.path), most)
    for folder in folders:
        hidden = folder.name.startswith(".") and not inner  # ".Junk" is a folder of a Maildir
        if recursive and not hidden and not (inner and folder.name in ("cur", "new", "tmp")):
            yield from _directory(Path(folder.path), most, recursive)


def _file(path: Path, most: int) -> Iterator[Piece]:
    try:
        with path.open("rb") as file:
            yield from _read(file, str(path), most)
    except OSError as error:
        yield Piece(str(path), b"", trouble=said(error))


def _read(file: BinaryIO, place: str, most: int) -> Iterator[Piece]:
    first = file.readline(_LINE)
    if first.startswith(b"From "):
        yield from _mailbox(file, place, most)
        return
    found = _Collected(most)
    found.add(first)
    while found.size <= LARGEST and (chunk := file.read(_LINE)):
        found.add(chunk)
    yield found.piece(place)


def _mailbox(file: BinaryIO, place: str, most: int) -> Iterator[Piece]:
    """Yield the messages of a mailbox whose first line has been read. A message begins at a line "From " behind an
    empty one; ">From" within it is undone.
    """
    number, found, after_blank = 1, _Collected(most), False
    while line := file.readline(_LINE):
        if after_blank and _BEGIN.match(line):
            yield found.piece(_place(place, number))
            number, found = number + 1, _Collected(most)
        else:
            found.add(line[1:] if _ESCAPED.match(line) else line)
        after_blank = line in (b"\n", b"\r\n")
    yield found.piece(_place(place, number))


def _place(place: str, number: int) -> str:
    return place if number == 1 else f"{place}, message {number}"


class _Collected:
    """What is kept of a message."""

    def __init__(self, most: int) -> None:
        self.size = 0
        self._most = most
        self._kept: list[bytes] = []

    def add(self, data: bytes) -> None:
        if self.size < self._most:
            self._kept.append(data[: self._most - self.size])
        self.size += len(data)

    def piece(self, place: str) -> Piece:
        if self.size > LARGEST:
            return Piece(place, b"", self.size, f"more than {LARGEST // 1000**2} MB: that is no message")
        return Piece(place, b"".join(self._kept), self.size)
