"""A decision in words, whichever check it is of."""

from __future__ import annotations

import pytest

from vaglio.cli.story import explain
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
