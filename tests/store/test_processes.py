"""Several worker processes on one SQLite file, and what is left when one dies."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from vaglio.ports import Schema, Table
from vaglio.store.sqlite import SqliteStore


class Counter(NamedTuple):
    value: int = 0


COUNTERS = Table("counters", Counter)
SCHEMA = Schema("test", (COUNTERS,))


def start(verb: str, path: Path, *more: str) -> subprocess.Popen[bytes]:
    script = Path(__file__).with_name("process.py")
    return subprocess.Popen([sys.executable, script, verb, path, *more], stdout=subprocess.PIPE)


def read(path: Path, key: bytes) -> Counter | None:
    store = SqliteStore(path, SCHEMA, warn=print, now=lambda: 0.0)
    try:
        return asyncio.run(store.transact(lambda t: t.get(COUNTERS, key)))
    finally:
        store.close()


def test_two_processes_lose_no_increment(tmp_path: Path) -> None:
    path = tmp_path / "test.sqlite"
    workers = [start("count", path, "2000") for _ in range(2)]
    said = [worker.communicate(timeout=60)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert said == [b"", b""]
    assert read(path, b"counter") == Counter(4000)


def test_kill_9_loses_nothing_that_was_settled(tmp_path: Path) -> None:
    path = tmp_path / "test.sqlite"
    worker = start("insert", path)
    assert worker.stdout is not None
    said = [worker.stdout.readline() for _ in range(300)]
    worker.kill()
    said += worker.stdout.read().splitlines(keepends=True)
    worker.stdout.close()
    worker.wait()
    settled = [int(line) for line in said if line.endswith(b"\n")]
    assert len(settled) >= 300
    store = SqliteStore(path, SCHEMA, warn=print, now=lambda: 0.0)
    found = {key for key, _ in asyncio.run(store.scan(COUNTERS, b"", 10**7))}
    store.close()
    assert {b"%d/%d" % (number, copy) for number in settled for copy in range(3)} <= found


def test_workers_that_find_a_corrupt_file_at_once_set_it_aside_once(tmp_path: Path) -> None:
    path = tmp_path / "test.sqlite"
    rubbish = os.urandom(20_000)
    path.write_bytes(rubbish)
    workers = [start("count", path, "50") for _ in range(3)]
    said = b"".join(worker.communicate(timeout=60)[0] for worker in workers)
    assert said.count(b"set aside") == 1
    assert [old.read_bytes() for old in tmp_path.glob("*.corrupt-*")] == [rubbish]
    assert read(path, b"counter") == Counter(150)
