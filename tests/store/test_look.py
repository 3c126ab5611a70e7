"""A store that is opened for looking only: it reads, and leaves the directory as it found it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from vaglio.ports import Schema, Store, StoreCorrupt, StoreError, Table
from vaglio.store import open_store


class Triplet(NamedTuple):
    client: str = ""
    seen: int = 0


TRIPLETS = Table("triplets", Triplet)
SCHEMA = Schema("greylist", (TRIPLETS,))
KEYS = [b"%016d" % number for number in range(1000)]


def open_in(directory: Path, look_only: bool = True, schema: Schema = SCHEMA) -> Store:
    return open_store(f"sqlite://{directory}", schema, warn=pytest.fail, now=lambda: 0.0, look_only=look_only)


def put(store: Store, keys: list[bytes]) -> None:
    for number, key in enumerate(keys):
        asyncio.run(store.transact(lambda t, k=key, n=number: t.put(TRIPLETS, k, Triplet("x" * 60, n))))  # type: ignore[misc]
    store.settle()


def fill(directory: Path, keys: list[bytes] = KEYS) -> Path:
    store = open_in(directory, look_only=False)
    put(store, keys)
    store.close()
    return directory / "greylist.sqlite"


def test_it_reads_records_by_key_in_order_and_counts_them(tmp_path: Path) -> None:
    fill(tmp_path)
    with closing(open_in(tmp_path)) as store:
        assert asyncio.run(store.transact(lambda t: t.get(TRIPLETS, KEYS[7]))) == Triplet("x" * 60, 7)
        assert asyncio.run(store.transact(lambda t: t.get(TRIPLETS, b"none"))) is None
        assert [key for key, _ in asyncio.run(store.scan(TRIPLETS, KEYS[3], 2))] == KEYS[4:6]
        assert asyncio.run(store.count(TRIPLETS)) == 1000
        store.settle()


def test_it_sees_what_a_daemon_writes_meanwhile(tmp_path: Path) -> None:
    with closing(open_in(tmp_path, look_only=False)) as daemon, closing(open_in(tmp_path)) as store:
        put(daemon, KEYS[:5])
        assert asyncio.run(store.count(TRIPLETS)) == 5


def test_a_change_is_refused(tmp_path: Path) -> None:
    path = fill(tmp_path)
    before = path.read_bytes()
    with closing(open_in(tmp_path)) as store:
        with pytest.raises(StoreError, match="opened for looking only"):
            asyncio.run(store.transact(lambda t: t.delete(TRIPLETS, KEYS[0])))
        assert asyncio.run(store.count(TRIPLETS)) == 1000
    assert path.read_bytes() == before


def test_nothing_is_created(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"greylist\.sqlite: there is no such file: no daemon has written one"):
        open_in(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_left_empty(tmp_path: Path) -> None:
    (tmp_path / "greylist.sqlite").touch()
    with pytest.raises(StoreError, match="it is empty"):
        open_in(tmp_path)
    assert (tmp_path / "greylist.sqlite").read_bytes() == b""


@pytest.mark.parametrize("kept", [0, 4096, 16384], ids=["no database", "all but the first page", "in the middle"])
def test_a_damaged_file_is_told_and_left_where_it_is(tmp_path: Path, kept: int) -> None:
    path = fill(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(damaged := whole[:kept] + b"\xff" * (len(whole) - kept))
    words = r"damaged .* left as it is: .* sqlite3 .*greylist\.sqlite \.recover"
    with pytest.raises(StoreCorrupt, match=words), closing(open_in(tmp_path)) as store:
        asyncio.run(store.scan(TRIPLETS, b"", 1000))
    assert path.read_bytes() == damaged
    assert list(tmp_path.glob("*.corrupt-*")) == []


def test_damage_met_within_a_transaction_is_told_too(tmp_path: Path) -> None:
    path = fill(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))
    with closing(open_in(tmp_path)) as store, pytest.raises(StoreCorrupt):
        asyncio.run(store.transact(lambda t: [t.get(TRIPLETS, key) for key in KEYS]))


@pytest.mark.parametrize(
    ("version", "words"), [(2, "has format 2, and this Vaglio knows formats up to 1"), (0, "it is empty")]
)
def test_another_version_is_told_and_not_migrated(tmp_path: Path, version: int, words: str) -> None:
    path = fill(tmp_path)
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA user_version = {version}")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=words):
        open_in(tmp_path)
    assert path.read_bytes() == before


def test_a_file_without_the_newest_columns_is_told_and_gets_none(tmp_path: Path) -> None:
    class Longer(NamedTuple):
        client: str = ""
        seen: int = 0
        weight: float = 0.5

    path = fill(tmp_path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"it lacks triplets\.weight: restart the daemon"):
        open_in(tmp_path, schema=Schema("greylist", (Table("triplets", Longer),)))
    assert path.read_bytes() == before


@pytest.fixture
def sealed() -> Iterator[Path]:
    """A directory with a store where the process, for the while, may read and not write."""
    with TemporaryDirectory() as name:  # not tmp_path: only its owner may pass through that
        directory = Path(name)
        fill(directory).chmod(0o444)
        directory.chmod(0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        yield directory
        if root:
            os.seteuid(0)
        directory.chmod(0o755)


def test_who_may_only_read_can_look(sealed: Path) -> None:
    with closing(open_in(sealed)) as store:
        assert asyncio.run(store.count(TRIPLETS)) == 1000


def test_who_may_not_read_is_told_what_to_do(sealed: Path) -> None:
    root = os.getuid() == 0
    if root:
        os.seteuid(0)
    (sealed / "greylist.sqlite").chmod(0)
    if root:
        os.seteuid(65534)
    with pytest.raises(StoreError, match="run this as root or as the daemon's user"):
        open_in(sealed)
