"""Rate limits as plain functions: what a message counts, whether there is room for it, and what follows.

A message that is refused counts in no rule; that it was beyond a limit is counted apart. One that is sent counts, also
beyond the limit of a rule that only tells. No I/O, no clock, no texts.
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

MOST_WINDOWS = 12
"""Windows of a rule that are kept for a key: those in force, and those that were before a change."""

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

    ``attempts`` and ``refused`` are recipients of this message. ``message`` are the 8 bytes that stand for it, empty if
    it has no name; ``of_several`` is true for one of several requests about it, each for another recipient.
    """

    recipients: int = 1
    size: int = 0
    network: int = 0
    country: int = 0
    recipient: int = 0
    is_new: bool = False
    attempts: int = 0
    refused: int = 0
    message: bytes = b""
    of_several: bool = False


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
    repeated: bool = False
    """The message was counted before."""


class Share(NamedTuple):
    """What the rules of one group say about a request: ``state`` are all counts of the record, ``name`` is its key in
    words.
    """

    usage: Usage
    state: Mapping[int, Counts]
    name: str
    findings: Sequence[Finding]


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
    return Share(usage, state, name_of(values), findings)


def name_of(values: Values) -> str:
    """Return a key in words."""
    name = values[0] if len(values) == 1 else " ".join(values)
    return storable(name)[:LONGEST_NAME]


def _judge(rule: ReadyRule, limits: tuple[Limit, ...], before: Counts, ask: Ask, now: float) -> Finding:
    repeated = is_recent(before.recent, ask.message)
    if repeated and not ask.of_several:
        return Finding(rule, before, before, repeated=True)
    kind = rule.kind
    if kind in DISTINCT:
        return _judge_things(rule, limits, before, ask, now)
    if kind is Kind.REFUSED_SHARE:
        return _judge_share(rule, limits, before, ask, now)
    return _judge_amount(rule, limits, before, 0 if repeated and kind in _BY_MESSAGE else _units(kind, ask), ask, now)


_BY_MESSAGE = frozenset({Kind.MESSAGES, Kind.BYTES})


def _units(kind: Kind, ask: Ask) -> int:
    """Return how much a request adds to a count."""
    if kind is Kind.RECIPIENTS:
        return ask.recipients
    if kind is Kind.NEW_RECIPIENTS:
        return int(ask.is_new)
    return 1 if kind is Kind.MESSAGES else ask.size


def _recent(rule: ReadyRule, before: Counts, ask: Ask) -> bytes:
    """Return the messages to remember once this one is counted. Of one that is asked about recipient by recipient, only
    what counts it as a whole takes note.
    """
    if ask.of_several and rule.kind not in _BY_MESSAGE:
        return before.recent
    return remembered(before.recent, ask.message)


def _judge_amount(
    rule: ReadyRule, limits: tuple[Limit, ...], before: Counts, units: int, ask: Ask, now: float
) -> Finding:
    old, refused, things, over, since, last, alarmed, recent = before
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
    if len(old) > len(windows) or limits is not rule.limits:
        _carry_over(old, rule.limits, units, now, windows, fuller)
    after = Counts(fuller, refused, things, over, since, last, alarmed, _recent(rule, before, ask))
    cap = rule.settings.per_message
    if exceeded is None and not 0 < cap < units:
        return Finding(rule, before, after, tightest, used, units)
    before = Counts(windows, refused, things, over, since, last, alarmed, recent)
    hopeless = bool(limits) and (0 < cap < units or any(limit.most < units for limit in limits))
    over_it = exceeded is not None or hopeless
    return Finding(rule, before, after, exceeded or tightest, used, units, over_it, free_at, hopeless)


def _carry_over(
    old: Mapping[int, Window], own: tuple[Limit, ...], units: int, now: float, windows: dict[int, Window],
    fuller: dict[int, Window],
) -> None:  # fmt: skip
    """Go on counting in windows that are not in force: the rule's while an override holds, and those of limits that
    were changed, as long as they hold anything. So a change gives nothing away, and neither do two workers of which one
    does not know of it yet.
    """
    lengths = [limit.seconds for limit in own]
    for seconds in (*lengths, *old):
        if seconds in windows or len(windows) >= MOST_WINDOWS:
            continue
        window = slid(old.get(seconds, EMPTY), now, seconds)
        if window.total or seconds in lengths:
            windows[seconds] = window
            fuller[seconds] = added(window, units, now, window.total)


def _judge_things(rule: ReadyRule, limits: tuple[Limit, ...], before: Counts, ask: Ask, now: float) -> Finding:
    thing = ask.recipient
    if rule.kind is Kind.DISTINCT_NETWORKS:
        thing = ask.network
    elif rule.kind is Kind.DISTINCT_COUNTRIES:
        thing = ask.country
    if not thing:
        return Finding(rule, before, before)
    windows, refused, old, over, since, last, alarmed, _ = before
    in_force = limits or rule.limits
    longest = max(in_force[-1].seconds, rule.longest)
    things = things_slid(old, now, longest)
    seen = last_seen(things, thing)
    tightest, least, used = None, 0, 0
    exceeded: Limit | None = None
    free_at = 0.0
    for limit in in_force:
        most, seconds = limit
        count = things_count(things, now, seconds)
        if limits and seen <= now - seconds and count + 1 > most:
            free = thing_room_at(things, most, seconds, now)
            if exceeded is None or free > free_at:
                exceeded, free_at, used = limit, free, count
        elif exceeded is None and (tightest is None or most - count < least):
            tightest, least, used = limit, most - count, count
    most = max(1, *[limit.most for limit in in_force], rule.limits[-1].most)
    more = thing_added(things, thing, now, most)
    after = Counts(windows, refused, more, over, since, last, alarmed, _recent(rule, before, ask))
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
    assert found is not None  # a rule has limits
    limit, share, over = found
    after = before._replace(windows=attempts, refused=refused, recent=_recent(rule, before, ask))
    return Finding(rule, after, after, limit, share, 0, over, now + limit.seconds if over else 0.0)


# --- what follows -----------------------------------------------------------------------------------------------------


def decide(shares: Sequence[Share]) -> Decision:
    """Return what follows from all findings: the gravest counts, and of two equal ones that with the longest wait."""
    if all(finding.repeated for share in shares for finding in share.findings):
        return Decision(Reason.COUNTED_BEFORE)
    findings = [(finding, share.name) for share in shares for finding in share.findings]
    over = [(finding, name) for finding, name in findings if finding.over]
    if not over:
        told = [finding for finding, _ in findings if finding.limit is not None]
        return Decision(Reason.WITHIN, tightest=told[0] if len(told) == 1 else min(told, key=_room, default=None))
    worst, name = max(over, key=lambda one: _gravity(one[0]))
    return Decision(Reason.TOO_MUCH if worst.hopeless else Reason.OVER, _ACTIONS[_does(worst)], worst, name)


def _does(finding: Finding) -> str:
    """Return what is done beyond this limit; a message that will never fit is not asked to come back."""
    does = finding.rule.settings.action
    return "reject" if finding.hopeless and does == "defer" else does


def _gravity(finding: Finding) -> tuple[int, bool, float]:
    return _SEVERITY[_does(finding)], finding.hopeless, finding.free_at


def _room(finding: Finding) -> float:
    """Return which part of a limit is left."""
    assert finding.limit is not None
    return 1 - (finding.used + finding.units) / max(1, finding.limit.most)


class Fate(StrEnum):
    """What becomes of a message, and so whether it counts."""

    TAKEN = "taken"
    REFUSED = "refused"
    REHEARSED = "rehearsed"
    """It is let in, whatever would become of it otherwise."""


def fate_of(decision: Decision, rehearse: bool) -> Fate:
    """Return what becomes of the message."""
    if rehearse:
        return Fate.REHEARSED
    return Fate.REFUSED if decision.action in (Action.DEFER, Action.REJECT) else Fate.TAKEN


def settled(
    share: Share, group: Group, case: Case, fate: Fate, domains: Sequence[str], alarm_every: int, now: int
) -> tuple[Usage | None, list[Alarm]]:
    """Return the record as it is to be kept, None where nothing changed, and the alarms that are due."""
    changed: dict[int, Counts] = {}
    due: list[Finding] = []
    for finding in share.findings:
        if finding.over:
            counts = finding.after if _counts_beyond(finding, fate) else finding.before
            changed[finding.rule.tag], alarm = _beyond(finding, counts, alarm_every, now)
            if alarm:
                due.append(finding)
        elif fate is not Fate.REFUSED and not finding.repeated:
            changed[finding.rule.tag] = finding.after
    if not changed:
        return None, []
    usage, samples = share.usage, share.usage.domains
    for domain in domains:
        samples = sampled(samples, domain)
    clients = sampled(usage.clients, case.facts.client.address)
    state = encode(merged(share.state, changed, group.tags))
    usage = Usage(group.spec, share.name, min(usage.first or now, now), now, clients, samples, state)
    return usage, [Alarm(finding, usage) for finding in due]


def merged(state: Mapping[int, Counts], changed: dict[int, Counts], tags: frozenset[int]) -> Mapping[int, Counts]:
    """Return the counts of a record after a request: those of rules that did not hold for it stay as they are, those of
    rules that are no more (not in ``tags``) go.
    """
    if changed.keys() == state.keys():
        return changed
    return {tag: counts for tag, counts in state.items() if tag in tags} | changed


def _counts_beyond(finding: Finding, fate: Fate) -> bool:
    """Tell whether a rule counts a message that is beyond its limit: where it is sent all the same. Different things
    beyond the limit are not remembered, so that each request with one of them is told.
    """
    if finding.rule.kind in DISTINCT:
        return False
    return fate is Fate.REHEARSED or (fate is Fate.TAKEN and finding.rule.settings.action in ("log", "header"))


def _beyond(finding: Finding, counts: Counts, alarm_every: int, now: int) -> tuple[Counts, bool]:
    """Return the counts of a rule whose limit is exceeded, and whether the admin is to be told."""
    goes_on = counts.over and now - counts.over_last < ATTACK
    alarm = finding.rule.settings.alarm and not 0 <= now - counts.alarmed < alarm_every
    counts = counts._replace(
        over=counts.over + 1 if goes_on else 1,
        over_since=counts.over_since if goes_on else now,
        over_last=now,
        alarmed=now if alarm else counts.alarmed,
    )
    return counts, alarm


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
