"""``vaglio-dnsbl`` reads the files of its lists when it begins, not while it is built."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from policyd.dnsbl import build
from vaglio.checks.dnsbl.sweep import SCHEMA
from vaglio.config.model import VaglioConfig
from vaglio.daemon.clock import SystemClock
from vaglio.daemon.service import Milter, Ports, Service
from vaglio.dns.open import open_resolver
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.store.memory import MemoryStore
from vaglio.verdict import Verdict


async def asked(service: Service, facts: Facts) -> Verdict:
    assert not isinstance(service.work, Milter)
    return await service.work(facts)


def test_a_private_list_is_read_when_the_service_begins(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("198.51.100.7 no\n")
    own = {"name": "ours", "file": str(tmp_path / "blocked"), "weight": 5}
    without = ["psbl", "spamcop", "mailspike", "dnswl"]
    (tmp_path / "zone").write_text("")
    config = VaglioConfig.model_validate({"dnsbl": {"lists": [own], "without": without}})
    resolver = open_resolver([], 5, str(tmp_path / "zone"))
    store = MemoryStore(SCHEMA)
    ports = SimpleNamespace(clock=SystemClock(), store=store, references=lambda: "REF", warn=print, tell=print,
                            shared=MemoryStore, resolver=lambda: resolver)  # fmt: skip
    facts = Facts(client_of("198.51.100.7"), Envelope("tizio@tizio.it", "caio@caio.it"), Session(Stage.RCPT))

    async def live() -> list[str]:
        service = build(config, cast(Ports, ports))
        before = await asked(service, facts)
        await service.begin()
        return [before.reason, (await asked(service, facts)).reason]

    assert asyncio.run(live()) == ["not-listed", "listed"]
