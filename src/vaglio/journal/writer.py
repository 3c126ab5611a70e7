"""Writes the journal: buffers decisions, puts many of them into the file at once, keeps the file small.

All daemons and all their workers write the same file, each through its own ``JournalWriter``. The journal explains
mail, it never holds it up: a file that is busy, broken or missing costs the caller the busy timeout about once a
second, and never an exception. What can't be written waits in a bounded buffer.

It answers no questions (see ``query.py``) and opens nothing before its first use, so it may be made before a fork. The
file itself is looked after as every store's is (``store/database.py``).
"""

from __future__ import annotations

import math
import sqlite3
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path

from vaglio.journal.entry import Entry
from vaglio.journal.schema import INSERT, VERSION, bring_up_to_date, row_of
from vaglio.ports import StoreCorrupt, StoreError
from vaglio.store.database import Database
from vaglio.store.trouble import StoreBusy

CAPACITY = 10_000
"""Entries that wait at most; then the oldest are dropped."""
BATCH = 32
"""So many waiting entries are written without waiting for the timer. Sixteen would cost each 5 us more, two hundred
hold up the answers of that moment by 2 ms."""
_TRANSACTION = 500  # entries written at once, so that a full buffer does not hold up the daemon when the file is back
_STEP = 400  # rows purged at once, which takes about a millisecond
_LOOK = 256  # rows that a writer adds between two looks at how large the file is
_PURGE = "DELETE FROM journal WHERE rowid IN (SELECT rowid FROM journal WHERE at < ? ORDER BY at LIMIT ?)"
_LOCK_WAIT = 0.05  # seconds to wait for another writer; a daemon answers nobody meanwhile
_CACHE = 2048  # KiB of pages that are kept: with 8 MiB, a worker takes 6 MiB more and is no faster
_RETRY = 1.0  # seconds between attempts on a file that is busy or broken
_LAST_TRIES = 4  # failed attempts before what waits is given up at the end
_WARN_EVERY = 60.0  # seconds


class JournalWriter:
    """One process's way into the journal at ``path``.

    Entries older than ``keep_seconds`` are purged by ``purge_step``, and the oldest ones while the file uses more than
    ``max_bytes``; these too by whoever writes, two for each new one, so that no flood outruns the purging.
    ``warn`` hears what the admin should know, at most once a minute; ``now`` gives the Unix time in seconds.
    ``written``, ``dropped`` and ``errors`` count entries, entries lost, and failed attempts.
    """

    def __init__(
        self,
        path: Path,
        keep_seconds: float,
        max_bytes: int,
        warn: Callable[[str], None],
        now: Callable[[], float],
    ) -> None:
        self.written = 0
        self.dropped = 0
        self.errors = 0
        self._path = path
        self._keep = keep_seconds
        self._max_bytes = max_bytes
        self._warn = warn
        self._now = now
        self._waiting: deque[Entry] = deque()
        self._look_at = 0
        """When so many are written, it is time to look at how large the file is."""
        self._too_large = False
        self._file = Database(path, VERSION, bring_up_to_date, _LOCK_WAIT, warn=warn, now=now, cache=_CACHE)
        self._failed_at: float | None = None  # the last attempt; None if it went well
        self._warned_at: float | None = None

    def record(self, entry: Entry) -> None:
        """Keep ``entry``; it is in the file after the next ``flush``."""
        waiting = self._waiting
        waiting.append(entry)
        if len(waiting) >= BATCH:
            self.flush()
            if len(waiting) > CAPACITY:
                waiting.popleft()
                self.dropped += 1

    def flush(self) -> None:
        """Write what waits, in one transaction; what can't be written goes on waiting."""
        if self._waiting and not self._resting():
            self._attempt(self._write)

    def purge_step(self) -> bool:
        """Delete some rows that are too old or too many; return True if there may be more."""
        return not self._resting() and self._attempt(self._purge) > 0

    def close(self) -> None:
        """Write what waits and let go of the file; a busy or corrupt one gets a few more chances."""
        tries = _LAST_TRIES
        while self._waiting and tries:
            self._attempt(self._write)
            tries -= self._failed_at is not None
        if self._waiting:
            self.dropped += len(self._waiting)
            self._waiting.clear()
            self._warn(f"journal {self._path}: closed in trouble, {self.dropped} decisions are lost")
        self._file.close()

    def _resting(self) -> bool:
        """Return whether the last attempt failed a moment ago; a clock that jumped back ends the rest."""
        return self._failed_at is not None and 0 <= self._now() - self._failed_at < _RETRY

    def _attempt(self, work: Callable[[sqlite3.Connection], int]) -> int:
        """Do ``work`` on the file; return the rows it changed, 0 if it failed."""
        try:
            db = self._connected()
        except StoreError as error:
            self._failed(error)
            return 0
        try:
            changed = work(db)
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                db.rollback()
            self._failed(self._file.failure(error))
            return 0
        self._failed_at = None
        self._file.committed()
        return changed

    def _write(self, db: sqlite3.Connection) -> int:
        batch = list(islice(self._waiting, _TRANSACTION))
        db.execute("BEGIN IMMEDIATE")
        db.executemany(INSERT, map(row_of, batch))
        if self._too_large:  # who writes makes room, as fast as rows come in
            db.execute(_PURGE, (math.inf, min(2 * len(batch), _STEP)))
        db.execute("COMMIT")
        for _ in batch:
            self._waiting.popleft()
        self.written += len(batch)
        if self.written >= self._look_at:
            self._look_at = self.written + _LOOK
            self._too_large = _used_bytes(db) > self._max_bytes
        return len(batch)

    def _purge(self, db: sqlite3.Connection) -> int:
        (oldest,) = db.execute("SELECT min(at) FROM journal").fetchone()
        if oldest is None:
            return 0
        horizon = self._now() - self._keep
        if oldest >= horizon:
            if _used_bytes(db) <= self._max_bytes:
                return 0
            horizon = math.inf
        return db.execute(_PURGE, (horizon, _STEP)).rowcount

    def _connected(self) -> sqlite3.Connection:
        """Return the connection; a new one if somebody else set the file aside or removed it. Raises StoreError."""
        db = self._file.connection
        return self._file.open() if db is None or self._file.checkpointer.look() else db

    def _failed(self, error: StoreError) -> None:
        first = self._failed_at is None
        self.errors += 1
        self._failed_at = self._now()
        passes = first and isinstance(error, StoreBusy)  # no news: the next attempt mostly succeeds
        if not passes and not isinstance(error, StoreCorrupt):  # that has been told already, and set aside
            self._complain(str(error))

    def _complain(self, trouble: str) -> None:
        """Tell the admin, at most once a minute."""
        now = self._now()
        if self._warned_at is None or not 0 <= now - self._warned_at < _WARN_EVERY:
            self._warned_at = now
            self._warn(
                f"journal {trouble}; {len(self._waiting)} decisions wait to be written,"
                f" {self.dropped} are lost"
            )


def _used_bytes(db: sqlite3.Connection) -> int:
    """Return what the file's contents take; pages that purged rows left free are not counted, they are used again."""
    names = ("page_size", "page_count", "freelist_count")
    size, pages, free = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    return int(size * (pages - free))
