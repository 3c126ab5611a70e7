"""Signatures verified: what passes, what does not and why, and what each may cost."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checks.dkim.samples import (
    BODY,
    HEADER,
    NAME,
    NOW,
    Dns,
    begin,
    body_hash,
    check,
    ed25519,
    judge,
    reasons,
    record,
    rsa,
    sign,
    zone,
)
from tests.checks.dkim.test_key import public
from vaglio.checks.dkim.canonical import Form
from vaglio.checks.dkim.key import Key
from vaglio.checks.dkim.outcome import RESULTS, Reason, Result
from vaglio.checks.dkim.signature import Signature, read
from vaglio.checks.dkim.verify import MAX_READ, MAX_SIGNED, Hashes, Header, choose
from vaglio.examination import Field
from vaglio.ports import NODATA, Answer, Outcome

FORMS = ["simple", "relaxed", "simple/relaxed", "relaxed/simple", "relaxed/relaxed", "simple/simple", None]


@pytest.mark.parametrize("c", FORMS)
@pytest.mark.parametrize("key", ["rsa", "ed25519"])
def test_a_good_signature_passes(c: str | None, key: str) -> None:
    used = rsa() if key == "rsa" else ed25519()
    [found] = judge([sign(HEADER, BODY, used, c=c), *HEADER], keys=zone(used))
    assert (found.result, found.reason, found.words) == (Result.PASS, Reason.PASS, "")
    assert (found.bits, found.beyond) == (used.bits, 0)


def test_each_reason_has_a_result() -> None:
    assert set(RESULTS) == set(Reason)


# --- what was changed ---


FOOTER = BODY + b"--\r\nlist footer\r\n"
MARKED = (*HEADER[:2], Field(b"Subject", b" [list] Ciao, Caio"), HEADER[3])


@pytest.mark.parametrize(
    ("header", "body", "reason", "words"),
    [
        (HEADER, FOOTER, Reason.BODY_CHANGED, "; the header was not"),
        (MARKED, FOOTER, Reason.BODY_CHANGED, "and so was the header"),
        (MARKED, BODY, Reason.HEADER_CHANGED, "or another key"),
        (HEADER[:3], BODY, Reason.HEADER_CHANGED, "or another key"),
        (HEADER[1:], BODY, Reason.FROM_NOT_SIGNED, "has no From"),
        ((*HEADER, Field(b"Subject", b" x")), BODY, Reason.HEADER_CHANGED, "or another key"),
        ((*HEADER, Field(b"X", b" x")), BODY, Reason.PASS, ""),
    ],
)
def test_a_change_is_told(header: tuple[Field, ...], body: bytes, reason: Reason, words: str) -> None:
    [found] = judge([sign(c="relaxed/relaxed"), *header], body)
    assert found.reason == reason
    assert words in found.words


def test_a_copy_of_the_header_tells_which_field_was_changed() -> None:
    copy = "From:=20Tizio=20<tizio@tizio.it>|Subject:=20=20Ciao,=0A=09Caio=20|To:=20nobody|Cc:=20x|"
    signed = sign(c="relaxed/relaxed", z=copy)
    [found] = judge([signed, *MARKED])
    assert found.words == "the header was changed on the way (Subject, To, Cc)"
    [found] = judge([signed, *MARKED], FOOTER)
    assert found.words == "the body was changed on the way; and so was the header (Subject, To, Cc)"
    [found] = judge([sign(c="relaxed/relaxed", z="From:=20Tizio\r\n =20<tizio@tizio.it>"), *MARKED])
    assert found.words == "the header was changed on the way, or another key signed it"


@given(copied=st.text(max_size=100))
def test_any_copy_will_do(copied: str) -> None:
    assert isinstance(Header(HEADER).changed(copied), list)


def test_what_the_forms_let_pass_passes() -> None:
    header = (Field(b"FROM", b"\tTizio   <tizio@tizio.it>  "), *HEADER[1:])
    body = BODY.replace(b"Ciao  Caio", b"Ciao \t Caio") + b" \r\n"
    assert reasons([sign(c="relaxed/relaxed"), *header], body) == ["pass"]
    assert reasons([sign(c="simple/relaxed"), *header], body) == ["header-changed"]
    assert reasons([sign(c="relaxed/simple"), *header], body) == ["body-changed"]


def test_another_key_does_not_verify() -> None:
    assert reasons([sign(), *HEADER], keys=zone(rsa(1025))) == ["header-changed"]


# --- which fields ---


def test_fields_are_taken_from_the_bottom_up() -> None:
    header = [Field(b"Received", b" 2"), Field(b"Received", b" 1"), *HEADER]
    signed = sign(header, BODY, h="from:received")
    assert reasons([signed, Field(b"Received", b" 3"), *header]) == ["pass"]
    assert reasons([signed, *header, Field(b"Received", b" 0")]) == ["header-changed"]
    assert list(Header(header).select([b"received", b"to", b"received", b"received", b"none"])) == [1, 3, 0]


def test_a_field_that_was_signed_as_missing_may_not_be_added() -> None:
    signed = sign(h="From:To:Subject:Subject:Date")
    assert reasons([signed, *HEADER]) == ["pass"]
    assert reasons([signed, Field(b"Subject", b" x"), *HEADER]) == ["header-changed"]


def test_a_signature_does_not_sign_itself_but_may_sign_others() -> None:
    first = sign()
    header = [first, *HEADER]
    second = sign(header, h="from:dkim-signature:dkim-signature", s="due")
    assert reasons([second, *header], keys={**zone(), **zone(name="due._domainkey.tizio.it")}) == ["pass", "pass"]
    assert reasons([second, *HEADER], keys=zone(name="due._domainkey.tizio.it")) == ["header-changed"]


@pytest.mark.parametrize("place", [0, 1, 5])
def test_a_second_from_that_is_not_signed_is_never_accepted(place: int) -> None:
    header = [sign(), *HEADER]
    header.insert(place, Field(b"from", b" caio@caio.it"))
    [found] = judge(header)
    assert (found.reason, found.result) == (Reason.UNSIGNED_FROM, Result.POLICY)


def test_two_from_that_are_signed_are_as_they_were_signed() -> None:
    header = (*HEADER, Field(b"From", b" caio@caio.it"))
    assert reasons([sign(header, h="from:from"), *header]) == ["pass"]


def test_without_a_from_nothing_is_signed() -> None:
    assert reasons([sign(HEADER[1:]), *HEADER[1:]]) == ["from-not-signed"]


def test_a_name_with_a_blank_before_its_colon_is_that_name() -> None:
    header = (HEADER[0], Field(b"Subject ", b" x"))
    assert reasons([sign(header, h="from:subject", c="relaxed"), *header]) == ["pass"]
    assert reasons([sign(header, h="from:subject", c="relaxed"), HEADER[0], Field(b"subject", b"  x ")]) == ["pass"]


# --- time ---


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"t": NOW - 10, "x": NOW + 10}, "pass"),
        ({"t": NOW + 300}, "pass"),
        ({"t": NOW + 301}, "from-the-future"),
        ({"x": NOW - 300}, "pass"),
        ({"x": NOW - 301}, "expired"),
        ({"t": 0, "x": 1}, "expired"),
    ],
)
def test_times_are_held_against_the_clock_with_some_slack(tags: dict[str, int], reason: str) -> None:
    signed = sign(HEADER, BODY, **{name: str(value) for name, value in tags.items()})
    assert reasons([signed, *HEADER]) == [reason]


def test_how_long_ago_is_said_in_words() -> None:
    [found] = judge([sign(x=str(NOW - 3 * 86400)), *HEADER])
    assert (found.words, found.result) == ("it expired 3 days ago", Result.POLICY)
    [found] = judge([sign(x=str(NOW - 400)), *HEADER], clock_slack="10s")
    assert found.words == "it expired 7 minutes ago"
    [found] = judge([sign(t=str(NOW + 90)), *HEADER], clock_slack="10s")
    assert found.words == "it is of a time 90 seconds ahead"


# --- length ---


def test_what_is_beyond_the_length_is_told_and_not_accepted() -> None:
    header = [sign(c="relaxed/relaxed", l="11"), *HEADER]
    [found] = judge(header)
    size = len(b"Ciao Caio,\r\n\r\nvediamoci.\r\n")
    assert (found.reason, found.result, found.beyond) == (Reason.PARTIAL_BODY, Result.POLICY, size - 11)
    assert found.words == f"it does not cover the last {size - 11} bytes of the body (l=)"
    [found] = judge(header, partial_body="pass")
    assert (found.reason, found.beyond) == (Reason.PASS, size - 11)


def test_a_length_of_the_whole_body_passes_until_something_is_added() -> None:
    size = len(b"Ciao Caio,\r\n\r\nvediamoci.\r\n")
    header = [sign(c="relaxed/relaxed", l=str(size)), *HEADER]
    assert reasons(header) == ["pass"]
    assert reasons(header, BODY + b"added\r\n") == ["partial-body"]


def test_a_length_of_nothing_is_a_part_too() -> None:
    header = [sign(l="0"), *HEADER]
    assert reasons(header) == ["partial-body"]
    assert reasons([sign(HEADER, b"", c="simple/relaxed", l="0"), *HEADER], b"") == ["pass"]


@pytest.mark.parametrize("length", ["100000", "9" * 76])
def test_a_length_beyond_the_body_is_an_error(length: str) -> None:
    assert reasons([sign(bh="YWJj", l=length), *HEADER]) == ["body-too-short"]


# --- keys ---


@pytest.mark.parametrize(
    ("answer", "reason", "result"),
    [
        (NODATA, "no-key", Result.PERMERROR),
        (Answer(Outcome.TEMPERROR, why="servfail"), "dns-failed", Result.TEMPERROR),
        ("v=DKIM1; p=", "key-revoked", Result.PERMERROR),
        ("v=DKIM1; p=AAAA", "key-unusable", Result.PERMERROR),
        (f"p={public(512)}", "short-key", Result.POLICY),
        (f"p={public(16384)}", "long-key", Result.POLICY),
        (record(ed25519()), "key-not-for-this", Result.PERMERROR),
        (Answer(Outcome.OK, (record(rsa()), record(ed25519()))), "several-keys", Result.PERMERROR),
    ],
    ids=lambda value: "" if isinstance(value, str) and "p=" in value else None,  # a new key has a name of its own
)
def test_what_is_wrong_with_the_key_is_told(answer: Answer | str, reason: str, result: Result) -> None:
    [found] = judge([sign(), *HEADER], keys={NAME: answer})
    assert (found.reason, found.result) == (reason, result)
    assert NAME in found.words


def test_a_key_for_tests_counts_as_none() -> None:
    [found] = judge([sign(), *HEADER], keys=zone(more="t=y; "))
    assert (found.reason, found.result) == (Reason.TESTING, Result.NEUTRAL)
    assert found.words == "it would pass; but the key is one for tests (t=y)"
    [found] = judge([sign(), *HEADER], b"changed", keys=zone(more="t=y; "))
    assert (found.reason, found.words[:21]) == (Reason.TESTING, "the body was changed ")
    assert reasons([sign(), *HEADER], keys=zone(more="t=y; "), test_mode="pass") == ["pass"]


def test_a_strict_key_has_no_subdomains() -> None:
    assert reasons([sign(i="a@posta.tizio.it"), *HEADER]) == ["pass"]
    assert reasons([sign(i="a@posta.tizio.it"), *HEADER], keys=zone(more="t=s; ")) == ["foreign-identity"]
    assert reasons([sign(i="a@TIZIO.it"), *HEADER], keys=zone(more="t=s; ")) == ["pass"]
    assert reasons([sign(), *HEADER], keys=zone(more="t=y:s; "), test_mode="pass") == ["pass"]


# --- one and another ---


def test_one_signature_never_spoils_another() -> None:
    bad = [
        Field(b"DKIM-Signature", b"\0;;"), sign(a="rsa-sha1"), sign(s="nowhere"), sign(d="altro.it"), sign(h="To"),
        sign(HEADER, b"other"), sign(v="2"),
    ]  # fmt: skip
    found = reasons([*bad, sign(), *HEADER], max_signatures=15)
    assert sorted(found) == sorted(
        ["malformed", "rsa-sha1", "no-key", "no-key", "from-not-signed", "body-changed", "unsupported", "pass"]
    )


def test_two_keys_sign_the_same_message() -> None:
    header = [sign(HEADER, BODY, ed25519(), s="due", c="relaxed/simple"), sign(c="simple/relaxed"), *HEADER]
    assert reasons(header, keys={**zone(), **zone(ed25519(), name="due._domainkey.tizio.it")}) == ["pass", "pass"]


def test_of_many_signatures_those_of_the_author_are_verified() -> None:
    names = [f"d{n}.example" for n in range(8)] + ["posta.tizio.it", "tizio.it"]
    header = [*(sign(d=name) for name in names), *HEADER]
    keys: dict[str, Answer | str] = {f"uno._domainkey.{name}": record(rsa()) for name in names}
    found = judge(header, keys=keys, max_signatures=3)
    verified = [one.signature.domain for one in found if one.reason is Reason.PASS]
    assert verified == ["d0.example", "posta.tizio.it", "tizio.it"]
    assert [one.reason for one in found[3:]] == [Reason.PASSED_OVER] * 7


@pytest.mark.parametrize(
    ("value", "domain"),
    [
        (b" Tizio <tizio@Tizio.it>", "tizio.it"),
        (b" tizio@tizio.it\n", "tizio.it"),
        (b' "a@b.it" <c@d.it>', "d.it"),
        (b" tizio@tizio.it (of bank.it)", "tizio.it"),
        (b" tizio@tizio.it (a@bank.it)", "tizio.it"),
        (b" c@caio.it, tizio@tizio.it", ""),
        ("<tizio@bücher.example>".encode(), "xn--bcher-kva.example"),
        (b" nobody", ""),
        (b"", ""),
    ],
)
def test_the_author_is_who_stands_in_from(value: bytes, domain: str) -> None:
    assert Header([Field(b"From", value)]).author() == domain
    assert Header([Field(b"From", value)] * 2).author() == ""


# --- bounds: counted work, not the clock ---


class Counts:
    """Counts keys used and bytes signed."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.verified: list[int] = []
        inner = Key.verifies

        def verifies(key: Key, value: bytes, data: bytes) -> bool:
            self.verified.append(len(data))
            return inner(key, value, data)

        patch.setattr(Key, "verifies", verifies)


def play(header: list[Field], body: bytes = BODY, **more: Any) -> tuple[list[str], list[str]]:
    """Return the reasons, and what was asked in the DNS."""
    async def run() -> tuple[list[str], list[str]]:
        dns = Dns(zone())
        examination = begin(check(dns, **more), header, [body])
        found = [one.reason.value for one in await examination.judged()]
        examination.close()
        return found, dns.asked

    return asyncio.run(run())


def test_of_a_thousand_signatures_a_few_are_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Counts(monkeypatch)
    found, asked = play([*(sign(s=f"s{n % 7}") for n in range(1000)), *HEADER])
    assert len(found) == MAX_READ
    assert len(set(asked)) == len(asked) <= 10
    assert counts.verified == []  # there are no keys at these names
    found, asked = play([*[sign()] * 1000, *HEADER])
    assert found == ["pass"] * 5 + ["passed-over"] * (MAX_READ - 5)
    assert (asked, len(counts.verified)) == ([NAME], 5)


def test_a_thousand_signatures_that_are_none_are_not_all_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from vaglio.checks.dkim import verify as module

    calls: list[Field] = []

    def counted(field: Field) -> Signature:
        calls.append(field)
        return read(field)

    monkeypatch.setattr(module, "read", counted)
    found, _ = play([*[Field(b"DKIM-Signature", b" v=1")] * 1000, *HEADER])
    assert (len(calls), len(found)) == (MAX_READ, MAX_READ)


def test_a_key_that_is_too_long_is_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Counts(monkeypatch)
    for bits, exponent in ((16384, 65537), (4097, 3), (4096, 2**4000 + 1)):
        assert judge([sign(), *HEADER], keys={NAME: f"p={public(bits, exponent)}"})[0].result is not Result.PASS
    assert counts.verified == []


def test_a_signature_of_a_huge_header_is_not_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Counts(monkeypatch)
    header = [*HEADER, *(Field(b"X", b"a" * 10_000) for _ in range(50))]
    [found] = judge([sign(h="from" + ":x" * 50), *header])
    assert (found.reason, found.result) == (Reason.TOO_LARGE, Result.POLICY)
    assert str(MAX_SIGNED) in found.words
    assert counts.verified == []


def test_white_space_in_a_signature_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Counts(monkeypatch)
    padded = sign()._replace(value=sign().value + b" \n\t" * 34_000)
    assert (play([padded, *HEADER])[0], counts.verified) == (["too-large"], [])


def test_the_body_is_hashed_once_in_each_form_whatever_the_signatures() -> None:
    many = [read(sign(c=c, l=str(n))) for n in range(5) for c in ("simple/simple", "simple/relaxed")]
    hashes = Hashes([*many, *many])
    hashes.feed(BODY)
    bodies = hashes.finish()
    assert set(bodies) == {Form.SIMPLE, Form.RELAXED}
    assert len(hashes._hashes) == 2
    for one in many:
        assert base64.b64encode(bodies[one.body_form](one.length).value or b"") == base64.b64encode(one.body_hash)
    assert bodies[Form.RELAXED](None).value == body_hash(BODY)


def test_choosing_keeps_the_order() -> None:
    signatures = [(n, read(sign(d=f"d{n}.example"))) for n in range(6)]
    assert choose(signatures, "d5.example", 2) == [signatures[0], signatures[5]]
    assert choose(signatures, "", 10) == signatures


# --- anything ---


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_message_that_is_tampered_with_never_raises_nor_passes_for_another(data: st.DataObject) -> None:
    header = [sign(c="simple/simple", h="From:To:Subject:Date:X"), *HEADER]
    place = data.draw(st.integers(0, len(header) - 1))
    name, value = header[place]
    at = data.draw(st.integers(0, len(value)))
    piece = data.draw(st.binary(min_size=1, max_size=4).filter(lambda raw: b"\0" not in raw))
    header[place] = Field(name, value[:at] + piece + value[at:])
    [found] = judge(header)
    if place:
        assert found.result is Result.FAIL
    assert len(found.words) < 300
