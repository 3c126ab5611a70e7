"""Golden scenarios: what lists say, what it adds up to, who is refused and with which words.

Each file in scenarios/ is a story; add one there to add a test. ``[settings]`` is the section [dnsbl] (no shipped list
is on), ``zone`` the DNS in the form of ``[dns] zone_file``, ``[files]`` private lists by path. A step has the request
(client, name, reverse_name, helo, sender, recipient, stage, login; what is left out is as in the step before), ``at``
(time since the beginning, as a duration), ``dns`` (lines that replace the zone from now on), ``upkeep = true`` (probes
and housekeeping, then what the workers share), ``want`` ("reject listed", "pass not-listed", ...) and, where it
matters, ``score``, ``text`` (words of the reply), ``nottext``, ``header`` ("" for none), ``hits``, ``standing`` (what
vaglio-greylist is told), ``counts`` (by list: asked, hits, alone, passed, silent, since the beginning), ``told`` (words
of what the admin is told, as of this step; [] for nothing), ``asked`` and ``unasked`` (names of the DNS).

Each is played with the answers at hand and without; ``only = "cold"`` leaves out the first.
"""

from __future__ import annotations

import asyncio
import itertools
import tomllib
from pathlib import Path
from typing import Any

import pytest

from vaglio.blocklists.answers import compiled
from vaglio.blocklists.health import News
from vaglio.blocklists.words import trouble_text
from vaglio.checks.dnsbl.catalogue import effective, shipped
from vaglio.checks.dnsbl.check import Context, Dnsbl
from vaglio.checks.dnsbl.privatelists import PrivateLists
from vaglio.checks.dnsbl.settings import DnsblSettings
from vaglio.checks.dnsbl.sweep import SCHEMA
from vaglio.checks.dnsbl.tally import COUNTS, count_key
from vaglio.config.types import parse_duration
from vaglio.dns.zonefile import Zone, parse_lines
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.hints import SCHEMA as HINTS
from vaglio.hints import standing
from vaglio.ports import Answer
from vaglio.store.memory import MemoryStore

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.toml"))
BEGIN = 1_700_000_000


class FakeClock:
    time = float(BEGIN)

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


class FakeDns:
    """Answers from the zone; with ``cold`` nothing is at hand, so that each answer takes a turn of the loop."""

    def __init__(self, zone: str, cold: bool) -> None:
        self.cold = cold
        self.asked: list[str] = []
        self.use(zone)

    def use(self, zone: str) -> None:
        self._zone = Zone(parse_lines(zone))

    def at_hand(self, name: str, rrtype: str) -> Answer | None:
        if self.cold:
            return None
        self.asked.append(name)
        return self._zone(name, rrtype)

    async def lookup(self, name: str, rrtype: str) -> Answer:
        self.asked.append(name)
        await asyncio.sleep(0)
        return self._zone(name, rrtype)

    async def ask_again(self, name: str, rrtype: str) -> Answer:
        return await self.lookup(name, rrtype)

    def forget(self, suffix: str) -> None:
        pass


class Play:
    def __init__(self, scenario: dict[str, Any], directory: Path, cold: bool) -> None:
        self.clock = FakeClock()
        self.told: list[str] = []
        self.dns = FakeDns(scenario.get("zone", ""), cold)
        self.store, self.hints = MemoryStore(SCHEMA), MemoryStore(HINTS)
        settings = dict(scenario.get("settings", {}))
        for name, text in scenario.get("files", {}).items():
            (directory / name).write_text(text)
        for one in settings.get("lists", []):
            if "file" in one:
                one["file"] = str(directory / one["file"])
        settings.setdefault("without", [name for name in shipped() if name not in settings.get("use", [])])
        self.settings = DnsblSettings.model_validate(settings)
        refs = (f"REF-{n}" for n in itertools.count())
        languages = scenario.get("languages", {})
        lists = effective(self.settings)
        files = PrivateLists([one for one in lists if one.file], self.told.append).read()
        context = Context(
            self.clock,
            self.store,
            self.hints,
            self.dns,
            lambda: next(refs),
            files.current,
            lambda domain: languages.get(domain, "en"),
            "mail.caio.it",
            self.told.append,
            self.tell,
        )
        self.check = Dnsbl(self.settings, [compiled(one) for one in lists if one.zone], context)

    def tell(self, news: News) -> None:
        status = news.status
        self.told.append(f"{status.name}: {' '.join(trouble_text(status.trouble, status.detail, 'dnsbl')) or 'back'}"
                         if status.trouble else f"{status.name}: back")  # fmt: skip

    async def step(self, step: dict[str, Any], where: str) -> None:
        self.clock.time = BEGIN + parse_duration(step.get("at", "0s"))
        self.dns.asked.clear()
        self.told.clear()
        if "dns" in step:
            self.dns.use(step["dns"])
        if step.get("upkeep"):
            await self.check.upkeep()
        if "want" in step:
            await self.ask(step, where)
        for _ in range(20):  # what the verdict did not wait for
            await asyncio.sleep(0)
        await self.check.write_back()
        for name, wanted in step.get("counts", {}).items():
            assert await self.counted(name) == wanted, (where, name)
        if "told" in step:
            assert len(self.told) == len(step["told"]), (where, self.told)
            for words, line in zip(step["told"], self.told, strict=True):
                assert words in line, (where, line)
        for name in step.get("asked", ()):
            assert name in self.dns.asked, (where, name, self.dns.asked)
        for name in step.get("unasked", ()):
            assert name not in self.dns.asked, (where, name)

    async def counted(self, name: str) -> list[int]:
        key = count_key(int(self.clock.time) // 86400, name)
        found = await self.store.transact(lambda tx: tx.get(COUNTS, key))
        return list(found[2:7]) if found else []

    async def ask(self, step: dict[str, Any], where: str) -> None:
        facts = facts_of_step(step)
        verdict = await self.check.check(facts)
        assert f"{verdict.action} {verdict.reason}" == step["want"], (where, verdict)
        assert (verdict.ref != "") == (verdict.action != "pass"), where
        for fact in ("score", "by", "list", "outweighed", "hits", "silent", "trouble", "code", "threshold"):
            if fact in step:
                assert verdict.facts.get(fact, "") == step[fact], (where, fact, verdict.facts)
        text = f"{verdict.reply.code} {verdict.reply.enhanced} {verdict.reply.text}" if verdict.reply else ""
        for words in step.get("text", ()):
            assert words in text, (where, text)
        for words in step.get("nottext", ()):
            assert words not in text + str(verdict.facts), (where, text)
        header = verdict.headers[0].value if verdict.headers else ""
        if "header" in step:
            assert (step["header"] in header) if step["header"] else header == "", (where, header)
        if "standing" in step:
            now = int(self.clock.time)
            found = await self.hints.transact(lambda tx: standing(tx, facts.client, now))
            assert found == step["standing"], (where, found)


def facts_of_step(step: dict[str, Any]) -> Facts:
    return Facts(
        client_of(step.get("client", "192.0.2.7"), step.get("name", ""), step.get("reverse_name", "")),
        Envelope(step.get("sender", "tizio@tizio.it"), step.get("recipient", "caio@caio.it")),
        Session(
            Stage(step.get("stage", "RCPT")), step.get("helo", "mail.tizio.it"), sasl_username=step.get("login", "")
        ),
    )


CARRIED = ("client", "name", "reverse_name", "helo", "sender", "recipient", "stage", "login", "at")


@pytest.mark.parametrize("cold", [False, True], ids=["at-hand", "cold"])
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path, cold: bool, tmp_path: Path) -> None:
    scenario = tomllib.loads(path.read_text())
    if scenario.get("only") == "cold" and not cold:
        return

    async def play() -> None:
        scene = Play(scenario, tmp_path, cold)
        carried: dict[str, Any] = {}
        for number, step in enumerate(scenario["step"], 1):
            carried = {key: value for key, value in carried.items() if key in CARRIED} | step
            await scene.step(carried, f"{path.name} step {number}: {scenario['story']}")

    asyncio.run(play())


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) > 20
