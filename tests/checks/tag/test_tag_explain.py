"""Marks in words: for every reason, in both languages, also where facts lack."""

from __future__ import annotations

import re

import pytest

from vaglio.checks.tag.decide import Reason
from vaglio.checks.tag.explain import advice, brief, explain
from vaglio.verdict import Fact

FACTS = {"tags": "[SPAM]", "rules": "tag.rule[0]: spam", "removed": "[spam 3]", "subject": "x {y}"}
SILENT = (Reason.NOTHING, Reason.OWN_MAIL, Reason.REFUSED)


@pytest.mark.parametrize("language", ["en", "it", "de"])
@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("facts", [FACTS, {}, {**FACTS, "rehearsal": True}])
def test_there_are_words_for_every_reason(reason: Reason, language: str, facts: dict[str, str]) -> None:
    why, then = explain(reason, facts, language, False)
    assert then
    assert bool(why) is (reason not in SILENT)
    assert not re.search(r"\{\w+\}", why + then)
    assert advice(reason, facts, language)[0] == why
    assert bool(brief(reason, facts, language)) is (reason not in SILENT)


def test_it_says_which_rule_and_what_went_before() -> None:
    why, then = explain(Reason.TAGGED, FACTS, "en", False)
    assert why == ("Its subject was marked [SPAM], since a rule holds (tag.rule[0]: spam). [spam 3] was taken from its "
                   "front before: only ours count.")  # fmt: skip
    assert then == "It passed on. If the mark is wrong, the rule is the admin's to change."


def test_italian_is_italian() -> None:
    assert brief(Reason.CLEANED, FACTS, "it") == "[spam 3] tolto dall'oggetto"
    assert explain(Reason.TAGGED, {**FACTS, "rehearsal": True}, "it", False)[0].endswith("rimasto com'era.")


def test_a_rehearsal_says_what_would_have_come() -> None:
    facts: dict[str, Fact] = {**FACTS, "rehearsal": True}
    assert brief(Reason.TAGGED, facts, "en") == "subject would have been marked [SPAM]"
    assert advice(Reason.TAGGED, facts, "en")[0] == (
        "Its subject would have been marked [SPAM], since a rule holds (tag.rule[0]: spam). "
        "This was a rehearsal: the subject stayed as it was."
    )
    assert brief(Reason.ALREADY_TAGGED, facts, "en") == "subject marked [SPAM] already"


def test_a_score_that_only_rehearses_says_which_mark_would_have_come() -> None:
    assert brief(Reason.NOTHING, {"would": "[SPAM]"}, "en") == "in earnest the subject would be marked [SPAM]"
    assert "contrassegnato con [SPAM], se i punti" in advice(Reason.NOTHING, {"would": "[SPAM]"}, "it")[0]


def test_an_unknown_reason_has_no_words() -> None:
    assert brief("other", FACTS, "en") == ""
    assert advice("other", {}, "en") == ("", "")
