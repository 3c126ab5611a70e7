"""Fills the store of rate limits with users, without asking the daemon.

A few users send mail for a day, and the check itself counts it in a store in memory; what it has kept of them is then
written for as many users as are wanted, each under a name of its own. The rules are those that ship. Rows come in the
order of the users' numbers, that is, by chance in the order of their keys, as in use.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

from bench.load import LATER, Requests, login, scramble
from vaglio.checks.ratelimit.check import Context, Ratelimit
from vaglio.checks.ratelimit.logins import Logins
from vaglio.checks.ratelimit.overrides import Overrides
from vaglio.checks.ratelimit.rules import ready
from vaglio.checks.ratelimit.settings import RatelimitSettings
from vaglio.checks.ratelimit.usage import SCHEMA, USAGE, Usage, usage_key
from vaglio.policy.parse import Parser, facts_of
from vaglio.ports import Store, Transaction
from vaglio.store import open_store
from vaglio.store.memory import MemoryStore

BATCH = 50_000
"""Users in one commit."""

HOUR, DAY = 3600, 86400
SPARE = 120
"""Seconds by which everything lies within its window: nothing falls out of it while a benchmark lasts."""

CLIENTS = 4
"""Networks from which each user sends: at home, at work, and on the way."""


class Habit(NamedTuple):
    """How many messages a user sends within the last hour, and within the 23 before; and how many users are told apart:
    the others do as they did.
    """

    lately: range
    before: range
    different: int


USUAL = Habit(range(1, 4), range(18), 500)
"""Ten messages a day on average, two within the hour."""
BUSY = Habit(range(196, 197), range(800, 801), 10)
"""As much as the limits that ship allow: windows do not get longer."""


class _Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


def kept(habit: Habit, now: float) -> list[Usage]:
    """Return what the check keeps of users with such a habit, who have sent until ``now``."""
    clock, store, settings = _Time(), MemoryStore(SCHEMA), RatelimitSettings()
    context = Context(
        clock=clock, store=store, references=str, overrides=Overrides, logins=Logins, country=str,
        language=lambda _: "en", hostname="mail.example.com", warn=print, alarm=lambda *_: None,
    )  # fmt: skip
    check = Ratelimit(settings, ready(settings, str), context)

    async def send() -> list[Usage]:
        for user in range(habit.different):
            requests = Requests({"protocol_state": "END-OF-MESSAGE", **LATER, "sasl_username": login(user)})
            for number, age in enumerate(_ages(user, habit)):
                clock.at = now - age
                (attributes,) = Parser().feed(requests.request(scramble(user * DAY + number) % CLIENTS))
                await check.check(facts_of(attributes))
        return [usage for _, usage in await store.scan(USAGE, b"", habit.different)]

    return asyncio.run(send())


def _ages(user: int, habit: Habit) -> list[int]:
    """Return how many seconds ago a user sent each message, the oldest first."""
    lately, before = (some[scramble(user) % len(some)] for some in habit[:2])
    chance = (scramble(user << 20 | number) for number in count())
    ages = [SPARE + next(chance) % (HOUR - 2 * SPARE) for _ in range(lately)]
    ages += [HOUR + SPARE + next(chance) % (DAY - HOUR - 2 * SPARE) for _ in range(before)]
    return sorted(ages, reverse=True)


def fill(directory: Path, users: int, habit: Habit) -> None:
    """Write so many users into the store in ``directory``, who have sent until now."""
    now = time.time()
    store = open_store(f"sqlite://{directory}", SCHEMA, warn=print, now=time.time)
    try:
        asyncio.run(_fill(store, users, kept(habit, now)))
    finally:
        store.close()


async def _fill(store: Store, users: int, shapes: Sequence[Usage]) -> None:
    for begin in range(0, users, BATCH):
        numbers = range(begin, min(begin + BATCH, users))
        await store.transact(lambda tx, numbers=numbers: _put(tx, numbers, shapes))  # type: ignore[misc]
        store.settle()


def _put(tx: Transaction, numbers: range, shapes: Sequence[Usage]) -> None:
    for number in numbers:
        usage = shapes[number % len(shapes)]._replace(name=login(number))
        tx.put(USAGE, usage_key(usage.spec, (usage.name,)), usage)


if __name__ == "__main__":
    fill(Path(sys.argv[1]), int(sys.argv[2]), USUAL)
