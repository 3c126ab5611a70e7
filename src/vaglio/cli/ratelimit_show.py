"""``vaglio ratelimit show``, ``top``, ``report``: what is counted for whom, who uses most, who was beyond a limit."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from vaglio.checks.ratelimit.limits import amount_text
from vaglio.cli.arguments import count
from vaglio.cli.common import (
    Commands,
    command,
    looking_options,
    moment,
    paragraph,
    print_json,
    print_table,
    warn,
)
from vaglio.cli.ratelimit_usage import (
    HEAD,
    KeyUse,
    RuleUse,
    View,
    WindowUse,
    all_uses,
    beyond,
    document,
    looked_at,
    rows,
    rule_document,
    rule_name,
    title,
    uses_of,
    window_length,
)
from vaglio.config.types import format_duration
from vaglio.ports import Store

_ONCE = 50
"""Rows that are kept while walking, for each row that is wanted: a store may have a million keys."""


class Place(NamedTuple):
    """A key, one of its rules, and a window of that."""

    use: KeyUse
    rule: RuleUse
    window: WindowUse

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        of_window = next(one for one, window in zip(rule_document(self.rule)["windows"], self.rule.windows, strict=True)
                         if window is self.window)  # fmt: skip
        of_rule = {key: value for key, value in rule_document(self.rule).items() if key != "windows"}
        usage = self.use.usage
        return {"key": usage.name, **of_rule, **of_window, "share": round(self.window.share, 4), "last": usage.last,
                "clients": usage.clients.split(), "recipient_domains": usage.domains.split()}  # fmt: skip


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    show = command(
        commands, "show", _show, "say all that is counted for a login, sender or client",
        "vaglio ratelimit show tizio@tizio.it\nvaglio ratelimit show 198.51.100.7 --json\nvaglio ratelimit show",
        "KEY is what a rule counts by, as log and alarms name it; if that is several things, put them in quotes, with\n"
        'blanks between. Without KEY: the same as "top". Times are local.',
    )  # fmt: skip
    show.add_argument("key", nargs="?", default="", metavar="KEY", help="a login, a sender, a client, ...")
    looking_options(show)
    top = command(
        commands, "top", _top, "list who uses most of its limit, or was refused most",
        "vaglio ratelimit top --limit 20\nvaglio ratelimit top --rule per-user --window 1h\n"
        "vaglio ratelimit top --refused --json",
        "Of each key and rule the window of which most is used. Keys without a limit are left out.",
    )  # fmt: skip
    top.add_argument("--rule", metavar="NAME", help="only this rule")
    top.add_argument("--window", type=window_length, metavar="LENGTH", help='only windows of this length, such as "1h"')
    top.add_argument("--refused", action="store_true", help="most requests beyond the limit first")
    top.add_argument("--limit", type=count, default=20, metavar="N", help="at most N (default 20)")
    looking_options(top)
    report = command(
        commands, "report", _report, "say which keys were beyond a limit lately, how often and since when",
        "vaglio ratelimit report --days 7\nvaglio ratelimit report --days 1 --only-if-any",
        "For a timer that mails what a command prints: with --only-if-any it prints nothing when there was nothing.\n"
        "A request beyond a limit counts from the first one on, until there was none for a day.",
    )  # fmt: skip
    report.add_argument("--days", type=count, default=1, metavar="N", help="the last N times 24 hours (default 1)")
    report.add_argument("--only-if-any", action="store_true", help="print nothing when no key was beyond a limit")
    looking_options(report)


# --- show ---


def _show(args: argparse.Namespace) -> int:
    if not args.key:
        args.rule, args.window, args.refused, args.limit = None, None, False, 20
        return _top(args)

    async def work(store: Store, view: View) -> tuple[View, list[KeyUse]]:
        return view, await uses_of(store, view, args.key)

    view, found = looked_at(args, work)
    if args.json:
        print_json(list(map(document, found)))
    elif found:
        for number, use in enumerate(found):
            print("\n" * (number > 0), end="")
            tell(use, view.now)
    if not found:
        warn(f"nothing is counted for {args.key!r}: it sent nothing lately, or no rule counts by it; vaglio ratelimit "
             "top lists the keys there are")  # fmt: skip
    return 0 if found else 1


def tell(use: KeyUse, at: float) -> None:
    """Print all that is counted for a key; ``at`` is now."""
    usage = use.usage
    print(title(use))
    print(f"  first seen {moment(usage.first)}, last {moment(usage.last)}")
    print(paragraph(f"clients: {usage.clients or 'unknown'}"))
    print(paragraph(f"recipient domains: {usage.domains or 'unknown'}"))
    print_table(HEAD, rows(use.rules), "no rule")
    for one in use.rules:
        if words := beyond(one, at):
            print(paragraph(f"{one.rule.name}: {words}", ""))


# --- top and report ---


def _top(args: argparse.Namespace) -> int:
    def choose(use: KeyUse, view: View) -> Iterable[Place]:
        wanted = rule_name(args, view)
        for one in use.rules:
            windows = [window for window in one.windows if args.window in (None, window.seconds)]
            if windows and wanted in ("", one.rule.name):
                place = Place(use, one, max(windows, key=lambda window: window.share))
                if one.counts.over if args.refused else place.window.share > 0:
                    yield place

    rank = _by_refusals if args.refused else _by_share
    _, found = _collected(args, choose, rank, args.limit)
    if args.json:
        print_json([place.document() for place in found])
        return 0
    none = "no key was beyond a limit" if args.refused else "no key has used any of its limits"
    print_table(
        ("key", "rule", "counts", "window", "used", "limit", "share", "beyond", "last"), map(_top_row, found), none
    )
    return 0


def _top_row(place: Place) -> tuple[object, ...]:
    kind, window = place.rule.rule.kind, place.window
    limit, share = ("none", "") if window.most is None else (amount_text(window.most, kind), f"{window.share:.0%}")
    return (place.use.usage.name, place.rule.rule.name, kind.value, format_duration(window.seconds),
            amount_text(window.used, kind), limit, share, place.rule.counts.over or "",
            moment(place.use.usage.last))  # fmt: skip


def _report(args: argparse.Namespace) -> int:
    def choose(use: KeyUse, view: View) -> Iterable[Place]:
        since = view.now - args.days * 86400
        return (Place(use, one, one.tightest) for one in use.rules if one.counts.over and one.counts.over_last >= since)

    view, found = _collected(args, choose, _by_refusals, None)
    if args.only_if_any and not found:
        return 0
    if args.json:
        print_json({"days": args.days, "at": int(view.now), "rehearsal": view.settings.mode == "rehearse",
                    "keys": [place.document() for place in found]})  # fmt: skip
    else:
        _tell_report(found, args.days, view)
    return 0


def _tell_report(found: Sequence[Place], days: int, view: View) -> None:
    period = "24 hours" if days == 1 else f"{days} days"
    if not found:
        print(f"No key was beyond a limit within the last {period}.")
        return
    print(f"Beyond a limit within the last {period}, as of {moment(view.now)}:\n")
    print_table(
        ("key", "rule", "limit", "does", "requests", "since", "last"),
        (
            (place.use.usage.name, place.rule.rule.name, _limits(place.rule), place.rule.rule.settings.action,
             place.rule.counts.over, moment(place.rule.counts.over_since), moment(place.rule.counts.over_last))
            for place in found
        ),
        "",
    )  # fmt: skip
    print()
    if view.settings.mode == "rehearse":
        print(paragraph('Now ratelimit.mode is "rehearse": what goes beyond a limit passes.', ""))
    advice = (
        "vaglio ratelimit show KEY tells more of one. If its owner did not send that, change the password first, then "
        "look into the queue (mailq); vaglio ratelimit reset KEY once all is well."
    )
    print(paragraph(advice, ""))


def _limits(one: RuleUse) -> str:
    kind = one.rule.kind
    limits = [(window.most, window.seconds) for window in one.windows if window.most is not None]
    return " ".join(f"{amount_text(most, kind)}/{format_duration(seconds)}" for most, seconds in limits) or "none"


def _by_share(place: Place) -> tuple[float, ...]:
    return place.window.share, place.window.used


def _by_refusals(place: Place) -> tuple[float, ...]:
    return place.rule.counts.over, place.rule.counts.over_last


def _collected(
    args: argparse.Namespace,
    choose: Callable[[KeyUse, View], Iterable[Place]],
    rank: Callable[[Place], tuple[float, ...]],
    most: int | None,
) -> tuple[View, list[Place]]:
    """Return the places that are chosen, highest first, at most ``most``."""

    async def work(store: Store, view: View) -> tuple[View, list[Place]]:
        found: list[Place] = []
        async for use in all_uses(store, view):
            found += choose(use, view)
            if most is not None and len(found) > most * _ONCE:
                found = sorted(found, key=rank, reverse=True)[:most]
        return view, sorted(found, key=rank, reverse=True)[:most]

    return looked_at(args, work)
