"""Lists of tags: what RFC 6376 3.2 lets stand, and what it does not."""

from __future__ import annotations

import re

import pytest
from dkim.util import InvalidTagValueList, parse_tag_value
from hypothesis import given
from hypothesis import strategies as st

from vaglio.checks.dkim.tags import BLANKS, MAX_TAGS, BadTags, parse_tags, unfolded


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("v=1", {"v": "1"}),
        (" v = 1 ;\r\n\ta=b=c; ", {"v": "1", "a": "b=c"}),
        ("v=1;", {"v": "1"}),
        ("V=1; v=2; v_2=\n x y", {"V": "1", "v": "2", "v_2": "x y"}),
        ("l=;x=è", {"l": "", "x": "è"}),
        ("", {}),
    ],
)
def test_tags_are_read(text: str, tags: dict[str, str]) -> None:
    assert parse_tags(text) == tags


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("v=1; v=1", "v= stands there twice"),
        ("v=1;;a=2", '"" is no tag'),
        ("v", '"v" is no tag'),
        ("=1", '"=1" is no tag'),
        ("1v=1", '"1v=1" is no tag'),
        ("v v=1", '"v v=1" is no tag'),
        ("è=1", '"?=1" is no tag'),
        ("v=1\0", "a character that may not be there (0x00)"),
        ("v=1\x7f", "a character that may not be there (0x7f)"),
        ("v=\udce8", "a character that may not be there (0xe8)"),
        (";".join(f"a{n}=1" for n in range(MAX_TAGS + 1)), f"more than {MAX_TAGS} tags"),
    ],
)
def test_what_is_no_list_of_tags_says_why(text: str, why: str) -> None:
    with pytest.raises(BadTags, match=re.escape(why)):
        parse_tags(text)


TEXT = st.lists(st.sampled_from(["v", "=", ";", " ", "\r\n ", "1", "a", "_", "x=1", ";b=", "\t"]), max_size=30)


@given(parts=TEXT)
def test_they_are_the_same_as_dkimpys_but_for_names_that_are_none(parts: list[str]) -> None:
    text = "".join(parts)
    try:
        ours = {name.encode(): value.encode() for name, value in parse_tags(text).items()}
    except BadTags as error:
        if "no tag" in str(error):
            return  # dkimpy looks at the beginning of a name only, and takes "v v" (RFC 6376 3.2)
        with pytest.raises(InvalidTagValueList):
            parse_tag_value(text.encode())
    else:
        assert ours == parse_tag_value(text.encode())


@given(text=st.text(max_size=200))
def test_any_text_is_tags_or_a_refusal(text: str) -> None:
    said, tags = "", dict[str, str]()
    try:
        tags = parse_tags(text)
    except BadTags as error:
        said = str(error)
    assert len(said) < 200
    assert said.isascii()
    assert all(name.isascii() and value == value.strip(BLANKS) for name, value in tags.items())


def test_blanks_within_a_value_go() -> None:
    assert unfolded(" ab\r\n\tc d") == "abcd"
    assert unfolded("a\u2003b") == "a\u2003b"
