"""Which marks a message gets, and what that changes in its header. No I/O, no clock, no texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from vaglio.checks.tag.conditions import Condition, Known, parse
from vaglio.checks.tag.settings import Rule, TagSettings
from vaglio.checks.tag.subject import Marks, filled, shown
from vaglio.examination import Field, counted
from vaglio.facts import Facts
from vaglio.lists import AddressList, NetworkSet
from vaglio.verdict import Action, Change, Fact, Header, Verdict

MAX_SUBJECTS = 20
"""Subject fields of a message that are looked at: of more, the first and the last ones. RFC 5322 3.6 allows one; mail
programs show the first or the last."""

MAX_SHOWN = 120
"""Bytes of the subject that log and journal tell."""


class Reason(StrEnum):
    """What became of the subject."""

    TAGGED = "tagged"
    """It got a mark."""
    CLEANED = "cleaned"
    """Marks that are ours were taken away, and none was put."""
    ALREADY_TAGGED = "already-tagged"
    """It had the marks that it was to get."""
    NOTHING = "nothing"
    """No rule holds, and no mark was there."""
    OWN_MAIL = "own-mail"
    """It is mail of our own users: not looked at."""
    REFUSED = "refused"
    """An earlier check of the chain lets nobody have it: not looked at."""


class Put(NamedTuple):
    """A mark that is put, and by which rule: ``tag.rule[0]: spam``."""

    tag: str
    why: str


class Decision(NamedTuple):
    """What becomes of a message's subject."""

    reason: Reason
    puts: Sequence[Put] = ()
    removed: Sequence[str] = ()
    changes: tuple[Change, ...] = ()
    headers: tuple[Header, ...] = ()
    subject: str = ""
    """As it came and a reader saw it, cut."""

    @property
    def changes_anything(self) -> bool:
        """Say whether the message does not stay as it is."""
        return bool(self.changes or self.headers)


OWN_MAIL = Decision(Reason.OWN_MAIL)
REFUSED = Decision(Reason.REFUSED)

_UNSEEN = (Action.REJECT, Action.DEFER, Action.DISCARD)


def is_refused(verdict: Verdict, earnest: bool) -> bool:
    """Say whether nobody gets a message after this verdict; ``earnest``: or would, if it were no rehearsal."""
    return verdict.action in _UNSEEN or (earnest and verdict.rehearsed in _UNSEEN)


class _Ready(NamedTuple):
    """A rule, ready to be asked."""

    rule: Rule
    name: str
    conditions: Sequence[Condition]
    recipients: AddressList

    def holds(self, known: Known, recipients: Sequence[str]) -> bool:
        """Say whether the rule holds; ``recipients`` are empty where not all of them are known."""
        if self.rule.recipients and not (recipients and all(map(self.recipients.matches, recipients))):
            return False
        return all(condition(known) for condition in self.conditions)


def marks_of(settings: TagSettings) -> Marks:
    """Return all marks that are ours, those of former rules too."""
    return Marks([*(rule.tag for rule in settings.rule), *settings.remove])


class Policy:
    """The settings, made ready to be asked."""

    def __init__(self, settings: TagSettings) -> None:
        self._rules = [
            _Ready(rule, f"tag.rule[{place}]", [*map(parse, rule.when)], AddressList.parse(rule.recipients, "")[0])
            for place, rule in enumerate(settings.rule)
        ]
        self._marks = marks_of(settings)
        self._networks = NetworkSet(settings.trusted_networks)

    def is_own(self, facts: Facts) -> bool:
        """Say whether this is mail of our own users, which is never marked."""
        client = facts.client
        return bool(facts.session.sasl_username) or client.local or client.packed in self._networks

    def puts(self, known: Known, recipients: Sequence[str]) -> list[Put]:
        """Return the marks of the rules that hold, each once, in their order."""
        return list({put.tag: put for put in reversed([*self._holding(known, recipients)])}.values())[::-1]

    def _holding(self, known: Known, recipients: Sequence[str]) -> Iterator[Put]:
        for one in self._rules:
            if one.holds(known, recipients):
                yield Put(filled(one.rule.tag, known.score), f"{one.name}: {', '.join(one.rule.when)}")
                if one.rule.stop:
                    return

    def decide(self, headers: Sequence[Field], puts: Sequence[Put]) -> Decision:
        """Return what becomes of the subject: all fields of that name get the same marks."""
        tags = [put.tag for put in puts]
        fields = [*_subjects(headers)]
        if not fields:
            if not tags:
                return Decision(Reason.NOTHING)
            return Decision(Reason.TAGGED, puts, headers=(Header("Subject", " ".join(tags)),))
        changes: list[Change] = []
        removed: list[str] = []
        for name, nth, value in _looked_at(fields):
            found = self._marks.marked(value, tags)
            if found.value is not value:
                changes.append(Change(name, nth, found.value.strip().decode("utf-8", "surrogateescape")))
                removed += found.removed
        subject = shown(fields[0].value, MAX_SHOWN)
        return Decision(_reason(tags, changes), puts, tuple(dict.fromkeys(removed)), tuple(changes), subject=subject)


class _Subject(NamedTuple):
    """A subject, and how to address it: it is the ``nth``, from 1, of the fields of this very name."""

    name: str
    nth: int
    value: bytes


def _subjects(headers: Sequence[Field]) -> Iterator[_Subject]:
    """Return all subjects; blanks before the colon (RFC 5322 4.5) do not count for readers, and do for mail servers."""
    return (_Subject(*one) for one in counted(headers, lambda name: name.rstrip(b" \t").lower() == b"subject"))


def _looked_at(fields: Sequence[_Subject]) -> Sequence[_Subject]:
    half = MAX_SUBJECTS // 2
    return fields if len(fields) <= MAX_SUBJECTS else [*fields[:half], *fields[-half:]]


def _reason(tags: Sequence[str], changes: Sequence[Change]) -> Reason:
    if changes:
        return Reason.TAGGED if tags else Reason.CLEANED
    return Reason.ALREADY_TAGGED if tags else Reason.NOTHING


def basis(decision: Decision) -> dict[str, Fact]:
    """Return what the decision rests on, for log and journal."""
    known: dict[str, Fact] = {}
    if decision.puts:
        known["tags"] = " ".join(put.tag for put in decision.puts)
        known["rules"] = "; ".join(put.why for put in decision.puts)[:400]
    if decision.removed:
        known["removed"] = ", ".join(decision.removed)[:200]
    if decision.subject:
        known["subject"] = decision.subject
    return known
