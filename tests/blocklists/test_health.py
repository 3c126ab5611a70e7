from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from vaglio.blocklists.answers import AnyList, Listed, Trouble, compiled
from vaglio.blocklists.health import TOO_LATE, Health, News
from vaglio.checks.dnsbl.settings import ListSettings
from vaglio.checks.dnsbl.sweep import SCHEMA
from vaglio.ports import NXDOMAIN, Answer, Outcome, Store, StoreError, T, Transaction
from vaglio.store.memory import MemoryStore

NOW = 1_700_000_000


def lists(*names: str) -> list[AnyList]:
    return [compiled(ListSettings(name=name, zone=f"{name}.test")) for name in names]


def share(health: Health, store: Store, now: int = NOW + 7200) -> list[News]:
    return asyncio.run(health.share(store, now))


def begun(store: Store, *, probe: bool = True, now: int = NOW) -> Health:
    health = Health([compiled(ListSettings(name="bl", zone="bl.test", probe=probe))], 10)
    asyncio.run(health.begin(store, now))
    return health


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


@pytest.mark.parametrize(
    ("answer", "reading", "suspends", "detail"),
    [
        (Answer(Outcome.OK, ("127.255.255.254",)), Trouble.REFUSES_US, True, "127.255.255.254"),
        (TOO_LATE, Trouble.SILENT, True, "timeout"),
        (Answer(Outcome.TEMPERROR, why="too-many"), Trouble.SILENT, False, ""),  # our own trouble
        (NXDOMAIN, None, False, ""),
    ],
)
def test_an_answer_says_whether_it_suspends_its_list_and_why(
    answer: Answer, reading: Trouble | None, suspends: bool, detail: str
) -> None:
    health = Health(lists("bl"), 1)
    assert health.answered("bl", answer, reading, NOW) is suspends
    assert health.status()["bl"].detail == detail
    assert not health.answered("bl", answer, reading, NOW)  # it is suspended already, or still is not


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


# --- restarts ---


def test_only_a_good_probe_ends_a_suspension_of_an_earlier_life() -> None:
    store = MemoryStore(SCHEMA)
    before = Health(lists("bl"), 10)
    before.probed("bl", Trouble.LISTS_ALL, "127.0.0.2", NOW)
    share(before, store)
    after = Health(lists("bl"), 10)  # it does not know yet
    after.probed("bl", Trouble.SILENT, "network", NOW + 1000)
    assert share(after, store) == []
    status = after.status()["bl"]
    assert (status.trouble, status.detail, status.since) == ("lists-everybody", "127.0.0.2", NOW)
    assert status.probed == NOW + 1000
    after.probed("bl", Trouble.SILENT, "network", NOW + 2000)
    assert after.status()["bl"].trouble == "lists-everybody"
    after.probed("bl", None, "", NOW + 3000)
    assert [news.status.trouble for news in share(after, store)] == [""]


def test_who_begins_knows_of_suspensions_before_any_probe() -> None:
    store = MemoryStore(SCHEMA)
    first = begun(store)
    first.probed("bl", Trouble.REFUSES_US, "127.255.255.254", NOW)
    share(first, store)
    assert begun(store, now=NOW + 10).suspended("bl")


@pytest.mark.parametrize("trouble", [None, Trouble.SILENT])
def test_a_list_that_nobody_has_probed_yet_waits_for_its_first_probe(trouble: Trouble | None) -> None:
    store = MemoryStore(SCHEMA)
    first, second = begun(store), begun(store)
    assert first.suspended("bl")
    share(second, store)
    assert second.suspended("bl")
    first.probed("bl", trouble, "timeout", NOW)
    assert not first.suspended("bl")
    share(first, store)
    share(second, store)
    assert not second.suspended("bl")
    assert not begun(store).suspended("bl")


def test_a_list_that_is_never_probed_is_believed_at_once() -> None:
    assert not begun(MemoryStore(SCHEMA), probe=False).suspended("bl")


@pytest.mark.parametrize("trouble", [None, Trouble.REFUSES_US])
def test_what_a_clock_wrote_that_ran_ahead_gives_way(trouble: Trouble | None) -> None:
    store, ahead = MemoryStore(SCHEMA), NOW + 10 * 365 * 86400
    before = Health(lists("bl"), 10)
    before.probed("bl", trouble, "", ahead)
    share(before, store, ahead)
    after = begun(store)
    assert after.suspended("bl") or not trouble
    assert [one.name for one in after.due(NOW, 3600, 300)] == ["bl"]
    found = None if trouble else Trouble.LISTS_ALL
    after.probed("bl", found, "", NOW)
    assert [news.status.trouble for news in share(after, store, NOW)] == [found or ""]
    assert after.suspended("bl") is not bool(trouble)
    assert begun(store).suspended("bl") is not bool(trouble)


def test_a_worker_whose_own_clock_was_set_back_hears_of_the_others() -> None:
    store, ahead = MemoryStore(SCHEMA), NOW + 86400
    first, second = Health(lists("bl"), 10), Health(lists("bl"), 10)
    for one in (first, second):
        one.probed("bl", None, "", ahead)
        share(one, store, ahead)
    second.heard("bl", Trouble.REFUSES_US, "", NOW)
    share(second, store, NOW)
    share(first, store, NOW)
    assert first.suspended("bl")


# --- what the admin is told ---


def told(health: Health, store: Store, *steps: tuple[int, Trouble | None]) -> list[tuple[int, str]]:
    """Return what is told when, after probes at these seconds."""
    found: list[tuple[int, str]] = []
    for second, trouble in steps:
        health.probed("bl", trouble, "", NOW + second)
        found += [(second, news.status.trouble) for news in share(health, store, NOW + second)]
    return found


def test_another_trouble_of_a_suspended_list_is_no_news() -> None:
    health, store = Health(lists("bl"), 10), MemoryStore(SCHEMA)
    steps = ((0, Trouble.REFUSES_US), (300, Trouble.LISTS_ALL), (600, Trouble.SILENT), (900, None))
    assert told(health, store, *steps) == [(0, "refuses-us"), (900, "")]


def test_a_list_that_comes_and_goes_is_told_of_once_a_day() -> None:
    health, store = Health(lists("bl"), 10), MemoryStore(SCHEMA)
    steps = [(time, Trouble.LISTS_ALL if time % 600 == 0 else None) for time in range(0, 90_000, 300)]
    assert told(health, store, *steps) == [(0, "lists-everybody"), (300, ""), (86400, "lists-everybody"), (86700, "")]


def test_a_list_that_was_in_order_for_an_hour_is_told_of_again() -> None:
    health, store = Health(lists("bl"), 10), MemoryStore(SCHEMA)
    steps = ((0, Trouble.LISTS_ALL), (300, None), (3900, Trouble.LISTS_ALL))
    assert [second for second, _ in told(health, store, *steps)] == [0, 300, 3900]


def test_a_suspension_that_was_not_told_and_lasts_is_told_a_day_later() -> None:
    health, store = Health(lists("bl"), 10), MemoryStore(SCHEMA)
    steps = ((0, Trouble.LISTS_ALL), (300, None), (600, Trouble.LISTS_ALL), (86399, Trouble.LISTS_ALL))
    assert [second for second, _ in told(health, store, *steps, (86400, Trouble.LISTS_ALL))] == [0, 300, 86400]


class BrokenStore(MemoryStore):
    """Takes no changes while ``broken``, or, as a full disk does, takes them and can't keep them."""

    broken = True
    late = False

    async def transact(self, step: Callable[[Transaction], T]) -> T:
        if self.broken and not self.late:
            raise StoreError("disk full")
        before = {name: dict(rows) for name, rows in self._tables.items()}
        result = await super().transact(step)
        self._tables = before if self.broken else self._tables
        return result

    def settle(self) -> None:
        if self.broken:
            raise StoreError("disk full")


@pytest.mark.parametrize("late", [False, True])
def test_what_a_store_does_not_keep_is_written_and_told_later(late: bool) -> None:
    store, health = BrokenStore(SCHEMA), Health(lists("a", "bl"), 10)
    store.late = late
    health.probed("bl", Trouble.LISTS_ALL, "", NOW)
    health.probed("a", Trouble.SILENT, "timeout", NOW)
    with pytest.raises(StoreError):
        share(health, store)
    assert health.suspended("bl")
    store.broken = False
    assert [news.status.name for news in share(health, store)] == ["bl"]
    assert begun(store).suspended("bl")
    other = Health(lists("a"), 10)
    share(other, store)
    assert other.status()["a"].probed == NOW
