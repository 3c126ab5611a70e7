"""A real Sendmail in the lab: it takes mail, keeps it as it was, and does what its .mc lines say about milters."""

from __future__ import annotations

import os
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.sendmail import Sendmail, filters
from lab.smtp import Client, letter
from lab.space import HOME, Space
from lab.waiting import Unavailable, until
from lab.world import CAIO

root = pytest.mark.root

CLIENT = "192.0.2.25"
TIZIO, CAIOS = "tizio@tizio.it", "caio@caio.it"
LETTER = letter(TIZIO, CAIOS, "salve")
VAGLIO = f"{HOME}/milters"


@contextmanager
def sendmail(space: Space, settings: str = "") -> Iterator[Sendmail]:
    try:
        host = Sendmail(space, CAIO, settings)
    except Unavailable as error:
        pytest.skip(f"no Sendmail here: {error}")
    with host:
        yield host


@pytest.fixture
def space() -> Iterator[Space]:
    try:
        space = Space()
    except Unavailable as error:
        pytest.skip(f"no lab here: {error}")
    with space:
        yield space


def connect(space: Space) -> Client:
    return Client(space, CAIO.address, CLIENT)


def filter_line(flags: str) -> str:
    return f"INPUT_MAIL_FILTER(`x', `S=unix:{VAGLIO}/x.sock, F={flags}, T=C:5s;S:5s;R:5s;E:5s')dnl\n"


# --- mail -----------------------------------------------------------------------------------------------------------


@root
def test_mail_is_accepted_and_delivered_with_the_clients_true_address(space: Space) -> None:
    with sendmail(space) as host:
        with connect(space) as client:
            assert client.send(TIZIO, [CAIOS], LETTER).last.code == 250
        (message,) = until(lambda: host.mailbox(CAIOS), "the message")
        until(lambda: "stat=Sent" in host.log(), "a word about it")
        assert host.waiting() == []
    assert message.startswith(b"Received: from client.example (")
    assert CLIENT.encode() in message.partition(b"\n\tby")[0]
    assert message.endswith(LETTER.encode())


@root
def test_what_is_delivered_is_what_was_sent_bytes_of_any_kind_too(space: Space) -> None:
    head = b"From: a@b.it\r\nSubject: caff\xe8 \xc3\xa8 \x81\x9f\r\nX-A:  two blanks\r\n\t folded\r\nx-b:none\r\n"
    message = head + b"\r\nbody \xe8\r\n"
    with sendmail(space) as host:
        with space.inside():
            connection = socket.create_connection((CAIO.address, 25), timeout=30)
        with connection, connection.makefile("rb") as answers:
            assert answers.readline().startswith(b"220 ")
            for line in (b"HELO b.it", b"MAIL FROM:<a@b.it>", b"RCPT TO:<caio@caio.it>", b"DATA", message + b"."):
                connection.sendall(line + b"\r\n")
                assert answers.readline()[:4] in (b"250 ", b"354 ")
        (delivered,) = until(lambda: host.mailbox(CAIOS), "the message")
    assert delivered.endswith(message.replace(b"\r\n", b"\n"))


@root
def test_a_stopped_one_begins_again_with_its_old_queue_and_log(space: Space) -> None:
    with sendmail(space) as host:
        host.stop()
        with pytest.raises(OSError, match="refused"):
            connect(space)
        host.start()
        with connect(space) as client:
            assert client.send(TIZIO, [CAIOS], LETTER).last.code == 250
        until(lambda: host.mailbox(CAIOS), "the message")
        assert host.log().count("starting daemon") == 2


# --- filters --------------------------------------------------------------------------------------------------------


@root
def test_a_filter_that_is_down_defers_mail_where_its_line_says_so(space: Space) -> None:
    with sendmail(space, filter_line("T")) as host:
        with connect(space) as client:
            assert client.send(TIZIO, [CAIOS], LETTER).last.code == 451
        until(lambda: "Milter (x): to error state" in host.log(), "a word about it")


@root
@pytest.mark.parametrize("name", ["spf", "inbound"])
def test_the_shipped_lines_let_mail_pass_while_vaglio_is_down(space: Space, name: str) -> None:
    with sendmail(space, filters(VAGLIO, name)) as host:
        with connect(space) as client:
            assert client.send(TIZIO, [CAIOS], LETTER).last.code == 250
        until(lambda: host.mailbox(CAIOS), "the message")
        until(lambda: f"Milter (vaglio-{name}): to error state" in host.log(), "a word about it")


def quarantine(listener: socket.socket) -> None:
    """Play a filter that keeps the one message that it is asked about."""
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as packets:
        while head := packets.read(5):
            length, command = struct.unpack(">Ic", head)
            packets.read(length - 1)
            if command == b"O":
                answers = [b"O" + struct.pack(">III", 6, 0x20, 0)]
            elif command == b"E":
                answers = [b"qtoo odd\0", b"c"]
            elif command in b"DAQ":
                continue
            else:
                answers = [b"c"]
            connection.sendall(b"".join(struct.pack(">I", len(one)) + one for one in answers))


@root
def test_a_quarantined_message_stays_in_the_queue_with_its_reason(space: Space) -> None:
    folder = space.path(VAGLIO)
    folder.mkdir()
    os.chown(folder, 12345, 12345)  # as that of a daemon with a user of its own
    with socket.socket(socket.AF_UNIX) as listener, sendmail(space, filter_line("T")) as host:
        listener.bind(str(folder / "x.sock"))
        (folder / "x.sock").chmod(0o660)
        os.chown(folder / "x.sock", 12345, 12345)
        listener.listen()
        threading.Thread(target=quarantine, args=(listener,), daemon=True).start()
        with connect(space) as client:
            assert client.send(TIZIO, [CAIOS], LETTER).last.code == 250
        assert until(host.quarantined, "the message in quarantine") == ["too odd"]
        assert (host.mailbox(CAIOS), host.waiting()) == ([], [])


# --- the shipped lines ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [[], ["inbound"], ["spf", "score", "tag"]])
def test_of_the_shipped_lines_that_of_spf_is_in_force_or_those_that_are_wanted(wanted: list[str]) -> None:
    line = r"^INPUT_MAIL_FILTER\(`vaglio-([\w-]+)', `S=unix:([^,]+),"
    found = re.findall(line, filters("/x", *wanted), re.MULTILINE)
    assert found == [(name, f"/x/{name}.sock") for name in wanted or ["spf"]]
