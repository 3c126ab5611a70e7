"""The transaction that a step sees, the same over every store of this process.

Reads go through to the store; writes are kept back until the step has returned. So a step that raises leaves
nothing behind, and a step can be run again, without any help from the database. What it does not do: read or
write the store itself, or lock anything; the store around it does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from vaglio.ports import R, Record, StoreError, Table

Writes = dict[tuple[str, bytes], Record | None]
"""What is to be stored under (table name, key); None deletes."""


class Overlay:
    """A ``Transaction`` (see ports) that collects its changes in ``writes``."""

    __slots__ = ("_read", "writes")

    def __init__(self, read: Callable[[Table[Any], bytes], Any]) -> None:
        self._read = read
        self.writes: Writes = {}

    def get(self, table: Table[R], key: bytes) -> R | None:
        """Return the record as this step has left it, else as it is in the store."""
        row: Any
        if self.writes and (table.name, key) in self.writes:
            row = self.writes[table.name, key]
        else:
            row = self._read(table, key)
        return row  # type: ignore[no-any-return]

    def put(self, table: Table[R], key: bytes, record: R) -> None:
        """Keep ``record`` for the end of the step. Raises StoreError if no store could hold it."""
        _refuse_unstorable(record)
        self.writes[table.name, key] = record

    def delete(self, table: Table[Any], key: bytes) -> None:
        """Keep the deletion for the end of the step."""
        self.writes[table.name, key] = None


def _refuse_unstorable(record: Record) -> None:
    """Raise StoreError for a value that SQLite would refuse or change.

    It is found here, where it harms its own step only: within the database it would cost the whole turn.
    """
    for value in record:
        if isinstance(value, str):
            if not value.isascii():
                _refuse_surrogates(value)
        elif isinstance(value, int):
            if not -(2**63) <= value < 2**63:
                raise StoreError("a number of more than 64 bits can't be stored")
        elif isinstance(value, float) and math.isnan(value):
            raise StoreError("NaN can't be stored")


def _refuse_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise StoreError(f"text that is not valid Unicode can't be stored: {text!a}") from error
