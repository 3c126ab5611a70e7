"""Taking connections from a shared socket."""

from __future__ import annotations

import asyncio
import socket

import pytest

from vaglio.daemon import accept
from vaglio.daemon.accept import Acceptor
from vaglio.daemon.sockets import Access, open_listeners


class Greeter(asyncio.Protocol):
    """Says hello."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(b"hello")  # type: ignore[attr-defined]
        transport.close()


def test_connections_beyond_the_limit_wait_in_the_queue_with_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accept, "PAUSE", 0.01)
    warned: list[str] = []
    count = 3

    async def scenario() -> bytes:
        nonlocal count
        listeners = open_listeners(["inet:127.0.0.1:0"], Access())
        acceptor = Acceptor(listeners, Greeter, lambda: count, 3, warned.append)
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

    assert asyncio.run(scenario()) == b"hello"
    assert warned == ["3 connections are open, which is the limit of a worker; further ones wait"]
