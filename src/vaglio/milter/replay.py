"""Plays a message from a file to a session, as a mail server would, and shows what would become of it. Sans-IO.

For rehearsals without a mail server: what a real one adds of its own (Received, Return-Path) is not added.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vaglio.examination import Field
from vaglio.milter.plan import Plan
from vaglio.milter.session import Session
from vaglio.milter.wire import Peer

CHUNK = 65_535
"""Bytes of a piece of the body, as mail servers send it."""

_FIELD = re.compile(rb"[!-9;-~\x80-\xff]+[ \t]*:")  # RFC 5322 3.6.8, and the 8-bit bytes that do come
_NEWLINE = re.compile(rb"\r?\n")


class Letter(NamedTuple):
    """A message and its envelope."""

    client: Peer
    helo: bytes
    sender: bytes
    recipients: Sequence[bytes]
    headers: Sequence[Field]
    body: bytes
    login: bytes = b""


class Outcome(NamedTuple):
    """What became of it: replies to recipients that were refused, and the plan for the message, None if all were."""

    refused: Mapping[bytes, str]
    plan: Plan | None


def read(message: bytes) -> tuple[list[Field], bytes]:
    """Return header fields and body of a message with LF or CRLF line ends. A header ends where a line is no field (as
    Postfix has it); a line "From " of a mailbox in front is passed over. The body has CRLF line ends.
    """
    lines = _NEWLINE.split(message)
    place = 1 if lines[0].startswith(b"From ") else 0
    fields: list[list[bytes]] = []
    while place < len(lines):
        line = lines[place]
        if line[:1] in b" \t" and line and fields:
            fields[-1].append(line)
        elif _FIELD.match(line):
            fields.append([line])
        else:
            break
        place += 1
    if place < len(lines) and not lines[place]:
        place += 1
    return [_field(b"\n".join(one)) for one in fields], b"\r\n".join(lines[place:])


def _field(line: bytes) -> Field:
    name, _, value = line.partition(b":")
    return Field(name, value)


async def play(session: Session, letter: Letter, queue_id: bytes = b"") -> Outcome:
    """Play a whole SMTP session with one message."""
    session.connect(letter.client, {})
    session.helo(letter.helo)
    session.mail([b"<" + letter.sender + b">"], {b"{auth_authen}": letter.login})
    replies = {recipient: await session.recipient([b"<" + recipient + b">"]) for recipient in letter.recipients}
    refused = {recipient: reply for recipient, reply in replies.items() if reply}
    if len(refused) == len(replies):
        session.close()
        return Outcome(refused, None)
    for name, value in letter.headers:
        session.header(name, value)
    session.end_of_headers()
    for start in range(0, len(letter.body), CHUNK):
        session.body(letter.body[start : start + CHUNK])
    return Outcome(refused, await session.end_of_message({b"i": queue_id}))


def applied(headers: Sequence[Field], plan: Plan) -> list[Field]:
    """Return the header after the edits of a plan, as Postfix and Sendmail make them."""
    edited: list[Field | None] = list(headers)
    for name, nth, value in plan.replace:
        places = [place for place, one in enumerate(edited) if one and one.name.lower() == name.lower()]
        if nth <= len(places):
            edited[places[nth - 1]] = Field(name, b" " + value) if value else None
    for one in plan.insert:
        edited.insert(0, Field(one.name, b" " + one.value))
    return [one for one in edited if one]
