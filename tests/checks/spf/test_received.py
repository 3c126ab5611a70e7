"""Who came before our relays: forms of Received headers, and what is none."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaglio.checks.spf.received import MAX_HOPS, Hop, last_outside, read
from vaglio.facts import pack_address


def hop(address: str, helo: str) -> Hop:
    return Hop(address, pack_address(address), helo)


FORMS = {
    "Postfix": ("from mail.tizio.it (mail.tizio.it [192.0.2.7])\r\n\t(using TLSv1.3)\r\n\tby mx2", "mail.tizio.it"),
    "Postfix, no name": ("from x (unknown [192.0.2.7]) by mx2", "x"),
    "Postfix, a literal as HELO": ("from [203.0.113.1] (unknown [192.0.2.7]) by mx2", "[203.0.113.1]"),
    "Postfix, brackets": ("from a[b (unknown [192.0.2.7])\r\n\tby mx2", "a[b"),
    "Postfix, an address as HELO": ("from [203.0.113.1] by x (unknown [192.0.2.7]) by mx2", "[203.0.113.1] by x"),
    "Postfix, a form as HELO": ("from x ?y [203.0.113.1]? (y [192.0.2.7]) by mx2", "x ?y [203.0.113.1]?"),
    "Postfix, =": ("from port=1 helo=[203.0.113.1] (y [192.0.2.7]) by mx2", "port=1 helo=[203.0.113.1]"),
    "Postfix, UTF-8": ("from perché (y [192.0.2.7]) by mx2", "perché"),
    "Postfix, long": (f"from {'x' * 3000} (y [192.0.2.7]) by mx2", "x" * 3000),
    "Sendmail": ("from mail.tizio.it (mail.tizio.it [192.0.2.7]) by mx2 (8.17.1/8.17.1) with ESMTP", "mail.tizio.it"),
    "Sendmail, forged": ("from x.it (dsl.example.net [192.0.2.7] (may be forged)) by mx2", "x.it"),
    "Sendmail, ident": ("from x.it (root@dsl.example.net [192.0.2.7]) by mx2", "x.it"),
    "Sendmail, no name": ("from x.it ([192.0.2.7]) by mx2", "x.it"),
    "Exim": ("from mail.tizio.it ([192.0.2.7] helo=helo.tizio.it) by mx2 with esmtps", "helo.tizio.it"),
    "Exim, port": ("from mail.tizio.it ([192.0.2.7]:4711 helo=helo.tizio.it) by mx2", "helo.tizio.it"),
    "Exim, HELO is the name": ("from mail.tizio.it ([192.0.2.7]) by mx2", "mail.tizio.it"),
    "Exim, a literal as HELO": ("from a.it ([192.0.2.7] helo=[203.0.113.1]) by mx2", "[203.0.113.1]"),
    "Exim, no name, a literal": ("from [192.0.2.7] (port=4 helo=[203.0.113.1]) by mx2", "[203.0.113.1]"),
    "Exim, all of it": ("from a.it ([192.0.2.7] port=4711 ident=x helo=b.it) by mx2", "b.it"),
    "Exim, no name": ("from [192.0.2.7] (helo=helo.tizio.it) by mx2", "helo.tizio.it"),
    "Exim, no name, port": ("from [192.0.2.7] (port=4711 helo=helo.tizio.it) by mx2", "helo.tizio.it"),
    "Exim, nothing": ("from [192.0.2.7] by mx2", ""),
    "Exchange": ("from mail.tizio.it (192.0.2.7) by MX2.caio.it (10.0.0.1) with Microsoft SMTP", "mail.tizio.it"),
    "qmail, HELO is the name": ("from mail.tizio.it (x@192.0.2.7)\n  by mx2 with SMTP", "mail.tizio.it"),
    "qmail, ident": ("from a.it (HELO helo.tizio.it) (203.0.113.1@192.0.2.7) by mx2 with SMTP", "helo.tizio.it"),
    "qmail": ("from mail.tizio.it (HELO helo.tizio.it) (192.0.2.7) by mx2 with SMTP", "helo.tizio.it"),
}


@pytest.mark.parametrize(("value", "helo"), FORMS.values(), ids=FORMS)
def test_the_client_of_each_form_is_read(value: str, helo: str) -> None:
    assert read(b" " + value.encode()) == hop("192.0.2.7", helo)


@pytest.mark.parametrize(
    "value",
    ["from x (y [IPv6:2001:db8::7]) by z", "from x ([2001:db8::7] helo=x) by z", "from x (2001:DB8::7) by z"],
)
def test_ipv6_is_read(value: str) -> None:
    found = read(value.encode())
    assert found == hop("2001:db8::7", "x")


@pytest.mark.parametrize(
    "value",
    [
        "by mx2.caio.it (Postfix, from userid 0)", "(qmail 123 invoked by uid 0)", "from x", "from x by y", "", "from",
        "from x (y [300.1.2.3]) by z", "from x (y [::g]) by z", "from x (y) by z", "from x (192.0.2.7)",
        "from x (y [192.0.2.7] z) by w", "X from x (y [192.0.2.7]) by w", "from x (a b [192.0.2.7]) by w",
        "from x(y [192.0.2.7]) by w", "from " + "x" * 30000 + " (y [192.0.2.7]) by w",
        "from [203.0.113.1] (helo=x [192.0.2.7]) by w", "from x ([203.0.113.1] helo=y [192.0.2.7]) by w",
    ],
)  # fmt: skip
def test_anything_else_is_not_guessed_at(value: str) -> None:
    assert read(value.encode()) is None


@given(st.binary(max_size=3000))
def test_no_bytes_break_it(value: bytes) -> None:
    found = read(b"from x (" + value)
    assert found is None or found.packed


OURS = {pack_address("203.0.113.25"), pack_address("127.0.0.1")}


@given(st.text(st.characters(exclude_characters="()", codec="utf-8"), max_size=60))
def test_no_helo_hides_the_address_or_puts_another_in_its_place(helo: str) -> None:
    for value in (f"from x{helo} (mail.tizio.it [192.0.2.7]) by mx2", f"from x{helo} (192.0.2.7) by mx2"):
        found = read(value.encode())
        assert found is not None
        assert found.address == "192.0.2.7"


@pytest.mark.parametrize("text", ["from " + "x " * 9000, "from x (" + "[" * 19000, "from x ([::" + " helo=x" * 2500])
def test_it_takes_no_longer_than_the_text_is(text: str) -> None:
    began = time.process_time()
    assert read(text.encode()) is None
    assert time.process_time() - began < 0.2


def test_relays_are_passed_over() -> None:
    inside = [b"from a (a [127.0.0.1]) by b", b"from c (c [203.0.113.25]) by a"]
    received = [*inside, b"from d (d [192.0.2.7]) by c", b"junk"]
    assert last_outside(received, OURS.__contains__) == hop("192.0.2.7", "d")


def test_a_form_that_is_not_known_ends_the_search() -> None:
    received = [b"from a (a [127.0.0.1]) by b", b"junk", b"from d (d [192.0.2.7]) by c"]
    assert last_outside(received, OURS.__contains__) == "the Received header number 2 has none of the known forms"


def test_the_search_is_bounded() -> None:
    received = [b"from a (a [127.0.0.1]) by b"] * (MAX_HOPS + 5)
    assert last_outside(received, OURS.__contains__) == "the first 20 Received headers name only relays of ours"
