"""The greylisting check: gathers what ``decide`` needs, remembers what it says, and keeps the house in order.

Knows no protocol, opens nothing, reads no clock but the one it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from vaglio.checks.greylist.decide import (
    DEFERRED,
    POOLS,
    TRIPLETS,
    Case,
    Decision,
    Exempt,
    Lists,
    PoolRecord,
    Reason,
    Triplet,
    basis,
    by_good_record,
    by_network,
    decide,
    known_lately,
    screen,
)
from vaglio.checks.greylist.keys import Keys, Places
from vaglio.checks.greylist.settings import GreylistSettings
from vaglio.checks.greylist.sweep import Sweep
from vaglio.checks.greylist.tally import Days, Pools
from vaglio.checks.greylist.text import header, reply_text
from vaglio.facts import Facts, Stage, Standing
from vaglio.hints import HINTS, standing
from vaglio.ports import Clock, References, Store, StoreError, Transaction
from vaglio.verdict import Action, Header, Reply, Verdict

NAME = "greylist"


class Context(NamedTuple):
    """What the check works with; ``lists`` gives the lists of the moment, ``language`` that of a recipient domain,
    ``hints`` the store in which other daemons say what they think of a client.
    """

    clock: Clock
    store: Store
    references: References
    lists: Callable[[], Lists]
    language: Callable[[str], str]
    hostname: str
    secret: bytes
    warn: Callable[[str], None]
    note: Callable[[str], None]
    hints: Callable[[], Store]


class Greylist:
    """The check behind ``vaglio-greylist``."""

    def __init__(self, settings: GreylistSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._keys = Keys(context.secret if settings.privacy else b"")
        self._pools = Pools(settings.retry_window)
        self._days = Days(settings.mode == "rehearse")
        self._sweep = Sweep(settings, context.store, self._keys, context.note)
        self._hints: Store | None = context.hints() if settings.scope == "listed" else None

    async def check(self, facts: Facts) -> Verdict:
        """Judge one recipient of one message."""
        settings, context = self._settings, self._context
        now = int(context.clock.now())
        if self._hints is not None:
            facts = await self._with_standing(self._hints, facts, now)
        screened = screen(facts, settings, context.lists())
        if isinstance(screened, Exempt):
            return self._exempt(screened, facts, now)
        places = self._keys.places(screened, bool(settings.auto_whitelist_domain))
        decision = self._by_pools_at_hand(screened, places, now) or await self._judge(screened, places, now)
        if decision.reason in DEFERRED:
            if settings.tarpit and decision.reason is not Reason.EARLY and settings.mode == "enforce":
                context.store.settle()  # what the answer rests on: a store that fails is to be known before the wait
                await context.clock.sleep(settings.tarpit)
            return self._deferral(decision, screened, facts)
        return self._pass(decision, screened, now)

    async def _with_standing(self, hints: Store, facts: Facts, now: int) -> Facts:
        """Add what blocklists say of the client, if anybody asked them."""
        try:
            found = await hints.transact(lambda tx: standing(tx, facts.client, now))
        except StoreError as error:
            self._context.warn(f"what blocklists say of clients can't be read: {error}")
            return facts
        return facts if found is Standing.UNKNOWN else facts._replace(client=facts.client._replace(standing=found))

    def _by_pools_at_hand(self, case: Case, places: Places, now: int) -> Decision | None:
        """Decide without the store where a good record is at hand and need not be written."""
        pools = self._pools
        domain = pools.at_hand(places.domain, now) if places.domain else None
        decision = by_good_record(case, pools.at_hand(places.pool, now), domain, now, self._settings)
        return None if decision is None or decision.pool or decision.domain else decision

    async def _judge(self, case: Case, places: Places, now: int) -> Decision:
        decision, moved = await self._context.store.transact(lambda tx: self._remember(tx, case, places, now))
        self._keep_count(decision, places, now)
        if moved:
            self._pools.left(self._keys.pool(case.network))
        return decision

    def _remember(self, tx: Transaction, case: Case, places: Places, now: int) -> tuple[Decision, bool]:
        """Decide and write, in one transaction: two workers never judge by half of what the other did.

        Also return whether the triplet moved here from the name of the client's network.
        """
        triplet, found = recall(tx, self._keys, case, places.triplet)
        if triplet and found == places.triplet and (known := known_lately(triplet, now, self._settings)):
            return known, False  # nothing is to be written, so no pool need be read
        pool = self._pools.recent(tx, places.pool, now)
        domain = self._pools.recent(tx, places.domain, now) if places.domain else None
        decision = self._decide(tx, case, places, (pool, domain, triplet), now)
        if decision.pool or decision.domain:  # before a record is written it is read: others may have been faster
            pool, domain = tx.get(POOLS, places.pool), tx.get(POOLS, places.domain) if places.domain else None
            decision = self._decide(tx, case, places, (pool, domain, triplet), now)
        moved = found != places.triplet and decision.triplet is not None
        if moved:
            tx.delete(TRIPLETS, found)
        if decision.triplet:
            tx.put(TRIPLETS, places.triplet, self._keys.veil_triplet(decision.triplet))
        for key, record in ((places.pool, decision.pool), (places.domain, decision.domain)):
            if record:
                tx.put(POOLS, key, self._keys.veil_pool(record))
        return decision, moved

    def _decide(
        self,
        tx: Transaction,
        case: Case,
        places: Places,
        records: tuple[PoolRecord | None, PoolRecord | None, Triplet | None],
        now: int,
    ) -> Decision:
        pool, domain, triplet = records
        if pool is None and case.network != case.pool.name:
            network = self._pools.recent(tx, self._keys.pool(case.network), now)
            if vouched := by_network(network, self._settings):
                return vouched
        return decide(case, pool, domain, triplet, self._pools.pending(places.pool, now), now, self._settings)

    def _keep_count(self, decision: Decision, places: Places, now: int) -> None:
        """Take note, once the decision stands."""
        self._days.count(decision, now)
        if decision.pool:
            self._pools.remember(places.pool, decision.pool, now)
        if decision.domain:
            self._pools.remember(places.domain, decision.domain, now)
        if decision.reason is Reason.FIRST:
            self._pools.came(places.pool)
        elif decision.reason is Reason.RETRIED:
            self._pools.left(places.pool)

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

    async def write_back(self) -> None:
        """Add to the store what was counted in memory; every few seconds, and before the end."""
        await self._days.write_back(self._context.store)
        if self._settings.pass_trusted and self._settings.scope == "all":
            await self._look_for_hints()

    async def _look_for_hints(self) -> None:
        """Where no blocklist daemon ever wrote a hint, as on most hosts, no answer looks for one."""
        hints = self._context.hints()
        with suppress(StoreError):  # it is told where a daemon needs it
            self._hints = hints if await hints.scan(HINTS, b"", 1) else None

    async def upkeep(self) -> float:
        """Take one small step of forgetting what has expired; return the seconds until the next one is due."""
        return await self._sweep.step(int(self._context.clock.now()))

    def gauges(self) -> Mapping[str, Mapping[str, float]]:
        """Return the rows of each table, as of the last whole sweep; none before the first."""
        return {"rows": self._sweep.rows} if self._sweep.rows else {}


def recall(tx: Transaction, keys: Keys, case: Case, key: bytes) -> tuple[Triplet | None, bytes]:
    """Return the triplet under ``key``, or else that of the client's network, and the key where it lies."""
    triplet = tx.get(TRIPLETS, key)
    if triplet is None and case.network != case.pool.name:
        other = keys.triplet(case.network, case.sender, case.recipient)
        if (triplet := tx.get(TRIPLETS, other)) is not None:
            return triplet, other
    return triplet, key
