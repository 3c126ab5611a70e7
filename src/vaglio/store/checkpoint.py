"""Moves what is in the write-ahead log into the database, from a thread of its own.

A checkpoint waits for the disk (17 ms measured); made inline, every thousandth answer would wait with it. Several
workers on one file each do this for their own share of the writes; a checkpoint with nothing to do costs little.
What it does not do: begin the log anew. A log written without a pause only grows, and the thread waits in vain for
one; the writer itself must make it (``restart``).
See https://www.sqlite.org/wal.html 3.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from vaglio.store.files import identity
from vaglio.store.trouble import explain

CHANGES = 4000
"""Changes after which a worker wakes its thread: with random keys each touches a page of its own, so about 16 MB."""
LOG_LIMIT = 32 << 20
"""Bytes of log above which a writer makes a short pause, so that the log can begin anew (10 ms measured; four times as
long if the file were cut off too)."""
PAGE = 4096
"""Bytes of a page, SQLite's default."""
LOOK_EVERY = 1.0
"""Seconds between two looks at whether the file is still in its place."""


class Checkpointer:
    """The thread. ``moved`` turns true when the file is no longer at its path, ``full`` when the log is too long."""

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self.moved = False
        self.full = False
        self._identity = identity(path)
        self._path, self._warn = path, warn
        self._wake = threading.Event()
        self._stopped = False
        self._failing = False
        self._thread = threading.Thread(target=self._run, name=f"checkpoint {path.name}", daemon=True)
        self._thread.start()

    def look(self) -> bool:
        """Return ``moved``, as it is at this moment."""
        self.moved = self.moved or identity(self._path) != self._identity
        return self.moved

    def wake(self) -> None:
        """Ask for a checkpoint; returns at once."""
        self._wake.set()

    def close(self) -> None:
        """End the thread; waits for a checkpoint that is under way."""
        self._stopped = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            asked = self._wake.wait(LOOK_EVERY)
            self._wake.clear()
            if self._stopped:
                return
            if not self.look() and asked:
                self._checkpoint()

    def _checkpoint(self) -> None:
        """One checkpoint. A failure is told once: the log only grows meanwhile, and no answer depends on it."""
        try:
            with closing(sqlite3.connect(self._path, isolation_level=None, timeout=1.0)) as connection:
                self._move(connection)
            self._failing = False
        except sqlite3.Error as error:
            if not self._failing:
                self._warn(f"the log beside a file can't be written back: {explain(error, self._path)}")
            self._failing = True

    def _move(self, connection: sqlite3.Connection) -> None:
        _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self.full = pages * PAGE > LOG_LIMIT

    def restart(self, connection: sqlite3.Connection, lock_wait: float) -> None:
        """Begin the log anew from the writer's own ``connection``, between two transactions. The thread has just
        written back most of it, so this takes about as long as the disk needs to sync. Whoever is in the way is
        not waited for: the next checkpoint asks again.
        """
        self.full = False
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        finally:
            connection.execute(f"PRAGMA busy_timeout = {int(lock_wait * 1000)}")
