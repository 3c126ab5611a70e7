"""Header values and replies on their way out: nothing gets in that does not belong there, nothing is lost."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vaglio.milter.text import MAX_LINE, MAX_VALUE, doubled, header_name, header_value, name_there, reply_text

ANYTHING = (
    st.text()
    | st.text("ab è\t\r\n \0\udcff", max_size=400)
    | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape"))
)
NAME = b"X-Vaglio"


def unfolded(value: bytes) -> bytes:
    return value.replace(b"\n", b"")


# --- header values ----------------------------------------------------------------------------------------------------


@settings(max_examples=500, deadline=None)
@given(ANYTHING)
@example("a\n\nb")
@example("a\r\n \r\n\tb")
@example("\n\n \n")
@example("a\n .\r\n")
@example("\ud800\udcff\udfff")
def test_no_value_can_end_its_field_or_begin_a_line_of_its_own(value: str) -> None:
    first, *others = header_value(value, NAME).split(b"\n")
    for line in others:
        assert line[:1] in (b" ", b"\t")
        assert line.strip(b" \t")
    for line in (first, *others):
        assert re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", line) is None
        assert len(line) <= 998 - 62


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text("abcdè", min_size=1, max_size=30), min_size=1, max_size=60))
def test_words_are_folded_to_short_lines_and_nothing_changes_by_it(words: list[str]) -> None:
    value = header_value(" ".join(words), NAME)
    assert unfolded(value) == " ".join(words).encode()
    lines = (NAME + b": " + value).split(b"\n")
    assert max(map(len, lines)) <= MAX_LINE
    for line, after in pairwise(lines):
        assert len(line) + len(after.split(b" ")[1]) + 1 > MAX_LINE


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200).filter(lambda raw: not re.search(rb"[\x00-\x1f\x7f\xc2\xe2]", raw)))
def test_bytes_of_strangers_go_as_they_came(raw: bytes) -> None:
    assert unfolded(header_value(raw.decode("utf-8", "surrogateescape"))) == raw.strip(b" ")


def test_a_place_to_fold_is_kept() -> None:
    assert header_value("mail.caio.it;\n\tspf=pass;\r\n  dkim=none") == b"mail.caio.it;\n\tspf=pass;\n  dkim=none"


def test_a_line_break_without_a_blank_behind_it_is_a_blank() -> None:
    assert header_value("a\r\nBcc: caio@caio.it\nX: y\rZ: 1") == b"a  Bcc: caio@caio.it X: y Z: 1"


def test_lines_of_blanks_are_left_out() -> None:
    assert header_value(" \t\n \n\ta \n \r\n \t\n b\n\t") == b"a\n b"


@pytest.mark.parametrize("control", ["\0", "\x1b", "\x7f", "\x85", "\u2028", "\u2029"])
def test_controls_are_blanks(control: str) -> None:
    assert header_value(f"a{control}b") == b"a b"


def test_a_surrogate_that_is_no_byte_is_replaced() -> None:
    assert header_value("a\ud800b\udcfec") == "a\ufffdb".encode() + b"\xfec"


def test_what_is_empty_stays_empty() -> None:
    assert header_value("") == header_value(" \t\r\n\0") == b""


@pytest.mark.parametrize("letter", ["x", "è", "\u20ac", "\U0001f4e7", "\udcff"])
def test_a_word_too_long_for_any_line_is_broken_between_characters(letter: str) -> None:
    lines = header_value(letter * 3000).split(b"\n")
    assert max(map(len, lines)) <= 998 - 62
    assert b"".join(line.strip() for line in lines) == (letter * 3000).encode("utf-8", "surrogateescape")[:MAX_VALUE]
    if letter != "\udcff":
        assert [line.decode().strip(letter).strip() for line in lines] == [""] * len(lines)


def test_a_long_value_is_cut_between_characters() -> None:
    value = header_value("è" * MAX_VALUE)
    assert len(value) <= MAX_VALUE * 1.03
    value.decode()


@pytest.mark.parametrize(
    "hostile", [" ", "\t ", "\n ", "\r\n", "\n", "\0", "a ", "a\n ", " a", "x", "\udcff", "\r", " \r\n\t", "è\x85"]
)
def test_hostile_text_takes_no_time(hostile: str) -> None:
    value = hostile * (1_000_000 // len(hostile))
    before = time.process_time()
    result = header_value(f"a{value}b")
    assert time.process_time() - before < 0.2
    assert len(result) < MAX_VALUE * 1.03


# --- header names -----------------------------------------------------------------------------------------------------


def test_a_name_is_bytes() -> None:
    assert header_name("Received-SPF") == b"Received-SPF"


@pytest.mark.parametrize("name", ["", "X:", "X Y", "X\r\nBcc", "Xè", "X\udcff", "x" * 61])
def test_a_name_that_no_field_can_have_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="want a header field's name"):
        header_name(name)


@pytest.mark.parametrize("name", ["X-Spam-Flag", "x-spam-flag \t", "Subject\udcff", "X-Spam-" + "y" * 900])
def test_a_field_that_is_in_the_message_is_found_by_its_name_whatever_that_is(name: str) -> None:
    assert name_there(name) == name.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("name", ["", "X-Spam: YES", "X\r\nY", "X\nY", "X\0"])
def test_what_can_be_in_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="as it stands in the message"):
        name_there(name)


# --- replies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "enhanced", "begins"),
    [
        (550, "5.7.23", "550 5.7.23 "),
        (451, "4.4.3", "451 4.4.3 "),
        (421, "4.7.0", "421 4.7.0 "),
        (550, "4.7.1", "550 5.7.1 "),
        (451, "5.7.1", "451 4.3.0 "),
        (550, "", "550 5.7.1 "),
        (550, "5.7.1\r\n", "550 5.7.1 "),
        (550, "5.7.1000", "550 5.7.1 "),
        (550, "5.\u0667.1", "550 5.7.1 "),
        (250, "2.0.0", "451 4.3.0 "),
        (599, "5.0.0", "451 4.3.0 "),
        (0, "", "451 4.3.0 "),
        (-550, "5.7.1", "451 4.3.0 "),
        (5500, "5.7.1", "451 4.3.0 "),
    ],
)
def test_codes_that_do_not_fit_become_safe_ones(code: int, enhanced: str, begins: str) -> None:
    assert reply_text(code, enhanced, "no") == f"{begins}no"


def test_a_reply_says_something() -> None:
    assert reply_text(550, "5.7.1", "\r\n") == "550 5.7.1 Not accepted"
    assert reply_text(451, "4.3.0", "") == "451 4.3.0 Please try again later"


@settings(max_examples=300, deadline=None)
@given(st.integers(), st.text(), ANYTHING)
def test_a_reply_is_one_line_of_bounded_utf8(code: int, enhanced: str, text: str) -> None:
    reply = reply_text(code, enhanced, text).encode()
    assert re.fullmatch(rb"([45])\d\d \1\.\d{1,3}\.\d{1,3} [^\x00-\x1f\x7f]+", reply)
    assert len(reply) <= len("550 5.123.123 ") + 400


def test_per_cent_signs_are_doubled_last() -> None:
    assert reply_text(550, "5.7.1", "100%s") == "550 5.7.1 100%s"
    assert doubled("100%s %%") == "100%%s %%%%"
