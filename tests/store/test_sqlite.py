"""What can happen to the file: full disk, no rights, damage, other versions, other hands."""

from __future__ import annotations

import asyncio
import os
import random
import re
import resource
import sqlite3
import stat
import subprocess
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from vaglio.ports import Schema, StoreCorrupt, StoreError, Table, Transaction
from vaglio.store import checkpoint, layout, open_store
from vaglio.store.database import bring_up_to_date
from vaglio.store.sqlite import SqliteStore


class Triplet(NamedTuple):
    client: str = ""
    seen: int = 0
    weight: float = 0.5
    digest: bytes = b"\x01"


TRIPLETS = Table("triplets", Triplet)
SCHEMA = Schema("greylist", (TRIPLETS,))
NOON = 1_700_000_000.0


class Place:
    """A directory for stores, which closes them all and keeps the warnings."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "greylist.sqlite"
        self.warnings: list[str] = []
        self.stores: list[SqliteStore] = []

    def open(self, schema: Schema = SCHEMA) -> SqliteStore:
        store = SqliteStore(self.path, schema, warn=self.warnings.append, now=lambda: NOON)
        self.stores.append(store)
        return store

    def filled(self, rows: int = 2000) -> bytes:
        """Write a good store, close it, and return its bytes."""
        store = self.open()
        fill(store, range(rows))
        store.close()
        return self.path.read_bytes()

    def aside(self) -> list[Path]:
        return sorted(self.path.parent.glob("*.corrupt-*"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    for store in made.stores:
        store.close()


def key(number: int) -> bytes:
    return random.Random(number).randbytes(16)


def do(store: SqliteStore, step: Callable[[Transaction], Any]) -> Any:
    return asyncio.run(store.transact(step))


def put(store: SqliteStore, number: int, text: str = "") -> None:
    do(store, lambda t: t.put(TRIPLETS, key(number), Triplet(text, number)))


def get(store: SqliteStore, number: int) -> Triplet | None:
    found: Triplet | None = do(store, lambda t: t.get(TRIPLETS, key(number)))
    return found


def fill(store: SqliteStore, numbers: range) -> None:
    for number in numbers:
        put(store, number, "x" * 60)
    store.settle()


def count(store: SqliteStore) -> int:
    return asyncio.run(store.count(TRIPLETS))


# -- the file ----------------------------------------------------------------------------------------------------


def test_directory_and_files_are_closed_to_others(tmp_path: Path) -> None:
    place = Place(tmp_path / "made")
    store = place.open()
    fill(store, range(1))
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in place.path.parent.iterdir()}
    assert modes == {"greylist.sqlite": 0o640, "greylist.sqlite-wal": 0o640, "greylist.sqlite-shm": 0o640}
    assert stat.S_IMODE(place.path.parent.stat().st_mode) == 0o750
    store.close()
    assert [entry.name for entry in place.path.parent.iterdir()] == ["greylist.sqlite"]


def test_an_admin_reads_it_with_the_sqlite_shell(place: Place) -> None:
    store = place.open()
    put(store, 7, "192.0.2.0/24")
    store.settle()
    with closing(sqlite3.connect(place.path)) as shell:
        assert shell.execute("select client, seen, weight from triplets").fetchall() == [("192.0.2.0/24", 7, 0.5)]


def test_records_survive_closing(place: Place) -> None:
    place.filled(10)
    assert count(place.open()) == 10


def test_closing_settles_and_may_be_repeated(place: Place) -> None:
    store = place.open()
    put(store, 1)
    store.close()
    store.close()
    assert get(place.open(), 1) == Triplet("", 1)
    with pytest.raises(StoreError, match="closed"):
        get(store, 1)


@pytest.mark.parametrize("url", ["sqlite:relative", "sqlite://relative", "/plain", "redis://host", ""])
def test_an_unknown_url_is_a_clear_error(url: str) -> None:
    with pytest.raises(StoreError, match=re.escape(f'found "{url}", wanted "sqlite:///absolute/directory"')):
        open_store(url, SCHEMA, warn=print, now=lambda: NOON)


def test_the_file_is_named_after_the_schema(tmp_path: Path) -> None:
    open_store(f"sqlite://{tmp_path}", SCHEMA, warn=print, now=lambda: NOON).close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["greylist.sqlite"]


def test_a_record_the_contract_does_not_allow_is_a_bug_told_at_opening(place: Place) -> None:
    class Wrong(NamedTuple):
        items: list  # type: ignore[type-arg]

    with pytest.raises(TypeError, match=r"Wrong\.items"):
        place.open(Schema("greylist", (Table("wrong", Wrong),)))


# -- other workers -----------------------------------------------------------------------------------------------


def test_a_step_that_another_worker_overtook_is_run_again_on_the_new_records(place: Place) -> None:
    mine, other = place.open(), place.open()
    seen = []

    def step(t: Transaction) -> None:
        found = t.get(TRIPLETS, key(1))
        seen.append(found)
        if len(seen) == 1:
            put(other, 1, "other")
            other.settle()
        t.put(TRIPLETS, key(1), Triplet("mine"))

    with pytest.raises(StopIteration):  # by hand: put() in the step runs a loop of its own
        mine.transact(step).send(None)
    mine.settle()
    assert seen == [None, Triplet("other", 1)]
    assert get(other, 1) == Triplet("mine")


def test_what_is_not_settled_no_other_worker_sees(place: Place) -> None:
    mine, other = place.open(), place.open()
    put(mine, 1)
    assert get(other, 1) is None
    other.settle()
    mine.settle()
    assert get(other, 1) == Triplet("", 1)


def test_within_a_turn_the_store_stands_still(place: Place) -> None:
    mine, other = place.open(), place.open()
    assert get(other, 1) is None
    put(mine, 1)
    mine.settle()
    assert get(other, 1) is None
    other.settle()
    assert get(other, 1) == Triplet("", 1)


def test_a_lock_held_too_long_is_a_clear_error_and_passes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaglio.store.sqlite.LOCK_WAIT", 0.05)
    mine, other = place.open(), place.open()
    put(other, 1)
    with pytest.raises(StoreError, match="another process has locked it"):
        put(mine, 2)
    mine.settle()  # nothing of this turn was lost with it
    other.settle()
    put(mine, 2)
    mine.settle()
    assert count(other) == 2


def test_a_worker_waits_for_another_in_short_naps_and_for_nothing_else(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("vaglio.store.sqlite.LOCK_WAIT", 0.1)
    mine, other = place.open(), place.open()
    put(other, 2)
    connection = mine._file.connection
    assert connection is not None
    connection.set_trace_callback(asked.append)
    with pytest.raises(StoreError, match="another process has locked it"):
        put(mine, 3)
    assert asked.count("BEGIN IMMEDIATE") == 100
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (100,)
    other.settle()
    put(mine, 3)
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (100,)
    mine.settle()


# -- disk and rights ---------------------------------------------------------------------------------------------


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``size`` bytes (Python ignores SIGXFSZ)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill_until_it_fails(store: SqliteStore, settled: list[int]) -> None:
    for start in range(0, 100_000, 10):
        fill(store, range(start, start + 10))
        settled.extend(range(start, start + 10))


def test_a_disk_that_takes_no_more_is_told_and_survived(place: Place) -> None:
    store = place.open()
    settled: list[int] = []
    with largest_file(300_000):
        with pytest.raises(StoreError, match=r"greylist\.sqlite: the disk does not take"):
            fill_until_it_fails(store, settled)
        assert get(store, settled[0]) is not None
    assert count(store) == len(settled) > 10
    fill(store, range(100_000, 101_000))
    assert count(store) == len(settled) + 1000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "disk"
    directory.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", directory], capture_output=True)
    if done.returncode != 0:
        pytest.skip("may not mount a tmpfs here")
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


def test_a_full_disk_is_told_and_when_space_is_freed_the_store_goes_on(small_disk: Path) -> None:
    place = Place(small_disk)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(400_000))
    store = place.open()
    settled: list[int] = []
    with pytest.raises(StoreError, match=r"the disk is full: free some space in .*/disk"):
        fill_until_it_fails(store, settled)
    with pytest.raises(StoreError, match="the disk is full"):
        fill(store, range(100_000, 100_100))
    ballast.unlink()
    fill(store, range(100_000, 100_100))
    assert count(store) == len(settled) + 100
    store.close()


def as_nobody(work: Callable[[], None]) -> None:
    """Run ``work`` in a child without the rights of root; its assertions count."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # about threads, which other tests may have left
        child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


NO_RIGHT = r"Permission denied: .*see that .* the daemon's user may write there"


def refused(path: Path, words: str) -> Callable[[], None]:
    def work() -> None:
        with pytest.raises(StoreError, match=words) as raised:
            SqliteStore(path, SCHEMA, warn=print, now=lambda: NOON)
        assert str(path) in str(raised.value)

    return work


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """A directory that everybody can reach."""
    for directory in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        directory.chmod(0o755)
    return tmp_path


def test_a_file_without_write_permission_is_a_clear_error(open_path: Path) -> None:
    Place(open_path).filled(3)
    (open_path / "greylist.sqlite").chmod(0o444)
    open_path.chmod(0o777 if os.geteuid() == 0 else 0o755)
    as_nobody(refused(open_path / "greylist.sqlite", NO_RIGHT))


def test_a_directory_without_write_permission_is_a_clear_error(open_path: Path) -> None:
    open_path.chmod(0o555)
    as_nobody(refused(open_path / "greylist.sqlite", NO_RIGHT))
    as_nobody(refused(open_path / "below" / "greylist.sqlite", NO_RIGHT))
    open_path.chmod(0o755)


def test_a_directory_in_the_place_of_the_file_is_a_clear_error(place: Place) -> None:
    place.path.mkdir()
    with pytest.raises(StoreError, match="no directory is in the file's place"):
        place.open()


# -- damage ------------------------------------------------------------------------------------------------------


def test_a_corrupt_file_is_set_aside_not_deleted(place: Place) -> None:
    place.path.write_bytes(b"These are not the rows that you are looking for. " * 500)
    old = place.path.read_bytes()
    store = place.open()
    fill(store, range(10))
    aside = place.path.with_name("greylist.sqlite.corrupt-20231114-221320")
    assert place.aside() == [aside]
    assert aside.read_bytes() == old
    assert len(place.warnings) == 1
    assert aside.name in place.warnings[0]
    assert count(store) == 10


def test_its_log_goes_with_it(place: Place) -> None:
    log = place.path.with_name("greylist.sqlite-wal")
    size = len(place.filled())
    store = place.open()
    fill(store, range(2000, 2010))
    copied = log.read_bytes()  # as a killed worker leaves it
    store.close()
    place.path.write_bytes(b"?" * size)
    log.write_bytes(copied)
    assert count(place.open()) == 0
    old, _, old_log = place.aside()
    assert old.read_bytes() == b"?" * size
    assert (old_log.name, old_log.read_bytes()) == (old.name + "-wal", copied)


def test_a_truncated_file_is_set_aside(place: Place) -> None:
    whole = place.filled()
    place.path.write_bytes(whole[: len(whole) // 2])
    assert count(place.open()) == 0
    assert place.aside()[0].read_bytes() == whole[: len(whole) // 2]


def test_two_in_the_same_second_are_both_kept(place: Place) -> None:
    for rubbish in (b"1" * 5000, b"2" * 5000):
        place.path.write_bytes(rubbish)
        place.open().close()
    assert sorted(path.read_bytes()[:1] for path in place.aside()) == [b"1", b"2"]


def test_garbage_in_the_middle_is_met_once_and_then_a_new_store_serves(place: Place) -> None:
    whole = place.filled()
    store, other = place.open(), place.open()
    damaged = whole[:16384] + os.urandom(len(whole) - 32768) + whole[-16384:]
    place.path.write_bytes(damaged)
    with pytest.raises(StoreCorrupt, match="set aside"):
        [get(store, number) for number in range(2000)]
    assert place.aside()[0].read_bytes() == damaged
    fill(store, range(50))
    with pytest.raises(StoreCorrupt):
        [get(other, number) for number in range(2000)]
    assert count(other) == count(store) == 50
    assert len([path for path in place.aside() if not path.name.endswith(("-wal", "-shm"))]) == 1


def test_damage_met_in_a_turn_fails_the_changes_of_that_turn_at_settle(place: Place) -> None:
    whole = place.filled()
    store = place.open()
    put(store, 5000)
    place.path.write_bytes(whole[:16384] + os.urandom(len(whole) - 16384))
    with pytest.raises(StoreCorrupt):
        asyncio.run(store.scan(TRIPLETS, b"", 5000))
    put(store, 5001)
    with pytest.raises(StoreCorrupt):
        store.settle()
    store.settle()
    assert count(store) == 0
    put(store, 5002)
    store.settle()
    assert count(store) == 1


def test_a_file_removed_under_a_running_worker_is_noticed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "LOOK_EVERY", 0.005)
    store = place.open()
    fill(store, range(10))
    place.path.unlink()
    while not place.warnings:
        get(store, 1)
        store.settle()
    fill(store, range(20))
    assert place.path.exists()
    assert count(store) == count(place.open()) == 20


# -- versions ----------------------------------------------------------------------------------------------------


def version(path: Path, value: int | None = None) -> int:
    with closing(sqlite3.connect(path)) as connection:
        if value is not None:
            connection.execute(f"PRAGMA user_version = {value}")
        found: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return found


def test_a_new_file_carries_the_version(place: Place) -> None:
    place.filled(1)
    assert version(place.path) == layout.VERSION == 1


def test_a_newer_file_is_refused_and_left_alone(place: Place) -> None:
    place.filled(1)
    version(place.path, 2)
    before = place.path.read_bytes()
    with pytest.raises(StoreError, match="has format 2, and this Vaglio knows formats up to 1"):
        place.open()
    assert place.path.read_bytes() == before
    assert place.aside() == []


def test_an_older_file_gets_the_tables_and_columns_that_it_lacks(place: Place) -> None:
    with closing(sqlite3.connect(place.path, isolation_level=None)) as old:
        old.execute("CREATE TABLE triplets (key BLOB PRIMARY KEY, client TEXT NOT NULL DEFAULT '') WITHOUT ROWID")
        old.execute("INSERT INTO triplets VALUES (?, 'old')", (key(1),))

    pools = Table("pools", Triplet)
    store = place.open(Schema("greylist", (TRIPLETS, pools)))
    assert get(store, 1) == Triplet("old", 0, 0.5, b"\x01")
    assert asyncio.run(store.count(pools)) == 0
    assert version(place.path) == 1


def test_a_column_that_a_later_version_added_is_no_obstacle(place: Place) -> None:
    place.filled(1)
    with closing(sqlite3.connect(place.path)) as later:
        later.execute("ALTER TABLE triplets ADD COLUMN later TEXT NOT NULL DEFAULT 'x'")
    store = place.open()
    fill(store, range(3))
    assert count(store) == 3


def test_a_numbered_migration_runs_once(place: Place) -> None:
    place.filled(5)
    version(place.path, 0)
    layouts = [layout.layout(TRIPLETS)]
    migrations = {0: lambda connection: connection.execute("UPDATE triplets SET seen = seen + 100") and None}
    prepare = partial(layout.bring_up_to_date, layouts=layouts, migrations=migrations)
    with closing(sqlite3.connect(place.path, isolation_level=None)) as connection:
        bring_up_to_date(connection, layout.VERSION, prepare)
        bring_up_to_date(connection, layout.VERSION, prepare)
    assert get(place.open(), 1) == Triplet("x" * 60, 101)


def test_a_migration_that_fails_changes_nothing(place: Place) -> None:
    place.filled(5)
    version(place.path, 0)

    def fails(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM triplets")
        connection.execute("no SQL")

    prepare = partial(layout.bring_up_to_date, layouts=[layout.layout(TRIPLETS)], migrations={0: fails})
    with closing(sqlite3.connect(place.path, isolation_level=None)) as connection, pytest.raises(sqlite3.Error):
        bring_up_to_date(connection, layout.VERSION, prepare)
    assert version(place.path) == 0
    assert count(place.open()) == 5


# -- the log -----------------------------------------------------------------------------------------------------


def test_the_log_stays_bounded_under_continuous_writes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaglio.store.database.CHANGES", 100)
    monkeypatch.setattr(checkpoint, "LOG_LIMIT", 500_000)
    store = place.open()
    log = place.path.with_name("greylist.sqlite-wal")
    longest = 0
    for start in range(0, 10_000, 10):
        fill(store, range(start, start + 10))
        longest = max(longest, log.stat().st_size)
    assert longest < 10_000_000  # where nobody begins it anew, it grows to 58 MB
    assert place.warnings == []
