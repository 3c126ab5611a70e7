"""Answers kept for a while, in bounded memory.

Two generations: answers go into the young one; when it is full it becomes the old one, whose answers come back as they
are asked for, and what stood in the old one is forgotten. So every step costs the same however full it is, what is
asked often stays, and what has expired goes by itself.
"""

from __future__ import annotations

from collections.abc import Callable

from vaglio.ports import Answer

Key = tuple[str, str]
"""Name in normal form and type."""

_ENTRY, _ANSWER, _VALUE = 300, 120, 60
"""About what they take (bytes, CPython 3.11): slot, key, name and expiry; an answer that is not shared; a value."""


class Cache:
    """Answers by name and type. ``limit`` bounds its memory in bytes, roughly; ``now`` counts seconds."""

    def __init__(self, limit: int, now: Callable[[], float]) -> None:
        self._now = now
        self._half = limit // 2
        self._size = 0
        self._young: dict[Key, tuple[float, Answer]] = {}
        self._old: dict[Key, tuple[float, Answer]] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: Key) -> Answer | None:
        """Return what is known and has not expired."""
        entry = self._young.get(key)
        if entry is not None:
            return entry[1] if entry[0] > self._now() else None
        entry = self._old.pop(key, None)
        if entry is None or entry[0] <= self._now():
            return None
        self._keep(key, entry)
        return entry[1]

    def put(self, key: Key, answer: Answer, ttl: float) -> None:
        """Keep an answer for ``ttl`` seconds."""
        self._keep(key, (self._now() + ttl, answer))

    def forget(self, suffix: str) -> None:
        """Drop what is known of names that end in ``suffix``; looks at everything."""
        for answers in (self._young, self._old):
            for key in [key for key in answers if key[0].endswith(suffix)]:
                del answers[key]

    def _keep(self, key: Key, entry: tuple[float, Answer]) -> None:
        values = entry[1].values
        size = _ENTRY + len(key[0]) + (_ANSWER + sum([_VALUE + 2 * len(value) for value in values]) if values else 0)
        if self._size + size > self._half:
            self._young, self._old, self._size = {}, self._young, 0
        self._size += size
        self._young[key] = entry
