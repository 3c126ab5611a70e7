"""What the story shows of messages, and its summary."""

from __future__ import annotations

from lab import shown
from lab.scenes import FORGED, FORGERY, PHISHING, SCENES
from lab.smtp import letter


def test_a_letter_is_shown_by_its_author_subject_and_text() -> None:
    message = letter("a@tizio.it", "b@caio.it", "Ciao", "Vieni\na cena?").encode()
    assert shown.lines(message) == ["From: <a@tizio.it>", "Subject: Ciao", "Vieni a cena?"]
    assert shown.in_a_line(message) == '<a@tizio.it>, "Ciao": Vieni a cena?'


def test_what_a_letter_lacks_is_said() -> None:
    assert shown.lines(b"From: <a@tizio.it>\nDate: now\n\n") == ["From: <a@tizio.it>", "(no subject)", "(no text)"]


def test_results_that_a_forger_brings_along_are_shown() -> None:
    message = FORGERY.bringing + letter("tizio@tizio.it", "caio@caio.it", "Ciao", FORGERY.text)
    assert FORGED in shown.lines(message.encode())


def test_of_phishing_the_claim_to_be_no_spam_is_shown_and_where_its_link_leads() -> None:
    lines = shown.lines(PHISHING.raw.encode())
    assert lines[1:5] == [
        "Reply-To: <assistenza@conto-verifica.example>",
        "Subject: Il suo conto e' stato sospeso: verifica entro 24 ore",
        "X-Spam-Flag: NO",
        "X-Spam-Status: No, score=-5.0",
    ]
    assert lines[5].startswith("Gentile cliente, abbiamo notato")
    assert lines[6:] == [
        "(a link that shows www.bancadelborgo.it/area-clienti leads to http://conto-verifica.example/accesso?id=4711)"
    ]


def test_long_lines_are_shortened_at_a_blank() -> None:
    [_, _, text] = shown.lines(b"From: a\nSubject: b\n\n" + b"word " * 40)
    assert len(text) <= 110
    assert text.endswith(" word ...")


def test_the_summary_counts_what_ended_alike() -> None:
    ends = [("Tizio", "in INBOX"), ("a thief", "refused"), ("Tizio", "in INBOX"), ("Tizio", "refused")]
    assert shown.summary(ends, (), 80) == "  Tizio    2 in INBOX, 1 refused\n  a thief  1 refused"


def test_the_summary_says_of_whom_something_went_wrong() -> None:
    assert shown.summary([("Tizio", "lost"), ("Caio", "refused")], ["Tizio"], 80).splitlines() == [
        "  Tizio  1 lost: NOT AS TOLD", "  Caio   1 refused",
    ]  # fmt: skip


def test_the_summary_wraps_beside_the_names() -> None:
    ends = [("Tizio", "in INBOX"), ("Tizio", "in Junk")]
    assert shown.summary(ends, (), 21) == "  Tizio  1 in INBOX,\n         1 in Junk"


def test_every_scene_has_a_line_in_the_summary() -> None:
    assert all(scene.actor and scene.gist for scene in SCENES)
