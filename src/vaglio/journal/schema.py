"""The journal's file: its table, its versions, and how an entry becomes a row and back.

The table is meant to be read with the ``sqlite3`` shell too, so everything is text but the time, and the reference
is kept as it is printed (three bytes a row dearer than a number). Text that is not UTF-8 is kept byte for byte.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from vaglio.journal.entry import Entry
from vaglio.verdict import Fact

FILE_NAME = "journal.sqlite"

MAX_TEXT = 1024
"""Characters kept of any text column: a hostile client shall not fill the journal with one HELO."""
MAX_FACTS = 4096
"""Bytes kept of the facts, as JSON."""

_MAX_FACT = 256  # characters of a fact, where the facts are too many bytes

COLUMNS = Entry._fields
_AT = COLUMNS.index("at")
SELECTED = ", ".join(f'"{name}"' for name in COLUMNS)  # quoted: "check" is a word of SQL
# A value that is not UTF-8 comes as bytes: the cast makes text of it and leaves the bytes alone.
_VALUES = ", ".join("?" if name == "at" else "CAST(? AS TEXT)" for name in COLUMNS)
INSERT = f"INSERT INTO journal ({SELECTED}) VALUES ({_VALUES})"

_EVERYDAY = frozenset({str, int})
_quote = json.encoder.encode_basestring
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE journal (
            ref TEXT NOT NULL, at REAL NOT NULL, daemon TEXT NOT NULL, "check" TEXT NOT NULL, action TEXT NOT NULL,
            rehearsed TEXT NOT NULL, reason TEXT NOT NULL, reply TEXT NOT NULL, client TEXT NOT NULL,
            client_name TEXT NOT NULL, helo TEXT NOT NULL, sender TEXT NOT NULL, recipient TEXT NOT NULL,
            queue_id TEXT NOT NULL, instance TEXT NOT NULL, sasl_username TEXT NOT NULL, host TEXT NOT NULL,
            facts TEXT NOT NULL)""",
        # No index on ref: keys in random order would cost a decision more than all the rest of its row (32 us against
        # 12 to write it, measured with 500,000 rows); to look through all of them for one takes an admin 0.1 s.
        "CREATE INDEX journal_at ON journal (at)",
    ),
)
"""The statements that bring a file from version N (its ``user_version``) to N + 1."""
VERSION = len(MIGRATIONS)

Value = str | bytes | float


def bring_up_to_date(connection: sqlite3.Connection, found: int) -> None:
    """Give a file of version ``found`` our table, and read a little of it to see that it can be read.

    Raises sqlite3.Error if the file is damaged or can't be written.
    """
    for statements in MIGRATIONS[found:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute("SELECT * FROM journal LIMIT 1").fetchall()


def row_of(entry: Entry) -> list[Value]:
    """Return the values of ``INSERT``; never fails, whatever the texts are."""
    row: list[Any] = list(entry)
    row[-1] = ""
    row[_AT] = ""
    said = "".join(row)
    if len(said) > MAX_TEXT or not said.isascii():  # seldom: to look at each value costs four times as much
        row = [_cut(text) for text in row]
    row[_AT] = entry.at
    row[-1] = pack_facts(entry.facts)
    return row


def _cut(text: str) -> Value:
    text = text[:MAX_TEXT]
    return text if text.isascii() else _storable(text)


def entry_of(row: Sequence[Any]) -> Entry:
    """Return the entry of a row of ``SELECTED`` whose text was read as bytes.

    Raises ValueError when somebody made the facts unreadable.
    """
    values: list[Any] = [value if isinstance(value, float) else decode(value) for value in row]
    values[-1] = json.loads(values[-1])
    return Entry(*values)


def decode(raw: bytes) -> str:
    """Return stored text; bytes that are not UTF-8 become surrogates, as they were in the entry."""
    return raw.decode("utf-8", "surrogateescape")


def _json(facts: Mapping[str, Fact]) -> str:
    if _EVERYDAY.issuperset(map(type, facts.values())):  # nearly always, in half of the time that the encoder takes
        members = [f"{_quote(name)}:{_quote(fact) if isinstance(fact, str) else fact}" for name, fact in facts.items()]
        return "{" + ",".join(members) + "}"
    return _encode(dict(facts))


def pack_facts(facts: Mapping[str, Fact]) -> bytes:
    """Return the facts as JSON of at most ``MAX_FACTS`` bytes: long texts are cut, then the last facts left out."""
    packed = _storable(_json(facts))
    if len(packed) > MAX_FACTS:
        kept = {name: fact[:_MAX_FACT] if isinstance(fact, str) else fact for name, fact in facts.items()}
        while len(packed := _storable(_json(kept))) > MAX_FACTS:
            kept.popitem()
    return packed


def _storable(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")  # gives back the bytes that were no UTF-8 when they came
    except UnicodeEncodeError:  # half of a UTF-16 pair: no byte ever read becomes one, but a check may invent it
        return text.encode("utf-8", "replace")
