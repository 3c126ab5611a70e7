"""From ``state.url`` to a store. Further kinds of store (a shared one for several hosts) are opened here too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vaglio.ports import Schema, Store, StoreError
from vaglio.store.look import LookStore
from vaglio.store.memory import MemoryStore
from vaglio.store.sqlite import SqliteStore


def open_store(
    url: str, schema: Schema, *, warn: Callable[[str], None], now: Callable[[], float], look_only: bool = False
) -> Store:
    """Open the store of one check, in the process and thread that will use it.

    ``url`` is ``sqlite:///ABSOLUTE/DIRECTORY`` (the file is ``schema.name``.sqlite in it) or ``memory:``. ``warn``
    hears what the admin should know although work goes on; ``now`` returns Unix seconds. With ``look_only`` a file
    is read and never changed, created, brought up to date or set aside. Raises StoreError.
    """
    if url == "memory:":
        return MemoryStore(schema)
    directory = Path(url.removeprefix("sqlite://"))
    if not url.startswith("sqlite://") or not directory.is_absolute():
        raise StoreError(f'state.url: found "{url}", wanted "sqlite:///absolute/directory" or "memory:"')
    path = directory / f"{schema.name}.sqlite"
    return LookStore(path, schema) if look_only else SqliteStore(path, schema, warn=warn, now=now)
