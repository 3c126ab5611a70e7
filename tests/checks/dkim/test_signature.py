"""A DKIM-Signature as it is read: each rule of RFC 6376 3.5 and 6.1.1, RFC 8301, 8463, 8616."""

from __future__ import annotations

import re

import pytest
from dkim import RE_BTAG
from hypothesis import given
from hypothesis import strategies as st

from vaglio.checks.dkim.canonical import Form
from vaglio.checks.dkim.outcome import Reason
from vaglio.checks.dkim.signature import MAX_FIELD, MAX_ITEMS, Signature, ascii_name, read, without_value
from vaglio.examination import Field

GOOD = {"v": "1", "a": "rsa-sha256", "d": "Tizio.IT", "s": "Uno", "h": "From : To:subject", "bh": "YWJj",
        "b": "ZGVm ZGVm"}  # fmt: skip


def of(**tags: str | None) -> Signature:
    whole = {**GOOD, **tags}
    text = "; ".join(f"{name}={value}" for name, value in whole.items() if value is not None)
    return read(Field(b"DKIM-Signature", b" " + text.encode()))


def test_a_signature_is_read() -> None:
    found = of(c="relaxed", i="tizio@Posta.Tizio.it", l="10", t="5", x="6", q="dns/http : dns/txt", z="a", y="1")
    assert found.flaw is None
    assert (found.algorithm, found.domain, found.selector) == ("rsa-sha256", "tizio.it", "uno")
    assert found.key_name == "uno._domainkey.tizio.it"
    assert found.identity == "tizio@Posta.Tizio.it"
    assert (found.header_form, found.body_form) == (Form.RELAXED, Form.SIMPLE)
    assert found.signed == (b"from", b"to", b"subject")
    assert (found.body_hash, found.value, found.mark) == (b"abc", b"defdef", "ZGVmZGVm")
    assert (found.length, found.stamped, found.expires) == (10, 5, 6)


def test_what_is_not_said_has_its_default() -> None:
    found = of()
    assert (found.header_form, found.body_form, found.identity) == (Form.SIMPLE, Form.SIMPLE, "@tizio.it")
    assert (found.length, found.stamped, found.expires) == (None, None, None)


@pytest.mark.parametrize(
    ("tags", "reason", "words"),
    [
        *(({name: None}, Reason.MALFORMED, f"{name}= is missing") for name in GOOD),
        ({"d": ""}, Reason.MALFORMED, "d= is missing"),
        ({"v": "2"}, Reason.UNSUPPORTED, "v=2 is not 1"),
        ({"v": "01"}, Reason.UNSUPPORTED, "v=01 is not 1"),
        ({"a": "rsa-sha1"}, Reason.SHA1, "rsa-sha1 is no longer valid (RFC 8301)"),
        ({"a": "rsa-sha512"}, Reason.UNSUPPORTED, "a=rsa-sha512 is not known"),
        ({"a": "RSA-SHA256"}, Reason.UNSUPPORTED, "a=RSA-SHA256 is not known"),
        ({"c": "relaxed/nofws"}, Reason.UNSUPPORTED, "c=relaxed/nofws is not known"),
        ({"c": "/simple"}, Reason.UNSUPPORTED, "c=/simple is not known"),
        ({"c": "simple/simple/simple"}, Reason.UNSUPPORTED, "c=simple/simple/simple is not known"),
        ({"q": "dns/http"}, Reason.UNSUPPORTED, "q=dns/http does not name dns/txt"),
        ({"d": "it"}, Reason.MALFORMED, "d=it is no domain"),
        ({"d": "tizio.it."}, Reason.MALFORMED, "d=tizio.it. is no domain"),
        ({"d": "legitimate.com(.attacker.com"}, Reason.MALFORMED, "d=legitimate.com(.attacker.com is no domain"),
        ({"d": "tizio.it\n evil.it"}, Reason.MALFORMED, "d=tizio.it? evil.it is no domain"),
        ({"d": "-a.it"}, Reason.MALFORMED, "d=-a.it is no domain"),
        ({"d": "a" * 64 + ".it"}, Reason.MALFORMED, "is no domain"),
        ({"d": "a." * 130 + "it"}, Reason.MALFORMED, "is no domain"),
        ({"s": "a..b"}, Reason.MALFORMED, "s=a..b is no selector"),
        ({"s": "a b"}, Reason.MALFORMED, "s=a b is no selector"),
        ({"s": "a" * 60, "d": ("b" * 60 + ".") * 3 + "it"}, Reason.MALFORMED, "too long together"),
        ({"h": "To:Subject"}, Reason.FROM_NOT_SIGNED, "h= does not name From"),
        ({"h": ":".join(["a"] * (MAX_ITEMS + 1))}, Reason.TOO_LARGE, f"h= has more than {MAX_ITEMS} names"),
        ({"i": "@altro.it"}, Reason.FOREIGN_IDENTITY, "i=@altro.it is not within d=tizio.it"),
        ({"i": "tizio@nontizio.it"}, Reason.FOREIGN_IDENTITY, "i=tizio@nontizio.it is not within d=tizio.it"),
        ({"i": "tizio.it"}, Reason.FOREIGN_IDENTITY, "i=tizio.it is not within d=tizio.it"),
        ({"bh": "YWJ"}, Reason.MALFORMED, "bh= is no base64"),
        ({"b": "Z*Vm"}, Reason.MALFORMED, "b= is no base64"),
        ({"b": "ZèVm"}, Reason.MALFORMED, "b= is no base64"),
        ({"l": ""}, Reason.MALFORMED, "l= is no number"),
        ({"l": "-1"}, Reason.MALFORMED, "l=-1 is no number"),
        ({"l": "9" * 77}, Reason.MALFORMED, "is no number"),
        ({"t": "9" * 5000}, Reason.MALFORMED, "is no number"),
        ({"t": "٣"}, Reason.MALFORMED, "t=? is no number"),
        ({"x": "1e3"}, Reason.MALFORMED, "x=1e3 is no number"),
        ({"t": "6", "x": "6"}, Reason.MALFORMED, "x= is not later than t="),
        ({"z": "\0"}, Reason.MALFORMED, "a character that may not be there"),
    ],
)  # fmt: skip
def test_a_flaw_is_named(tags: dict[str, str | None], reason: Reason, words: str) -> None:
    found = of(**tags)
    assert found.flaw is not None
    assert found.flaw.reason == reason
    assert words in found.flaw.words
    assert len(found.flaw.words) < 200


def test_a_flawed_signature_still_says_whose_it_is_where_that_can_be_read() -> None:
    found = of(a="rsa-sha1")
    assert (found.algorithm, found.domain, found.selector, found.mark) == ("rsa-sha1", "tizio.it", "uno", "ZGVmZGVm")
    assert (of(d="a(b.it").domain, of(s="a b").selector, of(b="*").mark) == ("", "", "")


def test_names_in_other_scripts_are_compared_in_a_labels() -> None:
    found = of(d="Bücher.example", s="schlüssel", i="jürgen@post.xn--bcher-kva.example")
    assert found.flaw is None
    assert (found.domain, found.selector) == ("xn--bcher-kva.example", "xn--schlssel-95a")
    assert of(d="\ud7ff" * 70 + ".it").flaw is not None


def test_a_signature_of_100_kb_is_not_even_read() -> None:
    found = read(Field(b"DKIM-Signature", b" v=1;" + b" " * 100_000 + b"a=rsa-sha256"))
    assert found.flaw == (Reason.TOO_LARGE, f"the signature has more than {MAX_FIELD} bytes")


@given(value=st.binary(max_size=300))
def test_any_bytes_are_a_signature_or_a_flaw(value: bytes) -> None:
    assert read(Field(b"DKIM-Signature", value)).flaw is not None


@given(name=st.text(max_size=300))
def test_any_name_is_one_of_the_dns_or_nothing(name: str) -> None:
    assert ascii_name(name).isascii()


# --- b= ---


@pytest.mark.parametrize(
    ("value", "rest"),
    [
        (b" v=1; b=abc; bh=xyz", b" v=1; b=; bh=xyz"),
        (b" v=1; bh=xyz; b=abc=\r\n\t def==", b" v=1; bh=xyz; b="),
        (b"b = abc\n ;bb=1", b"b =;bb=1"),
        (b" v=1;\r\n\tb\t=abc;", b" v=1;\r\n\tb\t=;"),
        (b" x=b=1; b=", b" x=b=1; b="),
        (b" v=1; b", b" v=1; b"),
    ],
)
def test_the_value_of_b_goes_with_all_blanks_around_it(value: bytes, rest: bytes) -> None:
    assert without_value(value) == rest


BASE64 = st.lists(st.sampled_from(["a", "B", "+", "/", "=", " ", "\r\n "]), min_size=1, max_size=30).map("".join)


@given(value=BASE64.map(str.strip), more=st.sampled_from(["", "; t=1", ";x=2", ";"]))
def test_it_is_the_same_as_dkimpys_where_no_blank_stands_before_the_semicolon(value: str, more: str) -> None:
    """RFC 6376 3.7 has all blanks around the value go; dkimpy leaves those behind it."""
    text = f" v=1; bh=abc; b={value}{more}".encode()
    assert without_value(text) == RE_BTAG.sub(rb"\1", text)


def test_taking_out_b_is_linear() -> None:
    value = b" v=1;" + b" " * 2_000_000 + b"b=" + b"a " * 500_000 + b";" * 1000
    assert without_value(value) == re.sub(rb"b=[a ]*", b"b=", value)
