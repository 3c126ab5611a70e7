"""The rules that ship: all can be used, each says why in words that fit any reply; spam is told from wanted mail."""

from __future__ import annotations

import configparser
import importlib.util
import itertools
import re
from pathlib import Path

import pytest

from vaglio.checks.score.case import UNKNOWN, Case
from vaglio.checks.score.learning import BODY, HEADER
from vaglio.checks.score.oddfacts import FACTS, Circumstances, facts_of
from vaglio.checks.score.reading import read_message
from vaglio.checks.score.rulefiles import load_rules
from vaglio.checks.score.rules import Judgement
from vaglio.checks.score.ruletext import BayesSays, FactHolds, Rule
from vaglio.checks.score.settings import ScoreSettings
from vaglio.facts import Envelope, Session, Stage, client_of
from vaglio.milter.replay import read
from vaglio.verdict import AuthResult

ROOT = Path(__file__).parents[3]
SETTINGS = ScoreSettings()
RULES, PROBLEMS = load_rules(SETTINGS)
SHOWN = [rule for rule in RULES.rules if rule.score]


def judged(message: str, probability: float = UNKNOWN, results: tuple[AuthResult, ...] = ()) -> Judgement:
    about = Circumstances(client_of(""), Envelope("", ""), Session(Stage.END_OF_MESSAGE), results=results)
    headers, body = read(message.encode())
    reading = read_message(headers, body, len(body))
    return RULES.judge(Case(reading, facts_of(reading, about), probability))


def symbols(message: str) -> set[str]:
    return {hit.symbol for hit in judged(message).hits}


def test_all_rules_can_be_used() -> None:
    assert PROBLEMS == []
    assert len(SHOWN) > 100
    assert not SETTINGS.rules


@pytest.mark.parametrize("rule", SHOWN, ids=lambda rule: rule.symbol)
def test_each_rule_says_why_in_two_languages_in_ascii(rule: Rule) -> None:
    for sentence in (rule.en, rule.it):
        assert re.fullmatch(r"[A-Z][ -~]{9,99}", sentence)
        assert not sentence.endswith(".")
    assert rule.en != rule.it


def test_points_are_written_with_one_digit() -> None:
    assert all(rule.score == round(rule.score, 1) for rule in SHOWN)


def test_no_single_rule_tags_but_the_test_string_and_what_was_learned() -> None:
    assert {rule.symbol for rule in SHOWN if rule.score >= SETTINGS.tag} <= {"GTUBE", "BAYES_100"}


def test_words_alone_never_tag() -> None:
    assert RULES.caps["words"] < SETTINGS.tag


def test_they_are_installed() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert "rules.d/*.toml" in setup["options.package_data"]["vaglio.checks.score"].split()


def test_rules_name_facts_that_there_are() -> None:
    assert {rule.matcher.fact for rule in RULES.rules if isinstance(rule.matcher, FactHolds)} <= FACTS.keys()


def test_rules_are_of_the_groups_by_which_learning_tells_where_they_look() -> None:
    against = [rule for rule in SHOWN if rule.score > 0 and not rule.symbol.startswith(("BAYES", "GTUBE"))]
    assert [rule.symbol for rule in against if rule.group not in HEADER | BODY] == []


def test_no_rule_speaks_for_a_message_by_more_than_what_makes_up_for_one_against_it() -> None:
    easily_forged = [rule for rule in SHOWN if rule.score < 0 and not rule.symbol.startswith("BAYES")]
    assert all(rule.score >= -1 for rule in easily_forged)


def test_bands_of_probability_meet_but_where_nothing_is_known() -> None:
    rules = (rule.matcher for rule in RULES.rules if isinstance(rule.matcher, BayesSays))
    bands = sorted((band.low, band.high) for band in rules)
    assert (bands[0][0], bands[-1][1]) == (0.0, 1.0)
    apart = [(high, low) for (_, high), (low, _) in itertools.pairwise(bands) if high != low]
    assert len(apart) == 1  # where nothing is known
    assert apart[0][0] < 0.5 < apart[0][1]
    assert judged(HAM, 1.0).hits[0].symbol == "BAYES_100"
    assert judged(HAM, 0.0).hits[-1].symbol == "BAYES_00"
    assert judged(HAM, 0.5).hits == judged(HAM).hits


def message(sender: str, subject: str, text: str, *more: str) -> str:
    lines = [
        "Received: from mx.tizio.it (mx.tizio.it [198.51.100.7]) by mail.caio.it (Postfix) with ESMTPS id 4XyZ1a2b3c;",
        "\tMon, 21 Sep 2026 13:33:20 +0000 (UTC)",
        "Message-ID: <87abc.fsf@tizio.it>",
        "Date: Mon, 21 Sep 2026 15:33:10 +0200",
        f"From: {sender}",
        "To: Caia <caia@caio.it>",
        f"Subject: {subject}",
        "MIME-Version: 1.0",
    ]
    if not any(field.startswith("Content-Type") for field in more):
        lines.append("Content-Type: text/plain; charset=utf-8")
    return "\n".join([*lines, *more, "", text, ""])


HAM = message("Tizio Rossi <tizio@tizio.it>", "Riunione di domani", "Cara Caia,\n\nci vediamo alle dieci.\n\nTizio")


@pytest.mark.parametrize(
    "wanted",
    [
        HAM,
        message(
            "Tizio <tizio8@gmail.com>",
            "Re: conferma ordine n. 881!",
            "Gentile Caia,\n\n> va bene?\nSi', grazie. Allego la fattura di EUR 1.250,00.\nhttps://www.tizio.it/\n",
            "In-Reply-To: <1@caio.it>",
        ),
        message("Tizio <tizio@tizio.it>", "FATTURA 12", "Buongiorno, la fattura.\nTizio", "X-Priority: 1"),
        message(
            "Negozio <info@tizio.it>",
            "Le offerte di settembre",
            "<html><body><p>Gentile cliente, ecco le offerte del mese: sconto del 20%, spedizione gratuita.</p>"
            "<p><a href='https://www.tizio.it/'>Vai al negozio</a></p><p>Per cancellarsi dalla lista: "
            "<a href='https://www.tizio.it/via'>clicca qui</a></p></body></html>",
            "Content-Type: text/html; charset=utf-8",
            "List-Unsubscribe: <https://www.tizio.it/via>",
        ),
        message("Tizio <tizio@tizio.it>", "foto", "", 'Content-Type: image/jpeg; name="gatto.jpg"'),
    ],
)  # fmt: skip
def test_wanted_mail_is_not_tagged(wanted: str) -> None:
    found = judged(wanted)
    assert found.score < SETTINGS.tag, found.hits


@pytest.mark.parametrize(
    "spam",
    [
        message(
            '"Poste Italiane" <sicurezza@tizio.example>',
            "Avviso: il suo conto e' sospeso!",
            "<html><p>Gentile cliente, il suo conto e' stato sospeso per un accesso anomalo. Verifichi i suoi dati:"
            "</p><a href='http://203.0.113.9/poste'>https://www.poste.it/accesso</a></html>",
            "Content-Type: text/html; charset=utf-8",
        ),
        message(
            "Corriere <avviso@tizio.example>",
            "URGENTE: pacco in giacenza",
            "<html><p>Il suo pacco e' in giacenza. Per la consegna pagare le spese di spedizione di 2,99 euro.</p>"
            "<a href='http://www.dhl.it@xn--dh-hka.example.top/paga'>clicca qui</a></html>",
            "Content-Type: text/html; charset=utf-8", "Reply-To: corriere.pacchi@gmail.com",
        ),
        message(
            "admin <admin@tizio.example>", "VIAGRA AND CIALIS ONLINE!!!",
            "Buy now! Online pharmacy, no prescription, best price, money back. Click here: http://203.0.113.9/",
            "X-Mailer: Microsoft Outlook Express 6.00.2600.0000",
        ),
        message(
            "Contabilita <conti@tizio.example>", "Fattura", "--b\nContent-Type: text/html\n\n<p>In allegato.</p>\n--b\n"
            'Content-Type: application/octet-stream; name="fattura.pdf.exe"\n\nMZ\n--b--\n',
            'Content-Type: multipart/mixed; boundary="b"',
        ),
    ],
)  # fmt: skip
def test_spam_is_tagged(spam: str) -> None:
    found = judged(spam)
    assert found.score >= SETTINGS.tag, (found.score, found.hits)


def test_no_subject_and_no_text_count_a_little() -> None:
    bare = message("Tizio <tizio@tizio.it>", "", "")
    assert {"NO_SUBJECT", "EMPTY_BODY"} <= symbols(bare)
    assert 0 < judged(bare).score < SETTINGS.tag


def test_the_test_message_is_refused() -> None:
    text = "XJS*C4JDBQADN1.NSBN3*2IDNEN*" + "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
    assert judged(message("Tizio <tizio@tizio.it>", "prova", text)).score >= SETTINGS.reject


@pytest.mark.parametrize(
    ("symbol", "subject", "text"),
    [
        ("WORDS_MONEY", "ciao", "Earn an extra income working from home"),
        ("WORDS_MONEY", "ciao", "Guadagni extra lavorando da casa"),
        ("WORDS_LOAN", "ciao", "prestiti personali, cessione del quinto"),
        ("WORDS_PARCEL", "ciao", "Your parcel could not be delivered"),
        ("WORDS_ACCOUNT", "ciao", "Your account has been suspended, please verify your account"),
        ("WORDS_ACCOUNT_IT", "ciao", "La sua carta e' stata bloccata"),
        ("WORDS_STATE_IT", "ciao", "Il rimborso INPS e' disponibile"),
        ("WORDS_EXTORTION", "ciao", "I have recorded a video of you. Pay 900 USD in bitcoin within 48 hours"),
        ("WORDS_PRIZE", "ciao", "Congratulazioni, hai vinto un buono regalo"),
        ("WORDS_REMOVE", "ciao", "To be removed from this list, click here"),
        ("SUBJECT_URGENT", "Azione richiesta: verifica", "testo"),
        ("SUBJECT_OFFER", "Sconto del 50%", "testo"),
        ("SUBJECT_ADVERTISEMENT", "ADV: printers", "testo"),
    ],
)
def test_words_are_found_in_both_languages(symbol: str, subject: str, text: str) -> None:
    assert symbol in symbols(message("Tizio <tizio@tizio.it>", subject, text))


def test_results_of_authentication_count() -> None:
    failed = judged(HAM, results=(AuthResult("spf", "fail"), AuthResult("dmarc", "fail")))
    assert failed.score == min(sum(hit.score for hit in failed.hits), RULES.caps["auth"])
    signed = judged(HAM, results=(AuthResult("dkim", "pass", (("header.d", "tizio.it"),)),))
    assert [hit.symbol for hit in signed.hits] == ["DKIM_ALIGNED"]


def test_the_page_about_the_rules_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("score_rules", ROOT / "docs" / "score_rules.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.PAGE.read_text()
    assert module.page(text) == text, "run: python docs/score_rules.py"
