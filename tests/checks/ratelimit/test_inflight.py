"""Messages under way: bounded, forgotten at their end, and none lost while the store takes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.checks.ratelimit.test_scenarios import Play, facts_of
from vaglio.checks.ratelimit.inflight import MOST, InFlight
from vaglio.checks.ratelimit.rules import Case
from vaglio.checks.ratelimit.usage import USAGE, decode, usage_key
from vaglio.ports import StoreError, T, Transaction


def case(instance: str, recipient: str = "caio@caio.it") -> Case:
    facts = facts_of({"instance": instance, "stage": "RCPT", "recipient": recipient})
    return Case(facts, "tizio@tizio.it", "tizio@tizio.it", recipient, "mail")


def test_messages_under_way_are_bounded() -> None:
    messages = InFlight(keep_cases=False)
    for number in range(MOST + 1):
        messages.saw_recipient(case(f"{number}.1"), 0.0)
    assert messages.ended("0.1") is None
    assert messages.ended(f"{MOST}.1") is not None


def test_a_message_that_ended_is_forgotten_and_none_of_another_session_is_closed() -> None:
    messages = InFlight(keep_cases=True)
    for instance in ("1.1", "2.1", "2.2"):
        messages.saw_recipient(case(instance), 0.0)
    assert [one.instance for one in messages.abandoned(1.0)] == ["2.1"]
    assert messages.ended("1.1") is not None
    assert messages.ended("1.1") is None


def test_a_store_that_fails_for_a_while_loses_no_refused_recipient(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = {"name": "dead", "count": "refused_share", "limits": ["30%/1h"]}
    play = Play({"settings": {"rule": [rule]}})
    works = play.store.transact

    async def full(step: Callable[[Transaction], T]) -> T:
        raise StoreError("the disk is full")

    async def story() -> None:
        for number in range(3):
            await play.check.check(facts_of({"instance": f"{number}.1", "stage": "RCPT"}))
        play.clock.time += 3600
        monkeypatch.setattr(play.store, "transact", full)
        with pytest.raises(StoreError):
            await play.check.write_back()
        monkeypatch.setattr(play.store, "transact", works)
        await play.check.write_back()
        await play.check.write_back()

    asyncio.run(story())
    ((_, usage),) = asyncio.run(scanned(play))
    (counts,) = decode(usage.state).values()
    assert counts.refused[3600].total == 3


async def scanned(play: Play) -> Any:
    return await play.store.scan(USAGE, b"", 9)


def test_no_two_keys_share_a_record_whatever_stands_in_them() -> None:
    keys = [("a", "b\0c"), ("a\0b", "c"), ("a", "1:b"), ("ab", "c"), ("a", "bc")]
    assert len({usage_key("sender helo", values) for values in keys}) == len(keys)
