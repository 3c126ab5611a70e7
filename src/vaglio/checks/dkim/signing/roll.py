"""Tells an admin for whom there are keys that sign, and that there are none: at the start, and whenever it changes.

What is wrong with a key is told where it is read; whether its DNS record fits is told by ``watch``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from vaglio.checks.dkim.signing.sign import PrivateKey
from vaglio.checks.dkim.signing.tables import Entry

MOST_NAMED = 10
"""Most domains that are named; where there are more, they are counted."""


class _Keys(Protocol):
    @property
    def is_open(self) -> bool:
        """True where keys may sign that can't be told without an author."""

    def entries(self) -> Sequence[tuple[Entry, PrivateKey]]:
        """Return all that sign."""

    def all_waiting(self) -> Sequence[str]:
        """Return the domains that have keys of which none signs yet."""


class Roll:
    """``tell`` is given what is good to know, ``warn`` what an admin should act on."""

    def __init__(self, keys: _Keys, tell: Callable[[str], None], warn: Callable[[str], None]) -> None:
        self._keys, self._tell, self._warn = keys, tell, warn
        self._told = ""

    def call(self) -> None:
        """Tell what is so, unless it was told."""
        selectors: dict[str, list[str]] = {}
        for entry, _ in self._keys.entries():
            selectors.setdefault(entry.domain, []).append(entry.selector)
        found = _signing(selectors, self._keys.is_open) or _nobody(self._keys.all_waiting())
        if found != self._told:
            self._told = found
            (self._tell if selectors or self._keys.is_open else self._warn)(f"dkim.sign: {found}")


def _signing(selectors: dict[str, list[str]], is_open: bool) -> str:
    """Return for whom is signed; "" for nobody."""
    if len(selectors) > MOST_NAMED:
        known = [f"{len(selectors)} domains, with {sum(map(len, selectors.values()))} keys"]
    else:
        known = [f"{domain} ({', '.join(dict.fromkeys(names))})" for domain, names in sorted(selectors.items())]
    if is_open:
        known.append("any domain that a table has a key for (%)")
    return f"signs for {', '.join(known)}" if known else ""


def _nobody(waiting: Sequence[str]) -> str:
    if not waiting:
        return (
            "signs for nobody: there is no key that can be used; vaglio dkim list shows which there are, vaglio dkim "
            "new DOMAIN makes one"
        )
    more = f" and {len(waiting) - MOST_NAMED} more" if len(waiting) > MOST_NAMED else ""
    return (
        f"signs for nobody: the keys of {', '.join(waiting[:MOST_NAMED])}{more} don't sign yet; publish their records, "
        f"then vaglio dkim rotate {waiting[0] if len(waiting) == 1 else 'DOMAIN'}"
    )
