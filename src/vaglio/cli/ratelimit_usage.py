"""What is counted for keys, with the limits that hold for each now: for all of ``vaglio ratelimit``. Changes nothing.

What a window holds and which limits a key has is for the check to say; here it is laid side by side for an admin.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from math import inf, isfinite
from typing import Any, NamedTuple, TypeVar

from vaglio.checks.ratelimit.decide import ATTACK, limits_of
from vaglio.checks.ratelimit.limits import DISTINCT, Kind, Limit, amount_text
from vaglio.checks.ratelimit.overrides import Overrides
from vaglio.checks.ratelimit.overridesource import source_of
from vaglio.checks.ratelimit.rules import Group, ReadyRule, Rules, Values, ready
from vaglio.checks.ratelimit.settings import RatelimitSettings
from vaglio.checks.ratelimit.usage import BEGUN, MARKS, SCHEMA, USAGE, Counts, Usage, decode, usage_key
from vaglio.checks.ratelimit.window import EMPTY, room_at, slid, thing_room_at, things_count, things_slid
from vaglio.cli.common import CliError, clean, configuration, look_at_store, moment, now, walk, warn
from vaglio.config.load import Loaded
from vaglio.config.types import format_duration, parse_duration
from vaglio.daemon.clock import monotonic
from vaglio.facts import client_of
from vaglio.ports import Store
from vaglio.store.rows import read_rows

T = TypeVar("T")

_NOTHING = Counts({})
_RCPT = " (rcpt)"
"""Stands behind the key's attributes in a group of rules about single recipients."""


class WindowUse(NamedTuple):
    """One window of a rule. ``most`` is None where the key has no limit; ``more_at`` is when there is more room than
    now (Unix seconds, infinity for never); ``of`` is how many recipients a refused share was taken from.
    """

    seconds: int
    used: int
    most: int | None
    more_at: float
    of: int = 0

    @property
    def left(self) -> int | None:
        """How much fits in now."""
        return None if self.most is None else max(0, self.most - self.used)

    @property
    def share(self) -> float:
        """Which part of the limit is used; 0 where there is none."""
        return 0.0 if self.most is None else self.used / self.most if self.most else 1.0


class RuleUse(NamedTuple):
    """What a rule counted for a key. ``origin`` is where its limits come from: ``rule``, ``override``, ``ramp-up``."""

    rule: ReadyRule
    counts: Counts
    windows: tuple[WindowUse, ...]
    origin: str

    @property
    def tightest(self) -> WindowUse:
        """The window of which most is used."""
        return max(self.windows, key=lambda window: window.share)


class KeyUse(NamedTuple):
    """What is counted for a key by all rules that share it."""

    usage: Usage
    group: Group
    rules: tuple[RuleUse, ...]


class View(NamedTuple):
    """What the counts are seen through: the rules and overrides of now, and when counting began (Unix seconds)."""

    settings: RatelimitSettings
    rules: Rules
    overrides: Overrides
    begun: int
    now: float

    def use(self, usage: Usage, group: Group, rules: Sequence[ReadyRule] = ()) -> KeyUse:
        """Return what a record says, by all rules of its group or by those that are given."""
        counts, values = decode(usage.state), values_of(usage.name, group)
        found = [self._by_rule(rule, values, usage, counts.get(rule.tag, _NOTHING)) for rule in rules or group.rules]
        return KeyUse(usage, group, tuple(found))

    def _by_rule(self, rule: ReadyRule, values: Values, usage: Usage, counts: Counts) -> RuleUse:
        limits, origin = self._limits(rule, values, usage)
        windows = (_window(rule.kind, counts, limit, self.now) for limit in limits or rule.limits)
        if not limits:
            windows = (window._replace(most=None, more_at=inf) for window in windows)
        return RuleUse(rule, counts, tuple(windows), origin)

    def _limits(self, rule: ReadyRule, values: Values, usage: Usage) -> tuple[tuple[Limit, ...], str]:
        own = self.overrides.find(rule.name, values)
        limits = limits_of(rule, own, usage, self.begun, self.now)
        return limits, "override" if own is not None else "rule" if limits == rule.limits else "ramp-up"


def values_of(name: str, group: Group) -> Values:
    """Return the parts of a key in words."""
    return (name,) if _parts(group) == 1 else tuple(name.split(" "))


def _parts(group: Group) -> int:
    return len(group.rules[0].settings.key)


def _window(kind: Kind, counts: Counts, limit: Limit, at: float) -> WindowUse:
    most, seconds = limit
    if kind in DISTINCT:
        things = things_slid(counts.things, at, seconds)
        used = things_count(things, at, seconds)
        return WindowUse(seconds, used, most, thing_room_at(things, min(used, most), seconds, at))
    window = slid(counts.windows.get(seconds, EMPTY), at, seconds)
    if kind is Kind.REFUSED_SHARE:
        refused = slid(counts.refused.get(seconds, EMPTY), at, seconds).total
        return WindowUse(seconds, 100 * refused // (window.total or 1), most, inf, window.total)
    more = max(0, most - window.total) + 1
    return WindowUse(seconds, window.total, most, room_at(window, more, most, seconds))


# --- reading ---


def looked_at(args: argparse.Namespace, work: Callable[[Store, View], Awaitable[T]]) -> T:
    """Open the store for looking only and run ``work``. Raises CliError, also if there is none yet."""
    loaded = configuration(args)

    async def whole(store: Store) -> T:
        return await work(store, await view_of(store, loaded, now(args)))

    return look_at_store(loaded, SCHEMA, whole)


async def view_of(store: Store, loaded: Loaded, at: float, country: Callable[[str], str] = lambda _: "") -> View:
    """Return what the counts of a store are to be seen through at ``at`` (Unix seconds)."""
    settings = loaded.config.ratelimit
    mark = await store.transact(lambda tx: tx.get(MARKS, BEGUN))
    begun = int(at) if mark is None or mark.at > at else mark.at
    return View(settings, ready(settings, country), _overrides(settings), begun, at)


def _overrides(settings: RatelimitSettings) -> Overrides:
    troubles: list[str] = []
    found = source_of(settings, read_rows, monotonic, troubles.append).read().current
    for trouble in troubles:
        warn(trouble)
    if troubles and not found.limits:  # the daemon may know them from before
        warn("without ratelimit.overrides the limits shown are those of the rules")
    return found


async def uses_of(store: Store, view: View, key: str) -> list[KeyUse]:
    """Return what is counted for a key, however an admin writes it; one entry for each group of rules that has any."""
    where = places(key, view)
    found = await store.transact(lambda tx: [tx.get(USAGE, place) for _, place in where])
    return [view.use(usage, group) for (group, _), usage in zip(where, found, strict=True) if usage is not None]


def places(key: str, view: View) -> list[tuple[Group, bytes]]:
    """Return where in the store a key may be found."""
    groups = view.rules.groups
    return [(group, usage_key(group.spec, values)) for group in groups for values in _spellings(key, group)]


def _spellings(key: str, group: Group) -> set[Values]:
    """Return what a key may be among those of a group: as typed, and in the form in which it is counted."""
    typed = (key.strip(),) if _parts(group) == 1 else tuple(key.split())
    if len(typed) != _parts(group):
        return set()
    return {typed, tuple(client_of(part).address.lower() for part in typed)}


async def all_uses(store: Store, view: View) -> AsyncIterator[KeyUse]:
    """Yield what is counted for each key, but for those of rules that are gone."""
    groups = {group.spec: group for group in view.rules.groups}
    async for usage in walk(store, USAGE):
        if group := groups.get(usage.spec):
            yield view.use(usage, group)


def asked_at_rcpt(settings: RatelimitSettings) -> bool:
    """Tell whether Postfix must ask at RCPT, too: for rules about single recipients, and to see which are refused."""
    return any(rule.per_recipient or rule.count == "refused_share" for rule in settings.rule)


def rule_name(args: argparse.Namespace, view: View) -> str:
    """Return the rule that ``--rule`` names, "" for none. Raises CliError for one that is not there."""
    known = [rule.name for group in view.rules.groups for rule in group.rules]
    name: str = args.rule or ""
    if name and name not in known:
        raise CliError(f"there is no rule {name!r}: found in the configuration are {', '.join(known) or 'none'}")
    return name


def window_length(text: str) -> int:
    """Read the length of a window, for argparse."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"found {text!r}, wanted {error}") from None


# --- telling ---


def document(use: KeyUse) -> dict[str, Any]:
    """Return it as JSON has it."""
    usage = use.usage
    return {
        "key": usage.name,
        "by": use.group.spec.removesuffix(_RCPT),
        "per_recipient": any(one.rule.per_recipient for one in use.rules),
        "first": usage.first or None,
        "last": usage.last or None,
        "clients": usage.clients.split(),
        "recipient_domains": usage.domains.split(),
        "rules": list(map(rule_document, use.rules)),
    }


def rule_document(one: RuleUse) -> dict[str, Any]:
    """Return what a rule counted, as JSON has it."""
    counts, settings = one.counts, one.rule.settings
    beyond = {"requests": counts.over, "since": counts.over_since, "last": counts.over_last} if counts.over else None
    return {"rule": one.rule.name, "count": one.rule.kind.value, "action": settings.action, "limits_from": one.origin,
            "windows": list(map(_window_document, one.windows)), "beyond": beyond,
            "alarmed": counts.alarmed or None}  # fmt: skip


def _window_document(one: WindowUse) -> dict[str, Any]:
    return {"seconds": one.seconds, "used": one.used, "limit": one.most, "left": one.left,
            "more_at": int(one.more_at) + 1 if one.more_at and isfinite(one.more_at) else None}  # fmt: skip


def title(use: KeyUse) -> str:
    """Return a key and what it is, as a terminal may show it."""
    spec = use.group.spec
    by = spec.removesuffix(_RCPT)
    return clean(f"{use.usage.name} (by {by}{', single recipients' if spec != by else ''})")


HEAD = ("rule", "counts", "window", "used", "limit", "left", "more room", "remark")


def rows(rules: Iterable[RuleUse]) -> Iterator[tuple[object, ...]]:
    """Yield a row of ``HEAD`` for each window."""
    for one in rules:
        kind = one.rule.kind
        for window in one.windows:
            limit, left = ("none", "") if window.most is None or window.left is None else (
                amount_text(window.most, kind), amount_text(window.left, kind))  # fmt: skip
            more = moment(window.more_at) if window.more_at and isfinite(window.more_at) else ""
            yield (one.rule.name, kind.value, format_duration(window.seconds), amount_text(window.used, kind), limit,
                   left, more, "; ".join(_remarks(one, window)))  # fmt: skip


def _remarks(one: RuleUse, window: WindowUse) -> Iterator[str]:
    settings = one.rule.settings
    if one.origin == "override":
        yield "limit of its own"
    if one.origin == "ramp-up":
        yield f"ramp-up: {settings.ramp_up_share}% of the rule's limit"
    if one.rule.kind is Kind.REFUSED_SHARE:
        judged = "" if window.of >= settings.at_least else f", judged from {settings.at_least} on"
        yield f"of {window.of} recipients{judged}"
    if settings.action in ("log", "header"):
        yield "nothing is held back"


def beyond(one: RuleUse, at: float) -> str:
    """Return what was refused, or would have been, in words; "" for nothing."""
    counts = one.counts
    if not counts.over:
        return ""
    requests = "1 request" if counts.over == 1 else f"{counts.over} requests"
    when = f"since {moment(counts.over_since)}, last {moment(counts.over_last)}"
    told = f"; the admin was told {moment(counts.alarmed)}" if counts.alarmed else ""
    return f"{requests} beyond the limit {when}{'' if at - counts.over_last < ATTACK else ', over by now'}{told}"
