"""The rows of what Bayes has learned: the statements, each on a connection that somebody else has opened, within a
transaction that he ends (``tokens.py``).
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from vaglio.ports import Kind, Learned, Lesson, Word


class Remembered(NamedTuple):
    """A message that was learned, and could be taken back."""

    digest: bytes
    kind: Kind
    day: int
    version: int


class Origin(NamedTuple):
    """A store, by 16 random bytes, of which something is here: this one, and those that were taken over."""

    id: bytes


Entry = Learned | Origin | Remembered | Word
"""What there is in a store."""

_TOGETHER = 1024
"""Words that one statement asks for at most."""
_STEP = 64
"""Statements ask for so many words or a multiple: there are few different ones, which stay prepared."""

_TABLES = (
    "CREATE TABLE IF NOT EXISTS tokens (id INTEGER PRIMARY KEY, spam INTEGER NOT NULL, ham INTEGER NOT NULL, "
    "seen INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS messages (digest BLOB PRIMARY KEY, kind TEXT NOT NULL, day INTEGER NOT NULL, "
    "version INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS learned (kind TEXT PRIMARY KEY, messages INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO learned VALUES ('spam', 0), ('ham', 0) ON CONFLICT DO NOTHING",
    "CREATE TABLE IF NOT EXISTS origins (id BLOB PRIMARY KEY) WITHOUT ROWID",
)
_NAME = "INSERT INTO origins SELECT randomblob(16) WHERE NOT EXISTS (SELECT 1 FROM origins)"
_ADD_WORD = (
    "INSERT INTO tokens VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE "
    "SET spam = spam + ?2, ham = ham + ?3, seen = max(seen, ?4)"
)
_ADD_TO = {
    kind: f"INSERT INTO tokens ({kind}, {other}, id, seen) VALUES (?2, 0, ?1, %d) ON CONFLICT DO UPDATE "
    f"SET {kind} = {kind} + ?2, seen = max(seen, %d)"
    for kind, other in ((Kind.SPAM, Kind.HAM), (Kind.HAM, Kind.SPAM))
}  # a day that stands in the statement need not be handed over with each word
_TAKE_FROM = {kind: f"UPDATE tokens SET {kind} = max(0, {kind} - ?2) WHERE id = ?1" for kind in Kind}
DROP_WORD = "DELETE FROM tokens WHERE id = ? AND spam = ? AND ham = ? AND seen = ?"
PUT_MESSAGE = "INSERT OR REPLACE INTO messages VALUES (?, ?, ?, ?)"
_ADD_MESSAGES = "UPDATE learned SET messages = max(0, messages + ?) WHERE kind = ?"

LEAST, MOST = -(2**63), 2**63 - 1
"""Of ids."""
WORDS = "SELECT id, spam, ham, seen FROM tokens WHERE id >= ? ORDER BY id"
MESSAGES = "SELECT digest, kind, day, version FROM messages WHERE digest > ? ORDER BY digest"


def prepare(connection: sqlite3.Connection, _: int) -> None:
    """Make a file of any earlier format one of ours."""
    for statement in (*_TABLES, _NAME):
        connection.execute(statement)
    connection.execute("SELECT * FROM tokens LIMIT 1").fetchall()
    connection.execute("SELECT * FROM messages LIMIT 1").fetchall()


def _select(number: int) -> str:
    """Return what asks for so many words. As a list behind IN they would be sorted first, for a quarter of the time."""
    asked = ",".join(["(?)"] * number)
    return f"SELECT id, spam, ham FROM (VALUES {asked}) AS asked CROSS JOIN tokens ON id = asked.column1"


def counts_of(connection: sqlite3.Connection, ids: Sequence[int]) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield those words that are there."""
    for start in range(0, len(ids), _TOGETHER):
        some = [*ids[start : start + _TOGETHER]]
        some += some[-1:] * (-len(some) % _STEP)
        for one, spam, ham in connection.execute(_select(len(some)), some):
            yield one, (spam, ham)


def learned_of(connection: sqlite3.Connection) -> Learned:
    """Return how many messages were learned."""
    return Learned(**dict(connection.execute("SELECT kind, messages FROM learned")))


def put(connection: sqlite3.Connection, some: Sequence[Entry]) -> None:
    """Add what others have learned: counts add up, messages that are known stay as they are."""
    learned = [one for one in some if isinstance(one, Learned)]
    messages = (one for one in some if isinstance(one, Remembered))
    connection.executemany("INSERT INTO origins VALUES (?) ON CONFLICT DO NOTHING",
                           (one for one in some if isinstance(one, Origin)))  # fmt: skip
    connection.executemany("INSERT INTO messages VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", messages)
    connection.executemany(_ADD_WORD, sorted(one for one in some if isinstance(one, Word)))
    connection.executemany(_ADD_MESSAGES, ((number, kind) for one in learned for kind, number in one._asdict().items()))


def clear(connection: sqlite3.Connection) -> None:
    """Empty the file, which is another one from now on."""
    for table in ("tokens", "messages", "origins"):
        connection.execute(f"DELETE FROM {table}")
    connection.execute("UPDATE learned SET messages = 0")
    connection.execute(_NAME)


def known_of(connection: sqlite3.Connection, lessons: Iterable[Lesson]) -> dict[bytes, Kind]:
    """Return as what those of the messages that are known were learned."""
    find = "SELECT kind FROM messages WHERE digest = ?"
    rows = ((one.digest, connection.execute(find, (one.digest,)).fetchone()) for one in lessons)
    return {digest: Kind(row[0]) for digest, row in rows if row}


class Changes:
    """What changes of the counts, of several messages at once."""

    def __init__(self) -> None:
        self._added: dict[Kind, Counter[int]] = {kind: Counter() for kind in Kind}
        self._taken: dict[Kind, Counter[int]] = {kind: Counter() for kind in Kind}
        self._messages: Counter[Kind] = Counter()

    def add(self, kind: Kind, ids: Iterable[int]) -> None:
        """Note that a message is learned."""
        self._added[kind].update(ids)
        self._messages[kind] += 1

    def take(self, kind: Kind, ids: Iterable[int]) -> None:
        """Note that a message is taken back."""
        self._taken[kind].update(ids)
        self._messages[kind] -= 1

    def write(self, connection: sqlite3.Connection, day: int = 0) -> None:
        """Make the changes; words that are added were seen on this day."""
        for kind in Kind:
            connection.executemany(_TAKE_FROM[kind], _sorted(self._taken[kind]))
            connection.executemany(_ADD_TO[kind] % (day, day), _sorted(self._added[kind]))
        connection.executemany(_ADD_MESSAGES, ((number, kind) for kind, number in self._messages.items()))


def _sorted(counts: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    ids = sorted(counts)
    return zip(ids, map(counts.__getitem__, ids), strict=True)
