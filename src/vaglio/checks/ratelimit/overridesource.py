"""Where overrides come from: a file, read again when it changes, or a database, read every half minute.

Both are read in a thread: a database may be far away or silent, a file may have a hundred thousand lines. No answer
waits for it, and what was read last holds until there is something new, also when the configuration is read again.
Which database that is, and how it is asked, is not known here.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Self
from weakref import WeakValueDictionary

from vaglio.checks.listfiles import ListFiles
from vaglio.checks.ratelimit.limits import Kind
from vaglio.checks.ratelimit.overrides import Overrides, parse_csv, parse_rows, parse_toml
from vaglio.checks.ratelimit.settings import RatelimitSettings

EVERY = 30.0
"""Seconds between two readings of a database."""

FIRST = 5.0
"""Seconds that a beginning waits for what is read, at most."""

Rows = Callable[[str, str], Sequence[Sequence[object]]]
"""Reads a database: its URL and a query, to rows. Raises OSError that says what is wrong, without any password."""

_in_use: WeakValueDictionary[tuple[object, ...], Source] = WeakValueDictionary()
"""By all that decides what they give."""


def source_of(
    settings: RatelimitSettings, rows: Rows, monotonic: Callable[[], float], warn: Callable[[str], None]
) -> Source:
    """Return the source that the settings name, with all that it knows where one of these settings is in use; else it
    is empty until ``read`` or ``begin``. Reads nothing.
    """
    kinds = {rule.name: Kind(rule.count) for rule in settings.rule}
    key = settings.overrides, settings.overrides_query, *kinds.items(), rows
    source = _in_use.get(key)
    if source is None:
        source = _in_use[key] = Source(settings.overrides, settings.overrides_query, kinds, rows, monotonic, warn)
    return source


class Source:
    """Gives the overrides of the moment, ``current``. ``place`` is a file or a URL; none where it is empty. ``warn`` is
    called from the thread.
    """

    def __init__(
        self,
        place: str,
        query: str,
        kinds: Mapping[str, Kind],
        rows: Rows,
        monotonic: Callable[[], float],
        warn: Callable[[str], None],
    ) -> None:
        self._place, self._query, self._kinds, self._rows = place, query, kinds, rows
        self._monotonic, self._warn = monotonic, warn
        self._is_database = "://" in place
        self._files: ListFiles[Overrides] | None = None
        self._told = ""
        self._again = 0.0
        self._reader: threading.Thread | None = None
        self.current = Overrides()

    def read(self) -> Self:
        """Read now, and wait for it a little: ``FIRST``. What takes longer comes when it comes."""
        if self._place:
            self._wait_for(self._started())
        return self

    async def begin(self) -> None:
        """Do the same while others answer."""
        if self._place:
            await asyncio.to_thread(self._wait_for, self._started())

    def refresh(self) -> None:
        """Begin to read if it is time; never waits."""
        if self._place and (not self._is_database or self._monotonic() >= self._again):
            self._started()

    def _started(self) -> threading.Thread:
        """Return the thread that reads: the one under way, or a new one."""
        if self._reader is None or not self._reader.is_alive():
            self._again = self._monotonic() + EVERY
            work = self._ask if self._is_database else self._look
            self._reader = threading.Thread(target=work, name="overrides", daemon=True)
            self._reader.start()
        return self._reader

    def _wait_for(self, reader: threading.Thread) -> None:
        reader.join(FIRST)
        if reader.is_alive():
            self._warn(f"ratelimit.overrides is not read after {FIRST:.0f} s; until it is, {self._what_holds()}")

    def _what_holds(self) -> str:
        return "what it said last holds" if self.current.limits else "the limits of the rules hold"

    def _look(self) -> None:
        if self._files is None:
            parse = partial(parse_toml if self._place.endswith(".toml") else parse_csv, kinds=self._kinds)
            self._files = ListFiles([self._place], parse, self._warn, needed=True)
        else:
            self._files.refresh()
        self.current = self._files.current

    def _ask(self) -> None:
        try:
            found, problems = parse_rows(self._rows(self._place, self._query), "ratelimit.overrides", self._kinds)
        except (OSError, ValueError) as error:
            trouble = f"ratelimit.overrides can't be read, {self._what_holds()}: {error}"
        else:
            self.current = found
            trouble = "; ".join(map(str, problems))
        if trouble and trouble != self._told:  # the same every half minute helps nobody
            self._warn(trouble)
        self._told = trouble
