"""The cache: what it is told, for as long as it is told, within its bound."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dns.nameserver import Clock
from vaglio.dns.cache import Cache
from vaglio.ports import NXDOMAIN, Answer, Outcome


def one(number: int) -> tuple[str, Answer]:
    return f"{number}.0.192.dnsbl.example.org", NXDOMAIN


def listed(number: int) -> tuple[str, Answer]:
    return f"{number}.it", Answer(Outcome.OK, (f"127.0.0.{number}",))


def many(number: int) -> tuple[str, Answer]:
    return f"{number}.it", Answer(Outcome.OK, tuple(f"mx{number}.{n}.it" for n in range(50)))


def long(number: int) -> tuple[str, Answer]:
    return f"{number}.{'x' * 240}", Answer(Outcome.OK, (f"{number}\udcff" + "x" * 10_000,))


def short(number: int) -> tuple[str, Answer]:
    return str(number), Answer(Outcome.OK, (str(number),))


@pytest.mark.parametrize("entry", [one, listed, many, long, short])
def test_its_memory_is_bounded_whatever_it_is_told(entry: Callable[[int], tuple[str, Answer]]) -> None:
    cache, limit = Cache(1 << 20, Clock()), 1 << 20
    tracemalloc.start()
    try:
        for number in range(6_000):
            name, answer = entry(number)
            cache.put((name, "A"), answer, 60)
        current, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert current < 1.2 * limit
    assert len(cache) < 6_000


def test_what_is_asked_often_stays() -> None:
    cache = Cache(1 << 20, Clock())
    for number in range(50_000):
        cache.put((f"{number}.it", "A"), NXDOMAIN, 60)
        if number:
            assert cache.get(("0.it", "A")) is NXDOMAIN
    assert cache.get(("1.it", "A")) is None


def test_name_and_type_belong_together() -> None:
    cache = Cache(1 << 20, Clock())
    cache.put(("a.it", "A"), NXDOMAIN, 60)
    assert cache.get(("a.it", "MX")) is None


def test_names_with_an_ending_can_be_forgotten_whatever_their_age() -> None:
    cache = Cache(4000, Clock())
    for number in range(10):  # more than a generation holds
        cache.put((f"{number}.bl.test", "A"), NXDOMAIN, 60)
        cache.put((f"{number}.xbl.test", "A"), NXDOMAIN, 60)
    kept = len(cache)
    cache.forget(".bl.test")
    assert len(cache) == kept // 2
    assert cache.get(("9.bl.test", "A")) is None
    assert cache.get(("9.xbl.test", "A")) is NXDOMAIN


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9), st.integers(0, 5)), max_size=60))
def test_it_never_tells_what_it_was_not_told_or_what_has_expired(steps: list[tuple[int, int, int]]) -> None:
    clock = Clock()
    cache, known = Cache(4000, clock), dict[int, tuple[float, Answer]]()
    for number, ttl, wait in steps:
        told = cache.get((str(number), "A"))
        expires, answer = known.get(number, (0.0, None))
        assert told is None or (told == answer and expires > clock.now)
        known[number] = (clock.now + ttl, Answer(Outcome.OK, (str(len(known)),)))
        cache.put((str(number), "A"), known[number][1], ttl)
        assert cache.get((str(number), "A")) == known[number][1]
        clock.now += wait
