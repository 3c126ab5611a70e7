"""Judges requests by the settings, lists and records of the moment, as the daemon would. Changes nothing.

How many triplets of a pool wait (greylist.max_pending) only the workers know: it is judged as if none did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from vaglio.checks.greylist.check import recall
from vaglio.checks.greylist.decide import (
    POOLS,
    SCHEMA,
    Case,
    Decision,
    Exempt,
    PoolRecord,
    Triplet,
    by_network,
    decide,
    screen,
)
from vaglio.checks.greylist.whitelists import Whitelists
from vaglio.cli.common import look_at_store, state_directory
from vaglio.cli.greylist_keys import keys_of
from vaglio.config.load import Loaded
from vaglio.facts import Facts
from vaglio.ports import Store, Transaction


class Judgement(NamedTuple):
    """What would be decided, and on which records."""

    case: Case
    decision: Decision
    pool: PoolRecord | None
    triplet: Triplet | None


def judge(loaded: Loaded, requests: Sequence[Facts], at: int, warn: Callable[[str], None]) -> list[Exempt | Judgement]:
    """Return what each request would be answered at ``at`` (Unix seconds). ``warn`` hears of trouble with list files.

    Raises CliError; a store is not needed where nobody has to be judged by it.
    """
    settings, keys = loaded.config.greylist, keys_of(loaded)
    lists = Whitelists(settings, state_directory(loaded), warn).current()
    screened = [screen(facts, settings, lists) for facts in requests]

    def step(tx: Transaction, case: Case) -> Judgement:
        places = keys.places(case, with_domain=True)
        pool, network = tx.get(POOLS, places.pool), tx.get(POOLS, keys.pool(case.network))
        domain, (triplet, _) = tx.get(POOLS, places.domain), recall(tx, keys, case, places.triplet)
        decision = None if pool else by_network(network, settings)
        return Judgement(case, decision or decide(case, pool, domain, triplet, 0, at, settings), pool, triplet)

    async def work(store: Store) -> list[Exempt | Judgement]:
        return await store.transact(lambda tx: [one if isinstance(one, Exempt) else step(tx, one) for one in screened])

    exempt = [one for one in screened if isinstance(one, Exempt)]
    return list(exempt) if len(exempt) == len(screened) else look_at_store(loaded, SCHEMA, work)
