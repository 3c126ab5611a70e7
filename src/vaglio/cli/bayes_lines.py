"""What Bayes has learned as lines of text, for ``vaglio bayes export`` and ``import``; opens nothing.

    vaglio-bayes 1
    learned 412 388
    origin 0cc175b9c0f1b6a831c399e269772661
    message 5d41402abc4b2a76b9719d911017c592 spam 2026-11-22 1
    word 9e107d9d372bb682 37 0 2026-11-22
    end 3

The first line names the format. "learned" has the messages of spam and of ham. An "origin" is a store of which
something is in the file, by its id: what was taken over already is known by it. A "message" has the 16 bytes that tell
it from others, as what and when it was learned, and the version of the way in which words were made of it. A "word" has
its number (64 bits), the messages of spam and of ham that had it, and the last day. "end" counts the lines
behind "learned", so that a file that is cut off is noticed. Days are UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from vaglio.ports import Kind, Learned, Word
from vaglio.store.tokenrows import Entry, Origin, Remembered

LONGEST = 200
"""Bytes of a line."""
_MOST = 2**31
"""Of any count."""

_HEAD = b"vaglio-bayes 1"
_LINE = re.compile(
    rb"word (?P<id>[0-9a-f]{16}) (?P<spam>\d{1,10}) (?P<ham>\d{1,10}) (?P<seen>\d{4}-\d\d-\d\d)"
    rb"|message (?P<digest>[0-9a-f]{32}) (?P<kind>spam|ham) (?P<day>\d{4}-\d\d-\d\d) (?P<version>\d{1,5})"
    rb"|origin (?P<origin>[0-9a-f]{32})"
    rb"|learned (?P<learned_spam>\d{1,10}) (?P<learned_ham>\d{1,10})"
    rb"|end (?P<end>\d{1,10})"
)
_WANTED = '"word ID SPAM HAM DAY", "message DIGEST KIND DAY VERSION", "origin ID" or "end COUNT"'
_EPOCH = date(1970, 1, 1)


class BadFile(ValueError):
    """No file of ours, or a damaged one; the text names the line, what was found and what was wanted."""


def written(found: Iterable[Entry]) -> Iterator[bytes]:
    """Yield the lines of a file, with their line ends; the figures must come first."""
    yield _HEAD + b"\n"
    number = -1  # the figures are not counted
    for entry in found:
        yield _line(entry)
        number += 1
    yield b"end %d\n" % number


def _line(entry: Entry) -> bytes:
    if isinstance(entry, Word):
        return b"word %016x %d %d %s\n" % (entry.id % 2**64, entry.spam, entry.ham, _date(entry.seen))
    if isinstance(entry, Remembered):
        digest, kind, day, version = entry
        return b"message %s %s %s %d\n" % (digest.hex().encode(), kind.encode(), _date(day), version)
    if isinstance(entry, Origin):
        return b"origin %s\n" % entry.id.hex().encode()
    return b"learned %d %d\n" % entry


def _date(day: int) -> bytes:
    return (_EPOCH + timedelta(day)).isoformat().encode()


def entries(lines: Iterable[bytes], today: int) -> Iterator[Entry]:
    """Yield what is in a file, in order; days after ``today`` (since 1970) are taken for today. Raises BadFile."""
    number = -1
    ended = False
    for place, line in enumerate(lines, 1):
        plain = line.rstrip(b"\r\n")
        if place == 1:
            if plain != _HEAD:
                raise _bad(place, plain, f'"{_HEAD.decode()}", the first line of such a file')
            continue
        if ended:
            raise _bad(place, plain, 'nothing behind "end"')
        found = _LINE.fullmatch(plain)
        if found is None:
            raise _bad(place, plain, _WANTED)
        if found.lastgroup == "end":
            ended = True
            if int(found["end"]) != number:
                raise _bad(place, plain, f'"end {max(number, 0)}": lines are missing or too many')
            continue
        if (found.lastgroup == "learned_ham") != (number == -1):
            raise _bad(place, plain, '"learned SPAM HAM" as the second line, and there only')
        number += 1
        try:
            yield _entry(found, today)
        except ValueError as error:
            raise _bad(place, plain, str(error)) from None
    if not ended:
        raise BadFile('it has no last line "end": it is cut off, or no file of "vaglio bayes export"')


def _entry(found: re.Match[bytes], today: int) -> Entry:
    if found.lastgroup == "seen":
        number = int(found["id"], 16)
        spam, ham = _count(found["spam"]), _count(found["ham"])
        return Word(number - 2**64 if number >= 2**63 else number, spam, ham, _day(found["seen"], today))
    if found.lastgroup == "version":
        kind = Kind(found["kind"].decode())
        digest = bytes.fromhex(found["digest"].decode())
        return Remembered(digest, kind, _day(found["day"], today), int(found["version"]))
    if found.lastgroup == "origin":
        return Origin(bytes.fromhex(found["origin"].decode()))
    return Learned(_count(found["learned_spam"]), _count(found["learned_ham"]))


def _count(text: bytes) -> int:
    if int(text) >= _MOST:
        raise ValueError(f"counts below {_MOST}")
    return int(text)


def _day(text: bytes, today: int) -> int:
    try:
        day = (date.fromisoformat(text.decode()) - _EPOCH).days
    except ValueError:
        raise ValueError("a day such as 2026-11-22") from None
    return max(0, min(day, today))


def _bad(place: int, line: bytes, wanted: str) -> BadFile:
    return BadFile(f"line {place}: found {line[:60].decode('ascii', 'replace')!r}, wanted {wanted}")
