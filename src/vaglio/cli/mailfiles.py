"""Messages out of files, Maildir folders, mailboxes (mbox) and directories: one after the other, each within bounds.

Nothing is judged, and nothing is read as mail here but what separates the messages of a mailbox. Symbolic links are not
followed: whoever may put one into a mailbox could have root read any file. Nor are pipes and devices read, which may
have no end.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from vaglio.cli.common import said
from vaglio.cli.given import LARGEST

_LINE = 65_536
"""Bytes read at once, also of a line that does not end."""

_DEEPEST = 64
"""Folders below a directory that is named: users' have a few, and who makes thousands wants to see us fall."""

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
        else:
            yield from _path(path, most, recursive)


def _path(path: str, most: int, recursive: bool) -> Iterator[Piece]:
    try:
        if stat.S_ISDIR(os.lstat(path).st_mode):  # one written with "/" at its end is what a link leads to
            yield from _directories(path, most, recursive)
        else:
            yield from _file(path, most)
    except OSError as error:
        yield Piece(path, b"", trouble=_refused(error))


def _directories(path: str, most: int, recursive: bool) -> Iterator[Piece]:
    """Yield what is in a directory and, if wanted, in those below: each before those in it, in the order of names."""
    waiting = [_Directory(path, 0, recursive)]
    while waiting:
        directory = waiting.pop()
        try:
            files, folders = _contents(directory)
        except OSError as error:
            yield Piece(directory.path, b"", trouble=_refused(error))
            continue
        for file in files:
            yield from _file(file, most)
        if folders and directory.depth >= _DEEPEST:
            yield Piece(directory.path, b"", trouble=f"it is {_DEEPEST} folders deep: what is below is not read")
        else:
            waiting += reversed(folders)


class _Directory(NamedTuple):
    """A directory to be read, and how deep it lies below the one that was named."""

    path: str
    depth: int
    recursive: bool


def _contents(directory: _Directory) -> tuple[list[str], list[_Directory]]:
    """Return the files of a directory that may be messages, and the folders to be read. Raises OSError."""
    with os.scandir(directory.path) as found:
        entries = sorted(found, key=lambda one: one.name)
    folders = [one for one in entries if one.is_dir(follow_symlinks=False)]
    maildir = any(one.name in _MAILDIR for one in folders)
    files = [one.path for one in entries if one.is_file(follow_symlinks=False) and not one.name.startswith(".")]
    read = [_Directory(one.path, directory.depth + 1, recursive=False) for one in folders if one.name in _MAILDIR]
    if directory.recursive:
        read += [
            _Directory(one.path, directory.depth + 1, recursive=True)
            for one in folders
            if (one.name not in (*_MAILDIR, "tmp") if maildir else not one.name.startswith("."))
        ]  # fmt: skip
    return [] if maildir else files, read  # beside "cur" lies what the mail server keeps for itself


_MAILDIR = ("cur", "new")


def _file(path: str, most: int) -> Iterator[Piece]:
    try:
        with open(path, "rb", opener=_opened) as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                yield from _read(file, path, most)
            else:
                yield Piece(path, b"", trouble='it is no file: what comes out of a pipe is read as "-"')
    except OSError as error:
        yield Piece(path, b"", trouble=_why(error))


def _opened(path: str, flags: int) -> int:
    """Open what is at a path itself, without waiting for the other end of a pipe. Raises OSError."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _why(error: OSError) -> str:
    return "it is a symbolic link: name what it leads to" if error.errno == errno.ELOOP else _refused(error)


def _refused(error: OSError) -> str:
    """Return what the system says. The daemon's user may write what is learned, and not read everybody's mail."""
    if isinstance(error, PermissionError):
        return f'{error.strerror}: run this as root, or hand messages over one by one ("-" is standard input)'
    return said(error)


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
