"""The check within a milter's session: a message comes in as a mail server hands it on, and its results go on top."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import authres
import pytest

from tests.checks.dkim.letters import CASES, Letter
from tests.checks.dkim.samples import BODY, HEADER, NOW, Dns, check, ed25519, rsa, sign, verdict, zone
from vaglio.examination import Field
from vaglio.facts import Facts
from vaglio.milter import replay
from vaglio.milter.host import Host, Manner
from vaglio.milter.session import Session
from vaglio.milter.wire import Peer
from vaglio.verdict import Verdict


async def unguarded(facts: Facts, work: Any, *args: Any, **more: Any) -> Verdict:
    found: Verdict = await work(*args, **more)
    return found


def delivered(header: Sequence[Field], body: bytes, dns: Dns) -> tuple[list[Field], Verdict]:
    """Return the header of the message as it is delivered, and the verdict."""

    async def play() -> tuple[list[Field], Verdict]:
        verdicts: list[Verdict] = []
        host = Host(
            [check(dns, NOW)], unguarded, unguarded, lambda facts, one, seconds: verdicts.append(one),
            Manner("mx.caio.it"),
        )  # fmt: skip
        letter = replay.Letter(
            Peer(b"mail.tizio.it", b"4", 0, b"192.0.2.7"), b"mail.tizio.it", b"tizio@tizio.it", [b"caio@caio.it"],
            list(header), body,
        )  # fmt: skip
        outcome = await replay.play(Session(lambda: host, lambda: 0.0), letter)
        assert outcome.plan is not None
        return replay.applied(header, outcome.plan), verdicts[-1]

    return asyncio.run(play())


def results(field: Field) -> list[tuple[str, str]]:
    assert field.name == b"Authentication-Results"
    parsed = authres.AuthenticationResultsHeader.parse(f"Authentication-Results:{field.value.decode()}")
    assert parsed.authserv_id == "mx.caio.it"
    return [(one.method, one.result) for one in parsed.results]


@pytest.mark.parametrize("cold", [False, True], ids=["at-hand", "cold"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_messages_of_others(case: Letter, cold: bool) -> None:
    after, judged = delivered(case.header, case.body, Dns(case.keys, cold))
    told = results(after[0])
    assert [one.result for one in judged.results] == [result for _, result in told]
    want = {"invalid": ["neutral"], "none": ["none"], "pass": ["pass", "fail"], "fail": ["fail"]}[case.expected]
    assert ("dkim", want[0]) in told
    assert {result for _, result in told} <= set(want)


def test_a_message_in_pieces_of_any_size_is_the_same() -> None:
    body = BODY + b"Riga.\r\n" * 30_000
    header = [sign(HEADER, body, rsa(), c="relaxed/relaxed"), *HEADER]
    after, _ = delivered(header, body, Dns(zone()))
    assert results(after[0]) == [("dkim", "pass")]


def test_a_forged_result_of_ours_does_not_come_in() -> None:
    forged = Field(b"Authentication-Results", b" mx.caio.it; dkim=pass header.d=tizio.it")
    after, _ = delivered([forged, *HEADER], BODY, Dns({}))
    assert [results(one) for one in after if one.name == b"Authentication-Results"] == [[("dkim", "none")]]


def test_both_keys_are_told_apart_by_their_properties() -> None:
    header = [sign(HEADER, BODY, ed25519(), s="due"), sign(), *HEADER]
    found = verdict(header, keys={**zone(), **zone(ed25519(), name="due._domainkey.tizio.it")})
    properties = [dict(one.properties) for one in found.results]
    assert [(one["header.s"], one["header.a"]) for one in properties] == [
        ("due", "ed25519-sha256"),
        ("uno", "rsa-sha256"),
    ]
    assert all(len(one["header.b"]) == 8 for one in properties)
