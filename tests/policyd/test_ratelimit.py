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
from vaglio.daemon.service import Milter, Ports, Service
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.store.memory import MemoryStore
from vaglio.verdict import Verdict


async def asked(service: Service, facts: Facts) -> Verdict:
    assert not isinstance(service.work, Milter)
    return await service.work(facts)


def ports_of(warnings: list[str]) -> Ports:
    ports = SimpleNamespace(clock=SystemClock(), store=MemoryStore(SCHEMA), references=lambda: "REF",
                            warn=warnings.append, alarm=lambda *_: None)  # fmt: skip
    return cast(Ports, ports)


def test_overrides_are_read_when_the_service_begins_and_outlive_their_file_at_a_reload(tmp_path: Path) -> None:
    path, warnings = tmp_path / "limits.csv", list[str]()
    path.write_text("per-user,tizio@tizio.it,0/1d\n")
    config = VaglioConfig.model_validate({"ratelimit": {"overrides": str(path)}})
    session = Session(Stage.END_OF_MESSAGE, sasl_username="tizio@tizio.it")
    facts = Facts(client_of("198.51.100.7"), Envelope("tizio@tizio.it", "caio@caio.it", 1, 1), session)
    ports = ports_of(warnings)

    async def live() -> list[str]:
        service = build(config, ports)
        await service.begin()
        first = await asked(service, facts)
        path.unlink()
        after = build(config, ports)  # the old one still answers
        await after.begin()
        return [first.reason, (await asked(after, facts)).reason, (await asked(service, facts)).reason]

    assert asyncio.run(live()) == ["too-much-at-once"] * 3
    assert "its last state stays" in "".join(warnings)


def test_a_file_of_sender_logins_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    warnings: list[str] = []
    config = VaglioConfig.model_validate({"ratelimit": {"sender_logins": [str(tmp_path / "logins")]}})
    service = build(config, ports_of(warnings))
    service.refresh()
    assert len(warnings) == 1
    assert warnings[0].startswith(f"{tmp_path}/logins: can't be read, it counts as empty: ")
