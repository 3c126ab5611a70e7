"""A decision in words, whichever check it is of."""

from __future__ import annotations

import pytest

from vaglio.cli.story import explain, story
from vaglio.facts import Client, Envelope, Facts, Session, Stage
from vaglio.journal.entry import Entry
from vaglio.milter.session import TOO_MANY_FORGED

FACTS = Facts(Client("", b""), Envelope("", ""), Session(Stage.END_OF_MESSAGE))
PASSED = Entry("G7K2-9QFD", 0.0, "chain.inbound", "chain", "pass", reason="passed")


@pytest.mark.parametrize(("language", "said"), [
    ("en", "Forged results in our name that it brought along: 2."),
    ("it", "Risultati contraffatti a nostro nome che portava con sé: 2."),
])
def test_forged_results_are_told_of(language: str, said: str) -> None:
    assert explain(PASSED._replace(facts={"forged": 2}), language) == (said, "")
    assert explain(PASSED, language) == ("passed", "")


@pytest.mark.parametrize(("language", "why", "move"), [
    ("en", "It brought along more than 100 results in our name", "It is the move of whoever sent it"),
    ("it", "Portava con sé più di 100 risultati a nostro nome", "Tocca a chi l'ha spedito"),
])
def test_a_message_with_too_many_forged_results_is_told_of_with_whose_move_it_is(
    language: str, why: str, move: str
) -> None:
    refused = Entry.of(FACTS, TOO_MANY_FORGED, 0.0, "spf")
    said, then = explain(refused, language)
    assert said.startswith(why)
    assert then.startswith(move)


FAIL = {"spf.reason": "fail", "spf.result": "fail", "spf.ip": "198.51.100.66", "spf.domain": "tizio.it",
        "spf.identity": "mailfrom", "spf.allows": "ip4:192.0.2.25", "spf.add": "ip4:198.51.100.66"}  # fmt: skip
UNSIGNED = {"dkim_verify.reason": "unsigned", "dkim_verify.result": "none"}


@pytest.mark.parametrize(("language", "theirs", "owners", "done"), [
    ("en", "it is the move of the admin of tizio.it: add ip4:198.51.100.66 to the record",
     "Whoever owns the sender's domain can have their mail signed", "passed on"),
    ("it", "tocca all'amministratore di tizio.it: aggiungere ip4:198.51.100.66 al record",
     "Chi possiede il dominio del mittente", "È passato"),
])
def test_what_a_chain_lets_through_comes_with_what_each_check_would_have_somebody_do(
    language: str, theirs: str, owners: str, done: str
) -> None:
    why, then = explain(PASSED._replace(facts={**FAIL, **UNSIGNED}), language)
    assert "198.51.100.66" in why
    assert theirs in then
    assert owners in then
    assert done not in then


def test_checks_that_have_nothing_against_a_message_want_nothing_done() -> None:
    facts = {"spf.reason": "authenticated", "dkim_sign.reason": "signed", "dkim_sign.domain": "tizio.it"}
    why, then = explain(PASSED._replace(facts=facts), "en")
    assert why.startswith("The client has logged in. The message was signed for tizio.it")
    assert then == ""
    assert "failed" in explain(PASSED._replace(facts={"spf.reason": "error"}), "en")[0]


def test_where_one_check_decided_the_move_is_its_own() -> None:
    refused = PASSED._replace(action="reject", reason="fail", facts={**FAIL, **UNSIGNED, "decided_by": "spf"})
    then = explain(refused, "en")[1]
    assert "add ip4:198.51.100.66" in then
    assert "signed" not in then


def test_the_story_of_a_refused_message_tells_of_no_mark_that_anybody_would_see() -> None:
    facts = {"score.reason": "spam", "score.score": 16.5, "score.required": 5.0, "score.symbols": "PRIZE 16.5",
             "tag.reason": "tagged", "tag.tags": "[SPAM]", "decided_by": "score"}  # fmt: skip
    passed = PASSED._replace(facts=facts)
    assert story(passed, "en") == "spam score 16.5 of 5 (PRIZE 16.5); subject marked [SPAM]; delivered"
    assert story(passed._replace(action="reject"), "en") == "spam score 16.5 of 5 (PRIZE 16.5); refused for good"
