"""The private lists: files that are read again when they change."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vaglio.checks.dnsbl.localzone import LocalZone, reader
from vaglio.checks.dnsbl.settings import ListSettings
from vaglio.checks.listfiles import ListFiles


class PrivateLists:
    """Each file with the settings of its list; ``current`` is cheap. ``warn`` hears of lines that are no entries."""

    def __init__(self, lists: Sequence[ListSettings], warn: Callable[[str], None]) -> None:
        self._files = [(one, ListFiles([one.file], reader(one.format), warn)) for one in lists]
        self._current = self._read()

    def current(self) -> Sequence[tuple[ListSettings, LocalZone]]:
        """Return the lists of the moment."""
        return self._current

    def refresh(self) -> None:
        """Read again what changed on disk."""
        changed = [files.refresh() for _, files in self._files]
        if any(changed):
            self._current = self._read()

    def _read(self) -> tuple[tuple[ListSettings, LocalZone], ...]:
        return tuple((one, files.current) for one, files in self._files)
