"""What a milter's host and a check of messages owe each other: the events of one message, and one verdict.

A check (``MessageCheck``) makes an ``Examination`` for each message, at MAIL, and hears of the message as it comes
in; what takes time (look-ups) it starts as soon as it can and awaits in ``verdict``. All calls for one message come in
order and on the event loop. Nothing is read or decided here, and no protocol is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Flag, auto
from typing import NamedTuple, Protocol

from vaglio.facts import Facts
from vaglio.verdict import AuthResult, Verdict

MAX_FIELDS = 2000
MAX_HEADER = 2 * 1024 * 1024
"""Fields of a header, and their bytes, that are kept: checks hear of no others. Where there were more bytes, the last
field is cut so that it fills the room: a header that has all of either may go on unseen."""


class Field(NamedTuple):
    """A header field as it came: any bytes but NUL. ``value`` has the blank behind the colon, if there was one; a
    folded field has its line ends in it, as the mail server sends them.
    """

    name: bytes
    value: bytes


def counted(fields: Iterable[Field], wanted: Callable[[bytes], bool]) -> Iterator[tuple[str, int, bytes]]:
    """Yield the fields whose names are ``wanted``: name, which of this name it is, from 1, and value. So a ``Change``
    names it: a mail server counts by the name in any case, and takes one with a blank before the colon for another.
    """
    counts: Counter[bytes] = Counter()
    for name, value in fields:
        if wanted(name):
            counts[name.lower()] += 1
            yield name.decode("utf-8", "surrogateescape"), counts[name.lower()], value


class Needs(Flag):
    """What of a message a check asks for; nobody else's events are negotiated, so that they cost nothing."""

    NOTHING = 0
    RECIPIENTS = auto()
    """``recipient`` is asked about each RCPT, and its answer is waited for."""
    HEADERS = auto()
    """``end_of_headers`` is called, and ``Message.headers`` is filled."""
    CHUNKS = auto()
    """``body`` is called with each piece of the body, for hashers: nothing of it is kept."""
    BODY = auto()
    """``Message.body`` is filled, up to its bound."""
    ADDING = auto()
    """It is there to add header fields: a mail server that lets nobody add any is turned away, and does then what it
    is told to do without this milter."""


class Message(NamedTuple):
    """A whole message, at its end.

    ``facts.envelope`` has the first recipient, and how many there are; ``recipients`` all that were accepted.
    ``headers`` and ``body`` (its first bytes, with CRLF line ends) are empty unless asked for; ``size`` is that of the
    whole body in bytes, 0 where nobody asked for the body. ``earlier`` are the verdicts of the checks before this one
    in the chain, by their names.
    """

    facts: Facts
    recipients: tuple[str, ...]
    headers: Sequence[Field] = ()
    body: bytes = b""
    size: int = 0
    earlier: Mapping[str, Verdict] = {}

    @property
    def results(self) -> tuple[AuthResult, ...]:
        """What the checks before this one in the chain have found, by their methods."""
        return tuple(result for verdict in self.earlier.values() for result in verdict.results)


class Examination:
    """One message under one check. Any method may raise anything: that costs this check's own result, no more."""

    __slots__ = ()

    async def recipient(self, recipient: str) -> Verdict | None:  # noqa: ARG002  # for those that have an opinion
        """Return a verdict on this recipient alone; None, or a pass, lets it in."""
        return None

    def end_of_headers(self, headers: Sequence[Field]) -> None:
        """Take note of the header: look-ups that it names begin here, while the body is still on its way."""

    def body(self, chunk: bytes) -> None:
        """Take in the next piece of the body, with CRLF line ends; a piece may end anywhere."""

    async def verdict(self, message: Message) -> Verdict:
        """Return what the check has to say of the message."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what is still under way: the message is judged, or was given up. Called once, in any state."""


class Foregone(Examination):
    """A message of which the verdict is known before anything of it has come."""

    __slots__ = ("_verdict",)

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict

    async def verdict(self, message: Message) -> Verdict:  # noqa: ARG002
        """Return it."""
        return self._verdict


class MessageCheck(Protocol):
    """A check of messages. ``name`` is its section of the configuration; ``methods`` are those of RFC 8601 2.7 of which
    it gives results: each is ``temperror`` where the check fails.
    """

    @property
    def name(self) -> str:
        """The check's name."""

    @property
    def methods(self) -> tuple[str, ...]:
        """Its methods in Authentication-Results."""

    @property
    def needs(self) -> Needs:
        """What it wants of each message."""

    def examine(self, facts: Facts) -> Examination:
        """Begin with a message: client, sender and session are known, the recipients are not."""
