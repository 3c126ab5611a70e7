"""The blocklist check: asks all lists at once, stops as soon as no answer can change the verdict, and says why.

Knows no protocol and opens nothing; the lists' files and the DNS come through what it is given. What is known already
(nearly always most of it) costs no task and no wait.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from vaglio.checks.dnsbl.decide import (
    Decision,
    DnsList,
    Exempt,
    Exemptions,
    Hit,
    Listed,
    Reason,
    Trouble,
    basis,
    decide,
    manners,
    read,
    reversed_address,
    screen,
    settled,
)
from vaglio.checks.dnsbl.health import Health, News
from vaglio.checks.dnsbl.hosts import Hosts
from vaglio.checks.dnsbl.localzone import Listing, LocalZone, filled
from vaglio.checks.dnsbl.probe import probe
from vaglio.checks.dnsbl.settings import DnsblSettings, ListSettings
from vaglio.checks.dnsbl.sweep import Sweep
from vaglio.checks.dnsbl.tally import Tally
from vaglio.checks.dnsbl.text import header, help_url, reply_text
from vaglio.facts import Client, Facts, Standing
from vaglio.hints import HINTS, Hint, key
from vaglio.names import registered_domain
from vaglio.ports import NXDOMAIN, Answer, Clock, References, Resolver, Store, StoreError
from vaglio.verdict import Action, Header, Reply, Verdict

NAME = "dnsbl"

PROBE_EVERY = 3600
"""Seconds between two probes of a list in order."""

HINTED = 10_000
"""Clients whose hints this worker remembers, so as not to write them again."""

BACKGROUND = 500
"""Questions that may go on after the verdict, to fill the cache; further ones are given up."""


class Context(NamedTuple):
    """What the check works with; ``files`` gives the private lists of the moment, ``told`` hears of suspended lists."""

    clock: Clock
    store: Store
    hints: Store
    resolver: Resolver
    references: References
    files: Callable[[], Sequence[tuple[ListSettings, LocalZone]]]
    language: Callable[[str], str]
    hostname: str
    warn: Callable[[str], None]
    told: Callable[[News], None]


class Question(NamedTuple):
    """One name to ask one list for."""

    one: DnsList
    subject: str
    about: str
    name: str


class Job(NamedTuple):
    """Something that must be waited for: it adds to the findings, and ``low`` and ``high`` bound by how much."""

    run: Callable[[Findings], Awaitable[None]]
    low: float
    high: float
    names: tuple[str, ...]
    """Lists that are silent if it does not end in time."""


class Findings:
    """What is known so far of one request."""

    __slots__ = ("answered", "hits", "silent")

    def __init__(self, hits: list[Hit]) -> None:
        self.hits = hits
        self.silent: set[str] = set()
        self.answered: set[str] = set()


class Dnsbl:
    """The check behind ``vaglio-dnsbl``."""

    def __init__(self, settings: DnsblSettings, lists: Sequence[DnsList], context: Context) -> None:
        self._settings = settings
        self._lists = lists
        self._context = context
        self._exemptions = Exemptions.of(settings)
        self._health = Health(lists, settings.suspend_after)
        self._tally = Tally()
        self._sweep = Sweep(context.store, context.hints)
        self._hosts = Hosts(context.resolver)
        self._hinted: OrderedDict[bytes, tuple[Standing, int]] = OrderedDict()
        self._background: set[asyncio.Task[None]] = set()
        self._rules = settings.rules.model_dump()
        self._address4, self._address6, self._domains = self._asked()

    def _asked(self) -> tuple[list[DnsList], list[DnsList], dict[str, list[DnsList]]]:
        """Return the lists that may be asked now: about IPv4 clients, IPv6 clients, and by subject about names."""
        sound = [one for one in self._lists if not self._health.suspended(one.name)]
        about_clients = [one for one in sound if one.settings.kind == "address" and "client" in one.subjects]
        subjects = ("client_name", "helo", "sender", "sender_ns", "sender_mx")
        return (
            [one for one in about_clients if one.settings.ipv4],
            [one for one in about_clients if one.settings.ipv6],
            {subject: found for subject in subjects if (found := [one for one in sound if subject in one.subjects])},
        )

    async def check(self, facts: Facts) -> Verdict:
        """Judge one recipient of one message."""
        exempt = screen(facts, self._exemptions)
        if exempt is not None:
            return self._exempt(exempt)
        findings = Findings(manners(facts, self._settings, self._context.hostname))
        self._ask_files(facts, findings)
        jobs = self._ask_lists(facts, findings)
        if any(self._rules.values()) or self._domains:
            jobs += self._ask_about_names(facts, findings)
        if jobs:
            await self._wait_for(jobs, findings)
        decision = decide(findings.hits, findings.silent, self._settings)
        if decision.band.action is not Action.PASS:
            decision = await self._with_text(decision)
        now = int(self._context.clock.now())
        self._tally.count(findings.answered, decision, now)
        if self._settings.greylist or self._settings.trust:
            await self._hint(facts.client, decision, now)
        return self._verdict(decision, facts)

    # --- asking -----------------------------------------------------------------------------------------------------

    def _ask_files(self, facts: Facts, findings: Findings) -> None:
        for settings, zone in self._context.files():
            if settings.kind == "address":
                self._found(settings, "client", facts.client.address, zone.find_address(facts.client.packed), findings)
                continue
            names = {"client_name": facts.client.name, "helo": facts.session.helo, "sender": sender_domain(facts)}
            for subject in settings.subjects or names:
                if name := names.get(subject, "").lower().removesuffix("."):
                    self._found(settings, subject, name, zone.find_name(name), findings)

    def _found(
        self, settings: ListSettings, subject: str, about: str, listing: Listing | None, findings: Findings
    ) -> None:
        findings.answered.add(settings.name)
        if listing is not None:
            weight = settings.weight
            text = filled(listing.text, about)
            url = help_url(settings.url, about, about)
            findings.hits.append(
                Hit(settings.name, subject, about[:200], listing.code, weight, text, url, settings.shadow)
            )

    def _ask_lists(self, facts: Facts, findings: Findings) -> list[Job]:
        """Take what is at hand about the client's address; return what must be asked."""
        packed = facts.client.packed
        lists = self._address4 if len(packed) == 4 else self._address6
        if not lists:
            return []
        reverse, at_hand, jobs = reversed_address(packed), self._context.resolver.at_hand, []
        for one in lists:
            name = reverse + one.suffix
            answer = at_hand(name, "A")
            if answer is None:
                jobs.append(self._job(Question(one, "client", facts.client.address, name)))
            elif answer is NXDOMAIN:
                findings.answered.add(one.name)
            else:
                self._take(Question(one, "client", facts.client.address, name), answer, findings)
        return jobs

    def _ask_about_names(self, facts: Facts, findings: Findings) -> list[Job]:
        """Take what is at hand about names; return what must be asked."""
        jobs: list[Job] = []
        sender = registered_domain(sender_domain(facts))
        names = {
            "client_name": registered_domain(facts.client.name),
            "helo": registered_domain(facts.session.helo),
            "sender": sender,
        }
        for subject, lists in self._domains.items():
            if subject in names:
                name = names[subject]
                for one in lists if name else ():
                    jobs += self._ask_domain(Question(one, subject, name, name + one.suffix), findings)
            elif sender:
                jobs.append(self._host_job(subject, sender, lists))
        jobs += self._rule_jobs(facts, sender_domain(facts))
        return jobs

    def _ask_domain(self, question: Question, findings: Findings) -> list[Job]:
        answer = self._context.resolver.at_hand(question.name, "A")
        if answer is None:
            return [self._job(question)]
        self._take(question, answer, findings)
        return []

    def _take(self, question: Question, answer: Answer, findings: Findings) -> None:
        """Take in an answer; trouble was or will be noted where the list was really asked."""
        one = question.one
        reading = read(one, answer)
        if isinstance(reading, Trouble):
            findings.silent.add(one.name)
            return
        findings.answered.add(one.name)
        if isinstance(reading, Listed) and reading.weight:
            findings.hits.append(
                Hit(
                    one.name,
                    question.subject,
                    question.about,
                    reading.code,
                    reading.weight,
                    one.reason_of(reading.code),
                    help_url(one.settings.url, question.about, question.about),
                    one.settings.shadow,
                    question.name,
                )
            )

    def _job(self, question: Question) -> Job:
        one = question.one
        return Job(partial(self._ask, question), one.low, one.high, (one.name,))

    async def _ask(self, question: Question, findings: Findings) -> None:
        answer = await self._context.resolver.lookup(question.name, "A")
        self._heard(question.one, answer)
        self._take(question, answer, findings)

    def _heard(self, one: DnsList, answer: Answer) -> None:
        reading = read(one, answer)
        if reading is Trouble.SILENT and answer.why == "too-many":
            return  # that is our own trouble
        detail = answer.why if reading is Trouble.SILENT else ", ".join(answer.values[:3])[:80]
        before = self._health.suspended(one.name)
        self._health.heard(one.name, reading, detail, int(self._context.clock.now()))
        if self._health.suspended(one.name) != before:
            self._address4, self._address6, self._domains = self._asked()

    # --- hosts of the sender's domain, and rules that need the DNS ---------------------------------------------------

    def _host_job(self, subject: str, domain: str, lists: Sequence[DnsList]) -> Job:
        low, high = sum(one.low for one in lists), sum(one.high for one in lists)
        names = tuple(one.name for one in lists)
        return Job(partial(self._ask_hosts, subject, domain, lists), low, high, names)

    async def _ask_hosts(self, subject: str, domain: str, lists: Sequence[DnsList], findings: Findings) -> None:
        """Ask lists of domains about the names, lists of addresses about the addresses of the domain's servers."""
        hosts = await self._hosts.of(domain, "NS" if subject == "sender_ns" else "MX")
        questions: list[Question] = []
        for host in hosts.names:
            found = registered_domain(host)
            for one in lists:
                if one.settings.kind == "domain" and found:
                    questions.append(Question(one, subject, found, found + one.suffix))
        if any(one.settings.kind == "address" for one in lists):
            for address, packed in await self._hosts.addresses(hosts.names):
                questions += [
                    Question(one, subject, address, reversed_address(packed) + one.suffix)
                    for one in lists
                    if one.settings.kind == "address" and (one.settings.ipv4 if len(packed) == 4 else one.settings.ipv6)
                ]
        await asyncio.gather(*(self._ask(question, findings) for question in dict.fromkeys(questions)))

    def _rule_jobs(self, facts: Facts, domain: str) -> list[Job]:
        jobs: list[Job] = []
        rules = self._settings.rules
        if rules.helo_unknown or rules.helo_mismatch:
            weights = (0.0, rules.helo_unknown, rules.helo_mismatch)
            jobs.append(Job(partial(self._helo_rules, facts), min(weights), max(weights), ()))
        if domain and (rules.sender_unknown or rules.sender_bogus_mx):
            weights = (0.0, rules.sender_unknown, rules.sender_bogus_mx)
            jobs.append(Job(partial(self._sender_rules, domain), min(weights), max(weights), ()))
        return jobs

    async def _helo_rules(self, facts: Facts, findings: Findings) -> None:
        rule = await self._hosts.helo_rule(facts)
        self._break_rule(rule, "helo", facts.session.helo, findings)

    async def _sender_rules(self, domain: str, findings: Findings) -> None:
        rule = await self._hosts.sender_rule(domain)
        self._break_rule(rule, "sender", domain, findings)

    def _break_rule(self, rule: str, subject: str, about: str, findings: Findings) -> None:
        weight = self._rules.get(rule, 0.0)
        if weight:
            findings.hits.append(Hit(f"rule {rule}", subject, about[:200], "", weight))

    # --- waiting ----------------------------------------------------------------------------------------------------

    async def _wait_for(self, jobs: Sequence[Job], findings: Findings) -> None:
        """Run all jobs at once until no outstanding one can change the verdict, or the time is over. What is still
        under way then goes on by itself, and its answer will be at hand next time.
        """
        bounds = [(job.low, job.high) for job in jobs]
        if settled(findings.hits, bounds, self._settings):
            bounds = []  # shadow lists, or what can't matter any more: asked, not waited for
        loop = asyncio.get_running_loop()
        outstanding: dict[asyncio.Task[None], Job] = {loop.create_task(_run(job, findings)): job for job in jobs}
        over: asyncio.Future[None] = loop.create_future()

        def landed(task: asyncio.Task[None]) -> None:
            self._background.discard(task)
            del outstanding[task]
            left = [(job.low, job.high) for job in outstanding.values()]
            if not over.done() and (not left or settled(findings.hits, left, self._settings)):
                over.set_result(None)

        for task in outstanding:
            self._background.add(task)
            task.add_done_callback(landed)
        if bounds:
            timer = loop.call_later(self._settings.lookup_timeout, _set, over)
            try:
                await over
            finally:
                timer.cancel()
                findings.silent.update(name for job in outstanding.values() for name in job.names if bounds)
        self._give_up_the_oldest()

    def _give_up_the_oldest(self) -> None:
        while len(self._background) > BACKGROUND:
            self._background.pop().cancel()

    async def _with_text(self, decision: Decision) -> Decision:
        """Ask the list that weighs most for its own words, if it has any, for a short while."""
        hit = decision.hits[0]
        one = next((one for one in self._lists if one.name == hit.name), None)
        if one is None or not one.settings.text or not hit.question:
            return decision
        resolver = self._context.resolver
        answer = resolver.at_hand(hit.question, "TXT") or await self._in_time(resolver.lookup(hit.question, "TXT"))
        if not answer or not answer.values:
            return decision
        text = answer.values[0][:300]
        if one.settings.key:
            text = text.replace(one.settings.key, "***")
        return decision._replace(hits=(hit._replace(text=text), *decision.hits[1:]))

    async def _in_time(self, lookup: Awaitable[Answer]) -> Answer | None:
        task = asyncio.ensure_future(lookup)
        await asyncio.wait([task], timeout=self._settings.lookup_timeout / 2)
        if task.done():
            return task.result()
        task.cancel()
        return None

    # --- answering --------------------------------------------------------------------------------------------------

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
        return Verdict(action, NAME, decision.reason, reply, facts=rests_on, immediate=action is Action.REJECT, ref=ref)

    async def _hint(self, client: Client, decision: Decision, now: int) -> None:
        """Tell the greylisting daemon, through the store, what is thought of the client; seldom twice the same."""
        standing = decision.band.standing
        before, at = self._hinted.get(client.packed, (Standing.CLEAN, now))
        if standing is before and 0 <= now - at < max(1, self._settings.hint_for // 2):
            return
        if standing is Standing.CLEAN and client.packed not in self._hinted:
            return
        hint = Hint(client.address, standing.value, decision.score, now + self._settings.hint_for)
        try:
            await self._context.hints.transact(lambda tx: tx.put(HINTS, key(client.packed), hint))
        except StoreError as error:
            self._context.warn(f"vaglio-greylist is not told of listed clients: {error}")
            return
        self._hinted[client.packed] = standing, now
        if len(self._hinted) > HINTED:
            self._hinted.popitem(last=False)

    # --- in between -------------------------------------------------------------------------------------------------

    async def write_back(self) -> None:
        """Add to the store what was counted, and share what is known of the lists with the other workers."""
        await self._tally.write_back(self._context.store)
        for news in await self._health.share(self._context.store):
            self._context.told(news)
        self._address4, self._address6, self._domains = self._asked()

    async def upkeep(self) -> float:
        """Probe the lists whose time has come, forget what has expired; return the seconds until the next step."""
        now = int(self._context.clock.now())
        due = self._health.due(now, PROBE_EVERY, self._settings.suspend_for)
        findings = await asyncio.gather(*(probe(one, self._context.resolver) for one in due))
        for one, finding in zip(due, findings, strict=True):
            if finding.trouble is Trouble.SILENT and not self._health.suspended(one.name):
                self._health.heard(one.name, finding.trouble, finding.detail, now)
                self._health.looked_at(one.name, now)
            else:
                self._health.probed(one.name, finding.trouble, finding.detail, now)
        if due:
            await self.write_back()
        return await self._sweep.step(now)

    def gauges(self) -> Mapping[str, float]:
        """Return rows and lists, as of the last sweep."""
        suspended = sum(self._health.suspended(one.name) for one in self._lists)
        return {**self._sweep.rows, "lists": len(self._lists), "suspended_lists": suspended}


async def _run(job: Job, findings: Findings) -> None:
    await job.run(findings)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def sender_domain(facts: Facts) -> str:
    """Return the domain of the sender in lower case; "" for the null sender."""
    return facts.envelope.sender.rpartition("@")[2].lower().removesuffix(".") if "@" in facts.envelope.sender else ""
