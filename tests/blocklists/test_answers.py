from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaglio.blocklists.answers import Listed, Trouble, compiled, read, reversed_address
from vaglio.checks.dnsbl.settings import ListSettings
from vaglio.ports import NODATA, NXDOMAIN, TEMPERROR, Answer, Outcome

PLAIN = compiled(ListSettings(name="bl", zone="bl.test", weight=5))


def ok(*values: str) -> Answer:
    return Answer(Outcome.OK, values)


@pytest.mark.parametrize(
    ("answer", "reading"),
    [
        (NXDOMAIN, None),
        (NODATA, None),
        (TEMPERROR, Trouble.SILENT),
        (ok("127.0.0.2"), Listed("127.0.0.2", 5)),
        (ok("127.0.1.255"), Listed("127.0.1.255", 5)),
        (ok("127.0.0.1"), None),
        (ok("127.255.255.252"), Trouble.REFUSES_US),
        (ok("127.0.0.2", "127.255.255.255"), Trouble.REFUSES_US),
        (ok("127.1.0.2"), None),
        (ok("192.0.2.1"), Trouble.NO_ADDRESS_LIST),
        (ok("127.0.0.2", "203.0.113.9"), Trouble.NO_ADDRESS_LIST),
        (ok("127.0.0.256"), Trouble.NO_ADDRESS_LIST),
        (ok("::1"), Trouble.NO_ADDRESS_LIST),
        (ok(""), Trouble.NO_ADDRESS_LIST),
    ],
)
def test_what_an_answer_says(answer: Answer, reading: object) -> None:
    assert read(PLAIN, answer) == reading


BITS = compiled(ListSettings(name="bits", zone="bits.test", codes={"bit 1": 1, "bit 4": 2, "bit 16": 3}))


@pytest.mark.parametrize(
    ("code", "reading"),
    [
        ("127.0.0.3", Listed("127.0.0.3", 1)),
        ("127.0.0.5", Listed("127.0.0.5", 2)),
        ("127.0.0.1", None),
        ("127.0.1.4", None),
        ("127.1.0.4", None),
        ("127.0.53.53", None),  # what ICANN's collisions answered
    ],
)
def test_bits_are_those_of_127_0_0_x(code: str, reading: object) -> None:
    assert read(BITS, ok(code)) == reading


def test_127_0_0_1_counts_where_a_code_names_it_and_refuses_where_blocked_does() -> None:
    white = compiled(ListSettings(name="w", zone="w.test", codes={"127.0.0.1": -2}))
    assert read(white, ok("127.0.0.1")) == Listed("127.0.0.1", -2)
    refusing = compiled(ListSettings(name="r", zone="r.test", blocked=["127.0.0.1"]))
    assert read(refusing, ok("127.0.0.1")) is Trouble.REFUSES_US


@given(st.lists(st.text(max_size=20) | st.ip_addresses(v=4).map(str), max_size=40))
def test_only_an_answer_within_127_of_a_list_that_answers_us_is_ever_a_hit(values: list[str]) -> None:
    reading = read(PLAIN, ok(*values))
    if isinstance(reading, Listed):
        assert ipaddress.ip_address(reading.code) in ipaddress.ip_network("127.0.0.0/16")
        assert not any(value.startswith("127.255.255.") for value in values[:32])


@given(st.ip_addresses())
def test_addresses_are_reversed_as_in_the_dns_tree(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    wanted = address.reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")
    assert reversed_address(address.packed) == wanted
