"""From a domain to the networks it sends from: what SPF says, within RFC 7208's limits, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaglio.dns.networks import networks_of
from vaglio.dns.zonefile import Zone, parse_lines
from vaglio.ports import Answer

HOSTS = """
mail.tizio.it A 192.0.2.1
mail.tizio.it AAAA 2001:db8::1
tizio.it A 192.0.2.9
tizio.it MX 10 mail.tizio.it
tizio.it MX 20 mail2.tizio.it
mail2.tizio.it A 198.51.100.1
"""


def expand(*records: str, more: str = "") -> tuple[list[str], str]:
    """Return the networks of tizio.it with these SPF records, and all problems."""
    lines = [f'tizio.it TXT "{record}"' for record in records]
    found = networks_of("tizio.it", Zone(parse_lines("\n".join([*lines, HOSTS, more]))))
    return list(found.networks), "\n".join(found.problems)


@pytest.mark.parametrize(
    ("record", "networks"),
    [
        ("v=spf1 ip4:203.0.113.0/24 ip6:2001:db8:1::/48 -all", ["203.0.113.0/24", "2001:db8:1::/48"]),
        ("V=SPF1 +IP4:203.0.113.7 ~ALL", ["203.0.113.7/32"]),
        ("v=spf1 a -all", ["192.0.2.9/32"]),
        ("v=spf1 a/24 -all", ["192.0.2.0/24"]),
        ("v=spf1 a:mail.tizio.it/25//64 -all", ["192.0.2.0/25", "2001:db8::/64"]),
        ("v=spf1 a:mail.tizio.it//64 -all", ["192.0.2.1/32", "2001:db8::/64"]),
        ("v=spf1 mx -all", ["192.0.2.1/32", "198.51.100.1/32", "2001:db8::1/128"]),
        ("v=spf1 mx:tizio.it/28//64 -all", ["192.0.2.0/28", "198.51.100.0/28", "2001:db8::/64"]),
        ("v=spf1 ip4:203.0.113.0/25 ip4:203.0.113.128/25 ip4:203.0.113.9 -all", ["203.0.113.0/24"]),
        ("v=spf1 ip4:203.0.113.1 exp=why.%{d} x-new=1 -all", ["203.0.113.1/32"]),
        ("v=spf1 ip4:203.0.113.1 -all ip4:203.0.113.2 redirect=caio.it", ["203.0.113.1/32"]),
        ("v=spf1 -all", []),
        ("v=spf1", []),
    ],
)
def test_what_an_spf_record_names_is_taken(record: str, networks: list[str]) -> None:
    assert expand(record) == (networks, "")


def test_includes_and_redirects_are_followed() -> None:
    more = """
    caio.it TXT "v=spf1 ip4:203.0.113.1 include:deep.caio.it -all"
    deep.caio.it TXT "unrelated"
    deep.caio.it TXT "v=spf1 ip4:203.0.113.9 ~all"
    """
    assert expand("v=spf1 include:caio.it. redirect=other.it", more=more + 'other.it TXT "v=spf1 a:mail.tizio.it"') == (
        ["192.0.2.1/32", "203.0.113.1/32", "203.0.113.9/32", "2001:db8::1/128"],
        "",
    )


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ("v=spf1 ip4:203.0.113.1 +all", '"+all": anybody may send'),
        ("v=spf1 ip4:203.0.113.1 all", '"all": anybody may send'),
        ("v=spf1 ip4:203.0.113.1 ?all", '"?all": anybody may send'),
        ("v=spf1 ip4:203.0.113.1 exists:%{i}.x.it -all", "a macro, not followed"),
        ("v=spf1 ip4:203.0.113.1 exists:x.it -all", "depends on the message"),
        ("v=spf1 ip4:203.0.113.1 ptr -all", "depends on the message"),
        ("v=spf1 ip4:203.0.113.1 include:%{d}.x.it -all", "a macro"),
        ("v=spf1 ip4:203.0.113.1 redirect=%{d}.x.it", "has no SPF record"),
        ("v=spf1 ip4:203.0.113.1 ?ip4:203.0.113.2 -all", "not a pass"),
        ("v=spf1 ip4:203.0.113.1 -a:mail.tizio.it -all", "not a pass"),
        ("v=spf1 ip4:203.0.113.1 include:nowhere.it -all", "nowhere.it"),
        ("v=spf1 ip4:203.0.113.1 include: -all", "not understood"),
        ("v=spf1 ip4:203.0.113.1 ip4:2001:db8::1 -all", "not an IPv4 network"),
        ("v=spf1 ip4:203.0.113.1 ip6:192.0.2.1 -all", "not an IPv6 network"),
        ("v=spf1 ip4:203.0.113.1 ip4:203.0.113.0/99 -all", "not an IPv4 network"),
        ("v=spf1 ip4:203.0.113.1 a/99 -all", "not a network"),
        ("v=spf1 ip4:203.0.113.1 fancy:thing -all", "not understood"),
        ("v=spf1 ip4:203.0.113.1 ip4:0.0.0.0/0 -all", "wider than a /8"),
        ("v=spf1 ip4:203.0.113.1 a/1 -all", "wider than a /8"),
        ("v=spf1 ip4:203.0.113.1 ip6:2000::/3 -all", "wider than a /32"),
    ],
)
def test_what_is_no_list_of_networks_is_reported_and_left_out(record: str, said: str) -> None:
    networks, problems = expand(record)
    assert networks == ["203.0.113.1/32"]
    assert said in problems
    assert len(problems.splitlines()) == 1


def test_many_wide_networks_are_as_bad_as_one() -> None:
    wide = " ".join(f"ip4:{octet}.0.0.0/8" for octet in range(1, 128))
    networks, problems = expand(f"v=spf1 {wide} ip6:2001:db8::/32 -all")
    assert networks == ["2001:db8::/32"]
    assert "wider than a /6" in problems


def test_at_most_ten_look_ups_are_made_and_loops_end() -> None:
    networks, problems = expand("v=spf1 ip4:203.0.113.1 include:tizio.it -all")
    assert networks == ["203.0.113.1/32"]
    assert problems == "tizio.it: more than 10 look-ups (RFC 7208 4.6.4)"


def test_at_most_two_look_ups_may_find_nothing() -> None:
    networks, problems = expand("v=spf1 a:x1.it a:x2.it ip4:203.0.113.1 mx:x3.it ip4:203.0.113.2 -all")
    assert networks == ["203.0.113.1/32"]
    assert "found nothing" in problems


def test_at_most_ten_mx_hosts_are_taken() -> None:
    more = "\n".join(f"big.it MX 10 h{n}.big.it\nh{n}.big.it A 192.0.2.{n}" for n in range(11))
    assert "more than 10 MX hosts" in expand("v=spf1 mx:big.it -all", more=more)[1]


def test_more_than_one_record_is_an_error() -> None:
    networks, problems = expand("v=spf1 a -all", "v=spf1 mx -all")
    assert (networks, problems) == ([], "tizio.it: more than one SPF record")


def test_without_an_spf_record_the_mx_hosts_and_addresses_count() -> None:
    found = networks_of(" Tizio.it. ", Zone(parse_lines(HOSTS + "tizio.it TXT v=spf10 nearly")))
    assert found.basis == "mx"
    assert found.networks == ("192.0.2.1/32", "192.0.2.9/32", "198.51.100.1/32", "2001:db8::1/128")
    assert found.problems == ()


def test_a_null_mx_names_no_host() -> None:
    found = networks_of("none.it", Zone(parse_lines("none.it MX 0 .\nnone.it A 192.0.2.1")))
    assert found.networks == ("192.0.2.1/32",)


@pytest.mark.parametrize("record", ["* TIMEOUT", "TXT SERVFAIL"])
def test_a_look_up_that_fails_is_said_and_not_taken_for_no_record(record: str) -> None:
    found = networks_of("tizio.it", Zone(parse_lines(f"tizio.it {record}\n{HOSTS}")))
    assert (found.basis, found.networks) == ("none", ())
    assert found.problems == ("tizio.it: its SPF record could not be looked up; try again later",)


def test_a_host_that_can_not_be_looked_up_is_said() -> None:
    networks, problems = expand("v=spf1 ip4:203.0.113.1 a:slow.it -all", more="slow.it A TIMEOUT")
    assert networks == ["203.0.113.1/32"]
    assert problems == "slow.it: could not be looked up; try again later"


@pytest.mark.parametrize("domain", ["", ".", "a..b", "-all\x1b", "x" * 300, "caio it"])
def test_what_is_no_domain_is_said(domain: str) -> None:
    found = networks_of(domain, lambda name, rrtype: pytest.fail(f"asked for {name}"))
    assert found.networks == ()
    assert found.problems[0].endswith("not a domain name")
    assert found.problems[0].isprintable()


WORDS = st.sampled_from(
    ["v=spf1", "a", "mx", "a/0", "ip4:0.0.0.0/1", "ip4:1.2.3.4/8", "ip6:::/1", "ip6:2001:db8::/32", "include:tizio.it",
     "redirect=tizio.it", "?all", "all", "exists:%{i}", "ptr", "mx:none.it", "a:none.it", "//", ":", "=", "%"]
)  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(st.lists(WORDS | st.text(max_size=10), max_size=20))
def test_no_record_makes_the_expansion_fail_or_ask_without_bound(terms: list[str]) -> None:
    zone, asked = Zone(parse_lines(HOSTS)), 0

    def lookup(name: str, rrtype: str) -> Answer:
        nonlocal asked
        asked += 1
        text = " ".join(["v=spf1", *terms])
        return Answer("ok", (text,)) if rrtype == "TXT" else zone(name, rrtype)  # type: ignore[arg-type]

    found = networks_of("tizio.it", lookup)
    assert all(problem.isprintable() for problem in found.problems)
    assert asked <= 1 + 10 * 25
