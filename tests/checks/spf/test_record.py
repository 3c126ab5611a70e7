"""Records in words, and what is odd about them."""

from __future__ import annotations

import pytest

from vaglio.checks.spf.domain import ask_mail_from, domain_of
from vaglio.checks.spf.outcome import Evaluation, Result
from vaglio.checks.spf.record import allows, lint


@pytest.mark.parametrize(
    ("record", "english"),
    [
        ("v=spf1 -all", "nothing"),
        ("v=spf1 mx -all", "mx"),
        ("v=spf1 +mx a -ip4:192.0.2.1 ?ptr ~all exp=x.it", "mx and a"),
        ("v=spf1 redirect=_spf.x.it", "redirect=_spf.x.it"),
        ("v=spf1 a mx ip4:1.2.3.4 ip4:1.2.3.5 ip4:1.2.3.6 ip4:1.2.3.7 ip4:1.2.3.8 -all",
         "a, mx, ip4:1.2.3.4, ip4:1.2.3.5, ip4:1.2.3.6 and 2 more"),
        ("v=spf1 a:" + "x" * 200 + " -all", "a:" + "x" * 78),
        ("v=spf1 a:\x1b[31m\udcff -all", "a:?[31m?"),
    ],
)  # fmt: skip
def test_what_a_record_allows(record: str, english: str) -> None:
    assert allows(record) == english


def test_in_italian() -> None:
    assert allows("v=spf1 a mx -all", "it") == "a e mx"
    assert allows("v=spf1 -all", "it") == "niente"


def odd(record: str, lookups: int = 0) -> str:
    question = ask_mail_from("192.0.2.7", "a@b.it", "x")
    return "\n".join(lint(Evaluation(question, Result.FAIL, record=record), lookups, 10))


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("v=spf1 +all", "lets everybody send"),
        ("v=spf1 ip4:0.0.0.0/0 -all", "lets everybody send"),
        ("v=spf1 ptr:b.it -all", "uses ptr"),
        ("v=spf1 exists:%{p}.b.it -all", "uses ptr"),
        ("v=spf1 -all mx", "what stands behind all is never read"),
        ("v=spf1 -all redirect=x.it", "redirect is never followed"),
        ("v=spf1 mx", "neither all nor redirect"),
        ("v=spf1 mx ?all", "?all says nothing"),
        ("v=spf1 mx mx -all", "mx stands there twice"),
        ("v=spf1 " + "ip4:192.0.2.1 " * 40 + "-all", "RFC 7208 3.4 wants at most 450"),
    ],
)
def test_what_is_odd_is_said(record: str, words: str) -> None:
    assert words in odd(record)


def test_a_plain_record_is_not_odd() -> None:
    assert odd("v=spf1 mx ip4:192.0.2.0/24 include:_spf.x.it -all", 3) == ""
    assert "9 of 10 look-ups" in odd("v=spf1 mx -all", 9)


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("Tizio.IT", "tizio.it"),
        ("tizio.it.", "tizio.it"),
        ("perché.it", "xn--perch-fsa.it"),
        ("PERCHÉ.it", "xn--perch-fsa.it"),
        ("straße.it", "xn--strae-oqa.it"),
        ("STRASSE.it", "strasse.it"),
        ("perché。it", "xn--perch-fsa.it"),
        ("_spf.é.it", "_spf.xn--9ca.it"),
        ("a_b.it", "a_b.it"),
        ("", ""),
        ("it", ""),
        ("a..it", ""),
        (".it", ""),
        ("[192.0.2.7]", ""),
        ("a b.it", ""),
        ("a\udcff.it", ""),
        ("é" * 300 + ".it", ""),
        ("é" * 100 + ".it", ""),
        ("é." * 100 + "it", ""),
        ("\u00ad.it", ""),
        ("😀.it", ""),
        ("x" * 64 + ".it", ""),
        ("x." * 130 + "it", ""),
    ],
)
def test_domains(text: str, domain: str) -> None:
    found, why = domain_of(text)
    assert found == domain
    assert (why == "") == (domain != "")
