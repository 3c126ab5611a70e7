"""Where overrides come from: a file, read again when it changes, or a database, read every half minute.

A database is read in a thread, since it may be far away or silent: no answer waits for it, and what it said last holds
until it speaks again. Which database that is, and how it is asked, is not known here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from vaglio.checks.listfiles import ListFiles
from vaglio.checks.ratelimit.limits import Kind
from vaglio.checks.ratelimit.overrides import Overrides, parse_csv, parse_rows, parse_toml
from vaglio.checks.ratelimit.settings import RatelimitSettings

EVERY = 30.0
"""Seconds between two readings of a database."""

FIRST = 5.0
"""Seconds that the start waits for a database at most."""

Rows = Callable[[str, str], Sequence[Sequence[object]]]
"""Reads a database: its URL and a query, to rows. Raises OSError that says what is wrong, without any password."""


class Source(Protocol):
    """Gives the overrides of the moment."""

    @property
    def current(self) -> Overrides:
        """What was read last."""

    def refresh(self) -> object:
        """Look whether there is something new; never waits."""


def source_of(
    settings: RatelimitSettings, rows: Rows, monotonic: Callable[[], float], warn: Callable[[str], None]
) -> Source:
    """Return the source that the settings name; one that is always empty where they name none."""
    kinds = {rule.name: Kind(rule.count) for rule in settings.rule}
    if "://" in settings.overrides:
        return Database(settings.overrides, settings.overrides_query, kinds, rows, monotonic, warn)
    parse = parse_toml if settings.overrides.endswith(".toml") else parse_csv
    files = [settings.overrides] if settings.overrides else []
    return ListFiles(files, partial(parse, kinds=kinds), warn)


class Database:
    """Overrides of a database. The first reading is waited for, a little; the others run beside the answers."""

    def __init__(
        self,
        url: str,
        query: str,
        kinds: dict[str, Kind],
        rows: Rows,
        monotonic: Callable[[], float],
        warn: Callable[[str], None],
    ) -> None:
        self._url, self._query, self._kinds, self._rows = url, query, kinds, rows
        self._monotonic, self._warn = monotonic, warn
        self._told = ""
        self._again = -1.0
        self._reader: threading.Thread | None = None
        self.current = Overrides()
        self._begin().join(FIRST)

    def refresh(self) -> None:
        """Begin to read if it is time and nobody reads."""
        if self._monotonic() >= self._again and not (self._reader and self._reader.is_alive()):
            self._begin()

    def _begin(self) -> threading.Thread:
        self._again = self._monotonic() + EVERY
        self._reader = reader = threading.Thread(target=self._read, name="overrides", daemon=True)
        reader.start()
        return reader

    def _read(self) -> None:
        try:
            found, problems = parse_rows(self._rows(self._url, self._query), "ratelimit.overrides", self._kinds)
        except (OSError, ValueError) as error:
            trouble = f"ratelimit.overrides can't be read, what it said last holds: {error}"
        else:
            self.current = found
            trouble = "; ".join(map(str, problems))
        if trouble and trouble != self._told:  # the same every half minute helps nobody
            self._warn(trouble)
        self._told = trouble
