"""A signature that comes too often is told from one that comes as often as mail does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from tests.checks.dkim import samples
from tests.checks.dkim.samples import BODY, FACTS, HEADER, NOW, Clock, Dns, zone
from vaglio.checks.dkim.check import Context, DkimVerify
from vaglio.checks.dkim.replay import SCHEMA, SEEN, Replays
from vaglio.checks.dkim.settings import DkimVerifySettings
from vaglio.examination import Field, Message
from vaglio.ports import StoreError
from vaglio.store.memory import MemoryStore
from vaglio.verdict import Verdict

ONE, OTHER = samples.sign(t=str(NOW)), samples.sign(t=str(NOW - 1))


class Failing(MemoryStore):
    async def transact(self, step: Any) -> Any:
        raise StoreError("the disk is full")


class Rig:
    """A verifier that counts."""

    def __init__(self, store: MemoryStore | None = None, **replay: Any) -> None:
        self.clock, self.store, self.warned = Clock(), store or MemoryStore(SCHEMA), list[str]()
        settings = DkimVerifySettings.model_validate({"replay": {"limit": 2, "window": "1h", **replay}})
        self.replays = Replays(settings.replay, self.store, self.clock, self.warned.append)
        context = Context(self.clock, Dns(zone()), lambda: "REF", lambda _: "en", self.replays)
        self.check = DkimVerify(settings, context)

    def results(self, *header: Field, body: bytes = BODY) -> list[str]:
        return [one.result for one in self.verdict([*header, *HEADER], body).results]

    def verdict(self, header: Sequence[Field], body: bytes = BODY) -> Verdict:
        async def play() -> Verdict:
            examination = samples.begin(self.check, header, [body])
            try:
                return await examination.verdict(Message(FACTS, ("caio@caio.it",), header))
            finally:
                examination.close()

        return asyncio.run(play())


def test_those_beyond_the_limit_are_not_accepted_and_say_why() -> None:
    rig = Rig()
    assert [rig.results(ONE) for _ in range(3)] == [["pass"], ["pass"], ["policy"]]
    found = rig.verdict([ONE, *HEADER])
    assert found.reason == "replayed"
    assert found.facts["problem"] == "it came with 4 messages within 1h"
    assert found.results[0].reason == "it came with 4 messages within 1h"


def test_another_signature_is_another_message() -> None:
    rig = Rig()
    assert [rig.results(ONE) for _ in range(3)][-1] == ["policy"]
    assert rig.results(OTHER) == ["pass"]
    assert rig.results(ONE, OTHER) == ["policy", "pass"]


def test_what_does_not_pass_is_not_counted() -> None:
    rig = Rig()
    assert [rig.results(ONE, body=b"other\r\n") for _ in range(5)] == [["fail"]] * 5
    assert rig.results(ONE) == ["pass"]


def test_a_window_ends() -> None:
    rig = Rig()
    assert [rig.results(ONE) for _ in range(3)][-1] == ["policy"]
    rig.clock.time += 3600
    assert rig.results(ONE) == ["pass"]


def test_mailing_lists_may_be_left_out() -> None:
    rig = Rig(exempt_domains=["tizio.it"])
    assert [rig.results(ONE) for _ in range(4)] == [["pass"]] * 4


def test_a_store_that_fails_holds_no_mail_up() -> None:
    rig = Rig(Failing(SCHEMA))
    assert [rig.results(ONE) for _ in range(4)] == [["pass"]] * 4
    assert "the disk is full" in rig.warned[0]


def test_what_no_longer_counts_is_forgotten() -> None:
    rig = Rig()
    rig.results(ONE)
    rig.clock.time += 1800
    rig.results(OTHER)
    rig.clock.time += 1801
    asyncio.run(rig.replays.upkeep())
    assert asyncio.run(rig.store.count(SEEN)) == 1


def test_nothing_is_counted_unless_the_admin_says_so() -> None:
    assert DkimVerifySettings().replay.limit == 0
