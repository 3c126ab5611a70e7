"""Packets to bytes and back: whole or byte by byte the same, bounded, and nothing of a stranger raises but Garbled."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaglio.milter import wire
from vaglio.milter.wire import MAX_PACKET, Command, Garbled, Options, Packets, Peer

PIECES = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=12)
WORD = st.binary(max_size=30).map(lambda raw: raw.replace(b"\0", b""))
NUMBER = st.integers(0, 2**32 - 1)


def fed(stream: bytes, cuts: Sequence[int]) -> tuple[list[tuple[int, bytes]], str]:
    """Return the packets of a stream that comes in pieces, and what was wrong with it."""
    packets, found = Packets(), []
    ends = [*sorted(cuts), len(stream)]
    try:
        for start, end in zip([0, *ends], ends, strict=False):
            for one in packets.feed(stream[start:end]):
                found.append(one)  # those before the error count
    except Garbled as error:
        return found, str(error)
    return found, ""


@settings(max_examples=300, deadline=None)
@given(PIECES, st.data())
def test_a_stream_gives_the_same_packets_however_it_is_cut(
    pieces: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(wire.packet(command, content) for command, content in pieces)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    for places in ((), cuts, range(len(stream))):
        assert fed(stream, places) == (pieces, "")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_any_bytes_give_the_same_packets_and_the_same_complaint_however_they_are_cut(
    raw: bytes, cuts: list[int]
) -> None:
    whole = fed(raw, ())
    assert fed(raw, [min(cut, len(raw)) for cut in cuts]) == whole == fed(raw, range(len(raw)))


@pytest.mark.parametrize("length", [0, MAX_PACKET + 1, 2**31, 2**32 - 1])
def test_an_empty_or_oversized_packet_is_refused_by_its_head_alone(length: int) -> None:
    head = struct.pack(">I", length) + b"L"
    before = Command.HELO, b"x\0"
    assert fed(wire.packet(*before) + head, ()) == ([before], f"a packet of {length} bytes")


def test_the_largest_packet_is_taken_and_nothing_of_it_is_given_before_its_last_byte() -> None:
    data = b"x" * (MAX_PACKET - 1)
    packets = Packets()
    whole = wire.packet(Command.BODY, data)
    assert list(packets.feed(whole[:5])) == []
    assert list(packets.feed(whole[5:-1])) == []
    assert list(packets.feed(whole[-1:])) == [(Command.BODY, data)]


def test_a_packet_that_comes_in_many_pieces_is_not_copied_for_each_of_them() -> None:
    packets = Packets()
    whole = wire.packet(Command.BODY, b"x" * 1_000_000)
    found = [one for at in range(0, len(whole), 10) for one in packets.feed(whole[at : at + 10])]
    assert len(found) == 1  # a hundred thousand pieces: quadratic, this would take minutes


@settings(max_examples=200, deadline=None)
@given(NUMBER, NUMBER, NUMBER, st.dictionaries(st.integers(0, 6), st.from_regex(r"[a-z{}_ ]{1,20}", fullmatch=True)))
def test_options_come_back_as_they_were(version: int, actions: int, steps: int, macros: dict[int, str]) -> None:
    what = Options(version, actions, steps, macros)
    ((command, data),) = Packets().feed(wire.options(what))
    assert command == Command.OPTIONS
    assert wire.read_options(data) == what


@settings(max_examples=200, deadline=None)
@given(WORD, st.sampled_from([b"4", b"6", b"L", b"U"]), st.integers(0, 65535), WORD)
def test_a_client_comes_back_as_it_was(name: bytes, family: bytes, port: int, address: bytes) -> None:
    peer = Peer(name, family) if family == b"U" else Peer(name, family, port, address)
    ((_, data),) = Packets().feed(wire.connect(peer))
    assert wire.read_connect(data) == peer


@settings(max_examples=200, deadline=None)
@given(st.lists(WORD, max_size=6), st.dictionaries(WORD, WORD, max_size=5), NUMBER)
def test_strings_macros_and_edits_come_back_as_they_were(
    words: list[bytes], values: dict[bytes, bytes], index: int
) -> None:
    ((_, data),) = Packets().feed(wire.with_strings(Command.MAIL, *words))
    assert wire.strings(data) == words
    ((_, data),) = Packets().feed(wire.macros(Command.MAIL, values))
    assert wire.read_macros(data) == (Command.MAIL, values)
    for write in (wire.insert_header, lambda at, name, value: wire.change_header(name, at, value)):
        ((_, data),) = Packets().feed(write(index, b"Subject", b"x".join(words)))
        assert wire.read_edit(data) == (index, b"Subject", b"x".join(words))


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (b"Subject\0 Ciao\0", (b"Subject", b" Ciao")),
        (b"Subject\0 Ciao", (b"Subject", b" Ciao")),  # the last NUL is missing
        (b"Subject\0", (b"Subject", b"")),
        (b"\0\0", (b"", b"")),
        (b"X\0a\0b\0", (b"X", b"a\0b")),  # whatever a mail server may send: the value is what is left
    ],
)
def test_a_header_field_is_a_name_and_the_rest(data: bytes, fields: tuple[bytes, bytes]) -> None:
    assert wire.read_header(data) == fields


@pytest.mark.parametrize(
    ("data", "peer"),
    [
        (b"unknown\0U", Peer(b"unknown")),
        (b"unknown\0", Peer(b"unknown")),
        (b"x\x004\x00\x19192.0.2.1\0", Peer(b"x", b"4", 25, b"192.0.2.1")),
        (b"x\x004\x00\x19192.0.2.1", Peer(b"x", b"4", 25, b"192.0.2.1")),
        (b"x\x004\x00", Peer(b"x", b"4")),
        (b"localhost\0L\0\0/run/x\0", Peer(b"localhost", b"L", 0, b"/run/x")),
    ],
)
def test_a_client_may_be_unknown_or_cut_off(data: bytes, peer: Peer) -> None:
    assert wire.read_connect(data) == peer


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (wire.read_options, b""),
        (wire.read_options, b"\0" * 11),
        (wire.read_options, b"\0" * 12 + b"\0\0\0\1i {x}"),
        (wire.read_connect, b""),
        (wire.read_connect, b"name"),
        (wire.read_header, b""),
        (wire.read_header, b"Subject"),
        (wire.read_macros, b""),
        (wire.read_edit, b"\0\0\0"),
        (wire.read_edit, b"\0\0\0\1Subject"),
    ],
)
def test_what_is_cut_off_where_it_matters_is_garbled(read: object, data: bytes) -> None:
    assert callable(read)
    with pytest.raises(Garbled):
        read(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    wire.strings(raw)
    for read in (wire.read_options, wire.read_connect, wire.read_header, wire.read_macros, wire.read_edit):
        with suppress(Garbled):
            read(raw)


def test_macros_without_a_value_are_left_out() -> None:
    assert wire.read_macros(b"Mi\x00123\0{x}\0") == (Command.MAIL, {b"i": b"123"})
