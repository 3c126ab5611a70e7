"""A decision in words, whichever check it is of."""

from __future__ import annotations

import pytest

from vaglio.cli.story import explain, outcome, rehearsed, story
from vaglio.facts import Client, Envelope, Facts, Session, Stage
from vaglio.journal.entry import Entry
from vaglio.milter.session import TOO_MANY_FORGED
from vaglio.verdict import Fact

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


SPAM: dict[str, Fact] = {
    "score.reason": "spam", "score.score": 13.5, "score.spam": True, "score.required": 5.0,
    "score.symbols": "PRIZE 13.5", "score.because": "+13.5 it promises a prize",
    "score.because_it": "+13.5 c'e' un premio, E' piu' di un'offerta",
}  # fmt: skip
MARKED: dict[str, Fact] = {"tag.reason": "tagged", "tag.tags": "[SPAM]", "tag.rules": "tag.rule[0]: spam"}


def test_a_chain_that_rehearses_says_what_would_have_come_and_that_nothing_did() -> None:
    entry = PASSED._replace(facts={**SPAM, **MARKED, "rehearsal": True})
    assert story(entry, "en") == (
        "spam score 13.5 of 5 (PRIZE 13.5), in rehearsal; subject would have been marked [SPAM]; "
        "delivered as it came, since this is a rehearsal"
    )
    assert outcome(entry, "en") == "let through as it came; in earnest its header would have been changed"
    why, then = explain(entry, "en")
    assert "In earnest its headers would have said so (X-Spam-Flag: YES)." in why
    assert "Its subject would have been marked [SPAM]" in why
    assert then.startswith("This was a rehearsal: its header stayed as it was. If it is not spam:")
    assert rehearsed(entry) == "pass"
    assert rehearsed(PASSED) == ""
    assert story(entry._replace(rehearsed="reject"), "en").endswith("in earnest it would have been refused for good")


def test_a_score_that_rehearses_in_a_chain_in_earnest_says_what_would_have_come() -> None:
    entry = PASSED._replace(facts={**SPAM, "score.rehearsal": True, "tag.reason": "nothing", "tag.would": "[SPAM]"})
    assert "in earnest the subject would be marked [SPAM]; delivered" in story(entry, "en")
    assert "X-Spam-Flag: YES" in explain(entry, "en")[0]
    assert "sul serio" in story(entry, "it")
    assert rehearsed(entry) == "pass"


def test_a_milter_whose_check_does_not_know_of_its_rehearsal_says_so_too() -> None:
    entry = PASSED._replace(check="dkim_sign", reason="signed", facts={"domain": "tizio.it", "rehearsal": True})
    assert explain(entry, "en")[1].startswith("This was a rehearsal")
    assert story(entry, "it").endswith("consegnato com'era, perché è una prova")


def test_sentences_of_rules_have_their_accents_where_they_are_no_reply() -> None:
    assert "c'è un premio, È più di un'offerta" in explain(PASSED._replace(facts=SPAM), "it")[0]


@pytest.mark.parametrize(("problem", "italian"), [
    ("the domain has no SPF record", "il dominio non ha un record SPF"),
    ("TXT of tizio.it can't be looked up (network)", "TXT di tizio.it non si può consultare (rete)"),
    ("something else", "something else"),
])
def test_what_is_wrong_with_a_record_is_italian_where_the_rest_is(problem: str, italian: str) -> None:
    facts = {"spf.reason": "none", "spf.result": "none", "spf.problem": problem}
    assert italian in explain(PASSED._replace(facts=facts), "it")[0]
    assert italian in story(PASSED._replace(facts=facts), "it")
    assert problem in explain(PASSED._replace(facts=facts), "en")[0]
