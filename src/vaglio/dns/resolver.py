"""The resolver that asks name servers: cache, one deadline per question, fail-over, bounded in memory and in flight.

It asks servers that go and look (RD) and believes them: it does not walk the DNS itself, nor check signatures; whether
its servers do, ``vaglio dns check`` tells. Names are absolute, there is no search list.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from vaglio.dns.cache import Cache, Key
from vaglio.dns.servers import Address
from vaglio.dns.transport import Counts, Question, Reply, Server
from vaglio.dns.wire import (
    MAX_CNAMES,
    MAX_TTL,
    Found,
    Garbled,
    Looped,
    failure,
    is_truncated,
    normal,
    question,
    read,
)
from vaglio.ports import NXDOMAIN, Answer, Outcome

CACHE_BYTES = 12 << 20
IN_FLIGHT = 256
WAITING = 2048
"""Questions that may wait for others to end; more are not taken."""
MIN_TTL = 5.0
FAILURE_TTL = 5.0
"""A zone that is dead is not asked again for this long (RFC 2308 7: at most five minutes)."""
AVOID_SECONDS = 30.0
_TRIES = 3
"""So often a question is sent at least: a datagram may get lost."""


def _failed(why: str) -> Answer:
    return Answer(Outcome.TEMPERROR, why=why)


_TIMEOUT, _NETWORK, _GARBLED, _LOOP, _TOO_MANY = map(_failed, ("timeout", "network", "garbled", "loop", "too-many"))
_FAILURES = {"servfail": _failed("servfail"), "refused": _failed("refused"), "garbled": _GARBLED}


class NetworkResolver:
    """The port ``Resolver`` over the network. Belongs to the loop of its first question."""

    def __init__(
        self,
        servers: Sequence[Address],
        timeout: float,
        *,
        clock: Callable[[], float] | None = None,
        cache_bytes: int = CACHE_BYTES,
        in_flight: int = IN_FLIGHT,
    ) -> None:
        self.counts = Counts()
        self._timeout = timeout
        self._clock = clock
        self._cache = Cache(cache_bytes, self._now)
        self._servers = [Server(address, self.counts, self._now) for address in servers]
        self._flights: dict[Key, asyncio.Task[Answer]] = {}
        self._slots = _Slots(in_flight, WAITING)
        self._closed = False

    def _now(self) -> float:
        """Return seconds; before a loop runs nothing is known, so that any will do."""
        return self._clock() if self._clock else asyncio.get_running_loop().time()

    def at_hand(self, name: str, rrtype: str) -> Answer | None:
        """Return what the cache holds."""
        known = self._cache.get((name, rrtype))
        if known is None and (plain := normal(name)) != name:
            known = self._cache.get((plain, rrtype))
        return known

    async def lookup(self, name: str, rrtype: str) -> Answer:
        """Return the answer. Raises ValueError for a type that there isn't, which no input can bring about."""
        known = self.at_hand(name, rrtype)
        return known if known is not None else await self.ask_again(name, rrtype)

    async def ask_again(self, name: str, rrtype: str) -> Answer:
        """Return an answer that is not older than this question, or than one like it that is on its way."""
        key = (normal(name), rrtype)
        flight = self._flights.get(key)
        if flight is None:
            asked = question(*key)
            if asked is None:
                return NXDOMAIN
            if self._closed:
                return _NETWORK
            flight = asyncio.get_running_loop().create_task(self._fly(key, asked))
            self._flights[key] = flight
        try:
            return await asyncio.shield(flight)  # who gives up waiting does not end it for the others
        except asyncio.CancelledError:
            if flight.cancelled():  # by close(), before it began
                return _NETWORK
            raise

    def forget(self, suffix: str) -> None:
        """Forget the answers about names that end so."""
        self._cache.forget(suffix.lower().removesuffix("."))

    def close(self) -> None:
        """Let go of the sockets; questions on their way end as TEMPERROR."""
        self._closed = True
        for flight in list(self._flights.values()):
            flight.cancel()
        for server in self._servers:
            server.close()

    async def _fly(self, key: Key, asked: bytes) -> Answer:
        """Ask, and keep the answer."""
        until = asyncio.get_running_loop().time() + self._timeout
        try:
            if not await self._slots.take(until):
                return _TOO_MANY
            try:
                if until - asyncio.get_running_loop().time() < self._timeout / 10:
                    return _TOO_MANY  # its turn came so late that nobody would wait for the answer
                found = await self._follow(asked, key[1], until)
            finally:
                self._slots.give_back()
            self._cache.put(key, found.answer, found.ttl)
            return found.answer
        except asyncio.CancelledError:  # by close(), nobody else has hold of this task
            return _NETWORK
        finally:
            del self._flights[key]

    async def _follow(self, asked: bytes | None, rrtype: str, until: float) -> Found:
        """Ask, and ask on where an alias leads out of the answer."""
        ttl, authentic, alias = MAX_TTL, True, ""
        for _ in range(MAX_CNAMES + 1):
            if asked is None:
                return Found(NXDOMAIN, max(ttl, MIN_TTL))
            found = await self._ask(asked, rrtype, until)
            ttl, authentic = min(ttl, found.ttl), authentic and found.answer.authentic
            if not found.alias:
                answer = found.answer if authentic or not alias else found.answer._replace(authentic=False)
                return Found(answer, max(ttl, MIN_TTL))
            alias = found.alias
            asked = question(alias, rrtype)
        return Found(_LOOP, FAILURE_TTL)

    async def _ask(self, asked: bytes, rrtype: str, until: float) -> Found:
        """Ask one server after the other, until one can tell or time is up."""
        sent = Question(asked)
        failed: dict[Server, Answer] = {}
        try:
            for server, patience in self._tries(until):
                if server in failed:
                    continue
                found = await self._try(server, sent, rrtype, patience, until, failed)
                if found is not None:
                    return found
        finally:
            sent.close()
        return Found(next(reversed(failed.values()), _TIMEOUT), FAILURE_TTL)

    def _tries(self, until: float) -> Iterator[tuple[Server, float]]:
        """Yield whom to ask and until when to wait for it alone; what is left of the time is shared out evenly."""
        servers = self._servers
        if len(servers) > 1:
            now = self._now()
            servers = sorted(servers, key=lambda server: server.avoided_until > now)
        count = max(_TRIES, len(servers))
        for number in range(count):
            start = asyncio.get_running_loop().time()
            if start < until:
                yield servers[number % len(servers)], start + (until - start) / (count - number)

    async def _try(
        self, server: Server, sent: Question, rrtype: str, patience: float, until: float, failed: dict[Server, Answer]
    ) -> Found | None:
        """Ask one server and wait; None when it is another's turn. An answer of one asked earlier is as good."""
        began = self._now()
        try:
            await server.send(sent)
        except OSError:
            failed[server] = _NETWORK
            return None
        while server not in failed:
            reply = await sent.reply(patience)
            if reply is None:
                if server.last_heard < began:
                    self.counts.silent += 1
                    server.avoided_until = self._now() + AVOID_SECONDS
                return None
            found = await self._understood(reply, sent, rrtype, until)
            if isinstance(found, Found):
                return found
            failed[reply.server] = found
        return None

    async def _understood(self, reply: Reply, sent: Question, rrtype: str, until: float) -> Found | Answer:
        """Return what a reply says, or as which failure it counts."""
        message = reply.message
        if not message:
            return _NETWORK
        if is_truncated(message):
            # Half of what is left: another server may still be faster.
            try:
                async with asyncio.timeout((until - asyncio.get_running_loop().time()) / 2):
                    message = await reply.server.ask_over_tcp(sent.asked)
            except TimeoutError:
                return _TIMEOUT
            except (OSError, EOFError):
                return _NETWORK
        if not message or is_truncated(message):
            return _GARBLED
        if why := failure(message):
            return _FAILURES[why]
        try:
            return read(message, sent.asked, rrtype)
        except Garbled:
            return _GARBLED
        except Looped:
            return Found(_LOOP, FAILURE_TTL)


class _Slots:
    """So many questions may be on their way, and so many more wait for their turn."""

    def __init__(self, free: int, waiting: int) -> None:
        self._free = free
        self._most = waiting
        self._waiters: deque[asyncio.Future[bool]] = deque()

    async def take(self, until: float) -> bool:
        """Wait for a slot until then (the loop's time); return whether there is one."""
        if self._free:
            self._free -= 1
            return True
        if len(self._waiters) >= self._most:
            return False
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiters.append(waiter)
        timer = loop.call_at(until, self._give_up, waiter)
        try:
            return await waiter
        finally:
            timer.cancel()

    def give_back(self) -> None:
        """Let the next one go."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(True)
                return
        self._free += 1

    def _give_up(self, waiter: asyncio.Future[bool]) -> None:
        if not waiter.done():
            self._waiters.remove(waiter)
            waiter.set_result(False)
