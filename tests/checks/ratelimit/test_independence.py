"""Rules that share a record count as if each were alone: whatever comes in between, none touches another's counts."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checks.ratelimit.test_scenarios import Play, facts_of
from vaglio.checks.ratelimit.usage import USAGE, Counts, decode

RULES: list[dict[str, Any]] = [
    {"name": "a", "count": "messages", "limits": ["3/10m", "5/1h"]},
    {"name": "b", "count": "recipients", "limits": ["7/10m"], "clients": ["192.0.2.0/24"]},
    {"name": "c", "count": "messages", "limits": ["2/1h"], "applies_to": "null_sender"},
    {"name": "d", "count": "distinct_networks", "limits": ["2/1h"]},
    {"name": "e", "count": "messages", "limits": ["2/1h"], "recipients": ["caio.it"]},
    {"name": "f", "count": "messages", "limits": ["2/1h"], "except_recipients": ["caio.it"]},
    {"name": "g", "count": "distinct_recipients", "limits": ["3/1h"]},
    {"name": "h", "key": ["sasl_username", "recipient_domain"], "limits": ["3/1h"]},
]

requests = st.fixed_dictionaries(
    {
        "login": st.sampled_from(["tizio@tizio.it", "sempronio@tizio.it"]),
        "sender": st.sampled_from(["tizio@tizio.it", ""]),
        "client": st.sampled_from(["192.0.2.7", "198.51.100.7", "203.0.113.7"]),
        "recipient": st.sampled_from(["x@caio.it", "y@caio.it", "x@sempronio.it"]),
        "recipients": st.integers(1, 4),
        "instance": st.sampled_from(["m.1", "m.2", "m.3", "m.4", "m.5", "m.6"]),
        "stage": st.sampled_from(["RCPT", "RCPT", "END-OF-MESSAGE"]),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), requests), max_size=40))
def test_each_rule_counts_as_if_it_were_alone(story: list[tuple[int, dict[str, Any]]]) -> None:
    rules = [{**rule, "action": "log", "alarm": False} for rule in RULES]
    alone: dict[tuple[str, int], Counts] = {}
    for rule in rules:
        alone |= asyncio.run(outcome([rule], story))
    assert asyncio.run(outcome(rules, story)) == alone


async def outcome(
    rules: list[dict[str, Any]], story: list[tuple[int, dict[str, Any]]]
) -> dict[tuple[str, int], Counts]:
    """Return the counts of each key and rule after the story."""
    play = Play({"settings": {"rule": rules}})
    await play.check.begin()
    for gap, request in story:
        play.clock.time += gap
        await play.check.check(facts_of(request))
    rows = await play.store.scan(USAGE, b"", 1000)
    return {
        (f"{usage.spec} {usage.name}", tag): counts for _, usage in rows for tag, counts in decode(usage.state).items()
    }
