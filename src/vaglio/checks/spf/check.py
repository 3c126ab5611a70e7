"""The SPF check: evaluates from MAIL on, decides at the end of the message (or at each RCPT), says why.

Knows no protocol and opens nothing; the DNS, the clock and the references come through what it is given. What a client
before our own relays was, is read from the Received headers they wrote.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple

from vaglio.checks.spf.circumstances import author_domain, backup_mx, dmarc_of, forwarder, within
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
from vaglio.checks.spf.evaluate import Limits, Memory, evaluate
from vaglio.checks.spf.outcome import Evaluation, Identity, Question, Result
from vaglio.checks.spf.received import last_outside
from vaglio.checks.spf.record import allows, clean, term_for
from vaglio.checks.spf.settings import SpfSettings
from vaglio.checks.spf.text import received_spf, reply, results
from vaglio.eager import Rest, start
from vaglio.examination import Examination, Field, Message, Needs
from vaglio.facts import Facts
from vaglio.ports import Clock, References, Resolver
from vaglio.verdict import Action, Fact, Header, Verdict

NAME = "spf"
_CIRCUMSTANCES = 3.0
"""Seconds for what may speak for a client that failed."""
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
        self.limits = Limits(settings.max_lookups, settings.max_void_lookups, settings.time_limit)
        self.needs = Needs.NOTHING
        if self.lists.by_recipient:
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
        return _Exempt(exempt)

    async def evaluate(self, questions: Sequence[Question]) -> list[Evaluation]:
        """Evaluate within the limits of the settings."""
        context = self.context
        now = context.clock.now()
        return await evaluate(questions, context.resolver, self.limits, context.hostname, now, memory=self._memory)

    async def found(self, address: str, sender: str, helo: str, relay: str = "") -> Found:
        """Evaluate both identities of a message; the null sender has only one (RFC 7208 2.4)."""
        asked = ask_helo(address, helo)
        if not sender:
            [one] = await self.evaluate([asked])
            as_sender = one._replace(question=asked._replace(identity=Identity.MAIL_FROM))
            return Found(as_sender, one, True, relay)
        mail_from, one = await self.evaluate([ask_mail_from(address, sender, helo), asked])
        return Found(mail_from, one, False, relay)

    def is_news(self, domain: str) -> bool:
        """Say, once a day for each domain, that it is worth an alarm."""
        key = int(self.context.clock.now()) // 86400, domain
        if key in self._alarmed:
            return False
        if len(self._alarmed) >= _ALARMED:
            self._alarmed.clear()
        self._alarmed.add(key)
        return True


class _Exempt(Examination):
    """A message that is not judged, and not journalled."""

    __slots__ = ("_exempt",)

    def __init__(self, exempt: Exempt) -> None:
        self._exempt = exempt

    async def verdict(self, message: Message) -> Verdict:  # noqa: ARG002
        return Verdict(Action.PASS, NAME, self._exempt.reason, facts={"by": self._exempt.by})


class _Working(Examination):
    """A message with look-ups under way: a task if they have to wait, else what they found."""

    __slots__ = ("_facts", "_spf", "_work")

    def __init__(self, spf: Spf, facts: Facts) -> None:
        self._spf, self._facts = spf, facts
        self._work: Any = None

    def _begin(self, work: Coroutine[Any, Any, Any]) -> None:
        begun = start(work)
        self._work = asyncio.get_running_loop().create_task(_rest(begun)) if isinstance(begun, Rest) else begun

    async def _done(self) -> Any:
        # The task is shared by the answers at RCPT and the one at the end: who gives up waiting does not end it.
        return await asyncio.shield(self._work) if isinstance(self._work, asyncio.Task) else self._work

    def close(self) -> None:
        work = self._work
        if isinstance(work, asyncio.Task) and not work.cancel() and not work.cancelled():
            work.exception()  # it was told where it was awaited


async def _rest(rest: Rest[Any]) -> Any:
    return await rest


class _Judged(_Working):
    """A message that is judged."""

    __slots__ = ("_unreadable",)

    def __init__(self, spf: Spf, facts: Facts) -> None:
        super().__init__(spf, facts)
        self._unreadable = ""
        if facts.client.packed not in spf.lists.relays:
            self._begin(spf.found(facts.client.address, facts.envelope.sender, facts.session.helo))

    def end_of_headers(self, headers: Sequence[Field]) -> None:
        """Look for the client before our relays, where the message came from one."""
        if self._work is not None:
            return
        spf, facts = self._spf, self._facts
        received = (field.value for field in headers if field.name.lower() == b"received")
        hop = last_outside(received, spf.lists.is_ours)
        if isinstance(hop, str):
            self._unreadable = hop
        else:
            self._begin(spf.found(hop.address, facts.envelope.sender, hop.helo, facts.client.address))

    async def recipient(self, recipient: str) -> Verdict | None:
        """Refuse a recipient whose policies say so; what must wait for headers is decided at the end."""
        if self._work is None:
            return None
        found = await self._done()
        decision = decide(found, self._chosen(recipient), self._spf.settings)
        if decision.action not in (Action.DEFER, Action.REJECT) or heeds_dmarc(decision, self._spf.settings):
            return None
        decision, more = await self._held_back(decision, found, (recipient,), ())
        return self._verdict(decision, found, more, recipient) if decision.action is not Action.PASS else None

    async def verdict(self, message: Message) -> Verdict:
        """Return what comes of the message as a whole."""
        if self._work is None:
            return self._not_judged(self._unreadable or "the mail server gave no headers")
        found: Found = await self._done()
        recipients = message.recipients or (message.facts.envelope.recipient,)
        decisions = self._decisions(found, recipients)
        decision = mildest(decisions)
        milder = overruled(decisions, decision)
        more: Mapping[str, Fact] = {}
        if found.mail_from.result is not Result.PASS or decision.action is not Action.PASS:
            decision, more = await self._held_back(decision, found, recipients, message.headers)
        return self._verdict(decision, found, {**milder, **more}, recipients[0])

    def _decisions(self, found: Found, recipients: Sequence[str]) -> list[Decision]:
        spf = self._spf
        if not spf.lists.by_recipient:
            return [decide(found, self._chosen(None), spf.settings)]
        chosen = {id(one.mail_from): one for one in map(self._chosen, recipients)}
        return [decide(found, one, spf.settings) for one in chosen.values()]

    def _chosen(self, recipient: str | None) -> Chosen:
        facts, spf = self._facts, self._spf
        return policies_for(facts.client, facts.envelope.sender, recipient, spf.lists, spf.settings)

    async def _held_back(
        self, decision: Decision, found: Found, recipients: Sequence[str], headers: Sequence[Field]
    ) -> tuple[Decision, Mapping[str, Fact]]:
        """Return the decision once what speaks for the client is known, and that as facts."""
        spf, is_refusal = self._spf, decision.action is not Action.PASS
        if is_refusal and is_helo_borne_out(found, self._facts.client, spf.settings):
            return _let_in(decision, Reason.HELO_BORNE_OUT), {}
        if decision.found.result not in (Result.FAIL, Result.SOFTFAIL):
            return decision, {}
        more = await within(self._known_host(decision.found.question.address, recipients), _CIRCUMSTANCES, {})
        if is_refusal and more:
            return _let_in(decision, Reason.BACKUP_MX if "backup_mx" in more else Reason.FORWARDER), more
        if heeds_dmarc(decision, spf.settings) and (author := author_domain(headers)):
            policy = await within(dmarc_of(author, spf.context.resolver), _CIRCUMSTANCES, "unknown")
            if policy in ("quarantine", "reject", "unknown"):
                return _let_in(decision, Reason.LEFT_TO_DMARC), {**more, "author": author, "dmarc": policy}
        return decision, more

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

    def _not_judged(self, problem: str) -> Verdict:
        """Return a result of none: the mail came through a relay of ours, and nobody knows from where."""
        facts, context = self._facts, self._spf.context
        address, sender, helo = facts.client.address, facts.envelope.sender, facts.session.helo
        mail_from, greeting = ask_mail_from(address, sender, helo), ask_helo(address, helo)
        none = [Evaluation(one, Result.NONE, problem) for one in (mail_from, greeting)]
        found = Found(none[0], none[1], not sender)
        known: dict[str, Fact] = {"ip": address, "problem": problem, "result": Result.NONE.value}
        ref = context.references()
        return Verdict(Action.PASS, NAME, Reason.UNREADABLE, facts=known, ref=ref, results=results(found))

    def _verdict(self, decision: Decision, found: Found, more: Mapping[str, Fact], recipient: str) -> Verdict:
        spf, context = self._spf, self._spf.context
        ref = context.references()
        headers: tuple[Header, ...] = ()
        if spf.settings.header != "authentication-results":
            is_shown = not spf.settings.hide_recipient and self._facts.envelope.recipient_count <= 1
            receiver = recipient if is_shown and recipient else context.hostname
            headers = received_spf(found, receiver, context.hostname)
        told = None
        if decision.action is not Action.PASS:
            told = reply(decision, ref, context.language(recipient.rpartition("@")[2].lower()), spf.settings)
        return Verdict(
            decision.action, NAME, decision.reason, told, headers, basis(found, decision, more), True, ref,
            results=results(found),
        )  # fmt: skip


def _let_in(decision: Decision, reason: Reason) -> Decision:
    return decision._replace(action=Action.PASS, reason=reason)


class _OwnMail(_Working):
    """Mail of our own users, seen as others will see it; never refused."""

    __slots__ = ()

    def __init__(self, spf: Spf, facts: Facts) -> None:
        super().__init__(spf, facts)
        sender, hostname = facts.envelope.sender, spf.context.hostname
        self._begin(spf.evaluate([ask_mail_from(one, sender, hostname) for one in spf.settings.own_addresses]))

    async def verdict(self, message: Message) -> Verdict:  # noqa: ARG002
        """Let it pass, and tell the admin where others would not."""
        found: list[Evaluation] = await self._done()
        bad = own_mail_fails(found)
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
