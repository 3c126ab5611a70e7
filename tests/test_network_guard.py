"""The guard in conftest.py keeps every test off the real network."""

from __future__ import annotations

import asyncio
import socket

import pytest


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")])
def test_a_connection_to_elsewhere_is_refused(method: str, family: int, host: str) -> None:
    with socket.socket(family) as sock, pytest.raises(Exception, match="must not reach the real network"):
        getattr(sock, method)((host, 25))


def test_a_datagram_to_elsewhere_is_refused() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        pytest.raises(Exception, match="must not reach the real network"),
    ):
        sock.sendto(b"?", ("192.0.2.1", 53))


def test_names_are_not_looked_up() -> None:
    with pytest.raises(Exception, match="must not reach the real network"):
        socket.getaddrinfo("mail.tizio.it", 25)
    with pytest.raises(Exception, match="must not reach the real network"):
        asyncio.run(_open("mail.tizio.it"))


def test_the_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), 5) as client:
        assert client.getpeername() == server.getsockname()


async def _open(host: str) -> None:
    await asyncio.open_connection(host, 25)
