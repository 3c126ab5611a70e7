"""Fills greylisting's store with known triplets, without asking the daemon: what a million retried messages leave.

Triplet number N is that of the load generator, sent by a client without a verified name, so that each has a network
of its own for its pool. Rows come in the order of their numbers, that is, by chance in the order of their keys, as
mail comes; sorted ones would lie more tightly than they ever do in use.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bench.load import triplet
from vaglio.checks.greylist.decide import POOLS, SCHEMA, TRIPLETS, PoolRecord, Triplet
from vaglio.checks.greylist.keys import Keys
from vaglio.checks.greylist.pool import fold_recipient, fold_sender, network_of
from vaglio.facts import pack_address
from vaglio.ports import Store, Transaction
from vaglio.store import open_store

BATCH = 100_000
"""Triplets in one commit."""

WAITED = 400
"""Seconds that each is said to have waited for its retry."""


def known(index: int, now: int) -> tuple[Triplet, PoolRecord]:
    """Return the records that a retried message leaves: triplet ``index``, last seen ``now`` (Unix seconds)."""
    asked = triplet(index)
    pool = network_of(pack_address(asked.address), 24, 64)
    return (
        Triplet(now - WAITED, now, now, 2, pool, fold_sender(asked.sender), fold_recipient(asked.recipient)),
        PoolRecord(pool, now, delivered=1, counted=now, retried=1, habits=str(WAITED)),
    )


def fill(directory: Path, triplets: int) -> None:
    """Write so many known triplets, last seen now, into the store in ``directory``."""
    store = open_store(f"sqlite://{directory}", SCHEMA, warn=print, now=time.time)
    try:
        asyncio.run(_fill(store, triplets, int(time.time())))
    finally:
        store.close()


async def _fill(store: Store, triplets: int, now: int) -> None:
    for begin in range(0, triplets, BATCH):
        numbers = range(begin, min(begin + BATCH, triplets))
        await store.transact(lambda tx, numbers=numbers: _put(tx, numbers, now))  # type: ignore[misc]
        store.settle()


def _put(tx: Transaction, numbers: range, now: int) -> None:
    keys = Keys()
    for number in numbers:
        one, pool = known(number, now)
        tx.put(TRIPLETS, keys.triplet(one.pool, one.sender, one.recipient), one)
        tx.put(POOLS, keys.pool(pool.name), pool)


def age(database: Path, seconds: int) -> None:
    """Make all that is remembered that much older. The daemon must not run."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "UPDATE triplets SET first = first - ?1, last = last - ?1, passed = passed - ?1", (seconds,)
        )
        connection.execute("UPDATE pools SET last = last - ?1, counted = counted - ?1", (seconds,))


def rows(database: Path, table: str = "triplets") -> int:
    """Return the rows of a table."""
    with closing(sqlite3.connect(database)) as connection:
        found: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return found


def table_bytes(database: Path) -> dict[str, int]:
    """Return the bytes of each table's pages; empty where SQLite was built without its ``dbstat``."""
    with closing(sqlite3.connect(database)) as connection:
        try:
            return dict(_sizes(connection))
        except sqlite3.OperationalError:
            return {}


def _sizes(connection: sqlite3.Connection) -> Iterator[tuple[str, int]]:
    yield from connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name")


if __name__ == "__main__":
    fill(Path(sys.argv[1]), int(sys.argv[2]))
