"""The load generator for milters, and many slow senders at once, against a milter that answers as it is told."""

from __future__ import annotations

import json
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bench import milterload
from bench.inflight import in_flight
from bench.messages import small
from bench.servers import BenchError
from vaglio.milter import wire
from vaglio.milter.wire import Answer, Command, Options, Packets, Steps

CONTINUE = wire.packet(Answer.CONTINUE)


class Milter(threading.Thread):
    """Answers all that wants an answer with CONTINUE, and the end of each message with ``last``."""

    def __init__(self, path: Path, last: bytes, steps: int) -> None:
        super().__init__(daemon=True)
        self.ended = 0
        self._last, self._options = last, wire.options(Options(6, 0, steps))
        self._waiting, self._bell = socket.socketpair()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(100)

    def run(self) -> None:
        with selectors.DefaultSelector() as selector, self._listener, self._waiting:
            selector.register(self._waiting, selectors.EVENT_READ)
            selector.register(self._listener, selectors.EVENT_READ, "new")
            while True:
                for key, _ in selector.select():
                    if key.data == "new":
                        connection = self._listener.accept()[0]
                        selector.register(connection, selectors.EVENT_READ, Packets())
                    elif not key.data:
                        for other in list(selector.get_map().values()):
                            if isinstance(other.data, Packets):
                                other.fileobj.close()  # type: ignore[union-attr]
                        return
                    elif not self._serve(key.fileobj, key.data):  # type: ignore[arg-type]
                        selector.unregister(key.fileobj)
                        key.fileobj.close()  # type: ignore[union-attr]

    def _serve(self, connection: socket.socket, packets: Packets) -> bool:
        with suppress(ConnectionError):
            data = connection.recv(1 << 20)
            for command, _ in packets.feed(data):
                if command == Command.END_OF_MESSAGE:
                    self.ended += 1
                    if not self._last:
                        return False
                    connection.sendall(self._last)
                elif command == Command.OPTIONS:
                    connection.sendall(self._options)
                elif command in (Command.MAIL, Command.CONNECT):
                    connection.sendall(CONTINUE)
            return bool(data)
        return False

    def close(self) -> None:
        self._bell.close()
        self.join()


LISTENING = Steps(0)
for _step in Steps:
    if _step.name and _step.name.startswith("SILENT") and _step not in (Steps.SILENT_MAIL, Steps.SILENT_CONNECT):
        LISTENING |= _step


@contextmanager
def milter(path: Path, last: bytes = CONTINUE) -> Iterator[Milter]:
    server = Milter(path, last, LISTENING)
    server.start()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    file = tmp_path / "one.eml"
    file.write_bytes(small())
    return file


def test_each_message_is_sent_once_and_answered(
    tmp_path: Path, letter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with milter(tmp_path / "s", wire.insert_header(0, b"X", b" y") + CONTINUE) as server:
        assert milterload.main(["-c", "3", "-n", "20", "-j", f"unix:{tmp_path}/s", str(letter)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (server.ended, found["messages"], found["final"]) == (20, 20, {"continue": 20})
    assert found["modifications"] == {"insert_header": 20}
    assert set(found["errors"].values()) == {0}
    assert 0 < found["message_us"]["p50"] <= found["message_us"]["p99"]


def test_the_warm_up_does_not_count(tmp_path: Path, letter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with milter(tmp_path / "s") as server:
        assert milterload.main(["-d", "0.05", "-w", "0.05", "-j", f"unix:{tmp_path}/s", str(letter)]) == 0
    assert 0 < json.loads(capsys.readouterr().out)["messages"] < server.ended


def test_a_milter_that_hangs_up_is_an_error(tmp_path: Path, letter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with milter(tmp_path / "s", b""):
        assert milterload.main(["-c", "2", "-n", "5", "-j", f"unix:{tmp_path}/s", str(letter)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["messages"], found["errors"]["closed"]) == (0, 2)


def test_no_milter_is_said(tmp_path: Path, letter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert milterload.main([f"unix:{tmp_path}/none", str(letter)]) == 2
    assert "milterload: " in capsys.readouterr().err


def test_what_is_wanted_done_with_a_message_is_shown(
    tmp_path: Path, letter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with milter(tmp_path / "s", wire.insert_header(0, b"X", b" spf=pass") + CONTINUE):
        assert milterload.main(["--dump", "-n", "1", f"unix:{tmp_path}/s", str(letter)]) == 0
    assert capsys.readouterr().out.endswith("X  spf=pass \nfinal: continue\n")


def test_slow_senders_end_their_messages_only_after_the_block(tmp_path: Path) -> None:
    with milter(tmp_path / "s") as server:
        with in_flight(tmp_path / "s", small(), 7):
            assert server.ended == 0
        assert server.ended == 7


def test_a_milter_that_hangs_up_on_a_slow_sender_is_an_error(tmp_path: Path) -> None:
    with milter(tmp_path / "s", b""), pytest.raises(BenchError, match="hung up"), in_flight(tmp_path / "s", small(), 1):
        pass
