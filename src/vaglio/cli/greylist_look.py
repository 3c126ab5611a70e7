"""``vaglio greylist list``, ``pools``, ``stats``: what is remembered, and what happened day by day.

Also reads whole tables for the other subcommands.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from vaglio.checks.greylist.decide import DAYS, POOLS, SCHEMA, TRIPLETS, Day, PoolRecord, Triplet, median_habit
from vaglio.checks.greylist.pool import fold_sender
from vaglio.cli.arguments import count, mailbox
from vaglio.cli.common import (
    CliError,
    Commands,
    command,
    configuration,
    counted_until,
    day_of,
    days_option,
    first_day,
    look_at_store,
    looking_options,
    moment,
    print_json,
    print_table,
    walk,
)
from vaglio.cli.greylist_keys import keys_of, pool_named
from vaglio.config.load import Loaded
from vaglio.config.types import format_duration
from vaglio.ports import R, Store, Table

LATE = 3
"""A retry is late when it came after this many times the delay."""


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    listing = command(
        commands, "list", _list, "list the triplets: who writes to whom, since when, let in or waiting",
        "vaglio greylist list --waiting --to caio.it\nvaglio greylist list --pool tizio.it --limit 1000 --json",
        'Times are those of the last changes: a busy triplet\'s "last" is written once an hour. Senders are shown as\n'
        "they are stored: numbers and tags that change from message to message are left out or replaced by #.",
    )  # fmt: skip
    listing.add_argument("--pool", metavar="NAME", help="only of this pool: domain or network, or an address in it")
    listing.add_argument("--from", dest="sender", type=mailbox, metavar="TEXT",
                         help='only senders that contain this; "" is the null sender')  # fmt: skip
    listing.add_argument("--to", dest="recipient", type=mailbox, metavar="TEXT",
                         help="only recipients that contain this")  # fmt: skip
    listing.add_argument("--waiting", action="store_true", help="only those that were not let in yet")
    listing.add_argument("--limit", type=count, default=100, metavar="N", help="at most N, latest first (default 100)")
    looking_options(listing)
    pools = command(
        commands, "pools", _pools, "list the pools of senders with their habits of retrying",
        "vaglio greylist pools --limit 20\nvaglio greylist pools --json",
    )  # fmt: skip
    pools.add_argument("--limit", type=count, default=50, metavar="N", help="at most N, busiest first (default 50)")
    looking_options(pools)
    stats = command(
        commands, "stats", _stats, "count what happened, day by day",
        "vaglio greylist stats --days 30",
        'Days are UTC. The daemons write their counts every few seconds: "as of" says until when all is counted.\n'
        "See also: vaglio greylist report",
    )  # fmt: skip
    days_option(stats, 14)
    looking_options(stats)


# --- reading ---


def read(loaded: Loaded, table: Table[R], keep: Callable[[R], bool]) -> list[R]:
    """Return the records of a table for which ``keep`` holds, showing progress on long walks."""

    async def work(store: Store) -> list[R]:
        return [record async for record in walk(store, table) if keep(record)]

    return look_at_store(loaded, SCHEMA, work)


def read_days(loaded: Loaded, args: argparse.Namespace) -> tuple[int, list[Day]]:
    """Return the Unix time at which the last ``--days`` days begin, and what is recorded of them."""
    first = first_day(args)
    return first * 86400, sorted(read(loaded, DAYS, lambda day: day.day >= first))


# --- list ---


def _list(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    found = read(loaded, TRIPLETS, _filter(args, loaded))
    found = sorted(found, key=lambda one: one.last, reverse=True)[: args.limit]
    if args.json:
        print_json([one._asdict() for one in found])
    else:
        print_table(
            ("pool", "from", "to", "first", "last", "contacts", "let in"), map(_row, found), "no such triplets"
        )
    return 0


def _filter(args: argparse.Namespace, loaded: Loaded) -> Callable[[Triplet], bool]:
    if loaded.config.greylist.privacy and (args.sender is not None or args.recipient):
        raise CliError("with greylist.privacy addresses are not stored: look by --pool, or use vaglio greylist why")
    keys = keys_of(loaded)
    pool = keys.pool(pool_named(args.pool, loaded.config.greylist)) if args.pool else b""
    folded = "" if args.sender is None else fold_sender(args.sender)

    def keep(triplet: Triplet) -> bool:
        return (
            (not pool or keys.pool(triplet.pool) == pool)
            and (args.sender is None or triplet.sender == folded or _within(args.sender, triplet.sender))
            and (not args.recipient or _within(args.recipient, triplet.recipient))
            and not (args.waiting and triplet.passed)
        )

    return keep


def _within(text: str, address: str) -> bool:
    return text != "" and text.lower() in address


def _row(one: Triplet) -> tuple[object, ...]:
    hidden = not one.recipient  # greylist.privacy
    sender, recipient = ("(hidden)",) * 2 if hidden else (one.sender or "<>", one.recipient)
    let_in = moment(one.passed) if one.passed else "waiting"
    return one.pool, sender, recipient, moment(one.first), moment(one.last), one.attempts, let_in


# --- pools ---


class Habits(NamedTuple):
    """A pool with the number of its triplets that are waiting."""

    record: PoolRecord
    waiting: int

    @property
    def contacts(self) -> int:
        """Triplets that are waiting or have ended: let in or never retried."""
        return self.waiting + self.record.retried + self.record.lost

    def document(self, delay: int) -> dict[str, Any]:
        """Return what is known of it, its habit of retrying judged by the ``delay`` in seconds."""
        pool = self.record
        return {
            "pool": pool.name,
            "contacts": self.contacts,
            "waiting": self.waiting,
            "retried": pool.retried,
            "lost": pool.lost,
            "early": pool.early,
            "delivered": pool.delivered,
            "median_retry": median_habit(pool),
            "last": pool.last,
            "remark": self.in_words(delay),
        }

    def in_words(self, delay: int) -> str:
        """Return its habit in words."""
        habit = median_habit(self.record)
        if habit is None:
            return "never came back yet" if self.contacts else "never had to wait"
        text = f"comes back after {format_duration(habit)}"
        if habit < delay:
            return f"{text}, the delay is {format_duration(delay)}: its first retry is deferred too"
        return text + (", late" if habit > delay * LATE else "")


def habits(loaded: Loaded, since: int = 0) -> list[Habits]:
    """Return the pools seen since then (Unix seconds), busiest first. One whose triplets only wait has no record."""
    records = {one.name: one for one in read(loaded, POOLS, lambda one: one.last >= since)}
    waiting = Counter[str]()
    for triplet in read(loaded, TRIPLETS, lambda one: not one.passed and one.last >= since):
        waiting[triplet.pool] += 1
        if triplet.pool not in records or records[triplet.pool].last < triplet.last:
            known = records.get(triplet.pool, PoolRecord(name=triplet.pool))
            records[triplet.pool] = known._replace(last=triplet.last)
    found = [Habits(record, waiting[name]) for name, record in records.items()]
    return sorted(found, key=lambda one: (one.contacts, one.record.delivered, one.record.last), reverse=True)


def _pools(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    documents = [one.document(loaded.config.greylist.delay) for one in habits(loaded)[: args.limit]]
    if args.json:
        print_json(documents)
    else:
        columns = ("pool", "contacts", "waiting", "retried", "lost", "early", "delivered", "remark")
        print_table(columns, ([one[key] for key in columns] for one in documents), "no pools yet")
    return 0


# --- stats ---


def _stats(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    _, days = read_days(loaded, args)
    sizes = look_at_store(loaded, SCHEMA, _sizes)
    as_of = counted_until(args)
    if args.json:
        print_json({"as_of": as_of, "days": [{**day._asdict(), "day": day.day * 86400} for day in days], "rows": sizes})
        return 0
    print_table(
        ("day", "first contacts", "early retries", "let in", "mean wait", "never retried", "not stored"),
        (
            (day_of(day.day * 86400), day.contacts + day.crowded, day.early, day.retried,
             format_duration(day.waited / day.retried) if day.retried else "-", day.lost, day.crowded)
            for day in days
        ),
        "nothing happened in these days",
    )  # fmt: skip
    print(f"As of {moment(as_of)}. {sizes['triplets']} triplets and {sizes['pools']} pools are remembered now.")
    return 0


async def _sizes(store: Store) -> dict[str, int]:
    return {table.name: await store.count(table) for table in (TRIPLETS, POOLS)}
