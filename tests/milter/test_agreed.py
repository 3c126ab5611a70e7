"""What is told of a mail server that does not let milters do what is planned."""

from __future__ import annotations

import pytest

from vaglio.examination import Needs
from vaglio.milter.agreed import ALL_EDITS, is_in_vain, undone
from vaglio.milter.plan import UNTOUCHED, Insert, Plan, Replace
from vaglio.milter.wire import Actions

WHOLE = Plan((Replace(b"Subject", 1, b""),), (Insert(b"X-One", b"1"),), quarantine=b"SPF fail")


@pytest.mark.parametrize(
    ("lacking", "words"),
    [
        (Actions.QUARANTINE, "a message was to be held, and was delivered"),
        (Actions.ADD_HEADERS, "header fields were to be added, and were not"),
        (Actions.CHANGE_HEADERS, "header fields were to be taken out, and were not"),
    ],
)
def test_what_is_not_done_is_told(lacking: Actions, words: str) -> None:
    (told,) = undone(WHOLE, ALL_EDITS & ~lacking)
    assert told.startswith(f"{words}: the mail server does not let milters")


def test_nothing_is_told_where_all_is_done() -> None:
    assert undone(WHOLE, ALL_EDITS) == []
    assert undone(UNTOUCHED, 0) == []
    assert undone(Plan(reply="550 5.7.1 no"), 0) == []


def test_who_is_there_to_add_fields_needs_a_mail_server_that_takes_them() -> None:
    assert is_in_vain(Needs.ADDING | Needs.HEADERS, Actions.CHANGE_HEADERS)
    assert not is_in_vain(Needs.ADDING, Actions.ADD_HEADERS)
    assert not is_in_vain(Needs.HEADERS, Actions(0))
