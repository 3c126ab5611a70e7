"""Sessions of other filters' test suites (OpenDKIM, OpenDMARC), as they went over the wire: which events, in which
order, with which macros. What these filters had to answer is for tests of our own checks that do the same.

The files are not ours: they are where ``VAGLIO_DATA`` says, or in ``../shared/data``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.milter.mta import KNOWN, Mta, Outcome
from vaglio.milter import wire
from vaglio.milter.wire import Command, Peer

DATA = Path(os.environ.get("VAGLIO_DATA") or Path(__file__).parents[3] / "shared" / "data") / "milter"


class Transcript(NamedTuple):
    """A session: ``steps`` are a word and its arguments each, those of the mail server and what is expected of them."""

    name: str
    settings: dict[str, str]
    steps: Sequence[Sequence[str]]


class Judged(NamedTuple):
    """A message of a transcript: its header as it was sent, what the filter said, and the expectations behind it."""

    headers: tuple[tuple[bytes, bytes], ...]
    outcome: Outcome
    expected: tuple[Sequence[str], ...]


def transcripts(suite: str) -> list[Transcript]:
    """Return the sessions of a suite; none where the files are not there."""
    path = DATA / f"{suite}-transcripts.json"
    found: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    return [Transcript(one["test"], one["conf"], one["steps"]) for one in found]


def replay(mta: Mta, transcript: Transcript) -> Iterator[Judged]:
    """Play a session; yield each message that comes to its end. A HELO or RCPT that is not in it is made up, as their
    player does.
    """
    mta.negotiate()
    mta.macros = dict(KNOWN)
    headers: list[tuple[bytes, bytes]] = []
    steps, missing = transcript.steps, {"helo", "rcptto"}
    for number, (word, *words) in enumerate(steps):
        arguments = [one.encode() for one in words]
        if word == "mailfrom" and "helo" in missing:
            mta.event(Command.HELO, wire.with_strings(Command.HELO, b"localhost"))
        if word in ("header", "eoh") and "rcptto" in missing:
            mta.event(Command.RCPT, wire.with_strings(Command.RCPT, b"<recipient@example.com>"))
            missing.remove("rcptto")
        missing.discard(word)
        match word:
            case "conninfo":
                family = b"U" if words[1] == "unspec" else b"6" if ":" in words[1] else b"4"
                mta.event(Command.CONNECT, wire.connect(Peer(arguments[0], family, 25, arguments[1])))
            case "helo":
                mta.event(Command.HELO, wire.with_strings(Command.HELO, *arguments))
            case "macro":
                mta.macros |= dict(zip(arguments[1::2], arguments[2::2], strict=True))
            case "mailfrom":
                headers.clear()
                missing.add("rcptto")
                mta.event(Command.MAIL, wire.with_strings(Command.MAIL, *arguments))
            case "rcptto":
                mta.event(Command.RCPT, wire.with_strings(Command.RCPT, *arguments))
            case "header":
                field = arguments[0], b" " + arguments[1] if arguments[1:] else b""  # some are cut short
                headers.append(field)
                mta.event(Command.HEADER, wire.with_strings(Command.HEADER, *field))
            case "eoh":
                mta.event(Command.END_OF_HEADERS, wire.packet(Command.END_OF_HEADERS))
            case "bodystring":
                mta.event(Command.BODY, wire.packet(Command.BODY, arguments[0]))
            case "abort":
                mta.abort()
            case "eom":
                outcome = mta.event(Command.END_OF_MESSAGE, wire.packet(Command.END_OF_MESSAGE))
                yield Judged(tuple(headers), outcome, tuple(_until_next(steps[number + 1 :])))


def _until_next(steps: Sequence[Sequence[str]]) -> Iterator[Sequence[str]]:
    for step in steps:
        if step[0] in ("mailfrom", "conninfo"):
            return
        yield step
