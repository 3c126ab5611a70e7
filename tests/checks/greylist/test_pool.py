"""Pools and folded senders: which hosts are one provider, which addresses one sender."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaglio.checks.greylist import pool
from vaglio.checks.greylist.pool import Pool, fold_recipient, fold_sender, pool_of
from vaglio.checks.greylist.settings import GreylistSettings
from vaglio.facts import client_of

WORDS = tuple(GreylistSettings().generic_words)


@pytest.mark.parametrize(
    ("changes", "address", "name", "wanted"),
    [
        ({}, "198.51.100.7", "mx1.Caio.it", Pool("pool", "caio.it")),
        ({}, "198.51.100.7", "", Pool("network", "198.51.100.0/24")),
        ({}, "198.51.100.7", "co.uk", Pool("network", "198.51.100.0/24")),
        ({}, "198.51.100.7", "ip-198-51-100-7.isp.example", Pool("network", "198.51.100.0/24")),
        ({}, "2001:db8:1:2:3::7", "", Pool("network", "2001:db8:1:2::/64")),
        ({}, "::ffff:198.51.100.7", "", Pool("network", "198.51.100.0/24")),
        ({}, "", "", Pool("address", "")),
        ({}, "garbage", "", Pool("address", "garbage")),
        ({}, "garbage", "mx1.caio.it", Pool("pool", "caio.it")),
        ({"key": "network"}, "198.51.100.7", "mx1.caio.it", Pool("network", "198.51.100.0/24")),
        ({"key": "network", "ipv4_prefix": 20}, "198.51.111.7", "", Pool("network", "198.51.96.0/20")),
        ({"key": "network", "ipv4_prefix": 32}, "198.51.111.7", "", Pool("network", "198.51.111.7/32")),
        ({"key": "network", "ipv6_prefix": 48}, "2001:db8:1:2::7", "", Pool("network", "2001:db8:1::/48")),
        ({"key": "address"}, "198.51.100.7", "mx1.caio.it", Pool("address", "198.51.100.7")),
    ],
)
def test_the_pool_of_a_client(changes: dict[str, Any], address: str, name: str, wanted: Pool) -> None:
    assert pool_of(client_of(address, name), GreylistSettings(**changes)) == wanted


def test_a_ptr_that_does_not_lead_back_makes_no_pool() -> None:
    forged = client_of("198.51.100.7", "unknown", "mx1.caio.it")
    assert pool_of(forged, GreylistSettings()) == Pool("network", "198.51.100.0/24")


FOLDED = [
    ("", ""),
    ("Caio@Caio.IT.", "caio@caio.it"),
    ("root", "root"),
    ("prvs=0123456789=user@d.it", "user@d.it"),
    ("prvs=9012abcdef=User@d.it", "user@d.it"),
    ("prvs=user/9012abcdef@d.it", "user@d.it"),
    ("prvs=user=9012abcdef@d.it", "user@d.it"),
    ("btv1==123456789ab==user@d.it", "user@d.it"),
    ("prvs=unlike=user@d.it", "prvs=unlike=user@d.it"),
    ("user+caio=caio.it@lists.d.it", "user@lists.d.it"),
    ("user+news@d.it", "user@d.it"),
    ("list-owner-caio=caio.it@d.it", "list-owner-#@d.it"),
    ("bounce-12345-caio=caio.it@d.it", "bounce-#@d.it"),
    ("bounce-12345@d.it", "bounce-#@d.it"),
    ("mail2@d.it", "mail#@d.it"),
    ("msprvs1=19abcdefghijk=bounces-123@d.it", "bounces-#@d.it"),
    ("SRS0=ab1D=T2=tizio.it=caio@fwd.it", "srs#tizio.it#caio@fwd.it"),
    ("SRS0+x/y+z=T2=tizio.it=caio7@fwd.it", "srs#tizio.it#caio#@fwd.it"),
    ("SRS1=ab1D=one.it==XY=T2=tizio.it=caio@fwd.it", "srs#one.it#tizio.it#caio@fwd.it"),
    ("0100018c1234abcd-12345678-abcd-4abc-9abc-abcdef123456-000000@ses.test", "#@ses.test"),
    ("bounces-4f3a9c2d11-x@d.it", "bounces-#-x@d.it"),
    ("b.qx7h3k9a2m@d.it", "b.#@d.it"),
    ("deadbeef@d.it", "deadbeef@d.it"),
    ("a@b@c.it", "a@b@c.it"),
]


@pytest.mark.parametrize(("address", "wanted"), FOLDED)
def test_a_sender_is_folded_to_what_stays_the_same(address: str, wanted: str) -> None:
    assert fold_sender(address) == wanted


def test_a_recipient_keeps_its_extension() -> None:
    assert fold_recipient("Caio+Lists@Caio.IT.") == "caio+lists@caio.it"
    assert fold_recipient("postmaster") == "postmaster"
    assert fold_recipient("") == ""


def _as_postgrey_stores_it(address: str) -> str:
    """What postgrey 1.37 makes of an ordinary sender (extension dropped, whole numbers to #, lower case)."""
    local, _, domain = address.partition("@")
    local = re.sub(r"\b\d+\b", "#", re.sub(r"\+.*", "", local), flags=re.ASCII)
    return f"{local}@{domain}".lower()


@pytest.mark.parametrize("address", [a for a, _ in FOLDED if "@" in a and not re.match("SRS.[+]|prvs|btv1|SRS1", a)])
def test_a_sender_that_postgrey_folded_before_gives_the_same(address: str) -> None:
    assert fold_sender(_as_postgrey_stores_it(address)) == fold_sender(address)


PARTS = st.lists(
    st.sampled_from(
        ["prvs=", "0123456789", "srs0=", "SRS1=", "btv1==", "=", "==", "+", "-", "#", "/", ".", "caio", "caio.it", "12",
         "abcdef12", "-abcd", "-4abc", "@", "it", "é", "İ", "1a2b3c4d"]
    ),
    max_size=20,
).map("".join)


@settings(deadline=None, max_examples=600)
@given(PARTS | st.text(max_size=600))
def test_folding_never_fails_and_folding_twice_changes_nothing(address: str) -> None:
    folded = fold_sender(address)
    assert fold_sender(folded) == folded
    assert len(folded) <= pool.MAX_LOCAL + 1 + pool.MAX_DOMAIN
    assert fold_recipient(fold_recipient(address)) == fold_recipient(address)


@pytest.mark.parametrize(
    "hostile",
    [
        "prvs=0123456789=" * 100_000, "=" * 1_000_000, "1-" * 500_000, "srs0=a=b=c=" * 100_000, "a" * 1_000_000,
        "#-abcd" * 100_000, "@" * 1_000_000, "x@" + "." * 1_000_000,
    ],
)  # fmt: skip
def test_hostile_addresses_cost_no_more_than_a_bounded_prefix(hostile: str) -> None:
    assert len(fold_sender(hostile)) <= pool.MAX_LOCAL + 1 + pool.MAX_DOMAIN
