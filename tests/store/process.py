"""A worker process for the tests of this folder: ``process.py VERB FILE [N]``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import NamedTuple

from vaglio.ports import Schema, Table, Transaction
from vaglio.store.sqlite import SqliteStore


class Counter(NamedTuple):
    value: int = 0


COUNTERS = Table("counters", Counter)
SCHEMA = Schema("test", (COUNTERS,))


def increment(t: Transaction) -> None:
    found = t.get(COUNTERS, b"counter") or Counter()
    t.put(COUNTERS, b"counter", Counter(found.value + 1))


async def count(store: SqliteStore, times: int) -> None:
    """Increment one counter; others do the same."""
    for _ in range(times):
        await store.transact(increment)
        store.settle()


async def insert(store: SqliteStore, times: int) -> None:
    """Add records until killed, and say which are settled."""
    for number in range(times):
        for copy in range(3):
            key = b"%d/%d" % (number, copy)
            await store.transact(lambda t, key=key: t.put(COUNTERS, key, Counter(1)))  # type: ignore[misc]
        store.settle()
        print(number, flush=True)


def main(verb: str, path: str, times: str = "1000000") -> None:
    """Open, say so, do it, close."""
    store = SqliteStore(Path(path), SCHEMA, warn=lambda text: print("warning:", text), now=lambda: 0.0)
    if verb == "count":
        asyncio.run(count(store, int(times)))
    elif verb == "insert":
        asyncio.run(insert(store, int(times)))
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
