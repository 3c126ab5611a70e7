"""What a milter is sent is what it asked for, and an answer is waited for where it gives one."""

from __future__ import annotations

import pytest

from bench.mailserver import flights
from bench.messages import large, small
from vaglio.milter import wire
from vaglio.milter.wire import Command, Options, Packets, Stage, Steps

SILENT = Steps(0)
for _step in Steps:
    if _step.name and _step.name.startswith("SILENT"):
        SILENT |= _step

MESSAGE = b"From: a\nSubject: b\n c\n\nbody\nand more\n"


def packets(flight: bytes, macros: bool = False) -> list[tuple[Command, bytes]]:
    return [(Command(command), data) for command, data in Packets().feed(flight) if macros or command != Command.MACROS]


def test_a_milter_that_answers_everything_is_sent_one_event_after_the_other() -> None:
    sent = [packets(flight) for flight in flights(MESSAGE, Options(6, 0, 0))]
    assert [command.name for ((command, _),) in sent] == [
        "CONNECT", "HELO", "MAIL", "RCPT", "DATA", "HEADER", "HEADER", "END_OF_HEADERS", "BODY", "END_OF_MESSAGE",
    ]  # fmt: skip
    assert [data for ((command, data),) in sent if command in (Command.HEADER, Command.BODY)] == [
        b"From\0 a\0", b"Subject\0 b\n c\0", b"body\r\nand more\r\n",
    ]  # fmt: skip


def test_to_one_that_answers_nothing_but_the_end_all_goes_at_once() -> None:
    (flight,) = flights(small(), Options(6, 0, SILENT))
    assert packets(flight)[-1] == (Command.END_OF_MESSAGE, b"")
    assert len([command for command, _ in packets(flight) if command == Command.HEADER]) == 16


def test_what_was_not_asked_for_is_not_sent() -> None:
    (flight,) = flights(MESSAGE, Options(6, 0, SILENT | Steps.NO_BODY | Steps.NO_HEADERS | Steps.NO_CONNECT))
    assert {Command.BODY, Command.HEADER, Command.CONNECT}.isdisjoint(command for command, _ in packets(flight))


def test_a_long_body_comes_in_pieces() -> None:
    (flight,) = flights(large(), Options(6, 0, SILENT))
    pieces = [data for command, data in packets(flight) if command == Command.BODY]
    assert {len(piece) for piece in pieces[:-1]} == {65535}
    assert b"".join(pieces) == large().partition(b"\n\n")[2].replace(b"\n", b"\r\n")


@pytest.mark.parametrize(
    ("wanted", "told"), [({}, {b"i", b"{rcpt_addr}"}), ({Stage.RCPT: "{rcpt_addr} {none}"}, {b"{rcpt_addr}"})]
)
def test_macros_are_the_usual_ones_unless_the_milter_names_its_own(wanted: dict[int, str], told: set[bytes]) -> None:
    (flight,) = flights(MESSAGE, Options(6, 0, SILENT, wanted))
    macros = dict(wire.read_macros(data) for command, data in packets(flight, macros=True) if command == Command.MACROS)
    assert set(macros[Command.RCPT]) == told
