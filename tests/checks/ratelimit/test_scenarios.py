"""Golden scenarios: who sends what, step by step, and what becomes of it.

Each file in scenarios/ is a story; add one there to add a test. ``[settings]`` is the section [ratelimit],
``overrides`` rows of it, ``logins`` lines of sender logins, ``countries`` maps addresses. A step has ``at`` (time since
the beginning), the request (login, sender, recipient, client, stage, recipients, size, instance; what is left out is as
in the step before, but for the instance, of which each step has its own), ``times`` to send it again and again, and
``want``: "pass within-limits", "defer over-limit", ... ``text`` and ``header`` are words of the reply and of the
header, ``alarms`` how many alarms there were in this step, ``facts`` what the journal gets. ``clock`` in place of
``at`` sets the clock, even back; ``overrides`` takes the place of those before; ``abandon = true`` lets the messages
without an end be given up; ``sweep = true`` lets housekeeping go through everything first. ``warnings`` of a scenario
are words of all that the admin is told besides alarms.
"""

from __future__ import annotations

import asyncio
import itertools
import tomllib
from pathlib import Path
from typing import Any

import pytest

from vaglio.checks.ratelimit.alarm import alarm_mail
from vaglio.checks.ratelimit.check import Context, Ratelimit
from vaglio.checks.ratelimit.decide import Alarm
from vaglio.checks.ratelimit.limits import Kind
from vaglio.checks.ratelimit.logins import parse_logins
from vaglio.checks.ratelimit.overrides import parse_csv
from vaglio.checks.ratelimit.rules import ready
from vaglio.checks.ratelimit.settings import RatelimitSettings
from vaglio.checks.ratelimit.usage import SCHEMA
from vaglio.config.types import parse_duration
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.ports import Store
from vaglio.store import open_store
from vaglio.store.memory import MemoryStore

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.toml"))
BEGIN = 1_700_000_000
ONCE = {"times", "want", "text", "header", "alarms", "facts", "instance", "at", "clock", "abandon", "sweep",
        "overrides"}  # fmt: skip


class FakeClock:
    def __init__(self) -> None:
        self.time = float(BEGIN)

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


class Play:
    def __init__(self, scenario: dict[str, Any], store: Store | None = None) -> None:
        self.clock = FakeClock()
        self.store: Store = store or MemoryStore(SCHEMA)
        self.alarms: list[Alarm] = []
        self.warnings: list[str] = []
        self.names = (f"{n:x}.6382.0" for n in itertools.count(1))
        settings = RatelimitSettings.model_validate(scenario.get("settings", {}))
        kinds = {rule.name: Kind(rule.count) for rule in settings.rule}
        self.kinds = kinds
        self.override(scenario.get("overrides", []))
        logins, problems = parse_logins(scenario.get("logins", []), "logins")
        assert not problems
        countries = scenario.get("countries", {})
        refs = (f"REF-{n}" for n in itertools.count())
        languages = scenario.get("languages", {})
        context = Context(
            clock=self.clock,
            store=self.store,
            references=lambda: next(refs),
            overrides=lambda: self.overrides,
            logins=lambda: logins,
            country=lambda address: countries.get(address, ""),
            language=lambda domain: languages.get(domain, "en"),
            hostname="mail.tizio.it",
            warn=self.warnings.append,
            alarm=lambda alarm, _: self.alarms.append(alarm),
        )
        self.check = Ratelimit(settings, ready(settings, context.country), context)

    def override(self, lines: list[str]) -> None:
        self.overrides, problems = parse_csv(lines, "overrides", self.kinds)
        assert not problems

    async def run(self, steps: list[dict[str, Any]]) -> None:
        await self.check.begin()
        self.store.settle()
        request: dict[str, Any] = {}
        for number, step in enumerate(steps, 1):
            request |= {key: value for key, value in step.items() if key not in ONCE}
            await self.set_up(step)
            for _ in range(step.get("times", 1)):
                instance = step.get("instance") or next(self.names)
                await self.ask({**request, "instance": instance}, step, f"step {number}")
            if "alarms" in step:
                assert len(self.alarms) == step["alarms"], f"step {number}: {self.alarms}"
            for alarm in self.alarms:
                assert alarm.usage.name in alarm_mail(alarm, int(self.clock.time)).text
            self.alarms.clear()

    async def set_up(self, step: dict[str, Any]) -> None:
        if "at" in step:
            self.clock.time = BEGIN + float(parse_duration(step["at"]))
        if "clock" in step:
            self.clock.time = BEGIN + float(step["clock"])
        if "overrides" in step:
            self.override(step["overrides"])
        if step.get("abandon"):
            await self.check.write_back()
            self.store.settle()
        if step.get("sweep"):
            for _ in range(3):
                await self.check.upkeep()
                self.store.settle()

    async def ask(self, request: dict[str, Any], step: dict[str, Any], place: str) -> None:
        if "want" not in step:
            return
        verdict = await self.check.check(facts_of(request))
        self.store.settle()
        assert f"{verdict.action} {verdict.reason}" == step["want"], f"{place}: {verdict}"
        text = verdict.reply.text if verdict.reply else ""
        for words in step.get("text", []):
            assert words in text, f"{place}: {text}"
        if "header" in step:
            found = "".join(f"{header.name}: {header.value}" for header in verdict.headers)
            assert step["header"] in found if step["header"] else not found, f"{place}: {found}"
        for name, value in step.get("facts", {}).items():
            assert verdict.facts.get(name) == value, f"{place}: {dict(verdict.facts)}"


def facts_of(request: dict[str, Any]) -> Facts:
    stage = Stage(request.get("stage", "END-OF-MESSAGE"))
    count = 0 if stage is Stage.RCPT else request.get("recipients", 1)
    recipient = request.get("recipient", "caio@caio.it") if count < 2 else ""
    return Facts(
        client_of(request.get("client", "198.51.100.7"), request.get("name", "")),
        Envelope(request.get("sender", "tizio@tizio.it"), recipient, count, request.get("size", 1000)),
        Session(
            stage,
            instance=request["instance"],
            sasl_username=request.get("login", "tizio@tizio.it"),
            process=request["instance"].partition(".")[0],
        ),
    )


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path, kind: str, tmp_path: Path) -> None:
    scenario = tomllib.loads(path.read_text())
    url = "memory:" if kind == "memory" else f"sqlite://{tmp_path}"
    store = open_store(url, SCHEMA, warn=pytest.fail, now=lambda: float(BEGIN))
    try:
        play = Play(scenario, store)
        asyncio.run(play.run(scenario["step"]))
    finally:
        store.close()
    if "warnings" in scenario:
        assert len(play.warnings) == len(scenario["warnings"])
        assert all(words in warning for words, warning in zip(scenario["warnings"], play.warnings, strict=True))


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) > 20
