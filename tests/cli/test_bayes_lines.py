"""What Bayes has learned as lines of text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaglio.cli.bayes_lines import LONGEST, BadFile, entries, written
from vaglio.ports import Kind, Learned, Word
from vaglio.store.tokenrows import Entry, Origin, Remembered

TODAY = 20_779  # 2026-11-22
HEAD = b"vaglio-bayes 1\nlearned 412 388\n"
WORD = b"word 9e107d9d372bb682 37 0 2026-11-22\n"
ORIGIN = b"origin 0cc175b9c0f1b6a831c399e269772661\n"
MESSAGE = b"message 5d41402abc4b2a76b9719d911017c592 spam 2026-11-22 1\n"


def read(text: bytes) -> list[Entry]:
    return list(entries(text.splitlines(keepends=True), TODAY))


def test_a_file_looks_as_it_is_documented() -> None:
    digest = bytes.fromhex("5d41402abc4b2a76b9719d911017c592")
    word = Word(0x9E107D9D372BB682 - 2**64, 37, 0, TODAY)
    origin = Origin(bytes.fromhex("0cc175b9c0f1b6a831c399e269772661"))
    found: list[Entry] = [Learned(412, 388), origin, Remembered(digest, Kind.SPAM, TODAY, 1), word]
    text = HEAD + ORIGIN + MESSAGE + WORD + b"end 3\n"
    assert b"".join(written(found)) == text
    assert read(text) == found
    assert read(text.replace(b"\n", b"\r\n")) == found


counts = st.integers(0, 2**31 - 1)
days = st.integers(0, TODAY)


@given(
    st.builds(Learned, counts, counts),
    st.lists(st.builds(Remembered, st.binary(min_size=16, max_size=16), st.sampled_from(Kind), days,
                       st.integers(0, 99_999))),
    st.lists(st.builds(Word, st.integers(-(2**63), 2**63 - 1), counts, counts, days)),
)  # fmt: skip
def test_what_is_written_is_read(learned: Learned, messages: list[Remembered], words: list[Word]) -> None:
    text = b"".join(written([learned, *messages, *words]))
    assert read(text) == [learned, *messages, *words]
    assert max(map(len, text.splitlines(keepends=True))) <= LONGEST


def test_days_to_come_are_taken_for_today() -> None:
    assert read(HEAD + WORD.replace(b"2026", b"9999") + b"end 1\n")[1] == Word(0x9E107D9D372BB682 - 2**64, 37, 0, TODAY)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", 'it has no last line "end"'),
        (b"word\n", "line 1: found 'word', wanted \"vaglio-bayes 1\""),
        (b"vaglio-bayes 2\nend 0\n", "line 1: found 'vaglio-bayes 2'"),
        (HEAD + WORD, 'it has no last line "end"'),
        (HEAD + WORD + b"end 2\n", "line 4: found 'end 2', wanted \"end 1\""),
        (b"vaglio-bayes 1\nend 0\n", "line 2"),
        (b"vaglio-bayes 1\n" + WORD + b"end 1\n", "line 2"),
        (HEAD + b"learned 1 1\nend 1\n", "line 3"),
        (HEAD + b"end 0\n\n", "line 4: found '', wanted nothing behind"),
        (HEAD + WORD.replace(b" 37 ", b" -7 ") + b"end 1\n", "line 3: found 'word 9e107d9d372bb682 -7 0 2026-11-22'"),
        (HEAD + WORD.replace(b" 37 ", b" 2147483648 ") + b"end 1\n", "wanted counts below 2147483648"),
        (HEAD + WORD.replace(b"11-22", b"13-22") + b"end 1\n", "wanted a day such as 2026-11-22"),
        (HEAD + WORD.replace(b"9e", b"9") + b"end 1\n", "line 3"),
        (HEAD + MESSAGE.replace(b"spam", b"eggs") + b"end 1\n", "line 3"),
        (HEAD + b"\xff" * 100 + b"\nend 1\n", "line 3"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(text: bytes, said: str) -> None:
    with pytest.raises(BadFile) as caught:
        read(text)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 300
