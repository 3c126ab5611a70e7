"""What each list was worth, by day: asked, hits, hits that no other list shared, hits whose mail was let in; and how
many requests were refused.

Counted in memory and added to the store every few seconds; a crash loses those seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from hashlib import blake2b
from typing import NamedTuple

from vaglio.checks.dnsbl.decide import Decision
from vaglio.ports import Store, StoreError, Table, Transaction
from vaglio.verdict import Action

KEEP_DAYS = 90
"""Days for which counts are kept."""


class Count(NamedTuple):
    """One list on one day (UTC); the entry without a name counts all requests that were judged, and it alone how many
    of them were refused.
    """

    day: int = 0
    """Days since 1970-01-01."""
    name: str = ""
    asked: int = 0
    """Requests that were judged while the list was in use."""
    hits: int = 0
    alone: int = 0
    """Hits where no other list of the same mind had one; the others are agreement."""
    passed: int = 0
    """Hits in requests that were let in all the same."""
    silent: int = 0
    """Requests in which it gave no answer in time."""
    refused: int = 0
    """Requests that were refused for good."""
    deferred: int = 0
    """Requests that were refused for now."""
    would_refuse: int = 0
    """Requests in a rehearsal that would have been refused for good."""
    would_defer: int = 0
    """Requests in a rehearsal that would have been refused for now."""


COUNTS = Table("counts", Count)

_DOES = {Action.REJECT: "refused", Action.DEFER: "deferred"}
_WOULD = {Action.REJECT: "would_refuse", Action.DEFER: "would_defer"}


def count_key(day: int, name: str) -> bytes:
    """Return the key of a list's counts; days sort by it."""
    return day.to_bytes(4, "big") + blake2b(name.encode(), digest_size=12).digest()


class Tally:
    """Counts that are not in the store yet; ``private`` are the lists that are always asked. In a ``rehearsal`` what is
    decided is not done.
    """

    def __init__(self, private: Collection[str] = (), *, rehearsal: bool = False) -> None:
        self._private = private
        self._refusals = _WOULD if rehearsal else _DOES
        self._requests: Counter[tuple[int, frozenset[str]]] = Counter()
        """Requests by day and by lists in use: one count for each request, not one for each list."""
        self._waiting: dict[tuple[int, str], Counter[str]] = {}

    def count(self, asked: frozenset[str], decision: Decision, now: int) -> None:
        """Count a decision; ``asked`` are the lists in use."""
        day = now // 86400
        self._requests[day, asked] += 1
        for name in decision.silent:
            self._of(day, name)["silent"] += 1
        if refusal := self._refusals.get(decision.band.action):
            self._of(day, "")[refusal] += 1
        if decision.hits:
            self._count_hits(day, decision)

    def _count_hits(self, day: int, decision: Decision) -> None:
        signs = {hit.name: hit.weight > 0 for hit in decision.hits if hit.code}
        passed = decision.band.action is Action.PASS
        for name, sign in signs.items():
            counts = self._of(day, name)
            counts["hits"] += 1
            counts["alone"] += sum(other == sign for other in signs.values()) == 1
            counts["passed"] += passed

    def _of(self, day: int, name: str) -> Counter[str]:
        found = self._waiting.get((day, name))
        if found is None:
            found = self._waiting[day, name] = Counter()
        return found

    async def write_back(self, store: Store) -> None:
        """Add the counts to the store; they wait for the next time when it takes no changes."""
        for (day, names), count in self._requests.items():
            for name in ("", *self._private, *names):
                self._of(day, name)["asked"] += count
        self._requests.clear()
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        try:
            await store.transact(lambda tx: _add(tx, waiting))
        except StoreError:
            for key, counts in waiting.items():
                self._of(*key).update(counts)
            raise


def _add(tx: Transaction, waiting: Mapping[tuple[int, str], Counter[str]]) -> None:
    for (day, name), counts in waiting.items():
        key = count_key(day, name)
        before = tx.get(COUNTS, key) or Count(day, name)
        after = before._replace(**{kind: getattr(before, kind) + more for kind, more in counts.items()})
        tx.put(COUNTS, key, after)
