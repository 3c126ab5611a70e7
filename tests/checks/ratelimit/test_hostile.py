"""What hostile clients may write into a request: nobody gets by a limit with it."""

from __future__ import annotations

import asyncio

import pytest

from vaglio.checks.ratelimit.check import Context, Ratelimit
from vaglio.checks.ratelimit.logins import Logins
from vaglio.checks.ratelimit.overrides import Overrides
from vaglio.checks.ratelimit.rules import ready
from vaglio.checks.ratelimit.settings import RatelimitSettings, Rule
from vaglio.checks.ratelimit.usage import SCHEMA, USAGE
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.store.memory import MemoryStore
from vaglio.verdict import Verdict

ODD = ["\udcff@x.it", "a@\udcff\udcfe.it", "è@città.it", "\0@\r\n.it", "a b@c d.it", "@", "@@",
       "x" * 5000 + "@" + "y" * 5000]  # fmt: skip
"""Bytes that are no UTF-8 come from the protocol as these halves of surrogate pairs."""


class Clock:
    def now(self) -> float:
        return 1_700_000_000.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError


def asked(
    key: str, requests: list[Facts], settings: RatelimitSettings | None = None
) -> tuple[list[Verdict], MemoryStore]:
    settings = settings or RatelimitSettings(rule=[Rule(name="few", key=[key], count="messages", limits=["2/1h"])])
    store = MemoryStore(SCHEMA)
    context = Context(Clock(), store, lambda: "REF", Overrides, Logins, lambda _: "", lambda _: "it", "mail.tizio.it",
                      lambda _: None, lambda *_: None)  # fmt: skip
    check = Ratelimit(settings, ready(settings, lambda _: ""), context)

    async def all_of_them() -> list[Verdict]:
        await check.begin()
        return [await check.check(facts) for facts in requests]

    return asyncio.run(all_of_them()), store


def request(number: int, stage: Stage = Stage.END_OF_MESSAGE, **odd: str) -> Facts:
    known = {"sasl_username": "tizio", "sender": "tizio@tizio.it", "recipient": "caio@caio.it", "helo": "x", **odd}
    session = Session(stage, known["helo"], f"{number}.6382.0", sasl_username=known["sasl_username"])
    client = client_of(known.get("client", "192.0.2.1"))
    return Facts(client, Envelope(known["sender"], known["recipient"], 1, 10), session)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("key", ["sasl_username", "sender", "helo", "client", "recipient"])
def test_an_odd_key_is_limited_like_any_other(key: str, odd: str) -> None:
    stage = Stage.RCPT if key == "recipient" else Stage.END_OF_MESSAGE
    verdicts, _ = asked(key, [request(number, stage, **{key: odd}) for number in range(3)])
    assert [verdict.reason for verdict in verdicts] == ["within-limits", "within-limits", "over-limit"]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["sender", "helo", "client", "recipient"])
def test_odd_attributes_let_nobody_get_by(name: str, odd: str) -> None:
    requests = [request(number, Stage.END_OF_MESSAGE, **{name: odd}) for number in range(3)]
    verdicts, store = asked("sasl_username", requests)
    assert [verdict.reason for verdict in verdicts] == ["within-limits", "within-limits", "over-limit"]
    ((_, usage),) = asyncio.run(store.scan(USAGE, b"", 9))
    assert max(len(usage.name), len(usage.clients), len(usage.domains)) <= 1000


@pytest.mark.parametrize("count", ["bytes", "recipients", "refused_share"])
@pytest.mark.parametrize("stage", [Stage.DATA, Stage.END_OF_MESSAGE])
def test_a_claim_of_any_size_is_judged_at_once(count: str, stage: Stage) -> None:
    rule = {"name": "few", "count": count, "limits": ["30%/1h" if count == "refused_share" else "100/1h"]}
    settings = RatelimitSettings.model_validate({"rule": [rule], "stage": stage.value.lower()})
    facts = request(1, stage)
    facts = facts._replace(envelope=facts.envelope._replace(size=10**19 - 1, recipient_count=10**19 - 1))
    (verdict,), _ = asked("sasl_username", [facts], settings)
    assert verdict.reason == ("within-limits" if count == "refused_share" else "too-much-at-once")


def test_keys_that_differ_in_a_byte_that_is_no_utf_8_are_told_apart() -> None:
    senders = [f"{odd}@x.it" for odd in "\udcff\udcfe\udcfd"]
    verdicts, _ = asked("sender", [request(number, sender=sender) for number, sender in enumerate(senders)])
    assert [verdict.reason for verdict in verdicts] == ["within-limits"] * 3
