"""Signing: what we sign, dkimpy verifies, and so do we; nothing can be added to it; keys that can't be used say why."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checks.dkim import samples, theirs
from tests.checks.dkim.samples import BODY, HEADER, NOW, judge, record
from vaglio.checks.dkim import canonical
from vaglio.checks.dkim.canonical import BodyHash, Form
from vaglio.checks.dkim.outcome import Reason
from vaglio.checks.dkim.signature import read
from vaglio.checks.dkim.signing import sign
from vaglio.checks.dkim.signing.fields import NEVER, OVERSIGNED, SIGNED
from vaglio.checks.dkim.signing.sign import MAX_NAMES, BadKey, Signer, Style, TooLarge, private_key, signatures
from vaglio.checks.dkim.verify import MAX_SIGNED
from vaglio.examination import Field
from vaglio.milter.text import header_value

STYLE = Style()
SIGNERS = (Signer("tizio.it", "uno", samples.rsa(2048)), Signer("tizio.it", "due", samples.ed25519()))
KEYS = {f"{one.selector}._domainkey.{one.domain}": record(one.key) for one in SIGNERS}


def signed(
    header: Sequence[Field] = HEADER, body: bytes = BODY, style: Style = STYLE, signers: Sequence[Signer] = SIGNERS
) -> list[Field]:
    """Return the header with its signatures, as they go to the mail server."""
    hasher = BodyHash(style.body_form)
    hasher.feed(body)
    found = signatures(signers, header, hasher.finish()(None), style, NOW)
    return [*(Field(name.encode(), b" " + header_value(value, name.encode())) for name, value in found), *header]


@pytest.fixture(autouse=True)
def their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs.set_time(monkeypatch)


@pytest.mark.parametrize("header_form", Form)
@pytest.mark.parametrize("body_form", Form)
def test_both_signatures_verify_here_and_elsewhere(header_form: Form, body_form: Form) -> None:
    whole = signed(style=Style(header_form, body_form, 3600))
    assert [one.reason for one in judge(whole, keys=KEYS)] == [Reason.PASS, Reason.PASS]
    assert [theirs.verifies(whole, BODY, KEYS, index) for index in (0, 1)] == [True, True]


VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=60)
NAMES = st.sampled_from(["To", "Subject", "subject", "Cc", "Received", "List-Id", "X-Any", "Date"])


@settings(max_examples=60, deadline=None)
@given(
    fields=st.lists(st.tuples(NAMES, VALUES), max_size=8),
    body=st.lists(st.sampled_from([b"a ", b"\r\n", b"\t", b"b", "è".encode()]), max_size=20).map(b"".join),
)
def test_any_message_verifies_here_and_elsewhere(fields: list[tuple[str, str]], body: bytes) -> None:
    body = body.strip(b" \t") + b"\r\n"
    more = [Field(name.encode(), f" {value.strip()}".encode()) for name, value in fields]
    header = [Field(b"From", b" tizio@tizio.it"), *more]
    whole = signed(header, body)
    assert [one.reason for one in judge(whole, body, keys=KEYS)] == [Reason.PASS, Reason.PASS]
    assert theirs.verifies(whole, body, KEYS)


MANY = st.dictionaries(
    st.sampled_from([one.title().encode() for one in (*OVERSIGNED[1:], *SIGNED)]), st.integers(0, 300), max_size=4
)
LONG = st.integers(1, 60).map(lambda size: "x" * size)


@settings(max_examples=60, deadline=None)
@given(counts=MANY, selector=LONG, labels=st.lists(LONG, min_size=1, max_size=3), names=st.lists(LONG, max_size=40),
       form=st.sampled_from(Form))  # fmt: skip
def test_whatever_is_signed_is_verified(
    counts: dict[bytes, int], selector: str, labels: list[str], names: list[str], form: Form
) -> None:
    domain = ".".join([*labels, "it"])
    signers = [Signer(domain, selector, samples.ed25519(), f"@{domain}")]
    header = [*HEADER, *(Field(name, b" y") for name, count in counts.items() for _ in range(count))]
    style = Style(form, form, 86400, (*OVERSIGNED, *names))
    try:
        whole = signed(header, style=style, signers=signers)
    except TooLarge:
        assert len(header) + 11 + len(names) > MAX_NAMES or sum(map(len, names)) > 1000
        return
    (one,) = judge(whole, keys={f"{selector}._domainkey.{domain}": record(samples.ed25519())})
    assert (one.reason, one.words) == (Reason.PASS, "")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ([Field(b"Resent-To", b" y")] * 240, r"names to sign, 250 at most"),
        ([Field(b"Subject", b" " + b"y" * MAX_SIGNED)], r"bytes of header to sign"),
    ],
)
def test_what_others_would_not_verify_is_not_signed(fields: list[Field], why: str) -> None:
    with pytest.raises(TooLarge, match=why):
        signed([*HEADER, *fields])


def test_a_field_that_is_too_long_is_not_written() -> None:
    names = tuple(f"{place:060}" for place in range(200))
    with pytest.raises(TooLarge, match="a signature of more than 8000 bytes"):
        signed(style=Style(oversigned=names))


def test_what_a_signature_says() -> None:
    [(name, value)] = signatures(
        [Signer("tizio.it", "uno", samples.ed25519(), "@posta.tizio.it")], HEADER,
        BodyHash(Form.RELAXED).finish()(None), Style(valid=86400), NOW + 0.5,
    )  # fmt: skip
    tags = dict(part.strip().split("=", 1) for part in value.split(";"))
    assert name == "DKIM-Signature"
    assert list(tags) == ["v", "a", "c", "d", "s", "i", "t", "x", "h", "bh", "b"]
    assert (tags["a"], tags["c"], tags["i"]) == ("ed25519-sha256", "relaxed/relaxed", "@posta.tizio.it")
    assert (tags["t"], tags["x"]) == (str(NOW), str(NOW + 86400))
    assert "l" not in tags
    assert all(len(line) <= 72 for line in value.split("\n"))
    assert all(line[0] in "\t" for line in value.split("\n")[1:])


def test_without_an_end_there_is_no_x() -> None:
    assert b" x=" not in signed()[0].value


def named(header: Sequence[Field], style: Style = STYLE) -> tuple[bytes, ...]:
    """Return the names in h=."""
    return read(signed(header, style=style)[0]).signed


def test_names_are_signed_once_more_than_they_are_there() -> None:
    names = named([*HEADER, Field(b"List-Id", b" x"), Field(b"X-Other", b" x")])
    assert names.count(b"from") == 2
    assert names.count(b"subject") == 2
    assert names.count(b"cc") == 1
    assert names.count(b"list-id") == 1
    assert b"x-other" not in names


@pytest.mark.parametrize("name", ["From", "Subject", "Cc", "To", "Reply-To", "Content-Type", "MIME-Version", "Date"])
def test_nothing_that_readers_see_can_be_added(name: str) -> None:
    added = Field(name.encode(), b" x")
    for header in ([added, *signed()], [*signed(), added]):
        assert {one.result.value for one in judge(header, keys=KEYS)} <= {"fail", "policy"}


def test_what_mail_servers_add_is_never_signed_even_if_asked_for() -> None:
    style = Style(oversigned=tuple(NEVER), signed=tuple(NEVER))
    assert named([Field(name.encode(), b" x") for name in NEVER], style) == (b"from",)
    added = [Field(b"Received", b" from x"), Field(b"Authentication-Results", b" x"), Field(b"Return-Path", b" <>")]
    assert [one.reason for one in judge([*added, *signed()], keys=KEYS)] == [Reason.PASS, Reason.PASS]


def test_it_may_be_folded_anew_on_the_way() -> None:
    whole = signed()
    whole[0] = Field(whole[0].name, re.sub(rb"\s*\n\s+", b" \r\n        ", whole[0].value))
    assert judge(whole, keys=KEYS)[0].reason is Reason.PASS


def test_the_header_is_put_into_its_form_once_for_all_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bytes] = []
    inner = canonical.header

    def counted(name: bytes, value: bytes, form: Form) -> bytes:
        calls.append(name)
        return inner(name, value, form)

    monkeypatch.setattr(canonical, "header", counted)
    signed()
    assert calls == [b"From", b"To", b"Subject", b"Date", b"DKIM-Signature", b"DKIM-Signature"]


# --- keys ---


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | dsa.DSAPrivateKey, form: PrivateFormat) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


def test_rsa_keys_come_in_both_forms() -> None:
    key = rsa.generate_private_key(65537, 1024)
    found = [private_key(pem(key, form)) for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL)]
    assert [(one.algorithm, one.bits) for one in found] == [("rsa-sha256", 1024)] * 2
    assert found[0].public == found[1].public


def test_ed25519_keys_come_as_pem_and_as_dkimpys_seed() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    seed = base64.b64encode(key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
    found = [private_key(pem(key, PrivateFormat.PKCS8)), private_key(seed + b"\n")]
    assert [(one.algorithm, one.bits) for one in found] == [("ed25519-sha256", 256)] * 2
    assert found[0].public == found[1].public


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "it is no private key in PEM"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "it is no private key in PEM"),
        (b"*" * 44, "it is neither PEM nor an Ed25519 seed in base64"),
        (base64.b64encode(b"a" * 31), "it is neither PEM nor an Ed25519 seed in base64"),
        (b"\xff" * 44, "it is neither PEM nor an Ed25519 seed in base64"),
    ],
)
def test_what_is_no_key_says_so(raw: bytes, why: str) -> None:
    with pytest.raises(BadKey, match=why):
        private_key(raw)


def test_keys_that_nobody_would_verify_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadKey, match="it is neither RSA nor Ed25519"):
        private_key(pem(dsa.generate_private_key(1024), PrivateFormat.PKCS8))
    encrypted = ed25519.Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
    )
    with pytest.raises(BadKey, match="it is encrypted"):
        private_key(encrypted)
    long = pem(rsa.generate_private_key(65537, 1032), PrivateFormat.PKCS8)
    monkeypatch.setattr(sign, "MOST_BITS", 1024)
    with pytest.raises(BadKey, match="it has 1032 bits: others verify 1024 to 1024 only"):
        private_key(long)
