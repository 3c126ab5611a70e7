"""What every store promises, run over each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vaglio.ports import Schema, Store, StoreError, Table, Transaction
from vaglio.store import open_store


class Triplet(NamedTuple):
    client: str = ""
    seen: int = 0
    order: float = 0.0
    """A word of SQL: names need no care."""
    digest: bytes = b""


class Pool(NamedTuple):
    passed: int = 0


TRIPLETS = Table("triplets", Triplet)
POOLS = Table("group", Pool)
SCHEMA = Schema("greylist", (TRIPLETS, POOLS))
K1, K2, K3 = b"\x00" * 16, b"\x01" * 16, b"\xff" * 16


def opened(kind: str, directory: Path) -> Store:
    url = "memory:" if kind == "memory" else f"sqlite://{directory}"
    return open_store(url, SCHEMA, warn=pytest.fail, now=lambda: 0.0)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = opened(request.param, tmp_path)
    yield made
    made.close()


def do(store: Store, step: Callable[[Transaction], Any], settle: bool = True) -> Any:
    result = asyncio.run(store.transact(step))
    if settle:
        store.settle()
    return result


def put_many(store: Store, keys: Iterable[bytes]) -> None:
    def step(t: Transaction) -> None:
        for key in keys:
            t.put(TRIPLETS, key, Triplet(seen=key[0]))

    do(store, step)


def get(store: Store, key: bytes, table: Table[Any] = TRIPLETS) -> Any:
    return do(store, lambda t: t.get(table, key))


def put(store: Store, key: bytes, record: Any, table: Table[Any] = TRIPLETS, settle: bool = True) -> None:
    do(store, lambda t: t.put(table, key, record), settle)


def delete(store: Store, key: bytes) -> None:
    do(store, lambda t: t.delete(TRIPLETS, key))


def test_a_record_comes_back_as_it_was_put(store: Store) -> None:
    record = Triplet("società.it 🎈\x00\n'\"", -(2**63), 0.1, b"\x00\xff")
    put(store, K1, record)
    found = get(store, K1)
    assert found == record
    assert type(found) is Triplet


def test_a_missing_record_is_none_in_each_table_by_itself(store: Store) -> None:
    put(store, K1, Triplet("a"))
    assert get(store, K2) is None
    assert get(store, K1, POOLS) is None


def test_a_put_replaces_and_a_delete_forgets(store: Store) -> None:
    put(store, K1, Triplet("a", 1))
    put(store, K1, Triplet("b", 2))
    assert get(store, K1) == Triplet("b", 2)
    delete(store, K1)
    delete(store, K1)
    assert get(store, K1) is None


def test_the_result_of_the_step_is_returned(store: Store) -> None:
    assert do(store, lambda t: ("anything", t.get(TRIPLETS, K1))) == ("anything", None)


def test_a_step_reads_its_own_writes(store: Store) -> None:
    put(store, K1, Triplet("old"))

    def step(t: Transaction) -> list[Triplet | None]:
        t.put(TRIPLETS, K1, Triplet("new"))
        t.put(TRIPLETS, K2, Triplet("gone"))
        t.delete(TRIPLETS, K2)
        return [t.get(TRIPLETS, K1), t.get(TRIPLETS, K2)]

    assert do(store, step) == [Triplet("new"), None]


def test_a_turn_reads_what_earlier_steps_of_it_wrote(store: Store) -> None:
    put(store, K1, Triplet("a"), settle=False)
    put(store, K2, Triplet("b"), settle=False)
    assert do(store, lambda t: (t.get(TRIPLETS, K1), t.get(TRIPLETS, K2)), settle=False) == (Triplet("a"), Triplet("b"))
    assert asyncio.run(store.count(TRIPLETS)) == 2
    assert len(asyncio.run(store.scan(TRIPLETS, b"", 10))) == 2


@pytest.mark.parametrize("earlier", [False, True], ids=["alone", "after another step of the turn"])
def test_a_step_that_raises_leaves_nothing_and_harms_no_other(store: Store, earlier: bool) -> None:
    put(store, K1, Triplet("kept"))
    if earlier:
        put(store, K2, Triplet("turn"), settle=False)

    def step(t: Transaction) -> None:
        t.put(TRIPLETS, K1, Triplet("half"))
        t.put(TRIPLETS, K3, Triplet("half"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        do(store, step, settle=False)
    store.settle()
    assert get(store, K1) == Triplet("kept")
    assert get(store, K2) == (Triplet("turn") if earlier else None)
    assert get(store, K3) is None


@pytest.mark.parametrize("value", [Triplet("\udc80"), Triplet(seen=2**63), Triplet(order=float("nan"))])
def test_what_no_file_could_hold_is_refused_without_harm_to_the_turn(store: Store, value: Triplet) -> None:
    put(store, K1, Triplet("turn"), settle=False)

    def step(t: Transaction) -> None:
        t.put(TRIPLETS, K2, Triplet("half"))
        t.put(TRIPLETS, K3, value)

    with pytest.raises(StoreError):
        do(store, step)
    store.settle()
    assert [get(store, key) for key in (K1, K2, K3)] == [Triplet("turn"), None, None]


def test_a_scan_gives_each_record_once_in_the_order_of_keys(store: Store) -> None:
    keys = [bytes([i * 37 % 256]) * 16 for i in range(1, 100)]
    put_many(store, keys)
    assert list(pages(store, 7)) == [(key, Triplet(seen=key[0])) for key in sorted(keys)]


def test_a_scan_skips_nothing_while_records_come_and_go(store: Store) -> None:
    put_many(store, [bytes([i]) * 16 for i in range(10, 200, 10)])
    seen = []
    for number, (key, _) in enumerate(pages(store, 3)):
        seen.append(key[0])
        put(store, bytes([key[0] - 5]) * 16, Triplet())  # behind
        put(store, bytes([250 - number]) * 16, Triplet())  # ahead
        delete(store, key)
        if number > 40:
            break
    assert [value for value in seen if value % 10 == 0][:19] == list(range(10, 200, 10))
    assert seen == sorted(set(seen))


def pages(store: Store, size: int) -> Iterator[tuple[bytes, Triplet]]:
    after = b""
    while page := asyncio.run(store.scan(TRIPLETS, after, size)):
        assert len(page) <= size
        yield from page
        after = page[-1][0]


def test_count_counts_each_table(store: Store) -> None:
    assert asyncio.run(store.count(TRIPLETS)) == 0
    put_many(store, [bytes([i]) * 16 for i in range(50)])
    put(store, K1, Pool(1), POOLS)
    assert asyncio.run(store.count(TRIPLETS)) == 50
    assert asyncio.run(store.count(POOLS)) == 1


def test_settle_with_nothing_to_settle_does_nothing(store: Store) -> None:
    store.settle()
    get(store, K1)
    store.settle()


def test_transact_never_suspends(store: Store) -> None:
    for step in (lambda t: t.get(TRIPLETS, K1), lambda t: t.put(TRIPLETS, K1, Triplet())):
        with pytest.raises(StopIteration):
            store.transact(step).send(None)
    store.settle()


KEYS = st.sampled_from([bytes([i]) * 16 for i in range(6)])
RECORDS = st.builds(
    Triplet,
    client=st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    seen=st.integers(-(2**63), 2**63 - 1),
    order=st.floats(allow_nan=False),
    digest=st.binary(max_size=5),
)
CHANGES = st.lists(st.tuples(KEYS, st.none() | RECORDS), max_size=4)
STEPS = st.lists(st.tuples(CHANGES, st.booleans(), st.booleans()), max_size=12)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_steps_leave_what_a_dictionary_would_hold(
    kind: str, steps: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    model: dict[bytes, Triplet] = {}
    store = opened(kind, tmp_path_factory.mktemp("store"))
    try:
        for changes, fails, settles in steps:
            expected = apply(store, model, changes, fails)
            if not fails:
                model = expected
            if settles:
                store.settle()
            assert dict(asyncio.run(store.scan(TRIPLETS, b"", 100))) == model
    finally:
        store.close()


def apply(store: Store, model: dict[bytes, Triplet], changes: list[Any], fails: bool) -> dict[bytes, Triplet]:
    expected = dict(model)

    def step(t: Transaction) -> None:
        expected.update(model)
        for key, record in changes:
            assert t.get(TRIPLETS, key) == expected.get(key)
            if record is None:
                t.delete(TRIPLETS, key)
                expected.pop(key, None)
            else:
                t.put(TRIPLETS, key, record)
                expected[key] = record
        if fails:
            raise ZeroDivisionError

    try:
        asyncio.run(store.transact(step))
    except ZeroDivisionError:
        assert fails
    return expected
