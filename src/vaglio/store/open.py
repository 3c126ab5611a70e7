"""From ``state.url`` to a store. Further kinds of store (a shared one for several hosts) are opened here too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vaglio.ports import Schema, Store, StoreError
from vaglio.store.memory import MemoryStore
from vaglio.store.sqlite import SqliteStore


def open_store(url: str, schema: Schema, *, warn: Callable[[str], None], now: Callable[[], float]) -> Store:
    """Open the store of one check, in the process and thread that will use it.

    ``url`` is ``sqlite:///ABSOLUTE/DIRECTORY`` (the file is ``schema.name``.sqlite in it) or ``memory:``. ``warn``
    hears what the admin should know although work goes on; ``now`` returns Unix seconds. Raises StoreError.
    """
    if url == "memory:":
        return MemoryStore(schema)
    directory = Path(url.removeprefix("sqlite://"))
    if not url.startswith("sqlite://") or not directory.is_absolute():
        raise StoreError(f'state.url: found "{url}", wanted "sqlite:///absolute/directory" or "memory:"')
    return SqliteStore(directory / f"{schema.name}.sqlite", schema, warn=warn, now=now)
