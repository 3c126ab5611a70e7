"""What functions that look for facts are given, and what several of them need. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from vaglio.checks.score.hops import Hop
from vaglio.checks.score.reading import Reading
from vaglio.facts import Client, Envelope, Session
from vaglio.names import a_labels, registered_domain
from vaglio.verdict import AuthResult

ADDRESS = re.compile(r"[\w.+-]{1,64}@([\w-]{1,63}(?:\.[\w-]{1,63}){1,5})")

LIKE = r"\u0370-\u0373\u0386-\u03ab\u03bf\u03bd\u03c1\u03c4\u03c5\u03b9\u03ba\u0400-\u052f"  # Greek, Cyrillic
LATIN = r"A-Za-z\u00c0-\u024f"
MIXED = re.compile(rf"[{LATIN}][{LIKE}]|[{LIKE}][{LATIN}]")
_FIRST_BYTES = tuple(bytes((byte,)) for byte in range(0xCD, 0xD5))
"""Those of Greek and Cyrillic letters in UTF-8: from U+0340 to U+053F."""


def has_like(text: str) -> bool:
    """Whether a text may have any of the letters that look like Latin ones. To look for ``MIXED`` takes 25 ns for each
    letter; this takes 1 ns, and tells of most texts that they have none.
    """
    data = text.encode("utf-8", "replace")
    return any(byte in data for byte in _FIRST_BYTES)



class Circumstances(NamedTuple):
    """How a message came in. ``recipients`` are those of the envelope, ``now`` is Unix time, ``hostname`` our own, and
    ``results`` what checks before this one found: never what a header of the message says. Of a message in a file
    little of it is known: the client has no address then, and the envelope is empty.
    """

    client: Client
    envelope: Envelope
    session: Session
    recipients: tuple[str, ...] = ()
    now: float = 0.0
    hostname: str = ""
    results: tuple[AuthResult, ...] = ()


class Seen(NamedTuple):
    """What several functions look at."""

    reading: Reading
    about: Circumstances
    hops: list[Hop]
    place: int
    """Of the border among the hops."""
    edge: Hop
    """The border: by which host it came to us."""
    domain: str
    """The author's registered domain."""
    own: frozenset[str]
    """Registered domains of the recipients, and of ours."""
    times: tuple[float | None, ...]
    """When each hop says that it was, of the newest."""
    to: tuple[str, ...]
    """Those it is for, in lower case: recipients of the envelope, or those in To where there is none."""


Found = Iterator[tuple[str, str]]


def domain_in(address: str) -> str:
    """Return the domain of an address, in A-labels and lower case; "" where it can't be one."""
    domain = address.rpartition("@")[2].strip(" <>.")
    try:
        return a_labels(domain).lower()
    except UnicodeError:
        return ""


def registered(address: str) -> str:
    """Return the registered domain of an address."""
    return registered_domain(domain_in(address)) if "@" in address else ""


def first(seen: Seen, name: str) -> str:
    """Return the first header field of this name, in lower case; "" where there is none."""
    values = seen.reading.values.get(name)
    return values[0] if values else ""
