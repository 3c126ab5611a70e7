"""The check over its lifetime: what it does with lists that come and go, restarts, and a store that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from vaglio.blocklists.answers import compiled
from vaglio.blocklists.health import News
from vaglio.checks.dnsbl.check import Context, Dnsbl
from vaglio.checks.dnsbl.settings import DnsblSettings, ListSettings
from vaglio.checks.dnsbl.sweep import SCHEMA
from vaglio.dns.zonefile import Zone, parse_lines
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.hints import SCHEMA as HINTS
from vaglio.ports import Answer, Outcome, Schema, StoreError, T, Transaction
from vaglio.store.memory import MemoryStore

FACTS = Facts(client_of("192.0.2.7"), Envelope("tizio@tizio.it", "caio@caio.it"), Session(Stage.RCPT))
SOUND = "2.0.0.127.bl.test A 127.0.0.2\n"
LISTED = SOUND + "7.2.0.192.bl.test A 127.0.0.2\n"
LISTS_ALL = LISTED + "1.0.0.127.bl.test A 127.0.0.2\n"


class Host:
    """What outlives a daemon: time, the DNS, stores, and what the admin heard."""

    def __init__(self, zone: str) -> None:
        self.time = 1_700_000_000.0
        self.dns = Dns(zone)
        self.store, self.hints = FickleStore(SCHEMA), MemoryStore(HINTS)
        self.told: list[str] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)

    def tell(self, news: News) -> None:
        self.told.append(news.status.trouble or "back")

    def daemon(self, *names: str) -> Dnsbl:
        lists = [compiled(ListSettings(name=name, zone=f"{name}.test", weight=5)) for name in names or ("bl",)]
        context = Context(self, self.store, self.hints, self.dns, lambda: "REF", lambda: (), lambda _: "en",
                          "mail.caio.it", self.told.append, self.tell)  # fmt: skip
        return Dnsbl(DnsblSettings(), lists, context)


class Dns:
    """Remembers all answers until it is told to forget them."""

    def __init__(self, zone: str) -> None:
        self.use(zone)
        self.up = True
        self._known: dict[str, Answer] = {}

    def use(self, zone: str) -> None:
        self._zone = Zone(parse_lines(zone))

    def at_hand(self, name: str, rrtype: str) -> Answer | None:
        return self._known.get(name) if rrtype == "A" else Answer(Outcome.NXDOMAIN)

    async def lookup(self, name: str, rrtype: str) -> Answer:
        return self.at_hand(name, rrtype) or await self.ask_again(name, rrtype)

    async def ask_again(self, name: str, rrtype: str) -> Answer:
        self._known[name] = self._zone(name, rrtype) if self.up else Answer(Outcome.TEMPERROR, why="network")
        return self._known[name]

    def forget(self, suffix: str) -> None:
        self._known = {name: answer for name, answer in self._known.items() if not name.endswith(suffix)}


class FickleStore(MemoryStore):
    """Takes changes while ``fit``."""

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema)
        self.fit = True

    async def transact(self, step: Callable[[Transaction], T]) -> T:
        if not self.fit:
            raise StoreError("disk full")
        return await super().transact(step)


async def action(daemon: Dnsbl) -> str:
    return (await daemon.check(FACTS)).action


def test_a_restart_while_the_dns_is_down_brings_no_list_back() -> None:
    async def live() -> None:
        host = Host(LISTS_ALL)
        await host.daemon().upkeep()
        host.time += 1000
        host.dns.up = False
        daemon = host.daemon()
        await daemon.upkeep()
        host.dns.up = True
        for _ in range(60):
            host.time += 60
            await daemon.upkeep()
            assert await action(daemon) == "pass"
        assert host.told == ["lists-everybody"]

    asyncio.run(live())


def test_a_worker_that_begins_does_not_believe_a_suspended_list_or_a_new_one() -> None:
    async def live() -> None:
        host = Host(LISTS_ALL)
        keeper, other = host.daemon(), host.daemon()
        for daemon in (keeper, other):
            await daemon.begin()
            assert await action(daemon) == "pass"
        await keeper.upkeep()
        await other.write_back()
        respawned = host.daemon()
        await respawned.begin()
        for daemon in (keeper, other, respawned):
            assert await action(daemon) == "pass"

    asyncio.run(live())


@pytest.mark.parametrize("up", [True, False])
def test_a_new_list_counts_after_its_first_probe_unless_it_is_found_bad(up: bool) -> None:
    async def live() -> None:
        host = Host(LISTED)
        host.dns.up = up
        daemon = host.daemon()
        await daemon.begin()
        await daemon.upkeep()
        host.dns.up = True
        assert await action(daemon) == "reject"

    asyncio.run(live())


def test_a_list_found_bad_is_not_asked_whether_the_store_takes_it_or_not() -> None:
    async def live() -> None:
        host = Host(LISTS_ALL)
        host.store.fit = False
        daemon = host.daemon()
        with pytest.raises(StoreError):
            await daemon.upkeep()
        assert await action(daemon) == "pass"
        assert daemon.gauges()["list_suspended"] == {"bl": 1.0}
        host.store.fit = True
        await daemon.write_back()
        assert host.told == ["lists-everybody"]

    asyncio.run(live())


def test_what_a_list_said_in_trouble_is_forgotten_when_it_is_back() -> None:
    async def live() -> None:
        host = Host(LISTED)
        daemon, other = host.daemon(), host.daemon()
        await daemon.upkeep()
        assert await action(daemon) == "reject"
        host.dns.use(LISTS_ALL)
        host.time += 3600
        await daemon.upkeep()
        await other.write_back()
        host.dns.use(SOUND)
        host.time += 300
        await daemon.upkeep()
        await other.write_back()
        assert host.told == ["lists-everybody", "back"]
        assert await action(daemon) == "pass"
        assert await action(other) == "pass"

    asyncio.run(live())


def test_figures_name_every_list_also_one_without_hits_today() -> None:
    async def live() -> None:
        host = Host(LISTED + "2.0.0.127.quiet.test A 127.0.0.2")
        daemon = host.daemon("bl", "quiet")
        assert daemon.gauges() == {"list_suspended": {"bl": 0, "quiet": 0}}  # the rest is not known yet
        await daemon.upkeep()
        await daemon.check(FACTS)
        await daemon.write_back()
        await daemon.upkeep()
        assert daemon.gauges()["list_hits_today"] == {"bl": 1, "quiet": 0}
        host.time += 86400
        await daemon.upkeep()
        assert daemon.gauges()["list_hits_today"] == {"bl": 0, "quiet": 0}
        assert daemon.gauges()["list_suspended"] == {"bl": 0, "quiet": 0}

    asyncio.run(live())
