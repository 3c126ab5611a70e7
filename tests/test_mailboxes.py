"""Addresses of a header field: what a mail program would show, or nothing."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaglio.mailboxes import MAX_FIELD, mailboxes


@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        (" anna@caio.it", ["anna@caio.it"]),
        (" Anna <anna@caio.it>", ["anna@caio.it"]),
        (' "Anna, detta \\"A\\" <x@y.it>" <anna@caio.it>', ["anna@caio.it"]),
        (" anna@banca.it (Banca)", ["anna@banca.it"]),
        (' "C" <c@caio.it> (x <y@z.it>)', ["c@caio.it"]),
        (" (a (nested) \\) one) c@caio.it", ["c@caio.it"]),
        (' "(no comment" <c@caio.it>', ["c@caio.it"]),
        (" c@caio.it,d@d.it", ["c@caio.it", "d@d.it"]),
        (" C <c@caio.it>,\r\n\tD <d@d.it>, ", ["c@caio.it", "d@d.it"]),
        (' "a b"@caio.it', ['"a b"@caio.it']),
        (' "x@y.it"@caio.it', ['"x@y.it"@caio.it']),
        (" a@banca.it <c@caio.it>", ["c@caio.it"]),
        (" <@relay.it,@b.it:c@caio.it>", ["c@caio.it"]),
        (" Noi: c@caio.it, D <d@d.it>;, e@e.it", ["c@caio.it", "d@d.it", "e@e.it"]),
        (" undisclosed-recipients:;", []),
        (" c@[192.0.2.1]", ["c@[192.0.2.1]"]),
        (" =?utf-8?q?Per=C3=B2?= <c@caio.it>", ["c@caio.it"]),
        (" Perché <perché@è.it>", ["perché@è.it"]),
        (" c @ caio.it ", ["c@caio.it"]),
    ],
)
def test_addresses_are_read(value: str, addresses: list[str]) -> None:
    assert ["@".join(one) for one in mailboxes(value.encode())] == addresses


@pytest.mark.parametrize(
    "value",
    ["", " ", "anna", "@", "@caio.it", "anna@", "<>", "<anna>", "a@b@c.it", "Anna anna@caio.it", "a@b.it c@d.it",
     "<a@b.it> <c@d.it>", "<a@b.it> c", "<a@b.it", "a@b.it>", '"a@b.it', "(a@b.it", "a@b.it)", "a\\@b.it", "<<a@b.it>>",
     "Rossi, Anna <anna@caio.it>", "a@b.it, c", "a@b.it:c@d.it", 'a@b"x".it', "a@b.it" + " " * MAX_FIELD],
)  # fmt: skip
def test_where_there_is_doubt_there_is_none(value: str) -> None:
    assert mailboxes(value.encode()) == []


@given(st.binary(max_size=300) | st.text('ab@<>(),;:"\\[]. \r\n', max_size=60).map(str.encode))
def test_no_bytes_break_it(value: bytes) -> None:
    for local, domain in mailboxes(value):
        assert local
        assert not set(domain) & set('<>(),:;"\\ ')


@pytest.mark.parametrize("piece", ["(", "((", "()", '"', '""', '"\\', "<", "a<", "@", "a@b", "a@b,", ",", ":", "a:",
                                   " ", "\\", "[", "<@", '" <', "a ", '"a" '])  # fmt: skip
def test_it_takes_no_longer_than_the_field_is(piece: str) -> None:
    value = (piece * MAX_FIELD)[:MAX_FIELD].encode()
    began = time.process_time()
    mailboxes(value)
    mailboxes(value[:-4] + b"@x y")
    assert time.process_time() - began < 0.2
