from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from vaglio.journal import writer
from vaglio.journal.entry import Entry
from vaglio.journal.schema import VERSION
from vaglio.journal.writer import JournalWriter

Desk = Any  # of conftest.py
PROCESSES = multiprocessing.get_context("forkserver")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def fill(journal: JournalWriter, entries: list[Entry]) -> None:
    for entry in entries:
        journal.record(entry)
    journal.flush()


def test_nothing_touches_the_disk_before_the_flush(desk: Desk) -> None:
    journal = desk.writer()
    journal.record(desk.entry())
    assert not desk.path.exists()
    journal.flush()
    assert len(desk.refs()) == journal.written == 1


def test_fifty_entries_are_written_without_waiting_for_the_timer(desk: Desk) -> None:
    journal = desk.writer()
    for _ in range(writer.BATCH):
        journal.record(desk.entry())
    assert len(desk.refs()) == writer.BATCH


def test_closing_writes_what_waits(desk: Desk) -> None:
    desk.write(desk.entry(), desk.entry())
    assert len(desk.refs()) == 2
    assert desk.warnings == []


def test_the_file_is_not_for_everybody_to_read(desk: Desk) -> None:
    desk.write(desk.entry())
    assert stat.S_IMODE(desk.path.stat().st_mode) & 0o027 == 0


def test_a_busy_file_delays_entries_and_loses_none(desk: Desk) -> None:
    journal = desk.writer()
    fill(journal, [desk.entry()])
    with locked(desk.path):
        fill(journal, [desk.entry() for _ in range(writer.BATCH + 5)])
        assert journal.errors == 1  # not one attempt for each of them: every one waits for the lock
    journal.flush()
    assert journal.written == 1  # it rests for a second
    desk.now += 1
    journal.flush()
    assert len(desk.refs()) == journal.written == writer.BATCH + 6
    assert desk.warnings == []  # and a passing lock is nothing to tell


def test_a_file_that_stays_busy_is_told_once_a_minute(desk: Desk) -> None:
    journal = desk.writer()
    fill(journal, [desk.entry()])
    with locked(desk.path):
        for _ in range(4):
            fill(journal, [desk.entry()])
            desk.now += 1
        assert len(desk.warnings) == 1
        assert "another process has locked it" in desk.warnings[0]
        assert "; 2 decisions wait" in desk.warnings[0]
        desk.now += 60
        journal.flush()
        assert len(desk.warnings) == 2


def test_a_clock_that_jumps_back_does_not_prolong_the_rest_after_a_failure(desk: Desk) -> None:
    journal = desk.writer()
    fill(journal, [desk.entry()])
    with locked(desk.path):
        fill(journal, [desk.entry()])
    desk.now -= 86400
    journal.flush()
    assert journal.written == 2


def test_a_full_buffer_drops_the_oldest_and_counts_them(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "CAPACITY", 100)
    journal = desk.writer()
    fill(journal, [desk.entry()])
    entries = [desk.entry() for _ in range(130)]
    with locked(desk.path):
        fill(journal, entries)
        desk.now += 1
        journal.flush()
    assert journal.dropped == 30
    assert desk.warnings[0].endswith("100 decisions wait to be written, 30 are lost")
    desk.now += 1
    journal.flush()
    assert sorted(desk.refs())[1:] == [entry.ref for entry in entries[30:]]


def test_a_long_queue_is_written_in_portions(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_TRANSACTION", 6)
    journal = desk.writer()
    for _ in range(15):
        journal.record(desk.entry())
    sizes = [(journal.flush(), journal.written)[1] for _ in range(4)]
    assert sizes == [6, 12, 15, 15]


def test_a_missing_directory_is_told_and_loses_nothing_when_it_comes_back(desk: Desk) -> None:
    desk.path = desk.path.parent / "later" / desk.path.name
    journal = desk.writer()
    fill(journal, [desk.entry()])
    assert "No such file or directory" in desk.warnings[0]
    assert journal.purge_step() is False
    desk.path.parent.mkdir()
    desk.now += 1
    journal.flush()
    assert len(desk.refs()) == 1


def test_closing_in_trouble_tells_what_is_lost(desk: Desk) -> None:
    desk.path = desk.path.parent / "never" / desk.path.name
    journal = desk.writer()
    fill(journal, [desk.entry(), desk.entry()])
    journal.close()
    assert journal.dropped == 2
    assert desk.warnings[-1].endswith("2 decisions are lost")


def test_a_read_only_file_is_told_and_never_raises(sealed_desk: Desk) -> None:
    journal = sealed_desk.writer()
    fill(journal, [sealed_desk.entry()])
    assert journal.purge_step() is False
    assert journal.errors == 1
    assert "give the daemon's user the right to write the file" in sealed_desk.warnings[0]
    assert sealed_desk.warnings[0].endswith("1 decisions wait to be written, 0 are lost")


def files_aside(desk: Desk) -> list[Path]:
    """Return the files that were set aside, but for their logs."""
    return [path for path in desk.path.parent.glob("*.corrupt-*") if not path.name.endswith(("-wal", "-shm"))]


@pytest.mark.parametrize("damage", [b"this is no database" * 500, b""], ids=["header", "middle"])
def test_a_corrupt_file_is_set_aside_not_deleted(desk: Desk, damage: bytes) -> None:
    desk.write(*(desk.entry() for _ in range(300)))
    content = bytearray(damage or desk.path.read_bytes())
    if not damage:
        content[4096:] = b"\xff" * (len(content) - 4096)
    desk.path.write_bytes(content)
    journal = desk.writer()
    fill(journal, [desk.entry(ref="NEW0-0000")])
    desk.now += 1
    journal.flush()
    assert desk.refs() == ["NEW0-0000"]
    (aside,) = files_aside(desk)
    assert aside.name == "journal.sqlite.corrupt-20251009-085320"
    assert aside.read_bytes() == content
    assert aside.name in desk.warnings[0]


def test_closing_right_after_a_corruption_still_writes(desk: Desk) -> None:
    desk.path.write_bytes(b"x" * 10_000)
    desk.write(desk.entry())
    assert len(desk.refs()) == 1


def test_damage_met_while_running_is_set_aside_once_and_loses_no_decision_that_waits(desk: Desk) -> None:
    desk.write(*(desk.entry() for _ in range(3000)))
    first, second = desk.writer(keep=10), desk.writer(keep=10)
    fill(first, [desk.entry()])
    fill(second, [desk.entry()])
    whole = desk.path.read_bytes()
    desk.path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    desk.now += 11
    assert first.purge_step() is False
    fill(first, [desk.entry(ref="NEW0-0001")])
    desk.now += 1
    first.flush()
    fill(second, [desk.entry(ref="NEW0-0002")])
    assert (first.errors, second.errors) == (1, 0)
    assert sorted(desk.refs()) == ["NEW0-0001", "NEW0-0002"]
    assert len(files_aside(desk)) == 1
    assert len([text for text in desk.warnings if "set aside as" in text]) == 1


def test_a_file_that_another_process_replaced_is_noticed(desk: Desk) -> None:
    journal = desk.writer()
    fill(journal, [desk.entry()])
    desk.path.rename(desk.path.with_name("elsewhere"))
    fill(journal, [desk.entry(ref="NEW0-0000")])
    assert desk.refs() == ["NEW0-0000"]


def test_a_file_of_a_newer_version_is_left_alone(desk: Desk) -> None:
    desk.write(desk.entry())
    with closing(sqlite3.connect(desk.path)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    journal = desk.writer()
    fill(journal, [desk.entry()])
    assert "install the newer Vaglio again" in desk.warnings[0]
    assert journal.written == 0


def test_rows_are_readable_in_the_sqlite_shell(desk: Desk) -> None:
    desk.write(desk.entry(ref="G7K2-9QFD", sender="tizio@tizio.it", facts={"delay": 300, "name": "caff\xe8"}))
    with closing(sqlite3.connect(desk.path)) as db:
        assert db.execute("SELECT ref, sender, facts FROM journal").fetchall() == [
            ("G7K2-9QFD", "tizio@tizio.it", '{"delay":300,"name":"caff\xe8"}')
        ]


def purge(journal: JournalWriter, count: Callable[[], int]) -> list[int]:
    """Purge to the end; return how many rows were left after each step."""
    left = []
    while journal.purge_step():
        left.append(count())
    return left


def test_old_rows_are_purged_in_small_steps(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_STEP", 40)
    journal = desk.writer(keep=100)
    fill(journal, [desk.entry() for _ in range(90)])
    desk.now += 60
    fill(journal, [desk.entry() for _ in range(10)])
    assert journal.purge_step() is False
    desk.now += 41
    assert purge(journal, lambda: len(desk.refs())) == [60, 20, 10]
    assert journal.purge_step() is False
    assert min(int(ref[:4]) for ref in desk.refs()) > 90


def test_too_large_a_file_loses_its_oldest_rows_in_small_steps(desk: Desk) -> None:
    desk.write(*(desk.entry(at=desk.now + n, helo="h" * 500) for n in range(3000)))
    journal = desk.writer(max_bytes=1_000_000)
    left = purge(journal, lambda: len(desk.refs()))
    assert left == [2600, 2200, 1800, 1400]
    assert desk.refs(limit=1) == ["3000-0000"]
    assert journal.purge_step() is False


def test_a_flood_purges_as_fast_as_it_writes(desk: Desk) -> None:
    journal = desk.writer(max_bytes=300_000)
    most = 0
    for n in range(5000):
        journal.record(desk.entry(at=desk.now + n, helo="h" * 500))
        most = max(most, len(desk.refs()) if n % 100 == 99 else 0)
    journal.flush()
    assert 300 < len(desk.refs()) <= most < 900
    assert desk.refs(limit=1) == ["5000-0000"]


def test_a_bound_below_an_empty_file_ends(desk: Desk) -> None:
    journal = desk.writer(max_bytes=1)
    fill(journal, [desk.entry() for _ in range(60)])
    purge(journal, lambda: 0)
    assert desk.refs() == []


def test_the_write_ahead_log_is_written_back_on_the_way(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaglio.store.database.CHANGES", 200)
    journal = desk.writer()
    fill(journal, [desk.entry() for _ in range(250)])
    while desk.path.stat().st_size < 20_000:  # a thread does it, and nobody waits for it
        os.sched_yield()
    assert desk.warnings == []


def write_until_told(path: Path, name: str, pipe: Connection) -> None:
    journal = JournalWriter(path, 1e9, 10**9, print, lambda: 0.0)
    for n in range(1000):
        journal.record(Entry(f"{name}{n:03}-0000", 1.0, "greylist", "greylist", "defer"))
    while journal.written < 1000:
        journal._failed_at = None  # the clock stands still
        journal.flush()
    pipe.send("written")
    pipe.recv()


@contextmanager
def process(path: Path, name: str) -> Iterator[tuple[Any, Connection]]:
    here, there = PROCESSES.Pipe()
    child = PROCESSES.Process(target=write_until_told, args=(path, name, there))
    child.start()
    there.close()
    with here:
        yield child, here
    child.join()
    child.close()


def test_two_processes_that_write_at_once_lose_nothing(desk: Desk) -> None:
    with process(desk.path, "A") as (_, one), process(desk.path, "B") as (_, two):
        for pipe in (one, two):
            assert pipe.recv() == "written"
            pipe.send("stop")
    assert len(set(desk.refs())) == 2000


def test_a_killed_process_keeps_what_it_flushed(desk: Desk) -> None:
    with process(desk.path, "A") as (child, pipe):
        assert pipe.recv() == "written"
        child.kill()
    assert len(set(desk.refs())) == 1000
