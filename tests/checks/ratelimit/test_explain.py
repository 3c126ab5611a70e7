"""The words for decisions of rate limits: all there, in both languages, filled from the facts."""

from __future__ import annotations

import pytest

from vaglio.checks.ratelimit.decide import Reason
from vaglio.checks.ratelimit.explain import explain
from vaglio.checks.ratelimit.limits import Kind, amount_text, counted
from vaglio.verdict import Fact

OVER: dict[str, Fact] = {
    "user": "tizio@tizio.it", "rule": "per-user", "used": 1200, "limit": "1200/1h", "key": "tizio@tizio.it",
    "count": "recipients", "units": 3, "beyond": 1, "does": "defer", "wait": 301,
}  # fmt: skip


@pytest.mark.parametrize("language", ["en", "it"])
@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained_in_both_languages(reason: Reason, language: str) -> None:
    for sentence in explain(reason, OVER, language, rehearsed=False):
        assert sentence
        assert "{" not in sentence
        assert "?" not in sentence


@pytest.mark.parametrize("language", ["en", "it"])
@pytest.mark.parametrize("does", ["defer", "reject", "hold", "header", "log"])
@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_limit_and_every_action_is_explained(kind: Kind, does: str, language: str) -> None:
    facts = {**OVER, "count": kind.value, "limit": "30%/1h" if kind is Kind.REFUSED_SHARE else "20/1h", "does": does}
    why, then = explain(Reason.OVER, facts, language)
    assert "tizio@tizio.it" in why
    assert "per-user" in why
    assert "vaglio ratelimit reset tizio@tizio.it" in then
    assert "?" not in why + then


def test_an_entry_that_lacks_facts_is_explained_all_the_same() -> None:
    for reason in Reason:
        for language in ("en", "it"):
            explain(reason, {}, language)
            explain(reason, {"limit": "x", "used": "y", "count": "sheep", "wait": "long", "beyond": "?"}, language)


def test_a_reason_that_is_not_ours_has_no_words() -> None:
    assert explain("first-contact", OVER) == ("", "")
    assert explain("first-contact", OVER, rehearsed=True) == ("", "")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "tizio@tizio.it had written to 1,200 recipients within 1h, and this would be 3 more; the rule per-user "
             "allows 1,200."),
        ({"count": "bytes", "used": 4_500_000, "units": 600_000, "limit": "5 MB/1d"},
         "tizio@tizio.it had sent 4.5 MB within 1d, and this message would be 600 KB more; the rule per-user allows "
         "5 MB."),
        ({"count": "refused_share", "used": 45, "limit": "30%/1h"},
         "45% of the recipients of tizio@tizio.it within 1h were refused; the rule per-user allows 30%."),
        ({"count": "distinct_networks", "used": 8, "limit": "8/1h", "beyond": 4},
         "had come from 8 different networks within 1h, and this would be another; the rule per-user allows 8. "
         "So far 4 requests in a row were beyond it."),
    ],
)  # fmt: skip
def test_the_sentence_has_what_was_counted_and_what_is_allowed(facts: dict[str, Fact], words: str) -> None:
    assert words in explain(Reason.OVER, OVER | facts)[0]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "there is room for it 6m later"),
        ({"wait": 90}, "there is room for it 1m30s later"),
        ({"does": "reject"}, "The message was refused, and is back with the sender. It is the sender's move"),
        ({"does": "hold"}, "If Postfix took the message, it is in the queue, on hold: mailq shows it"),
        ({"does": "log"}, "this rule only tells the admin"),
        ({"count": "distinct_countries"}, "An account in wrong hands looks like this. It is the admin's move"),
    ],
)
def test_it_says_whose_move_it_is(facts: dict[str, Fact], words: str) -> None:
    assert words in explain(Reason.OVER, OVER | facts)[1]


def test_only_a_login_has_a_password_to_change() -> None:
    for reason, kind in ((Reason.OVER, "recipients"), (Reason.OVER, "new_recipients"), (Reason.TOO_MUCH, "bytes")):
        facts = OVER | {"count": kind}
        assert "password" in explain(reason, facts)[1]
        assert "password" in explain(reason, facts | {"key": "tizio@tizio.it caio.it"})[1]
        for other in ({"key": "198.51.100.0/24"}, {"user": ""}):
            then = explain(reason, facts | other)[1]
            assert "password" not in then
            assert "vaglio ratelimit reset" in then


def test_too_much_at_once_that_was_let_in_asks_nothing_of_the_sender() -> None:
    assert "went on its way" in explain(Reason.TOO_MUCH, OVER | {"does": "log"})[1]
    assert "sender's move" not in explain(Reason.TOO_MUCH, OVER | {"does": "hold"})[1]


def test_too_much_at_once_is_refused_for_good_even_where_the_rule_defers() -> None:
    assert "The message was refused" in explain(Reason.TOO_MUCH, OVER)[1]
    assert "Il messaggio è stato rifiutato" in explain(Reason.TOO_MUCH, OVER, "it")[1]


def test_where_there_never_is_room_nobody_is_told_to_wait() -> None:
    facts = {name: value for name, value in OVER.items() if name != "wait"}
    assert "Waiting does not help" in explain(Reason.OVER, facts)[1]
    assert "waiting does not help" in explain(Reason.TOO_MUCH, facts)[1]


def test_a_command_can_be_copied_whatever_the_key_is() -> None:
    assert "vaglio ratelimit reset 'a b; rm -rf'" in explain(Reason.OVER, OVER | {"key": "a b; rm -rf"})[1]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"rule": "per-user", "used": 3, "limit": "200/1h"}, "that of the rule per-user: 3 of 200/1h used before."),
        ({"rule": "volume", "used": 4_000_000, "limit": "10 MB/1d"}, "4 MB of 10 MB/1d"),
        ({"rule": "share", "used": 25, "limit": "30%/1h"}, "25% of 30%/1h"),
        ({}, "No limit holds for it."),
    ],
)
def test_what_passed_names_the_tightest_limit(facts: dict[str, Fact], words: str) -> None:
    assert words in explain(Reason.WITHIN, facts)[0]


def test_a_rehearsal_says_that_nobody_was_held_back() -> None:
    assert explain(Reason.OVER, OVER, "en", rehearsed=True)[1].startswith("This is a rehearsal")
    assert explain(Reason.OVER, OVER, "it", rehearsed=True)[1].startswith("È una prova")


def test_amounts_are_written_as_the_language_has_it() -> None:
    assert amount_text(1_000, Kind.RECIPIENTS, "en") == "1,000"
    assert amount_text(1_000, Kind.RECIPIENTS, "it") == "1.000"
    assert amount_text(1_500_000, Kind.BYTES, "it") == "1,5 MB"


@pytest.mark.parametrize("language", ["en", "it"])
@pytest.mark.parametrize("kind", sorted(set(Kind) - {Kind.BYTES, Kind.REFUSED_SHARE}))
def test_one_of_anything_is_not_several(kind: Kind, language: str) -> None:
    one, two, none = (counted(amount, kind, language) for amount in (1, 2, 0))
    assert one.startswith("1 ")
    assert one[1:] not in (two[1:], none[1:])
    assert two[1:] == none[1:]
    facts = OVER | {"count": kind.value, "used": 1, "limit": "1/1h"}
    assert one in explain(Reason.OVER, facts, language)[0]
