"""Golden scenarios: what happens to whom, step by step, over seconds or over months.

Each file in scenarios/ is a story; add one there to add a test. ``[settings]`` is the section [greylist]; a step has
``at`` (time since the beginning, as a duration), the request (client, name, reverse_name, sender, recipient, stage,
login, instance; what is left out is as in the step before), ``want`` ("defer first-contact", "pass known", ...) and,
where it matters, ``left``, ``pool``, ``text`` (words of the reply), ``header`` (words of the header; "" for none).
``clock`` in place of ``at`` sets the clock, even back; ``sweep = true`` lets housekeeping go through everything first.
"""

from __future__ import annotations

import asyncio
import itertools
import tomllib
from pathlib import Path
from typing import Any

import pytest

from vaglio.checks.greylist.check import Context, Greylist
from vaglio.checks.greylist.decide import SCHEMA
from vaglio.checks.greylist.settings import GreylistSettings
from vaglio.checks.greylist.whitelists import Whitelists
from vaglio.config.types import parse_duration
from vaglio.facts import Client, Envelope, Facts, Session, Stage, Standing, client_of
from vaglio.hints import SCHEMA as HINTS
from vaglio.store.memory import MemoryStore

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.toml"))
BEGIN = 1_700_000_000


class FakeClock:
    def __init__(self) -> None:
        self.time = float(BEGIN)
        self.slept = 0.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds


def facts_of_step(step: dict[str, Any]) -> Facts:
    client = client_of(step.get("client", "198.51.100.7"), step.get("name", ""), step.get("reverse_name", ""))
    if "standing" in step:
        client = Client(client.address, client.packed, client.name, client.reverse_name, Standing(step["standing"]))
    return Facts(
        client,
        Envelope(step.get("sender", "tizio@tizio.it"), step.get("recipient", "caio@caio.it")),
        Session(
            Stage(step.get("stage", "RCPT")),
            instance=step.get("instance", ""),
            sasl_username=step.get("login", ""),
            certificate=step.get("certificate", ""),
            missing=tuple(step.get("missing", ())),
        ),
    )


class Play:
    def __init__(self, scenario: dict[str, Any], state: Path) -> None:
        self.clock = FakeClock()
        self.warnings: list[str] = []
        self.notes: list[str] = []
        self.languages = scenario.get("languages", {})
        settings = GreylistSettings.model_validate(scenario.get("settings", {}))
        for kind in ("clients", "senders", "recipients"):
            (state / f"greylist-allow-{kind}").write_text("\n".join(scenario.get("allow", {}).get(kind, [])))
        refs = (f"REF-{n}" for n in itertools.count())
        self.store = MemoryStore(SCHEMA)
        self.hints = MemoryStore(HINTS)
        self.check = Greylist(
            settings,
            Context(
                self.clock,
                self.store,
                lambda: next(refs),
                Whitelists(settings, state, self.warnings.append).current,
                lambda domain: self.languages.get(domain, "en"),
                "mail.caio.it",
                b"secret",
                self.warnings.append,
                self.notes.append,
                lambda: self.hints,
            ),
        )

    def step(self, step: dict[str, Any], where: str) -> None:
        self.clock.time = BEGIN + (step["clock"] if "clock" in step else parse_duration(step["at"]))
        if step.get("sweep"):
            self.sweep()
        if "want" not in step:
            return
        verdict = asyncio.run(self.check.check(facts_of_step(step)))
        assert f"{verdict.action} {verdict.reason}" == step["want"], where
        assert (verdict.ref != "") == (verdict.action != "pass"), where
        for fact in ("left", "pool", "waited", "attempts", "by"):
            if fact in step:
                assert verdict.facts[fact] == step[fact], f"{where}: {fact}"
        text = verdict.reply.text if verdict.reply else ""
        for words in step.get("text", []):
            assert words in text, where
        header = verdict.headers[0].value if verdict.headers else ""
        if "header" in step:
            assert (step["header"] in header) if step["header"] else header == "", where
        for words in step.get("noted", []):
            assert any(words in note for note in self.notes), where
        for words in step.get("unnoted", []):
            assert not any(words in note for note in self.notes), where
        for words in step.get("warned", []):
            assert any(words in warning for warning in self.warnings), where
        if "slept" in step:
            assert self.clock.slept == step["slept"], where

    def sweep(self) -> None:
        async def whole() -> None:
            await self.check.write_back()
            while await self.check.upkeep() < 60:
                pass

        asyncio.run(whole())


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path, tmp_path: Path) -> None:
    scenario = tomllib.loads(path.read_text())
    play = Play(scenario, tmp_path)
    carried: dict[str, Any] = {}
    for number, step in enumerate(scenario["step"], 1):
        carried = {key: value for key, value in carried.items() if key in CARRIED} | step
        play.step(carried, f"{path.name} step {number}: {scenario['story']}")


CARRIED = ("client", "name", "reverse_name", "sender", "recipient", "stage", "login", "standing", "instance")


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) > 20
