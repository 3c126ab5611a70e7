"""The private lists: files that are read, and read again when they change, by a thread: a million lines take some
seconds.

What one holder of lists has read, the next takes over while the first still lives, so that a new configuration need not
wait for files that were read before.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Self
from weakref import WeakValueDictionary

from vaglio.checks.dnsbl.localzone import LocalZone, reader
from vaglio.checks.dnsbl.settings import ListSettings
from vaglio.checks.listfiles import ListFiles

MAX_BYTES = 256 * 1024 * 1024
"""Largest list file: rbldnsd's zones may have some million lines."""

_in_use: WeakValueDictionary[tuple[str, str], ListFiles[LocalZone]] = WeakValueDictionary()
"""By file and format."""


class PrivateLists:
    """Each file with the settings of its list; ``current`` is cheap. All lists are empty until ``read`` or ``begin``.
    ``warn`` hears of lines that are no entries, also from the thread.
    """

    def __init__(self, lists: Sequence[ListSettings], warn: Callable[[str], None]) -> None:
        self._lists, self._warn = lists, warn
        self._files: list[tuple[ListSettings, ListFiles[LocalZone]]] = []
        self._current = tuple((one, LocalZone()) for one in lists)
        self._thread: threading.Thread | None = None

    def read(self) -> Self:
        """Take over what somebody has read, and read what nobody has."""
        self._files = [(one, _opened(one, self._warn)) for one in self._lists]
        self._current = self._read()
        return self

    async def begin(self) -> None:
        """Do the same in a thread: who serves while the configuration is read again need not wait for large files."""
        if self._lists:
            await asyncio.to_thread(self.read)

    def current(self) -> Sequence[tuple[ListSettings, LocalZone]]:
        """Return the lists of the moment."""
        return self._current

    def refresh(self) -> None:
        """Begin to read what changed on disk; the new lists are in force when all of them are read."""
        if self._files and not (self._thread and self._thread.is_alive()):
            self._thread = threading.Thread(target=self._reread, name="private-lists", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Wait until what ``refresh`` began is done."""
        if self._thread:
            self._thread.join()

    def _reread(self) -> None:
        for _, files in self._files:
            files.refresh()
        self._current = self._read()  # always: another holder may have read what changed

    def _read(self) -> tuple[tuple[ListSettings, LocalZone], ...]:
        return tuple((one, files.current) for one, files in self._files)


def _opened(one: ListSettings, warn: Callable[[str], None]) -> ListFiles[LocalZone]:
    key = one.file, one.format
    files = _in_use.get(key)
    if files is None:
        files = _in_use[key] = ListFiles([one.file], reader(one.format), warn, MAX_BYTES)
    return files
