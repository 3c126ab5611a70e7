"""The whole suite of RFC 7208, with the answers at hand and without."""

from __future__ import annotations

import asyncio

import pytest

from lab.spfsuite import SUITE, Case, cases
from vaglio.checks.spf.domain import ask_mail_from
from vaglio.checks.spf.evaluate import Limits, evaluate
from vaglio.dns.zonefile import Zone
from vaglio.facts import client_of
from vaglio.ports import Answer

CASES = cases()


class Dns:
    """A zone: ``cold``, each answer takes a turn of the loop."""

    def __init__(self, zone: Zone, cold: bool) -> None:
        self._zone, self._cold = zone, cold

    def at_hand(self, name: str, rrtype: str) -> Answer | None:
        return None if self._cold else self._zone(name, rrtype)

    async def lookup(self, name: str, rrtype: str) -> Answer:
        await asyncio.sleep(0)
        return self._zone(name, rrtype)


@pytest.mark.skipif(not CASES, reason=f"the suite is not there: {SUITE} (VAGLIO_DATA says where)")
def test_the_suite_is_whole() -> None:
    assert len(CASES) == 203


@pytest.mark.parametrize("cold", [False, True], ids=["at-hand", "cold"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_suite(case: Case, cold: bool) -> None:
    question = ask_mail_from(client_of(case.address).address, case.sender, case.helo)
    [found] = asyncio.run(evaluate([question], Dns(case.zone, cold), Limits(), "mail.caio.it", 1_700_000_000))
    assert found.result in case.results, found
    if case.explanation:
        assert found.theirs == case.explanation.replace("DEFAULT", ""), found
