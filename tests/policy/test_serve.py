"""The policy server over real sockets: order, bounds, one commit a turn, drain."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

import pytest
import uvloop

from vaglio.eager import start
from vaglio.facts import Facts
from vaglio.policy.serve import MAX_WAITING, Connection, Server
from vaglio.ports import StoreError
from vaglio.turn import Turn
from vaglio.verdict import Action, Header, Reply, Verdict


class House:
    """A server with a check that does what the sender's name says, and a note of all that happened."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.recorded: list[str] = []
        self.settled = 0
        self.broken = False
        self.gate = asyncio.Event()
        self.server = Server(Turn(), self.settle, self.failed, self.record, lambda: 0.0, self.warnings.append)
        self.server.answer = lambda facts: start(self.answer(facts))

    async def answer(self, facts: Facts) -> Verdict:
        sender = facts.envelope.sender
        if sender.startswith("slow"):
            await self.gate.wait()
        if sender.startswith("header"):
            return Verdict(Action.PASS, "test", "retried", headers=(Header("X-Test", sender),))
        return Verdict(Action.DEFER, "test", "first-contact", reply=Reply(450, "4.7.1", sender))

    def settle(self) -> None:
        self.settled += 1
        if self.broken:
            raise StoreError("disk full")

    def failed(self, facts: Facts, error: StoreError) -> Verdict:
        return Verdict(Action.PASS, "test", "error")

    def record(self, facts: Facts, verdict: Verdict, seconds: float) -> None:
        self.recorded.append(f"{facts.envelope.sender} {verdict.reason}")


class Peer:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *senders: str, instance: str = "") -> None:
        for sender in senders:
            self.writer.write(
                f"request=smtpd_access_policy\nprotocol_state=RCPT\nsender={sender}\ninstance={instance}\n\n".encode()
            )

    async def hear(self) -> str:
        return (await self.reader.readuntil(b"\n\n")).decode().removeprefix("action=").strip()


def play(scene: Callable[[House, Callable[[], Awaitable[Peer]]], Awaitable[None]]) -> None:
    for loop in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(play_once(scene))


def play_once(scene: Callable[[House, Callable[[], Awaitable[Peer]]], Awaitable[None]]) -> Coroutine[None, None, None]:
    async def run() -> None:
        house = House()
        listener = await asyncio.get_running_loop().create_server(house.server, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        peers = []

        async def connect() -> Peer:
            peer = Peer(*await asyncio.open_connection("127.0.0.1", port))
            peers.append(peer)
            return peer

        try:
            async with asyncio.timeout(10):
                await scene(house, connect)
        finally:
            listener.close()
            for peer in peers:
                peer.writer.close()
            house.gate.set()
            async with asyncio.timeout(10):
                await house.server.drain()
                await listener.wait_closed()
                for peer in peers:
                    await asyncio.gather(peer.writer.wait_closed(), return_exceptions=True)

    return run()


def test_pipelined_requests_are_answered_in_order_even_when_the_first_waits() -> None:
    async def scene(house: House, connect: Callable[[], Awaitable[Peer]]) -> None:
        peer = await connect()
        peer.send("slow", "a", "b")
        other = await connect()
        other.send("c")
        assert await other.hear() == "DEFER_IF_PERMIT 4.7.1 c"
        house.gate.set()
        assert [await peer.hear() for _ in range(3)] == [f"DEFER_IF_PERMIT 4.7.1 {s}" for s in ("slow", "a", "b")]

    play(scene)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_requests_that_come_look_by_look_share_one_commit(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    class Wire(asyncio.Transport):
        def write(self, data: bytes | bytearray | memoryview) -> None:
            heard.append(bytes(data))

        def is_closing(self) -> bool:
            return False

    heard: list[bytes] = []

    async def scene() -> int:
        house = House()
        waiting = [house.server() for _ in range(10)]

        def look() -> None:
            connection = waiting.pop()
            connection.connection_made(Wire())
            connection.data_received(b"request=smtpd_access_policy\nprotocol_state=RCPT\nsender=a@b.it\n\n")
            if waiting:
                asyncio.get_running_loop().call_soon(look)

        look()
        async with asyncio.timeout(10):
            while len(heard) < 10:
                await asyncio.sleep(0)
        return house.settled

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(scene()) == 1


def test_many_pipelined_requests_are_all_answered() -> None:
    async def scene(house: House, connect: Callable[[], Awaitable[Peer]]) -> None:
        peer = await connect()
        peer.send(*map(str, range(MAX_WAITING * 5)))
        answers = [await peer.hear() for _ in range(MAX_WAITING * 5)]
        assert answers == [f"DEFER_IF_PERMIT 4.7.1 {n}" for n in range(MAX_WAITING * 5)]
        assert house.settled < len(answers)  # one commit serves many answers

    play(scene)


def test_a_malformed_request_closes_its_connection_and_no_other() -> None:
    async def scene(house: House, connect: Callable[[], Awaitable[Peer]]) -> None:
        bad, good = await connect(), await connect()
        bad.send("before")
        bad.writer.write(b"junk\n\n")
        assert await bad.hear() == "DEFER_IF_PERMIT 4.7.1 before"
        assert await bad.reader.read() == b""
        assert house.warnings == ["closing a policy connection: line without '='"]
        good.send("after")
        assert await good.hear() == "DEFER_IF_PERMIT 4.7.1 after"

    play(scene)


def test_when_the_turn_cannot_be_kept_the_failure_verdict_goes_out() -> None:
    async def scene(house: House, connect: Callable[[], Awaitable[Peer]]) -> None:
        house.broken = True
        peer = await connect()
        peer.send("a")
        assert await peer.hear() == "DUNNO"
        assert house.recorded == ["a error"]

    play(scene)


def test_a_message_gets_its_header_once_however_many_recipients() -> None:
    async def scene(house: House, connect: Callable[[], Awaitable[Peer]]) -> None:
        peer, other = await connect(), await connect()
        peer.send("header", "header", instance="1.2.3")
        assert [await peer.hear(), await peer.hear()] == ["PREPEND X-Test: header", "DUNNO"]
        other.send("header", instance="1.2.3")
        assert await other.hear() == "DUNNO"
        other.send("header", instance="1.2.4")
        assert await other.hear() == "PREPEND X-Test: header"

    play(scene)


def test_a_half_closed_connection_still_gets_its_answers() -> None:
    async def scene(house: House, connect: Callable[[], Awaitable[Peer]]) -> None:
        peer = await connect()
        peer.send("slow", "b")
        peer.writer.write_eof()
        house.gate.set()
        assert [await peer.hear(), await peer.hear()] == ["DEFER_IF_PERMIT 4.7.1 slow", "DEFER_IF_PERMIT 4.7.1 b"]
        assert await peer.reader.read() == b""

    play(scene)


@pytest.mark.parametrize("waiting", [0, 3])
def test_a_drain_answers_what_was_read_and_closes(waiting: int) -> None:
    async def scene(house: House, connect: Callable[[], Awaitable[Peer]]) -> None:
        peer = await connect()
        peer.send("first")
        assert await peer.hear() == "DEFER_IF_PERMIT 4.7.1 first"
        if waiting:
            peer.send("slow", *["x"] * (waiting - 1))
            while not house.server.tasks:
                await asyncio.sleep(0)
        drain = asyncio.create_task(house.server.drain())
        house.gate.set()
        for _ in range(waiting):
            assert (await peer.hear()).startswith("DEFER_IF_PERMIT")
        assert await peer.reader.read() == b""
        await drain

    play(scene)


def test_a_peer_that_goes_away_does_not_hold_up_a_drain() -> None:
    async def scene(house: House, connect: Callable[[], Awaitable[Peer]]) -> None:
        peer = await connect()
        peer.send("slow", "b", "c")
        while not house.server.tasks:
            await asyncio.sleep(0)
        peer.writer.transport.abort()
        house.gate.set()
        await house.server.drain()
        assert house.recorded == ["slow first-contact", "b first-contact", "c first-contact"]

    play(scene)


def test_the_connection_is_a_plain_asyncio_protocol() -> None:
    assert isinstance(House().server(), Connection)
