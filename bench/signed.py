"""The messages of the benchmark of DKIM, signed, and the keys: made anew for each run.

All are signed by the sender's domain, relaxed/relaxed, for ever. Whoever is measured must find them good, other
programs too, so it does not matter that our own core has signed them.
"""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from bench import messages
from bench.mailserver import parts
from vaglio.checks.dkim.canonical import BodyHash, Form
from vaglio.checks.dkim.signing.sign import Signer, Style, private_key, signatures
from vaglio.examination import Field

DOMAIN = "sender.example"
RSA, ED25519, HUGE = "rsa", "ed25519", "huge"
"""Selectors, which are also the names of the kinds of keys."""
HUGE_BITS = 16_384
POSTFIX = 130
"""Signatures that Postfix lets through: a header of more than 102,400 bytes it cuts off (header_size_limit)."""

NOW = 1_795_000_000
"""When it was signed: in November 2026, as the messages say."""


class Keys(NamedTuple):
    """Who signs, by selector; with the files of the private keys, and what the DNS has of the public ones."""

    signers: dict[str, Signer]
    files: dict[str, Path]
    records: dict[str, str]


def make_keys(directory: Path) -> Keys:
    """Make a pair of RSA (2048 bits) and one of Ed25519, as PEM files which nobody else may read; and the record of an
    RSA key of 16,384 bits, which nobody has the private part of.
    """
    directory.mkdir(parents=True, mode=0o700)
    keys = Keys({}, {}, {_place(HUGE): f"v=DKIM1; k=rsa; p={_huge()}"})
    for selector, key in ((RSA, generate_private_key(65537, 2048)), (ED25519, Ed25519PrivateKey.generate())):
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        keys.files[selector] = directory / f"{selector}.pem"
        keys.files[selector].touch(0o600)
        keys.files[selector].write_bytes(pem)
        keys.signers[selector] = Signer(DOMAIN, selector, private_key(pem))
        keys.records[_place(selector)] = f"v=DKIM1; k={selector}; p={keys.signers[selector].key.public}"
    return keys


def _place(selector: str) -> str:
    return f"{selector}._domainkey.{DOMAIN}"


def _huge() -> str:
    number = random.Random(HUGE_BITS).getrandbits(HUGE_BITS) | 1 << HUGE_BITS - 1 | 1
    key = RSAPublicNumbers(65537, number).public_key()
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def sign(message: bytes, signers: Sequence[Signer]) -> bytes:
    """Return a message with a signature of each of the signers, no two of them alike."""
    fields, body = parts(message)
    hashed = BodyHash(Form.RELAXED)
    hashed.feed(body)
    digest, known = hashed.finish()(None), [Field(name, value) for name, value in fields]
    lines = []
    for number, signer in enumerate(signers):
        ((name, value),) = signatures([signer], known, digest, Style(), NOW + number)
        lines.append(f"{name}: {value}\n")
    return "".join(lines).encode() + message


def write(directory: Path, signer: Signer) -> dict[str, Path]:
    """Write the messages of each size into files, signed; return them by size, and as "mixed" a directory of all."""
    found = messages.write(directory)
    for file in (*(found[size] for size in messages.SIZES), *found["mixed"].glob("*.eml")):
        file.write_bytes(sign(file.read_bytes(), [signer]))
    return found


# --- what attackers send ---


class Hostile(NamedTuple):
    """A message that is meant to cost much: what it is, the message, and what the result must begin with."""

    what: str
    message: bytes
    result: str


def hostile(signer: Signer) -> list[Hostile]:
    """Return those that brought other verifiers to their knees."""
    plain = messages.small()
    header, _, _ = plain.partition(b"\n\n")
    return [
        Hostile("1 MB of blanks", sign(header + b"\n\n" + b" " * 1_000_000 + b".\n", [signer]), "dkim=pass"),
        Hostile("100 kB of white space in a signature", _spaced(sign(plain, [signer])), "dkim=policy"),
        Hostile("a key of 16,384 bits", _by_huge(sign(plain, [signer])), "dkim=policy"),
        Hostile("1,000 signatures", sign(plain, [signer] * 1000), "dkim=pass"),
        Hostile(f"{POSTFIX} signatures", sign(plain, [signer] * POSTFIX), "dkim=pass"),
    ]


def _spaced(message: bytes) -> bytes:
    """Return it with white space at the beginning of b=, where it changes nothing."""
    return message.replace(b"\tb=", b"\tb=" + (b"\n\t" + b" " * 98) * 1000, 1)


def _by_huge(message: bytes) -> bytes:
    """Return it as if the key of 16,384 bits had signed it."""
    value = base64.b64encode(random.Random(HUGE).randbytes(HUGE_BITS // 8))
    named = message.replace(f"s={RSA};".encode(), f"s={HUGE};".encode(), 1)
    return re.sub(rb"\tb=[^\n]*(\n[ \t][^\n]*)*", lambda _: b"\tb=" + value, named, count=1)
