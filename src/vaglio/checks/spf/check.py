"""The SPF check: evaluates from MAIL on, decides at the end of the message (or at each RCPT), says why.

Knows no protocol and opens nothing; the DNS, the clock and the references come through what it is given. What a client
before our own relays was, is read from the Received headers they wrote.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from vaglio.checks.spf.circumstances import UNKNOWN, author_domain, backup_mx, dmarc_of, forwarder, within
from vaglio.checks.spf.decide import (
    Chosen,
    Decision,
    Exempt,
    Found,
    Lists,
    Reason,
    basis,
    decide,
    heeds_dmarc,
    is_helo_borne_out,
    may_wait_for_dmarc,
    mildest,
    overruled,
    own_mail_fails,
    policies_for,
    screen,
)
from vaglio.checks.spf.domain import ask_helo, ask_mail_from
from vaglio.checks.spf.evaluate import Limits, evaluate
from vaglio.checks.spf.memory import Memory
from vaglio.checks.spf.outcome import Evaluation, Identity, Question, Result
from vaglio.checks.spf.received import last_outside
from vaglio.checks.spf.record import allows, clean, term_for
from vaglio.checks.spf.settings import CIRCUMSTANCES, SpfSettings
from vaglio.checks.spf.text import received_spf, reply, results
from vaglio.eager import Rest, rest, start, together
from vaglio.examination import Examination, Field, Foregone, Message, Needs
from vaglio.facts import Client, Facts
from vaglio.ports import Clock, References, Resolver
from vaglio.verdict import Action, Fact, Header, Verdict

NAME = "spf"
_AT_RCPT = 3.0
"""Seconds for which an answer to RCPT waits for HELO's result, once it has that of MAIL FROM."""
_ALARMED = 10_000
_ALARMS = (Reason.AUTHENTICATED, Reason.LOCAL, Reason.NO_ADDRESS)
"""Whose mail is our own."""


class Context(NamedTuple):
    """What the check works with. ``alarm`` tells the admin: subject, text, and the same as values."""

    clock: Clock
    resolver: Resolver
    references: References
    language: Callable[[str], str]
    hostname: str
    warn: Callable[[str], None]
    alarm: Callable[[str, str, Mapping[str, Fact]], None]


class Spf:
    """The check behind ``vaglio-spf``."""

    name = NAME
    methods = ("spf",)

    def __init__(self, settings: SpfSettings, context: Context) -> None:
        self.settings, self.context = settings, context
        self.lists = Lists.of(settings)
        self.by_recipient = self.lists.by_recipient
        self.limits = Limits(settings.max_lookups, settings.max_void_lookups, settings.time_limit)
        self.needs = Needs.NOTHING
        if self.by_recipient:
            self.needs |= Needs.RECIPIENTS
        if settings.relays or may_wait_for_dmarc(settings):
            self.needs |= Needs.HEADERS
        self._alarmed: set[tuple[int, str]] = set()
        self._memory = Memory()

    def examine(self, facts: Facts) -> Examination:
        """Begin with a message: its look-ups begin here, but for mail of our own relays."""
        exempt = screen(facts, self.lists, self.settings)
        if exempt is None:
            return _Judged(self, facts)
        if self.settings.own_addresses and exempt.reason in _ALARMS and "@" in facts.envelope.sender:
            return _OwnMail(self, facts)
        return Foregone(_left_alone(exempt))

    async def evaluate(self, questions: Sequence[Question]) -> list[Evaluation]:
        """Evaluate within the limits of the settings."""
        context = self.context
        now = context.clock.now()
        return await evaluate(questions, context.resolver, self.limits, context.hostname, now, memory=self._memory)

    def remembered(self, questions: Sequence[Question]) -> list[Evaluation] | None:
        """Return evaluations that still hold, None unless there is one for each question. ``evaluate`` finds them, too,
        and takes 5 us longer.
        """
        found = [self._memory.find(question, self.context.resolver) for question in questions]
        return None if None in found else cast("list[Evaluation]", found)

    def is_news(self, domain: str) -> bool:
        """Say, once a day for each domain, that it is worth an alarm."""
        key = int(self.context.clock.now()) // 86400, domain
        if key in self._alarmed:
            return False
        if len(self._alarmed) >= _ALARMED:
            self._alarmed.clear()
        self._alarmed.add(key)
        return True


def _left_alone(exempt: Exempt) -> Verdict:
    return Verdict(Action.PASS, NAME, exempt.reason, facts={"by": exempt.by})


class _Working(Examination):
    """A message with look-ups under way: tasks for those that have to wait, else what they found."""

    __slots__ = ("_facts", "_spf", "_works")

    def __init__(self, spf: Spf, facts: Facts) -> None:
        self._spf, self._facts = spf, facts
        self._works: list[Any] = []

    def _begin(self, questions: Sequence[Question]) -> None:
        work: Any = self._spf.remembered(questions)
        if work is None:
            begun = start(self._spf.evaluate(questions))
            work = asyncio.get_running_loop().create_task(rest(begun)) if isinstance(begun, Rest) else begun
        self._works.append(work)

    def close(self) -> None:
        for work in self._works:
            if isinstance(work, asyncio.Task) and not work.cancel() and not work.cancelled():
                work.exception()  # it was told where it was awaited


async def _done(work: Any) -> list[Evaluation]:
    # The task is shared by the answers at RCPT and the one at the end: who gives up waiting does not end it.
    found: list[Evaluation] = await asyncio.shield(work) if isinstance(work, asyncio.Task) else work
    return found


class _Judged(_Working):
    """A message that is judged: by its client, or behind a relay of ours by the client before that."""

    __slots__ = ("_client", "_exempt", "_greeting", "_problem", "_relay")

    def __init__(self, spf: Spf, facts: Facts) -> None:
        super().__init__(spf, facts)
        self._client, self._relay = facts.client, ""
        self._exempt: Exempt | None = None
        self._problem = "the mail server gave no headers"
        if not facts.client.packed:
            self._client, self._problem = facts.client._replace(address=""), "the client's address can't be read"
        elif facts.client.packed not in spf.lists.relays:
            self._judge(facts.session.helo)

    def _judge(self, helo: str) -> None:
        """Begin with both identities; the null sender has only one (RFC 7208 2.4)."""
        address, sender = self._client.address, self._facts.envelope.sender
        self._greeting = ask_helo(address, helo)
        if sender:
            self._begin([ask_mail_from(address, sender, helo)])
        self._begin([self._greeting])

    def end_of_headers(self, headers: Sequence[Field]) -> None:
        """Look for the client before our relays, where the message came from one."""
        if self._works or not self._client.packed:
            return
        spf, facts = self._spf, self._facts
        received = (field.value for field in headers if field.name.lower() == b"received")
        hop = last_outside(received, spf.lists.wrote_next)
        if isinstance(hop, str):
            self._problem = hop
            return
        self._client, self._relay = Client(hop.address, hop.packed), facts.client.address
        self._exempt = screen(facts._replace(client=self._client), spf.lists, spf.settings)
        if self._exempt is None:
            self._judge(hop.helo)

    async def recipient(self, recipient: str) -> Verdict | None:
        """Refuse a recipient whose policies say so; what must wait for headers is decided at the end."""
        if not self._works:
            return None
        found = await self._found(_AT_RCPT)
        decision = decide(found, self._chosen(recipient), self._spf.settings)
        if decision.action not in (Action.DEFER, Action.REJECT) or heeds_dmarc(decision, self._spf.settings):
            return None
        decision, more = await self._held_back(decision, found, (recipient,), ())
        return self._verdict(decision, found, more, (recipient,)) if decision.action is not Action.PASS else None

    async def verdict(self, message: Message) -> Verdict:
        """Return what comes of the message as a whole."""
        if self._exempt:
            return _left_alone(self._exempt)
        found = await self._found(None) if self._works else self._unreadable()
        recipients = message.recipients or (message.facts.envelope.recipient,)
        decisions = self._decisions(found, recipients)
        decision = mildest(decisions)
        milder = overruled(decisions, decision)
        more: Mapping[str, Fact] = {}
        if not self._works:  # nobody knows for whom anything would speak
            reason = Reason.UNREADABLE if self._client.packed else Reason.NO_CLIENT
            decision = decision if decision.action is not Action.PASS else _let_in(decision, reason)
        elif found.mail_from.result is not Result.PASS or decision.action is not Action.PASS:
            decision, more = await self._held_back(decision, found, recipients, message.headers)
        return self._verdict(decision, found, {**milder, **more}, recipients)

    async def _found(self, patience: float | None) -> Found:
        """Return what was evaluated; a HELO name that takes more than so many seconds is temperror."""
        [first] = await _done(self._works[0])
        if not self._facts.envelope.sender:
            return Found(_as_sender(first), first, True, self._relay)
        work = self._works[1]
        if isinstance(work, asyncio.Task):
            late = [Evaluation(self._greeting, Result.TEMPERROR, "it takes too long to look it up")]
            work = await within(_done(work), patience, late)
        [greeting] = work
        return Found(first, greeting, False, self._relay)

    def _unreadable(self) -> Found:
        """Return a result of none: nobody knows from where the mail came, or who was before a relay of ours."""
        address, sender, helo = self._client.address, self._facts.envelope.sender, self._facts.session.helo
        asked = (ask_mail_from(address, sender, helo), ask_helo(address, helo))
        mail_from, greeting = (Evaluation(one, Result.NONE, self._problem) for one in asked)
        return Found(mail_from, greeting, not sender)

    def _decisions(self, found: Found, recipients: Sequence[str]) -> list[Decision]:
        spf = self._spf
        if not spf.by_recipient:
            return [decide(found, self._chosen(None), spf.settings)]
        chosen = {one.by: one for one in map(self._chosen, recipients)}
        return [decide(found, one, spf.settings) for one in chosen.values()]

    def _chosen(self, recipient: str | None) -> Chosen:
        spf = self._spf
        return policies_for(self._client, self._facts.envelope.sender, recipient, spf.lists, spf.settings)

    async def _held_back(
        self, decision: Decision, found: Found, recipients: Sequence[str], headers: Sequence[Field]
    ) -> tuple[Decision, Mapping[str, Fact]]:
        """Return the decision once what speaks for the client is known, and that as facts."""
        settings, is_refusal = self._spf.settings, decision.action is not Action.PASS
        if is_refusal and is_helo_borne_out(found, self._client, settings):
            return _let_in(decision, Reason.HELO_BORNE_OUT), {}
        if decision.found.result not in (Result.FAIL, Result.SOFTFAIL):
            return decision, {}
        author = author_domain(headers) if heeds_dmarc(decision, settings) else ""
        host, dmarc = await together(
            within(self._known_host(decision.found.question.address, recipients), CIRCUMSTANCES, {}),
            within(self._dmarc(author), CIRCUMSTANCES, {"author": author, "dmarc": UNKNOWN}),
        )
        if is_refusal and host:
            return _let_in(decision, Reason.BACKUP_MX if "backup_mx" in host else Reason.FORWARDER), host
        if dmarc.get("dmarc") == UNKNOWN:
            # Any domain of a client's own can be made to time out: that lets nobody in. It may do next time.
            action = Action.DEFER if decision.action is Action.REJECT else decision.action
            return decision._replace(action=action), {"dmarc_unknown": author}
        return (_let_in(decision, Reason.LEFT_TO_DMARC), dmarc) if dmarc else (decision, host)

    async def _dmarc(self, author: str) -> Mapping[str, Fact]:
        """Return the DMARC policy of the author's domain, where that may decide in place of SPF."""
        policy = await dmarc_of(author, self._spf.context.resolver) if author else ""
        return {"author": author, "dmarc": policy} if policy in ("quarantine", "reject", UNKNOWN) else {}

    async def _known_host(self, address: str, recipients: Sequence[str]) -> Mapping[str, Fact]:
        """Return which host known to us the client is: a backup MX, a forwarder's."""
        spf, context = self._spf, self._spf.context
        if host := await backup_mx(address, recipients, context.resolver):
            return {"backup_mx": clean(host, 253)}
        if domains := spf.settings.skip.forwarders:
            now = context.clock.now()
            if name := await forwarder(address, domains, context.resolver, spf.limits, context.hostname, now):
                return {"forwarder": name}
        return {}

    def _verdict(
        self, decision: Decision, found: Found, more: Mapping[str, Fact], recipients: Sequence[str]
    ) -> Verdict:
        spf, context, recipient = self._spf, self._spf.context, recipients[0]
        ref = context.references()
        headers: tuple[Header, ...] = ()
        if spf.settings.header != "authentication-results":
            is_shown = not spf.settings.hide_recipient and len(recipients) == 1  # or all would see who else has it
            receiver = recipient if is_shown and recipient else context.hostname
            headers = received_spf(found, receiver, context.hostname)
        told = None
        if decision.action is not Action.PASS:
            told = reply(decision, ref, context.language(recipient.rpartition("@")[2].lower()), spf.settings)
        return Verdict(
            decision.action, NAME, decision.reason, told, headers, basis(found, decision, more), True, ref,
            results=results(found),
        )  # fmt: skip


def _as_sender(greeting: Evaluation) -> Evaluation:
    return greeting._replace(question=greeting.question._replace(identity=Identity.MAIL_FROM))


def _let_in(decision: Decision, reason: Reason) -> Decision:
    return decision._replace(action=Action.PASS, reason=reason)


class _OwnMail(_Working):
    """Mail of our own users, seen as others will see it; never refused."""

    __slots__ = ()

    def __init__(self, spf: Spf, facts: Facts) -> None:
        super().__init__(spf, facts)
        sender, hostname = facts.envelope.sender, spf.context.hostname
        self._begin([ask_mail_from(one, sender, hostname) for one in spf.settings.own_addresses])

    async def verdict(self, message: Message) -> Verdict:  # noqa: ARG002
        """Let it pass, and tell the admin where others would not."""
        bad = own_mail_fails(await _done(self._works[0]))
        if bad is None:
            return Verdict(Action.PASS, NAME, Reason.OWN_MAIL)
        known = basis(None, Decision(Action.PASS, Reason.OWN_MAIL_FAILS, bad), {})
        domain, context = bad.question.domain, self._spf.context
        if self._spf.is_news(domain):
            text = _alarm(bad)
            context.warn(text)
            context.alarm(f"mail of {domain} fails SPF when it leaves from here", text, known)
        return Verdict(Action.PASS, NAME, Reason.OWN_MAIL_FAILS, facts=known, ref=context.references())


def _alarm(bad: Evaluation) -> str:
    domain, address = bad.question.domain, bad.question.address
    if bad.result is Result.PERMERROR:
        what = f"the SPF record of {domain} can't be used ({clean(bad.problem, 160)}): repair it"
    else:
        what = f"{address} is not in the SPF record of {domain}, which allows {allows(bad.record)}: "
        what += f"add {term_for(address)}"
    return f"mail of our own users from {domain} gets {bad.result} from those who check SPF: {what}"
