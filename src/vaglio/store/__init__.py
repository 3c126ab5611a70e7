"""What checks remember: SQLite (default) and memory behind one port."""

from vaglio.store.open import open_store

__all__ = ["open_store"]
