"""Taking connections from a shared socket."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from vaglio.daemon import accept
from vaglio.daemon.accept import Acceptor, UvloopAcceptor
from vaglio.daemon.sockets import Access, open_listeners


class Greeter(asyncio.Protocol):
    """Says hello."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(b"hello")  # type: ignore[attr-defined]
        transport.close()


class Waiter(asyncio.Protocol):
    """Says nothing, and counts those that there are."""

    open = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Waiter.open += 1

    def connection_lost(self, error: Exception | None) -> None:
        Waiter.open -= 1


def uvloop_or_not() -> list[Callable[[], asyncio.AbstractEventLoop]]:
    factories: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop]
    with suppress(ImportError):
        import uvloop

        factories.append(uvloop.new_event_loop)
    return factories


def kinds() -> list[tuple[type[Acceptor], Callable[[], asyncio.AbstractEventLoop]]]:
    on_asyncio, *on_uvloop = uvloop_or_not()
    return [(Acceptor, on_asyncio), *((kind, loop) for loop in on_uvloop for kind in (Acceptor, UvloopAcceptor))]


@pytest.mark.parametrize(("kind", "factory"), kinds())
def test_connections_beyond_the_limit_wait_in_the_queue_with_one_warning(
    kind: type[Acceptor], factory: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accept, "PAUSE", 0.01)
    warned: list[str] = []
    count = 3

    async def scenario() -> bytes:
        nonlocal count
        listeners = open_listeners(["inet:127.0.0.1:0"], Access())
        acceptor = kind(listeners, Greeter, lambda: count, 3, warned.append)
        acceptor.open()
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, listeners[0].sock.getsockname())
            greeting = asyncio.ensure_future(loop.sock_recv(client, 100))
            await asyncio.wait([greeting], timeout=0.05)
            assert not greeting.done()
            count = 0
            heard = await asyncio.wait_for(greeting, 10)
        acceptor.close()
        return heard

    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(scenario()) == b"hello"
    assert warned == ["3 connections are open, which is the limit of a worker; further ones wait"]


uvloop_only = pytest.mark.skipif(len(uvloop_or_not()) == 1, reason="uvloop is not installed")


@uvloop_only
@pytest.mark.parametrize(("limit", "files", "most"), [(2, 10_000, 2), (50, accept.OTHER_FILES + 2, 2), (2, -1, 2)])
def test_uvloop_takes_no_more_than_the_limit_or_than_there_are_files(
    limit: int, files: int, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    full = asyncio.Event()
    path = tmp_path / "sock"

    async def scenario() -> None:
        listeners = open_listeners([f"unix:{path}"], Access())
        acceptor = UvloopAcceptor(listeners, Waiter, lambda: Waiter.open, limit, lambda _: full.set())
        acceptor.open()
        with ExitStack() as stack:
            for _ in range(4):
                stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
            await asyncio.wait_for(full.wait(), 5)
            for _ in range(5):
                await asyncio.sleep(0)
            assert Waiter.open == most
        acceptor.close()
        async with asyncio.timeout(5):
            while Waiter.open:
                await asyncio.sleep(0.001)
        assert path.exists()  # other workers listen there

    with asyncio.Runner(loop_factory=uvloop_or_not()[-1]) as runner:
        runner.run(scenario())


@pytest.mark.parametrize(("kind", "factory"), kinds())
def test_two_sockets_that_reach_the_limit_at_once_stay_within_it_and_end_when_told(
    kind: type[Acceptor], factory: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accept, "PAUSE", 0.01)
    warned: list[str] = []
    full = 0

    def count() -> int:
        nonlocal full
        full += Waiter.open >= 2
        return Waiter.open

    async def scenario() -> None:
        listeners = open_listeners(["inet:127.0.0.1:0", "inet:127.0.0.1:0"], Access())
        places = [one.sock.getsockname() for one in listeners]
        acceptor = kind(listeners, Waiter, count, 2, warned.append)
        acceptor.open()
        with ExitStack() as stack:
            for place in places * 4:
                stack.enter_context(socket.create_connection(place))
            async with asyncio.timeout(5):
                while full < 5:  # it has looked again and again
                    await asyncio.sleep(0.001)
            assert Waiter.open in ((2, 3) if kind is UvloopAcceptor else (2,))
            acceptor.close()
            for _ in range(5):
                await asyncio.sleep(0)
            for place in places:
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(place)
        async with asyncio.timeout(5):
            while Waiter.open:
                await asyncio.sleep(0.001)

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(scenario())
    assert len(warned) == 1


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("factory", uvloop_or_not())
def test_a_connection_that_was_just_taken_is_closed_and_no_task_is_left_behind(
    factory: Callable[[], asyncio.AbstractEventLoop], turns: int
) -> None:
    async def scenario() -> bytes:
        loop = asyncio.get_running_loop()
        listeners = open_listeners(["inet:127.0.0.1:0"], Access())
        taking = asyncio.Event()

        def has_most(_: int) -> bool:
            taking.set()
            return False

        acceptor = Acceptor(listeners, Greeter, lambda: 0, 3, print, has_most)
        with socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, listeners[0].sock.getsockname())
            acceptor.open()
            await taking.wait()
            for _ in range(turns):
                await asyncio.sleep(0)
            acceptor.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if others:
                assert not (await asyncio.wait(others, timeout=5))[1]
            return await asyncio.wait_for(loop.sock_recv(client, 100), 5)

    with asyncio.Runner(loop_factory=factory) as runner:
        heard = runner.run(scenario())
    assert heard in ((b"", b"hello") if turns else (b"",))  # Greeter may have had its turn; nobody waits in vain


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize(("kind", "factory"), kinds())
def test_a_connection_that_a_stop_catches_half_way_is_lost_for_its_protocol_too(
    kind: type[Acceptor], factory: Callable[[], asyncio.AbstractEventLoop], turns: int
) -> None:
    async def scenario() -> None:
        listeners = open_listeners(["inet:127.0.0.1:0"], Access())
        acceptor = kind(listeners, Waiter, lambda: Waiter.open, 3, print)
        acceptor.open()
        with socket.create_connection(listeners[0].sock.getsockname()):
            for _ in range(turns):
                await asyncio.sleep(0)
            was_open = Waiter.open
            acceptor.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if others:  # it was not handed over yet
                assert not (await asyncio.wait(others, timeout=5))[1]
                async with asyncio.timeout(5):
                    while Waiter.open:
                        await asyncio.sleep(0.001)
            assert Waiter.open in (0, was_open)

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(scenario())
    Waiter.open = 0


@pytest.mark.parametrize("to_the_last", [False, True])
@pytest.mark.parametrize(("kind", "factory"), kinds())
def test_who_still_waits_at_the_end_is_taken_where_that_is_wanted(
    kind: type[Acceptor], factory: Callable[[], asyncio.AbstractEventLoop], to_the_last: bool
) -> None:
    async def heard(client: socket.socket) -> bytes:
        with suppress(ConnectionError):
            return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 100), 5)
        return b""

    async def scenario() -> list[bytes]:
        listeners = open_listeners(["inet:127.0.0.1:0"], Access())
        acceptor = kind(listeners, Greeter, lambda: 0, 4, print, to_the_last=to_the_last)
        acceptor.open()
        with ExitStack() as stack:
            where = listeners[0].sock.getsockname()
            clients = [stack.enter_context(socket.create_connection(where)) for _ in range(3)]
            acceptor.close()
            await acceptor.settled()
            for client in clients:
                client.setblocking(False)
            return [await heard(client) for client in clients]

    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(scenario()) == [b"hello" if to_the_last else b""] * 3
