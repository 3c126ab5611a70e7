"""Key records (RFC 6376 3.6.1, RFC 8463 4): from the DNS answer to a key that may verify this signature, or why not.

Bounded before anything is computed: a key has 1024 to 4096 bits, and a public exponent near the usual ones, so that
nobody's DNS can keep us busy. Keys are kept by the text of their record.
"""

from __future__ import annotations

import binascii
import hashlib
from functools import lru_cache
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from vaglio.checks.dkim.outcome import Flaw, Flawed, Reason, shown
from vaglio.checks.dkim.tags import BadTags, parse_tags, unfolded
from vaglio.ports import Answer, Outcome

LEAST_BITS = 1024
MOST_BITS = 4096
"""RFC 8301 3.2: at least 1024, and up to 4096 must be verified."""

MOST_EXPONENT = 2**33
"""The usual ones are 3, 17 and 65537."""

MAX_RECORD = 4096
"""Characters of a record: a key of 4096 bits takes 736."""

_ED25519_BYTES = 32  # RFC 8463 4.2: the key as it is

_TYPES = {"rsa-sha256": "rsa", "ed25519-sha256": "ed25519"}
_PADDING, _SHA256 = PKCS1v15(), hashes.SHA256()


class Key(NamedTuple):
    """A key that can be used. ``testing`` is the flag y, ``strict`` the flag s; ``misfit`` says why it is not for mail
    signed with SHA-256, "" if it is.
    """

    kind: str
    key: RSAPublicKey | Ed25519PublicKey
    bits: int
    testing: bool
    strict: bool
    misfit: str

    def verifies(self, value: bytes, data: bytes) -> bool:
        """Say whether ``value`` is a signature of ``data``."""
        try:
            if isinstance(self.key, RSAPublicKey):
                self.key.verify(value, data, _PADDING, _SHA256)
            else:
                self.key.verify(value, hashlib.sha256(data).digest())  # RFC 8463 3: the hash is what is signed
        except InvalidSignature:
            return False
        return True


def key_of(answer: Answer, name: str, algorithm: str, least_bits: int = LEAST_BITS) -> Key:
    """Return the key for a signature of this algorithm; ``name`` is where the answer comes from. An RSA key must have
    ``least_bits``. Raises Flawed.
    """
    key = _only(answer, name)
    if key.kind != _TYPES[algorithm]:
        raise Flawed(Reason.WRONG_KEY, f"the key at {name} is for {key.kind}, the signature is {algorithm}")
    if key.misfit:
        raise Flawed(Reason.WRONG_KEY, f"the key at {name} {key.misfit}")
    if isinstance(key.key, RSAPublicKey):
        _check_rsa(key.key, name, least_bits)
    return key


def _only(answer: Answer, name: str) -> Key:
    if answer.outcome is Outcome.TEMPERROR:
        raise Flawed(Reason.DNS, f"the DNS did not tell the key at {name} ({answer.why or 'temporary failure'})")
    if answer.outcome is not Outcome.OK:
        raise Flawed(Reason.NO_KEY, f"there is no key at {name}")
    # A wildcard's SPF record, and what else is no key at all, does not count.
    found = [one for one in map(key_record, dict.fromkeys(answer.values)) if one is not None]
    if not found:
        raise Flawed(Reason.NO_KEY, f"there is a TXT record at {name}, which is no key")
    if len(found) > 1:  # RFC 6376 3.6.2.2: the results are undefined
        raise Flawed(Reason.SEVERAL_KEYS, f"there are {len(found)} keys at {name}, and must be one")
    if isinstance(found[0], Flaw):
        raise Flawed(found[0].reason, found[0].words.format(name=name))
    return found[0]


def _check_rsa(key: RSAPublicKey, name: str, least: int) -> None:
    if key.key_size < least:
        raise Flawed(Reason.SHORT_KEY, f"the key at {name} has {key.key_size} bits, and must have {least} or more")
    if key.key_size > MOST_BITS:
        raise Flawed(Reason.LONG_KEY, f"the key at {name} has {key.key_size} bits, and may have up to {MOST_BITS}")
    if key.public_numbers().e >= MOST_EXPONENT:
        raise Flawed(Reason.BAD_KEY, f"the key at {name} has an exponent of more than 33 bits")


@lru_cache(maxsize=512)
def key_record(text: str) -> Key | Flaw | None:
    """Return the key in a record; a flaw, whose words have ``{name}`` for where it is, if it can't be used; None where
    the text is no key record.
    """
    if len(text) > MAX_RECORD:
        return Flaw(Reason.BAD_KEY, "the record at {name} is too long")
    try:
        tags = parse_tags(text)
    except BadTags as error:
        return Flaw(Reason.BAD_KEY, f"the record at {{name}} can't be read: {_braced(error)}") if _tries(text) else None
    version = tags.get("v")
    if version is not None and (version != "DKIM1" or next(iter(tags)) != "v"):
        return None  # RFC 6376 3.6.1: such records are discarded
    if "p" not in tags:
        return Flaw(Reason.BAD_KEY, "the record at {name} has no p=") if version else None
    if not tags["p"]:
        return Flaw(Reason.REVOKED, "the key at {name} was revoked: its p= is empty")
    try:
        raw = binascii.a2b_base64(unfolded(tags["p"]), strict_mode=True)
        return _key(tags, raw)
    except (ValueError, UnsupportedAlgorithm):
        return Flaw(Reason.BAD_KEY, "p= of the key at {name} can't be read")


def _key(tags: dict[str, str], raw: bytes) -> Key | Flaw:
    """Raises ValueError or UnsupportedAlgorithm for bytes that are no key."""
    kind = tags.get("k") or "rsa"
    if kind == "rsa" and len(raw) == _ED25519_BYTES:
        told = "k=rsa" if "k" in tags else "no k=, which means RSA"
        return Flaw(Reason.BAD_KEY, f"the record at {{name}} has {told}: the key, of 32 bytes, needs k=ed25519")
    key: RSAPublicKey | Ed25519PublicKey
    if kind == "rsa":
        loaded = load_der_public_key(raw)  # also the bare RSAPublicKey that RFC 6376 3.6.1 has
        if not isinstance(loaded, RSAPublicKey):
            return Flaw(Reason.BAD_KEY, "p= of the key at {name} is no RSA key, as k= has it")
        key, bits = loaded, loaded.key_size
    elif kind == "ed25519":
        key, bits = Ed25519PublicKey.from_public_bytes(raw), 256
    else:
        return Flaw(Reason.WRONG_KEY, f"the key at {{name}} is of a kind that is not known (k={_braced(kind)})")
    flags = _items(tags.get("t", ""))
    return Key(kind, key, bits, "y" in flags, "s" in flags, _misfit(tags))


def _misfit(tags: dict[str, str]) -> str:
    if "h" in tags and "sha256" not in _items(tags["h"]):
        return f"is not for SHA-256 (h={shown(tags['h'], 30)})"
    if "s" in tags and not {"*", "email"} & _items(tags["s"]):
        return f"is not for mail (s={shown(tags['s'], 30)})"
    return ""


def _items(text: str) -> set[str]:
    return set(unfolded(text).split(":"))


def _tries(text: str) -> bool:
    """Say whether somebody meant a text to be a key."""
    return unfolded(text[:40]).startswith("v=DKIM1") or "p=" in text


def _braced(found: object) -> str:
    return shown(str(found)).replace("{", "(").replace("}", ")")
