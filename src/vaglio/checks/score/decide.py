"""What a score leads to, and for whom nobody scores, as plain functions. No I/O, no clock, no texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import NamedTuple

from vaglio.checks.score.case import UNKNOWN, Hit
from vaglio.checks.score.settings import Ladder, ScoreSettings
from vaglio.facts import Facts
from vaglio.lists import NetworkSet
from vaglio.verdict import Action, Fact

MAX_FOREIGN = 100
"""X-Spam fields of strangers that are taken out. A message with more of them is refused: to take out thousands would
keep Postfix busy for minutes."""

_TOLD = 8
"""Hits whose sentences the journal keeps."""
_MORE = {"en": "{} more: {:+g} in all", "it": "ancora {}: {:+g} in tutto"}
_ROOM = 900
"""Bytes of these sentences, in either language: an entry of the journal has room for 4,096 bytes of facts."""
_MORE_ROOM = 50


class Reason(StrEnum):
    """Why: metric label, log key, journal key."""

    AUTHENTICATED = "authenticated"
    LOCAL = "local"
    TRUSTED = "trusted-network"
    CLEAN = "clean"
    SPAM = "spam"
    TOO_MANY_FOREIGN = "too-many-x-spam"


class Exempt(NamedTuple):
    """A message that is not scored, and by which setting."""

    reason: Reason
    by: str


def screen(facts: Facts, settings: ScoreSettings, networks: NetworkSet) -> Exempt | None:
    """Say whose mail is not scored."""
    if settings.own_mail == "skip" and facts.session.sasl_username:
        return Exempt(Reason.AUTHENTICATED, "score.own_mail")
    if settings.own_mail == "skip" and facts.client.local:
        return Exempt(Reason.LOCAL, "score.own_mail")
    if facts.client.packed in networks:
        return Exempt(Reason.TRUSTED, "score.trusted_networks")
    return None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which score on what is done; infinite for what is never done."""

    tag: float
    hold: float
    reject: float


def thresholds(recipients: Sequence[str], count: int, settings: ScoreSettings) -> Thresholds:
    """Return those for a message to all of these: the highest of each, since one answer is given to all, and nobody's
    mail is refused by what holds for somebody else. ``count`` is how many recipients there are: where these are not
    all, those of any domain count.
    """
    common = Ladder(tag=settings.tag, hold=settings.hold, reject=settings.reject)
    if not settings.domains:
        return _of([common])
    domains = {recipient.rpartition("@")[2].lower() for recipient in recipients}
    if count > len(recipients):
        domains |= {"", *settings.domains}
    found = [common if (own := settings.domains.get(one)) is None else _filled(own, common) for one in domains]
    return _of(found or [common])


def _filled(own: Ladder, common: Ladder) -> Ladder:
    return common.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})


def _of(ladders: Sequence[Ladder]) -> Thresholds:
    return Thresholds(
        max(one.tag or inf for one in ladders),
        max(one.hold or inf for one in ladders),
        max(one.reject or inf for one in ladders),
    )


class Decision(NamedTuple):
    """What is done. ``by`` is the setting that decided, "" for a pass."""

    action: Action
    spam: bool
    by: str = ""


def decide(score: float, limits: Thresholds) -> Decision:
    """Return what a score leads to; the strongest that it reaches."""
    spam = score >= limits.tag
    if score >= limits.reject:
        return Decision(Action.REJECT, spam, "score.reject")
    if score >= limits.hold:
        return Decision(Action.HOLD, spam, "score.hold")
    return Decision(Action.PASS, spam)


class Found(NamedTuple):
    """All that was found out about a message. ``hits`` are the weightiest first; ``capped`` is what caps of groups took
    away, by group; ``silent`` are lists that did not answer; ``learned`` is as what it was learned by itself, "" if it
    was not; ``size`` bytes of the body, ``read`` how many of them were looked at; ``foreign`` X-Spam fields that
    it brought along are taken out.
    """

    score: float
    hits: tuple[Hit, ...]
    probability: float = UNKNOWN
    capped: Mapping[str, float] = {}
    silent: tuple[str, ...] = ()
    learned: str = ""
    size: int = 0
    read: int = 0
    foreign: int = 0


def basis(found: Found, decision: Decision, limits: Thresholds) -> Mapping[str, Fact]:
    """Return what a decision rests on, for the log, the journal, explanations, and the checks behind this one."""
    facts: dict[str, Fact] = {"score": found.score, "spam": decision.spam}
    if limits.tag < inf:
        facts["required"] = limits.tag
    facts["symbols"] = symbols(found.hits)[:_ROOM]
    if found.probability != UNKNOWN:
        facts["bayes"] = round(found.probability, 4)
    if decision.by:
        facts["by"] = decision.by
        facts["threshold"] = limits.reject if decision.action is Action.REJECT else limits.hold
    if found.capped:
        facts["capped"] = ", ".join(f"{group} {-cut:+g}" for group, cut in found.capped.items())
    if found.silent:
        facts["silent"] = ", ".join(found.silent[:20])
    if found.learned:
        facts["learned"] = found.learned
    if found.foreign:
        facts["foreign_fields"] = found.foreign
    if found.read < found.size:
        facts["read"], facts["size"] = found.read, found.size
    facts["because"] = sentences(found.hits, "en")
    facts["because_it"] = sentences(found.hits, "it")
    return {name: fact for name, fact in facts.items() if fact != ""}


def symbols(hits: Iterable[Hit]) -> str:
    """Return ``NO_SUBJECT 1.2, BAYES_99 3.5``."""
    return ", ".join(f"{hit.symbol} {hit.score:g}" for hit in hits)


def sentences(hits: Iterable[Hit], language: str, most: int = _TOLD) -> str:
    """Return in words what weighed most, for or against it: ``+1.2 it has no subject; -0.5 ...; 3 more: +0.4 in all``.
    """
    told: list[str] = []
    left = sorted(hits, key=lambda hit: -abs(hit.score))
    room = _ROOM - _MORE_ROOM
    while left and len(told) < most:
        one = f"{left[0].score:+g} {sentence(left[0], language)}"
        room -= len(one.encode("utf-8", "replace")) + 2
        if room < 0:
            break
        told.append(one)
        del left[0]
    if left:
        told.append(_MORE.get(language, _MORE["en"]).format(len(left), round(sum(hit.score for hit in left), 2)))
    return "; ".join(told)


def sentence(hit: Hit, language: str) -> str:
    """Return the sentence of a hit, with what was found, unless it says so itself."""
    said = (hit.it if language == "it" else hit.en) or hit.en
    detail = " ".join(hit.detail.split())
    return f"{said} ({detail})" if detail not in said else said
