"""How ``vaglio-ratelimit`` takes in the limits of single keys: when it begins, and again when it is built anew."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from policyd.ratelimit import build
from vaglio.checks.ratelimit.usage import SCHEMA
from vaglio.config.model import VaglioConfig
from vaglio.daemon.clock import SystemClock
from vaglio.daemon.service import Ports
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.store.memory import MemoryStore


def test_overrides_are_read_when_the_service_begins_and_outlive_their_file_at_a_reload(tmp_path: Path) -> None:
    path, warnings = tmp_path / "limits.csv", list[str]()
    path.write_text("per-user,tizio@tizio.it,0/1d\n")
    config = VaglioConfig.model_validate({"ratelimit": {"overrides": str(path)}})
    ports = SimpleNamespace(clock=SystemClock(), store=MemoryStore(SCHEMA), references=lambda: "REF",
                            warn=warnings.append, alarm=lambda *_: None)  # fmt: skip
    session = Session(Stage.END_OF_MESSAGE, sasl_username="tizio@tizio.it")
    facts = Facts(client_of("198.51.100.7"), Envelope("tizio@tizio.it", "caio@caio.it", 1, 1), session)

    async def live() -> list[str]:
        service = build(config, cast(Ports, ports))
        await service.begin()
        first = await service.check(facts)
        path.unlink()
        after = build(config, cast(Ports, ports))  # the old one still answers
        await after.begin()
        return [first.reason, (await after.check(facts)).reason, (await service.check(facts)).reason]

    assert asyncio.run(live()) == ["too-much-at-once"] * 3
    assert len(warnings) >= 1
    assert "its last state stays" in "".join(warnings)
