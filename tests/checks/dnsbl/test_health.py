from __future__ import annotations

import asyncio

from vaglio.checks.dnsbl.decide import DnsList, Listed, Trouble, compiled
from vaglio.checks.dnsbl.health import Health, News
from vaglio.checks.dnsbl.settings import ListSettings
from vaglio.checks.dnsbl.sweep import SCHEMA
from vaglio.store.memory import MemoryStore

NOW = 1_700_000_000


def lists(*names: str) -> list[DnsList]:
    return [compiled(ListSettings(name=name, zone=f"{name}.test")) for name in names]


def share(health: Health, store: MemoryStore) -> list[News]:
    return asyncio.run(health.share(store))


def test_one_worker_tells_of_a_suspension_and_all_know_of_it() -> None:
    store, workers = MemoryStore(SCHEMA), [Health(lists("bl"), 10) for _ in range(3)]
    workers[0].heard("bl", Trouble.REFUSES_US, "127.255.255.254", NOW)
    workers[1].heard("bl", Trouble.REFUSES_US, "127.255.255.254", NOW)
    told = [news.status.trouble for worker in workers for news in share(worker, store)]
    assert told == ["refuses-us"]
    assert all(worker.suspended("bl") for worker in workers)


def test_a_list_that_is_back_is_told_of_once_and_known_to_all() -> None:
    store, (first, second) = MemoryStore(SCHEMA), [Health(lists("bl"), 10) for _ in range(2)]
    first.heard("bl", Trouble.LISTS_ALL, "", NOW)
    share(first, store)
    share(second, store)
    first.probed("bl", None, "", NOW + 300)
    (news,) = share(first, store)
    assert (news.status.trouble, news.before.since, news.status.since) == ("", NOW, NOW + 300)
    assert share(second, store) == []
    assert not second.suspended("bl")


def test_a_suspension_outlives_the_daemon_and_is_not_told_again() -> None:
    store = MemoryStore(SCHEMA)
    before = Health(lists("bl"), 10)
    before.heard("bl", Trouble.REFUSES_US, "127.0.0.1", NOW)
    share(before, store)
    after = Health(lists("bl"), 10)
    assert share(after, store) == []
    assert after.suspended("bl")
    after.probed("bl", Trouble.REFUSES_US, "127.0.0.1", NOW + 3600)
    assert share(after, store) == []
    assert after.status()["bl"].since == NOW


def test_silence_must_last_and_any_answer_ends_it() -> None:
    health = Health(lists("bl"), 3)
    for reading in (Trouble.SILENT, Trouble.SILENT, None, Trouble.SILENT, Listed("127.0.0.2", 1.0), Trouble.SILENT):
        health.heard("bl", reading, "timeout", NOW)
    health.heard("bl", Trouble.SILENT, "timeout", NOW)
    assert not health.suspended("bl")
    health.heard("bl", Trouble.SILENT, "timeout", NOW)
    assert health.suspended("bl")


def test_every_list_is_probed_at_the_start_then_hourly_and_a_suspended_one_more_often() -> None:
    health = Health(lists("a", "b"), 3)

    def due(now: int) -> list[str]:
        return [one.name for one in health.due(now, 3600, 300)]

    assert due(NOW) == ["a", "b"]
    health.probed("a", None, "", NOW)
    health.probed("b", Trouble.LISTS_NOBODY, "", NOW)
    assert due(NOW + 299) == []
    assert due(NOW + 300) == ["b"]
    assert due(NOW + 3600) == ["a", "b"]


def test_a_clock_set_back_makes_lists_due_and_not_lost() -> None:
    health = Health(lists("bl"), 3)
    health.probed("bl", Trouble.LISTS_ALL, "", NOW)
    assert [one.name for one in health.due(NOW - 86400, 3600, 300)] == ["bl"]


def test_a_list_that_is_not_probed_is_probed_to_come_back() -> None:
    (one,) = lists("bl")
    unprobed = compiled(one.settings.model_copy(update={"probe": False}))
    health = Health([unprobed], 3)
    assert health.due(NOW, 3600, 300) == []
    health.heard("bl", Trouble.REFUSES_US, "", NOW)
    assert [one.name for one in health.due(NOW + 300, 3600, 300)] == ["bl"]
