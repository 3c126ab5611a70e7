"""Verdicts as policy answers: the right word, and nothing that could end a line early."""

from hypothesis import given, settings
from hypothesis import strategies as st

from vaglio.facts import Stage
from vaglio.policy.render import render
from vaglio.text import MAX_REPLY
from vaglio.verdict import Action, Header, Reply, Verdict


def verdict(action: Action, text: str = "text", immediate: bool = False, headers: tuple[Header, ...] = ()) -> Verdict:
    reply = None if action is Action.PASS else Reply(450 if action is Action.DEFER else 550, "4.7.1", text)
    return Verdict(action, "test", "reason", reply=reply, headers=headers, immediate=immediate)


def test_a_pass_is_dunno_never_ok() -> None:
    assert render(verdict(Action.PASS), Stage.RCPT) == b"action=DUNNO\n\n"


def test_a_deferral_waits_for_later_restrictions() -> None:
    assert render(verdict(Action.DEFER), Stage.RCPT) == b"action=DEFER_IF_PERMIT 4.7.1 text\n\n"


def test_an_immediate_deferral_has_its_code() -> None:
    assert render(verdict(Action.DEFER, immediate=True), Stage.RCPT) == b"action=450 4.7.1 text\n\n"


def test_the_other_actions_have_their_words() -> None:
    assert render(verdict(Action.REJECT), Stage.RCPT) == b"action=REJECT 4.7.1 text\n\n"
    assert render(verdict(Action.HOLD), Stage.RCPT) == b"action=HOLD text\n\n"
    assert render(verdict(Action.DISCARD), Stage.RCPT) == b"action=DISCARD 4.7.1 text\n\n"


def test_a_header_is_prepended_where_postfix_takes_it() -> None:
    with_header = verdict(Action.PASS, headers=(Header("X-Greylist", "delayed 305 seconds"),))
    assert render(with_header, Stage.RCPT) == b"action=PREPEND X-Greylist: delayed 305 seconds\n\n"
    assert render(with_header, Stage.END_OF_MESSAGE) == b"action=DUNNO\n\n"
    assert render(with_header, Stage.CONNECT) == b"action=DUNNO\n\n"
    assert render(with_header, Stage.RCPT, prepend=False) == b"action=DUNNO\n\n"


def test_a_header_with_a_bad_name_is_left_out() -> None:
    assert render(verdict(Action.PASS, headers=(Header("X: evil", "v"),)), Stage.RCPT) == b"action=DUNNO\n\n"


@settings(max_examples=300, deadline=None)
@given(st.text() | st.binary().map(lambda b: b.decode("utf-8", "surrogateescape")), st.sampled_from(list(Action)))
def test_no_text_can_end_the_line_or_break_utf8(text: str, action: Action) -> None:
    answer = render(verdict(action, text, headers=(Header("X-H", text),)), Stage.RCPT)
    answer.decode("utf-8")
    assert answer.startswith(b"action=")
    assert answer.endswith(b"\n\n")
    assert b"\n" not in answer[:-2]
    assert b"\r" not in answer
    assert b"\0" not in answer


def test_a_long_reply_is_cut() -> None:
    answer = render(verdict(Action.DEFER, "è" * 1000), Stage.RCPT)
    assert len(answer) <= len("action=DEFER_IF_PERMIT \n\n") + MAX_REPLY
