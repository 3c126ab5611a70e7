"""A mail server's memory made by the real check, store and journal, and the command line that looks at it."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vaglio.checks.greylist.check import Context, Greylist
from vaglio.checks.greylist.decide import SCHEMA
from vaglio.checks.greylist.whitelists import Whitelists
from vaglio.cli import common
from vaglio.cli.main import main
from vaglio.config.load import load
from vaglio.daemon.guard import rehearsed
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.hints import SCHEMA as HINTS
from vaglio.journal.entry import Entry
from vaglio.journal.schema import FILE_NAME
from vaglio.journal.writer import JournalWriter
from vaglio.store import open_store
from vaglio.store.memory import MemoryStore
from vaglio.verdict import Verdict

NOW = 1_790_000_000  # 2026-09-21 14:13:20 UTC
TIZIO = ("198.51.100.7", "mail.tizio.it", "tizio@tizio.it", "caio@caio.it")


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.time = float(NOW)

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass(frozen=True)
class Said:
    status: int
    out: str
    err: str


class Daemon:
    """The check as its daemon runs it, without sockets: judges, writes the store, the journal."""

    def __init__(self, config: Path, clock: Clock, cleanup: ExitStack) -> None:
        self.config = load(config, {}).config
        self.warnings: list[str] = []
        self.clock = clock
        state = self.config.state.directory
        assert state
        self.store = open_store(self.config.state.url, SCHEMA, warn=self.warnings.append, now=clock.now)
        cleanup.callback(self.store.close)
        self.journal = JournalWriter(state / FILE_NAME, 1e9, 10**9, self.warnings.append, clock.now)
        cleanup.callback(self.journal.close)
        self.lists = Whitelists(self.config.greylist, state, self.warnings.append)
        numbers = itertools.count()
        self.check = Greylist(
            self.config.greylist,
            Context(
                clock, self.store, lambda: f"G7K2-{next(numbers):04}", self.lists.current,
                self.config.identity.language_for, "mail.caio.it", b"secret", self.warnings.append, lambda _: None,
                lambda: MemoryStore(HINTS),
            ),
        )  # fmt: skip

    def ask(
        self, address: str = TIZIO[0], name: str = TIZIO[1], sender: str = TIZIO[2], recipient: str = TIZIO[3],
        helo: str = "mail.tizio.it", after: float = 0,
    ) -> Verdict:  # fmt: skip
        """Judge a request ``after`` seconds; return the verdict, journalled as the daemon does it."""
        self.clock.time += after
        session = Session(Stage.RCPT, helo=helo, instance="1a2b.3c4d.0")
        facts = Facts(client_of(address, name, name), Envelope(sender, recipient), session)
        verdict = asyncio.run(self.check.check(facts))
        if self.config.greylist.mode == "rehearse":
            verdict = rehearsed(verdict)
        if verdict.journalled:
            self.journal.record(Entry.of(facts, verdict, self.clock.now(), "greylist", "mail.caio.it"))
        self.settle()
        return verdict

    def settle(self) -> None:
        asyncio.run(self.check.write_back())
        self.store.settle()
        self.journal.flush()

    def sweep(self) -> None:
        async def whole() -> None:
            while await self.check.upkeep() < 60:
                pass

        asyncio.run(whole())
        self.settle()


class Host:
    """One mail server: its configuration, its daemon, its admin."""

    def __init__(self, directory: Path, cleanup: ExitStack, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.state.mkdir()
        self.clock = Clock()
        self.config = directory / "vaglio.toml"
        self._cleanup = cleanup
        self._capsys = capsys
        self.configure("")

    def configure(self, text: str) -> None:
        lists = "\n".join(f"whitelist_{kind} = []" for kind in ("clients", "senders", "recipients"))
        self.config.write_text(f'[state]\nurl = "sqlite://{self.state}"\n[greylist]\n{lists}\n{text}\n')

    def daemon(self) -> Daemon:
        return Daemon(self.config, self.clock, self._cleanup)

    def stop(self) -> None:
        """End all daemons."""
        self._cleanup.close()

    def run(self, *words: str) -> Said:
        """Run ``vaglio WORDS`` with this host's configuration."""
        self._capsys.readouterr()
        try:
            status = main([*words, "--config", str(self.config)])
        except SystemExit as end:
            status = int(end.code or 0)
        out, err = self._capsys.readouterr()
        return Said(status, out, err)

    def fine(self, *words: str) -> str:
        """Return what the command prints; it must succeed without a word of warning."""
        said = self.run(*words)
        assert (said.status, said.err) == (0, "")
        return said.out

    def json(self, *words: str) -> Any:
        return json.loads(self.fine(*words, "--json"))


@pytest.fixture
def host(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    with ExitStack() as cleanup:
        host = Host(tmp_path, cleanup, capsys)
        monkeypatch.setattr(common, "wall", host.clock.now)
        monkeypatch.setenv("TZ", "UTC")
        time.tzset()
        yield host
        monkeypatch.undo()
        time.tzset()
