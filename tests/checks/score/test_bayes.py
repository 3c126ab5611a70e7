"""Words are put together into a probability that has an order, a middle and no surprise."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaglio.checks.score import bayes
from vaglio.checks.score.bayes import clues, ids_of, probability, token_id

LEARNED = (1000, 1000)
MARKS = ("", "head:", "subj:", "link:", "part:")

counts_of_words = st.dictionaries(
    st.integers(0, 2**63 - 1), st.tuples(st.integers(0, 1000), st.integers(0, 1000)), max_size=60
)


def words(number: int, spam: int, wanted: int, mark: str = "") -> dict[int, tuple[int, int]]:
    return {token_id(f"{mark}w{index} {spam} {wanted}"): (spam, wanted) for index in range(number)}


# --- ids ---


def test_ids_stay_what_they_are_since_stores_keep_them() -> None:
    assert [token_id(token) for token in ("", "offer", "subj:offer", "head:from @caio.example")] == [
        0, 3930619851640, 1177649141985403459, 4260204461970836353,
    ]  # fmt: skip


@given(st.text())
def test_any_text_has_an_id_that_fits_into_a_column(text: str) -> None:
    assert 0 <= token_id(text) < 2**63


def test_a_lone_surrogate_has_an_id() -> None:
    assert token_id("caf\udce9") != token_id("caf")


def test_ids_differ_where_words_differ() -> None:
    names = [f"{mark}net {a}.{b}.{c}" for mark in MARKS for a in range(40) for b in range(40) for c in range(20)]
    assert len({token_id(name) for name in names}) == len(names)


def test_numbers_of_words_are_the_same_when_they_are_kept_and_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bayes, "_MOST_KEPT", 3)
    words = [f"word{number % 5}" for number in range(20)]
    assert [*ids_of(words)] == [*map(token_id, words)]
    assert len(bayes._ids) <= 3


def test_a_word_elsewhere_is_another_word() -> None:
    assert len({token_id(f"{mark}offer") for mark in MARKS}) == len(MARKS)


# --- the middle, the ends ---


@pytest.mark.parametrize("counts", [{}, {1: (0, 0)}, {1: (3, 3)}, {1: (3, 3), 2: (60, 50)}])
def test_what_is_not_known_or_says_nothing_leaves_it_in_the_middle(counts: dict[int, tuple[int, int]]) -> None:
    assert probability(counts, LEARNED) == 0.5


def test_nothing_learned_leaves_it_in_the_middle() -> None:
    assert probability({1: (0, 0)}, (0, 0)) == 0.5


def test_words_of_spam_make_it_sure_and_words_of_wanted_mail_too() -> None:
    assert probability(words(30, 50, 0), LEARNED) > 0.999
    assert probability(words(30, 0, 50), LEARNED) < 0.001


def test_one_word_alone_does_not_make_it_sure() -> None:
    assert 0.6 < probability(words(1, 50, 0), LEARNED) < 0.95


@given(counts_of_words)
def test_it_is_a_probability_whatever_the_counts(counts: dict[int, tuple[int, int]]) -> None:
    assert 0 <= probability(counts, LEARNED) <= 1


@pytest.mark.parametrize(("spam", "wanted"), [(10**9, 0), (0, 10**9), (10**9, 10**9), (1, 10**9)])
def test_thousands_of_words_seen_very_often_overflow_nothing(spam: int, wanted: int) -> None:
    found = probability(words(5000, spam, wanted), (10**9, 10**9))
    assert math.isfinite(found)
    assert 0 <= found <= 1


def test_counts_that_do_not_fit_what_was_learned_break_nothing() -> None:
    assert probability(words(3, 5, 0), (0, 0)) > 0.5
    assert probability(words(3, 5, 0), (1, 1)) > 0.5


# --- the order ---


@given(counts_of_words)
def test_the_order_of_the_words_does_not_matter(counts: dict[int, tuple[int, int]]) -> None:
    turned = dict(reversed(counts.items()))
    assert probability(turned, LEARNED) == probability(counts, LEARNED)


def test_a_stronger_word_makes_it_likelier() -> None:
    found = [probability({1: (spam, 1)}, LEARNED) for spam in (20, 50, 100, 500, 1000)]
    assert found == sorted(found)
    assert len({*found}) == len(found)


def test_more_words_of_spam_make_it_likelier_up_to_the_end() -> None:
    found = [probability(words(number, 50, 0) | words(20, 0, 50), LEARNED) for number in range(21)]
    assert found == sorted(found)
    assert len({*found}) == len(found)


def test_spam_that_is_sure_still_has_an_order() -> None:
    """Thresholds are drawn there."""
    found = [probability(words(40, spam, 0) | words(2, 0, 50), LEARNED) for spam in (5, 20, 100, 900)]
    assert found == sorted(found)
    assert len({*found}) == len(found)
    assert found[-1] < 1


@given(st.lists(st.integers(2, 1000), unique=True, max_size=30), st.lists(st.integers(2, 1000), max_size=30))
def test_what_is_said_for_it_and_against_it_weighs_the_same(spam: list[int], wanted: list[int]) -> None:
    """But where words of the same strength would be more than count: those for the message come first then."""
    counts = dict(enumerate([(count, 0) for count in spam[:20]] + [(0, count) for count in wanted[:20]]))
    by_place = {key << 3: value for key, value in counts.items()}
    turned = {key: (one, other) for key, (other, one) in by_place.items()}
    assert probability(by_place, LEARNED) == pytest.approx(1 - probability(turned, LEARNED), abs=1e-9)


def test_of_equally_strong_words_those_for_the_message_count_first() -> None:
    assert probability(words(60, 50, 0, "head:") | words(60, 0, 50, "head:"), LEARNED) < 0.5


def test_shares_count_and_not_numbers() -> None:
    """Where little wanted mail was learned, one message of it weighs more."""
    assert probability({1: (50, 10)}, (1000, 10)) < 0.5
    assert probability({1: (10, 50)}, (10, 1000)) > 0.5


# --- which count ---


def test_a_long_text_does_not_outweigh_the_rest() -> None:
    """Spam with a novel behind it, which has no words of spam."""
    letter = words(30, 50, 0, "head:") | words(10, 50, 0, "subj:") | words(60, 0, 2)
    assert probability(letter | words(5000, 0, 2, "and more "), LEARNED) == pytest.approx(
        probability(letter, LEARNED), abs=1e-9
    )


def test_many_words_of_wanted_mail_leave_room_for_those_of_spam() -> None:
    """Who adds good words to spam can add any number of them."""
    spam = words(30, 50, 0) | words(15, 50, 0, "head:")
    assert probability(spam | words(30, 0, 900), LEARNED) > 0.5
    assert probability(spam | words(3000, 0, 900), LEARNED) > 0.5


def test_clues_are_the_words_that_counted_the_strongest_first() -> None:
    known = {token_id(word): word for word in ("offer", "perl", "the", "new", "subj:offer")}
    seen = {"offer": (50, 1), "perl": (0, 9), "the": (500, 500), "new": (0, 0), "subj:offer": (40, 0)}
    found = clues(known, {token_id(word): count for word, count in seen.items()}, LEARNED)
    assert [(clue.word, clue.spam, clue.wanted) for clue in found] == [
        ("subj:offer", 40, 0), ("perl", 0, 9), ("offer", 50, 1),
    ]  # fmt: skip
    assert [clue.probability > 0.5 for clue in found] == [True, False, True]


def test_no_more_clues_than_count() -> None:
    counts = words(500, 50, 0) | words(500, 50, 0, "head:")
    assert len(clues(dict.fromkeys(counts, "x"), counts, LEARNED)) == 60
