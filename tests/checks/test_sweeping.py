"""The walk of forgetting: all of every table, in steps, and only what has expired."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from vaglio.checks.sweeping import PAUSE, REST, STEP, Step, Walk
from vaglio.ports import Schema, Store, Table, Transaction
from vaglio.store.memory import MemoryStore


class Leaf(NamedTuple):
    until: int = 0


class Twig(NamedTuple):
    until: int = 0


LEAVES, TWIGS = Table("leaves", Leaf), Table("twigs", Twig)


def store_with(leaves: int, twigs: int) -> MemoryStore:
    """Each record expires at a second of its own."""
    store = MemoryStore(Schema("tree", (LEAVES, TWIGS)))

    def fill(tx: Transaction) -> None:
        for number in range(leaves):
            tx.put(LEAVES, number.to_bytes(16, "big"), Leaf(number))
        for number in range(twigs):
            tx.put(TWIGS, number.to_bytes(16, "big"), Twig(number))

    asyncio.run(store.transact(fill))
    return store


def expired(record: Leaf | Twig, now: int) -> bool:
    return record.until < now


def steps(walk: Walk, now: int) -> list[Step]:
    """Go through one whole walk."""
    taken = [asyncio.run(walk.step(now))]
    while taken[-1].rest < REST:
        taken.append(asyncio.run(walk.step(now)))
    return taken


def rows(store: Store) -> tuple[int, int]:
    return asyncio.run(store.count(LEAVES)), asyncio.run(store.count(TWIGS))


def test_it_goes_through_all_tables_in_steps_and_forgets_what_has_expired() -> None:
    store = store_with(2 * STEP + 1, 3)
    walk = Walk(store, (LEAVES, TWIGS), expired)
    assert walk.rows == {}
    taken = steps(walk, STEP + 1)
    assert [(step.table.name, len(step.forgotten), len(step.kept), step.ended, step.rest) for step in taken] == [
        ("leaves", STEP, 0, False, PAUSE), ("leaves", 1, STEP - 1, False, PAUSE), ("leaves", 0, 1, True, PAUSE),
        ("twigs", 3, 0, True, REST),
    ]  # fmt: skip
    assert rows(store) == (STEP, 0)
    assert walk.rows == {"leaves": STEP, "twigs": 0}


def test_a_table_that_fills_whole_steps_ends_too() -> None:
    walk = Walk(store_with(STEP, 0), (LEAVES, TWIGS), expired)
    assert [step.ended for step in steps(walk, 0)] == [False, True, True]
    assert [step.ended for step in steps(walk, 0)] == [False, True, True]


def test_what_follows_from_a_record_happens_where_it_is_forgotten() -> None:
    store = store_with(2, 0)

    def into_twigs(tx: Transaction, record: Leaf) -> None:
        tx.put(TWIGS, b"t" * 16, Twig(record.until + 100))

    steps(Walk(store, (LEAVES,), expired, into_twigs), 1)
    assert rows(store) == (1, 1)


def test_a_record_that_is_used_between_look_and_deletion_stays() -> None:
    store = store_with(2, 0)
    looked = []

    def used_meanwhile(record: Leaf, now: int) -> bool:
        looked.append(record)
        return record.until < now and len(looked) <= 2

    (step,) = steps(Walk(store, (LEAVES,), used_meanwhile), 10)
    assert (step.kept, step.forgotten) == ([], [])
    assert rows(store) == (2, 0)
