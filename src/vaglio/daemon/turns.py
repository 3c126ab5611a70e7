"""A store whose changes are settled at the end of the turn that made them, whoever made them.

Answers are settled by the server that sends them; but a check that changes something and then waits (a tarpit), and
housekeeping, answer nothing in that turn, and an open change keeps the other workers from writing. Stores nothing
itself, and adds no step of its own to a transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from vaglio.ports import R, Store, StoreError, T, Table, Transaction
from vaglio.turn import Turn


class TurnStore:
    """``inner``, a ``Store`` (see ports), on the running event loop. ``turn`` says when changes are settled; ``warn``
    hears of those that could not be kept and that no answer rested on.
    """

    def __init__(self, inner: Store, turn: Turn, warn: Callable[[str], None]) -> None:
        self._inner = inner
        self._turn = turn
        self._warn = warn
        self._scheduled = False
        self._problem: StoreError | None = None

    def transact(self, step: Callable[[Transaction], T]) -> Coroutine[Any, Any, T]:
        """Run ``step`` atomically; what it changed is settled before the turn's answers go out."""
        if not self._scheduled:
            self._scheduled = True
            self._turn.at_end(self._end_turn)
        return self._inner.transact(step)

    def scan(self, table: Table[R], after: bytes, limit: int) -> Coroutine[Any, Any, Sequence[tuple[bytes, R]]]:
        """Return up to ``limit`` records after a key."""
        return self._inner.scan(table, after, limit)

    def count(self, table: Table[Any]) -> Coroutine[Any, Any, int]:
        """Return the number of records."""
        return self._inner.count(table)

    def settle(self) -> None:
        """Make the changes durable before the end of the turn. If that fails, the answers of the turn hear of it too:
        what they rest on is lost with the rest.
        """
        try:
            self._inner.settle()
        except StoreError as error:
            self._problem = error
            raise

    def settle_turn(self) -> None:
        """Make the changes durable for the answers of the turn, or say that this failed, be it a moment ago."""
        problem, self._problem = self._problem, None
        if problem is not None:
            raise problem
        self._inner.settle()

    def close(self) -> None:
        """Settle and close the inner store."""
        self._inner.close()

    def _end_turn(self) -> None:
        self._scheduled = False
        with suppress(StoreError):
            self.settle()
        if self._problem is not None:  # for the answers of this turn: the server settles them next, before ...
            self._turn.at_end(self._disown)

    def _disown(self) -> None:
        problem, self._problem = self._problem, None
        if problem is not None:
            self._warn(f"store: {problem}")
