"""Several checks of messages in one milter: their housekeeping is that of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from vaglio.config.types import MilterSection
from vaglio.daemon.service import SELDOM, Hosted, Service, milter
from vaglio.examination import Examination, Needs
from vaglio.facts import Facts
from vaglio.ports import StoreError


class Nothing:
    """A check that says nothing."""

    name, methods, needs = "nothing", (), Needs.NOTHING

    def examine(self, facts: Facts) -> Examination:
        return Examination()


def fails_or_returns(value: float, calls: list[float], fails: bool = False) -> Callable[[], Coroutine[Any, Any, float]]:
    async def step() -> float:
        calls.append(value)
        if fails:
            raise StoreError(f"no room for {value}")
        return value

    return step


def service(calls: list[float], failing: float = -1) -> Service:
    section = MilterSection(listen=["unix:/run/vaglio/nothing.sock"])
    steps = {value: fails_or_returns(value, calls, value == failing) for value in (30.0, 20.0)}
    return milter([Hosted(Nothing(), section, upkeep=step) for step in steps.values()])


def test_housekeeping_of_each_comes_again_when_it_wants_to() -> None:
    calls: list[float] = []
    one = service(calls)

    async def rounds() -> list[float]:
        return [await one.upkeep() for _ in range(4)]

    assert asyncio.run(rounds()) == [20, 10, 10, 20]
    assert calls == [30, 20, 20, 30, 20]
    assert asyncio.run(milter([]).upkeep()) == SELDOM


def test_a_check_whose_store_fails_takes_no_others_turn() -> None:
    calls: list[float] = []
    with pytest.raises(StoreError, match="no room for 30"):
        asyncio.run(service(calls, failing=30).upkeep())
    assert calls == [30, 20]


def test_figures_of_the_same_name_stand_side_by_side() -> None:
    section = MilterSection(listen=["unix:/run/vaglio/nothing.sock"])
    one = Hosted(Nothing(), section, gauges=lambda: {"rows": {"a": 1.0}})
    other = Hosted(Nothing(), section, gauges=lambda: {"rows": {"b": 2.0}, "list_suspended": {"c": 0.0}})
    assert milter([one, other]).gauges() == {"rows": {"a": 1.0, "b": 2.0}, "list_suspended": {"c": 0.0}}
