"""Asks all name servers of a zone for one record, each by itself: some of them may lag behind, and caches do.

Finding a zone's servers takes the resolver; asking one takes a resolver that asks this address alone, which is handed
in. Aliases are followed from zone to zone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from vaglio.checks.dkim.outcome import shown
from vaglio.checks.dkim.signing.published import Published, failure
from vaglio.ports import Answer, Outcome, Resolver

RESOLVER = "resolver"
"""What stands in place of a server's name for the resolver that the daemons ask."""

MAX_SERVERS = 13
MAX_ADDRESSES = 4
MAX_ALIASES = 8

Judge = Callable[[Answer], Published]
At = Callable[[str], Resolver]
"""From an address to a resolver that asks it alone."""


class View(NamedTuple):
    """What one server tells. ``address`` is "" for the resolver, and for a server that has none."""

    server: str
    address: str
    found: Published

    def is_one_of(self, names: Collection[str]) -> bool:
        """Say whether it is the view of one of these servers, named by name or address."""
        return self.server in names or self.address in names


class Survey(NamedTuple):
    """What all tell. ``aliases`` are the names that the record's own leads to; ``trouble`` says why no server of the
    zone could be asked; ``negative_ttl`` is how many seconds others remember that a name was not there, 0 where that
    is not known.
    """

    name: str
    zone: str
    views: tuple[View, ...]
    aliases: tuple[str, ...] = ()
    trouble: str = ""
    negative_ttl: int = 0

    @property
    def resolver(self) -> Published:
        """What the resolver tells."""
        return self.views[0].found

    @property
    def servers(self) -> tuple[View, ...]:
        """What the zone's own servers tell."""
        return self.views[1:]

    def lacking(self, ignored: Collection[str] = ()) -> tuple[View, ...]:
        """Return the views that do not fit. Of a server with several addresses, those that can't be reached don't count
        as long as one can.
        """
        heard = {view.server for view in self.views if not view.found.temporary}
        return tuple(
            view for view in self.views
            if not view.found.fits and not view.is_one_of(ignored)
            and not (view.found.temporary and view.server in heard)
        )  # fmt: skip

    @property
    def is_stale(self) -> bool:
        """Whether the resolver tells something else than all servers, which agree: an old answer."""
        told = {view.found.finding for view in self.servers if not view.found.temporary}
        return len(told) == 1 and not self.resolver.temporary and self.resolver.finding not in told


async def survey(name: str, judge: Judge, resolver: Resolver, at: At) -> Survey:
    """Ask the resolver and every name server for the TXT record of a name."""
    own = View(RESOLVER, "", judge(await resolver.lookup(name, "TXT")))
    walk = _Walk(judge, resolver, at)
    try:
        await walk.visit(name)
    except _Lost as error:
        return Survey(name, walk.zone, (own,), tuple(walk.aliases), str(error))
    negative = await _negative_ttl(walk.zone, resolver)
    return Survey(name, walk.zone, (own, *walk.views), tuple(walk.aliases), "", negative)


class _Lost(Exception):
    """It is not known whom to ask; the message says for what."""


class _Told(NamedTuple):
    """What a server tells: where a name leads, or else what is found there."""

    view: View
    alias: str = ""


class _Walk:
    """From the name of a record to all that tell of it."""

    def __init__(self, judge: Judge, resolver: Resolver, at: At) -> None:
        self._judge, self._resolver, self._at = judge, resolver, at
        self.zone = ""
        self.views: list[View] = []
        self.aliases: list[str] = []

    async def visit(self, name: str) -> None:
        """Ask the servers of a name, and those of the names to which they lead. Raises _Lost."""
        zone, servers = await self._servers(name)
        self.zone = self.zone or zone
        told = [one for found in await asyncio.gather(*(self._ask(name, server) for server in servers))
                for one in found]  # fmt: skip
        self.views += [one.view for one in told if not one.alias]
        for alias in dict.fromkeys(one.alias for one in told if one.alias):
            if alias not in self.aliases:
                if len(self.aliases) == MAX_ALIASES:
                    raise _Lost("there are too many aliases (CNAME)")
                self.aliases.append(alias)
                await self.visit(alias)

    async def _servers(self, name: str) -> tuple[str, Sequence[str]]:
        """Return the zone in which a name lies, and its servers."""
        labels = name.split(".")
        is_alias = (await self._resolver.lookup(name, "CNAME")).outcome is Outcome.OK
        for start in range(int(is_alias), len(labels) - 1):
            zone = ".".join(labels[start:])
            answer = await self._resolver.lookup(zone, "NS")
            if answer.outcome is Outcome.OK:
                return zone, sorted(answer.values)[:MAX_SERVERS]
            if answer.outcome is Outcome.TEMPERROR:
                raise _Lost(f"the DNS did not tell the name servers of {zone} ({failure(answer)})")
        raise _Lost(f"there are no name servers for {name}")

    async def _ask(self, name: str, server: str) -> list[_Told]:
        answers = [await self._resolver.lookup(server, rrtype) for rrtype in ("A", "AAAA")]
        addresses = [address for answer in answers for address in answer.values[:MAX_ADDRESSES]]
        if not addresses:
            why = next((failure(answer) for answer in answers if answer.why), "there is none")
            failed = Answer(Outcome.TEMPERROR, why=f"the address of {shown(server, 100)}: {why}")
            return [_Told(View(server, "", self._judge(failed)))]
        return await asyncio.gather(*(self._ask_at(name, server, address) for address in addresses))

    async def _ask_at(self, name: str, server: str, address: str) -> _Told:
        # For the alias first: a server that knows nothing of its zone refuses to tell what is there.
        there = self._at(address)
        answer = await there.lookup(name, "CNAME")
        if answer.outcome is Outcome.OK:
            return _Told(View(server, address, self._judge(answer)), answer.values[0])
        if answer.outcome is not Outcome.TEMPERROR:
            answer = await there.lookup(name, "TXT")
        return _Told(View(server, address, self._judge(answer)))


async def _negative_ttl(zone: str, resolver: Resolver) -> int:
    """RFC 2308 5: the last field of the SOA."""
    answer = await resolver.lookup(zone, "SOA")
    last = answer.values[0].split()[-1:] if answer.values else []
    return int(last[0]) if last and last[0].isdecimal() and len(last[0]) < 9 else 0
