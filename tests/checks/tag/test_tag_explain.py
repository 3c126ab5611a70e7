"""Marks in words: for every reason, in both languages, also where facts lack."""

from __future__ import annotations

import re

import pytest

from vaglio.checks.tag.decide import Reason
from vaglio.checks.tag.explain import advice, brief, explain

FACTS = {"tags": "[SPAM]", "rules": "tag.rule[0]: spam", "removed": "[spam 3]", "subject": "x {y}"}
SILENT = (Reason.NOTHING, Reason.OWN_MAIL)


@pytest.mark.parametrize("language", ["en", "it", "de"])
@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("facts", [FACTS, {}, {**FACTS, "rehearsal": True}])
def test_there_are_words_for_every_reason(reason: Reason, language: str, facts: dict[str, str]) -> None:
    why, then = explain(reason, facts, language, False)
    assert then
    assert bool(why) is (reason not in SILENT or "rehearsal" in facts)
    assert not re.search(r"\{\w+\}", why + then)
    assert advice(reason, facts, language)[0] == why
    assert bool(brief(reason, facts, language)) is (reason not in SILENT and "rehearsal" not in facts)


def test_it_says_which_rule_and_what_went_before() -> None:
    why, then = explain(Reason.TAGGED, FACTS, "en", False)
    assert why == ("Its subject was marked [SPAM], since a rule holds (tag.rule[0]: spam). [spam 3] was taken from its "
                   "front before: only ours count.")  # fmt: skip
    assert then == "It passed on. If the mark is wrong, the rule is the admin's to change."


def test_italian_is_italian() -> None:
    assert brief(Reason.CLEANED, FACTS, "it") == "[spam 3] tolto dall'oggetto"
    assert explain(Reason.TAGGED, {**FACTS, "rehearsal": True}, "it", False)[0].endswith("rimasto com'era.")


def test_an_unknown_reason_has_no_words() -> None:
    assert brief("other", FACTS, "en") == ""
    assert advice("other", {}, "en") == ("", "")
