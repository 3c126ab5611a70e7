"""A message is made into words that tell what it is, and not when it came."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vaglio.checks.score.tokens as words
from vaglio.checks.score.reading import Reading, read_message
from vaglio.checks.score.tokens import MAX_TOKENS, tokens_of
from vaglio.milter.replay import read

DATA = Path(os.environ.get("VAGLIO_DATA") or Path(__file__).parents[4] / "shared" / "data") / "mime"

LETTER = """\
Received: from mx7.out.caio.example ([192.0.2.7]) by mx.vaglio.example with ESMTP id 4Xyz12; Mon, 2 Mar 2026 10:00:00
Message-ID: <20260302.7f3a$ab@caio.example>
Date: Mon, 2 Mar 2026 10:00:00 +0100 (CET)
From: Caio Rossi <caio.rossi99@news.caio.co.uk>
To: tizia@vaglio.example
References: <one@list.example> <two@list.example>
X-Mailer: PostWriter 7.0.2
Subject: =?iso-8859-1?q?Ultima_offerta!?=
Content-Type: text/plain; charset=iso-8859-1

Click HERE now: $1,000 and 50% off, supercalifragilisticexpialidocious.
http://www.shop7.example/win/prize.php?id=12345
"""


def reading(message: str | bytes) -> Reading:
    fields, body = read(message.encode() if isinstance(message, str) else message)
    return read_message(fields, body, len(body))


def tokens(message: str | bytes) -> set[str]:
    return {*tokens_of(reading(message))}


def body(text: str) -> list[str]:
    """Return the words of a text."""
    found = tokens_of(reading("Subject: x\n\n" + text))
    return [token for token in found if token[:5] not in ("head:", "subj:", "link:", "part:")]


# --- text ---


def test_words_and_their_neighbours_in_lower_case() -> None:
    assert body("Click HERE now") == ["click", "here", "now", "click_here", "here_now"]


def test_a_word_counts_once() -> None:
    assert body("spam, spam, spam") == ["spam", "spam_spam"]


def test_numbers_are_only_their_length() -> None:
    assert body("$1,000 and 50% in 20260302") == [
        "$#,###", "and", "##%", "in", "####", "$#,###_and", "and_##%", "##%_in", "in_####",
    ]  # fmt: skip


def test_of_a_long_word_only_the_beginning() -> None:
    assert body("supercalifragilisticexpialidocious") == ["super~"]


def test_words_of_all_languages() -> None:
    assert body("È così! Straße Привет") == ["così!", "straße", "привет", "così!_straße", "straße_привет"]


# --- the rest ---


@pytest.mark.parametrize(
    "token",
    [
        "subj:ultima", "subj:^ ultima", "subj:ultima offerta!", "subj:signs !", "subj:iso-8859-1 q",
        "head:host mx7.out.caio.example", "head:host caio.example", "head:host .example",
        "head:net 192.0.2.7", "head:net 192.0.2", "head:net 192.0",
        "head:id @caio.example", "head:id 9.9a9a$a", "head:zone +0100 CET",
        "head:from caio.rossi99@news.caio.co.uk", "head:from @caio.co.uk", "head:from @.uk", "head:from a.a9@",
        "head:from Caio", "head:to of 1", "head:reference @list.example", "head:references 2",
        "head:x-mailer: PostWriter #.#.#",
        "head:date, from", "head:type charset=iso-8859-1",
        "link:www.shop7.example", "link:@shop7.example", "link:/prize", "link:/php",
        "part:text/plain", "part:text/plain; iso-8859-1; ",
    ],
)  # fmt: skip
def test_each_place_has_words_of_its_own(token: str) -> None:
    assert token in tokens(LETTER)


def test_the_same_letter_a_day_later_has_the_same_words() -> None:
    later = LETTER.replace("4Xyz12", "5Abc34").replace("2 Mar 2026", "3 Apr 2026")
    later = later.replace("20260302.7f3a", "20260403.8b1c")
    assert tokens(later) == tokens(LETTER)


def test_where_a_host_stands_in_the_trace_does_not_matter() -> None:
    trace = ["Received: from a.example by b.example", "Received: from c.example by d.example"]
    hosts = [
        {token for token in tokens("\n".join([*order, "Subject: x", "", "y"])) if token.startswith("head:host")}
        for order in (trace, trace[::-1])
    ]
    assert hosts[0] == hosts[1]


def test_an_attachment_is_known_by_its_name_and_kind() -> None:
    found = tokens(
        "Content-Type: application/zip; name=Fattura123.ZIP\nContent-Disposition: attachment\n\nPK"
    )
    assert {"part:name fattura###.zip", "part:name .zip", "part:application/zip"} <= found


# --- what is added pushes nothing aside ---


def filler(mark: str, number: int) -> str:
    """Return as many different words."""
    return " ".join(f"{mark}{chr(97 + index // 676)}{chr(97 + index // 26 % 26)}{chr(97 + index % 26)}"
                    for index in range(number))  # fmt: skip


def alternatives(plain: str, page: str) -> str:
    return (
        "Subject: x\nContent-Type: multipart/alternative; boundary=b\n\n"
        f"--b\nContent-Type: text/plain\n\n{plain}\n--b\nContent-Type: text/html\n\n<p>{page}</p>\n--b--\n"
    )


SPAM = "win this prize"
PRIZE = {"win", "prize"}


@pytest.mark.parametrize("names", [["Received"] * 20, ["To"] * 60, [f"X-{n}" for n in range(500)], ["References"] * 99])
def test_junk_in_the_header_leaves_the_words_of_every_place(names: list[str]) -> None:
    junk = ""
    for number, name in enumerate(names):
        hosts = filler(f"h{chr(97 + number % 26)}", 20).split()
        text = " ".join(f"{host}@a.example {host}.{host}.example 10.{number}.{ord(host[-1])}.7" for host in hosts)
        junk += f"{name}: {text}\n"
    assert tokens(LETTER) - tokens(junk + LETTER) <= {
        token for token in tokens(LETTER) if token.startswith(("head:host", "head:net", "head:to", "head:reference"))
    } | {
        token for token in tokens(LETTER) if token.startswith("head:") and (", " in token or "fields" in token)
    }  # fmt: skip


def test_of_many_received_the_newest_count() -> None:
    trace = "".join(f"Received: from {word}.example by b.example\n" for word in filler("r", 20).split())
    found = tokens(f"{trace}Subject: x\n\ny")
    assert "head:host raaa.example" in found
    assert "head:host raat.example" not in found


def test_junk_links_leave_the_hosts_of_the_first_and_the_last() -> None:
    junk = " ".join(f"http://{word}.example/{'/'.join(filler('l', 12).split())}" for word in filler("l", 150).split())
    found = tokens(f"Subject: x\n\nhttp://first.example {junk} http://last.example")
    assert {"link:first.example", "link:last.example"} <= found


@pytest.mark.parametrize(
    "message",
    [
        alternatives(filler("w", 2000), SPAM),
        alternatives(SPAM, filler("w", 2000)),
        alternatives("", f"{filler('w', 3000)} {SPAM}"),
        alternatives("", f"{filler('w', 3000)} {SPAM} {filler('v', 3000)}"),
        alternatives(filler("v", 3000), f"{SPAM} {filler('w', 3000)}"),
        alternatives(filler("v", 3000), f"{filler('w', 3000)} {SPAM}"),
    ],
    ids=["plain before", "page behind", "in front", "around", "both behind", "both before"],
)
def test_long_harmless_text_leaves_the_words_of_what_is_shown_with_it(message: str) -> None:
    assert tokens(message) >= PRIZE


def test_many_harmless_parts_leave_the_words_of_the_last() -> None:
    parts = "".join(f"--b\nContent-Type: text/plain\n\n{filler('w', 900)}\n" for _ in range(60))
    last = f"--b\nContent-Type: text/plain\n\n{SPAM}\n--b--\n"
    assert tokens(f"Content-Type: multipart/mixed; boundary=b\n\n{parts}{last}") >= PRIZE


def test_a_page_in_an_attachment_has_no_words_of_the_text() -> None:
    page = "Content-Type: text/html\nContent-Disposition: attachment\n\n<p>secret</p>"
    assert "secret" not in tokens(f"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nshown\n--b\n{page}\n--b--\n")


# --- bounds ---


def test_a_message_has_no_more_words_than_may_be() -> None:
    words = [a + b + c for a in "abcdefghij" for b in "klmnopqrst" for c in "uvwxyzabcd"]
    header = "".join(f"X-{word}: {' '.join(words[place : place + 20])}\n" for place, word in enumerate(words))
    assert len(tokens_of(reading(f"{header}\n{' '.join(words)}"))) <= MAX_TOKENS


def test_of_a_long_field_the_beginning_counts() -> None:
    assert "head:from caio@caio.example" in tokens(f"From: caio@caio.example {'x' * 1000}\n\nx")
    assert "head:from caio@caio.example" not in tokens(f"From: {'x' * 1000} caio@caio.example\n\nx")


def test_addresses_without_an_at_sign_are_still_words() -> None:
    assert {"head:to undisclosed", "head:to of 0"} <= tokens("To: undisclosed\n\nx")


def test_what_is_kept_of_words_has_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_MOST_KEPT", 3)
    kept = words._Words()
    for run in ("one", "two", "(three)", "four", "x" * 8000):
        assert kept[run] == kept[run] == (words._plain(run.strip("()")),)
        assert len(kept) <= 3
    assert "x" * 8000 not in kept


@pytest.mark.parametrize(
    "piece",
    ["a.", "a-'", "$", "!!", "_", "a_", "0.", "ab.cd", "http://", "é", "\u0130", "\ud7ff", "x@", "=?", "<", "1.2.3.4 "],
)
@pytest.mark.parametrize("place", ["Subject", "Received", "From", "Message-ID", "Date", "Content-Type", "X-Any", ""])
def test_hostile_text_gives_few_words_and_no_exception(place: str, piece: str) -> None:
    text = piece * 20_000
    message = f"{place}: {text}\n\nx" if place else f"Subject: x\n\n{text}"
    assert len(tokens_of(reading(message))) <= MAX_TOKENS


@given(st.binary(max_size=400))
def test_any_bytes_have_words(raw: bytes) -> None:
    assert all(tokens_of(reading(raw)))


def test_all_shared_messages_have_words() -> None:
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is not there: VAGLIO_DATA names the folder of the shared data")
    for file in sorted(DATA.glob("*/*")):
        if file.is_file() and file.suffix != ".json":
            found = tokens_of(reading(file.read_bytes()))
            assert 0 < len(found) <= MAX_TOKENS
            assert all(len(token) <= 300 for token in found), file
