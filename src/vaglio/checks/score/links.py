"""Asks lists of domains about a message: where its links lead, and which domains its addresses are of.

What the resolver knows already costs no task; all other questions begin at once, and what is not known in time counts
as nothing. So does a list in trouble: ``vaglio.blocklists`` suspends it, probes it and tells the admin. Judges nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from vaglio.blocklists.answers import PRIVATE, DnsList, Listed, Trouble, compiled, read, reversed_address
from vaglio.blocklists.answers import Reading as Said
from vaglio.blocklists.health import STATUS, TOO_LATE, Health, News
from vaglio.blocklists.watch import Watch
from vaglio.checks.score.case import Hit
from vaglio.checks.score.known import FREE_HOSTING, SHORTENERS
from vaglio.checks.score.linkcatalogue import common, effective
from vaglio.checks.score.reading import Reading, Url
from vaglio.checks.score.settings import LinkListSettings, LinksSettings
from vaglio.facts import Facts, pack_address
from vaglio.lists import NetworkSet
from vaglio.mailboxes import mailboxes
from vaglio.names import domain_of, registered_domain
from vaglio.ports import Answer, Clock, FreshResolver, Schema, Store

SCHEMA = Schema("links", (STATUS,))
"""What is known of the lists: a store of its own, since lists of [dnsbl] may have the same names."""

REST = 10.0
"""Seconds between two looks whether a list is to be probed."""
NEVER = 86400.0
"""Seconds to the next look where there are no lists."""

MAX_NAMED = 60
"""Characters of a domain, or address, in a sentence: it goes into replies, where the admin of a sender who was broken
into reads what his mail leads to."""

_NOT_OF_NAMES = re.compile(r"[^a-z0-9._:-]")
_MAX_ADDRESSES = 3  # of a Reply-To field
_HOST = re.compile(r"(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,63}", re.ASCII)

_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "link": "a link leads to {about}, {listed}",
        "address": "a link leads to {about}, {listed}",
        "from": "the author writes from {about}, {listed}",
        "reply_to": "answers go to {about}, {listed}",
        "sender": "bounces go to {about}, {listed}",
        "known": "which {name} knows as {reason}",
        "listed": "which is on the list {name}",
        "hash": "an address of {domain}",
    },
    "it": {
        "link": "un link porta a {about}, {listed}",
        "address": "un link porta a {about}, {listed}",
        "from": "l'autore scrive da {about}, {listed}",
        "reply_to": "le risposte vanno a {about}, {listed}",
        "sender": "gli avvisi di mancata consegna vanno a {about}, {listed}",
        "known": "che {name} segnala come {reason}",
        "listed": "che si trova nella lista {name}",
        "hash": "un indirizzo di {domain}",
    },
}


class Context(NamedTuple):
    """What the lists are asked with; ``store`` is of ``SCHEMA``, ``told`` hears of lists that are suspended or back."""

    clock: Clock
    store: Store
    resolver: FreshResolver
    told: Callable[[News], None]


class LinkFindings(NamedTuple):
    """What lists say of a message: a hit for each that knows something of it, and those that did not answer."""

    hits: tuple[Hit, ...]
    silent: tuple[str, ...]


NOTHING = LinkFindings((), ())

Ours = DnsList[LinkListSettings]
"""A list that [score.links] names."""


class About(NamedTuple):
    """Something to ask lists about: ``name`` is a domain, an IP address, or (for lists of hashes) a mail address, whose
    registered domain is ``domain`` then.
    """

    subject: str
    name: str
    domain: str = ""


class _Question(NamedTuple):
    one: Ours
    about: About
    name: str


class _Findings:
    """What is known so far: by list its weightiest entry."""

    def __init__(self) -> None:
        self.best: dict[str, tuple[_Question, Listed]] = {}
        self.silent: dict[str, None] = {}

    def take(self, question: _Question, answer: Answer) -> Said:
        """Take in an answer; return what it says."""
        name, said = question.one.name, read(question.one, answer)
        if isinstance(said, Trouble):
            self.silent[name] = None
        elif isinstance(said, Listed) and said.weight:
            before = self.best.get(name)
            if before is None or abs(said.weight) > abs(before[1].weight):
                self.best[name] = question, said
        return said


class Links:
    """The lists of [score.links], and who asks them."""

    def __init__(self, settings: LinksSettings, context: Context) -> None:
        self._settings, self._context = settings, context
        self._lists = [compiled(one) for one in effective(settings)] if settings.enabled else []
        self._exempt = frozenset(settings.exempt_domains)
        self._unasked = self._exempt | common()
        self._private = NetworkSet(PRIVATE)
        self._health = Health(self._lists, settings.suspend_after)
        self._by_subject: dict[str, list[Ours]] = {}
        self.names: frozenset[str] = frozenset()
        """The lists that are asked at the moment."""
        self.refresh()
        self._watch = Watch(self._lists, self._health, self, settings.suspend_for, context.store, context.resolver,
                            context.clock, context.told)  # fmt: skip

    def refresh(self) -> None:
        """Leave out what is suspended, take back what is not any more."""
        sound = [one for one in self._lists if not self._health.suspended(one.name)]
        subjects = dict.fromkeys(subject for one in sound for subject in one.subjects)
        self._by_subject = {subject: [one for one in sound if subject in one.subjects] for subject in subjects}
        self.names = frozenset(one.name for one in sound)

    async def ask(self, reading: Reading, facts: Facts) -> LinkFindings:
        """Return what the lists say of a message, after ``lookup_timeout`` at the latest."""
        if not self.names:
            return NOTHING
        findings, waiting = _Findings(), []
        for question in self._questions(reading, facts):
            answer = self._context.resolver.at_hand(question.name, "A")
            if answer is None:
                waiting.append(question)
            else:
                findings.take(question, answer)
        if waiting:
            await self._wait_for(waiting, findings)
        hits = tuple(hit_of(question.one, question.about, said) for question, said in findings.best.values())
        return LinkFindings(hits, tuple(sorted(findings.silent)))

    async def _wait_for(self, questions: Iterable[_Question], findings: _Findings) -> None:
        resolver, loop = self._context.resolver, asyncio.get_running_loop()
        tasks = {loop.create_task(resolver.lookup(question.name, "A")): question for question in questions}
        try:
            await asyncio.wait(tasks, timeout=self._settings.lookup_timeout)
        finally:
            late = {task for task in tasks if not task.done()}
            for task in late:
                task.cancel()  # the resolver goes on by itself: the answer is at hand next time
        heard: dict[str, tuple[Answer, Said]] = {}
        for task, question in tasks.items():
            answer = TOO_LATE if task in late else task.result()
            said = findings.take(question, answer)
            before = heard.get(question.one.name)
            if before is None or _tells(said) > _tells(before[1]):
                heard[question.one.name] = answer, said
        self._note(heard)

    def _note(self, heard: Mapping[str, tuple[Answer, Said]]) -> None:
        """Note how each list has answered; once for a message, so that one with many links suspends nobody."""
        now = int(self._context.clock.now())
        changes = [self._health.answered(name, answer, said, now) for name, (answer, said) in heard.items()]
        if any(changes):
            self.refresh()

    # --- what to ask --------------------------------------------------------------------------------------------------

    def _questions(self, reading: Reading, facts: Facts) -> Iterator[_Question]:
        asked = dict.fromkeys(self._abouts(reading, facts))
        for about in asked:
            for one in self._by_subject.get(about.subject, ()):
                if label := label_of(one, about):
                    yield _Question(one, about, label + one.suffix)

    def _abouts(self, reading: Reading, facts: Facts) -> Iterator[About]:
        own = registered_domain(facts.envelope.recipient.rpartition("@")[2])
        if "link" in self._by_subject or "address" in self._by_subject:
            for host, url in self._sample(reading.urls, own).items():
                yield About("link" if url.domain else "address", host)
        addresses = {
            "from": [reading.author.address] if "from" in self._by_subject else [],
            "reply_to": _reply_to(reading) if "reply_to" in self._by_subject else [],
            "sender": [facts.envelope.sender] if "sender" in self._by_subject else [],
        }
        for subject, found in addresses.items():
            for address in found:
                yield from self._of_address(subject, address, own)

    def _of_address(self, subject: str, address: str, own: str) -> Iterator[About]:
        local, at, host = address.rpartition("@")
        domain = registered_domain(domain_of(host))
        if not (local and at and domain) or domain == own or domain in self._exempt:
            return
        yield About(subject, address.lower(), domain)
        if domain not in self._unasked:
            yield About(subject, domain)

    def _sample(self, urls: Iterable[Url], own: str) -> dict[str, Url]:
        """Return a URL for each domain (or address) to ask about, ``max_domains`` at most."""
        found: dict[str, Url] = {}
        for url in urls:
            name = url.domain or url.host.strip("[]")
            if name not in found or (_misleads(url) and not _misleads(found[name])):
                found[name] = url
        found = {name: url for name, url in found.items() if self._is_asked(name, url, own)}
        return found if len(found) <= self._settings.max_domains else _chosen(found, self._settings.max_domains)

    def _is_asked(self, name: str, url: Url, own: str) -> bool:
        if url.domain:
            return name != own and name not in self._unasked
        packed = pack_address(name)
        return bool(packed) and packed not in self._private

    # --- watch ---

    async def begin(self) -> None:
        """Take in what is known of the lists; to be called before the first message."""
        if self._lists:
            await self._watch.begin()

    async def write_back(self) -> None:
        """Share what is known of the lists with the other workers."""
        if self._lists:
            await self._watch.share()

    async def upkeep(self) -> float:
        """Probe the lists whose time has come; return the seconds until the next step."""
        if not self._lists:
            return NEVER
        await self._watch.probe()
        return REST

    def gauges(self) -> Mapping[str, Mapping[str, float]]:
        """Return which lists are suspended."""
        status = self._health.status()
        return {"list_suspended": {name: float(bool(status[name].trouble)) for name in status}} if status else {}


def _tells(said: Said) -> int:
    """Rank what an answer tells of its list: that it is in trouble, that it is well, that it is silent."""
    return 0 if said is Trouble.SILENT else 2 if isinstance(said, Trouble) else 1


def label_of(one: Ours, about: About) -> str:
    """Return what to ask a list for, "" where this is nothing for it."""
    if one.settings.kind == "hash":
        address = about.name.encode("utf-8", "surrogateescape")
        return hashlib.new(one.settings.hash, address).hexdigest() if about.domain else ""
    if about.subject == "address":
        takes = one.settings.ipv6 if ":" in about.name else one.settings.ipv4
        return reversed_address(pack_address(about.name)) if takes else ""
    return "" if about.domain else about.name


def _chosen(found: Mapping[str, Url], most: int) -> dict[str, Url]:
    """Return some of many: half the room is for those that hide where they lead, half of what is left for the first and
    the last ones, the rest for any. Nobody shall know behind how many others, or which, a link goes unasked.
    """
    hiding = [name for name, url in found.items() if _hides(url)]
    chosen = dict.fromkeys(random.sample(hiding, min(len(hiding), (most + 1) // 2)))
    names = [name for name in found if name not in chosen]
    outer = (most - len(chosen)) // 2
    ends = (outer + 1) // 2
    chosen |= dict.fromkeys([*names[:ends], *names[len(names) - (outer - ends) :]])
    rest = [name for name in names if name not in chosen]
    return {name: found[name] for name in (*chosen, *random.sample(rest, most - len(chosen)))}


def _hides(url: Url) -> bool:
    """Say whether a link hides where it leads: its text names another domain, it is shortened, anybody could have put
    up the page at once, or it has an address for a name.
    """
    if _misleads(url) or not url.domain:
        return True
    parent = url.domain.partition(".")[2]  # domains on the Public Suffix List are no registered ones
    return bool({url.domain, url.host} & SHORTENERS or {url.domain, parent} & FREE_HOSTING)


def _misleads(url: Url) -> bool:
    """Return whether the text of a link names another domain than it leads to."""
    shown = _HOST.search(url.shown.lower())
    return shown is not None and registered_domain(shown[0]) not in ("", url.domain)


def _reply_to(reading: Reading) -> list[str]:
    found = [mailbox for field in reading.fields if field.name.lower() == b"reply-to"
             for mailbox in mailboxes(field.value)]  # fmt: skip
    return [f"{mailbox.local}@{mailbox.domain}" for mailbox in found[:_MAX_ADDRESSES]]


# --- what it says ---


def symbol_of(name: str) -> str:
    """Return the symbol of a list: ``LISTED_SPAMHAUS_DBL``."""
    return "LISTED_" + re.sub(r"[^A-Z0-9]", "_", name.upper())


def hit_of(one: Ours, about: About, said: Listed) -> Hit:
    """Return what a list's entry says of the message."""
    settings = one.settings
    reason = one.reason_of(said.code)
    code = next((code for code, text in settings.reasons.items() if text == reason), "")
    return Hit(
        symbol_of(one.name),
        0.0 if settings.shadow else said.weight,
        _sentence("en", one, about, reason),
        _sentence("it", one, about, settings.reasons_it.get(code, reason)),
        about.name[:100],
    )


def _sentence(language: str, one: Ours, about: About, reason: str) -> str:
    words = _WORDS[language]
    listed = words["known" if reason else "listed"].format(name=one.name, reason=reason)
    named = _NOT_OF_NAMES.sub("?", about.domain or about.name)[:MAX_NAMED]
    what = words["hash"].format(domain=named) if about.domain else named
    return words[about.subject].format(about=what, listed=listed)
