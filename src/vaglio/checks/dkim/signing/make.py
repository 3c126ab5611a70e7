"""Makes private keys. How many bits they may have is for the command to say; where they are kept, too."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from vaglio.checks.dkim.signing.ring import Algorithm

USUAL_BITS = 2048
"""RFC 8301 3.2: signers should use at least as many."""


def new_key(algorithm: Algorithm, bits: int = USUAL_BITS) -> bytes:
    """Return a new private key, PEM (PKCS#8); ``bits`` are those of an RSA key."""
    key = Ed25519PrivateKey.generate() if algorithm == "ed25519" else generate_private_key(65537, bits)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
