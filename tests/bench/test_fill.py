"""A store that was filled directly is one that the daemon knows."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from bench import fill
from bench.load import Requests
from vaglio.checks.greylist.check import Context, Greylist
from vaglio.checks.greylist.decide import SCHEMA, Reason
from vaglio.checks.greylist.settings import GreylistSettings
from vaglio.checks.greylist.whitelists import Whitelists
from vaglio.hints import SCHEMA as HINTS
from vaglio.policy.parse import Parser, facts_of
from vaglio.store import open_store
from vaglio.store.memory import MemoryStore


class Now:
    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing to wait for")


def reasons(directory: Path, count: int) -> list[str]:
    settings = GreylistSettings()
    store = open_store(f"sqlite://{directory}", SCHEMA, warn=print, now=time.time)
    lists = Whitelists(settings, directory, print).current
    hints = MemoryStore(HINTS)
    context = Context(Now(), store, lambda: "", lists, lambda _: "en", "h", b"", print, print, lambda: hints)
    check = Greylist(settings, context)
    requests = Requests({"client_name": "unknown", "reverse_client_name": "unknown"})

    async def ask() -> list[str]:
        return [(await check.check(facts_of(Parser().feed(requests.request(n))[0]))).reason for n in range(count)]

    try:
        return asyncio.run(ask())
    finally:
        store.close()


def test_filled_triplets_are_known_and_others_are_not(tmp_path: Path) -> None:
    fill.fill(tmp_path, 20)
    assert fill.rows(tmp_path / "greylist.sqlite") == 20
    assert reasons(tmp_path, 21) == [Reason.KNOWN] * 20 + [Reason.FIRST]


def test_aged_triplets_are_still_known(tmp_path: Path) -> None:
    fill.fill(tmp_path, 5)
    fill.age(tmp_path / "greylist.sqlite", 7200)
    assert reasons(tmp_path, 5) == [Reason.KNOWN] * 5


def test_the_tables_take_room(tmp_path: Path) -> None:
    fill.fill(tmp_path, 5)
    sizes = fill.table_bytes(tmp_path / "greylist.sqlite")
    assert not sizes or sizes["triplets"] >= 4096
