"""How records lie in SQLite: one table for each kind, one column for each field, all names as in the record.

The file is the admin's too (``sqlite3 greylist.sqlite 'select * from triplets'``). Tables are WITHOUT ROWID:
the key's tree holds the row, so that a look-up is one descent and a key is stored once.

A file of an earlier version is brought up to date at opening. Missing tables and columns are added whatever the
version says; what more must change is a numbered migration. Nothing is ever dropped here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from vaglio.ports import Table

VERSION = 1
"""The format of the files that we write."""

Migrations = Mapping[int, Callable[[sqlite3.Connection], None]]

MIGRATIONS: Migrations = {}
"""By version: what turns a file of that version into one of the next, besides new tables and columns. From 0 to 1
there is nothing but those."""

_TYPES = {str: "TEXT", int: "INTEGER", float: "REAL", bytes: "BLOB"}


@dataclass(frozen=True, slots=True)
class Layout:
    """The statements of one table."""

    name: str
    columns: Mapping[str, str]
    """Column definitions by field name, in the order of the record."""
    defaults: Mapping[str, Any]
    get: str
    put: str
    delete: str
    scan: str
    count: str


def layout(table: Table[Any]) -> Layout:
    """Return the statements for ``table``. Raises TypeError for a record that the Table contract does not allow."""
    record: Any = table.record
    columns = {name: _type(record, name) for name in record._fields}
    name, fields = _quoted(table.name), [_quoted(field) for field in columns]
    listed, marks = ", ".join(fields), ", ".join("?" * (len(fields) + 1))
    # An update in place: REPLACE deletes and inserts, which costs more than twice as much.
    update = ", ".join(f"{field} = excluded.{field}" for field in fields)
    return Layout(
        name=table.name,
        columns=columns,
        defaults=record._field_defaults,
        get=f"SELECT {listed} FROM {name} WHERE key = ?",
        put=f"INSERT INTO {name} (key, {listed}) VALUES ({marks}) ON CONFLICT DO UPDATE SET {update}",
        delete=f"DELETE FROM {name} WHERE key = ?",
        scan=f"SELECT key, {listed} FROM {name} WHERE key > ? ORDER BY key LIMIT ?",
        count=f"SELECT count(*) FROM {name}",
    )


def bring_up_to_date(
    connection: sqlite3.Connection, found: int, layouts: Iterable[Layout], migrations: Migrations = MIGRATIONS
) -> None:
    """Give a file of format ``found`` our tables, and read a little of each to see that it can be read.

    Raises sqlite3.Error if the file is damaged or can't be written.
    """
    for version in range(found, VERSION):
        if version in migrations:
            migrations[version](connection)
    for one in layouts:
        _complete(connection, one)
        connection.execute(f"SELECT * FROM {_quoted(one.name)} LIMIT 1").fetchall()


def lacking(connection: sqlite3.Connection, one: Layout) -> list[str]:
    """Return the columns that the file lacks; all with the key if it lacks the table."""
    found = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (one.name,))}
    return [name for name in ("key", *one.columns) if name not in found]


def _complete(connection: sqlite3.Connection, one: Layout) -> None:
    """Create the table, or add the columns that it lacks."""
    missing = lacking(connection, one)
    wanted = {name: _column(connection, one, name) for name in one.columns}
    if len(missing) == len(one.columns) + 1:
        columns = ", ".join(["key BLOB PRIMARY KEY", *wanted.values()])
        connection.execute(f"CREATE TABLE {_quoted(one.name)} ({columns}) WITHOUT ROWID")
    else:
        for name in wanted.keys() & set(missing):
            connection.execute(f"ALTER TABLE {_quoted(one.name)} ADD COLUMN {wanted[name]}")


def _column(connection: sqlite3.Connection, one: Layout, field: str) -> str:
    """Return the definition of a column; its default is what the records of earlier versions get."""
    default = connection.execute("SELECT quote(?)", (one.defaults[field],)).fetchone()[0]
    return f"{_quoted(field)} {one.columns[field]} NOT NULL DEFAULT {default}"


def _type(record: Any, field: str) -> str:
    kind = _TYPES.get(get_type_hints(record)[field])
    if kind is None or field not in record._field_defaults or field.lower() == "key":
        raise TypeError(f"{record.__name__}.{field}: wanted str, int, float or bytes, a default, and a name but 'key'")
    return kind


def _quoted(name: str) -> str:
    """Quote an identifier: a field may be called like a word of SQL."""
    return '"' + name.replace('"', '""') + '"'
