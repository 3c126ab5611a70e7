"""One verdict from several: the strongest wins, of equals the first says why, and nothing that was found is lost."""

from __future__ import annotations

import pytest

from vaglio.milter.combine import CHAIN, PASSED, combined
from vaglio.verdict import Action, AuthResult, Change, Header, Reply, Verdict


def verdict(check: str, action: Action = Action.PASS, rehearsed: Action | None = None, ref: str = "") -> Verdict:
    reply = Reply(550, "5.7.1", f"{check} says so") if action is not Action.PASS else None
    return Verdict(
        action, check, f"{check}-reason", reply,
        (Header("X-Check", check),), {"domain": f"{check}.example"}, rehearsed=rehearsed, ref=ref,
        changes=(Change("Subject", 1, check),), results=(AuthResult(check, "pass"),),
    )  # fmt: skip


def together(*verdicts: Verdict) -> Verdict:
    return combined({one.check: one for one in verdicts})


def test_the_verdict_of_a_single_check_stands_as_it_is() -> None:
    one = verdict("spf", Action.REJECT)
    assert together(one) is one


@pytest.mark.parametrize(
    ("weak", "strong"),
    [
        (Action.PASS, Action.HOLD),
        (Action.HOLD, Action.DEFER),
        (Action.DEFER, Action.DISCARD),
        (Action.DISCARD, Action.REJECT),
    ],
)
def test_the_strongest_wins_wherever_it_stands(weak: Action, strong: Action) -> None:
    for order in ((verdict("a", weak), verdict("b", strong)), (verdict("b", strong), verdict("a", weak))):
        found = together(*order)
        assert (found.action, found.reason, found.facts["decided_by"]) == (strong, "b-reason", "b")
        assert found.reply
        assert found.reply.text == "b says so"


def test_of_equals_the_first_says_why() -> None:
    found = together(verdict("a"), verdict("b", Action.REJECT), verdict("c", Action.REJECT))
    assert found.reason == "b-reason"


def test_a_chain_that_has_nothing_against_the_message_says_so() -> None:
    found = together(verdict("a"), verdict("b"))
    assert (found.action, found.check, found.reason) == (Action.PASS, CHAIN, PASSED)
    assert "decided_by" not in found.facts
    assert not found.journalled


def test_a_chain_without_checks_passes() -> None:
    assert together() == Verdict(Action.PASS, CHAIN, PASSED, facts={})


def test_headers_changes_and_results_of_all_are_kept_in_order_and_facts_behind_their_checks_names() -> None:
    found = together(verdict("a"), verdict("b", Action.HOLD))
    assert [one.value for one in found.headers] == ["a", "b"]
    assert [one.value for one in found.changes] == ["a", "b"]
    assert [one.method for one in found.results] == ["a", "b"]
    assert found.facts == {
        "a.reason": "a-reason", "a.domain": "a.example", "b.reason": "b-reason", "b.domain": "b.example",
        "decided_by": "b",
    }  # fmt: skip


def test_what_only_rehearses_decides_nothing_while_another_one_does() -> None:
    found = together(verdict("a", rehearsed=Action.REJECT), verdict("b", Action.HOLD))
    assert (found.action, found.facts["decided_by"], found.rehearsed) == (Action.HOLD, "b", None)


def test_the_strongest_rehearsal_is_told_where_all_pass() -> None:
    found = together(verdict("a", rehearsed=Action.HOLD), verdict("b", rehearsed=Action.REJECT), verdict("c"))
    assert (found.action, found.rehearsed, found.facts["decided_by"]) == (Action.PASS, Action.REJECT, "b")
    assert found.journalled


def test_the_reference_is_that_of_the_decisive_check_else_the_first_there_is() -> None:
    assert together(verdict("a", ref="AAAA"), verdict("b", Action.REJECT, ref="BBBB")).ref == "BBBB"
    assert together(verdict("a", ref="AAAA"), verdict("b", Action.REJECT)).ref == "AAAA"
    assert together(verdict("a"), verdict("b", ref="BBBB")).ref == "BBBB"
