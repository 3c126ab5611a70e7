"""Rules that ask the DNS: only a definite "no" breaks one, and a zone of the sender's making costs little."""

from __future__ import annotations

import asyncio

import pytest

from vaglio.checks.dnsbl.hosts import MAX_HOSTS, Hosts
from vaglio.dns.zonefile import Zone, parse_lines
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.ports import Answer


class Dns:
    def __init__(self, zone: str) -> None:
        self._zone = Zone(parse_lines(zone))
        self.asked: list[tuple[str, str]] = []

    def at_hand(self, name: str, rrtype: str) -> None:
        return None

    async def lookup(self, name: str, rrtype: str) -> Answer:
        self.asked.append((name, rrtype))
        return self._zone(name, rrtype)


def facts(address: str = "192.0.2.7", name: str = "") -> Facts:
    return Facts(client_of(address, name), Envelope("a@b.it", "c@d.it"), Session(Stage.RCPT))


@pytest.mark.parametrize(
    ("zone", "rule"),
    [
        ("", "no_ptr"),
        ("7.2.0.192.in-addr.arpa MX 10 a.it", "no_ptr"),
        ("7.2.0.192.in-addr.arpa PTR SERVFAIL", ""),
        ("7.2.0.192.in-addr.arpa PTR a.it", "unverified_ptr"),
        ("7.2.0.192.in-addr.arpa PTR a.it\na.it A TIMEOUT", ""),
        ("7.2.0.192.in-addr.arpa PTR a.it\na.it A 192.0.2.8", "unverified_ptr"),
        ("7.2.0.192.in-addr.arpa PTR a.it\na.it A 192.0.2.8\na.it A 192.0.2.7", ""),
        ("7.2.0.192.in-addr.arpa PTR a.it\n7.2.0.192.in-addr.arpa PTR b.it\nb.it A 192.0.2.7", ""),
        # RFC 2317
        ("7.2.0.192.in-addr.arpa CNAME 7.0-24.2.0.192.in-addr.arpa\n7.0-24.2.0.192.in-addr.arpa PTR a.it\n"
         "a.it A 192.0.2.7", ""),
    ],
)  # fmt: skip
def test_a_client_without_a_name_has_none_only_if_the_dns_says_so(zone: str, rule: str) -> None:
    assert asyncio.run(Hosts(Dns(zone)).ptr_rule(facts())) == rule


def test_a_verified_name_is_asked_nothing_about() -> None:
    dns = Dns("")
    assert asyncio.run(Hosts(dns).ptr_rule(facts(name="a.it"))) == ""
    assert not dns.asked


def test_of_a_crowd_of_names_none_is_asked_for() -> None:
    dns = Dns("\n".join(f"7.2.0.192.in-addr.arpa PTR h{n}.it" for n in range(MAX_HOSTS + 1)))
    assert asyncio.run(Hosts(dns).ptr_rule(facts())) == ""
    assert dns.asked == [("7.2.0.192.in-addr.arpa", "PTR")]


def test_an_address_literal_of_a_sender_is_asked_nothing_about() -> None:
    dns = Dns("")
    assert asyncio.run(Hosts(dns).sender_rule("[192.0.2.99]")) == ""
    assert not dns.asked
