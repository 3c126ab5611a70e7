"""What is special to the engine on libmilter: threads of others, a socket that is not its own, and pymilter's traps."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.processes import HERE
from tests.milter.conftest import needs_engine
from tests.milter.daemons import TrivialMilter, told
from tests.milter.fakes import Hosting, Listener
from tests.milter.mta import CHUNK, KNOWN, Mail, Mta, Outcome, events
from vaglio.config.types import MilterSection
from vaglio.daemon.clock import monotonic
from vaglio.daemon.front import Surroundings, obstacle
from vaglio.daemon.guard import safely
from vaglio.examination import Needs
from vaglio.milter import handover, wire
from vaglio.milter.wire import Answer, Command, Peer
from vaglio.turn import Turn
from vaglio.verdict import Action, Reply, Verdict

needs_engine("libmilter")
from vaglio.milter import libmilter  # noqa: E402

CONTINUE, REJECT, TEMPFAIL, NOREPLY = 0, 1, 4, 7  # mfapi.h
PASSED = Outcome(Answer.CONTINUE)
TELL = Mail(sender=b"<tell@tizio.it>")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrivialMilter]:
    """Give a milter that nobody may stop or configure."""
    with TrivialMilter(tmp_path_factory.mktemp("libmilter"), "libmilter").ready() as one:
        yield one


# --- bytes that pymilter does not let through ---


def test_a_helo_and_macros_that_are_no_utf8_are_known_byte_for_byte(daemon: TrivialMilter) -> None:
    with daemon.mta(macros={**KNOWN, b"{auth_authen}": b"a\xff", b"i": b"\xfe", b"{client_ptr}": b"p\xff"}) as mta:
        seen = told(mta.greet(helo=b"h\xff\xfe").send(TELL))
        assert (seen["address"], seen["name"], seen["helo"]) == ("192.0.2.1", "mail.tizio.it", "h\udcff\udcfe")
        assert (seen["login"], seen["queue_id"], seen["reverse"]) == ("a\udcff", "\udcfe", "p\udcff")


def test_of_a_field_whose_name_is_no_utf8_the_value_is_lost_which_the_log_says(daemon: TrivialMilter) -> None:
    fields = ((b"Subject", b" x"), (b"X-\xff", b" lost"), (b"X-8bit", b" \xff"))
    with daemon.mta() as mta, daemon.mta() as other:
        mta.greet()
        expected = told(other.greet().send(TELL._replace(headers=(fields[0], (b"X-\xff", b""), fields[2]))))
        assert told(mta.send(TELL._replace(headers=fields)))["headers"] == expected["headers"]
        daemon.line("WARNING libmilter can't tell the value of a header field whose name is no UTF-8")
        assert told(mta.send(TELL))["fields"] == len(TELL.headers), "the next message has nothing of it"


def test_with_a_host_name_that_is_no_utf8_the_address_is_lost_which_the_log_says(daemon: TrivialMilter) -> None:
    with daemon.mta() as mta:
        seen = told(mta.greet(Peer(b"n\xff", b"4", 1, b"192.0.2.1")).send(TELL))
        assert (seen["name"], seen["address"], seen["helo"]) == ("n\udcff", "", "mail.tizio.it")
    daemon.line("WARNING libmilter can't tell the address of a client whose name is no UTF-8")


def test_bytes_that_are_no_utf8_are_written_as_replacements(daemon: TrivialMilter) -> None:
    with daemon.mta() as mta:
        outcome = mta.greet().send(Mail(sender=b"<results+\xff@tizio.it>"))
    assert "smtp.mailfrom=" in (value := b"".join(edit.value for edit in outcome.edits).decode())
    assert "\ufffd" in value


# --- processes and sockets ---


def test_the_path_outlives_workers_that_are_nobody(tmp_path: Path) -> None:
    """libmilter takes away the path that it knows when it stops; as root it does not, so root would not see it."""
    prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") if os.geteuid() == 0 else ()
    if subprocess.run([*prefix, sys.executable, "-c", "import vaglio"], capture_output=True, check=False).returncode:
        pytest.skip("nobody may not run this Python")
    folder = Path(tempfile.mkdtemp(prefix="vaglio-test-"))  # those of pytest are closed to others
    try:
        folder.chmod(0o777)
        (folder / "state").mkdir()
        (folder / "state").chmod(0o777)
        with TrivialMilter(folder, "libmilter", workers=2, prefix=prefix).ready() as daemon:
            for _ in range(2):
                worker = children(daemon.pid)[0]
                os.kill(worker, signal.SIGTERM)
                daemon.line(rf"worker \d \(pid {worker}\) ended with status 0; another one starts")
                with daemon.mta() as mta:
                    assert mta.greet().send() == PASSED
            stop(daemon)
            assert daemon.status() == 0
        assert not (folder / "x.sock").exists()
    finally:
        shutil.rmtree(folder)


def test_the_socket_has_the_rights_that_were_asked_for(tmp_path: Path) -> None:
    with TrivialMilter(tmp_path, "libmilter", socket_mode='"0600"').ready():
        assert (tmp_path / "x.sock").stat().st_mode & 0o777 == 0o600


def test_systemd_may_hand_the_socket_over(tmp_path: Path) -> None:
    path = tmp_path / "from.systemd"
    prefix = (sys.executable, str(HERE / "activate.py"), f"milter={path}", "--")
    with TrivialMilter(tmp_path, "libmilter", prefix=prefix).ready() as daemon:
        assert daemon.address == f"unix:{path}"
        with daemon.mta() as mta:
            assert mta.greet().send() == PASSED
        stop(daemon)
        assert daemon.status() == 0
    assert path.exists()


def test_it_listens_on_ipv6(tmp_path: Path) -> None:
    with TrivialMilter(tmp_path, "libmilter", listen='["inet:[::1]:0"]').ready() as daemon:
        host, _, port = daemon.address.removeprefix("inet:").rpartition(":")
        assert host == "[::1]"
        with Mta6("::1", int(port)) as mta:
            assert mta.greet().send() == PASSED


class Mta6(Mta):
    """A connection over IPv6."""

    def __init__(self, host: str, port: int) -> None:
        import socket

        with socket.socket(socket.AF_UNIX) as placeholder, tempfile.TemporaryDirectory() as folder:
            placeholder.bind(f"{folder}/x")
            placeholder.listen()
            super().__init__(f"unix:{folder}/x")
        self.sock.close()
        self.sock = socket.create_connection((host, port), timeout=15)


def test_two_sockets_are_one_too_many(tmp_path: Path) -> None:
    listen = ("--listen", f"unix:{tmp_path}/a", "--listen", f"unix:{tmp_path}/b")
    with TrivialMilter(tmp_path, "libmilter", *listen, workers=2) as daemon:
        assert daemon.status() == os.EX_UNAVAILABLE
        assert daemon.seen.count(f"listens on one socket, not on unix:{tmp_path}/a and unix:{tmp_path}/b") == 1
        assert daemon.seen.count("ERROR") == 1


def test_without_pymilter_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from vaglio.daemon.libmilterfront import LibmilterFront

    monkeypatch.setitem(sys.modules, "vaglio.milter.libmilter", None)
    monkeypatch.delattr("vaglio.milter.libmilter")
    with pytest.raises(OSError, match=r"libmilter-dev gcc python3-dev, then \S+pip install '\.\[libmilter\]'"):
        LibmilterFront(surroundings())


def test_without_pymilter_no_worker_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = MilterSection.model_validate({"listen": ["unix:/run/x"], "engine": "libmilter"})
    monkeypatch.setattr("vaglio.daemon.front.find_spec", lambda _: None)
    assert "pymilter is not installed: apt-get install libmilter-dev" in obstacle(settings, [])
    assert obstacle(settings.model_copy(update={"engine": "native"}), []) == ""


def test_a_worker_whose_libmilter_was_told_to_stop_is_replaced(tmp_path: Path) -> None:
    """It waits for signals in a thread of its own, and gets one of several that come at once."""
    with TrivialMilter(tmp_path, "libmilter").ready() as daemon, daemon.mta() as mta:
        mta.greet()
        (worker,) = children(daemon.pid)
        others = [int(thread.name) for thread in Path(f"/proc/{worker}/task").iterdir() if int(thread.name) != worker]
        for number in (signal.SIGHUP, signal.SIGUSR1):  # the second wakes its listener, which else looks after 5 s
            for thread in others:
                ctypes.CDLL(None).tgkill(worker, thread, number)
        daemon.line("WARNING libmilter has given up: this worker ends, another one takes its place")
        daemon.line("ended with status 0; another one starts")
        with daemon.mta() as other:
            assert other.greet().send() == PASSED
        assert "Traceback" not in daemon.seen


def test_a_stop_waits_until_the_last_answer_is_written(tmp_path: Path) -> None:
    with TrivialMilter(tmp_path, "libmilter").ready() as daemon, daemon.mta() as mta:
        mta.greet()

        def end() -> None:
            daemon.line("WARNING waiting")
            stop(daemon)
            daemon.line("INFO stopping")
            daemon.go()

        waiting = threading.Thread(target=end)
        waiting.start()
        assert mta.send(Mail(sender=b"<wait+header@tizio.it>")).edits[0].name == b"X-Trivial"
        waiting.join()
        assert daemon.status() == 0


def test_slow_messages_hold_up_no_others(tmp_path: Path) -> None:
    """libmilter counts threads as idle that it has just woken, and leaves the others' messages until one is done."""
    with TrivialMilter(tmp_path, "libmilter").ready() as daemon, ExitStack() as stack:
        slow, fast = ([stack.enter_context(daemon.mta()).greet() for _ in range(10)] for _ in range(2))
        for mta in slow + fast:
            for command, packet in events(Mail(b"<wait@tizio.it>" if mta in slow else b"<pass@tizio.it>")):
                if command is not Command.END_OF_MESSAGE:
                    mta.event(command, packet)
        for pair in zip(slow, fast, strict=True):
            for mta in pair:
                mta.raw(wire.packet(Command.END_OF_MESSAGE))
        for mta in fast:
            assert mta.outcome() == PASSED
        daemon.go()
        for mta in slow:
            assert mta.outcome() == PASSED


def children(parent: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def stop(daemon: TrivialMilter) -> None:
    os.kill(daemon.pid, signal.SIGTERM)


def surroundings() -> Surroundings:
    def nothing(*_: object) -> None:
        pass

    return Surroundings("x", [], Turn(), nothing, nothing, nothing, nothing, lambda _: False, lambda: "")


# --- callbacks ---


class Pymilter:
    """In place of pymilter's module: keeps the callbacks."""

    class error(Exception):  # pymilter's name
        pass

    def __init__(self) -> None:
        self.callbacks: dict[str, Callable[..., Any]] = {}

    def register(self, name: str, negotiate: Callable[..., Any]) -> None:
        self.callbacks["negotiate"] = negotiate

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("set_") and name.endswith("_callback"):
            return lambda callback: self.callbacks.update({name[4:-9]: callback})
        return lambda *_: None


class Context:
    """A connection as pymilter hands it to callbacks. ``edits`` are the calls that were made."""

    def __init__(self, pymilter: Pymilter) -> None:
        self._pymilter = pymilter
        self._private: Any = None
        self.edits: list[tuple[Any, ...]] = []
        self.refuses = False

    def getpriv(self) -> Any:
        return self._private

    def setpriv(self, private: Any) -> None:
        self._private = private

    def getsymval(self, name: str) -> str | None:
        return None

    def setsymlist(self, stage: int, names: str) -> None:
        self.edits.append(("setsymlist", stage, names))

    def _edit(self, *what: Any) -> None:
        if self.refuses:
            raise Pymilter.error("cannot")
        self.edits.append(what)

    def addheader(self, *arguments: Any) -> None:
        self._edit("addheader", *arguments)

    def setreply(self, *arguments: str) -> None:
        self._edit("setreply", *arguments)

    async def call(self, name: str, *arguments: Any) -> int:
        """Call a callback in a thread, as libmilter does."""
        result: int = await asyncio.to_thread(self._pymilter.callbacks[name], self, *arguments)
        return result

    async def send(self, *arguments: bytes) -> int:
        """Tell of a message; return the answer to its end."""
        assert await self.call("envfrom", b"<pass@tizio.it>") == NOREPLY
        assert await self.call("envrcpt", b"<anna@caio.it>") == NOREPLY
        assert await self.call("header", "Subject", b" x") == NOREPLY
        assert await self.call("eoh") == NOREPLY
        return await self.call("eom")


class Callbacks:
    """A server whose callbacks are called by tests."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lenient: bool = True) -> None:
        self.pymilter = Pymilter()
        self.check = Listener(needs=Needs.HEADERS | Needs.CHUNKS)
        self.warned: list[str] = []
        self.crowded = 0
        monkeypatch.setattr(libmilter, "milter", self.pymilter)
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # to be put back
        self.server = handover.Server(monotonic, self.warned.append, self._crowd, lambda: None, safely)
        self.server.host, self.server.lenient, self.server.most = Hosting(self.check).host, lenient, 2
        libmilter.listen(self.server, "unix:/nowhere")

    def _crowd(self) -> None:
        self.crowded += 1

    async def connect(self) -> Context:
        """Open a connection."""
        context = Context(self.pymilter)
        options = [0x1FF, 0x1FFFFF, 0, 0]
        assert await context.call("negotiate", options) == CONTINUE
        assert await context.call("connect", "mail.tizio.it", 2, ("192.0.2.1", 25)) == NOREPLY
        assert await context.call("helo", "mail.tizio.it") == NOREPLY
        return context


def test_a_bug_where_nothing_is_answered_is_answered_at_the_end_of_the_message(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception, or any answer, would have the mail server wait for 300 s."""

    async def play(lenient: bool) -> None:
        callbacks = Callbacks(monkeypatch, lenient)
        context = await callbacks.connect()
        for event, arguments in (("envfrom", (1,)), ("envrcpt", (b"<a@b>", 2)), ("header", (None, b"")), ("body", ())):
            assert await context.call("envfrom", b"<pass@tizio.it>") == NOREPLY
            assert await context.call(event, *arguments) == NOREPLY, event
            if event != "envrcpt":
                assert await context.call("eom") == (CONTINUE if lenient else TEMPFAIL), event
            await context.call("abort")
            assert await context.send() == CONTINUE, "the next message is none the worse"

    for lenient in (True, False):
        asyncio.run(play(lenient))
    assert "a bug in the engine" in caplog.text


def test_a_check_without_a_guard_spoils_its_message_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        callbacks = Callbacks(monkeypatch, lenient=False)
        context = await callbacks.connect()
        for where in ("examine", "end_of_headers", "verdict"):
            callbacks.check.raises(where)
            assert await context.send() == TEMPFAIL, where
            callbacks.check.raises("nowhere")
            assert await context.send() == CONTINUE

    asyncio.run(play())


def test_a_mail_server_that_takes_no_edits_is_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        callbacks = Callbacks(monkeypatch)
        callbacks.check.given = Verdict(Action.REJECT, "one", "bad", Reply(550, "5.7.1", "100% no"))
        context = await callbacks.connect()
        assert await context.send() == REJECT
        assert context.edits[-1] == ("setreply", "550", "5.7.1", "100%% no")
        context.refuses = True
        assert await context.send() == CONTINUE
        await asyncio.sleep(0)
        assert callbacks.warned == ["the mail server did not take what becomes of a message: cannot"]

    asyncio.run(play())


def test_a_thread_that_is_far_ahead_of_the_event_loop_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        callbacks = Callbacks(monkeypatch)
        context = await callbacks.connect()
        await context.call("envfrom", b"<pass@tizio.it>")
        sent = []

        def push() -> None:
            for number in range(40):
                assert callbacks.pymilter.callbacks["body"](context, b"x" * CHUNK) == NOREPLY
                sent.append(number)

        thread = threading.Thread(target=push)
        thread.start()
        while len(sent) < handover.AHEAD // CHUNK:  # the event loop does not turn meanwhile
            thread.join(0.001)
        thread.join(0.05)
        assert len(sent) <= handover.AHEAD // CHUNK + 1
        while thread.is_alive():
            await asyncio.sleep(0.001)
        assert sum(map(len, callbacks.check.last.chunks)) == 40 * CHUNK
        assert await context.call("eom") == CONTINUE

    asyncio.run(play())


def test_connections_are_counted_and_the_limit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        callbacks = Callbacks(monkeypatch)
        first, second = await callbacks.connect(), await callbacks.connect()
        await asyncio.sleep(0.001)
        assert (callbacks.server.connections, callbacks.crowded) == (2, 1)
        await first.call("close")
        await asyncio.sleep(0.001)
        assert (callbacks.server.connections, callbacks.crowded) == (1, 2)
        await second.call("close")
        await callbacks.server.drain()
        assert (callbacks.server.connections, callbacks.crowded) == (0, 2)

    asyncio.run(play())


def test_a_message_that_is_given_up_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        callbacks = Callbacks(monkeypatch)
        for end in ("abort", "close"):
            context = await callbacks.connect()
            await context.call("envfrom", b"<pass@tizio.it>")
            await context.call(end)
            await asyncio.sleep(0.001)
            assert callbacks.check.last.calls == ["close"]

    asyncio.run(play())


def test_errors_of_others_are_left_to_the_hook_that_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        told: list[object] = []
        monkeypatch.setattr(sys, "excepthook", lambda *what: told.append(what))
        Callbacks(monkeypatch)
        error = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no connection")
        sys.excepthook(UnicodeDecodeError, error, None)
        assert told == [(UnicodeDecodeError, error, None)]

    asyncio.run(play())
