"""Asks all lists at once about one client, and stops waiting as soon as no answer can change what comes of it.

What the resolver knows already, nearly always most of it, costs no task and no wait. What is still under way when the
verdict stands goes on by itself, and its answer is at hand next time. Judges nothing, makes no texts.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, NamedTuple

from vaglio.checks.dnsbl.decide import DnsList, Hit, Listed, Reading, Trouble, manners, read, reversed_address, settled
from vaglio.checks.dnsbl.health import Health
from vaglio.checks.dnsbl.hosts import Hosts
from vaglio.checks.dnsbl.settings import DnsblSettings
from vaglio.checks.dnsbl.text import help_url
from vaglio.facts import Facts
from vaglio.names import registered_domain
from vaglio.ports import NXDOMAIN, Answer, Resolver

BACKGROUND = 500
"""Questions that may go on after the verdict; further ones are given up."""


class Question(NamedTuple):
    """One name to ask one list for."""

    one: DnsList
    subject: str
    about: str
    name: str


class Findings:
    """What is known of one request: ``hits``, and the lists that were ``silent``. Where the verdict did not wait for
    all, more comes in later; ``then`` is called when nothing more will.
    """

    __slots__ = ("complete", "hits", "silent", "then")

    def __init__(self) -> None:
        self.hits: list[Hit] = []
        self.silent: set[str] = set()
        self.complete = True
        self.then: Callable[[], None] | None = None


class _Job(NamedTuple):
    """Something to wait for; ``low`` and ``high`` bound what it can add, ``names`` are the lists in it."""

    run: Callable[[Findings], Coroutine[Any, Any, None]]
    low: float
    high: float
    names: tuple[str, ...]


class Panel:
    """The lists that are in order at the moment. ``now`` gives Unix seconds."""

    def __init__(
        self,
        settings: DnsblSettings,
        lists: Sequence[DnsList],
        resolver: Resolver,
        health: Health,
        hostname: str,
        now: Callable[[], float],
    ) -> None:
        self._settings, self._lists, self._resolver, self._health = settings, lists, resolver, health
        self._hostname, self._now = hostname, now
        self._hosts = Hosts(resolver)
        self._rules = {name: weight for name, weight in settings.rules.model_dump().items() if weight}
        self._background: set[asyncio.Task[None]] = set()
        self._about4: list[DnsList] = []
        self._about6: list[DnsList] = []
        self._about_names: dict[str, list[DnsList]] = {}
        self.names: frozenset[str] = frozenset()
        """The lists that are asked at the moment."""
        self.refresh()

    def refresh(self) -> None:
        """Leave out what is suspended, take back what is not any more."""
        sound = [one for one in self._lists if not self._health.suspended(one.name)]
        clients = [one for one in sound if one.settings.kind == "address" and "client" in one.subjects]
        self._about4 = [one for one in clients if one.settings.ipv4]
        self._about6 = [one for one in clients if one.settings.ipv6]
        subjects = ("client_name", "reverse_name", "helo", "sender", "sender_ns", "sender_mx")
        about = {subject: [one for one in sound if subject in one.subjects] for subject in subjects}
        self._about_names = {subject: lists for subject, lists in about.items() if lists}
        self.names = frozenset(one.name for one in sound)

    async def ask(self, facts: Facts, findings: Findings) -> None:
        """Add what lists and rules say of a client. Returns after ``dnsbl.lookup_timeout`` at the latest."""
        jobs = self._ask_about_client(facts, findings)
        if self._rules:
            findings.hits += manners(facts, self._settings, self._hostname)
        if self._rules or self._about_names:
            jobs += self._ask_about_names_of(facts, findings)
        if jobs:
            await self._wait_for(jobs, findings)

    def _ask_about_client(self, facts: Facts, findings: Findings) -> list[_Job]:
        """Take what is at hand about the client's address; return what must be asked."""
        packed, jobs = facts.client.packed, []
        lists = self._about4 if len(packed) == 4 else self._about6
        reverse, at_hand = reversed_address(packed), self._resolver.at_hand
        for one in lists:
            name = reverse + one.suffix
            answer = at_hand(name, "A")
            if answer is not NXDOMAIN:  # the usual one
                question = Question(one, "client", facts.client.address, name)
                if answer is None:
                    jobs.append(self._job(question))
                else:
                    self._take(question, answer, findings)
        return jobs

    def _ask_about_names_of(self, facts: Facts, findings: Findings) -> list[_Job]:
        """Take what is at hand about names; return what must be asked."""
        jobs = self._rule_jobs(facts)
        sender = registered_domain(sender_domain(facts))
        names = {
            "client_name": registered_domain(facts.client.name),
            "reverse_name": registered_domain(facts.client.reverse_name),
            "helo": registered_domain(facts.session.helo),
            "sender": sender,
        }
        for subject, lists in self._about_names.items():
            if subject in names:
                for one in lists:
                    jobs += self._ask_about(one, subject, names[subject], facts, findings)
            elif sender:
                jobs.append(self._host_job(subject, sender, lists))
        return jobs

    def _ask_about(self, one: DnsList, subject: str, name: str, facts: Facts, findings: Findings) -> list[_Job]:
        if one.settings.kind == "hash":
            address = facts.envelope.sender.lower()
            label = hashlib.new(one.settings.hash, address.encode("utf-8", "surrogateescape")).hexdigest()
            question = Question(one, subject, address[:200], label + one.suffix)
            return self._ask_unless_at_hand(question, findings) if "@" in address else []
        return self._ask_unless_at_hand(Question(one, subject, name, name + one.suffix), findings) if name else []

    def _ask_unless_at_hand(self, question: Question, findings: Findings) -> list[_Job]:
        answer = self._resolver.at_hand(question.name, "A")
        if answer is None:
            return [self._job(question)]
        self._take(question, answer, findings)
        return []

    def _job(self, question: Question) -> _Job:
        one = question.one
        return _Job(partial(self._ask, question), one.low, one.high, (one.name,))

    async def _ask(self, question: Question, findings: Findings) -> None:
        answer = await self._resolver.lookup(question.name, "A")
        self._note(question.one, answer, self._take(question, answer, findings))

    def _note(self, one: DnsList, answer: Answer, reading: Reading) -> None:
        """Let the list's health know how it answered."""
        if reading is Trouble.SILENT and answer.why == "too-many":
            return  # that is our own trouble
        detail = answer.why if reading is Trouble.SILENT else ", ".join(answer.values[:3])[:80]
        before = self._health.suspended(one.name)
        self._health.heard(one.name, reading, detail, int(self._now()))
        if self._health.suspended(one.name) != before:
            self.refresh()

    def _take(self, question: Question, answer: Answer, findings: Findings) -> Reading:
        """Take in an answer; return what it says."""
        one, reading = question.one, read(question.one, answer)
        if isinstance(reading, Trouble):
            findings.silent.add(one.name)
        elif isinstance(reading, Listed) and reading.weight:
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
        return reading

    # --- servers of the sender's domain, and rules that need the DNS --------------------------------------------------

    def _host_job(self, subject: str, domain: str, lists: Sequence[DnsList]) -> _Job:
        low, high = sum(one.low for one in lists), sum(one.high for one in lists)
        return _Job(partial(self._ask_hosts, subject, domain, lists), low, high, tuple(one.name for one in lists))

    async def _ask_hosts(self, subject: str, domain: str, lists: Sequence[DnsList], findings: Findings) -> None:
        """Ask lists of domains about the names, lists of addresses about the addresses of the domain's servers."""
        hosts = await self._hosts.of(domain, "NS" if subject == "sender_ns" else "MX")
        questions: list[Question] = []
        for name in filter(None, map(registered_domain, hosts.names)):
            questions += [
                Question(one, subject, name, name + one.suffix) for one in lists if one.settings.kind == "domain"
            ]
        of_addresses = [one for one in lists if one.settings.kind == "address"]
        if of_addresses:
            for address, packed in await self._hosts.addresses(hosts.names):
                questions += [
                    Question(one, subject, address, reversed_address(packed) + one.suffix)
                    for one in of_addresses
                    if (one.settings.ipv4 if len(packed) == 4 else one.settings.ipv6)
                ]
        asked = {question.one.name + question.name: question for question in questions}
        await asyncio.gather(*(self._ask(question, findings) for question in asked.values()))

    async def servers(self, domain: str, subject: str) -> list[tuple[str, bytes]]:
        """Return names (with b"") and addresses of a domain's ``sender_ns`` or ``sender_mx`` servers; none in time is
        none at all.
        """
        if not domain:
            return []
        task = asyncio.ensure_future(self._servers(domain, "NS" if subject == "sender_ns" else "MX"))
        await asyncio.wait([task], timeout=self._settings.lookup_timeout)
        if task.done():
            return task.result()
        task.cancel()
        return []

    async def _servers(self, domain: str, rrtype: str) -> list[tuple[str, bytes]]:
        names = (await self._hosts.of(domain, rrtype)).names
        return [(name, b"") for name in names] + await self._hosts.addresses(names)

    def _rule_jobs(self, facts: Facts) -> list[_Job]:
        jobs: list[_Job] = []
        if not self._rules.keys().isdisjoint(("helo_unknown", "helo_mismatch")) and facts.session.helo:
            jobs.append(self._rule_job("helo", facts.session.helo, partial(self._hosts.helo_rule, facts)))
        domain = sender_domain(facts)
        if not self._rules.keys().isdisjoint(("sender_unknown", "sender_bogus_mx")) and domain:
            jobs.append(self._rule_job("sender", domain, partial(self._hosts.sender_rule, domain)))
        return jobs

    def _rule_job(self, subject: str, about: str, broken: Callable[[], Awaitable[str]]) -> _Job:
        weights = [weight for name, weight in self._rules.items() if name.startswith(subject)]
        return _Job(partial(self._look_at, subject, about, broken), min(0.0, *weights), max(0.0, *weights), ())

    async def _look_at(
        self, subject: str, about: str, broken: Callable[[], Awaitable[str]], findings: Findings
    ) -> None:
        rule = await broken()
        if weight := self._rules.get(rule):
            findings.hits.append(Hit(f"rule {rule}", subject, about[:200], "", weight))

    # --- waiting ----------------------------------------------------------------------------------------------------

    async def _wait_for(self, jobs: Sequence[_Job], findings: Findings) -> None:
        loop, settings = asyncio.get_running_loop(), self._settings
        outstanding = {loop.create_task(job.run(findings)): job for job in jobs}
        least, most = sum(job.low for job in jobs), sum(job.high for job in jobs)
        enough: asyncio.Future[bool] = loop.create_future()

        def landed(task: asyncio.Task[None]) -> None:
            nonlocal least, most
            job = outstanding.pop(task)
            self._background.discard(task)
            least, most = least - job.low, most - job.high
            if not outstanding:
                findings.complete = True
                if findings.then:
                    findings.then()
            error = None if task.cancelled() else task.exception()
            if not enough.done():
                if error:
                    enough.set_exception(error)
                elif not outstanding or settled(findings.hits, least, most, settings):
                    enough.set_result(True)

        findings.complete = False
        for task in outstanding:
            self._background.add(task)
            task.add_done_callback(landed)
        # Shadow lists, or what can't matter any more, are asked and not waited for.
        if not settled(findings.hits, least, most, settings):
            timer = loop.call_later(settings.lookup_timeout, _time_is_over, enough)
            try:
                in_time = await enough
            finally:
                timer.cancel()
            if not in_time:
                findings.silent.update(name for job in outstanding.values() for name in job.names)
        while len(self._background) > BACKGROUND:
            self._background.pop().cancel()

    async def text_of(self, hit: Hit) -> str:
        """Return a list's own words for a hit, if it has any and gives them soon; "" otherwise."""
        one = next((one for one in self._lists if one.name == hit.name), None)
        if one is None or not one.settings.text or not hit.question:
            return ""
        answer = self._resolver.at_hand(hit.question, "TXT")
        if answer is None:
            task = asyncio.ensure_future(self._resolver.lookup(hit.question, "TXT"))
            await asyncio.wait([task], timeout=self._settings.lookup_timeout / 2)
            if not task.done():
                task.cancel()
                return ""
            answer = task.result()
        text = answer.values[0][:300] if answer.values else ""
        return text.replace(one.settings.key, "***") if one.settings.key else text


def _time_is_over(enough: asyncio.Future[bool]) -> None:
    if not enough.done():
        enough.set_result(False)


def sender_domain(facts: Facts) -> str:
    """Return the domain of the sender in lower case; "" for the null sender."""
    _, at, domain = facts.envelope.sender.rpartition("@")
    return domain.lower().removesuffix(".") if at else ""
