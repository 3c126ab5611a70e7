"""Rate limits as plain functions: what a message counts, whether there is room for it, and what follows.

A message that is refused counts in no rule; that it was beyond a limit is counted apart. No I/O, no clock, no texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from math import ceil
from typing import NamedTuple

from vaglio.checks.ratelimit.limits import DISTINCT, Kind, Limit, limit_text
from vaglio.checks.ratelimit.rules import Case, Group, ReadyRule, Values
from vaglio.checks.ratelimit.usage import Counts, Usage, decode, encode, is_recent, remembered, sampled, storable
from vaglio.checks.ratelimit.window import (
    EMPTY,
    Window,
    added,
    last_seen,
    room_at,
    slid,
    thing_added,
    thing_room_at,
    things_count,
    things_slid,
)
from vaglio.verdict import Action, Fact

ATTACK = 86400
"""Seconds without a request beyond the limit after which the next one begins a new count of them."""

LONGEST_NAME = 320
"""Characters of a key that are kept in words; the key itself is a hash of all of it."""

UNLIMITED: tuple[Limit, ...] = ()
"""Limits of a key that has none; it is counted all the same."""


class Reason(StrEnum):
    """Why: metric label, log key, journal key."""

    WITHIN = "within-limits"
    OVER = "over-limit"
    TOO_MUCH = "too-much-at-once"
    NOT_OWN_SENDER = "sender-not-own"
    NO_RULE = "no-rule"
    COUNTED_BEFORE = "counted-before"
    COUNTED_LATER = "counted-later"
    WRONG_STAGE = "wrong-stage"


class Ask(NamedTuple):
    """What a request brings. ``network``, ``country`` and ``recipient`` are hashes of them, 0 where they are not known.

    ``first`` is true for the first request about a message that this key counts; ``attempts`` and ``refused`` are
    recipients of this message and of earlier ones whose end was not seen.
    """

    recipients: int = 1
    size: int = 0
    network: int = 0
    country: int = 0
    recipient: int = 0
    is_new: bool = False
    attempts: int = 0
    refused: int = 0
    first: bool = True


class Finding(NamedTuple):
    """What one rule says. ``limit`` is the one that is exceeded, or else the tightest; ``used`` what was counted in its
    window before, ``units`` what the request would add. ``free_at`` is when there is room (Unix seconds, infinity for
    never); ``after`` the counts if the message is let in.
    """

    rule: ReadyRule
    before: Counts
    after: Counts
    limit: Limit | None = None
    used: int = 0
    units: int = 0
    over: bool = False
    free_at: float = 0.0
    hopeless: bool = False
    """It is more than the limit by itself: no waiting helps."""


class Share(NamedTuple):
    """What the rules of one group say about a request: ``state`` are all counts of the record, ``name`` is its key in
    words, ``counted`` whether any of the rules counts messages.
    """

    usage: Usage
    state: Mapping[int, Counts]
    name: str
    findings: Sequence[Finding]
    counted: bool


class Alarm(NamedTuple):
    """Something to tell the admin, once."""

    finding: Finding
    usage: Usage


class Decision(NamedTuple):
    """``worst`` is the finding that decides; None where no limit is exceeded."""

    reason: Reason
    action: Action = Action.PASS
    worst: Finding | None = None
    name: str = ""
    tightest: Finding | None = None


_FRESH = Counts({})
_SEVERITY = {"log": 0, "header": 1, "hold": 2, "defer": 3, "reject": 4}
_ACTIONS = {"log": Action.PASS, "header": Action.PASS, "hold": Action.HOLD, "defer": Action.DEFER,
            "reject": Action.REJECT}  # fmt: skip


def limits_of(
    rule: ReadyRule, override: tuple[Limit, ...] | None, usage: Usage, begun: int, now: float
) -> tuple[Limit, ...]:
    """Return the limits of a key: its own, if there is an override, or else its rule's, lower ones for a newcomer. Who
    was first seen soon after counting ``begun`` is none: all were new then.
    """
    if override is not None:
        return override
    ramp, limits = rule.settings.ramp_up, rule.limits
    first = usage.first or now
    if not ramp or now - first >= ramp or first < begun + ramp:
        return limits
    share = rule.settings.ramp_up_share
    return tuple(Limit(max(1, limit.most * share // 100) if limit.most else 0, limit.seconds) for limit in limits)


def judge(
    rules: Sequence[tuple[ReadyRule, tuple[Limit, ...]]], values: Values, usage: Usage, ask: Ask, now: float
) -> Share:
    """Return what the rules of a group say, each with the limits that hold for this key."""
    state = decode(usage.state)
    findings = [_judge(rule, limits, state.get(rule.tag, _FRESH), ask, now) for rule, limits in rules]
    counted = not rules[0][0].per_recipient or any(finding.units for finding in findings)
    return Share(usage, state, name_of(values), findings, counted)


def name_of(values: Values) -> str:
    """Return a key in words."""
    name = values[0] if len(values) == 1 else " ".join(values)
    return storable(name)[:LONGEST_NAME]


def _judge(rule: ReadyRule, limits: tuple[Limit, ...], before: Counts, ask: Ask, now: float) -> Finding:
    kind = rule.kind
    if kind in DISTINCT:
        return _judge_things(rule, limits, before, ask, now)
    if kind is Kind.REFUSED_SHARE:
        return _judge_share(rule, limits, before, ask, now)
    return _judge_amount(rule, limits, before, _units(kind, ask), now)


def _units(kind: Kind, ask: Ask) -> int:
    """Return how much a request adds to a count."""
    if kind is Kind.RECIPIENTS:
        return ask.recipients
    if kind is Kind.NEW_RECIPIENTS:
        return int(ask.is_new)
    if not ask.first:
        return 0
    return 1 if kind is Kind.MESSAGES else ask.size


def _judge_amount(rule: ReadyRule, limits: tuple[Limit, ...], before: Counts, units: int, now: float) -> Finding:
    old, refused, things, over, since, last, alarmed = before
    windows: dict[int, Window] = {}
    fuller: dict[int, Window] = {}
    tightest, least, used = None, 0, 0
    exceeded: Limit | None = None
    free_at = 0.0
    for limit in limits or rule.limits:
        most, seconds = limit
        windows[seconds] = window = slid(old.get(seconds, EMPTY), now, seconds)
        fuller[seconds] = added(window, units, now, most)
        total = window[0]
        room = most - total
        if units > room and units and limits:
            free = room_at(window, units, most, seconds)
            if exceeded is None or free > free_at:
                exceeded, free_at, used = limit, free, total
        elif exceeded is None and (tightest is None or room < least):
            tightest, least, used = limit, room, total
    if exceeded is None and not 0 < rule.settings.per_message < units:
        after = Counts(fuller, refused, things, over, since, last, alarmed)
        return Finding(rule, before, after, tightest, used, units)
    too_much = 0 < rule.settings.per_message < units or any(limit.most < units for limit in limits)
    hopeless = bool(limits) and too_much
    before = Counts(windows, refused, things, over, since, last, alarmed)
    after = before._replace(windows=fuller)
    over_it = exceeded is not None or hopeless
    return Finding(rule, before, after, exceeded or tightest, used, units, over_it, free_at, hopeless)


def _judge_things(rule: ReadyRule, limits: tuple[Limit, ...], before: Counts, ask: Ask, now: float) -> Finding:
    thing = ask.recipient
    if rule.kind is Kind.DISTINCT_NETWORKS:
        thing = ask.network
    elif rule.kind is Kind.DISTINCT_COUNTRIES:
        thing = ask.country
    if not thing:
        return Finding(rule, before, before)
    windows, refused, old, over, since, last, alarmed = before
    things = things_slid(old, now, (limits or rule.limits)[-1].seconds)
    seen = last_seen(things, thing)
    tightest, least, used = None, 0, 0
    exceeded: Limit | None = None
    free_at = 0.0
    for limit in limits or rule.limits:
        most, seconds = limit
        count = things_count(things, now, seconds)
        if limits and seen <= now - seconds and count + 1 > most:
            free = thing_room_at(things, most, seconds, now)
            if exceeded is None or free > free_at:
                exceeded, free_at, used = limit, free, count
        elif exceeded is None and (tightest is None or most - count < least):
            tightest, least, used = limit, most - count, count
    after = Counts(windows, refused, thing_added(things, thing, now), over, since, last, alarmed)
    return Finding(rule, before, after, exceeded or tightest, used, 1, exceeded is not None, free_at)


def _judge_share(rule: ReadyRule, limits: tuple[Limit, ...], before: Counts, ask: Ask, now: float) -> Finding:
    """A share is judged with what this request brings, and counted whatever becomes of the message."""
    attempts: dict[int, Window] = {}
    refused: dict[int, Window] = {}
    found: tuple[Limit, int, bool] | None = None
    for limit in limits or rule.limits:
        most, seconds = limit
        of_all = slid(before.windows.get(seconds, EMPTY), now, seconds)
        of_refused = slid(before.refused.get(seconds, EMPTY), now, seconds)
        attempts[seconds] = of_all = added(of_all, ask.attempts, now, of_all.total)
        refused[seconds] = of_refused = added(of_refused, ask.refused, now, of_refused.total)
        share = 100 * of_refused.total // of_all.total if of_all.total else 0
        over = bool(limits) and of_all.total >= rule.settings.at_least and 100 * of_refused.total > most * of_all.total
        if found is None or (over and not found[2]):
            found = limit, share, over
    after = before._replace(windows=attempts, refused=refused)
    if found is None:
        return Finding(rule, before, after)
    return Finding(rule, after, after, found[0], found[1], 0, found[2], now + found[0].seconds if found[2] else 0.0)


# --- what follows -----------------------------------------------------------------------------------------------------


def decide(shares: Sequence[Share]) -> Decision:
    """Return what follows from all findings: the gravest counts, and of two equal ones that with the longest wait."""
    findings = [(finding, share.name) for share in shares for finding in share.findings]
    over = [(finding, name) for finding, name in findings if finding.over]
    if not over:
        told = [finding for finding, _ in findings if finding.limit is not None]
        return Decision(Reason.WITHIN, tightest=told[0] if len(told) == 1 else min(told, key=_room, default=None))
    worst, name = max(over, key=lambda one: (_SEVERITY[one[0].rule.settings.action], one[0].free_at))
    action = _ACTIONS[worst.rule.settings.action]
    if worst.hopeless and action is Action.DEFER:
        action = Action.REJECT  # to try again would not help
    return Decision(Reason.TOO_MUCH if worst.hopeless else Reason.OVER, action, worst, name)


def _room(finding: Finding) -> float:
    """Return which part of a limit is left."""
    assert finding.limit is not None
    return 1 - (finding.used + finding.units) / max(1, finding.limit.most)


def is_refused(decision: Decision) -> bool:
    """Tell whether the message does not get in, and so does not count."""
    return decision.action in (Action.DEFER, Action.REJECT)


def settled(
    share: Share, case: Case, group: Group, message: bytes, refused: bool, domains: Sequence[str], alarm_every: int,
    now: int,
) -> tuple[Usage | None, list[Alarm]]:  # fmt: skip
    """Return the record as it is to be kept, None where nothing changed, and the alarms that are due."""
    usage = share.usage
    counts: dict[int, Counts] = {}
    due: list[Finding] = []
    anything_over = False
    for finding in share.findings:
        kept = finding.before if refused else finding.after
        if finding.over:
            anything_over = True
            kept, alarm = _beyond(finding, alarm_every, now)
            if alarm:
                due.append(finding)
        counts[finding.rule.tag] = kept
    if refused and not anything_over:
        return None, []
    if len(counts) < len(share.state):  # rules that do not hold for this message
        others = {tag: kept for tag, kept in share.state.items() if tag not in counts and tag in group.tags}
        counts |= others
    samples = usage.domains
    for domain in domains:
        samples = sampled(samples, domain)
    recent = usage.recent if refused or not share.counted else remembered(usage.recent, message)
    usage = Usage(group.spec, share.name, min(usage.first or now, now), now,
                  sampled(usage.clients, case.facts.client.address), samples, recent, encode(counts))  # fmt: skip
    return usage, [Alarm(finding, usage) for finding in due]


def _beyond(finding: Finding, alarm_every: int, now: int) -> tuple[Counts, bool]:
    """Return the counts of a rule whose limit is exceeded, and whether the admin is to be told."""
    counts = finding.before
    goes_on = counts.over and now - counts.over_last < ATTACK
    alarm = finding.rule.settings.alarm and not 0 <= now - counts.alarmed < alarm_every
    counts = counts._replace(
        over=counts.over + 1 if goes_on else 1,
        over_since=counts.over_since if goes_on else now,
        over_last=now,
        alarmed=now if alarm else counts.alarmed,
    )
    return counts, alarm


def was_counted(usage: Usage, message: bytes) -> bool:
    """Tell whether this message is in the counts already."""
    return is_recent(usage.recent, message)


def basis(decision: Decision, case: Case, now: float) -> Mapping[str, Fact]:
    """Return what a decision rests on, for log and journal."""
    facts: dict[str, Fact] = {"user": case.user} if case.user else {}
    finding = decision.worst or decision.tightest
    if finding is None or finding.limit is None:
        return facts
    facts["rule"] = finding.rule.name
    facts["used"] = finding.used
    facts["limit"] = limit_text(finding.limit, finding.rule.kind)
    if decision.worst is not None:
        facts["count"] = finding.rule.kind.value
        facts["key"] = decision.name
        facts["units"] = finding.units
        facts["beyond"] = finding.before.over + 1
        facts["does"] = finding.rule.settings.action
        if now < finding.free_at < now + 10**9:
            facts["wait"] = ceil(finding.free_at - now)
    return facts
