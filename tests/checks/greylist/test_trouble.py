"""What greylisting says when the store takes no changes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from vaglio.checks.greylist.check import Context, Greylist
from vaglio.checks.greylist.decide import SCHEMA
from vaglio.checks.greylist.settings import GreylistSettings
from vaglio.checks.greylist.whitelists import Whitelists
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.hints import SCHEMA as HINTS
from vaglio.ports import StoreError
from vaglio.store.memory import MemoryStore


class FullDisk(MemoryStore):
    def settle(self) -> None:
        raise StoreError("disk full")


class Clock:
    slept = 0.0

    def now(self) -> float:
        return 1_700_000_000.0

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds


def test_a_tarpit_tells_of_a_full_disk_before_it_waits(tmp_path: Path) -> None:
    settings, clock = GreylistSettings.model_validate({"tarpit": "4s"}), Clock()
    lists = Whitelists(settings, tmp_path, print)
    check = Greylist(
        settings,
        Context(clock, FullDisk(SCHEMA), lambda: "REFE-RENC", lists.current, lambda _: "en", "h", b"", print, print,
                lambda: MemoryStore(HINTS)),
    )
    facts = Facts(client_of("198.51.100.7"), Envelope("tizio@tizio.it", "caio@caio.it"), Session(Stage.RCPT))
    with pytest.raises(StoreError, match="disk full"):
        asyncio.run(check.check(facts))
    assert clock.slept == 0
