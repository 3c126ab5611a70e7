"""``vaglio greylist list``, ``pools``, ``stats`` and ``report``: what is remembered, and what it is worth."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from vaglio.checks.greylist.decide import DAYS, POOLS, SCHEMA, TRIPLETS, Day, PoolRecord, Triplet, median_habit
from vaglio.cli.common import (
    Commands,
    command,
    configuration,
    moment,
    now,
    print_json,
    print_table,
    progress,
    with_store,
)
from vaglio.config.load import Loaded
from vaglio.config.types import format_duration
from vaglio.ports import R, Store, Table

_PAGE = 5000
_LATE = 3
"""A retry is late when it came after this many times the delay."""


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    listing = command(commands, "list", _list, "list the triplets: who writes to whom, since when, let in or waiting")
    listing.add_argument("--pool", metavar="NAME", help="only of this pool (domain or network)")
    listing.add_argument("--from", dest="sender", metavar="TEXT", help="only senders that contain this")
    listing.add_argument("--to", dest="recipient", metavar="TEXT", help="only recipients that contain this")
    listing.add_argument("--waiting", action="store_true", help="only those that were not let in yet")
    listing.add_argument("--limit", type=int, default=100, metavar="N", help="at most N, latest first (default 100)")
    pools = command(commands, "pools", _pools, "list the pools of senders with their habits of retrying")
    pools.add_argument("--limit", type=int, default=50, metavar="N", help="at most N, busiest first (default 50)")
    stats = command(commands, "stats", _stats, "count what happened, day by day")
    stats.add_argument("--days", type=int, default=14, metavar="N", help="the last N days (default 14)")
    report = command(commands, "report", _report, "say what greylisting costs and what it stops")
    report.add_argument("--days", type=int, default=30, metavar="N", help="the last N days (default 30)")


async def _all(store: Store, table: Table[R]) -> AsyncIterator[R]:
    """Yield all records, showing progress on long walks."""
    after, count = b"", 0
    while page := await store.scan(table, after, _PAGE):
        for _, record in page:
            yield record
        after, count = page[-1][0], count + len(page)
        progress(f"{count} {table.name}" if len(page) == _PAGE else "")


def _read(loaded: Loaded, table: Table[R], keep: Callable[[R], bool]) -> list[R]:
    async def work(store: Store) -> list[R]:
        return [record async for record in _all(store, table) if keep(record)]

    return with_store(loaded, SCHEMA, work)


def _list(args: argparse.Namespace) -> int:
    def keep(triplet: Triplet) -> bool:
        return (
            (not args.pool or triplet.pool == args.pool)
            and (not args.sender or args.sender.lower() in triplet.sender)
            and (not args.recipient or args.recipient.lower() in triplet.recipient)
            and not (args.waiting and triplet.passed)
        )

    found = sorted(_read(configuration(args), TRIPLETS, keep), key=lambda one: one.last, reverse=True)[: args.limit]
    if args.json:
        print_json([one._asdict() for one in found])
    else:
        print_table(
            ("pool", "from", "to", "first", "last", "contacts", "let in"),
            (
                (one.pool, one.sender or "<>", one.recipient, moment(one.first), moment(one.last), one.attempts,
                 moment(one.passed) if one.passed else "waiting")
                for one in found
            ),
            "no such triplets",
        )  # fmt: skip
    return 0


def _pool_document(pool: PoolRecord, delay: int) -> dict[str, Any]:
    habit = median_habit(pool)
    return {
        "pool": pool.name,
        "contacts": pool.contacts,
        "retried": pool.retried,
        "lost": pool.lost,
        "early": pool.early,
        "pending": pool.pending,
        "delivered": pool.delivered,
        "median_retry": habit,
        "last": pool.last,
        "remark": _habit_in_words(habit, delay),
    }


def _habit_in_words(habit: int | None, delay: int) -> str:
    if habit is None:
        return "never came back yet"
    text = f"comes back after {format_duration(habit)}"
    if habit < delay:
        return f"{text}, the delay is {format_duration(delay)}: its first retry is refused too"
    return text + (", late" if habit > delay * _LATE else "")


def _pools(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    found = sorted(_read(loaded, POOLS, lambda _: True), key=lambda one: one.contacts, reverse=True)[: args.limit]
    documents = [_pool_document(one, loaded.config.greylist.delay) for one in found]
    if args.json:
        print_json(documents)
    else:
        columns = ("pool", "contacts", "retried", "lost", "early", "pending", "delivered", "remark")
        print_table(columns, ([one[key] for key in columns] for one in documents), "no pools yet")
    return 0


def _days(loaded: Loaded, args: argparse.Namespace) -> list[Day]:
    first = int(now(args)) // 86400 - args.days + 1
    return sorted(_read(loaded, DAYS, lambda day: day.day >= first))


def _stats(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    days = _days(loaded, args)
    sizes = {table.name: _count(loaded, table) for table in (TRIPLETS, POOLS)}
    if args.json:
        print_json({"days": [{**day._asdict(), "day": day.day * 86400} for day in days], "rows": sizes})
        return 0
    print_table(
        ("day", "first contacts", "early retries", "let in", "mean wait", "never retried", "not stored"),
        (
            (moment(day.day * 86400)[:10], day.contacts, day.early, day.retried,
             format_duration(day.waited / day.retried) if day.retried else "-", day.lost, day.crowded)
            for day in days
        ),
        "nothing happened in these days",
    )  # fmt: skip
    print(f"{sizes['triplets']} triplets and {sizes['pools']} pools are remembered now")
    return 0


def _count(loaded: Loaded, table: Table[Any]) -> int:
    async def work(store: Store) -> int:
        return await store.count(table)

    return with_store(loaded, SCHEMA, work)


def _report(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    days = _days(loaded, args)
    since = (int(now(args)) // 86400 - args.days + 1) * 86400
    passed = _read(loaded, TRIPLETS, lambda one: one.passed > 0 and one.first >= since)
    pools = _read(loaded, POOLS, lambda one: one.contacts > 0 and one.last >= since)
    document = report(days, passed, pools, loaded.config.greylist.delay)
    document["rehearsal"] = loaded.config.greylist.mode == "rehearse"
    if args.json:
        print_json(document)
    else:
        _tell(document, args.days)
    return 0


def report(days: Iterable[Day], passed: Iterable[Triplet], pools: Iterable[PoolRecord], delay: int) -> dict[str, Any]:
    """Return what greylisting did in some days: what it held up, for how long, and what never came back."""
    total = Counter[str]()
    for day in days:
        total.update({key: value for key, value in day._asdict().items() if key != "day"})
    waits = sorted(one.passed - one.first for one in passed)
    late = sorted(
        (_pool_document(one, delay) for one in pools if (median_habit(one) or 0) > delay * _LATE),
        key=lambda one: one["median_retry"],
        reverse=True,
    )
    lost = sorted((one for one in pools if one.lost), key=lambda one: one.lost, reverse=True)
    return {
        "first_contacts": total["contacts"] + total["crowded"],
        "let_in": total["retried"],
        "never_retried": total["lost"],
        "early_retries": total["early"],
        "wait_median": waits[len(waits) // 2] if waits else None,
        "wait_p90": waits[len(waits) * 9 // 10] if waits else None,
        "wait_max": waits[-1] if waits else None,
        "late_pools": late[:20],
        "lost_pools": [{"pool": one.name, "lost": one.lost, "contacts": one.contacts} for one in lost[:20]],
        "never_back_pools": sum(1 for one in pools if one.retried == 0 and one.lost),
    }


def _tell(document: dict[str, Any], days: int) -> None:
    rehearsal = document["rehearsal"]
    would = "would have been" if rehearsal else "were"
    print(f"The last {days} days:")
    print(f"  {document['first_contacts']} first contacts {would} deferred")
    if document["let_in"]:
        median, most, longest = (format_duration(document[key] or 0) for key in ("wait_median", "wait_p90", "wait_max"))
        print(f"  {document['let_in']} of them came back and got in; they waited {median} (median), "
              f"{most} (9 of 10), {longest} (longest)")  # fmt: skip
    print(f"  {document['never_retried']} were never retried: most of this is the spam that stayed out")
    if rehearsal:
        print("  This is a rehearsal: nobody was deferred, so a sender had no reason to come back. Count as spam only")
        print("  what you would not miss, and take the waits as the time until that sender wrote again.")
    for title, rows, key in (
        ("Pools that come back late (the cost; see vaglio greylist allow):", document["late_pools"], "remark"),
        ("Pools whose contacts were never retried:", document["lost_pools"], "lost"),
    ):
        if rows:
            print(title)
            print_table(("pool", key), ((row["pool"], row[key]) for row in rows))
