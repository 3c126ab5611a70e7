from __future__ import annotations

import re
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaglio.journal.references import ALPHABET, normalise, references


def test_a_reference_is_two_groups_of_four_without_i_l_o_u() -> None:
    for _ in range(2000):
        assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}", next(references()))


def test_references_use_the_whole_alphabet_and_do_not_repeat() -> None:
    some = list(islice(references(), 5000))
    assert len(set(some)) > 4995  # two alike among them: once in 90,000 runs
    for place in (0, 1, 2, 3, 5, 6, 7, 8):
        assert {reference[place] for reference in some} == set(ALPHABET)


@pytest.mark.parametrize(
    "text",
    [
        "G7K2-9QF1",
        "g7k2-9qf1",
        "g7k29qf1",
        "G7K2 9QF1",
        "G7K2 - 9QF1",
        "G7K2\N{EN DASH}9QF1",
        "G7K2_9QF1",
        "G7K2-9QFl",
        "G7K2-9QFI",
        " G7K2-9QF1\n",
        '"G7K2-9QF1"',
        "'g7k2-9qf1'",
        "\N{LEFT DOUBLE QUOTATION MARK}G7K2-9QF1\N{RIGHT DOUBLE QUOTATION MARK}",
        "(G7K2-9QF1)",
        "(ref G7K2-9QF1)",
        "ref. G7K2-9QF1",
        "Ref.: g7k2-9qf1.",
        "ref=G7K2-9QF1",
        "refG7K2-9QF1",
        "reference G7K2-9QF1,",
    ],
)
def test_a_reference_is_read_however_it_was_copied(text: str) -> None:
    assert normalise(text) == "G7K2-9QF1"


def test_letters_that_look_like_digits_are_read_as_digits() -> None:
    assert normalise("oOiI-lL01") == "0011-1101"


@pytest.mark.parametrize("text", ["REFA-BCDE", "refabcde", "REF1-2345"])
def test_a_reference_may_itself_begin_with_ref(text: str) -> None:
    assert normalise(text) == f"{text[:4]}-{text[-4:]}".upper()


@pytest.mark.parametrize(
    "text", ["", "ref", "G7K2", "G7K2-9QF", "G7K2-9QFDD", "G7K2-9QFU", "a G7K2-9QFD", "G7K2-9QF\xe9"]
)
def test_what_is_no_reference_gives_nothing(text: str) -> None:
    assert normalise(text) == ""


@given(st.text(max_size=30))
def test_whatever_is_typed_the_result_is_a_reference_or_nothing(text: str) -> None:
    found = normalise(text)
    assert not found or (len(found) == 9 and normalise(found) == found and set(found) <= {*ALPHABET, "-"})


@given(st.integers(0, 2**40 - 1))
def test_every_reference_is_its_own_normal_form(bits: int) -> None:
    text = "".join(ALPHABET[bits >> shift & 31] for shift in range(35, -1, -5))
    assert normalise(text) == f"{text[:4]}-{text[4:]}"
