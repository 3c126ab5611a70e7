"""What is counted of a decision, and that a store of an earlier version takes it."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from vaglio.blocklists.answers import Trouble
from vaglio.checks.dnsbl.decide import Hit, decide
from vaglio.checks.dnsbl.settings import DnsblSettings
from vaglio.checks.dnsbl.sweep import SCHEMA
from vaglio.checks.dnsbl.tally import COUNTS, Count, Tally, count_key
from vaglio.ports import Store
from vaglio.store import open_store
from vaglio.store.memory import MemoryStore

NOW = 1_790_000_000
DAY = NOW // 86400
SETTINGS = DnsblSettings(reject=5, defer=3)


def hit(weight: float) -> Hit:
    return Hit("bl", "client", "192.0.2.7", "127.0.0.2", weight)


def counted(store: Store, name: str) -> Count:
    return asyncio.run(store.transact(lambda tx: tx.get(COUNTS, count_key(DAY, name)))) or Count()


def played(store: Store, *, rehearsal: bool = False) -> Count:
    """Count two requests that are refused for good, one for now and one not at all; return the sum of all requests."""
    tally = Tally(rehearsal=rehearsal)
    for weight in (5, 9, 3, 1):
        tally.count(frozenset({"bl"}), decide([hit(weight)], {}, SETTINGS), NOW)
    asyncio.run(tally.write_back(store))
    return counted(store, "")


def test_refusals_are_counted_of_all_requests() -> None:
    store = MemoryStore(SCHEMA)
    assert played(store) == Count(DAY, asked=4, refused=2, deferred=1)
    assert counted(store, "bl") == Count(DAY, "bl", asked=4, hits=4, alone=4, passed=1)


def test_refusals_of_a_rehearsal_are_counted_apart() -> None:
    store = MemoryStore(SCHEMA)
    played(store)
    assert played(store, rehearsal=True) == Count(
        DAY, asked=8, refused=2, deferred=1, would_refuse=2, would_defer=1
    )


def test_a_list_that_refuses_us_is_not_counted_as_silent() -> None:
    store, tally = MemoryStore(SCHEMA), Tally()
    trouble = {"mute": Trouble.SILENT, "refuser": Trouble.REFUSES_US}
    tally.count(frozenset(trouble), decide([], trouble, SETTINGS), NOW)
    asyncio.run(tally.write_back(store))
    assert [counted(store, name).silent for name in ("mute", "refuser")] == [1, 0]


@pytest.mark.parametrize("column", ["refused", "would_defer"])
def test_a_store_of_before_is_counted_on(tmp_path: Path, column: str) -> None:
    url = f"sqlite://{tmp_path}"
    store = open_store(url, SCHEMA, warn=print, now=lambda: NOW)
    played(store)
    store.settle()
    store.close()
    with sqlite3.connect(tmp_path / "dnsbl.sqlite") as file:
        file.execute(f"ALTER TABLE counts DROP COLUMN {column}")
    file.close()
    store = open_store(url, SCHEMA, warn=print, now=lambda: NOW)
    assert played(store, rehearsal=True).asked == 8
    store.close()
