"""Which lists are to be believed at the moment, and what the admin must know of the others.

A list that refuses us, answers nonsense or stays silent is suspended, at once and by whichever worker meets it; it
comes back after a good probe, by itself, and by nothing else: not by a restart, nor by a probe that told nothing. The
workers share what they know through the store; whoever is first to write a suspension down tells the admin, once. Here
is the bookkeeping: nothing is asked and no text is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple

from vaglio.blocklists.answers import AnyList, Listed, Reading, Trouble
from vaglio.ports import Answer, Outcome, Store, StoreError, Table, Transaction

TELL_AGAIN = 86400
"""Seconds after which the admin is told again of a list that is suspended time and again ..."""
SOUND = 3600
"""... unless it was in order for so many seconds."""


TOO_LATE = Answer(Outcome.TEMPERROR, why="timeout")
"""What a list has said that nobody waited for any longer."""


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
    """When this was found out: of two, the later counts."""
    told: int = 0
    """When the admin was last told of a suspension."""


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

    def __init__(self, lists: Iterable[AnyList], suspend_after: int) -> None:
        self._lists = {one.name: one for one in lists}
        self._after = suspend_after
        self._silent = dict.fromkeys(self._lists, 0)
        self._known = {name: Status(name) for name in self._lists}
        self._unwritten: dict[str, Status] = {}
        self._looked: dict[str, int] = {}
        """When lists were probed that told nothing, as far as the store doesn't know."""
        self._probed: set[str] = set()
        """Probed since this process began."""
        self._new: set[str] = set()
        """Those that the store has never heard of, until their first probe."""

    def suspended(self, name: str) -> bool:
        """Return whether the list is not to be asked: it is in trouble, or new, and its first probe under way."""
        return bool(self._known[name].trouble) or name in self._new

    def status(self) -> Mapping[str, Status]:
        """Return what is known, by list."""
        return self._known

    def answered(self, name: str, answer: Answer, reading: Reading, now: int) -> bool:
        """Take note of an answer and what it says, and return whether that suspends the list. That we ask too much at
        once is our own trouble.
        """
        if reading is Trouble.SILENT and answer.why == "too-many":
            return False
        before = self.suspended(name)
        detail = answer.why if reading is Trouble.SILENT else ", ".join(answer.values[:3])[:80]
        self.heard(name, reading, detail, now)
        return self.suspended(name) != before

    def heard(self, name: str, reading: Reading, detail: str, now: int) -> None:
        """Take note of what was heard of a list: trouble suspends at once, silence when it has lasted."""
        if reading is None or isinstance(reading, Listed):
            self._silent[name] = 0
            return
        if reading is Trouble.SILENT:
            self._silent[name] += 1
            if self._silent[name] < self._after:
                return
        if not self._known[name].trouble:
            self._change(self._known[name]._replace(trouble=reading.value, since=now, detail=detail, changed=now))

    def probed(self, name: str, trouble: Trouble | None, detail: str, now: int) -> None:
        """Take note of a probe: it suspends, or brings back. Silence counts as an answer would, and brings nothing
        back.
        """
        self._probed.add(name)
        self._new.discard(name)
        if trouble is Trouble.SILENT:
            self._known[name] = self._known[name]._replace(probed=now)
            self._looked[name] = now
            self.heard(name, trouble, detail, now)
            return
        before = self._known[name]
        self._silent[name] = 0
        found = trouble.value if trouble else ""
        since = before.since if bool(found) == bool(before.trouble) else now
        self._change(before._replace(trouble=found, since=since, detail=detail, probed=now, changed=now))

    def due(self, now: int, every: int, again: int) -> list[AnyList]:
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

    async def begin(self, store: Store, now: int) -> list[News]:
        """Take in what is known of the lists, before anything is asked: a suspension outlives the daemon. A list that
        nobody has ever looked at waits for its first probe.
        """
        news = await self.share(store, now)
        self._new = {
            name for name, one in self._lists.items() if one.settings.probe and not self._known[name].probed
        }
        return news

    async def share(self, store: Store, now: int) -> list[News]:
        """Write down what is new here, take in what is new elsewhere, and return what nobody has told the admin yet.

        Raises StoreError; what was to be written, and told, then waits for the next time.
        """
        unwritten, self._unwritten = self._unwritten, {}
        looked, self._looked = self._looked, {}
        try:
            found, news = await store.transact(lambda tx: self._exchange(tx, unwritten, looked, now))
            if unwritten or looked:
                store.settle()
        except StoreError:
            self._unwritten = {**unwritten, **self._unwritten}
            self._looked = {**looked, **self._looked}
            raise
        for name, status in found.items():
            if status.changed >= _sane(self._known[name], now).changed and name not in self._unwritten:
                self._known[name] = status
        self._new.difference_update(found)
        return news

    def _change(self, status: Status) -> None:
        self._known[status.name] = self._unwritten[status.name] = status

    def _exchange(
        self, tx: Transaction, unwritten: Mapping[str, Status], looked: Mapping[str, int], now: int
    ) -> tuple[dict[str, Status], list[News]]:
        """Return what the store then knows, and what the admin is to be told."""
        found: dict[str, Status] = {}
        news: list[News] = []
        for name in self._lists:
            record = tx.get(STATUS, status_key(name))
            stored = _sane(record or Status(name), now)
            status = stored._replace(probed=max(stored.probed, looked.get(name, 0)))
            mine = _sane(unwritten.get(name, status), now)
            if name in unwritten and mine.changed >= stored.changed:
                status = _merged(stored, mine._replace(probed=max(mine.probed, status.probed)))
            if _is_news(stored, status, now):
                news.append(News(status, stored))
                status = status._replace(told=now if status.trouble else status.told)
            if status != stored:
                tx.put(STATUS, status_key(name), status)
            if record or status != stored:
                found[name] = status
        return found, news


def _sane(status: Status, now: int) -> Status:
    """Forget times that a clock gave which ran ahead: nothing would be later."""
    if max(status.since, status.probed, status.changed, status.told) <= now:
        return status
    since, probed, changed, told = (
        time if time <= now else 0 for time in (status.since, status.probed, status.changed, status.told)
    )
    return status._replace(since=since, probed=probed, changed=changed, told=told)


def _merged(stored: Status, mine: Status) -> Status:
    """Return what was found out here, as what follows on the status in the store."""
    if bool(mine.trouble) == bool(stored.trouble):
        since = stored.since or mine.since
    else:
        since = mine.since if mine.since > stored.since else mine.changed
    return mine._replace(since=since, told=stored.told)


def _is_news(before: Status, after: Status, now: int) -> bool:
    """Return whether the admin is to be told. A list that comes and goes is told of once a day; of its return, if the
    suspension was told.
    """
    if not after.trouble:
        return bool(before.trouble) and before.told >= before.since
    if before.trouble and before.told >= before.since:
        return False
    was_sound = not before.trouble and after.since - before.since >= SOUND
    return was_sound or now - before.told >= TELL_AGAIN
