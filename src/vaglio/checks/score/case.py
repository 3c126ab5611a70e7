"""What rules are held against, and what they say: the values that the parts of scoring hand to each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from vaglio.checks.score.reading import Reading

UNKNOWN = -1.0
"""The probability where Bayes has no say: too little was learned, or it is switched off, or its store fails."""


class Hit(NamedTuple):
    """A rule that fits. ``en`` and ``it`` are its sentence in either language; ``detail`` is what was found, as a
    stranger wrote it: at most 100 characters, cleaned by whoever shows it. ``group`` is the group whose cap holds.
    """

    symbol: str
    score: float
    en: str
    it: str
    detail: str = ""
    group: str = ""


class Case(NamedTuple):
    """A message as rules see it. ``facts`` are those that hold, by name, with what was found as value ("" where there
    is nothing to be shown). ``probability`` is Bayes' that it is spam (0 to 1), or UNKNOWN; ``listed`` what lists said.
    """

    reading: Reading
    facts: Mapping[str, str]
    probability: float = UNKNOWN
    listed: tuple[Hit, ...] = ()
