"""A probe asks for the test entries of RFC 5782 5, past all that is known already."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from vaglio.blocklists.answers import Trouble, compiled
from vaglio.blocklists.probe import Finding, probe
from vaglio.checks.dnsbl.settings import ListSettings
from vaglio.dns.zonefile import Zone, parse_lines
from vaglio.ports import Answer

SOUND = "2.0.0.127.bl.test A 127.0.0.2\n"


class FreshDns:
    """Answers from a zone, but only who does not ask what is known."""

    def __init__(self, zone: str) -> None:
        self._zone = Zone(parse_lines(zone))

    def at_hand(self, name: str, rrtype: str) -> Answer | None:
        raise AssertionError(name)

    async def lookup(self, name: str, rrtype: str) -> Answer:
        raise AssertionError(name)

    async def ask_again(self, name: str, rrtype: str) -> Answer:
        return self._zone(name, rrtype)

    def forget(self, suffix: str) -> None:
        raise AssertionError(suffix)


def probed(zone: str, **settings: Any) -> Finding:
    return asyncio.run(probe(compiled(ListSettings(name="bl", zone="bl.test", **settings)), FreshDns(zone)))


@pytest.mark.parametrize(
    ("zone", "finding"),
    [
        (SOUND, Finding(None)),
        ("", Finding(Trouble.LISTS_NOBODY, "2.0.0.127")),
        (SOUND + "1.0.0.127.bl.test A 127.0.0.2", Finding(Trouble.LISTS_ALL, "127.0.0.2")),
        ("2.0.0.127.bl.test A 127.255.255.254", Finding(Trouble.REFUSES_US, "127.255.255.254")),
        ("2.0.0.127.bl.test A TIMEOUT", Finding(Trouble.SILENT, "timeout")),
    ],
)
def test_a_list_must_have_its_test_entry_and_must_not_have_the_other(zone: str, finding: Finding) -> None:
    assert probed(zone) == finding


@pytest.mark.parametrize("kind", ["address", "domain"])
def test_a_list_without_test_entries_comes_back_by_what_it_must_not_have(kind: str) -> None:
    assert probed("", kind=kind, probe=False) == Finding(None)
    zone = "1.0.0.127.bl.test A TIMEOUT\ninvalid.bl.test A TIMEOUT"
    assert probed(zone, kind=kind, probe=False).trouble is Trouble.SILENT
    zone = "1.0.0.127.bl.test A 127.0.0.2\ninvalid.bl.test A 127.0.0.2"
    assert probed(zone, kind=kind, probe=False).trouble is Trouble.LISTS_ALL
