"""Which lists are to be believed at the moment, and what the admin must know of the others.

A list that refuses us, answers nonsense or stays silent is suspended, at once and by whichever worker meets it; it
comes back after a good probe, by itself. The workers share what they know through the store; whoever is first to write
a suspension down tells the admin, once. Here is the bookkeeping: nothing is asked and no text is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple

from vaglio.checks.dnsbl.decide import DnsList, Listed, Reading, Trouble
from vaglio.ports import Store, StoreError, Table, Transaction


class Status(NamedTuple):
    """What is known of one list; times in Unix seconds, 0 where there is none."""

    name: str = ""
    trouble: str = ""
    """A ``Trouble``; empty while the list is in order."""
    since: int = 0
    """When it was suspended, or came back."""
    detail: str = ""
    """The code or the failure that was met."""
    probed: int = 0
    """When it was probed last."""
    changed: int = 0
    """When this was written: of two, the later counts."""


STATUS = Table("status", Status)


class News(NamedTuple):
    """A suspension or a return that the admin is to be told of; ``before`` is the status that it ended."""

    status: Status
    before: Status


def status_key(name: str) -> bytes:
    """Return the key of a list's status."""
    return blake2b(name.encode(), digest_size=16).digest()


class Health:
    """One worker's knowledge of all lists."""

    def __init__(self, lists: Iterable[DnsList], suspend_after: int) -> None:
        self._lists = {one.name: one for one in lists}
        self._after = suspend_after
        self._silent = dict.fromkeys(self._lists, 0)
        self._known = {name: Status(name) for name in self._lists}
        self._unwritten: dict[str, Status] = {}
        self._probed: set[str] = set()
        """Probed since this process began."""

    def suspended(self, name: str) -> bool:
        """Return whether the list is not to be asked."""
        return bool(self._known[name].trouble)

    def status(self) -> Mapping[str, Status]:
        """Return what is known, by list."""
        return self._known

    def heard(self, name: str, reading: Reading, detail: str, now: int) -> None:
        """Take note of an answer: trouble suspends at once, silence when it has lasted."""
        if reading is None or isinstance(reading, Listed):
            self._silent[name] = 0
            return
        if reading is Trouble.SILENT:
            self._silent[name] += 1
            if self._silent[name] < self._after:
                return
        if not self.suspended(name):
            self._change(self._known[name]._replace(trouble=reading.value, since=now, detail=detail, changed=now))

    def probed(self, name: str, trouble: Trouble | None, detail: str, now: int) -> None:
        """Take note of a probe: it suspends, or brings back."""
        before = self._known[name]
        self._silent[name] = 0
        self._probed.add(name)
        found = trouble.value if trouble else ""
        since = before.since if found == before.trouble else now
        self._change(Status(name, found, since, detail if found else "", now, now))

    def looked_at(self, name: str, now: int) -> None:
        """Take note of a probe that told nothing."""
        self._probed.add(name)
        self._change(self._known[name]._replace(probed=now, changed=now))

    def due(self, now: int, every: int, again: int) -> list[DnsList]:
        """Return the lists to be probed now: each at the start and after ``every`` seconds, a suspended one after
        ``again``, whether it is probed otherwise or not: how else would it come back?
        """
        return [
            one
            for name, one in self._lists.items()
            if self._is_due(self._known[name], now, every, again) and (one.settings.probe or self.suspended(name))
        ]

    def _is_due(self, status: Status, now: int, every: int, again: int) -> bool:
        if status.trouble:
            return not 0 <= now - max(status.probed, status.since) < again
        return status.name not in self._probed or not 0 <= now - status.probed < every

    async def share(self, store: Store) -> list[News]:
        """Write down what is new here, take in what is new elsewhere, and return what nobody has told the admin yet."""
        unwritten, self._unwritten = self._unwritten, {}
        try:
            found, news = await store.transact(lambda tx: self._exchange(tx, unwritten))
        except StoreError:
            self._unwritten = {**unwritten, **self._unwritten}
            raise
        for name, status in found.items():
            if status.changed >= self._known[name].changed and name not in self._unwritten:
                self._known[name] = status
        return news

    def _change(self, status: Status) -> None:
        self._known[status.name] = self._unwritten[status.name] = status

    def _exchange(self, tx: Transaction, unwritten: Mapping[str, Status]) -> tuple[dict[str, Status], list[News]]:
        found: dict[str, Status] = {}
        news: list[News] = []
        for name in self._lists:
            stored = tx.get(STATUS, status_key(name)) or Status(name)
            mine = unwritten.get(name)
            if mine is None or mine.changed < stored.changed:
                found[name] = stored
                continue
            if mine.trouble == stored.trouble:
                mine = mine._replace(since=stored.since or mine.since)
            else:
                news.append(News(mine, stored))
            tx.put(STATUS, status_key(name), mine)
            found[name] = mine
        return found, news
