"""Sliding windows beside an exact model that remembers every message."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vaglio.checks.ratelimit.window import (
    EMPTY,
    MOST_SLOTS,
    NOTHING,
    SLOTS,
    added,
    last_seen,
    room_at,
    slid,
    thing_added,
    thing_room_at,
    things_count,
    things_slid,
)

BEGIN = 1_700_000_000.0
SLOT = 12

gaps = st.floats(0, 40) | st.just(0.0) | st.sampled_from([0.001, 59.999, 60.0, 60.001, 100.0])


class Exact:
    """Every message with its time, as long as it is within the window."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self.messages: list[tuple[float, int]] = []

    def count(self, now: float) -> int:
        return sum(units for at, units in self.messages if at > now - self.seconds)


@given(st.integers(0, 3000), st.integers(1, 3600), st.lists(st.tuples(gaps, st.integers(1, 60)), max_size=200))
@example(1000, 60, [(0.01, 1)] * 900 + [(59.0, 1)] * 3 + [(0.5, 1)] * 300)
def test_nobody_under_the_limit_is_refused_and_no_limit_is_exceeded_by_one_per_cent(
    most: int, seconds: int, messages: list[tuple[float, int]]
) -> None:
    window, exact, now = EMPTY, Exact(seconds), BEGIN
    for gap, units in messages:
        now += gap
        window = slid(window, now, seconds)
        if window.total + units <= most:
            window = added(window, units, now, most)
            exact.messages.append((now, units))
        else:
            assert exact.count(now) + units > most
        assert exact.count(now) <= most + most / SLOTS
        assert window.total <= exact.count(now)


@given(st.integers(1, 199), st.lists(st.tuples(gaps, st.integers(1, 5)), max_size=200))
def test_small_limits_are_exact(most: int, messages: list[tuple[float, int]]) -> None:
    window, exact, now = EMPTY, Exact(100), BEGIN
    for gap, units in messages:
        now += gap
        window = slid(window, now, 100)
        assert window.total == exact.count(now)
        if window.total + units <= most:
            window = added(window, units, now, most)
            exact.messages.append((now, units))


@given(
    st.integers(0, 2000), st.lists(st.tuples(gaps, st.integers(1, 200)), max_size=300), st.integers(0, 2000),
    st.integers(1, 300),
)  # fmt: skip
def test_a_limit_that_changes_gives_away_no_more_than_a_hundredth_of_what_was_counted(
    first: int, messages: list[tuple[float, int]], then: int, change_at: int
) -> None:
    """There the slots are as large as the larger limit made them: docs/ratelimit.md says so."""
    window, exact, now, most = EMPTY, Exact(100), BEGIN, first
    for number, (gap, units) in enumerate(messages):
        now += gap
        if number == change_at:
            most = then
        window = slid(window, now, 100)
        if window.total + units <= most:
            window = added(window, units, now, most)
            exact.messages.append((now, units))
        assert exact.count(now) - max(first, then) / SLOTS <= window.total <= exact.count(now)


@pytest.mark.parametrize("most", [0, 150, 199, 399, 1234, 1_000_000])
@pytest.mark.parametrize("step", [1, 7])
def test_a_window_has_a_bounded_number_of_slots_however_much_is_counted(most: int, step: int) -> None:
    """Also where there is no limit (0), and what is counted only grows."""
    window, longest = EMPTY, 0
    for number in range(20_000):
        if not most or window.total + step <= most:
            window = added(window, step, BEGIN + number * 0.001, most)
        longest = max(longest, len(window.slots) // SLOT)
    assert longest <= MOST_SLOTS + 1
    assert window.total == min(20_000 * step, most // step * step if most else 10**9)


def test_what_is_counted_without_a_limit_is_exact_to_a_hundredth() -> None:
    window, exact, now = EMPTY, Exact(60), BEGIN
    for number in range(5_000):
        now += 0.05
        window = added(slid(window, now, 60), 1, now, 0)
        exact.messages.append((now, 1))
        if number % 50 == 0:
            assert exact.count(now) * 0.98 - 1 <= window.total <= exact.count(now)


@given(st.integers(1, 500), st.lists(st.tuples(gaps, st.integers(1, 20)), max_size=60), st.integers(1, 40))
def test_there_is_room_when_it_was_promised_and_not_before(
    most: int, messages: list[tuple[float, int]], units: int
) -> None:
    window, now = EMPTY, BEGIN
    for gap, some in messages:
        now += gap
        window = slid(window, now, 60)
        if window.total + some <= most:
            window = added(window, some, now, most)
    at = room_at(slid(window, now, 60), units, most, 60)
    if units > most:
        assert at == float("inf")
    elif at == 0:
        assert slid(window, now, 60).total + units <= most
    else:
        assert slid(window, at, 60).total + units <= most
        assert slid(window, at - 0.01, 60).total + units > most or at - 0.01 <= now


def test_a_clock_that_ran_ahead_locks_nobody_out_for_longer_than_the_window() -> None:
    window = added(EMPTY, 10, BEGIN + 365 * 86400, 10)
    window = slid(window, BEGIN, 60)
    assert window.total == 10
    assert slid(window, BEGIN + 60, 60).total == 0


def test_a_message_of_more_bytes_than_a_slot_holds_is_counted_in_full() -> None:
    window = added(EMPTY, 3 * 2**32, BEGIN, 10**11)
    assert window.total == 3 * 2**32
    assert slid(window, BEGIN + 60, 60).total == 0


# --- different things ---


@given(
    st.integers(0, 20),
    st.lists(st.tuples(gaps, st.integers(0, 30)), max_size=150),
)
def test_different_things_are_counted_exactly(most: int, visits: list[tuple[float, int]]) -> None:
    things, exact, now = NOTHING, dict[int, float](), BEGIN
    for gap, thing in visits:
        now += gap
        things = things_slid(things, now, 60)
        within = {one: at for one, at in exact.items() if at > now - 60}
        assert things_count(things, now, 60) == len(within)
        assert (last_seen(things, thing) > now - 60) == (thing in within)
        if thing in within or len(within) + 1 <= most:
            things = thing_added(things, thing, now, max(most, 1))
            exact[thing] = now
    assert len(things.seen) <= 16 * max(most, 1)


def test_things_of_a_shorter_window_are_a_part_of_those_of_the_longer_one() -> None:
    things = NOTHING
    for number in range(10):
        things = thing_added(things, number, BEGIN + number * 10, 100)
    assert things_count(things, BEGIN + 90, 1000) == 10
    assert things_count(things, BEGIN + 90, 50) == 5


def test_a_thing_whose_bytes_stand_across_two_entries_is_not_taken_for_seen() -> None:
    things = thing_added(thing_added(NOTHING, 0, BEGIN, 9), 0x1122334455667788, BEGIN + 1, 9)
    inner = int.from_bytes(things.seen[4:12], "little")
    assert last_seen(things, inner) == 0


def test_there_is_room_for_one_more_thing_when_the_oldest_leaves() -> None:
    things = NOTHING
    for number in range(3):
        things = thing_added(things, number, BEGIN + number, 9)
    assert thing_room_at(things, 3, 60, BEGIN + 5) == BEGIN + 60
    assert thing_room_at(things, 4, 60, BEGIN + 5) == 0
    assert thing_room_at(things, 0, 60, BEGIN + 5) == float("inf")
