"""What housekeeping tells: rows of each table, keys over their limit by rule."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from vaglio.checks.ratelimit.decide import ATTACK
from vaglio.checks.ratelimit.rules import ready
from vaglio.checks.ratelimit.settings import RatelimitSettings, Rule
from vaglio.checks.ratelimit.sweep import SEEN_FOR, Sweep
from vaglio.checks.ratelimit.usage import SCHEMA, SEEN, USAGE, Counts, Seen, Usage, encode, rule_tag
from vaglio.checks.sweeping import REST
from vaglio.ports import Transaction
from vaglio.store.memory import MemoryStore

NOW = 1_700_000_000
RULES = [Rule(), Rule(name="networks", count="distinct_networks", limits=["8/1h"])]

T = TypeVar("T")


class House:
    def __init__(self) -> None:
        self.settings = RatelimitSettings(rule=RULES)
        self.store = MemoryStore(SCHEMA)
        rules = ready(self.settings, lambda address: "")
        self.tags = {rule.name: rule.tag for group in rules.groups for rule in group.rules}
        self.sweep = Sweep(self.settings, rules, self.store)

    def do(self, step: Callable[[Transaction], T]) -> T:
        return asyncio.run(self.store.transact(step))

    def usage(self, key: bytes, last: int, over: dict[str, int]) -> None:
        """Keep a record, beyond the limit of these rules at these times."""
        counts = {self.tags.get(rule, rule_tag(rule, "messages")): Counts({}, over=1, over_since=at, over_last=at)
                  for rule, at in over.items()}  # fmt: skip
        self.do(lambda tx: tx.put(USAGE, key * 16, Usage(name="tizio", last=last, state=encode(counts))))

    def walk(self) -> None:
        while asyncio.run(self.sweep.step(NOW)) < REST:
            pass


def test_keys_beyond_their_limit_are_counted_by_rule() -> None:
    house = House()
    house.usage(b"a", NOW, {"per-user": NOW})
    house.usage(b"b", NOW, {"per-user": NOW - ATTACK + 1, "networks": NOW - ATTACK})
    house.usage(b"c", NOW, {"a-rule-of-old": NOW})
    assert house.sweep.keys_over == {}
    for _ in range(2):
        house.walk()
        assert house.sweep.keys_over == {"per-user": 2, "networks": 0}
        assert house.sweep.rows == {"usage": 3, "seen": 0}


def test_a_silent_key_and_a_recipient_of_old_are_forgotten() -> None:
    house = House()
    house.usage(b"a", NOW - house.settings.forget_after, {})
    house.usage(b"b", NOW - house.settings.forget_after - 1, {})
    house.do(lambda tx: tx.put(SEEN, b"c" * 16, Seen(NOW - SEEN_FOR)))
    house.do(lambda tx: tx.put(SEEN, b"d" * 16, Seen(NOW - SEEN_FOR - 1)))
    house.walk()
    assert house.sweep.rows == {"usage": 1, "seen": 1}
    assert house.do(lambda tx: tx.get(USAGE, b"b" * 16)) is None
    assert house.do(lambda tx: tx.get(SEEN, b"d" * 16)) is None
