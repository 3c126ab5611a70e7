"""The check at work: when it asks, what it says in Authentication-Results, what it leads to, what it leaves behind."""

from __future__ import annotations

import asyncio
from typing import Any

import authres
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.checks.dkim.samples import (
    BODY,
    FACTS,
    HEADER,
    NAME,
    Dns,
    begin,
    check,
    ed25519,
    record,
    rsa,
    sign,
    verdict,
    zone,
)
from vaglio.checks.dkim.check import MAX_RESULTS
from vaglio.checks.dkim.text import shortest
from vaglio.examination import Field, Message, Needs
from vaglio.milter.authres import authentication_results
from vaglio.ports import Answer, Outcome
from vaglio.verdict import Action

GOOD = (sign(c="relaxed/relaxed", i="tizio@posta.tizio.it"), *HEADER)
SERVFAIL = Answer(Outcome.TEMPERROR, why="servfail")


def message(header: tuple[Field, ...] = GOOD) -> Message:
    return Message(FACTS, ("caio@caio.it",), header)


# --- at work ---


def test_it_asks_for_header_and_body_and_nothing_is_kept() -> None:
    assert check(Dns({})).needs == Needs.HEADERS | Needs.CHUNKS


def test_the_key_is_asked_for_as_soon_as_the_header_is_complete() -> None:
    async def play() -> None:
        dns = Dns(zone(), cold=True)
        examination = check(dns).examine(FACTS)
        examination.end_of_headers(GOOD)
        await asyncio.sleep(0)
        assert dns.asked == [NAME]
        for place in range(len(BODY)):
            examination.body(BODY[place : place + 1])
        assert (await examination.verdict(message())).reason == "pass"
        assert dns.asked == [NAME]
        examination.close()

    asyncio.run(play())


def test_a_key_at_hand_makes_no_task() -> None:
    async def play() -> None:
        examination = begin(check(Dns(zone())), GOOD, [BODY])
        work = examination.verdict(message())
        with pytest.raises(StopIteration) as done:
            work.send(None)
        assert done.value.value.reason == "pass"
        assert len(asyncio.all_tasks()) == 1
        examination.close()

    asyncio.run(play())


def test_a_message_that_is_given_up_leaves_nothing_behind() -> None:
    async def play() -> None:
        examination = begin(check(Dns(zone(), cold=True)), GOOD, [])
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 2
        examination.close()
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(play())


def test_what_cannot_be_verified_is_not_asked_for() -> None:
    async def play() -> None:
        dns = Dns(zone())
        examination = begin(check(dns), [sign(a="rsa-sha1"), sign(x="1"), *HEADER], [BODY])
        assert [one.reason for one in await examination.judged()] == ["rsa-sha1", "expired"]
        assert dns.asked == []
        examination.close()

    asyncio.run(play())


def test_a_message_without_header_or_body_is_unsigned() -> None:
    async def play() -> None:
        examination = check(Dns({})).examine(FACTS)
        found = await examination.verdict(Message(FACTS, ()))
        assert (found.action, found.reason) == (Action.PASS, "unsigned")
        examination.close()

    asyncio.run(play())


# --- what it says ---


def test_a_pass_says_whose() -> None:
    found = verdict(GOOD)
    assert (found.action, found.reason, found.check, found.ref) == (Action.PASS, "pass", "dkim_verify", "REF")
    assert dict(found.facts) == {
        "result": "pass", "domain": "tizio.it", "selector": "uno", "algorithm": "rsa-sha256", "bits": 1024,
    }  # fmt: skip
    [result] = found.results
    mark = GOOD[0].value.partition(b"b=")[2].decode()
    properties = dict(result.properties)
    assert (result.method, result.result, result.comment) == ("dkim", "pass", "1024-bit key")
    assert list(properties) == ["header.d", "header.i", "header.s", "header.a", "header.b"]
    assert properties["header.i"] == "tizio@posta.tizio.it"
    assert mark.rpartition("b=")[2].startswith(properties["header.b"])


def test_a_strong_key_needs_no_remark() -> None:
    [result] = verdict([sign(HEADER, BODY, ed25519()), *HEADER], keys=zone(ed25519())).results
    assert (result.result, result.comment) == ("pass", "")


def test_mail_without_a_signature_has_a_result_too() -> None:
    found = verdict(HEADER)
    assert (found.reason, dict(found.facts)) == ("unsigned", {"result": "none"})
    assert [(one.method, one.result, one.properties) for one in found.results] == [("dkim", "none", ())]


def test_each_signature_has_a_result_the_good_one_speaks() -> None:
    header = [sign(HEADER, b"x", d="altro.it"), sign(), *HEADER]
    found = verdict(header, keys={**zone(), **zone(name="uno._domainkey.altro.it")})
    assert [one.result for one in found.results] == ["fail", "pass"]
    assert (found.reason, found.facts["domain"], found.facts["signatures"]) == ("pass", "tizio.it", 2)
    assert found.facts["all"] == "altro.it: body-changed, tizio.it: pass"


def test_of_equals_that_of_the_authors_domain_speaks() -> None:
    header = [sign(d="altro.it"), sign(), *HEADER]
    assert verdict(header, keys={**zone(), **zone(name="uno._domainkey.altro.it")}).facts["domain"] == "tizio.it"
    assert verdict(header, keys={}).facts["domain"] == "tizio.it"


def test_what_may_pass_later_speaks_before_what_never_will() -> None:
    header = [sign(d="altro.it", s="due"), sign(HEADER, b"x"), *HEADER]
    found = verdict(header, keys={**zone(), "due._domainkey.altro.it": SERVFAIL})
    assert (found.reason, found.facts["domain"]) == ("dns-failed", "altro.it")


def test_no_more_is_told_than_fits() -> None:
    found = verdict([*[sign()] * 100, *HEADER])
    assert len(found.results) == MAX_RESULTS
    assert found.facts["signatures"] == 100
    assert found.reason == "pass"


def test_marks_are_as_long_as_it_takes_to_tell_them_apart() -> None:
    assert shortest("abcdefghij", ["abcdefghij"]) == "abcdefgh"
    assert shortest("abcdefghij", ["abcdefghij", "abcdefghXj"]) == "abcdefghi"
    assert shortest("abcdefghij", ["abcdefghij"] * 2) == "abcdefgh"
    assert shortest("abcdefgh", ["abcdefgh", "abcdefghij"]) == "abcdefgh"
    assert shortest("abcdefghij", ["abcdefgh", "abcdefghij"]) == "abcdefghi"
    assert shortest("", ["", "abc"]) == ""


@given(value=st.binary(max_size=80), tags=st.dictionaries(st.sampled_from("adsibhx"), st.text(max_size=20), max_size=4))
def test_any_signature_becomes_a_result_that_others_can_read(value: bytes, tags: dict[str, str]) -> None:
    text = "; ".join(f"{name}={one}" for name, one in {"v": "1", "bh": "YQ==", "b": "YWJjZGVmZ2g=", **tags}.items())
    for raw in (value, b" " + text.encode("utf-8", "replace")):
        found = verdict([Field(b"DKIM-Signature", raw.replace(b"\0", b"")), *HEADER])
        assert found.action is Action.PASS
        written = authentication_results("mx.caio.it", found.results)
        parsed = authres.AuthenticationResultsHeader.parse(f"Authentication-Results: {written}")
        [one] = parsed.results
        assert (one.method, one.result) == ("dkim", found.results[0].result)


# --- what it leads to ---


@pytest.mark.parametrize("policy", ["fail", "policy", "neutral", "permerror", "temperror", "none"])
def test_by_default_nothing_is_refused(policy: str) -> None:
    assert verdict(bad(policy), keys={NAME: SERVFAIL} if policy == "temperror" else None).action is Action.PASS


def bad(result: str) -> list[Field]:
    """Return the header of a message with this result."""
    signed = {
        "fail": sign(HEADER, b"x"), "policy": sign(x="1"), "neutral": sign(v="2"), "permerror": sign(s="due"),
        "temperror": sign(), "none": None,
    }[result]  # fmt: skip
    return [*([signed] if signed else []), *HEADER]


@pytest.mark.parametrize(
    ("result", "policy", "spoken"),
    [
        ("fail", "reject", "550 5.7.20 DKIM fail: il messaggio non e' come tizio.it lo ha firmato"),
        ("policy", "reject", "550 5.7.21 DKIM policy: la firma di tizio.it non si accetta: it expired"),
        ("neutral", "defer", "451 4.7.20 DKIM neutral: la firma di tizio.it non si accetta: v=2 is not 1"),
        ("permerror", "reject", "550 5.7.20 DKIM permerror: la firma di tizio.it non si accetta: there is no key at"),
        ("temperror", "defer", "451 4.7.5 DKIM temperror: la firma di tizio.it non e' verificabile ora"),
        ("none", "reject", "550 5.7.20 DKIM: il messaggio non ha firma"),
    ],
)
def test_what_the_settings_refuse_is_refused(result: str, policy: str, spoken: str) -> None:
    keys = {NAME: SERVFAIL} if result == "temperror" else None
    found = verdict(bad(result), keys=keys, policies={result: policy})
    assert found.spoken.startswith(spoken), found.spoken
    assert found.spoken.endswith("; ref REF")
    assert found.spoken.isascii()
    assert found.facts["by"] == f"dkim.verify.policies.{result}"


def test_who_is_held_is_held() -> None:
    assert verdict(bad("fail"), policies={"fail": "quarantine"}).action is Action.HOLD


def test_one_good_signature_is_enough() -> None:
    every: dict[str, Any] = dict.fromkeys(("fail", "policy", "neutral", "permerror", "none"), "reject")
    header = [sign(HEADER, b"x"), sign(v="2"), sign(), *HEADER]
    assert verdict(header, policies=every).action is Action.PASS
    assert verdict(header[:2] + header[3:], policies=every).action is Action.REJECT


def test_a_test_key_refuses_nobody_as_an_unsigned_message_would_not_be() -> None:
    keys = {NAME: record(rsa(), "t=y; ")}
    assert verdict([sign(HEADER, b"x"), *HEADER], keys=keys, policies={"fail": "reject"}).action is Action.PASS
