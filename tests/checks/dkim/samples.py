"""Keys and signatures for tests: ``sign`` writes any tags, right or wrong, and signs what then stands there.

It shares canonical forms with what it tests; test_corpora.py and signing/test_sign.py hold both against others.
"""

from __future__ import annotations

import asyncio
import base64
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from vaglio.checks.dkim import canonical
from vaglio.checks.dkim.canonical import BodyHash, Form
from vaglio.checks.dkim.check import Context, DkimVerify, Verifying
from vaglio.checks.dkim.settings import DkimVerifySettings
from vaglio.checks.dkim.signing.sign import PrivateKey, private_key
from vaglio.checks.dkim.verify import Header, Judged
from vaglio.examination import Field, Message
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.ports import NXDOMAIN, Answer, Outcome
from vaglio.verdict import Verdict

NOW = 1_700_000_000
HEADER = (
    Field(b"From", b" Tizio <tizio@tizio.it>"),
    Field(b"To", b" caio@caio.it"),
    Field(b"Subject", b"  Ciao,\n\t Caio "),
    Field(b"Date", b" Tue, 14 Nov 2023 22:13:20 +0000"),
)
BODY = b"Ciao  Caio, \r\n\r\nvediamoci.\t\r\n\r\n\r\n"
FACTS = Facts(client_of("192.0.2.7"), Envelope("tizio@tizio.it", "caio@caio.it"), Session(Stage.MAIL, "mail.tizio.it"))

Zone = Mapping[str, Answer | str]


@functools.cache
def rsa(bits: int = 1024, exponent: int = 65537) -> PrivateKey:
    key = generate_private_key(exponent, bits)
    return private_key(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@functools.cache
def ed25519() -> PrivateKey:
    key = Ed25519PrivateKey.generate()
    return private_key(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def record(key: PrivateKey, more: str = "") -> str:
    kind = "ed25519" if key.bits == 256 else "rsa"
    return f"v=DKIM1; k={kind}; {more}p={key.public}"


def body_hash(body: bytes, form: Form = Form.RELAXED, length: int | None = None) -> bytes:
    hasher = BodyHash(form, [] if length is None else [length])
    hasher.feed(body)
    return hasher.finish()(length).value or b""


def sign(
    header: Sequence[Field] = HEADER, body: bytes = BODY, key: PrivateKey | None = None, /, **tags: str | None
) -> Field:
    """Return a DKIM-Signature; ``tags`` replace those it would have, None takes one out."""
    key = key or rsa()
    forms = (tags.get("c") or "simple/simple").split("/")
    form, body_form = Form(forms[0]), Form(forms[1] if len(forms) > 1 else "simple")
    length = int(tags["l"]) if (tags.get("l") or "x").isdigit() else None  # type: ignore[arg-type]
    whole: dict[str, str | None] = {
        "v": "1", "a": key.algorithm, "d": "tizio.it", "s": "uno", "h": "From:To:Subject:Date",
        "bh": base64.b64encode(body_hash(body, body_form, length)).decode(), **tags, "b": "",
    }  # fmt: skip
    value = " " + "; ".join(f"{name}={text}" for name, text in whole.items() if text is not None)
    names = [name.strip().lower().encode() for name in (whole["h"] or "").split(":")]
    lines = [canonical.header(*header[place], form) for place in Header(header).select(names)]
    own = canonical.header(b"DKIM-Signature", value.encode(), form)
    mark = base64.b64encode(key.sign(b"\r\n".join([*lines, own]))).decode()
    return Field(b"DKIM-Signature", (value + mark).encode())


class Clock:
    def __init__(self, time: float = NOW) -> None:
        self.time = time

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


class Dns:
    """Answers from a zone; ``cold``, each answer takes a turn of the loop. ``asked`` are the names, as often as they
    were asked for.
    """

    def __init__(self, zone: Zone, cold: bool = False) -> None:
        self._zone, self._cold = zone, cold
        self.asked: list[str] = []

    def answer(self, name: str) -> Answer:
        found = self._zone.get(name, NXDOMAIN)
        return Answer(Outcome.OK, (found,)) if isinstance(found, str) else found

    def at_hand(self, name: str, rrtype: str) -> Answer | None:
        assert rrtype == "TXT"
        if self._cold:
            return None
        self.asked.append(name)
        return self.answer(name)

    async def lookup(self, name: str, rrtype: str) -> Answer:
        self.asked.append(name)
        await asyncio.sleep(0)
        return self.answer(name)


NAME = "uno._domainkey.tizio.it"


def zone(key: PrivateKey | None = None, more: str = "", name: str = NAME) -> dict[str, Answer | str]:
    return {name: record(key or rsa(), more)}


def check(dns: Dns, now: float = NOW, **settings: Any) -> DkimVerify:
    context = Context(Clock(now), dns, lambda: "REF", lambda domain: "it" if domain == "caio.it" else "en")
    return DkimVerify(DkimVerifySettings.model_validate(settings), context)


def begin(checker: DkimVerify, header: Sequence[Field], chunks: Sequence[bytes]) -> Verifying:
    examination = checker.examine(FACTS)
    examination.end_of_headers(header)
    for chunk in chunks:
        examination.body(chunk)
    return examination


def judge(
    header: Sequence[Field], body: bytes = BODY, keys: Zone | None = None, now: float = NOW, **settings: Any
) -> list[Judged]:
    """Return what became of each signature."""

    async def play() -> list[Judged]:
        examination = begin(check(Dns(zone() if keys is None else keys), now, **settings), header, [body])
        try:
            return await examination.judged()
        finally:
            examination.close()

    return asyncio.run(play())


def verdict(
    header: Sequence[Field], body: bytes = BODY, keys: Zone | None = None, now: float = NOW, **settings: Any
) -> Verdict:
    """Return what became of the message."""

    async def play() -> Verdict:
        examination = begin(check(Dns(zone() if keys is None else keys), now, **settings), header, [body])
        try:
            return await examination.verdict(Message(FACTS, ("caio@caio.it",), header))
        finally:
            examination.close()

    return asyncio.run(play())


def reasons(*args: Any, **more: Any) -> list[str]:
    """Return why, for each signature."""
    return [one.reason.value for one in judge(*args, **more)]
