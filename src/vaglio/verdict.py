"""The one answer that every check gives.

A verdict is a value: what to do, in which words, and why. It is rendered to text in ``policy/`` (and
in ``milter/``) only; nothing here knows a protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

Fact = str | int | float | bool
"""What a verdict may rest on: a plain value that a log line, a metric and a journal row can carry."""


_NO_FACTS: Mapping[str, Fact] = MappingProxyType({})


class Action(StrEnum):
    """What is done with the client, the recipient or the message in question."""

    PASS = "pass"
    DEFER = "defer"
    REJECT = "reject"
    DISCARD = "discard"
    HOLD = "hold"


STRENGTH = (Action.PASS, Action.HOLD, Action.DEFER, Action.DISCARD, Action.REJECT)
"""From weak to strong, for whoever has several answers to one message. What is deferred comes again and may be held
then; who is refused hears of it, which is better than mail that vanishes."""

BY_POLICY = {"accept": Action.PASS, "quarantine": Action.HOLD, "defer": Action.DEFER, "reject": Action.REJECT}
"""What the words of a policy on a result mean."""


class Reply(NamedTuple):
    """What the SMTP client is told (RFC 5321 4.2, enhanced codes of RFC 3463).

    ``text`` is one line of at most 400 bytes in UTF-8; whoever renders it sanitises it once more.
    """

    code: int
    enhanced: str
    text: str


class Header(NamedTuple):
    """A header field to be put on top of the message."""

    name: str
    value: str


class Change(NamedTuple):
    """A header field of the message that is to have another value; ``nth`` counts from 1 among the fields of this
    name, as they came. ``name`` is that of the field in the message, as it came, whatever case or blanks it has: fields
    are counted by it in lower case. An empty value takes the field out.
    """

    name: str
    nth: int
    value: str


class AuthResult(NamedTuple):
    """One result of an authentication method (RFC 8601 2.2, ``resinfo``).

    ``properties`` are pairs such as ``("smtp.mailfrom", "tizio.it")``; ``comment`` stands in parentheses behind the
    result. All of it may come from strangers: whoever writes the header quotes and cleans it.
    """

    method: str
    result: str
    properties: tuple[tuple[str, str], ...] = ()
    reason: str = ""
    comment: str = ""


class Verdict(NamedTuple):
    """The answer of a check.

    ``reason`` is a slug from the closed set of the check (``Reason`` in its ``decide.py``) or one of the
    failure reasons below: it is the metric label, the log key and the journal key. ``facts`` is what the
    decision rests on. ``immediate`` asks for a refusal on the spot even where the protocol could wait for
    later restrictions to refuse for good. ``ref`` is the short reference that the reply text carries; it is
    empty where nothing is journalled. In rehearsal, ``action`` is PASS and ``rehearsed`` is what would have
    been done. ``changes`` and ``results`` are for milters: fields to be changed, and what goes into
    Authentication-Results, which one place writes for all checks.
    """

    action: Action
    check: str
    reason: str
    reply: Reply | None = None
    headers: tuple[Header, ...] = ()
    facts: Mapping[str, Fact] = _NO_FACTS
    immediate: bool = False
    ref: str = ""
    rehearsed: Action | None = None
    changes: tuple[Change, ...] = ()
    results: tuple[AuthResult, ...] = ()

    @property
    def spoken(self) -> str:
        """What the SMTP client is told: code, enhanced code and text. A message that is held or discarded is taken, and
        the mail server says so in its own words: empty then, and on a pass.
        """
        reply = self.reply
        if reply is None or self.action in (Action.HOLD, Action.DISCARD):
            return ""
        return f"{reply.code} {reply.enhanced} {reply.text}"

    @property
    def journalled(self) -> bool:
        """True for every decision but a plain pass without a reference: these are kept for ``vaglio why``."""
        return self.action is not Action.PASS or self.rehearsed is not None or self.ref != ""


FAILED = "error"
"""Reason of a verdict that the failure policy gave, since the check or its store failed."""

FORGED = "forged"
"""The fact that says how many results in our name a message brought along."""

REHEARSAL = "rehearsal"
"""The fact that says that a rehearsal left the header of a message as it was, which would have been changed."""

SENTENCES = ("because", "because_it")
"""Facts, and ends of the names of a chain's, that say in words what others say: for ``vaglio why``, and for no log."""

TIMED_OUT = "timeout"
"""Reason of a verdict that the failure policy gave, since the check missed its deadline."""
