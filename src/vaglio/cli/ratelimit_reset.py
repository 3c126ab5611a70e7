"""``vaglio ratelimit reset``: forgets what was counted for a key, while the daemon runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from vaglio.checks.ratelimit.limits import amount_text
from vaglio.checks.ratelimit.usage import SCHEMA, USAGE, Counts, decode, encode
from vaglio.cli.common import (
    Commands,
    WrongUsage,
    change_store,
    command,
    configuration,
    now,
    print_json,
    usual_options,
    warn,
)
from vaglio.cli.ratelimit_usage import KeyUse, View, document, looked_at, places, rule_name, title, uses_of, view_of
from vaglio.config.types import format_duration
from vaglio.ports import Store, Transaction

_MORE = """\
The key may use all of its limits again, at once: the daemon need not be told. That it is known stays, so it is no
newcomer (ramp_up), and so do the recipients that it wrote to. Nothing brings the counts back; --json prints all that
was there. Another limit for good: ratelimit.overrides."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "reset", _reset, "forget what was counted for a key: it begins anew",
        "vaglio ratelimit reset tizio@tizio.it\nvaglio ratelimit reset tizio@tizio.it --rule per-user --yes --json",
        _MORE,
    )  # fmt: skip
    parser.add_argument("key", metavar="KEY", help="as vaglio ratelimit show has it")
    parser.add_argument("--rule", metavar="NAME", help="only what this rule counted")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    usual_options(parser)


def _reset(args: argparse.Namespace) -> int:
    async def look(store: Store, view: View) -> list[KeyUse]:
        return _only(await uses_of(store, view, args.key), rule_name(args, view))

    there = looked_at(args, look)
    if there and not _agreed(args, there):
        return 1
    forgotten = change_store(configuration(args), SCHEMA, lambda store: _forget(store, args)) if there else []
    if args.json:
        print_json({"forgotten": list(map(document, forgotten))})
    else:
        for use in forgotten:
            print(f"forgotten: {title(use)}: {'; '.join(_counted(use))}")
    if not forgotten:
        warn(f"nothing is counted for {args.key!r}")
    return 0 if forgotten else 1


def _only(uses: Sequence[KeyUse], rule: str) -> list[KeyUse]:
    """Return what is counted, if only by one rule; without keys for which nothing is."""
    narrowed = [use._replace(rules=tuple(one for one in use.rules if rule in ("", one.rule.name))) for use in uses]
    return [use for use in narrowed if any(one.counts != Counts({}) for one in use.rules)]


def _agreed(args: argparse.Namespace, there: Sequence[KeyUse]) -> bool:
    if args.yes:
        return True
    if args.json or not sys.stdin.isatty():
        raise WrongUsage("this forgets counts for good and nobody can be asked: say --yes")
    for use in there:
        print(f"{title(use)}: {'; '.join(_counted(use))}")
    return input("Forget that? [y/N] ").strip().lower() in ("y", "yes")


def _counted(use: KeyUse) -> Iterator[str]:
    for one in use.rules:
        kind = one.rule.kind
        windows = (f"{amount_text(window.used, kind)} in {format_duration(window.seconds)}" for window in one.windows)
        refused = f", {one.counts.over} requests beyond the limit" if one.counts.over else ""
        yield f"{one.rule.name} ({kind.value}) {', '.join(windows)}{refused}"


async def _forget(store: Store, args: argparse.Namespace) -> list[KeyUse]:
    """Forget the counts and return what was there, all at one moment."""
    view = await view_of(store, configuration(args), now(args))
    wanted = rule_name(args, view)

    def step(tx: Transaction) -> list[KeyUse]:
        there = []
        for group, place in places(args.key, view):
            usage = tx.get(USAGE, place)
            for use in _only([view.use(usage, group)] if usage else [], wanted):
                gone = {one.rule.tag for one in use.rules}
                kept = {tag: counts for tag, counts in decode(use.usage.state).items() if wanted and tag not in gone}
                tx.put(USAGE, place, use.usage._replace(state=encode(kept)))
                there.append(use)
        return there

    return await store.transact(step)
