"""Opening what the configuration asks for, and asking it from a command that does not know of loops."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from vaglio.dns import open_resolver, servers
from vaglio.dns.open import Waiting
from vaglio.dns.resolver import NetworkResolver
from vaglio.dns.zonefile import ZoneError
from vaglio.ports import NXDOMAIN, Answer, Outcome

MAIL = Answer(Outcome.OK, ("192.0.2.1",))


@pytest.fixture
def zone(tmp_path: Path) -> str:
    path = tmp_path / "zone"
    path.write_text("mail.caio.it A 192.0.2.1\nslow.caio.it A TIMEOUT\nbroken.caio.it * SERVFAIL\n")
    return str(path)


def test_a_zone_file_answers_all_questions_when_they_are_asked_as_a_server_would(zone: str) -> None:
    resolver = open_resolver(["192.0.2.53"], 5, zone)
    answers = {"mail.caio.it": MAIL, "nowhere.it": NXDOMAIN}
    for name, why in (("slow.caio.it", "timeout"), ("broken.caio.it", "servfail")):
        answers[name] = Answer(Outcome.TEMPERROR, why=why)
    try:
        for name, answer in answers.items():
            assert resolver.at_hand(name, "A") is None
            assert asyncio.run(resolver.lookup(name, "A")) == answer
    finally:
        resolver.close()


def test_without_a_zone_file_the_network_is_asked_later() -> None:
    resolver = open_resolver(["192.0.2.53"], 5)  # no loop runs, no socket is opened
    assert isinstance(resolver, NetworkResolver)
    assert resolver.at_hand("mail.caio.it", "A") is None
    resolver.close()


def test_without_servers_those_of_the_system_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaglio.dns.open.system_servers", lambda: [servers.Address("192.0.2.7")])
    assert isinstance(open_resolver([], 5), NetworkResolver)


def test_what_can_not_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="DNS server 'ns'"):
        open_resolver(["ns"], 5)
    with pytest.raises(ZoneError, match="nowhere"):
        open_resolver([], 5, str(tmp_path / "nowhere"))


def test_a_command_waits_for_its_answers(zone: str) -> None:
    with Waiting(open_resolver([], 5, zone)) as lookup:
        assert lookup("mail.caio.it", "A") == MAIL
        assert lookup("nowhere.it", "A") == NXDOMAIN
