"""The servers behind a domain, and what they tell of a client's or sender's manners.

A name that could not be looked up breaks no rule: only a definite "no" counts. Everything is bounded, since the zone
belongs to whoever sends: a few hosts, a few addresses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vaglio.blocklists.answers import PRIVATE
from vaglio.checks.dnsbl.decide import helo_kind, reverse_name
from vaglio.facts import Facts, pack_address
from vaglio.lists import NetworkSet
from vaglio.names import registered_domain
from vaglio.ports import Answer, Outcome, Resolver

MAX_HOSTS = 5
MAX_ADDRESSES = 8

_UNREACHABLE = NetworkSet([*PRIVATE, "192.0.0.0/24", "198.18.0.0/15", "224.0.0.0/3", "ff00::/8", "100::/64"])
"""RFC 6890: no mail server can be there. (Documentation networks are left out: nobody gains by them.)"""


class HostNames(NamedTuple):
    """The servers that a domain names; ``known`` is False where the DNS did not answer."""

    names: tuple[str, ...]
    known: bool


class Hosts:
    """Asks for servers and addresses."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def of(self, domain: str, rrtype: str) -> HostNames:
        """Return the hosts of the domain's NS or MX records; a null MX (RFC 7505) is the host "."."""
        answer = await self._resolver.lookup(domain, rrtype)
        hosts = (value.rpartition(" ")[2] or "." for value in answer.values[:MAX_HOSTS])
        return HostNames(tuple(dict.fromkeys(hosts)), answer.outcome is not Outcome.TEMPERROR)

    async def addresses(self, names: Iterable[str]) -> list[tuple[str, bytes]]:
        """Return the addresses of hosts, as text and packed."""
        found = await self._all_addresses([name for name in names if name != "."])
        texts = dict.fromkeys(value for answer in found for value in answer.values)
        return [(text, packed) for text in list(texts)[:MAX_ADDRESSES] if (packed := pack_address(text))]

    async def _all_addresses(self, names: Sequence[str]) -> list[Answer]:
        lookups = [self._resolver.lookup(name, rrtype) for name in names for rrtype in ("A", "AAAA")]
        return list(await asyncio.gather(*lookups))

    async def ptr_rule(self, facts: Facts) -> str:
        """Return the rule that the client's address breaks: ``no_ptr``, ``unverified_ptr``, or "". Postfix calls a
        client "unknown" also where the DNS did not answer, so its word is taken only for a name that it did verify.
        """
        packed = facts.client.packed
        if facts.client.name or not packed:
            return ""
        pointer = await self._resolver.lookup(reverse_name(packed), "PTR")
        if pointer.outcome is Outcome.TEMPERROR or len(pointer.values) > MAX_HOSTS:
            return ""
        rrtype = "A" if len(packed) == 4 else "AAAA"
        answers = await asyncio.gather(*(self._resolver.lookup(name, rrtype) for name in pointer.values))
        if any(answer.outcome is Outcome.TEMPERROR for answer in answers):
            return ""
        if any(pack_address(value) == packed for answer in answers for value in answer.values):
            return ""
        return "unverified_ptr" if pointer.values else "no_ptr"

    async def helo_rule(self, facts: Facts) -> str:
        """Return the rule that the HELO name breaks: ``helo_unknown``, ``helo_mismatch``, or ""."""
        helo = facts.session.helo.lower().removesuffix(".")
        if helo_kind(helo, facts.client.address) != "name":
            return ""  # bad enough, and other rules' business
        answers = await self._all_addresses([helo])
        if any(answer.outcome is Outcome.TEMPERROR for answer in answers):
            return ""
        addresses = {pack_address(value) for answer in answers for value in answer.values}
        if not addresses:
            return "helo_unknown"
        same = registered_domain(helo) and registered_domain(helo) == registered_domain(facts.client.name)
        return "" if facts.client.packed in addresses or same else "helo_mismatch"

    async def sender_rule(self, domain: str) -> str:
        """Return the rule that the sender's domain breaks: ``sender_unknown``, ``sender_bogus_mx``, or ""."""
        if domain.startswith("["):
            return ""  # RFC 5321 4.1.3: an address literal, which no DNS knows of
        mx = await self.of(domain, "MX")
        if not mx.known:
            return ""
        if mx.names == (".",):
            return "sender_bogus_mx"
        # RFC 5321 5.1: without MX records the domain's own address takes its mail.
        answers = await self._all_addresses(mx.names or (domain,))
        if any(answer.outcome is Outcome.TEMPERROR for answer in answers):
            return ""
        packed = [pack_address(value) for answer in answers for value in answer.values]
        if not packed:
            return "sender_bogus_mx" if mx.names else "sender_unknown"
        return "sender_bogus_mx" if all(address in _UNREACHABLE for address in packed) else ""
