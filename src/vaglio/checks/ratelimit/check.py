"""The rate limit check: finds the rules that hold, asks and keeps the counts, tells the admin, answers.

Knows no protocol, opens nothing, reads no clock but the one it is given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from vaglio.checks.ratelimit.decide import (
    Alarm,
    Ask,
    Decision,
    Fate,
    Reason,
    Share,
    basis,
    decide,
    fate_of,
    judge,
    limits_of,
    settled,
)
from vaglio.checks.ratelimit.inflight import InFlight
from vaglio.checks.ratelimit.limits import MOST, Kind, Limit
from vaglio.checks.ratelimit.logins import Logins
from vaglio.checks.ratelimit.overrides import Overrides
from vaglio.checks.ratelimit.rules import Applied, Case, ReadyRule, Rules, Values, applied, case_of
from vaglio.checks.ratelimit.settings import RatelimitSettings
from vaglio.checks.ratelimit.sweep import Sweep
from vaglio.checks.ratelimit.text import header, reply_text
from vaglio.checks.ratelimit.usage import (
    BEGUN,
    MARKS,
    SEEN,
    USAGE,
    Mark,
    Seen,
    Usage,
    message_id,
    seen_key,
    short_hash,
)
from vaglio.facts import Facts, Stage
from vaglio.ports import Clock, References, Store, Transaction
from vaglio.verdict import Action, Reply, Verdict

NAME = "ratelimit"

NEVER_ASKED = 5
"""Messages without a request about a recipient after which the admin is told."""

STAGES = {"end-of-message": Stage.END_OF_MESSAGE, "data": Stage.DATA, "rcpt": Stage.RCPT}
"""What ``ratelimit.stage`` may be."""

_SEEN_AGAIN = 86400
"""Seconds after which it is written down anew that a recipient was written to."""


class Context(NamedTuple):
    """What the check works with; ``overrides`` and ``logins`` give those of the moment, ``country`` that of an address,
    ``language`` that of a sender's domain. ``alarm`` tells the admin of a key that is over its limit.
    """

    clock: Clock
    store: Store
    references: References
    overrides: Callable[[], Overrides]
    logins: Callable[[], Logins]
    country: Callable[[str], str]
    language: Callable[[str], str]
    hostname: str
    warn: Callable[[str], None]
    alarm: Callable[[Alarm, int], None]


class _Outcome(NamedTuple):
    decision: Decision
    alarms: list[Alarm]


class Ratelimit:
    """The check behind ``vaglio-ratelimit``."""

    def __init__(self, settings: RatelimitSettings, rules: Rules, context: Context) -> None:
        self._settings, self._rules, self._context = settings, rules, context
        self._stage = STAGES[settings.stage]
        self._sweep = Sweep(settings, rules, context.store)
        self._begun = 0
        kinds = {rule.kind for group in rules.groups for rule in group.rules}
        self._networks = Kind.DISTINCT_NETWORKS in kinds
        self._countries = Kind.DISTINCT_COUNTRIES in kinds
        self._new_recipients = Kind.NEW_RECIPIENTS in kinds
        self._in_flight = InFlight(Kind.REFUSED_SHARE in kinds)
        self._asked_at_rcpt = [rule.name for group in rules.recipient for rule in group.rules]
        self._asked_at_rcpt += [rule.name for rule in settings.rule if Kind(rule.count) is Kind.REFUSED_SHARE]
        self._never_asked = 0
        """Messages that ended before any recipient was asked about."""

    async def check(self, facts: Facts) -> Verdict:
        """Judge a message, or a recipient of one."""
        stage = facts.session.stage
        if stage is not Stage.RCPT and stage is not self._stage:
            return self._elsewhere(stage)
        context = self._context
        now = context.clock.now()
        case = case_of(facts, self._rules)
        mismatch = self._mismatch(case)
        if mismatch is not None:
            return self._verdict(mismatch, case, now)
        if self._asked_at_rcpt:
            self._watch_out(stage)
        if stage is not self._stage:
            self._in_flight.saw_recipient(case, now)
        asked = applied(self._rules.asked_at(stage, self._stage), case)
        if not asked:
            return Verdict(Action.PASS, NAME, Reason.COUNTED_LATER if stage is Stage.RCPT else Reason.NO_RULE)
        outcome = await self._counted(asked, case, now)
        if outcome.alarms:
            self._tell(outcome.alarms, now)
        return self._verdict(outcome.decision, case, now)

    def _watch_out(self, stage: Stage) -> None:
        """Tell the admin if Postfix asks about no recipients where rules need it: they would hold nothing back."""
        self._never_asked += 1
        if stage is Stage.RCPT:
            self._asked_at_rcpt = []
        elif self._never_asked == NEVER_ASKED:
            self._context.warn(
                f"Postfix asks about whole messages only, and the rules {', '.join(self._asked_at_rcpt)} need to be "
                "asked about each recipient: they hold nothing back before this service stands in "
                'smtpd_recipient_restrictions too (see "vaglio postconf ratelimit")'
            )

    def _elsewhere(self, stage: Stage) -> Verdict:
        if stage in (Stage.DATA, Stage.END_OF_MESSAGE):
            return Verdict(Action.PASS, NAME, Reason.COUNTED_LATER)
        self._context.warn(
            f"asked at {str(stage)[:20] or 'no stage at all'}; let through: rate limits belong into "
            "smtpd_end_of_data_restrictions"
        )
        return Verdict(Action.PASS, NAME, Reason.WRONG_STAGE)

    def _mismatch(self, case: Case) -> Decision | None:
        """Look whether the sender address belongs to the login; None where it does, or need not."""
        does = self._settings.sender_login
        if does == "off" or not case.user or self._context.logins().owns(case.user, case.sender):
            return None
        if does == "log":
            self._context.warn(f"the login {case.user[:100]!a} sends as {case.sender[:100]!a}, which is not its own")
            return None
        return Decision(Reason.NOT_OWN_SENDER, Action.REJECT if does == "reject" else Action.DEFER)

    def _counted(self, asked: Sequence[Applied], case: Case, now: float) -> Awaitable[_Outcome]:
        """Judge and count, in one transaction: two workers never let in together what is too much."""
        _, envelope, session = case.facts
        client, at_rcpt = case.facts.client, session.stage is Stage.RCPT
        recipients = 1 if at_rcpt else min(max(1, envelope.recipient_count), MOST + 1)
        attempts = recipients
        domains: Sequence[str] = (case.recipient.rpartition("@")[2],) if case.recipient else ()
        under_way = None if at_rcpt else self._in_flight.ended(session.instance)
        if under_way is not None:
            attempts, domains = max(under_way.attempts, recipients), under_way.domains
        ask = Ask(
            recipients,
            min(envelope.size, MOST + 1),  # before its end a client may claim any; this is more than any limit
            short_hash(self._rules.network(client)) if self._networks else 0,
            short_hash(self._context.country(client.address)) if self._countries else 0,
            short_hash(case.recipient) if at_rcpt else 0,
            attempts=attempts,
            refused=attempts - recipients,
            message=message_id(session.instance),
            of_several=at_rcpt,
        )
        return self._context.store.transact(lambda tx: self._step(tx, asked, case, ask, domains, now))

    def _step(
        self, tx: Transaction, asked: Sequence[Applied], case: Case, ask: Ask, domains: Sequence[str], now: float
    ) -> _Outcome:
        shares = [self._share(tx, one, case, ask, now) for one in asked]
        decision = decide(shares)
        fate = fate_of(decision, self._settings.mode == "rehearse")
        alarms: list[Alarm] = []
        for one, share in zip(asked, shares, strict=True):
            usage, due = settled(share, one.group, case, fate, domains, self._settings.alarm_every, int(now))
            if usage is not None:
                tx.put(USAGE, one.key, usage)
            alarms += due
            if self._new_recipients and fate is not Fate.REFUSED and case.recipient:
                self._remember_recipient(tx, one, case, int(now))
        return _Outcome(decision, alarms)

    def _share(self, tx: Transaction, one: Applied, case: Case, ask: Ask, now: float) -> Share:
        """Return what the rules of a group say."""
        usage = tx.get(USAGE, one.key) or Usage()
        if self._new_recipients and case.recipient:
            known = tx.get(SEEN, seen_key(one.group.spec, one.values, case.recipient))
            ask = ask._replace(is_new=known is None)
        rules = [(rule, self._limits(rule, one.values, usage, now)) for rule in one.rules]
        return judge(rules, one.values, usage, ask, now)

    def _limits(self, rule: ReadyRule, values: Values, usage: Usage, now: float) -> tuple[Limit, ...]:
        own = self._context.overrides().find(rule.name, values)
        return limits_of(rule, own, usage, self._begun, now)

    def _remember_recipient(self, tx: Transaction, one: Applied, case: Case, now: int) -> None:
        if not any(rule.kind is Kind.NEW_RECIPIENTS for rule in one.rules):
            return
        key = seen_key(one.group.spec, one.values, case.recipient)
        before = tx.get(SEEN, key)
        if before is None or now - before.last > _SEEN_AGAIN:
            tx.put(SEEN, key, Seen(now))

    def _verdict(self, decision: Decision, case: Case, now: float) -> Verdict:
        context, settings, action = self._context, self._settings, decision.action
        facts = basis(decision, case, now)
        if action is Action.PASS:
            marks = decision.worst is not None and decision.worst.rule.settings.action == "header"
            headers = (header(decision, context.hostname),) if marks else ()
            return Verdict(action, NAME, decision.reason, headers=headers, facts=facts)
        ref = context.references()
        language = context.language(case.sender.rpartition("@")[2])
        text = reply_text(decision, case, ref, language, settings, now)
        if action is Action.REJECT:
            reply = Reply(554, "5" + settings.enhanced_code[1:], text)
        elif action is Action.HOLD:
            reply = Reply(250, "2.0.0", text)  # for the log of Postfix: the client is told nothing
        else:
            reply = Reply(settings.reply_code, settings.enhanced_code, text)
        return Verdict(action, NAME, decision.reason, reply, facts=facts, immediate=action is not Action.HOLD, ref=ref)

    async def begin(self) -> None:
        """Learn when counting began; to be called before the first request."""
        now = int(self._context.clock.now())
        self._begun = await self._context.store.transact(lambda tx: _begun(tx, now))

    async def write_back(self) -> None:
        """Count the recipients of messages that had no end as refused. A message is forgotten when it is counted."""
        now = self._context.clock.now()
        for lost in self._in_flight.abandoned(now):
            asked = applied(self._rules.message, lost.case, Kind.REFUSED_SHARE) if lost.case else []
            if lost.case and asked:
                ask = Ask(recipients=0, attempts=lost.attempts, refused=lost.attempts)
                step = partial(self._step, asked=asked, case=lost.case, ask=ask, domains=(), now=now)
                outcome = await self._context.store.transact(step)
                self._tell(outcome.alarms, now)
            self._in_flight.ended(lost.instance)

    def _tell(self, alarms: Sequence[Alarm], now: float) -> None:
        for alarm in alarms:
            self._context.alarm(alarm, int(now))

    async def upkeep(self) -> float:
        """Take one small step of forgetting; return the seconds until the next one is due."""
        return await self._sweep.step(int(self._context.clock.now()))

    def gauges(self) -> Mapping[str, Mapping[str, float]]:
        """Return the rows of each table, and the keys over their limit by rule, as of the last whole walk."""
        return {"rows": self._sweep.rows, "keys_over_limit": self._sweep.keys_over} if self._sweep.rows else {}


def _begun(tx: Transaction, now: int) -> int:
    mark = tx.get(MARKS, BEGUN)
    if mark is None or mark.at > now:
        mark = Mark("begun", now)
        tx.put(MARKS, BEGUN, mark)
    return mark.at
