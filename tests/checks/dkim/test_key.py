"""Key records: which are keys, for what, and why not."""

from __future__ import annotations

import base64
import warnings

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from tests.checks.dkim.samples import ed25519, record, rsa
from vaglio.checks.dkim.key import MAX_RECORD, Key, key_of, key_record
from vaglio.checks.dkim.outcome import Flaw, Flawed, Reason
from vaglio.ports import NODATA, NXDOMAIN, Answer, Outcome

NAME = "uno._domainkey.tizio.it"


def public(bits: int, exponent: int = 65537, pkcs1: bool = False) -> str:
    """Return p= of a number that has no factors we know: loading does not ask."""
    key = RSAPublicNumbers(exponent, (1 << (bits - 1)) + 12345).public_key()
    form = PublicFormat.PKCS1 if pkcs1 else PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(key.public_bytes(Encoding.DER, form)).decode()


def found(*records: str, algorithm: str = "rsa-sha256") -> Key:
    return key_of(Answer(Outcome.OK, records), NAME, algorithm)


@pytest.mark.parametrize("bits", [1024, 1025, 2048, 4096])
@pytest.mark.parametrize("pkcs1", [False, True])
def test_rsa_keys_of_1024_to_4096_bits_serve(bits: int, pkcs1: bool) -> None:
    key = found(f"p={public(bits, pkcs1=pkcs1)}")
    assert (key.kind, key.bits, key.testing, key.strict) == ("rsa", bits, False, False)


def test_ed25519_serves() -> None:
    key = found(record(ed25519()), algorithm="ed25519-sha256")
    assert (key.kind, key.bits) == ("ed25519", 256)


@pytest.mark.parametrize(
    "more",
    ["h=sha256; ", "h=sha1:sha256; ", "h = sha256 : x; ", "s=*; ", "s=email; ", "s=other : email; ", "n=a note; ",
     "g=*; ", "t=; ", "t=x:z; "],
)  # fmt: skip
def test_tags_that_allow_it(more: str) -> None:
    assert found(record(rsa(), more)).misfit == ""


def test_flags() -> None:
    key = found(record(rsa(), "t = y : s; "))
    assert (key.testing, key.strict) == (True, True)


@pytest.mark.parametrize(
    ("records", "reason", "words"),
    [
        (["v=DKIM1; p="], Reason.REVOKED, f"the key at {NAME} was revoked"),
        (["p="], Reason.REVOKED, "was revoked"),
        (["v=DKIM1; k=rsa"], Reason.BAD_KEY, "has no p="),
        (["v=DKIM1; p=AAAA"], Reason.BAD_KEY, f"p= of the key at {NAME} can't be read"),
        (["v=DKIM1; p=!"], Reason.BAD_KEY, "can't be read"),
        (["v=DKIM1; k=ed25519; p=AAAA"], Reason.BAD_KEY, "can't be read"),
        (["v=DKIM1; v=DKIM1; p=AAAA"], Reason.BAD_KEY, "v= stands there twice"),
        (["v=DKIM1; {name} {0}; p=AAAA"], Reason.BAD_KEY, '"(name) (0)" is no tag'),
        (["v=DKIM1; k={x}; p=AAAA"], Reason.WRONG_KEY, "a kind that is not known (k=(x))"),
        ([f"k=rsa; p={ed25519().public}"], Reason.BAD_KEY, "has k=rsa: the key, of 32 bytes, needs k=ed25519"),
        ([record(ed25519())], Reason.WRONG_KEY, f"the key at {NAME} is for ed25519, the signature is rsa-sha256"),
        ([record(rsa(), "h=sha1; ")], Reason.WRONG_KEY, f"the key at {NAME} is not for SHA-256 (h=sha1)"),
        ([record(rsa(), "s=tlsrpt; ")], Reason.WRONG_KEY, "is not for mail (s=tlsrpt)"),
        ([f"p={public(512)}"], Reason.SHORT_KEY, "has 512 bits, and must have 1024 or more"),
        ([f"p={public(1023)}"], Reason.SHORT_KEY, "has 1023 bits"),
        ([f"p={public(4097)}"], Reason.LONG_KEY, "has 4097 bits, and may have up to 4096"),
        ([f"p={public(16384)}"], Reason.LONG_KEY, "has 16384 bits"),
        ([f"p={public(2048, 2**33 + 1)}"], Reason.BAD_KEY, "an exponent of more than 33 bits"),
        ([f"p={public(4096, 2**4000 + 1)}"], Reason.BAD_KEY, "an exponent of more than 33 bits"),
        ([record(rsa()), record(ed25519())], Reason.SEVERAL_KEYS, f"there are 2 keys at {NAME}"),
        ([record(rsa()), "v=DKIM1; p="], Reason.SEVERAL_KEYS, "there are 2 keys"),
        (["v=spf1 -all"], Reason.NO_KEY, "there is a TXT record"),
        (["v=DKIM2; p=AAAA"], Reason.NO_KEY, "which is no key"),
        (["p=AAAA; v=DKIM1"], Reason.NO_KEY, "which is no key"),  # RFC 6376 3.6.1: v= comes first
        ([""], Reason.NO_KEY, "which is no key"),
        (["p=" + "A" * MAX_RECORD], Reason.BAD_KEY, "is too long"),
    ],
)
def test_what_is_no_key_for_it_says_why(records: list[str], reason: Reason, words: str) -> None:
    with pytest.raises(Flawed) as caught:
        found(*records)
    assert caught.value.flaw.reason == reason
    assert words in caught.value.flaw.words


def test_other_records_and_the_same_key_twice_do_not_matter() -> None:
    assert found("v=spf1 -all", record(rsa()), record(rsa()), "some text").bits == 1024


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (NXDOMAIN, Reason.NO_KEY, "there is no key at"),
        (NODATA, Reason.NO_KEY, "there is no key at"),
        (Answer(Outcome.TEMPERROR, why="timeout"), Reason.DNS, "(timeout)"),
        (Answer(Outcome.TEMPERROR, why="servfail"), Reason.DNS, "(servfail)"),
    ],
)
def test_a_key_that_is_not_there_is_another_thing_than_one_that_is_not_known(
    answer: Answer, reason: Reason, words: str
) -> None:
    with pytest.raises(Flawed) as caught:
        key_of(answer, NAME, "rsa-sha256")
    assert caught.value.flaw.reason == reason
    assert words in caught.value.flaw.words


def test_more_bits_may_be_asked_for() -> None:
    answer = Answer(Outcome.OK, (record(rsa()),))
    with pytest.raises(Flawed, match="must have 2048 or more"):
        key_of(answer, NAME, "rsa-sha256", 2048)


def test_a_record_is_read_once() -> None:
    text = record(rsa(), "n=once; ")
    assert key_record(text) is key_record(text)


@given(text=st.text(max_size=120) | st.binary(max_size=120).map(lambda raw: "p=" + base64.b64encode(raw).decode()))
def test_any_text_is_a_key_a_flaw_or_nothing(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd keys
        assert isinstance(key_record(text), Key | Flaw | None)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 64, 512])
def test_signatures_of_any_size_verify_or_do_not(size: int) -> None:
    assert not found(record(rsa())).verifies(b"\x01" * size, b"data")
    assert not found(record(ed25519()), algorithm="ed25519-sha256").verifies(b"\x01" * size, b"data")
