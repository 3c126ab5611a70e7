"""Keys that sign are held against their records: one at a time, once a day, and what is wrong is told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from tests.checks.dkim.samples import NOW, Clock, Dns, Zone, ed25519, record, rsa
from vaglio.checks.dkim.signing.sign import PrivateKey
from vaglio.checks.dkim.signing.tables import Entry
from vaglio.checks.dkim.signing.watch import AGAIN, DAY, Watch
from vaglio.ports import TEMPERROR
from vaglio.verdict import Fact

UNO, DUE = "uno._domainkey.tizio.it", "due._domainkey.tizio.it"


class Rig:
    """A watch over keys by selector, which tells what it said."""

    def __init__(self, zone: Zone, **keys: PrivateKey) -> None:
        self.keys, self.clock, self.dns = keys, Clock(), Dns(zone)
        self.warned: list[str] = []
        self.alarms: list[str] = []
        self.watch = Watch(self, self.dns, self.clock, self.warned.append, self._alarm)

    def entries(self) -> list[tuple[Entry, PrivateKey]]:
        return [(Entry("tizio.it", name, f"/keys/{name}.pem"), key) for name, key in self.keys.items()]

    def _alarm(self, subject: str, text: str, details: Mapping[str, Fact]) -> None:
        assert str(details["problem"]) in text
        self.alarms.append(subject)

    def until(self, moment: float) -> int:
        """Let time go on; return how many questions were asked."""
        before = len(self.dns.asked)
        while self.clock.time <= moment:
            self.clock.time += asyncio.run(self.watch.upkeep())
        return len(self.dns.asked) - before


def test_each_key_is_compared_once_a_day_and_nothing_is_said_where_it_fits() -> None:
    rig = Rig({UNO: record(rsa()), DUE: record(ed25519())}, uno=rsa(), due=ed25519())
    assert rig.until(NOW + 60) == 2
    assert rig.until(NOW + DAY - 1) == 0
    assert rig.until(NOW + DAY + 60) == 2
    assert (rig.warned, rig.alarms) == ([], [])


def test_what_does_not_fit_is_told_with_its_place_and_only_so_often() -> None:
    rig = Rig({UNO: record(ed25519())}, uno=rsa())
    rig.until(NOW + DAY - 1)
    (said,) = rig.warned
    assert said.startswith(f"dkim.sign: the key /keys/uno.pem and the DNS record {UNO} do not fit: ")
    assert said.endswith("; vaglio dkim check tizio.it tells more")
    assert rig.alarms == ["the DKIM key of tizio.it"]
    rig.until(NOW + DAY + 60)
    assert len(rig.warned) == 2


def test_a_dns_that_fails_is_asked_again_before_anything_is_said() -> None:
    zone = {UNO: TEMPERROR}
    rig = Rig(zone, uno=rsa())
    rig.until(NOW + AGAIN + 1)
    assert rig.warned == []
    rig.until(NOW + 10 * AGAIN)
    assert len(rig.warned) == 1


def test_a_key_that_comes_later_is_compared_when_it_comes() -> None:
    rig = Rig({UNO: record(rsa())}, uno=rsa())
    rig.until(NOW + 60)
    rig.keys["due"] = ed25519()
    rig.until(NOW + 60 + AGAIN)
    (said,) = rig.warned
    assert "/keys/due.pem" in said
