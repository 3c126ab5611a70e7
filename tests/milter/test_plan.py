"""What a verdict leads to: edits in a safe order, or one answer, and nothing of a stranger's making in either."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.milter.mta import Edit, edited
from vaglio.milter.plan import UNTOUCHED, Insert, Plan, Replace, plan_of
from vaglio.milter.wire import Answer
from vaglio.verdict import Action, AuthResult, Change, Header, Reply, Verdict

AR = b"Authentication-Results"


def passing(headers: tuple[Header, ...] = (), changes: tuple[Change, ...] = ()) -> Verdict:
    return Verdict(Action.PASS, "spf", "pass", headers=headers, changes=changes)


def edits(plan: Plan) -> list[Edit]:
    """Return the edits in the order in which an engine sends them."""
    replace = [Edit(Answer.CHANGE_HEADER, one.nth, one.name, one.value) for one in plan.replace]
    return replace + [Edit(Answer.INSERT_HEADER, 0, one.name, one.value) for one in plan.insert]


def test_a_plain_pass_leaves_the_message_alone() -> None:
    assert plan_of(passing()) is UNTOUCHED
    assert not any(UNTOUCHED)


def test_headers_end_up_on_top_in_the_order_of_the_verdict_below_our_results() -> None:
    verdict = passing((Header("X-One", "1"), Header("X-Two", "2")))._replace(results=(AuthResult("spf", "pass"),))
    after = edited([(b"From", b"a")], edits(plan_of(verdict, (), "mx.caio.it")))
    assert after == [(AR, b"mx.caio.it;\n\tspf=pass"), (b"X-One", b"1"), (b"X-Two", b"2"), (b"From", b"a")]


def test_results_are_written_only_in_a_name_and_a_name_only_with_results() -> None:
    verdict = passing()._replace(results=(AuthResult("spf", "pass"),))
    assert plan_of(verdict, (), "") is UNTOUCHED
    assert plan_of(passing(), (), "mx.caio.it") is UNTOUCHED


def test_forged_fields_and_changes_go_from_the_highest_index_down() -> None:
    verdict = passing(changes=(Change("Subject", 1, "new"), Change("Subject", 3, "")))
    plan = plan_of(verdict, [(AR, 1), (AR, 2), (AR, 4)])
    assert [one.nth for one in plan.replace] == [4, 3, 2, 1, 1]
    assert plan.replace[1] == Replace(b"Subject", 3, b"")


def test_a_field_that_two_want_to_change_is_changed_once_and_a_forged_one_goes() -> None:
    verdict = passing(changes=(Change("authentication-results", 1, "x"), Change("S", 1, "a"), Change("s", 1, "")))
    fields = [(AR, b"forged"), (AR, b"good"), (b"S", b"1"), (b"S", b"2")]
    assert edited(fields, edits(plan_of(verdict, [(AR, 1)]))) == [(AR, b"good"), (b"S", b"a"), (b"S", b"2")]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([b"A", b"a", b"B"]), st.sampled_from([b"", b"x", None])), max_size=12))
def test_every_field_meets_the_change_that_was_meant_for_it(fields: list[tuple[bytes, bytes | None]]) -> None:
    """None: the field stays; b"": it goes; b"x": it is changed."""
    seen: dict[bytes, int] = {}
    header, changes, forged, want = [], [], [], []
    for number, (name, what) in enumerate(fields):
        nth = seen[name.lower()] = seen.get(name.lower(), 0) + 1
        value = str(number).encode()
        header.append((name, value))
        if what == b"":
            forged.append((name, nth))
        elif what == b"x":
            changes.append(Change(name.decode(), nth, f"new {number}"))
            want.append((name, f"new {number}".encode()))
        else:
            want.append((name, value))
    assert edited(header, edits(plan_of(passing(changes=tuple(changes)), forged))) == want


def test_an_insertion_does_not_shift_what_is_changed() -> None:
    verdict = passing((Header("Subject", "on top"),), (Change("Subject", 1, "changed"),))
    after = edited([(b"Subject", b"first")], edits(plan_of(verdict)))
    assert after == [(b"Subject", b"on top"), (b"Subject", b"changed")]


@pytest.mark.parametrize(("action", "code"), [(Action.REJECT, "550 5.7.1"), (Action.DEFER, "451 4.3.0")])
def test_a_refusal_is_a_reply_and_no_edits(action: Action, code: str) -> None:
    verdict = passing((Header("X-One", "1"),), (Change("Subject", 1, ""),))._replace(action=action)
    assert plan_of(verdict, [(AR, 1)], "mx.caio.it") == Plan(reply=f"{code} Not accepted")


def test_a_reply_of_the_wrong_class_cannot_let_a_refused_message_in() -> None:
    verdict = Verdict(Action.REJECT, "spf", "fail", Reply(250, "2.0.0", "ok"))
    assert plan_of(verdict).reply == "451 4.3.0 ok"


def test_a_discarded_message_is_not_edited() -> None:
    verdict = passing((Header("X-One", "1"),))._replace(action=Action.DISCARD)
    assert plan_of(verdict, [(AR, 1)], "mx.caio.it") == Plan(discard=True)


def test_a_held_message_gets_its_headers_and_a_reason_of_100_bytes_with_its_reference() -> None:
    facts = {"domain": "tizio.it\r\n\0 " + "x" * 200}
    plan = plan_of(passing((Header("X-One", "1"),))._replace(action=Action.HOLD, facts=facts, ref="1B4X-0D09"))
    assert plan.insert == [Insert(b"X-One", b"1")]
    assert plan.quarantine.startswith(b"SPF pass tizio.it")
    assert plan.quarantine.endswith(b"xxx; ref 1B4X-0D09")
    assert len(plan.quarantine) == 100
    assert not set(plan.quarantine) & set(b"\r\n\0")


def test_a_chain_says_of_a_held_message_which_check_holds_it() -> None:
    facts = {"decided_by": "spf", "spf.domain": "tizio.it", "dkim_verify.domain": "caio.it"}
    verdict = Verdict(Action.HOLD, "chain", "softfail", Reply(550, "5.7.23", "parole"), facts=facts, ref="1B4X-0D09")
    assert plan_of(verdict).quarantine == b"SPF softfail tizio.it; ref 1B4X-0D09"


def test_a_message_is_held_whatever_is_known_of_it() -> None:
    assert plan_of(Verdict(Action.HOLD, "dkim_verify", "odd")).quarantine == b"DKIM odd"
    assert plan_of(Verdict(Action.HOLD, "", "")).quarantine == b"held"


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from("a%\r\n\0\t \x07é€\udcff\u2028"), max_size=120))
def test_no_text_of_a_stranger_ends_a_line_a_field_or_a_reply(text: str) -> None:
    verdict = passing((Header("X-One", text),), (Change("Subject", 1, text),))
    plan = plan_of(verdict)
    for value in (plan.insert[0].value, plan.replace[0].value):
        assert not set(value) & set(b"\r\0\x07")
        assert all(line[:1] in (b" ", b"\t") and line.strip() for line in value.split(b"\n")[1:])
    for action in (Action.REJECT, Action.HOLD):
        plan = plan_of(Verdict(action, "spf", "fail", Reply(550, "5.7.1", text), facts={"domain": text}))
        said = plan.reply.encode() + plan.quarantine
        assert not set(said) & set(b"\r\n\0\x07")


def test_a_name_that_no_field_can_have_is_a_bug_of_the_check() -> None:
    for name in ("X:One", "X One", "", "X\r\n", "é"):
        with pytest.raises(ValueError, match="header field"):
            plan_of(passing((Header(name, "1"),)))
