"""Asks all lists at once about one client, and what lies behind its names.

What the resolver knows already, nearly always most of it, costs no task and no wait. Judges nothing, makes no texts.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from vaglio.blocklists.answers import DnsList, Listed, Reading, Trouble, read, reversed_address
from vaglio.blocklists.health import TOO_LATE, Health
from vaglio.checks.dnsbl.decide import Hit, manners
from vaglio.checks.dnsbl.hosts import Hosts
from vaglio.checks.dnsbl.localzone import Listing, LocalZone, filled
from vaglio.checks.dnsbl.settings import DnsblSettings, ListSettings
from vaglio.checks.dnsbl.text import help_url
from vaglio.checks.dnsbl.waiting import Background, Bounds, Findings, Job, Outstanding
from vaglio.facts import Facts
from vaglio.names import registered_domain
from vaglio.ports import NXDOMAIN, Answer, Resolver

Files = Sequence[tuple[ListSettings, LocalZone]]
"""Private lists, each with its settings."""

Ours = DnsList[ListSettings]
"""A list that [dnsbl] names."""

_SERVERS = {"sender_ns": "NS", "sender_mx": "MX"}


class Question(NamedTuple):
    """One name to ask one list for."""

    one: Ours
    subject: str
    about: str
    name: str


class Panel:
    """The lists that are in order at the moment. ``now`` gives Unix seconds, ``files`` the private lists."""

    def __init__(
        self,
        settings: DnsblSettings,
        lists: Sequence[Ours],
        resolver: Resolver,
        health: Health,
        hostname: str,
        now: Callable[[], float],
        files: Callable[[], Files] = tuple,
    ) -> None:
        self._settings, self._lists, self._resolver, self._health = settings, lists, resolver, health
        self._hostname, self._now, self._files = hostname, now, files
        self._hosts = Hosts(resolver)
        self._rules = {name: weight for name, weight in settings.rules.model_dump().items() if weight}
        self._background = Background()
        self._about4: list[Ours] = []
        self._about6: list[Ours] = []
        self._about_names: dict[str, list[Ours]] = {}
        self._asks_about_servers = False
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
        named = {subject for one in sound for subject in one.subjects}
        named |= {subject for one, _ in self._files() for subject in one.subjects}
        self._asks_about_servers = not named.isdisjoint(_SERVERS)
        self.names = frozenset(one.name for one in sound)

    async def ask(self, facts: Facts, findings: Findings) -> None:
        """Add what lists and rules say of a client. Returns after ``dnsbl.lookup_timeout`` at the latest."""
        for settings, zone in self._files():
            look_into(settings, zone, facts, findings)
        jobs = self._ask_about_client(facts, findings)
        if self._rules:
            findings.hits += manners(facts, self._settings, self._hostname)
            jobs += self._rule_jobs(facts)
        if self._about_names:
            jobs += self._ask_about_names_of(facts, findings)
        if self._asks_about_servers:
            jobs += self._server_jobs(facts)
        if jobs:
            await self._wait_for(jobs, findings)

    def _ask_about_client(self, facts: Facts, findings: Findings) -> list[Job]:
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

    def _ask_about_names_of(self, facts: Facts, findings: Findings) -> list[Job]:
        """Take what is at hand about names; return what must be asked."""
        jobs: list[Job] = []
        for subject, name in names_of(facts).items():
            for one in self._about_names.get(subject, ()):
                jobs += self._ask_about(one, subject, registered_domain(name), facts, findings)
        return jobs

    def _ask_about(self, one: Ours, subject: str, name: str, facts: Facts, findings: Findings) -> list[Job]:
        if one.settings.kind == "hash":
            address = facts.envelope.sender.lower()
            label = hashlib.new(one.settings.hash, address.encode("utf-8", "surrogateescape")).hexdigest()
            question = Question(one, subject, address[:200], label + one.suffix)
            return self._ask_unless_at_hand(question, findings) if "@" in address else []
        return self._ask_unless_at_hand(Question(one, subject, name, name + one.suffix), findings) if name else []

    def _ask_unless_at_hand(self, question: Question, findings: Findings) -> list[Job]:
        answer = self._resolver.at_hand(question.name, "A")
        if answer is None:
            return [self._job(question)]
        self._take(question, answer, findings)
        return []

    def _job(self, question: Question) -> Job:
        one = question.one
        return Job(partial(self._ask, question), {one.name: (one.low, one.high)}, one.name)

    async def _ask(self, question: Question, findings: Findings) -> None:
        answer = await self._resolver.lookup(question.name, "A")
        reading = self._take(question, answer, findings)
        if findings.late and not (isinstance(reading, Trouble) and reading is not Trouble.SILENT):
            return  # its silence was noted when time was over
        if self._health.answered(question.one.name, answer, reading, int(self._now())):
            self.refresh()

    def _take(self, question: Question, answer: Answer, findings: Findings) -> Reading:
        """Take in an answer; return what it says."""
        one, reading = question.one, read(question.one, answer)
        if isinstance(reading, Trouble):
            if findings.trouble.get(one.name, Trouble.SILENT) is Trouble.SILENT:  # what was said says more
                findings.trouble[one.name] = reading
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

    def _server_jobs(self, facts: Facts) -> list[Job]:
        """Return a job for each kind of servers that any list is asked about."""
        files, domain = self._files(), sender_domain(facts)
        jobs: list[Job] = []
        for subject in _SERVERS:
            lists = self._about_names.get(subject, [])
            private = [(one, zone) for one, zone in files if subject in one.subjects]
            if domain and (lists or private):
                bounds: dict[str, Bounds] = {one.name: (one.low, one.high) for one in lists}
                bounds |= {one.name: _bounds(0.0 if one.shadow else one.weight) for one, _ in private}
                jobs.append(Job(partial(self._ask_servers, subject, domain, lists, private), bounds))
        return jobs

    async def _ask_servers(
        self, subject: str, domain: str, lists: Sequence[Ours], private: Files, findings: Findings
    ) -> None:
        """Ask lists of domains about the names, lists of addresses about the addresses, private ones about both."""
        # A zone has name servers, each name in it may have mail servers of its own.
        owner = (registered_domain(domain) or domain) if subject == "sender_ns" else domain
        names = (await self._hosts.of(owner, _SERVERS[subject])).names
        for settings, zone in private:
            findings.hits += [_hit(settings, subject, name, found) for name in names if (found := zone.find_name(name))]
        questions = [
            Question(one, subject, name, name + one.suffix)
            for name in dict.fromkeys(filter(None, map(registered_domain, names)))
            for one in lists
            if one.settings.kind == "domain"
        ]
        if private or any(one.settings.kind == "address" for one in lists):
            addresses = await self._hosts.addresses(names)
            for settings, zone in private:
                pairs = [(about, zone.find_address(packed)) for about, packed in addresses]
                findings.hits += [_hit(settings, subject, about, found) for about, found in pairs if found]
            questions += [
                Question(one, subject, about, reversed_address(packed) + one.suffix)
                for about, packed in addresses
                for one in lists
                if one.settings.kind == "address" and (one.settings.ipv4 if len(packed) == 4 else one.settings.ipv6)
            ]
        await asyncio.gather(*(self._ask(question, findings) for question in questions))

    def _rule_jobs(self, facts: Facts) -> list[Job]:
        domain = sender_domain(facts)
        wanted: list[tuple[Sequence[str], str, str, Callable[[], Awaitable[str]]]] = [
            (("no_ptr", "unverified_ptr"), "client", facts.client.address, partial(self._hosts.ptr_rule, facts)),
            (("helo_unknown", "helo_mismatch"), "helo", facts.session.helo, partial(self._hosts.helo_rule, facts)),
            (("sender_unknown", "sender_bogus_mx"), "sender", domain, partial(self._hosts.sender_rule, domain)),
        ]
        jobs: list[Job] = []
        for rules, subject, about, broken in wanted:
            bounds = {f"rule {name}": _bounds(self._rules[name]) for name in rules if name in self._rules}
            if bounds and about:
                jobs.append(Job(partial(self._look_at, subject, about, broken), bounds))
        return jobs

    async def _look_at(
        self, subject: str, about: str, broken: Callable[[], Awaitable[str]], findings: Findings
    ) -> None:
        rule = await broken()
        if weight := self._rules.get(rule):
            findings.hits.append(Hit(f"rule {rule}", subject, about[:200], "", weight))

    async def _wait_for(self, jobs: Sequence[Job], findings: Findings) -> None:
        outstanding = Outstanding(jobs, findings, self._settings)
        if not await outstanding.wait(self._settings.lookup_timeout):
            findings.late = True
            for name in outstanding.asked:
                findings.trouble.setdefault(name, Trouble.SILENT)
                self._health.answered(name, TOO_LATE, Trouble.SILENT, int(self._now()))
            self.refresh()
        self._background.leave(outstanding.tasks)

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
        text = answer.values[0][:1000] if answer.values else ""
        return re.sub(re.escape(one.settings.key), "***", text, flags=re.IGNORECASE) if one.settings.key else text


def _bounds(weight: float) -> Bounds:
    return min(0.0, weight), max(0.0, weight)


def look_into(settings: ListSettings, zone: LocalZone, facts: Facts, findings: Findings) -> None:
    """Add what a private list says of the client, or of the names that it is asked about."""
    subjects = settings.asked_about
    if "client" in subjects and (found := zone.find_address(facts.client.packed)):
        findings.hits.append(_hit(settings, "client", facts.client.address, found))
    for subject, name in names_of(facts).items():
        asked = subject in subjects or (subject == "client_name" and "client" in subjects)  # a plain file may have both
        if asked and name and (found := zone.find_name(name.lower().removesuffix("."))):
            findings.hits.append(_hit(settings, subject, name, found))


def _hit(settings: ListSettings, subject: str, about: str, found: Listing) -> Hit:
    text, url = filled(found.text, about), help_url(settings.url, about, about)
    return Hit(settings.name, subject, about[:200], found.code, settings.weight, text, url, settings.shadow)


def names_of(facts: Facts) -> Mapping[str, str]:
    """Return the names that lists may be asked about, by subject; "" where there is none."""
    return {
        "client_name": facts.client.name,
        "reverse_name": facts.client.reverse_name,
        "helo": facts.session.helo,
        "sender": sender_domain(facts),
    }


def sender_domain(facts: Facts) -> str:
    """Return the domain of the sender in lower case; "" for the null sender."""
    _, at, domain = facts.envelope.sender.rpartition("@")
    return domain.lower().removesuffix(".") if at else ""
