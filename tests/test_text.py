"""One line out of anything."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaglio.text import CONTROLS, is_field_name, one_line

ANYTHING = st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape"))


@settings(max_examples=200, deadline=None)
@given(ANYTHING, st.integers(1, 50))
def test_a_line_is_cut_to_bytes_between_characters_and_has_no_controls(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line.encode()) <= limit
    assert CONTROLS.search(line) is None


def test_a_run_of_controls_is_one_blank() -> None:
    assert one_line("\r\nno\r\n\0such\u2028user\x85", 80) == "no such user"


@pytest.mark.parametrize("name", ["Subject", "X-Vaglio", "x_y", "!"])
def test_names_of_fields(name: str) -> None:
    assert is_field_name(name)


@pytest.mark.parametrize("name", ["", "X:", "X Y", "X\n", "Xè", "X\udcff", "x" * 61])
def test_no_names_of_fields(name: str) -> None:
    assert not is_field_name(name)
