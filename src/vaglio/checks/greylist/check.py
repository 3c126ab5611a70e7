"""The greylisting check: gathers what ``decide`` needs, remembers what it says, and keeps the house in order.

Knows no protocol, opens nothing, reads no clock but the one it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from vaglio.checks.greylist.decide import (
    DAYS,
    DEFERRED,
    POOLS,
    TRIPLETS,
    Case,
    Day,
    Decision,
    Exempt,
    Lists,
    PoolRecord,
    Reason,
    Triplet,
    basis,
    decide,
    domain_name,
    screen,
)
from vaglio.checks.greylist.keys import Keys, day_key
from vaglio.checks.greylist.settings import GreylistSettings
from vaglio.checks.greylist.sweep import Sweep
from vaglio.checks.greylist.text import header, reply_text
from vaglio.facts import Facts, Stage
from vaglio.ports import Clock, References, Store, Transaction
from vaglio.verdict import Action, Header, Reply, Verdict

NAME = "greylist"


class Context(NamedTuple):
    """What the check works with; ``lists`` gives the lists of the moment, ``language`` that of a recipient domain."""

    clock: Clock
    store: Store
    references: References
    lists: Callable[[], Lists]
    language: Callable[[str], str]
    hostname: str
    secret: bytes
    warn: Callable[[str], None]
    note: Callable[[str], None]


class Greylist:
    """The check behind ``vaglio-greylist``."""

    def __init__(self, settings: GreylistSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._keys = Keys(context.secret if settings.privacy else b"")
        self._sweep = Sweep(settings, context.store, self._keys, context.note)

    async def check(self, facts: Facts) -> Verdict:
        """Judge one recipient of one message."""
        settings, context = self._settings, self._context
        now = int(context.clock.now())
        screened = screen(facts, settings, context.lists())
        if isinstance(screened, Exempt):
            return self._exempt(screened, facts, now)
        decision = await context.store.transact(lambda tx: self._remember(tx, screened, now))
        if decision.reason in DEFERRED:
            if settings.tarpit and decision.reason is not Reason.EARLY:
                await context.clock.sleep(settings.tarpit)
            return self._deferral(decision, screened, facts)
        return self._pass(decision, screened, now)

    def _remember(self, tx: Transaction, case: Case, now: int) -> Decision:
        """Decide and write, in one transaction: two workers never judge by half of what the other did."""
        settings, keys = self._settings, self._keys
        pool_key = keys.pool(case.pool.name)
        triplet_key = keys.triplet(case.pool.name, case.sender, case.recipient)
        domain_key = keys.pool(domain_name(case)) if settings.auto_whitelist_domain else b""
        pool, triplet = recall(tx, keys, case)
        domain = tx.get(POOLS, domain_key) if domain_key else None
        decision = decide(case, pool, domain, triplet, now, settings)
        if decision.triplet:
            tx.put(TRIPLETS, triplet_key, keys.veil_triplet(decision.triplet))
        if decision.pool:
            tx.put(POOLS, pool_key, keys.veil_pool(decision.pool))
        if decision.domain and domain_key:
            tx.put(POOLS, domain_key, keys.veil_pool(decision.domain))
        _count_day(tx, decision, pool, now)
        return decision

    def _exempt(self, exempt: Exempt, facts: Facts, now: int) -> Verdict:
        if exempt.reason is Reason.INCOMPLETE:
            self._context.warn(f"a request came without what greylisting needs ({exempt.by}); let through")
        elif exempt.reason is Reason.WRONG_STAGE and facts.session.stage is not Stage.DATA:
            self._context.warn(
                f"asked at {str(facts.session.stage)[:20] or 'no stage at all'}; let through: "
                "greylisting belongs into smtpd_recipient_restrictions"
            )
        return Verdict(Action.PASS, NAME, exempt.reason, headers=self._header(Decision(exempt.reason), now),
                       facts={"by": exempt.by})  # fmt: skip

    def _pass(self, decision: Decision, case: Case, now: int) -> Verdict:
        return Verdict(Action.PASS, NAME, decision.reason, headers=self._header(decision, now),
                       facts=basis(decision, case))  # fmt: skip

    def _header(self, decision: Decision, now: int) -> tuple[Header, ...]:
        if self._settings.header == "none":
            return ()
        made = header(decision, now, self._context.hostname, self._settings)
        return (made,) if made else ()

    def _deferral(self, decision: Decision, case: Case, facts: Facts) -> Verdict:
        settings = self._settings
        ref = self._context.references()
        language = self._context.language(facts.envelope.recipient.rpartition("@")[2].lower())
        action = settings.early_action if decision.reason is Reason.EARLY else settings.first_action
        return Verdict(
            Action.DEFER,
            NAME,
            decision.reason,
            reply=Reply(
                settings.reply_code, settings.enhanced_code, reply_text(decision, facts, ref, language, settings)
            ),
            facts=basis(decision, case),
            immediate=action == "defer",
            ref=ref,
        )

    async def upkeep(self) -> float:
        """Take one small step of forgetting what has expired; return the seconds until the next one is due."""
        return await self._sweep.step(int(self._context.clock.now()))

    def gauges(self) -> Mapping[str, float]:
        """Return the rows of each table, as of the last whole sweep."""
        return self._sweep.rows


def recall(tx: Transaction, keys: Keys, case: Case) -> tuple[PoolRecord | None, Triplet | None]:
    """Return what is remembered of the case's pool and triplet, or else of its network's."""
    pool = tx.get(POOLS, keys.pool(case.pool.name))
    triplet = tx.get(TRIPLETS, keys.triplet(case.pool.name, case.sender, case.recipient))
    if case.network != case.pool.name:
        if pool is None and (network := tx.get(POOLS, keys.pool(case.network))):
            pool = PoolRecord(name=case.pool.name, delivered=network.delivered, counted=network.counted)
        if triplet is None and (other := tx.get(TRIPLETS, keys.triplet(case.network, case.sender, case.recipient))):
            triplet = other._replace(pool=case.pool.name, sender=case.sender, recipient=case.recipient)
    return pool, triplet


def _count_day(tx: Transaction, decision: Decision, before: PoolRecord | None, now: int) -> None:
    """Add the event to its day. A known triplet is no event."""
    if decision.reason not in (Reason.FIRST, Reason.EARLY, Reason.RETRIED, Reason.TOO_MANY):
        return
    number = now // 86400
    day = tx.get(DAYS, day_key(number)) or Day(day=number)
    lost = decision.pool.lost - (before.lost if before else 0) if decision.pool else 0
    tx.put(
        DAYS,
        day_key(number),
        day._replace(
            contacts=day.contacts + (decision.reason is Reason.FIRST),
            early=day.early + (decision.reason is Reason.EARLY),
            retried=day.retried + (decision.reason is Reason.RETRIED),
            waited=day.waited + (decision.waited if decision.reason is Reason.RETRIED else 0),
            lost=day.lost + lost,
            crowded=day.crowded + (decision.reason is Reason.TOO_MANY),
        ),
    )
