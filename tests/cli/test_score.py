"""``vaglio score``: one message and why, or what the rules do to many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

Host = Any  # of conftest.py

RULES = r"""
[[rule]]
symbol = "OURS_PRIZE"
score = 6.0
en = "it promises a prize"
it = "promette un premio"
body = 'you have won'
[[rule]]
symbol = "OURS_RECEIVED"
score = 0.1
en = "it came through this host"
header = {name = "Received", pattern = 'by mx\.caio\.it'}
"""
HEAD = (
    "From: Tizio <tizio@tizio.it>\nTo: caio@caio.it\nDate: Sun, 22 Nov 2026 18:00:00 +0100\n"
    "Message-ID: <1.2@tizio.it>\n"
)
SPAM = HEAD + "Subject: news\n\nDear friend, you have won a prize, and that is all there is to be said.\n"
HAM = HEAD + "Subject: minutes\n\nThe minutes of our meeting of Tuesday are below, as always. See you.\n"


@pytest.fixture
def mail(host: Host, tmp_path: Path) -> Path:
    """A folder with a message of spam and two others; rules of our own."""
    (tmp_path / "rules.toml").write_text(RULES)
    host.configure(f'[score]\nrules = ["{tmp_path}/rules.toml"]\n[score.bayes]\nmin_learned = 2')
    folder = tmp_path / "mail"
    folder.mkdir()
    for name, text in (("1", HAM), ("2", SPAM), ("3", HAM.replace("Tuesday", "Monday"))):
        (folder / f"{name}.eml").write_text(text)
    return folder


def test_a_message_is_told_of_with_points_time_and_sentences(host: Host, mail: Path) -> None:
    said = host.fine("score", str(mail / "2.eml"), "--no-lists")
    assert "spam: its headers would say so" in said.splitlines()[0]
    (row,) = [line.split(maxsplit=3) for line in said.splitlines() if "OURS_PRIZE" in line and line.startswith("+")]
    assert (row[0], row[2], row[3]) == ("+6", "OURS_PRIZE", "it promises a prize (you have won)")
    assert int(row[1]) >= 0
    assert "Bayes has no say: 0 spam and 0 wanted messages were learned, 2 of each are wanted" in said
    assert "promette un premio" in host.fine("score", str(mail / "2.eml"), "--no-lists", "--language", "it")


def test_json_has_score_action_and_symbols(host: Host, mail: Path) -> None:
    found = host.json("score", str(mail / "2.eml"), "--no-lists")
    assert found["score"] >= 5
    assert (found["action"], found["required"]) == ("tag", 5)
    assert found["symbols"]["OURS_PRIZE"] == 6
    assert found["bayes"] is None
    (hit,) = [one for one in found["hits"] if one["symbol"] == "OURS_PRIZE"]
    assert hit["why"] == "it promises a prize (you have won)"
    assert 0 <= hit["seconds"] < 1
    assert host.json("score", str(mail / "1.eml"), "--no-lists")["action"] == "pass"


def test_what_this_host_put_on_top_of_a_message_is_left_out(host: Host, mail: Path) -> None:
    with host.config.open("a") as config:
        config.write('[identity]\nhostname = "mx.caio.it"\n')
    top = (
        "Return-Path: <tizio@tizio.it>\nDelivered-To: caio@caio.it\nReceived: from a by MX.caio.it (Postfix); today\n"
        "X-Spam-Flag: YES\nReceived: from mail.tizio.it ([192.0.2.25])\n\tby mx.caio.it (Postfix) with ESMTP; today\n"
    )
    other = "Received: from x by mail.tizio.it; today\n"
    (mail / "2.eml").write_text(top + other + SPAM)
    assert "OURS_RECEIVED" not in host.json("score", str(mail / "2.eml"), "--no-lists")["symbols"]
    (mail / "2.eml").write_text(other + top + SPAM)  # there somebody else wrote it
    assert "OURS_RECEIVED" in host.json("score", str(mail / "2.eml"), "--no-lists")["symbols"]


def test_thresholds_are_those_of_the_recipients(host: Host, mail: Path) -> None:
    with host.config.open("a") as config:
        config.write('[score.domains."caio.it"]\nreject = 5.5\n')
    spam = str(mail / "2.eml")
    assert host.json("score", spam, "--no-lists", "--to", "caio@caio.it")["action"] == "reject"
    assert host.json("score", spam, "--no-lists", "--to", "x@poi.it")["action"] == "tag"


def test_what_was_learned_has_a_say_unless_it_is_left_out(host: Host, mail: Path) -> None:
    host.fine("learn", "ham", str(mail / "1.eml"), str(mail / "3.eml"))
    (mail / "4.eml").write_text(SPAM.replace("friend", "customer"))
    host.fine("learn", "spam", str(mail / "2.eml"), str(mail / "4.eml"))
    bayes = host.json("score", str(mail / "2.eml"), "--no-lists")["bayes"]
    assert bayes > 0.5 > host.json("score", str(mail / "1.eml"), "--no-lists")["bayes"]
    assert host.json("score", str(mail / "2.eml"), "--no-lists", "--no-bayes")["bayes"] is None


def test_the_words_by_which_bayes_judged_are_told(host: Host, mail: Path) -> None:
    host.fine("learn", "ham", str(mail / "1.eml"), str(mail / "3.eml"))
    (mail / "4.eml").write_text(SPAM.replace("friend", "customer"))
    host.fine("learn", "spam", str(mail / "2.eml"), str(mail / "4.eml"))
    words = host.json("score", str(mail / "2.eml"), "--no-lists")["words"]
    assert 0 < len(words) <= 10
    assert all((one["spam"], one["wanted"]) == (2, 0) for one in words)
    assert f"{words[0]['word']} 2:0" in host.fine("score", str(mail / "2.eml"), "--no-lists")
    assert host.json("score", str(mail / "2.eml"), "--no-lists", "--no-bayes")["words"] == []


def test_a_corpus_gives_a_table_of_what_rules_fit(host: Host, mail: Path) -> None:
    said = host.fine("score", "--corpus", str(mail))
    assert said.startswith("3 messages: 2 no spam, 1 spam; ")
    rows = {line.split()[-1]: line.split() for line in said.splitlines() if line[:1].isdigit()}
    assert rows["OURS_PRIZE"][:4] == ["1", "33.3%", "1", "+6"]


def test_a_corpus_gives_a_line_of_json_for_each_message(host: Host, mail: Path) -> None:
    lines = [json.loads(line) for line in host.fine("score", "--corpus", str(mail), "--json").splitlines()]
    assert [Path(line["file"]).name for line in lines] == ["1.eml", "2.eml", "3.eml"]
    assert [line["action"] for line in lines] == ["pass", "tag", "pass"]
    assert all(line.keys() == {"file", "score", "action", "bayes", "symbols", "ms"} for line in lines)


def test_what_is_no_message_is_told_and_the_rest_is_judged(host: Host, mail: Path) -> None:
    (mail / "0").write_text("no header at all\n")
    said = host.run("score", "--corpus", str(mail))
    assert said.status == 1
    assert said.out.startswith("3 messages:")
    assert "mail/0: this is no message: no header found" in said.err
    alone = host.run("score", str(mail / "0"), "--no-lists")
    assert (alone.status, alone.out) == (1, "")
    assert "this is no message" in alone.err


def test_lists_are_asked_about_links_where_a_zone_answers(host: Host, mail: Path, tmp_path: Path) -> None:
    (mail / "2.eml").write_text(SPAM.replace("prize,", "prize http://www.trappola.example/x,"))
    (tmp_path / "zone").write_text("trappola.example.multi.surbl.org A 127.0.0.8\n")
    found = host.json("score", str(mail / "2.eml"), "--zone", str(tmp_path / "zone"))
    assert "LISTED_SURBL" in found["symbols"]
    assert "LISTED_SURBL" in host.fine("score", "--corpus", str(mail), "--zone", str(tmp_path / "zone"))
    assert "LISTED_SURBL" not in host.fine("score", "--corpus", str(mail))


def test_rules_that_are_wrong_are_told_and_the_others_hold(host: Host, mail: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(RULES + '[[rule]]\nsymbol = "BAD"\nscore = 1\nen = "x"\nbody = "("\n')
    said = host.run("score", str(mail / "2.eml"), "--no-lists", "--json")
    assert "rules.toml:17: rule BAD" in said.err
    assert "OURS_PRIZE" in json.loads(said.out)["symbols"]


def test_one_says_a_file_or_a_corpus(host: Host, mail: Path) -> None:
    assert host.run("score").status == 2
    assert host.run("score", "x", "--corpus", str(mail)).status == 2


def test_italian_is_italian_from_the_first_line_to_the_last(host: Host, mail: Path) -> None:
    said = host.fine("score", str(mail / "2.eml"), "--no-lists", "--language", "it").splitlines()
    assert said[0].endswith("punti su 5: è spam: lo direbbero le intestazioni")
    assert ["punti", "us", "simbolo", "perché"] in map(str.split, said)
    assert "ms in tutto; le regole più lente" in " ".join(said)
    assert host.fine("score", "--corpus", str(mail), "--language", "it").startswith("3 messaggi: 2 non spam, 1 spam; ")
    assert "found x and --corpus, wanted a FILE or a --corpus" in host.run("score", "x", "--corpus", str(mail)).err


def test_who_sent_a_message_is_its_author_where_nobody_says_otherwise(host: Host, mail: Path) -> None:
    facts = host.json("score", str(mail / "2.eml"), "--no-lists")["facts"]
    assert "sender-other" not in facts
    other = host.json("score", str(mail / "2.eml"), "--no-lists", "--from", "x@sempronio.it")["facts"]
    assert other["sender-other"] == "sempronio.it"


def test_a_corpus_of_one_message_is_counted_as_one(host: Host, mail: Path) -> None:
    assert host.fine("score", "--corpus", str(mail / "1.eml")).startswith("1 message: 1 no spam; ")
