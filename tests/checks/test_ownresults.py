"""What our other milters wrote into the header is read again as it was, and nothing of a stranger's with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaglio.checks.ownresults import MAX_FIELD, results_of
from vaglio.examination import Field
from vaglio.milter.authres import authentication_results
from vaglio.verdict import AuthResult

NAME = "mx.caio.it"
FIELD = b"Authentication-Results"


def read(value: bytes, name: str = NAME) -> list[AuthResult]:
    return results_of([Field(FIELD, value)], name)


def test_what_our_writer_writes_is_read_again() -> None:
    results = [
        AuthResult("spf", "softfail", (("smtp.mailfrom", "tizio@tizio.it"),), "a reason; dkim=pass", "and a comment"),
        AuthResult("dkim", "pass", (("header.d", "tizio.it"), ("header.s", "2026a"))),
        AuthResult("dmarc", "fail", (("header.from", 'odd "one"@tizio.it'),)),
    ]
    found = read(authentication_results(NAME, results).encode())
    assert [one[:3] for one in found] == [one[:3] for one in results[:2]] + [("dmarc", "fail", found[2].properties)]


def test_results_in_other_names_are_not_ours() -> None:
    assert read(b" mx.tizio.it; spf=pass") == []
    assert read(b' "mx.caio.it" 1; spf=pass') == [AuthResult("spf", "pass")]
    assert read(b" mx.caio.it 2; spf=pass") == []


def test_names_of_fields_and_of_ours_are_read_in_any_case() -> None:
    assert results_of([Field(b"authentication-RESULTS", b" MX.caio.it; SPF=Pass")], NAME) == [AuthResult("spf", "pass")]


@pytest.mark.parametrize(
    "value",
    [
        b'mx.caio.it; x=none reason="; spf=pass"',
        b"mx.caio.it; x=none (; spf=pass)",
        b'mx.caio.it; x=none reason="\\"; spf=pass"',
        b'mx.caio.it; x=none a.b="; spf=pass"',
    ],
)
def test_a_result_within_a_text_is_none(value: bytes) -> None:
    assert [one.method for one in read(value)] == ["x"]


@pytest.mark.parametrize("rest", [b" (", b' "', b" )"])
def test_what_does_not_end_is_passed_over(rest: bytes) -> None:
    assert read(b"mx.caio.it; spf=pass" + rest) == read(b"") == []


def test_a_property_within_a_quoted_reason_is_none() -> None:
    assert read(b'mx.caio.it; dkim=fail reason="header.d=tizio.it" header.d=caio.it') == [
        AuthResult("dkim", "fail", (("header.d", "caio.it"),))
    ]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_exception(value: bytes) -> None:
    read(b"mx.caio.it;" + value)


def test_a_field_that_is_too_long_is_passed_over() -> None:
    assert read(b"mx.caio.it; spf=pass" + b" " * MAX_FIELD) == []
