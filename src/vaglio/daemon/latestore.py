"""A store that could not be opened when a worker took a dead one's place: it fails until it can be.

A daemon that has served before must not fall silent because the disk is full just when a worker dies: the failure
policy answers meanwhile. At the first start of a daemon there is no such excuse; it ends with a message.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from vaglio.ports import R, Store, StoreError, T, Table, Transaction

AGAIN = 1.0
"""Seconds between two attempts to open it."""


class LateStore:
    """A ``Store`` (see ports) that is opened by ``opener`` as soon as that succeeds; ``error`` is why it did not."""

    def __init__(self, opener: Callable[[], Store], error: StoreError, monotonic: Callable[[], float]) -> None:
        self._opener, self._why, self._monotonic = opener, str(error), monotonic
        self._inner: Store | None = None
        self._tried = monotonic()

    def _open(self) -> Store:
        if self._inner is None:
            if self._monotonic() - self._tried < AGAIN:
                raise StoreError(self._why)  # a new one: each raising of the same would lengthen its traceback
            self._tried = self._monotonic()
            try:
                self._inner = self._opener()
            except StoreError as error:
                self._why = str(error)
                raise
        return self._inner

    def transact(self, step: Callable[[Transaction], T]) -> Coroutine[Any, Any, T]:
        """Run ``step`` atomically."""
        return self._open().transact(step)

    def scan(self, table: Table[R], after: bytes, limit: int) -> Coroutine[Any, Any, Sequence[tuple[bytes, R]]]:
        """Return up to ``limit`` records after a key."""
        return self._open().scan(table, after, limit)

    def count(self, table: Table[Any]) -> Coroutine[Any, Any, int]:
        """Return the number of records."""
        return self._open().count(table)

    def settle(self) -> None:
        """Make the changes durable; there are none before the store is open."""
        if self._inner is not None:
            self._inner.settle()

    def close(self) -> None:
        """Settle and close."""
        if self._inner is not None:
            self._inner.close()
