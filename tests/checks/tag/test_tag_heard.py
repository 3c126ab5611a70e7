"""What is believed of what earlier checks and other filters say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaglio.checks.ownresults import results_of
from vaglio.checks.tag.heard import NOTHING, Spam, known, spam_of
from vaglio.examination import Field
from vaglio.verdict import Action, AuthResult, Fact, Verdict

OURS = "mail.caio.it"


def results(*values: bytes) -> dict[str, str]:
    """Return the result of each method that these fields tell in our name."""
    fields = [Field(b"Authentication-Results", b" " + value) for value in values]
    return dict(known({}, results_of(fields, OURS), NOTHING).results)


def said(name: str, value: str) -> Spam:
    return spam_of([Field(name.encode(), b" " + value.encode())])


def earlier(check: str, *found: AuthResult, **facts: Fact) -> dict[str, Verdict]:
    return {check: Verdict(Action.PASS, check, "reason", facts=facts, results=found)}


# --- results ---


def test_results_in_our_name_are_read() -> None:
    value = b'mail.caio.it; spf=softfail (for; you) reason="a;b" smtp.mailfrom=t@tizio.it;\n\tdkim=pass header.d=x'
    assert results(value) == {"spf": "softfail", "dkim": "pass"}


@given(st.binary(max_size=80))
def test_any_field_is_read_without_an_exception(value: bytes) -> None:
    for name in (b"X-Spam-Flag", b"X-Spam", b"X-Spam-Status", b"X-Spam-Score", b"X-Spamd-Result"):
        spam_of([Field(name, value)])


def test_one_good_signature_is_enough() -> None:
    found = [AuthResult("dkim", "fail"), AuthResult("dkim", "pass"), AuthResult("dkim", "none")]
    assert known({}, found, NOTHING).results == {"dkim": "pass"}
    assert known({}, found[:1], NOTHING).results == {"dkim": "fail"}


def test_of_spf_mail_from_counts_before_helo() -> None:
    helo = AuthResult("spf", "pass", (("smtp.helo", "x"),))
    sender = AuthResult("spf", "fail", (("smtp.mailfrom", "x"),))
    assert known({}, [helo, sender], NOTHING).results == {"spf": "fail"}
    assert known({}, [helo], NOTHING).results == {"spf": "pass"}
    value = b"mail.caio.it; spf=pass smtp.helo=x; spf=fail smtp.mailfrom=y"
    assert results(value) == {"spf": "fail"}
    assert results(b"mail.caio.it; spf=pass smtp.helo=x", b"mail.caio.it; spf=fail smtp.mailfrom=y") == {"spf": "fail"}


def test_earlier_checks_are_heard_in_memory() -> None:
    fail = AuthResult("spf", "fail")
    found = known(earlier("spf", fail, domain="tizio.it"), [fail], NOTHING)
    assert found.results == {"spf": "fail"}
    assert found.facts == {"spf": {"reason": "reason", "domain": "tizio.it"}}


# --- spam ---


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("X-Spam-Flag", "YES", Spam(True)),
        ("X-Spam-Flag", "NO", Spam()),
        ("x-spam", "Yes", Spam(True)),
        ("X-Spam-Score", "7.2", Spam(score=7.2)),
        ("X-Spam-Score", "-0.1 (/)", Spam(score=-0.1)),
        ("X-Spam-Score", "lots", Spam()),
        ("X-Spam-Score", "99999999999", Spam()),
        ("X-Spam-Status", "Yes, score=12.3 required=5.0 tests=BAYES_99,NO_SUBJECT\n\tautolearn=no version=4",
         Spam(True, 12.3, frozenset({"BAYES_99", "NO_SUBJECT"}))),
        ("X-Spam-Status", "No, hits=0.5 required=5.0", Spam(False, 0.5)),
        ("X-Spam-Status", "Yes, score=7.2 required=5.0 tests=[NO_SUBJECT=1.2, BIG_IMAGE=6.0]",
         Spam(True, 7.2, frozenset({"NO_SUBJECT", "BIG_IMAGE"}))),
        ("X-Spamd-Result", "default: True [16.10 / 15.00];\n\tR_SPF_FAIL(1.00)[-all]; MISSING_SUBJECT(2.00)[]",
         Spam(True, 16.1, frozenset({"R_SPF_FAIL", "MISSING_SUBJECT"}))),
        ("X-Spamd-Result", "default: False [1.20 / 15.00]", Spam(False, 1.2)),
        ("X-Spam-Level", "*******", Spam()),
        ("Subject", "YES", Spam()),
    ],
)  # fmt: skip
def test_headers_of_spam_filters_are_read(name: str, value: str, wanted: Spam) -> None:
    assert said(name, value) == wanted


def test_one_yes_is_enough_and_the_highest_score_counts() -> None:
    said_by_two = ((b"X-Spam-Flag", b" NO"), (b"X-Spam", b" Yes"), (b"X-Spam-Score", b" 7"), (b"X-Spam-Score", b" 1"))
    assert spam_of([Field(*one) for one in said_by_two]) == Spam(True, 7.0)


def test_where_our_own_score_stands_before_headers_do_not_count() -> None:
    found = known(earlier("score", score=3, spam=False, symbols="NO_SUBJECT 1.2, X_Y 0.5"), (), Spam(True, 20.0))
    assert (found.spam, found.score, found.symbols) == (False, 3.0, frozenset({"NO_SUBJECT", "X_Y"}))


def test_a_score_that_failed_says_nothing() -> None:
    found = known(earlier("score"), (), Spam(True, 20.0))
    assert (found.spam, found.score, found.symbols) == (False, None, frozenset())
