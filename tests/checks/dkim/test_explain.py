"""What DKIM results mean, in English and Italian."""

from __future__ import annotations

import re

import pytest

from vaglio.checks.dkim.explain import advice, brief, explain
from vaglio.checks.dkim.outcome import Reason
from vaglio.verdict import Fact

FACTS: dict[str, Fact] = {
    "result": "fail", "domain": "tizio.it", "selector": "uno", "algorithm": "rsa-sha256", "problem": "it is so",
    "signatures": 7,
}  # fmt: skip


@pytest.mark.parametrize("language", ["en", "it"])
@pytest.mark.parametrize("reason", Reason)
def test_each_reason_has_its_words(reason: Reason, language: str) -> None:
    why, then = explain(reason, FACTS, language, False)
    assert why.endswith(".")
    assert then.startswith("It passed on." if language == "en" else "È passato.")
    assert not re.search(r"[{}?]", why + then)


@pytest.mark.parametrize("reason", Reason)
def test_facts_that_are_missing_do_not_matter(reason: Reason) -> None:
    assert explain(reason, {"domain": "{x}"}, "xx", False)[0]
    assert brief(reason, {}, "en") == ""


def test_who_must_move_is_said() -> None:
    assert advice(Reason.NO_KEY, FACTS, "en")[1] == (
        "It is the move of the admin of tizio.it: publish the DNS record uno._domainkey.tizio.it."
    )
    assert "Tocca all'host" in advice(Reason.BODY_CHANGED, FACTS, "it")[1]
    assert advice(Reason.PASS, FACTS, "en")[1] == ""


def test_a_refusal_names_its_setting_and_a_rehearsal_says_so() -> None:
    facts = {**FACTS, "by": "dkim.verify.policies.fail", "all": "tizio.it: body-changed"}
    why, then = explain(Reason.BODY_CHANGED, facts, "en", False)
    assert "All its signatures: tizio.it: body-changed." in why
    assert then.startswith("It was held back or refused since dkim.verify.policies.fail says so.")
    assert explain(Reason.BODY_CHANGED, facts, "it", True)[1].startswith("È una prova")


@pytest.mark.parametrize(
    ("reason", "language", "text"),
    [
        (Reason.PASS, "en", "DKIM pass for tizio.it"),
        (Reason.PASS, "it", "DKIM pass per tizio.it"),
        (Reason.UNSIGNED, "en", "no DKIM signature"),
        (Reason.UNSIGNED, "it", "nessuna firma DKIM"),
    ],
)
def test_a_story_has_a_clause_of_it(reason: Reason, language: str, text: str) -> None:
    assert brief(reason, {"result": "pass", "domain": "tizio.it"}, language) == text
