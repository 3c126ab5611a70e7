"""A journal in a fresh directory, with a clock that stands still until it is told otherwise."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from vaglio.journal.entry import Entry
from vaglio.journal.query import JournalReader
from vaglio.journal.schema import FILE_NAME
from vaglio.journal.writer import JournalWriter

START = 1_760_000_000.0


class Desk:
    """Makes entries, writers and readers of one journal, and closes them after the test."""

    def __init__(self, directory: Path, cleanup: ExitStack) -> None:
        self.path = directory / FILE_NAME
        self.now = START
        self.warnings: list[str] = []
        self._cleanup = cleanup
        self._made = 0

    def entry(self, **values: Any) -> Entry:
        self._made += 1
        known = {"ref": f"{self._made:04}-0000", "at": self.now, "daemon": "greylist", "check": "greylist"}
        return Entry(**{**known, "action": "defer", "reason": "first", **values})

    def writer(self, keep: float = 30 * 86400, max_bytes: int = 200_000_000) -> JournalWriter:
        writer = JournalWriter(self.path, keep, max_bytes, self.warnings.append, lambda: self.now)
        self._cleanup.callback(writer.close)
        return writer

    def write(self, *entries: Entry) -> None:
        writer = self.writer()
        for entry in entries:
            writer.record(entry)
        writer.close()

    def reader(self) -> JournalReader:
        return self._cleanup.enter_context(JournalReader(self.path))

    def refs(self, **wanted: Any) -> list[str]:
        with JournalReader(self.path) as reader:
            return [entry.ref for entry in reader.search(**wanted)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with ExitStack() as cleanup:
        yield Desk(tmp_path, cleanup)


@pytest.fixture
def sealed_desk() -> Iterator[Desk]:
    """A journal of one entry in a directory where the process, for the while, may read and not write."""
    with TemporaryDirectory() as name, ExitStack() as cleanup:  # not tmp_path: only its owner may pass through that
        desk = Desk(Path(name), cleanup)
        desk.write(desk.entry(ref="A"))
        desk.path.chmod(0o444)
        desk.path.parent.chmod(0o555)
        root = os.geteuid() == 0
        if root:  # who may write everywhere
            os.seteuid(65534)
        yield desk
        if root:
            os.seteuid(0)
        desk.path.parent.chmod(0o755)


@pytest.fixture
def at_fresh_desk(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Desk]:
    """For hypothesis: each example gets a directory of its own."""
    return lambda: Desk(tmp_path_factory.mktemp("journal"), ExitStack())
