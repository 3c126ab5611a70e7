"""What is learned and what is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing

import pytest

from vaglio.checks.score import learning
from vaglio.checks.score.case import UNKNOWN, Hit
from vaglio.checks.score.learning import (
    Forgetter,
    Learner,
    Why,
    autolearn,
    digest_of,
    lesson_of,
    limit_for,
    staleness,
    unmarked,
)
from vaglio.checks.score.rulefiles import load_rules
from vaglio.checks.score.settings import BayesSettings, ScoreSettings
from vaglio.examination import Field
from vaglio.milter.replay import read
from vaglio.ports import Effect, Kind, Learned, Lesson, StoreError, Word
from vaglio.store.tokens import MemoryTokens

LETTER = (
    b"Received: from mail.tizio.it (mail.tizio.it [198.51.100.7])\n\tby mail.caio.it; Sun, 22 Nov 2026 18:00:00 +0100\n"
    b"Date: Sun, 22 Nov 2026 17:59:58 +0100\nFrom: Tizio <tizio@tizio.it>\nTo: caio@caio.it\n"
    b"Subject: conto di novembre\nMessage-ID: <1@tizio.it>\n\n"
    b"Caro Caio,\n\nFrom now on the bill comes by mail.\n\nsaluti\n"
)


class Clock:
    def __init__(self, day: int = 20_779) -> None:
        self.time = day * 86400.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


# --- which message it is ---


def digest(message: bytes) -> bytes:
    return digest_of(*read(message))


SAME = {
    "with CRLF": LETTER.replace(b"\n", b"\r\n"),
    "in a mailbox": b"From x Sun Nov 22 18:00:00 2026\n" + LETTER.replace(b"\nFrom now", b"\n>From now") + b"\n",
    "after its delivery": b"Return-Path: <tizio@tizio.it>\nDelivered-To: caio@caio.it\nReceived: by mail.caio.it\n"
    b"Authentication-Results: mail.caio.it; spf=pass\nX-Spam-Flag: YES\nX-Spam-Status: Yes, score=12\n" + LETTER,
    "with a tag": LETTER.replace(b"Subject: ", b"Subject: [SPAM] "),
    "read by its owner": b"Status: RO\nX-UID: 7\n" + LETTER,
    "with a Message-ID of the server's": LETTER.replace(b"<1@tizio.it>", b"<2@mail.caio.it>"),
    "folded anew": LETTER.replace(b"From: Tizio <", b"from:\n Tizio\n\t<"),
    "without the line end at its end": LETTER.rstrip(b"\n"),
}  # fmt: skip
OTHERS = {
    "another text": LETTER.replace(b"Caro Caio", b"Caro Gaio"),
    "another author": LETTER.replace(b"Tizio <tizio@", b"Tizio <dario@"),
    "another moment": LETTER.replace(b"17:59:58", b"17:59:59"),
    "no text": LETTER.partition(b"\n\n")[0] + b"\n\n",
    "nothing": b"",
}


@pytest.mark.parametrize("name", SAME)
def test_a_message_is_the_same_wherever_it_lies(name: str) -> None:
    assert digest(SAME[name]) == digest(LETTER)
    assert len(digest(LETTER)) == 16


def test_other_messages_are_others() -> None:
    assert len({digest(message) for message in (LETTER, *OTHERS.values())}) == len(OTHERS) + 1


def test_what_lies_beyond_the_part_that_is_read_makes_no_other_message() -> None:
    head, _, _ = LETTER.partition(b"\n\n")
    whole = head + b"\n\n" + b"una riga di testo\n" * 100_000
    fields, body = read(whole)
    assert digest_of(fields, body[:1_000_000]) == digest_of(fields, body)
    fields, body = read(whole.replace(b"\n", b"\r\n"))
    assert digest_of(fields, body) == digest(whole)


def test_fields_of_the_delivery_and_verdicts_are_not_learned() -> None:
    fields, body = read(SAME["after its delivery"] + b"\n")
    names = [one.name for one in unmarked(fields)]
    assert names == [b"Received", b"Received", b"Date", b"From", b"To", b"Subject", b"Message-ID"]
    assert unmarked([Field(b"x-SPAM-anything ", b" 1"), Field(b"Xspam", b"")]) == [Field(b"Xspam", b"")]
    clean, _ = read(LETTER)
    assert set(lesson_of(clean, body, len(body)).ids) == set(lesson_of(fields[1:2] + fields[6:], body, len(body)).ids)


def test_a_lesson_has_each_word_once_and_is_the_same_each_time() -> None:
    fields, body = read(LETTER + b"saluti saluti\n")
    lesson = lesson_of(fields, body, len(body))
    assert lesson == lesson_of(fields, body, len(body))
    assert len(set(lesson.ids)) == len(lesson.ids) > 5
    assert all(-(2**63) <= one < 2**63 for one in lesson.ids)


@pytest.mark.parametrize("message", [b"", b"\0" * 100, b"From: \xff\nContent-Type: multipart/mixed; boundary=\n\n\xfe"])
def test_any_message_is_a_lesson(message: bytes) -> None:
    fields, body = read(message)
    assert len(lesson_of(fields, body, len(body)).digest) == 16


# --- who teaches by himself ---

ON = BayesSettings(autolearn=True)
ENOUGH = Learned(300, 300)


def hit(score: float, group: str = "", symbol: str = "RULE") -> Hit:
    return Hit(symbol, score, "en", "it", group=group)


SURE = (hit(5, "missing"), hit(5, "words"), hit(4, "way"))


def choice(hits: Sequence[Hit], probability: float = UNKNOWN, own: bool = False, learned: Learned = ENOUGH,
           settings: BayesSettings = ON) -> tuple[Kind | None, Why]:  # fmt: skip
    return autolearn(hits, sum(one.score for one in hits), probability, own, learned, settings)


def test_what_several_rules_of_header_and_body_are_sure_of_is_learned_as_spam() -> None:
    assert choice(SURE) == (Kind.SPAM, Why.SURE)
    assert choice(SURE, 0.999) == (Kind.SPAM, Why.SURE)
    assert choice((hit(8, "missing"), hit(3, "way"), hit(3, symbol="LISTED_URIBL"))) == (Kind.SPAM, Why.SURE)


def test_what_no_rule_holds_against_is_learned_as_wanted() -> None:
    assert choice((hit(-1), hit(0.3, "words")), 0.1) == (Kind.HAM, Why.SURE)
    assert choice((hit(-1),), 0.3) == (Kind.HAM, Why.SURE)


def test_each_group_of_a_shipped_rule_tells_where_it_looks() -> None:
    rules, _ = load_rules(ScoreSettings())
    assert {rule.group for rule in rules.rules} - {""} == learning.HEADER | learning.BODY


@pytest.mark.parametrize(
    ("hits", "probability", "why"),
    [
        ((), UNKNOWN, Why.UNSURE),
        ((hit(11.9, "missing"),), UNKNOWN, Why.UNSURE),
        ((hit(8, "missing"), hit(8, "words")), UNKNOWN, Why.FEW),
        ((*SURE[:2], hit(9, "words"), hit(-5)), UNKNOWN, Why.SURE),
        ((hit(5, "links"), hit(5, "words"), hit(4)), UNKNOWN, Why.NO_HEADER),
        ((hit(5, "missing"), hit(5, "way"), hit(4)), UNKNOWN, Why.NO_BODY),
        (SURE, 0.1, Why.DISAGREES),
        (SURE, 0.0, Why.DISAGREES),
        ((hit(-1),), 0.31, Why.DISAGREES),
        ((hit(-1),), UNKNOWN, Why.SILENT),
        ((hit(-0.2, symbol="SPF_ALIGNED"), hit(-0.4, symbol="DKIM_ALIGNED")), UNKNOWN, Why.SILENT),
        ((hit(-0.2, symbol="SPF_ALIGNED"), hit(-0.4, symbol="DKIM_ALIGNED")), 0.5, Why.DISAGREES),
        ((hit(-5), hit(1.0)), UNKNOWN, Why.SUSPICIOUS),
    ],
)
def test_where_there_is_doubt_nothing_is_learned(hits: Sequence[Hit], probability: float, why: Why) -> None:
    kind, said = choice(hits, probability)
    assert said is why
    assert (kind is None) is (why is not Why.SURE)


def test_bayes_never_learns_from_itself() -> None:
    bayes = hit(5, symbol="BAYES_100")
    assert choice((hit(4, "missing"), hit(4, "words"), bayes), 0.999) == (None, Why.UNSURE)
    assert choice((hit(7, "missing"), hit(7, "words"), bayes), 0.999) == (None, Why.FEW)
    assert choice((hit(-0.4), hit(-2, symbol="BAYES_00")), 0.001) == (None, Why.UNSURE)
    assert choice((*SURE, hit(-2, symbol="BAYES_00")), 0.5) == (Kind.SPAM, Why.SURE)


def test_own_mail_and_switched_off_learn_nothing() -> None:
    assert choice(SURE, own=True) == (None, Why.OWN)
    assert choice(SURE, settings=BayesSettings()) == (None, Why.OFF)
    assert choice(SURE, settings=BayesSettings(autolearn=True, enabled=False)) == (None, Why.OFF)


def test_neither_kind_gets_far_ahead_of_the_other() -> None:
    for learned, kind in (
        (Learned(0, 0), Kind.SPAM), (Learned(59, 0), Kind.SPAM), (Learned(60, 0), None), (Learned(299, 100), Kind.SPAM),
        (Learned(300, 100), None), (Learned(0, 5000), Kind.SPAM),
    ):  # fmt: skip
        assert choice(SURE, learned=learned)[0] is kind
    assert choice((hit(-1),), 0.1, learned=Learned(100, 300)) == (None, Why.BALANCE)
    assert choice((hit(-1),), 0.1, learned=Learned(5000, 300)) == (Kind.HAM, Why.SURE)


# --- at work ---


def lesson(number: int, *ids: int) -> Lesson:
    return Lesson(number.to_bytes(16, "big"), ids)


def test_all_that_is_noted_is_learned_a_few_at_a_time() -> None:
    class Watching(Clock):
        async def sleep(self, seconds: float) -> None:
            assert seconds == 0
            after.append(tuple(store.learned()))

    after: list[tuple[int, ...]] = []
    with closing(MemoryTokens()) as store:
        learner = Learner(store, Watching())
        asyncio.run(learner.write_back())
        for number in range(9):
            learner.note(Kind.HAM if number == 7 else Kind.SPAM, lesson(number, 1))
        asyncio.run(learner.write_back())
        assert after == [(5, 0), (7, 0), (7, 1), (8, 1)]
        assert store.counts([1]) == {1: (8, 1)}


def test_what_can_not_be_written_waits_and_the_oldest_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(MemoryTokens):
        def learn(self, lessons: Sequence[Lesson], kind: Kind, day: int) -> Sequence[Effect]:
            raise StoreError(f"no room for {len(lessons)} of {kind} on {day}")

    with closing(Full()) as full, closing(MemoryTokens()) as store:
        learner = Learner(full, Clock())
        for number in range(learning.WAITING + 3):
            learner.note(Kind.HAM, lesson(number, number))
        with pytest.raises(StoreError):
            asyncio.run(learner.write_back())
        monkeypatch.setattr(learner, "_store", store)
        asyncio.run(learner.write_back())
        assert store.learned() == Learned(0, learning.WAITING)
        assert store.counts(range(4)) == {3: (0, 1)}


# --- forgetting ---


@pytest.mark.parametrize(
    ("word", "age"),
    [
        (Word(1, 1, 0, 100), 100), (Word(1, 2, 2, 100), 100), (Word(1, 3, 2, 100), 50), (Word(1, 0, 99, 100), 5),
        (Word(1, 1, 0, 200), 0), (Word(1, 1, 0, 300), 0), (Word(1, 0, 0, 200), 10**6),
    ],
)  # fmt: skip
def test_a_word_that_many_messages_had_stays_longer(word: Word, age: int) -> None:
    assert staleness(word, 200) == age


@pytest.mark.parametrize(
    ("ages", "limit"),
    [
        ({}, 180), ({0: 50, 179: 50}, 180), ({0: 50, 179: 50, 300: 1000}, 180), ({0: 50, 10: 30, 179: 50}, 11),
        ({0: 80, 10: 30}, 1), ({0: 500}, 1), ({0: 20, 5: 20, 6: 20, 7: 20, 8: 21}, 8),
    ],
)  # fmt: skip
def test_where_there_are_too_many_words_they_go_earlier(ages: dict[int, int], limit: int) -> None:
    assert limit_for(ages, most=100, usual=180) == limit


def walk(forgetter: Forgetter, clock: Clock) -> int:
    """Take steps until it rests; return how many they were."""
    for number in range(1, 1000):
        pause = forgetter.step()
        if pause > 60:
            return number
        clock.time += pause
    raise AssertionError("it never rests")


def test_words_and_messages_are_forgotten_when_their_time_is_over() -> None:
    clock = Clock()
    today = int(clock.time) // 86400
    with closing(MemoryTokens()) as store:
        store.learn([lesson(number, *range(-900, 900)) for number in range(9)], Kind.HAM, today - 200)
        store.learn([lesson(10, *range(5000, 6000), 7)], Kind.SPAM, today - 181)
        store.learn([lesson(11, 9000)], Kind.SPAM, today - 179)
        forgetter = Forgetter(store, BayesSettings(), clock)
        walk(forgetter, clock)
        assert len(store.counts([*range(-900, 900)])) == 1800  # nine messages had them
        assert set(store.counts([*range(5000, 6000), 7, 9000])) == {7, 9000}
        assert forgetter.words == 1801
        assert store.learned() == Learned(2, 9)
        assert store.known([lesson(10).digest, lesson(11).digest]) == 1
        clock.time += 400 * 86400
        walk(forgetter, clock)
        assert store.summary()[:2] == (Learned(2, 9), 0)


def test_it_rests_between_walks_whoever_calls() -> None:
    clock = Clock()
    with closing(MemoryTokens()) as store:
        forgetter = Forgetter(store, BayesSettings(), clock)
        walk(forgetter, clock)
        clock.time += 100
        store.learn([lesson(1, 5)], Kind.HAM, 0)
        assert 0 < forgetter.step() <= learning.REST - 100
        assert store.counts([5])
        clock.time -= 10**6  # set back
        walk(forgetter, clock)
        assert not store.counts([5])


def test_too_many_words_are_forgotten_oldest_first_in_the_next_walk() -> None:
    clock = Clock()
    today = int(clock.time) // 86400
    settings = BayesSettings(max_tokens=10_000)
    with closing(MemoryTokens()) as store:
        for age in range(12):
            store.learn([lesson(age, *range(age * 1000, age * 1000 + 1000))], Kind.HAM, today - age)
        store.learn([lesson(100 + number, 11_999) for number in range(30)], Kind.HAM, today - 11)
        forgetter = Forgetter(store, settings, clock)
        walk(forgetter, clock)
        assert set(store.counts([*range(12_000)])) == {*range(8000), 11_999}
        assert forgetter.words == 8001
