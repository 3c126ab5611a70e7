"""What ``vaglio-dnsbl`` tells of its lists, and that it reads their files when it begins, not while it is built."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from policyd.dnsbl import build, teller
from vaglio.checks.dnsbl.health import News, Status
from vaglio.checks.dnsbl.sweep import SCHEMA
from vaglio.config.model import VaglioConfig
from vaglio.daemon.clock import SystemClock
from vaglio.daemon.service import Milter, Ports, Service
from vaglio.dns.open import open_resolver
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.store.memory import MemoryStore
from vaglio.verdict import Verdict

NOW = 1_790_000_000
SUSPENDED = Status("bl", "silent", NOW, "timeout")


async def asked(service: Service, facts: Facts) -> Verdict:
    assert not isinstance(service.work, Milter)
    return await service.work(facts)


@pytest.mark.parametrize(
    ("seconds", "told"), [(30, "0 minutes"), (90, "1 minute"), (150, "2 minutes"), (-5, "0 minutes")]
)
def test_a_list_that_is_back_is_told_of_with_its_time(
    caplog: pytest.LogCaptureFixture, seconds: int, told: str
) -> None:
    caplog.set_level(logging.INFO, "vaglio.dnsbl")
    teller(print)(News(Status("bl", since=NOW + seconds), SUSPENDED))
    assert caplog.messages == [f"the list bl is back after {told}"]


def test_a_suspended_list_is_warned_of_with_what_to_do() -> None:
    warnings: list[str] = []
    teller(warnings.append)(News(SUSPENDED, Status("bl")))
    assert len(warnings) == 1
    assert warnings[0].startswith("the list bl is suspended: it does not answer (timeout). Nobody is refused by it")


def test_a_private_list_is_read_when_the_service_begins(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("198.51.100.7 no\n")
    own = {"name": "ours", "file": str(tmp_path / "blocked"), "weight": 5}
    without = ["psbl", "spamcop", "mailspike", "dnswl"]
    (tmp_path / "zone").write_text("")
    config = VaglioConfig.model_validate({"dnsbl": {"lists": [own], "without": without}})
    resolver = open_resolver([], 5, str(tmp_path / "zone"))
    store = MemoryStore(SCHEMA)
    ports = SimpleNamespace(clock=SystemClock(), store=store, references=lambda: "REF", warn=print, shared=MemoryStore,
                            resolver=lambda: resolver)  # fmt: skip
    facts = Facts(client_of("198.51.100.7"), Envelope("tizio@tizio.it", "caio@caio.it"), Session(Stage.RCPT))

    async def live() -> list[str]:
        service = build(config, cast(Ports, ports))
        before = await asked(service, facts)
        await service.begin()
        return [before.reason, (await asked(service, facts)).reason]

    assert asyncio.run(live()) == ["not-listed", "listed"]
