"""Opens the resolver that the configuration asks for, and lends it to commands that can't wait by ``await``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from vaglio.dns.servers import parse_server, system_servers
from vaglio.dns.zonefile import ZoneResolver, load_zone
from vaglio.ports import Answer, FreshResolver


class OpenResolver(FreshResolver, Protocol):
    """A resolver and what it holds open."""

    def close(self) -> None:
        """Let go of sockets; questions that are on their way end as TEMPERROR. To be called on the resolver's loop."""


def open_resolver(
    servers: Sequence[str], timeout: float, zone_file: str = "", *, clock: Callable[[], float] | None = None
) -> OpenResolver:
    """Return a resolver that asks ``servers`` (none: those of /etc/resolv.conf), or answers from ``zone_file`` alone.

    ``timeout`` is the total time of a question in seconds. Sockets are opened at the first question, on the loop that
    runs then: one resolver serves one loop, and may be made before a fork. ``clock`` counts seconds for the cache
    and never goes backwards (default: the loop's). Raises ValueError for a server that is none, or if the system has
    none, and its kind ZoneError for a file that can't be read as a zone.
    """
    if zone_file:
        return ZoneResolver(load_zone(Path(zone_file)))
    addresses = [parse_server(server) for server in servers] or system_servers()
    from vaglio.dns.resolver import NetworkResolver  # dnspython takes a while to load: not for every command

    return NetworkResolver(addresses, timeout, clock=clock)


class Waiting:
    """A ``Lookup`` over a resolver, for commands that ask one question after the other; to be used in a ``with``."""

    def __init__(self, resolver: OpenResolver) -> None:
        self._resolver = resolver
        self._runner = asyncio.Runner()

    def __call__(self, name: str, rrtype: str) -> Answer:
        """Ask, and wait for the answer."""
        return self._runner.run(self._resolver.lookup(name, rrtype))

    def __enter__(self) -> Waiting:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._close())
        self._runner.close()

    async def _close(self) -> None:
        self._resolver.close()
