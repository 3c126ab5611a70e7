"""Canonical forms against dkimpy's on random and hostile text, cut anywhere; and the work that they take."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from dkim.canonicalization import Relaxed, Simple
from hypothesis import given
from hypothesis import strategies as st

from vaglio.checks.dkim.canonical import Body, BodyHash, Form, RelaxedBody, header, relaxed

PIECES = st.sampled_from([
    b" ", b"  ", b"\t", b"\r\n", b"\r", b"\n", b"a", b"bc", b".", b" " * 9, b"\r\n\r\n", b"\r\n" * 1024, b"\xe9",
])  # fmt: skip
BODIES = st.lists(PIECES, max_size=60).map(b"".join)
CUTS = st.lists(st.integers(0, 10_000), max_size=8)
FORMS = {Form.SIMPLE: (Body, Simple), Form.RELAXED: (RelaxedBody, Relaxed)}


def canonical(form: Form, chunks: Sequence[bytes]) -> bytes:
    found: list[bytes] = []
    body = FORMS[form][0](found.append)
    for chunk in chunks:
        body.feed(chunk)
    body.finish()
    return b"".join(found)


def cut(raw: bytes, places: Sequence[int]) -> list[bytes]:
    ends = sorted({place % (len(raw) + 1) for place in places} | {0, len(raw)})
    return [raw[start:end] for start, end in itertools.pairwise(ends)]


def theirs(form: Form, raw: bytes) -> bytes:
    return bytes(FORMS[form][1].canonicalize_body(raw))


@pytest.mark.parametrize("form", Form)
@given(raw=BODIES, places=CUTS)
def test_a_body_is_the_same_as_dkimpys_wherever_it_is_cut(form: Form, raw: bytes, places: list[int]) -> None:
    assert canonical(form, cut(raw, places)) == theirs(form, raw)


@pytest.mark.parametrize("form", Form)
@given(raw=BODIES)
def test_a_body_may_come_byte_by_byte(form: Form, raw: bytes) -> None:
    assert canonical(form, [raw[place : place + 1] for place in range(len(raw))]) == theirs(form, raw)


@pytest.mark.parametrize("form", Form)
@given(raw=st.binary(max_size=300))
def test_any_bytes_will_do(form: Form, raw: bytes) -> None:
    assert canonical(form, [raw]) == theirs(form, raw)


def test_an_empty_body_is_a_line_end_or_nothing() -> None:
    assert canonical(Form.SIMPLE, []) == b"\r\n"
    assert canonical(Form.SIMPLE, [b"\r\n\r", b"\n"]) == b"\r\n"
    assert canonical(Form.RELAXED, []) == b""
    assert canonical(Form.RELAXED, [b" \r\n", b"\t", b"\r\n"]) == b""


def test_a_last_line_that_does_not_end_keeps_a_blank_as_everybody_has_it() -> None:
    assert canonical(Form.RELAXED, [b"a ", b"\t "]) == b"a \r\n"
    assert canonical(Form.RELAXED, [b"\t"]) == b" \r\n"
    assert canonical(Form.RELAXED, [b"a \r"]) == b"a \r\r\n"  # a CR alone ends no line


# --- header fields ---

VALUES = st.lists(st.sampled_from([b" ", b"\t", b"\n ", b"\r\n\t", b"a", b"b;", b"\xe9"]), max_size=40).map(b"".join)


@given(value=VALUES)
def test_a_relaxed_field_is_the_same_as_dkimpys(value: bytes) -> None:
    [(name, want)] = Relaxed.canonicalize_headers([(b"SubJect", value)])
    assert header(b"SubJect", value, Form.RELAXED) + b"\r\n" == name + b":" + want


@given(value=st.binary(max_size=100))
def test_any_value_will_do(value: bytes) -> None:
    text = relaxed(value)
    assert not [one for one in (b"\n", b"  ", b"\t") if one in text]
    assert relaxed(text) == text


def test_what_is_no_blank_stays() -> None:
    assert relaxed(b" \x0ba\x0c \x0c  b\r") == b"\x0ba\x0c \x0c b\r"


def test_a_simple_field_stays_as_it_came_but_for_its_line_ends() -> None:
    assert header(b"SubJect", b"  a\n\tb\r\n c ", Form.SIMPLE) == b"SubJect:  a\r\n\tb\r\n c "
    assert header(b"SubJect \t", b" a", Form.RELAXED) == b"subject:a"


# --- hashes ---


@pytest.mark.parametrize("form", Form)
@given(raw=BODIES, places=CUTS, lengths=st.sets(st.integers(0, 200), max_size=6))
def test_all_lengths_are_hashed_in_one_pass(form: Form, raw: bytes, places: list[int], lengths: set[int]) -> None:
    hasher = BodyHash(form, lengths)
    for chunk in cut(raw, places):
        hasher.feed(chunk)
    digest = hasher.finish()
    whole = theirs(form, raw)
    assert digest(None) == (hashlib.sha256(whole).digest(), len(whole))
    for length in lengths:
        part = hashlib.sha256(whole[:length]).digest() if length <= len(whole) else None
        assert digest(length) == (part, len(whole))


# --- work ---


class Counted:
    """Counts the bytes and the pieces that reach the sink, and the calls."""

    def __init__(self) -> None:
        self.bytes = self.calls = 0

    def __call__(self, data: bytes) -> None:
        self.bytes += len(data)
        self.calls += 1


HOSTILE = {
    "blanks": b" " * 300_000,
    "tabs": b"\t" * 300_000,
    "lines": b"\r\n" * 150_000,
    "blank lines": b" \r\n" * 100_000,
    "carriage returns": b"\r" * 300_000,
    "the wrong way round": b"\n\r" * 150_000,
    "runs": (b"a" + b" " * 99) * 3_000,
}


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("size", [1_000, 65_535])
def test_what_is_held_back_never_grows(form: Form, name: str, size: int) -> None:
    sink, raw = Counted(), HOSTILE[name]
    body = FORMS[form][0](sink)
    for start in range(0, len(raw), size):
        body.feed(raw[start : start + size])
        assert len(body._held) <= 2  # so that each byte is looked at in one piece only
    body.finish()
    assert sink.bytes <= len(raw) + 4
    assert sink.calls <= 2 * (len(raw) // size + 1) + len(raw) // 2048 + 1


def test_runs_of_blanks_take_no_more_passes_than_their_sizes_have_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    from vaglio.checks.dkim import canonical as module

    class Bytes(bytes):
        passes = 0

        def replace(self, *args: Any) -> Bytes:
            Bytes.passes += 1
            return Bytes(super().replace(*args))

    for size in (2, 3, 7, 8, 9, 1000, 70_000):
        Bytes.passes = 0
        assert module._squeezed(Bytes(b"a" + b" " * size + b"b")) == b"a b"
        assert Bytes.passes <= 3
