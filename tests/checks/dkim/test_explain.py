"""What DKIM results mean, in English and Italian."""

from __future__ import annotations

import re

import pytest

from tests.checks.dkim.samples import BODY, HEADER, NAME, NOW, sign, verdict
from vaglio.checks.dkim.explain import advice, brief, explain
from vaglio.checks.dkim.outcome import Reason
from vaglio.examination import Field
from vaglio.verdict import Fact

MARKED = [Field(one.name, one.value + b" [list]") if one.name == b"Subject" else one for one in HEADER]

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


EXPIRED = str(int(NOW) - 7 * 86400)


@pytest.mark.parametrize(
    ("header", "body", "keys", "words"),
    [
        ([sign(), *HEADER], BODY + b"x", None, "il corpo è cambiato per strada, l'intestazione no"),
        ([sign(), *MARKED], BODY + b"x", None, "il corpo è cambiato per strada, e l'intestazione anche"),
        ([sign(), *MARKED], BODY, None, "l'intestazione è cambiata per strada"),
        ([sign(x=EXPIRED), *HEADER], BODY, None, "è scaduta 7 giorni fa"),
        ([sign(), *HEADER], BODY, {}, f"non c'è una chiave in {NAME}"),
        ([sign(), *HEADER], BODY, {NAME: "v=spf1 -all"}, f"il record TXT in {NAME} non è una chiave"),
    ],
)
def test_what_is_found_most_often_is_told_in_italian_too(
    header: list[Field], body: bytes, keys: dict[str, str] | None, words: str
) -> None:
    found = verdict(header, body, keys)
    why = advice(found.reason, found.facts, "it")[0]
    assert words in why
    assert not re.search(r" (the|is|was|it|and) ", why)


def test_what_is_not_known_in_italian_is_told_as_it_was_found() -> None:
    assert "it is so" in advice(Reason.NO_KEY, FACTS, "it")[0]


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
