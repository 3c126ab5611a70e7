"""The blocklist check: asks, adds up, answers, tells the greylisting daemon, and keeps watch over the lists.

Knows no protocol and opens nothing; the lists' files, the DNS and the stores come through what it is given.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from vaglio.blocklists.health import Health, News
from vaglio.blocklists.watch import Watch
from vaglio.checks.dnsbl.asking import Ours, Panel
from vaglio.checks.dnsbl.decide import (
    Decision,
    Exempt,
    Exemptions,
    Reason,
    band,
    basis,
    decide,
    score_of,
    screen,
)
from vaglio.checks.dnsbl.localzone import LocalZone
from vaglio.checks.dnsbl.settings import DnsblSettings, ListSettings
from vaglio.checks.dnsbl.sweep import Sweep
from vaglio.checks.dnsbl.tally import Tally
from vaglio.checks.dnsbl.text import header, reply_text
from vaglio.checks.dnsbl.waiting import Findings
from vaglio.facts import Client, Facts, Standing
from vaglio.hints import HINTS, Hint, key
from vaglio.ports import Clock, FreshResolver, References, Store, StoreError
from vaglio.verdict import Action, Header, Reply, Verdict

NAME = "dnsbl"

HINTED = 10_000
"""Clients whose hints this worker remembers, so as not to write them again."""


class Context(NamedTuple):
    """What the check works with; ``files`` gives the private lists of the moment, ``told`` hears of lists that are
    suspended or back.
    """

    clock: Clock
    store: Store
    hints: Store
    resolver: FreshResolver
    references: References
    files: Callable[[], Sequence[tuple[ListSettings, LocalZone]]]
    language: Callable[[str], str]
    hostname: str
    warn: Callable[[str], None]
    told: Callable[[News], None]


class Dnsbl:
    """The check behind ``vaglio-dnsbl``."""

    def __init__(self, settings: DnsblSettings, lists: Sequence[Ours], context: Context) -> None:
        self._settings, self._lists, self._context = settings, lists, context
        self._exemptions = Exemptions.of(settings)
        self._health = Health(lists, settings.suspend_after)
        self._panel = Panel(settings, lists, context.resolver, self._health, context.hostname, context.clock.now,
                            context.files)  # fmt: skip
        self._watch = Watch(lists, self._health, self._panel, settings.suspend_for, context.store, context.resolver,
                            context.clock, context.told)  # fmt: skip
        self._tally = Tally([one.name for one, _ in context.files()], rehearsal=settings.mode == "rehearse")
        self._sweep = Sweep(context.store, context.hints)
        self._hinted: OrderedDict[bytes, tuple[Standing, int]] = OrderedDict()

    async def check(self, facts: Facts) -> Verdict:
        """Judge one recipient of one message."""
        exempt = screen(facts, self._exemptions)
        if exempt is not None:
            return self._exempt(exempt)
        findings = Findings()
        await self._panel.ask(facts, findings)
        decision = decide(findings.hits, findings.trouble, self._settings)
        if decision.band.action is not Action.PASS and (text := await self._panel.text_of(decision.hits[0])):
            decision = decision._replace(hits=(decision.hits[0]._replace(text=text), *decision.hits[1:]))
        now = int(self._context.clock.now())
        if not findings.waited:
            self._tally.count(self._panel.names, decision, now)
        elif findings.complete:
            self._count_all(findings, decision, now)
        else:
            findings.then = partial(self._count_all, findings, decision, now)
        if decision.hits or self._hinted:
            await self._hint(facts.client, decision, now)
        return self._verdict(decision, facts)

    def _count_all(self, findings: Findings, decision: Decision, now: int) -> None:
        """Count what all lists have said, now that the last has."""
        everything = decide(findings.hits, findings.trouble, self._settings)._replace(band=decision.band)
        self._tally.count(self._panel.names, everything, now)

    def _exempt(self, exempt: Exempt) -> Verdict:
        if exempt.reason is Reason.WRONG_STAGE:
            self._context.warn("asked at a stage where blocklists have nothing to say; let through")
        return Verdict(Action.PASS, NAME, exempt.reason, facts={"by": exempt.by})

    def _verdict(self, decision: Decision, facts: Facts) -> Verdict:
        settings, action = self._settings, decision.band.action
        rests_on = basis(decision, settings)
        if action is Action.PASS:
            headers: tuple[Header, ...] = ()
            if decision.band.header:
                headers = (header(decision, facts, self._context.hostname),)
            return Verdict(action, NAME, decision.reason, headers=headers, facts=rests_on)
        ref = self._context.references()
        language = self._context.language(facts.envelope.recipient.rpartition("@")[2].lower())
        text = reply_text(decision, ref, language, settings)
        if action is Action.REJECT:
            reply = Reply(settings.reply_code, settings.enhanced_code, text)
        else:
            reply = Reply(450, "4" + settings.enhanced_code[1:], text)
        return Verdict(action, NAME, decision.reason, reply, facts=rests_on, immediate=True, ref=ref)

    async def _hint(self, client: Client, decision: Decision, now: int) -> None:
        """Tell the greylisting daemon, through the store, what is thought of the client; seldom twice the same. What
        HELO and sender say does not count here: anybody may choose them, and others next time.
        """
        score = score_of(hit for hit in decision.hits if hit.subject in ("client", "client_name"))
        standing = band(score, self._settings).standing
        before = self._hinted.get(client.packed)
        if before is None and standing is Standing.CLEAN:
            return
        if before and standing is before[0] and 0 <= now - before[1] < self._settings.hint_for // 2:
            return
        hint = Hint(client.address, standing.value, score, now + self._settings.hint_for)
        try:
            await self._context.hints.transact(lambda tx: tx.put(HINTS, key(client.packed), hint))
        except StoreError as error:  # the verdict does not rest on it
            self._context.warn(f"vaglio-greylist is not told of listed clients: {error}")
            return
        self._hinted[client.packed] = standing, now
        if len(self._hinted) > HINTED:
            self._hinted.popitem(last=False)

    async def begin(self) -> None:
        """Take in what is known of the lists; to be called before the first request."""
        await self._watch.begin()

    async def write_back(self) -> None:
        """Share what is known of the lists with the other workers, and add to the store what was counted."""
        await self._watch.share()
        await self._tally.write_back(self._context.store)

    async def upkeep(self) -> float:
        """Probe the lists whose time has come, forget what has expired; return the seconds until the next step."""
        await self._watch.probe()
        return await self._sweep.step(int(self._context.clock.now()))

    def gauges(self) -> Mapping[str, Mapping[str, float]]:
        """Return which lists are suspended and, as of the last whole sweep, rows and hits of the day."""
        none = dict.fromkeys([*(one.name for one in self._lists), *(one.name for one, _ in self._context.files())], 0.0)
        suspended = {name: 1.0 for name, status in self._health.status().items() if status.trouble}
        if not self._sweep.rows:
            return {"list_suspended": none | suspended}
        hits = none | self._sweep.hits_today
        return {"list_suspended": none | suspended, "rows": self._sweep.rows, "list_hits_today": hits}
