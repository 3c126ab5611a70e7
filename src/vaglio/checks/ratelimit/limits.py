"""Limits as an admin writes them: ``200/1h`` (messages, recipients), ``500 MB/1d`` (bytes), ``30%/1h`` (a share).

Text to values and back, and what is counted in the words of each language; nothing is counted here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from vaglio.config.types import format_duration, format_size, parse_duration, parse_size

LONGEST = 366 * 86400
"""Seconds of the longest window."""

MOST = 100_000_000_000
"""Most that one window may count; in bytes 100 GB."""

MOST_DISTINCT = 10_000
"""Most different things that one window may count: each of them is remembered."""


class Kind(StrEnum):
    """What a rule counts."""

    MESSAGES = "messages"
    RECIPIENTS = "recipients"
    BYTES = "bytes"
    DISTINCT_RECIPIENTS = "distinct_recipients"
    NEW_RECIPIENTS = "new_recipients"
    DISTINCT_NETWORKS = "distinct_networks"
    DISTINCT_COUNTRIES = "distinct_countries"
    REFUSED_SHARE = "refused_share"


DISTINCT = frozenset({Kind.DISTINCT_RECIPIENTS, Kind.DISTINCT_NETWORKS, Kind.DISTINCT_COUNTRIES})
"""Kinds that count different things, not how often they come."""


class Limit(NamedTuple):
    """At most ``most`` (messages, recipients, bytes, different things, or per cent) in any ``seconds``."""

    most: int
    seconds: int


_LIMIT = re.compile(r"(\d{1,12}|\d{1,9} ?(?:[KMG]i?)?B|\d{1,3}%)/(\S{1,20})", re.ASCII)


def parse_limit(text: str, kind: Kind) -> Limit:
    """Return what ``200/1h`` says for this kind of count. Raises ValueError that says what is wanted."""
    wanted = ValueError(_WANTED.get(kind, _WANTED_NUMBER))
    match = _LIMIT.fullmatch(text)
    if not match:
        raise wanted
    amount, window = match.groups()
    if amount.endswith("%") != (kind is Kind.REFUSED_SHARE) or (amount.endswith("B") and kind is not Kind.BYTES):
        raise wanted
    try:
        seconds = parse_duration(window)
    except ValueError:
        raise wanted from None
    if not 1 <= seconds <= LONGEST:
        raise ValueError(f"a window of at least 1 second and at most {LONGEST // 86400} days")
    most = parse_size(amount) if amount.endswith("B") else int(amount.rstrip("%"))
    highest = 100 if kind is Kind.REFUSED_SHARE else MOST_DISTINCT if kind in DISTINCT else MOST
    if most > highest:
        raise ValueError(f"at most {highest} for {kind}")
    return Limit(most, seconds)


_WANTED_NUMBER = 'a number and a window such as "200/1h" or "1000/1d"'
_WANTED = {
    Kind.BYTES: 'a size and a window such as "500 MB/1d"',
    Kind.REFUSED_SHARE: 'a share and a window such as "30%/1h"',
}


def parse_limits(texts: Iterable[str], kind: Kind) -> tuple[Limit, ...]:
    """Return the limits by length of their windows. Raises ValueError, also for two limits of one length."""
    limits = sorted((parse_limit(text, kind) for text in texts), key=lambda limit: limit.seconds)
    for one, other in pairwise(limits):
        if one.seconds == other.seconds:
            raise ValueError(f"one limit for each length of window, and two have {format_duration(one.seconds)}")
    return tuple(limits)


def amount_text(amount: int, kind: Kind, language: str = "en") -> str:
    """Return an amount as the language writes it: ``1,000`` or ``1.000``, ``1.5 GB`` or ``1,5 GB``, ``30%``."""
    if kind is Kind.REFUSED_SHARE:
        return f"{amount}%"
    text = _size_text(amount) if kind is Kind.BYTES else f"{amount:,}"
    return text.translate(_ITALIAN) if language == "it" else text


_ITALIAN = str.maketrans(",.", ".,")

_NOUNS: Mapping[str, Mapping[Kind, tuple[str, str]]] = {
    "en": {
        Kind.MESSAGES: ("message", "messages"),
        Kind.RECIPIENTS: ("recipient", "recipients"),
        Kind.DISTINCT_RECIPIENTS: ("different recipient", "different recipients"),
        Kind.NEW_RECIPIENTS: ("new recipient", "new recipients"),
        Kind.DISTINCT_NETWORKS: ("network", "different networks"),
        Kind.DISTINCT_COUNTRIES: ("country", "different countries"),
        Kind.REFUSED_SHARE: ("refused recipients", "refused recipients"),
    },
    "it": {
        Kind.MESSAGES: ("messaggio", "messaggi"),
        Kind.RECIPIENTS: ("destinatario", "destinatari"),
        Kind.DISTINCT_RECIPIENTS: ("destinatario diverso", "destinatari diversi"),
        Kind.NEW_RECIPIENTS: ("destinatario nuovo", "destinatari nuovi"),
        Kind.DISTINCT_NETWORKS: ("rete", "reti diverse"),
        Kind.DISTINCT_COUNTRIES: ("paese", "paesi diversi"),
        Kind.REFUSED_SHARE: ("destinatari rifiutati", "destinatari rifiutati"),
    },
}
"""What is counted, one and several of it; bytes say it in their amount."""


def noun(amount: int, kind: Kind, language: str) -> str:
    """Return the word for so much of it, with a blank before it: `` recipients``; "" for bytes."""
    words = _NOUNS[language].get(kind)
    return f" {words[amount != 1]}" if words else ""


def counted(amount: int, kind: Kind, language: str) -> str:
    """Return how much of what: ``1,000 recipients``, ``1 message``, ``500 MB``."""
    return amount_text(amount, kind, language) + noun(amount, kind, language)


def _size_text(size: int) -> str:
    """Return a size in at most four digits: nobody reads the others."""
    for unit, name in ((1000**3, "GB"), (1000**2, "MB"), (1000, "KB")):
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return format_size(size)


@lru_cache(maxsize=1024)
def limit_text(limit: Limit, kind: Kind) -> str:
    """Return the limit as ``parse_limit`` reads it, but for the places of a long size."""
    return f"{amount_text(limit.most, kind).replace(',', '')}/{format_duration(limit.seconds)}"
