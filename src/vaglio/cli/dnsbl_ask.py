"""Asks all lists about a client or a domain, by the daemon's own means, and waits for every answer.

The daemon stops as soon as no answer can change what comes of it; here an admin wants to hear them all, those of lists
too that the daemon has suspended: these decide nothing. Changes nothing: what is learned of the lists on the way is
forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from vaglio.blocklists.answers import compiled
from vaglio.blocklists.health import Health
from vaglio.checks.dnsbl.asking import Ours, Panel
from vaglio.checks.dnsbl.catalogue import effective
from vaglio.checks.dnsbl.decide import Decision, Hit, decide, reverse_name
from vaglio.checks.dnsbl.privatelists import PrivateLists
from vaglio.checks.dnsbl.settings import DnsblSettings, ListSettings, Rules
from vaglio.checks.dnsbl.waiting import Findings
from vaglio.cli.common import progress, warn
from vaglio.cli.listfamily import asked_about
from vaglio.config.model import VaglioConfig
from vaglio.daemon.clock import wall
from vaglio.dns.open import OpenResolver
from vaglio.facts import Client, Facts, pack_address
from vaglio.ports import Answer, Outcome, Resolver

_OF_SENDERS = ("sender", "sender_ns", "sender_mx")


class Heard(NamedTuple):
    """What one list answered: ``listed``, ``not listed``, ``other code``, ``not asked``, or a ``Trouble``.

    ``hit`` is there for what is listed; ``detail`` is a code, a failure, or why it was not asked.
    """

    one: ListSettings
    answer: str
    hit: Hit | None = None
    detail: str = ""


class Judgement(NamedTuple):
    """All answers, and what those of the lists that are not suspended add up to."""

    heard: tuple[Heard, ...]
    decision: Decision


class _Listener:
    """A resolver that has nothing at hand, so that every question is asked and every answer heard."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._outstanding = 0
        self.answers: dict[str, Answer] = {}
        """By name, of questions for addresses."""

    def at_hand(self, name: str, rrtype: str) -> None:
        """Return that it is not known."""

    async def lookup(self, name: str, rrtype: str) -> Answer:
        """Ask."""
        self._outstanding += 1
        self._tell()
        answer = await self._resolver.lookup(name, rrtype)
        self._outstanding -= 1
        self._tell()
        if rrtype == "A":
            self.answers[name] = answer
        return answer

    def _tell(self) -> None:
        progress(f"answers outstanding: {self._outstanding}" if self._outstanding else "")


async def ask_about_client(
    config: VaglioConfig, facts: Facts, resolver: OpenResolver, suspended: Collection[str]
) -> Judgement:
    """Ask as the daemon would, and lists that are suspended too."""
    return await _ask(config.dnsbl, effective(config.dnsbl), facts, resolver, config.identity.hostname, suspended)


async def ask_about_domain(
    config: VaglioConfig, facts: Facts, resolver: OpenResolver, suspended: Collection[str]
) -> Judgement:
    """Ask only what concerns the sender's domain: facts need no client."""
    rules = Rules(**{name: weight for name, weight in config.dnsbl.rules if name.startswith("sender_")})
    settings = config.dnsbl.model_copy(update={"rules": rules})
    lists = [
        one.model_copy(update={"subjects": subjects})
        for one in effective(settings)
        if (subjects := [subject for subject in _OF_SENDERS if subject in one.asked_about])
    ]
    return await _ask(settings, lists, facts, resolver, config.identity.hostname, suspended)


async def named(client: Client, resolver: Resolver) -> Client:
    """Return the client with its names, as Postfix finds them: the one in the DNS, verified if it leads back."""
    progress("looking for the client's name")
    pointer = await resolver.lookup(reverse_name(client.packed), "PTR")
    name = next(iter(pointer.values), "")
    found = await resolver.lookup(name, "A" if len(client.packed) == 4 else "AAAA") if name else pointer
    progress("")
    if Outcome.TEMPERROR in (pointer.outcome, found.outcome):
        warn(f"the client's name could not be looked up ({pointer.why or found.why}): it is judged without its name")
    verified = client.packed in map(pack_address, found.values)
    return client._replace(name=name if verified else "", reverse_name=name)


async def _ask(
    settings: DnsblSettings,
    lists: Sequence[ListSettings],
    facts: Facts,
    resolver: Resolver,
    hostname: str,
    suspended: Collection[str],
) -> Judgement:
    zones = [compiled(one) for one in lists if one.zone]
    health, listener, findings = Health(zones, suspend_after=1), _Listener(resolver), Findings()
    files = PrivateLists([one for one in lists if one.file], warn).read()
    panel = Panel(settings, zones, listener, health, hostname, wall, files.current)
    await panel.ask(facts, findings)
    # What the daemon would leave to itself, since it can't change the verdict, is waited for here.
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)
    hits = await asyncio.gather(*(_with_text(panel, hit) for hit in findings.hits))
    everything = decide(hits, findings.trouble, settings)
    heard = (row for one in lists for row in _heard(one, everything.hits, health, listener.answers, zones))
    believed = [hit for hit in hits if hit.name not in suspended]
    return Judgement(tuple(heard), decide(believed, findings.trouble, settings))


async def _with_text(panel: Panel, hit: Hit) -> Hit:
    return hit._replace(text=await panel.text_of(hit) or hit.text)


def _heard(
    one: ListSettings, hits: Iterable[Hit], health: Health, answers: Mapping[str, Answer], zones: Iterable[Ours]
) -> list[Heard]:
    """Return what a list answered, a row for each of its hits."""
    rows = [Heard(one, "listed", hit) for hit in hits if hit.name == one.name]
    if one.file:
        return rows or [Heard(one, "not listed")]
    status = health.status()[one.name]
    if status.trouble:
        rows.append(Heard(one, status.trouble, None, status.detail))
    if rows:
        return rows
    suffix = next(zone.suffix for zone in zones if zone.name == one.name)
    mine = [answer for name, answer in answers.items() if name.endswith(suffix)]
    codes = [value for answer in mine if answer.outcome is Outcome.OK for value in answer.values[:3]]
    if codes:
        return [Heard(one, "other code", None, ", ".join(codes))]
    if mine:
        return [Heard(one, "not listed")]
    return [Heard(one, "not asked", None, f"is asked only about {asked_about(one)}")]
