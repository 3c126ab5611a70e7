"""Signs messages (RFC 6376 5, RFC 8463): the body is hashed once as it comes, then each key signs. Pure.

Which key signs which message is not decided here. The whole body is signed, never a part of it (no l=); fields that
mail servers add or change on the way never are. Names are signed once more than they are there, so that nobody can add
another From or Subject; a name that is not there is signed as missing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from vaglio.checks.dkim import canonical
from vaglio.checks.dkim.canonical import Digest, Form
from vaglio.checks.dkim.key import LEAST_BITS, MOST_BITS
from vaglio.checks.dkim.signing.fields import ADDED, NEVER, OVERSIGNED, SIGNED
from vaglio.checks.dkim.verify import MAX_SIGNED, Header
from vaglio.examination import Field

MAX_NAMES = 250
"""Names in h=: verifiers bound them, ours at 500."""

MAX_FIELD = 8000
"""Bytes of a signature, but for b=: half of what our own verifier takes, since mail servers fold it anew."""

_LINE = 72
_PADDING, _SHA256 = PKCS1v15(), hashes.SHA256()
_PROBE = b"vaglio"


class TooLarge(ValueError):
    """A message has more of a header than a signature that others take can be about."""


class BadKey(ValueError):
    """A private key can't be used; the message says why, and never holds any of it."""


class PrivateKey(NamedTuple):
    """A private key that signs: ``algorithm`` is a=, ``sign`` returns b= for the bytes that are signed, ``public`` is
    what p= of its record has.
    """

    algorithm: str
    sign: Callable[[bytes], bytes]
    public: str
    bits: int


def private_key(pem: bytes) -> PrivateKey:
    """Read a private key, RSA or Ed25519, in PEM (PKCS#1 or PKCS#8); or an Ed25519 seed in base64, as dkimpy has it.
    Costs half a millisecond (RSA-2048): keep it. Raises BadKey.
    """
    text = pem.strip()
    if b"-----" not in text and len(text) == 44:
        try:
            return _of_ed25519(Ed25519PrivateKey.from_private_bytes(base64.b64decode(text, validate=True)))
        except ValueError:
            raise BadKey("it is neither PEM nor an Ed25519 seed in base64") from None
    try:
        key = load_pem_private_key(text, None, unsafe_skip_rsa_key_validation=True)  # _prove does better
    except TypeError:
        raise BadKey("it is encrypted: a daemon can't ask for a password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadKey("it is no private key in PEM") from None
    if isinstance(key, Ed25519PrivateKey):
        return _of_ed25519(key)
    if not isinstance(key, RSAPrivateKey):
        raise BadKey("it is neither RSA nor Ed25519")
    return _of_rsa(key)


def _of_rsa(key: RSAPrivateKey) -> PrivateKey:
    if not LEAST_BITS <= key.key_size <= MOST_BITS:
        raise BadKey(f"it has {key.key_size} bits: others verify {LEAST_BITS} to {MOST_BITS} only (RFC 8301 3.2)")
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    public = base64.b64encode(der).decode()
    _prove(key)
    return PrivateKey("rsa-sha256", lambda data: key.sign(data, _PADDING, _SHA256), public, key.key_size)


def _prove(key: RSAPrivateKey) -> None:
    """Sign a few bytes and verify them, so that a damaged key never signs; raises BadKey.

    RSA-2048 takes 0.5 ms so, of which loading is 0.02; loading it with the checks of its own (are p and q prime?), 35.
    """
    try:
        key.public_key().verify(key.sign(_PROBE, _PADDING, _SHA256), _PROBE, _PADDING, _SHA256)
    except (InvalidSignature, InternalError, ValueError):
        raise BadKey("it is damaged: what it signs is not verified by its own public half") from None


def _of_ed25519(key: Ed25519PrivateKey) -> PrivateKey:
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    public = base64.b64encode(raw).decode()
    # RFC 8463 3: the hash is what is signed
    return PrivateKey("ed25519-sha256", lambda data: key.sign(hashlib.sha256(data).digest()), public, 256)


class Signer(NamedTuple):
    """Who signs: ``domain`` and ``selector`` in A-labels; ``identity`` is i=, "" for none."""

    domain: str
    selector: str
    key: PrivateKey
    identity: str = ""


class Style(NamedTuple):
    """How it is signed: both forms are relaxed unless told otherwise; ``valid`` is how long, in seconds, 0 for ever.
    ``oversigned`` and ``signed`` are names of fields, in lower case.
    """

    header_form: Form = Form.RELAXED
    body_form: Form = Form.RELAXED
    valid: int = 0
    oversigned: tuple[str, ...] = OVERSIGNED
    signed: tuple[str, ...] = SIGNED


@lru_cache
def _wanted(style: Style) -> Mapping[bytes, str]:
    """Return what is signed if it is there, as bytes and as text."""
    return {name.encode(): name for name in ("from", *style.oversigned, *style.signed) if name not in NEVER}


@lru_cache(maxsize=256)  # mail of one program has one header: to write h= takes 15 us
def _names(counts: tuple[tuple[bytes, int], ...], style: Style) -> tuple[Sequence[bytes], str]:
    """Return what h= has, as names and as it is written: each name as often as it is there, and once more if it is
    oversigned. Raises TooLarge.
    """
    there = dict(counts)
    names: list[bytes] = []
    for name, text in _wanted(style).items():
        count = there.get(name, 0)
        extra = text == "from" or (text in style.oversigned and (count > 0 or text not in ADDED))
        names += [name] * (count + extra)
    if len(names) > MAX_NAMES:
        raise TooLarge(f"{len(names)} names to sign, {MAX_NAMES} at most")
    return names, _wrapped_names("\th=" + b":".join(names).decode())


def signatures(
    signers: Iterable[Signer], fields: Sequence[Field], body: Digest, style: Style, now: float
) -> list[tuple[str, str]]:
    """Return a DKIM-Signature, name and value, for each signer. ``body`` is the hash of the body in the form of
    ``style``. Raises TooLarge.
    """
    header = Header(fields)
    names, listed = _names(header.counts(_wanted(style)), style)
    # The same for all, so that two keys cost little more than one.
    lines = [canonical.header(*fields[place], style.header_form) for place in header.select(names)]
    if sum(map(len, lines)) > MAX_SIGNED:
        raise TooLarge(f"more than {MAX_SIGNED} bytes of header to sign")
    return [("DKIM-Signature", _signature(one, lines, listed, body, style, int(now))) for one in signers]


def _signature(signer: Signer, lines: Sequence[bytes], listed: str, body: Digest, style: Style, now: int) -> str:
    assert body.value is not None
    tags = [
        f"a={signer.key.algorithm}",
        f"c={style.header_form}/{style.body_form}",
        f"d={signer.domain}",
        f"s={signer.selector}",
        *([f"i={signer.identity}"] if signer.identity else []),
        f"t={now}",
        *([f"x={now + style.valid}"] if style.valid else []),
    ]
    digest = base64.b64encode(body.value).decode()
    value = f"{_folded(tags)};\n{listed};\n\tbh={digest};\n\tb="  # b= begins a line, so that it moves no other
    if len(value) > MAX_FIELD:
        raise TooLarge(f"a signature of more than {MAX_FIELD} bytes")
    own = canonical.header(b"DKIM-Signature", b" " + value.encode(), style.header_form)
    signed = signer.key.sign(b"\r\n".join([*lines, own]))
    return value + _wrapped(base64.b64encode(signed).decode())


def _folded(tags: Sequence[str]) -> str:
    """Return the tags behind v= in lines of at most 72 bytes where that can be."""
    found, room = "v=1", _LINE - len("DKIM-Signature: v=1")
    for tag in tags:
        if len(tag) + 3 > room:  # "; ", and the ";" behind it
            found, room = f"{found};\n\t{tag}", _LINE - 1 - len(tag)
        else:
            found, room = f"{found}; {tag}", room - 2 - len(tag)
    return found


def _wrapped_names(line: str) -> str:
    """Return a list of names in as many lines as it takes, each but the last one ending with ":"."""
    lines: list[str] = []
    while len(line) >= _LINE and (cut := line.rfind(":", 0, _LINE)) > 0:
        lines.append(line[: cut + 1])
        line = "\t " + line[cut + 1 :]
    return "\n".join([*lines, line])


def _wrapped(text: str) -> str:
    """Return base64 in lines; the first has less room, for "b=" stands before it."""
    room = _LINE - 3
    pieces = [text[:room], *(text[start : start + _LINE - 2] for start in range(room, len(text), _LINE - 2))]
    return "\n\t ".join(pieces)
