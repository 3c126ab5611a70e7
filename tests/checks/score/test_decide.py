"""What a score leads to, for whom, and how it is told."""

from __future__ import annotations

import pytest

from vaglio.checks.score.case import Hit
from vaglio.checks.score.decide import Found, Reason, Thresholds, basis, decide, screen, sentences, symbols, thresholds
from vaglio.checks.score.explain import advice
from vaglio.checks.score.settings import Ladder, ScoreSettings
from vaglio.checks.score.text import foreign, headers, reply
from vaglio.examination import Field
from vaglio.facts import Client, Envelope, Facts, Session, Stage, client_of
from vaglio.lists import NetworkSet
from vaglio.verdict import Action, Change, Header

HITS = (
    Hit("PRIZE", 2.5, "it promises a prize", "promette un premio", "you have won"),
    Hit("NO_SUBJECT", 1.25, "it has no subject", "non ha oggetto"),
    Hit("LIST", -0.5, "it came by a mailing list", "viene da una lista"),
)
FOUND = Found(3.25, HITS, 0.97, size=100, read=100)


def facts(client: Client, login: str = "") -> Facts:
    return Facts(client, Envelope("tizio@tizio.it", "caio@caio.it"), Session(Stage.MAIL, sasl_username=login))


@pytest.mark.parametrize(
    ("score", "action", "spam"),
    [
        (4.99, Action.PASS, False),
        (5.0, Action.PASS, True),
        (7.99, Action.PASS, True),
        (8.0, Action.HOLD, True),
        (15.0, Action.REJECT, True),
        (-3.0, Action.PASS, False),
    ],
)
def test_a_score_climbs_the_ladder(score: float, action: Action, spam: bool) -> None:
    assert decide(score, Thresholds(5, 8, 15))[:2] == (action, spam)


def test_a_threshold_of_zero_is_never_reached() -> None:
    limits = thresholds(["caio@caio.it"], 0, ScoreSettings(tag=0, hold=0, reject=0))
    assert decide(1e6, limits)[:2] == (Action.PASS, False)


def test_thresholds_are_those_of_the_recipients_domain() -> None:
    settings = ScoreSettings(domains={"caio.it": Ladder(tag=4.0)})
    assert thresholds(["a@CAIO.it"], 0, settings).tag == 4
    assert thresholds(["a@caio.it"], 0, settings).reject == 15
    assert thresholds(["a@sempronio.it"], 0, settings).tag == 5
    assert thresholds([], 0, settings).tag == 5


def test_a_message_to_several_domains_gets_the_highest_of_each_threshold() -> None:
    settings = ScoreSettings(domains={"caio.it": Ladder(tag=4.0, reject=0.0), "tizio.it": Ladder(reject=8.0)})
    limits = thresholds(["a@caio.it", "b@tizio.it"], 0, settings)
    assert limits.tag == 5
    assert decide(1000, limits).action is Action.PASS


def test_recipients_of_whom_nothing_is_kept_may_be_of_any_domain() -> None:
    settings = ScoreSettings(domains={"caio.it": Ladder(reject=0.0)})
    assert decide(100, thresholds(["a@tizio.it"], 1, settings)).action is Action.REJECT
    assert decide(100, thresholds(["a@tizio.it"], 1001, settings)).action is Action.PASS


@pytest.mark.parametrize(
    ("client", "login", "reason"),
    [
        (client_of("192.0.2.7"), "caio", Reason.AUTHENTICATED),
        (client_of("127.0.0.1")._replace(local=True), "", Reason.LOCAL),
        (client_of("198.51.100.7"), "", Reason.TRUSTED),
        (client_of("192.0.2.7"), "", None),
    ],
)
def test_own_mail_and_that_of_trusted_networks_is_not_scored(client: Client, login: str, reason: Reason | None) -> None:
    networks = NetworkSet(["198.51.100.0/24"])
    exempt = screen(facts(client, login), ScoreSettings(), networks)
    assert (exempt.reason if exempt else None) == reason


def test_own_mail_is_scored_where_the_settings_say_so() -> None:
    assert screen(facts(client_of("192.0.2.7"), "caio"), ScoreSettings(own_mail="score"), NetworkSet()) is None


def test_the_basis_says_score_symbols_and_sentences_in_both_languages() -> None:
    limits = Thresholds(3, 8, 15)
    known = basis(FOUND, decide(3.25, limits), limits)
    assert known == {
        "score": 3.25, "spam": True, "required": 3, "symbols": "PRIZE 2.5, NO_SUBJECT 1.25, LIST -0.5", "bayes": 0.97,
        "because": "+2.5 it promises a prize (you have won); +1.25 it has no subject; -0.5 it came by a mailing list",
        "because_it": "+2.5 promette un premio (you have won); +1.25 non ha oggetto; -0.5 viene da una lista",
    }  # fmt: skip


def test_a_refusal_says_by_which_setting_and_what_was_not_read() -> None:
    limits = Thresholds(3, 4, 5)
    found = FOUND._replace(score=5.5, size=2000, capped={"words": 1.5}, silent=("DBL",))
    known = basis(found, decide(5.5, limits), limits)
    assert (known["by"], known["threshold"]) == ("score.reject", 5)
    assert (known["read"], known["size"]) == (100, 2000)
    assert (known["capped"], known["silent"]) == ("words -1.5", "DBL")


def test_what_is_told_is_bounded_however_many_rules_fit() -> None:
    many = [Hit(f"RULE_{number}", 1.0, "word " * 30, "") for number in range(500)]
    assert len(sentences(many, "en")) <= 900
    known = basis(Found(500.0, tuple(many)), decide(500, Thresholds(5, 8, 15)), Thresholds(5, 8, 15))
    assert len(str(known["symbols"])) <= 900
    assert symbols([]) == sentences([], "it") == ""


def test_a_line_end_in_what_was_found_ends_no_line() -> None:
    assert sentences([HITS[0]._replace(detail="a\r\nb\tc")], "en") == "+2.5 it promises a prize (a b c)"


# --- headers and replies ----------------------------------------------------------------------------------------------


def test_the_headers_tell_score_level_and_symbols() -> None:
    limits = Thresholds(3, 8, 15)
    assert headers(FOUND, decide(3.25, limits), limits, ScoreSettings()) == (
        Header("X-Spam-Flag", "YES"),
        Header("X-Spam-Score", "3.2"),
        Header("X-Spam-Level", "***"),
        Header("X-Spam-Status", "Yes, score=3.2 required=3.0\n\ttests=PRIZE=2.5, NO_SUBJECT=1.25, LIST=-0.5"),
    )


def test_only_the_headers_that_are_wanted_are_put_in() -> None:
    limits = Thresholds(5, 8, 15)
    clean = Found(-0.5, HITS[2:])
    assert headers(clean, decide(-0.5, limits), limits, ScoreSettings(headers=["flag", "level"])) == (
        Header("X-Spam-Flag", "NO"),
    )
    assert headers(clean, decide(-0.5, limits), limits, ScoreSettings(headers=[])) == ()


def test_a_high_score_has_a_bounded_level() -> None:
    limits = Thresholds(5, 8, 15)
    (level,) = headers(Found(1e9, ()), decide(1e9, limits), limits, ScoreSettings(headers=["level"]))
    assert level.value == "*" * 50


def test_a_refusal_says_what_weighed_most_and_not_what_strangers_wrote() -> None:
    limits = Thresholds(1, 0, 3)
    said = reply(FOUND, decide(3.25, limits), "G7K2-9QFD", "en", ScoreSettings())
    assert said is not None
    assert (said.code, said.enhanced) == (550, "5.7.1")
    assert "it promises a prize. it has no subject. If" in said.text
    assert "you have won" not in said.text
    assert said.text.endswith("; ref G7K2-9QFD")
    italian = reply(FOUND, decide(3.25, limits), "", "it", ScoreSettings())
    assert italian is not None
    assert "promette un premio. non ha oggetto. Se" in italian.text


def test_a_refusal_names_first_what_its_sender_can_change() -> None:
    hits = (Hit("BAYES_99", 9.0, "learned as spam", ""), *HITS)
    said = reply(FOUND._replace(hits=hits), decide(15, Thresholds(1, 0, 3)), "", "en", ScoreSettings())
    assert said is not None
    assert "spam. it promises a prize. it has no subject. If" in said.text


def test_a_message_that_is_taken_has_no_reply() -> None:
    assert reply(FOUND, decide(3.25, Thresholds(1, 2, 15)), "", "en", ScoreSettings()) is None


def test_headers_of_strangers_are_taken_out_whatever_their_case_each_by_its_place() -> None:
    fields = [
        Field(b"Subject", b" X-Spam-Flag: YES"), Field(b"X-Spam-Flag", b" NO"), Field(b"x-spam-flag", b" NO"),
        Field(b"X-Spam-Status ", b" No"), Field(b"X-Spamd-Result", b" default: False"), Field(b"X-Spa", b" well"),
    ]  # fmt: skip
    assert foreign(fields) == (
        Change("X-Spam-Flag", 1, ""), Change("x-spam-flag", 2, ""), Change("X-Spam-Status ", 1, ""),
        Change("X-Spamd-Result", 1, ""),
    )  # fmt: skip


def test_what_was_found_is_not_told_twice() -> None:
    hit = Hit("LISTED_X", 2.0, "a link leads to bad.example, which is on the list x", "", "bad.example")
    assert sentences([hit], "en") == "+2 a link leads to bad.example, which is on the list x"


def test_what_weighs_against_is_told_by_its_size_and_the_rest_in_a_sum() -> None:
    small = [Hit(f"SMALL_{place}", 0.1 * place, "it is small", "") for place in range(1, 10)]
    said = sentences([*small, Hit("BAYES_00", -2.0, "learned as wanted", "imparato come desiderato")], "en")
    assert said.startswith("-2 learned as wanted; +0.9 it is small; ")
    assert said.endswith("; 2 more: +0.3 in all")
    assert sentences(small, "it").endswith("; ancora 1: +0.1 in tutto")


def test_headers_of_strangers_that_go_are_counted() -> None:
    limits = Thresholds(3, 8, 15)
    assert "foreign_fields" not in basis(FOUND, decide(3.25, limits), limits)
    known = basis(FOUND._replace(foreign=2), decide(3.25, limits), limits)
    assert known["foreign_fields"] == 2
    assert "X-Spam headers that it brought along were taken out: 2." in advice("spam", known, "en")[0]
    assert "would have been taken out: 2." in advice("spam", {**known, "rehearsal": True}, "en")[0]
    assert "If it is not spam" in advice("spam", known, "en")[1]
