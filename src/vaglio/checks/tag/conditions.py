"""Conditions of rules as an admin writes them, and what they are held against. Pure.

- ``spam``: vaglio-score says so, or a trusted X-Spam header; ``score >= 8``, ``symbol NO_SUBJECT``: the same sources
- ``external``: always (mail of our own users and networks is not looked at in the first place)
- ``dmarc=fail``, ``spf=softfail``, ``dkim=none``: the result of a method
- ``spf.ip``, ``dkim_verify.domain=tizio.it``: a fact of an earlier check is there and not empty, or has this value;
  ``spf.reason`` is a fact, too
- ``not`` in front of any of them: it does not hold
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from vaglio.verdict import Fact

_NOTHING: Mapping[str, str] = {}
_NO_FACTS: Mapping[str, Mapping[str, Fact]] = {}


class Known(NamedTuple):
    """What is known of a message. ``score`` is None where nobody gave one; ``results`` are by method, ``facts`` by
    check.
    """

    spam: bool = False
    score: float | None = None
    symbols: frozenset[str] = frozenset()
    results: Mapping[str, str] = _NOTHING
    facts: Mapping[str, Mapping[str, Fact]] = _NO_FACTS


Condition = Callable[[Known], bool]

METHODS: Mapping[str, tuple[str, ...]] = {
    "spf": ("pass", "fail", "softfail", "neutral", "none", "policy", "temperror", "permerror"),
    "dkim": ("pass", "fail", "neutral", "none", "policy", "temperror", "permerror"),
    "dmarc": ("pass", "fail", "none", "temperror", "permerror"),
    "arc": ("pass", "fail", "none"),
}
"""Methods, and the results they have (RFC 8601 2.7, RFC 7489 11.2, RFC 8617 10.1)."""

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt,
}  # fmt: skip
_SCORE = re.compile(r"score *(>=|<=|>|<) *(-?[0-9]{1,4}(?:\.[0-9]{1,3})?)")
_SYMBOL = re.compile(r"symbol ([A-Z][A-Z0-9_]{0,59})")
_RESULT = re.compile(r"([a-z][a-z-]{0,30})=([a-z]{1,20})")
_FACT = re.compile(r"([a-z][a-z0-9_]{0,30})\.([a-z][a-z0-9_]{0,30})(?:=(.{1,200}))?")

WANTED = (
    'a condition: "spam", "external", "score >= 8", "symbol NO_SUBJECT", a result such as "dmarc=fail" (of '
    f'{", ".join(METHODS)}), or a fact of an earlier check such as "spf.ip" or "spf.domain=tizio.it"; "not" in front '
    "turns it round"
)


class Source(NamedTuple):
    """Who tells whether a condition holds: an earlier check, or headers where ``setting`` has them believed."""

    check: str
    setting: str = ""


_OF_METHOD = {"dkim": "dkim_verify"}


def source(text: str) -> Source | None:
    """Return who tells of a condition that ``parse`` takes; None where nobody has to."""
    text = text.removeprefix("not ")
    if text == "external":
        return None
    if found := _RESULT.fullmatch(text):
        return Source(_OF_METHOD.get(found[1], found[1]), "remove_forged")
    if found := _FACT.fullmatch(text):
        return Source(found[1])
    return Source("score", "trust_spam_headers")


def symbol_in(text: str) -> str:
    """Return the symbol that a condition asks for; "" for one that asks for something else."""
    found = _SYMBOL.fullmatch(text.removeprefix("not "))
    return found[1] if found else ""


def parse(text: str) -> Condition:
    """Return a condition. Raises ValueError, with what is wanted."""
    if text.startswith("not "):
        inner = _parse(text[4:])
        return lambda known: not inner(known)
    return _parse(text)


def _parse(text: str) -> Condition:
    if text == "spam":
        return lambda known: known.spam
    if text == "external":
        return lambda _: True
    if found := _SCORE.fullmatch(text):
        return _score(_COMPARE[found[1]], float(found[2]))
    if found := _SYMBOL.fullmatch(text):
        symbol = found[1]
        return lambda known: symbol in known.symbols
    if found := _RESULT.fullmatch(text):
        return _result(found[1], found[2])
    if found := _FACT.fullmatch(text):
        return _fact(found[1], found[2], found[3])
    raise ValueError(WANTED)


def _score(compare: Callable[[float, float], bool], points: float) -> Condition:
    return lambda known: known.score is not None and compare(known.score, points)


def _result(method: str, result: str) -> Condition:
    if method not in METHODS:
        raise ValueError(f"a result of {', '.join(METHODS)}, such as \"dmarc=fail\"")
    if result not in METHODS[method]:
        raise ValueError(f'"{method}=" and one of {", ".join(METHODS[method])}')
    return lambda known: known.results.get(method) == result


def _fact(check: str, name: str, value: str | None) -> Condition:
    def holds(known: Known) -> bool:
        fact = known.facts.get(check, {}).get(name)
        return bool(fact) if value is None else fact is not None and _written(fact) == value.lower()

    return holds


def _written(fact: Fact) -> str:
    """Return a fact as an admin would write it, in lower case: ``true``, ``3``, ``tizio.it``."""
    return str(fact).lower()
