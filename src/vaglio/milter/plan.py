"""What is done with a message in the end: edits of its header in an order that is safe, and one answer. Pure.

Fields are counted as they came. So changes and removals come before anything is put in, from the highest index down: a
removal shifts the later fields of the same name (it once let forged results through in others, CVE-2022-48521).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from vaglio.milter.authres import NAME, authentication_results
from vaglio.milter.text import header_name, header_value, name_there, reply_text
from vaglio.text import one_line
from vaglio.verdict import Action, AuthResult, Change, Header, Verdict

MAX_HELD = 100
"""Bytes of the reason for which a message is held: what Postfix keeps of it."""


class Insert(NamedTuple):
    """A field to be put on top. ``value`` has no blank in front."""

    name: bytes
    value: bytes


class Replace(NamedTuple):
    """The ``nth`` field (from 1) of this name gets another value; an empty one takes it out."""

    name: bytes
    nth: int
    value: bytes


class Plan(NamedTuple):
    """``replace`` comes first, then ``insert``: the last of these ends up on top. ``reply`` is what the client is told,
    code first; empty where the message is taken. ``quarantine`` is the reason for which it is held, empty if it is not.
    """

    replace: Sequence[Replace] = ()
    insert: Sequence[Insert] = ()
    reply: str = ""
    discard: bool = False
    quarantine: bytes = b""


UNTOUCHED = Plan()


def plan_of(verdict: Verdict, forged: Sequence[tuple[bytes, int]] = (), authserv_id: str = "") -> Plan:
    """Return what a verdict leads to. ``forged`` are fields (the name, and which of that name, from 1) that are taken
    out; ``authserv_id`` is our name in Authentication-Results: without it, none is written.
    """
    if verdict.action is Action.DISCARD:
        return Plan(discard=True)
    if verdict.action in (Action.REJECT, Action.DEFER):
        return Plan(reply=refusal(verdict))
    insert = [Insert(header_name(one.name), _value(one)) for one in reversed(verdict.headers)]
    if authserv_id and verdict.results:
        insert.append(_results(authserv_id, verdict.results))
    replace = _replacements(verdict.changes, forged) if forged or verdict.changes else ()
    held = _held(verdict) if verdict.action is Action.HOLD else b""
    return Plan(replace, insert, quarantine=held) if replace or insert or held else UNTOUCHED


def _replacements(changes: Iterable[Change], forged: Iterable[tuple[bytes, int]]) -> Sequence[Replace]:
    replace = [Replace(name, nth, b"") for name, nth in forged]
    replace += [Replace(name_there(one.name), one.nth, _value(one)) for one in changes]
    # Once each: behind a removal, the next edit of the same field would meet another one.
    replace = list({(one.name.lower(), one.nth): one for one in reversed(replace)}.values())
    return sorted(replace, key=lambda one: one.nth, reverse=True)


@lru_cache(maxsize=128)  # mail of one sender comes in runs: to write them takes 14 us, to find them one
def _results(authserv_id: str, results: Sequence[AuthResult]) -> Insert:
    return Insert(NAME, header_value(authentication_results(authserv_id, results), NAME))


def _held(verdict: Verdict) -> bytes:
    """Return for the admin, who looks at a queue, why a message is in it: "SPF softfail tizio.it; ref 1B4X-0D09". What
    the client would be told is longer, and in the language of the recipient.
    """
    check = str(verdict.facts.get("decided_by", verdict.check))
    domain = verdict.facts.get("domain", verdict.facts.get(f"{check}.domain", ""))
    ref = f"; ref {verdict.ref}" if verdict.ref else ""
    why = one_line(f"{check.partition('_')[0].upper()} {verdict.reason} {domain}", MAX_HELD - len(ref))
    return f"{why or 'held'}{ref}".encode()


def _value(field: Header | Change) -> bytes:
    return header_value(field.value, field.name.encode("utf-8", "surrogateescape"))


def refusal(verdict: Verdict) -> str:
    """Return the reply of a verdict that refuses or defers: code, enhanced code and text, on one line."""
    refuse = verdict.action is Action.REJECT
    code, enhanced, text = verdict.reply or (550 if refuse else 451, "5.7.1" if refuse else "4.3.0", "Not accepted")
    return reply_text(code, enhanced, text)
