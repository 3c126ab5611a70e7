"""The keys of one domain through their lives: new, signing, retired; and how that is written down (keys.json). Pure.

A key is made *new*; when all name servers tell its record it is *signing*; when another takes its place it is
*retired*, and its record stays until the mail that it signed has arrived everywhere; then the record gets an empty p=
(*revoked*).
No key is made here, no file is read, and nobody is asked what the DNS tells.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Literal, NamedTuple, get_args

from vaglio.names import is_domain, is_selector

Algorithm = Literal["rsa", "ed25519"]
State = Literal["new", "signing", "retired"]

FILE_NAME = "keys.json"
"""What a ring's file is called, in the folder of its domain."""

_DAY = 86400
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}", re.ASCII)
_TIMES = ("created", "published", "switched", "retired", "revoked")
_WANTED = {"selector": 'a selector such as "20261122r"', "file": 'a plain file name such as "20261122r.pem"'}
_NEEDS: Mapping[str, str] = {"new": "created", "signing": "switched", "retired": "retired"}
_LETTERS: Mapping[Algorithm, str] = {"rsa": "r", "ed25519": "e"}


class RingKey(NamedTuple):
    """A key. ``file`` is a plain name within the domain's folder. Times are Unix seconds, None for what has not been:
    when it was made, its record was first seen on all name servers, it began to sign, it ended to, and its empty p= was
    seen on all.
    """

    selector: str
    algorithm: Algorithm
    file: str
    state: State
    created: int | None = None
    published: int | None = None
    switched: int | None = None
    retired: int | None = None
    revoked: int | None = None

    @property
    def since(self) -> int | None:
        """Since when it is in its state."""
        return {"new": self.created, "signing": self.switched, "retired": self.revoked or self.retired}[self.state]


class Ring(NamedTuple):
    """The keys of a domain (A-labels, lower case)."""

    domain: str
    keys: tuple[RingKey, ...] = ()

    def of(self, state: State) -> tuple[RingKey, ...]:
        """Return the keys in a state."""
        return tuple(key for key in self.keys if key.state == state)


# --- how it is written ---


def ring_text(ring: Ring) -> str:
    """Return a ring as JSON."""
    keys = [{name: value for name, value in key._asdict().items() if value is not None} for key in _sorted(ring.keys)]
    return json.dumps({"domain": ring.domain, "keys": keys}, indent=2) + "\n"


def read_ring(text: str) -> Ring:
    """Read what ``ring_text`` wrote. Raises ValueError: which key, what was found, what was wanted."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON: {error}") from None
    if not isinstance(document, dict) or set(document) != {"domain", "keys"} or not isinstance(document["keys"], list):
        raise ValueError('wanted {"domain": "tizio.it", "keys": [...]}')
    domain = document["domain"]
    if not isinstance(domain, str) or not is_domain(domain):
        raise ValueError(f"domain: found {_shown(domain)}, wanted a domain in A-labels and lower case")
    keys = tuple(_key(domain, place, row) for place, row in enumerate(document["keys"]))
    for name, texts in (("selector", [key.selector for key in keys]), ("file", [key.file for key in keys])):
        if twice := _twice(texts):
            raise ValueError(f"two keys have the {name} {_shown(twice)}")
    return Ring(domain, keys)


def _key(domain: str, place: int, row: object) -> RingKey:
    selector = row.get("selector") if isinstance(row, dict) else None
    where = f"key {_shown(selector) if isinstance(selector, str) else place + 1}"
    if not isinstance(row, dict):
        raise ValueError(f'{where}: found {_shown(row)}, wanted {{"selector": ..., "algorithm": ..., ...}}')
    if strange := set(row) - set(RingKey._fields):
        raise ValueError(f"{where}: found {_shown(min(strange))}, which is none of {', '.join(RingKey._fields)}")
    _want(where, row, "selector", lambda one: isinstance(one, str) and is_selector(one, domain), _WANTED["selector"])
    _want(where, row, "file", _is_file, _WANTED["file"])
    _want(where, row, "algorithm", lambda value: value in get_args(Algorithm), '"rsa" or "ed25519"')
    _want(where, row, "state", lambda value: value in get_args(State), '"new", "signing" or "retired"')
    for name in _TIMES:
        _want(where, row, name, _is_time, "Unix seconds")
    _want(where, row, _NEEDS[row["state"]], lambda value: value is not None, f"the time when it became {row['state']}")
    return RingKey(**row)


def _want(where: str, row: Mapping[str, Any], name: str, fits: Callable[[object], bool], wanted: str) -> None:
    if not fits(row.get(name)):
        found = _shown(row[name]) if name in row else "nothing"
        raise ValueError(f"{where}: {name}: found {found}, wanted {wanted}")


def _is_file(value: object) -> bool:
    return isinstance(value, str) and value != FILE_NAME and bool(_FILE.fullmatch(value))


def _is_time(value: object) -> bool:
    return value is None or (type(value) is int and 0 <= value < 2**40)


def _twice(texts: Collection[str]) -> str:
    seen: set[str] = set()
    for text in texts:
        if text.lower() in seen:  # the DNS does not tell capitals apart
            return text
        seen.add(text.lower())
    return ""


def _shown(value: object) -> str:
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _sorted(keys: Collection[RingKey]) -> list[RingKey]:
    return sorted(keys, key=lambda key: (key.created or 0, key.algorithm != "rsa", key.selector))


# --- how a life goes on ---


def fresh_selectors(
    ring: Ring, algorithms: Iterable[Algorithm], day: str, taken: Collection[str] = ()
) -> dict[Algorithm, str]:
    """Return a selector for each algorithm that the ring has not had: the day (20261122) and a letter, with a number
    behind it if need be. ``taken`` are others that are in use.
    """
    used = {key.selector.lower() for key in ring.keys} | {name.lower() for name in taken}
    found: dict[Algorithm, str] = {}
    for algorithm in algorithms:
        stem = day + _LETTERS[algorithm]
        number = 1
        while (name := stem if number == 1 else f"{stem}{number}") in used:
            number += 1
        found[algorithm] = name
    return found


def begin(ring: Ring, selectors: Mapping[Algorithm, str], now: float) -> Ring:
    """Return the ring with new keys, which do not sign yet. Raises ValueError for a selector that is there already."""
    added = [RingKey(name, kind, f"{name}.pem", "new", created=int(now)) for kind, name in selectors.items()]
    return _with(ring, *added)


def adopt(ring: Ring, selector: str, algorithm: Algorithm, now: float) -> Ring:
    """Return the ring with a key that signs already, elsewhere. Raises ValueError as ``begin`` does."""
    stamp = int(now)
    return _with(ring, RingKey(selector, algorithm, f"{selector}.pem", "signing", created=stamp, switched=stamp))


def _with(ring: Ring, *added: RingKey) -> Ring:
    keys = (*ring.keys, *added)
    if twice := _twice([key.selector for key in keys]):
        raise ValueError(f"{ring.domain} has a key with the selector {twice} already")
    return ring._replace(keys=keys)


def switch(ring: Ring, now: float) -> Ring:
    """Return the ring with the new keys signing, and those retired whose algorithm a new one has: all name servers tell
    the new ones' records.
    """
    taking_over = {key.algorithm for key in ring.of("new")}
    return ring._replace(keys=tuple(_switched(key, taking_over, int(now)) for key in ring.keys))


def _switched(key: RingKey, taking_over: Collection[str], now: int) -> RingKey:
    if key.state == "new":
        return key._replace(state="signing", published=key.published or now, switched=now)
    if key.state == "signing" and key.algorithm in taking_over:
        return key._replace(state="retired", retired=now)
    return key


def unrevoked(ring: Ring) -> tuple[RingKey, ...]:
    """Return the retired keys whose records still stand."""
    return tuple(key for key in ring.of("retired") if key.revoked is None)


def retire_due(ring: Ring, now: float, days: float) -> tuple[RingKey, ...]:
    """Return the retired keys whose records may get an empty p=: they have not signed for so many days."""
    return tuple(key for key in unrevoked(ring) if key.retired is not None and key.retired + days * _DAY <= now)


def revoke(ring: Ring, selectors: Collection[str], now: float) -> Ring:
    """Return the ring with these retired keys revoked: all name servers tell their empty p=, or no record at all."""
    return ring._replace(keys=tuple(
        key._replace(revoked=int(now)) if key in unrevoked(ring) and key.selector in selectors else key
        for key in ring.keys
    ))  # fmt: skip


def without_revoked(ring: Ring) -> tuple[Ring, tuple[RingKey, ...]]:
    """Return the ring without its revoked keys, and those."""
    gone = tuple(key for key in ring.keys if key.revoked is not None)
    return ring._replace(keys=tuple(key for key in ring.keys if key.revoked is None)), gone
