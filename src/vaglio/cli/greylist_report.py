"""``vaglio greylist report``: what greylisting stops, and what it costs."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from vaglio.checks.greylist.decide import TRIPLETS, Day, Triplet, expired, median_habit
from vaglio.cli.arguments import unix_time
from vaglio.cli.common import (
    Commands,
    command,
    configuration,
    counted_until,
    days_option,
    looking_options,
    moment,
    now,
    print_json,
    print_table,
)
from vaglio.cli.greylist_look import LATE, Habits, habits, read, read_days
from vaglio.config.types import format_duration

_SHOWN = 20


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "report", _report, "say what greylisting stops and what it costs",
        "vaglio greylist report --days 7\nvaglio greylist report --json",
        'With mode = "rehearse" it says what greylisting would have done. Days are UTC. The daemons write their\n'
        'counts every few seconds: "as of" says until when all is counted.',
    )  # fmt: skip
    days_option(parser, 30)
    parser.add_argument("--now", type=unix_time, metavar="UNIX", help="as of this time (Unix seconds)")
    looking_options(parser)


def _report(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    settings, at = loaded.config.greylist, int(now(args))
    since, days = read_days(loaded, args)
    triplets = read(loaded, TRIPLETS, lambda one: one.first >= since)
    waiting = sum(1 for one in triplets if not one.passed and not expired(one, at, settings))
    document = {
        "as_of": counted_until(args),
        **totals(days),
        "waiting": waiting,
        **waits(triplets),
        **costs(habits(loaded, since), settings.delay),
    }
    if args.json:
        print_json(document)
    else:
        _tell(document, args.days)
    return 0


def totals(days: Iterable[Day]) -> dict[str, int]:
    """Return the sums of some days."""
    total = Counter[str]()
    for day in days:
        total.update({key: value for key, value in day._asdict().items() if key != "day"})
    return {
        "first_contacts": total["contacts"] + total["crowded"],
        "let_in": total["retried"],
        "never_retried": total["lost"],
        "early_retries": total["early"],
        "not_stored": total["crowded"],
        "rehearsed": total["rehearsed"],
    }


def waits(triplets: Iterable[Triplet]) -> dict[str, int | None]:
    """Return how long those who were let in had to wait, in seconds; None where nobody was."""
    # An imported triplet, of which nobody knows when it was let in, has passed == first.
    found = sorted(one.passed - one.first for one in triplets if one.passed > one.first)
    return {
        "wait_median": found[len(found) // 2] if found else None,
        "wait_p90": found[len(found) * 9 // 10] if found else None,
        "wait_max": found[-1] if found else None,
    }


def costs(pools: Sequence[Habits], delay: int) -> dict[str, Any]:
    """Return the pools that come back late, and those with contacts that never did."""
    late = sorted(
        (one.document(delay) for one in pools if (median_habit(one.record) or 0) > delay * LATE),
        key=lambda one: one["median_retry"],
        reverse=True,
    )
    lost = sorted((one for one in pools if one.record.lost), key=lambda one: one.record.lost, reverse=True)
    return {
        "late_pools": late[:_SHOWN],
        "lost_pools": [
            {"pool": one.record.name, "lost": one.record.lost, "contacts": one.contacts} for one in lost[:_SHOWN]
        ],
        "never_back_pools": sum(1 for one in lost if not one.record.retried),
    }


def _tell(document: dict[str, Any], days: int) -> None:
    rehearsal, first = document["rehearsed"], document["first_contacts"]
    print(f"The last {days} days, as of {moment(document['as_of'])}:")
    if not first:
        print("  no first contacts")
        return
    more = f"; {rehearsal} more would have been, but it was a rehearsal" if rehearsal else ""
    print(f"  {first - rehearsal} first contacts were deferred{more}")
    if document["let_in"]:
        print(f"  {_part(document['let_in'], first)} came back and got in{_waited(document)}")
    print(f"  {_part(document['never_retried'], first)} were never retried: most of this is the spam that stayed out")
    print(f"  {_part(document['waiting'], first)} still wait for their sender to try again")
    if rehearsal:
        print("  Those of a rehearsal passed at once, so a sender had no reason to come back. Count as spam only")
        print("  what you would not miss, and take the waits as the time until that sender wrote again.")
    _tell_pools("Pools that come back late (the cost; see vaglio greylist allow):", document["late_pools"], "remark")
    _tell_pools("Pools whose contacts were never retried:", document["lost_pools"], "lost")


def _part(count: int, whole: int) -> str:
    return f"{count} ({100 * count / whole:.0f} %)"


def _waited(document: dict[str, Any]) -> str:
    if document["wait_max"] is None:
        return ""
    median, most, longest = (format_duration(document[key]) for key in ("wait_median", "wait_p90", "wait_max"))
    return f"; they waited {median} (median), {most} (9 of 10), {longest} (longest)"


def _tell_pools(title: str, rows: Sequence[dict[str, Any]], key: str) -> None:
    if rows:
        print(f"\n{title}")
        print_table(("pool", key), ((row["pool"], row[key]) for row in rows), "none")
