"""What Bayes has learned, in SQLite: a file of its own, ``bayes.sqlite``, whose rows are found by number.

A message asks for some 500 words among millions, in a time that it does not notice; so a word is its id (a 64-bit hash,
made elsewhere), which is the table's own key, and all are asked for in one statement. Ids lie anywhere in the tree:
changes are made sorted, those of many messages at once. WAL mode lets readers read while somebody learns
(``database.py``, which also looks after a file that is damaged, moved, or not to be written).

A file that may not be written is only read: what was learned still tells spam from wanted mail. Each file has an id of
its own, which goes with what is taken out of it, so that nothing is taken over twice.

Words have no order here, but a short one can be told from its id: the file is as private as mail. Which words tell
spam, and which may be forgotten, is decided elsewhere (``checks/score``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from vaglio.ports import Effect, Kind, Learned, Lesson, StoreError, Word
from vaglio.store.database import Database, look_into
from vaglio.store.tokenrows import (
    DROP_WORD,
    LEAST,
    MESSAGES,
    MOST,
    PUT_MESSAGE,
    WORDS,
    Changes,
    Entry,
    Origin,
    Remembered,
    clear,
    counts_of,
    known_of,
    learned_of,
    prepare,
    put,
)
from vaglio.store.trouble import explain, unreadable

FILE_NAME = "bayes.sqlite"

FORMAT = 2
"""The format of the files that we write."""

LOCK_WAIT = 0.2
"""Seconds that a daemon waits for another process's changes: mail waits with it."""

AGAIN = 10.0
"""Seconds until a file is tried again that could not be opened: each try may wait for other processes."""

CACHE = 32 * 1024
"""KiB of pages that each process may keep: words lie all over the file, so nearly all of it is read before long."""

_ADDED = 10_000
"""Entries of others that are sorted and written together."""

KEPT = 30_000
"""Words of which each process keeps what was looked up: 5 MB at most."""


class Summary(NamedTuple):
    """What there is: messages learned, words, messages that are still remembered by version and those days (since
    1970) on which the first and the last of them was learned, 0 where there are none.
    """

    learned: Learned
    words: int
    versions: Mapping[int, int]
    first: int
    last: int


class Tokens:
    """A ``TokenStore`` (see ports), over whatever connection a subclass has."""

    def __init__(self) -> None:
        self._kept = _Kept()

    def counts(self, ids: Sequence[int]) -> Mapping[int, tuple[int, int]]:
        """Return the messages of spam and of ham that had each word."""
        with self._at_work() as connection:
            kept = self._kept.of(connection).counts
            if unknown := [one for one in ids if one not in kept]:
                kept |= dict.fromkeys(unknown) | dict(counts_of(connection, unknown))
        return {one: found for one in ids if (found := kept[one])}

    def learned(self) -> Learned:
        """Return how many messages were learned."""
        with self._at_work() as connection:
            kept = self._kept.of(connection)
            if kept.learned is None:
                kept.learned = learned_of(connection)
            return kept.learned

    def learn(self, lessons: Sequence[Lesson], kind: Kind, day: int) -> Sequence[Effect]:
        """Learn messages, all or none of them."""
        other = Kind.HAM if kind is Kind.SPAM else Kind.SPAM
        with self._changing() as connection:
            known = known_of(connection, lessons)
            effects, changes = [], Changes()
            for lesson in lessons:
                before = known.get(lesson.digest)
                if before is kind:
                    effects.append(Effect.KNOWN)
                    continue
                if before is other:
                    changes.take(other, lesson.ids)
                changes.add(kind, lesson.ids)
                known[lesson.digest] = kind
                effects.append(Effect.MOVED if before is other else Effect.LEARNED)
            fresh = [one for one, effect in zip(lessons, effects, strict=True) if effect is not Effect.KNOWN]
            connection.executemany(PUT_MESSAGE, ((one.digest, kind, day, one.version) for one in fresh))
            changes.write(connection, day)
        return effects

    def forget(self, lessons: Sequence[Lesson]) -> Sequence[Effect]:
        """Take back that messages were learned, all or none of them."""
        with self._changing() as connection:
            known = known_of(connection, lessons)
            effects, changes = [], Changes()
            for lesson in lessons:
                kind = known.pop(lesson.digest, None)
                effects.append(Effect.FORGOTTEN if kind else Effect.UNKNOWN)
                if kind:
                    changes.take(kind, lesson.ids)
                    connection.execute("DELETE FROM messages WHERE digest = ?", (lesson.digest,))
            changes.write(connection)
        return effects

    def forget_words(self, start: int | None, limit: int, stale: Callable[[Word], bool]) -> int | None:
        """Hold the next few words against ``stale``; return where to go on, None at the end."""
        with self._at_work() as connection:
            rows = connection.execute(f"{WORDS} LIMIT ?", (LEAST if start is None else start, limit)).fetchall()
        old = [row for row in rows if stale(Word(*row))]
        if old:
            with self._changing() as connection:
                connection.executemany(DROP_WORD, old)
        last: int = rows[-1][0] if len(rows) == limit else MOST
        return last + 1 if last < MOST else None

    def forget_messages(self, after: bytes, limit: int, before: int) -> bytes | None:
        """Forget which of the next few messages were learned before that day; return where to go on, None at the end.
        """
        with self._at_work() as connection:
            rows = connection.execute(f"{MESSAGES} LIMIT ?", (after, limit)).fetchall()
        old = [(digest, day) for digest, _, day, _ in rows if day < before]
        if old:
            with self._changing() as connection:
                connection.executemany("DELETE FROM messages WHERE digest = ? AND day = ?", old)
        return rows[-1][0] if len(rows) == limit else None

    def close(self) -> None:
        """Let go of the file."""

    # --- for the admin's commands ---

    def summary(self) -> Summary:
        """Return what there is; reads all of it (0.1 s for a million words)."""
        with self._at_work() as connection, _one_moment(connection):
            (words,) = connection.execute("SELECT count(*) FROM tokens").fetchone()
            versions = dict(connection.execute("SELECT version, count(*) FROM messages GROUP BY version"))
            first, last = connection.execute("SELECT min(day), max(day) FROM messages").fetchone()
            return Summary(learned_of(connection), words, versions, first or 0, last or 0)

    def all(self) -> Iterator[Entry]:
        """Yield all that there is, as it is at one moment: the figures first, then origins, messages, words."""
        with self._at_work() as connection, _one_moment(connection):
            yield learned_of(connection)
            for row in connection.execute("SELECT id FROM origins ORDER BY id"):
                yield Origin(*row)
            for digest, kind, day, version in connection.execute(MESSAGES, (b"",)):
                yield Remembered(digest, Kind(kind), day, version)
            for row in connection.execute(WORDS, (LEAST,)):
                yield Word(*row)

    def known(self, digests: Iterable[bytes]) -> int:
        """Return how many of these messages are remembered."""
        with self._at_work() as connection:
            return sum(connection.execute("SELECT 1 FROM messages WHERE digest = ?", (one,)).fetchone() is not None
                       for one in digests)  # fmt: skip

    def holds(self, origins: Iterable[Origin]) -> bool:
        """Return whether anything of one of these is here."""
        with self._at_work() as connection:
            return any(connection.execute("SELECT 1 FROM origins WHERE id = ?", one).fetchone() for one in origins)

    def add(self, found: Iterable[Entry], replace: bool = False) -> None:
        """Add what others have learned, or put it in place of what is here, all or nothing: counts add up, messages
        that are known stay as they are. Nobody sees anything of it before the end; who wants to change something waits.
        """
        with self._changing() as connection:
            if replace:
                clear(connection)
            rest = iter(found)
            while some := list(islice(rest, _ADDED)):
                put(connection, some)

    def clear(self) -> None:
        """Forget all of it."""
        with self._changing() as connection:
            clear(connection)

    # --- what subclasses say ---

    def _connection(self) -> sqlite3.Connection:
        """Return a connection to the file. Raises StoreError."""
        raise NotImplementedError

    def _to_look(self) -> sqlite3.Connection:
        """Return one that need not take changes. Raises StoreError."""
        return self._connection()

    def _failure(self, error: sqlite3.Error) -> StoreError:
        """Return the error to raise in place of ``error``, after putting in order what it leaves behind."""
        raise NotImplementedError

    def _committed(self) -> None:
        """Do what is to be done after a change."""

    # --- ways to work ---

    @contextmanager
    def _at_work(self, to_change: bool = False) -> Iterator[sqlite3.Connection]:
        try:
            yield self._connection() if to_change else self._to_look()
        except sqlite3.Error as error:
            raise self._failure(error) from error

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it, or, whatever happens, nothing."""
        self._kept.forget()
        with self._at_work(to_change=True) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                with suppress(sqlite3.Error):  # nothing to do after a commit, or where the error has done it
                    connection.rollback()
            self._committed()


class _Kept:
    """What was looked up, of words that are not there too (None). To ask for a word takes 1 us, to find it here 0.1 us,
    and three words in four of a message were in others.

    It holds for one connection, until a change is made: ``PRAGMA data_version`` says (in 1 us) whether anybody else
    made one, and who makes one by this connection calls ``forget``.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Keep nothing."""
        self.counts: dict[int, tuple[int, int] | None] = {}
        self.learned: Learned | None = None
        self._of: tuple[sqlite3.Connection, int] | None = None

    def of(self, connection: sqlite3.Connection) -> _Kept:
        """Return what is kept and still holds."""
        now = (connection, connection.execute("PRAGMA data_version").fetchone()[0])
        if self._of != now or len(self.counts) > KEPT:
            self.forget()
            self._of = now
        return self


@contextmanager
def _one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """See the file as it is now, for as long as it takes."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        with suppress(sqlite3.Error):
            connection.rollback()


class SqliteTokens(Tokens):
    """The file ``path``. A damaged one is set aside and a new one begun, one that was moved away too; ``warn`` hears of
    it, ``now`` (Unix seconds) names it. One that can't be opened for changes is looked at as it is, and tried again
    after ``AGAIN`` seconds. ``lock_wait`` is how many seconds a change waits for those of others.
    """

    def __init__(
        self, path: Path, *, warn: Callable[[str], None], now: Callable[[], float], lock_wait: float = LOCK_WAIT
    ) -> None:
        super().__init__()
        self._path, self._warn, self._now = path, warn, now
        self._file = Database(path, FORMAT, prepare, lock_wait, warn=warn, now=now, cache=CACHE)
        self._look: LookTokens | None = None
        self._trouble, self._told, self._tried = "", "", 0.0

    def close(self) -> None:
        """Write the log back if nobody is in the way, and let go of the file."""
        if self._file.connection is not None:
            with suppress(sqlite3.Error):  # the log stays then; the next opening finds all in it
                self._file.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self._file.close()
        self._look_no_more()

    def _connection(self) -> sqlite3.Connection:
        connection = self._file.connection
        if connection is not None and not self._file.checkpointer.moved:
            return connection
        if self._trouble and 0 <= self._now() - self._tried < AGAIN:
            raise StoreError(self._trouble)
        self._look_no_more()
        try:
            connection = self._opened()
        except StoreError as error:
            self._trouble, self._tried = str(error), self._now()
            raise
        self._trouble = self._told = ""
        return connection

    def _opened(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            raise explain(error, self._path) from error
        return self._file.open()

    def _to_look(self) -> sqlite3.Connection:
        try:
            return self._connection()
        except StoreError as error:
            return self._looking_only(error)._connection()

    def _looking_only(self, trouble: StoreError) -> LookTokens:
        """Return the file for looking. Raises ``trouble`` where that can't be had either."""
        if self._look is None:
            try:
                self._look = LookTokens(self._path)
            except StoreError:
                raise trouble from None
            if self._told != str(trouble):
                self._told = str(trouble)
                self._warn(f"{trouble}; what was learned is looked up, and nothing is learned")
        return self._look

    def _look_no_more(self) -> None:
        if self._look is not None:
            self._look.close()
            self._look = None

    def _failure(self, error: sqlite3.Error) -> StoreError:
        if self._look is None:
            return self._file.failure(error)
        self._look_no_more()
        return unreadable(error, self._path)

    def _committed(self) -> None:
        self._file.committed()


class LookTokens(Tokens):
    """The file ``path`` for looking only: nothing is created, changed or set aside. Raises StoreError if it can't be
    read.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path, self._open = path, look_into(path, FORMAT)

    def close(self) -> None:
        """Let go of the file."""
        self._open.close()

    def _connection(self) -> sqlite3.Connection:
        return self._open

    def _failure(self, error: sqlite3.Error) -> StoreError:
        return unreadable(error, self._path)


class MemoryTokens(Tokens):
    """For tests and rehearsals: empty at every start, and of one process."""

    def __init__(self) -> None:
        super().__init__()
        self._open = sqlite3.connect(":memory:", isolation_level=None)
        prepare(self._open, 0)

    def close(self) -> None:
        """Forget all."""
        self._open.close()

    def _connection(self) -> sqlite3.Connection:
        return self._open

    def _failure(self, error: sqlite3.Error) -> StoreError:
        return explain(error, Path("memory:"))


def open_tokens(
    directory: Path | None, *, warn: Callable[[str], None], now: Callable[[], float], lock_wait: float = LOCK_WAIT
) -> Tokens:
    """Return what was learned, of the file in the state directory, which is opened at the first call; without a
    directory, of memory. For one thread, after the fork.
    """
    if directory is None:
        return MemoryTokens()
    return SqliteTokens(directory / FILE_NAME, warn=warn, now=now, lock_wait=lock_wait)
