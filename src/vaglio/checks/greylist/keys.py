"""Where greylisting's records lie in the store, and what stands in them.

A record is found by a 16-byte hash; pool, sender and recipient stand beside it in clear, for the admin. With
``privacy`` the hash is keyed by a secret, so that nobody can try addresses against a stolen file, and nothing
stands in clear: a triplet then names its pool by that pool's key.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import NamedTuple

from vaglio.checks.greylist.decide import Case, PoolRecord, Triplet, domain_name

_VEILED = re.compile(r"[0-9a-f]{32}")


class Places(NamedTuple):
    """Where the records of a case lie."""

    pool: bytes
    triplet: bytes
    domain: bytes


class Keys:
    """Makes keys; an empty ``secret`` means that nothing is veiled."""

    def __init__(self, secret: bytes = b"") -> None:
        self._secret = secret

    def places(self, case: Case, with_domain: bool) -> Places:
        """Return the keys of all records that a case may touch; ``domain`` is empty unless asked for."""
        return Places(
            pool=self._hash(case.pool.name),
            triplet=self.triplet(case.pool.name, case.sender, case.recipient),
            domain=self._hash(domain_name(case)) if with_domain else b"",
        )

    def triplet(self, pool: str, sender: str, recipient: str) -> bytes:
        """Return the key of a triplet, made of folded parts."""
        return self._hash(f"{pool}\n{sender}\n{recipient}")

    def pool(self, name: str) -> bytes:
        """Return the key of a pool's record, by the pool's name or by what a triplet has in its place."""
        return bytes.fromhex(name) if _VEILED.fullmatch(name) else self._hash(name)

    def _hash(self, text: str) -> bytes:
        return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16, key=self._secret).digest()

    def veil_triplet(self, triplet: Triplet) -> Triplet:
        """Return the triplet as it is stored."""
        if not self._secret:
            return triplet
        return triplet._replace(pool=self.pool(triplet.pool).hex(), sender="", recipient="")

    def veil_pool(self, pool: PoolRecord) -> PoolRecord:
        """Return the pool's record as it is stored."""
        return pool._replace(name=self.pool(pool.name).hex()) if self._secret else pool


def day_key(day: int) -> bytes:
    """Return the key of a day's record (``day`` since 1970-01-01); days sort by it."""
    return day.to_bytes(4, "big")
