"""Conditions of rules: what an admin may write, and when they hold."""

from __future__ import annotations

import re

import pytest

from vaglio.checks.tag.conditions import METHODS, Known, parse

SPAM = Known(
    spam=True, score=8.0, symbols=frozenset({"NO_SUBJECT"}), results={"spf": "softfail", "dkim": "pass"},
    facts={"spf": {"reason": "softfail", "domain": "tizio.it", "beyond": 0, "theirs": "", "own": False},
           "dkim_verify": {"signatures": 2, "partial": True}},
)  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["spam", "external", "score >= 8", "score>=8", "score > 7.99", "score <= 8.0", "score < 100", "score > -3",
     "symbol NO_SUBJECT", "spf=softfail", "dkim=pass", "spf.domain", "spf.reason=softfail", "spf.domain=Tizio.IT",
     "dkim_verify.signatures=2", "dkim_verify.partial", "dkim_verify.partial=true", "spf.beyond=0", "spf.own=false",
     "not dmarc=fail", "not symbol OTHER", "not spf.missing", "not score < 8"],
)  # fmt: skip
def test_a_condition_holds(text: str) -> None:
    assert parse(text)(SPAM)


@pytest.mark.parametrize(
    "text",
    ["not spam", "not external", "score > 8", "score < 8", "symbol NO", "spf=fail", "dmarc=none", "spf.beyond",
     "spf.own", "spf.theirs", "spf.missing", "score.spam", "spf.domain=tizio"],
)  # fmt: skip
def test_a_condition_does_not_hold(text: str) -> None:
    assert not parse(text)(SPAM)


@pytest.mark.parametrize("text", ["spam", "score >= 0", "score < 0", "symbol X", "spf=none", "spf.domain"])
def test_of_what_nobody_spoke_nothing_holds(text: str) -> None:
    assert not parse(text)(Known())


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", 'a condition: "spam", "external"'),
        ("Spam", 'a condition: "spam"'),
        ("not not spam", "a condition"),
        ("score = 8", '"score >= 8"'),
        ("score >= viel", '"score >= 8"'),
        ("symbol no_subject", '"symbol NO_SUBJECT"'),
        ("spf=bad", '"spf=" and one of pass, fail, softfail, neutral, none'),
        ("dmarc=softfail", '"dmarc=" and one of pass, fail, none, temperror, permerror'),
        ("spam=yes", "a result of spf, dkim, dmarc, arc"),
        ("spf.", "a condition"),
        ("spf.domain=", "a condition"),
        ("spf.domain=" + "x" * 300, "a condition"),
    ],
)
def test_what_is_no_condition_is_refused_with_what_is_wanted(text: str, wanted: str) -> None:
    with pytest.raises(ValueError, match=re.escape(wanted)):
        parse(text)


@pytest.mark.parametrize("method", METHODS)
def test_every_result_of_a_method_can_be_asked_for(method: str) -> None:
    for result in METHODS[method]:
        assert parse(f"{method}={result}")(Known(results={method: result}))
