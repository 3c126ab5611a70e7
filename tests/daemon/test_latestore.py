"""A store that could not be opened yet fails each request, and serves as soon as it can be opened."""

from __future__ import annotations

import asyncio

import pytest

from vaglio.daemon.latestore import AGAIN, LateStore
from vaglio.ports import Schema, Store, StoreError
from vaglio.store.memory import MemoryStore


def test_it_fails_until_it_can_be_opened_and_tries_not_too_often() -> None:
    time, tries = [0.0], []
    disk_full = True

    def opener() -> Store:
        tries.append(time[0])
        if disk_full:
            raise StoreError("disk full")
        return MemoryStore(Schema("test", ()))

    store = LateStore(opener, StoreError("disk full"), lambda: time[0])
    for moment in (0.0, AGAIN / 2, AGAIN, AGAIN * 1.5):
        time[0] = moment
        with pytest.raises(StoreError, match="disk full"):
            asyncio.run(store.transact(lambda tx: None))
    assert tries == [AGAIN]
    disk_full = False
    time[0] = 2 * AGAIN
    assert asyncio.run(store.transact(lambda tx: "served")) == "served"
    store.settle()
    store.close()


def test_the_thousandth_failure_costs_what_the_first_did() -> None:
    store = LateStore(lambda: MemoryStore(Schema("test", ())), StoreError("disk full"), lambda: 0.0)
    depths = []
    for _ in range(1000):
        with pytest.raises(StoreError) as failure:
            asyncio.run(store.transact(lambda tx: None))
        depths.append(len(failure.traceback))
    assert len(set(depths)) == 1
