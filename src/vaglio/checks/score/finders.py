"""What finds out which rules fit: each kind of rule has its finder, which looks for all of that kind at once. Pure.

Meta rules are not here: they look at what was found (``rules``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from vaglio.checks.score.case import Case
from vaglio.checks.score.patterns import MAX_DETAIL, KeywordSet, PatternSet
from vaglio.checks.score.reading import Reading
from vaglio.checks.score.ruletext import BayesSays, FactHolds, HasKeywords, HeaderExists, Matches, Rule

Found = Iterable[tuple[str, str]]
"""Symbols of rules that fit, and what was found."""


class Finder(Protocol):
    """Holds rules of one kind against a message."""

    def find(self, case: Case) -> Found:
        """Return those that fit."""


def finders(rules: Iterable[Rule], languages: Sequence[str]) -> list[Finder]:
    """Return what finds these rules; keywords are those of ``languages``. Meta rules are passed over."""
    by_kind: dict[type, list[tuple[str, Any]]] = {}
    for rule in rules:
        by_kind.setdefault(type(rule.matcher), []).append((rule.symbol, rule.matcher))
    found: list[Finder] = []
    for kind, finder in ((FactHolds, _Facts), (HeaderExists, _Fields), (BayesSays, _Bayes)):
        if kind in by_kind:
            found.append(finder(by_kind[kind]))
    for field, matches in _by(by_kind.get(Matches, ()), lambda one: one.field):
        found.append(_Patterns(field, matches))
    for where, keywords in _by(by_kind.get(HasKeywords, ()), lambda one: one.where):
        found.append(_Keywords(where, keywords, languages))
    return found


def _by(rules: Iterable[tuple[str, Any]], key: Callable[[Any], str]) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    groups: dict[str, list[tuple[str, Any]]] = {}
    for symbol, matcher in rules:
        groups.setdefault(key(matcher), []).append((symbol, matcher))
    yield from groups.items()


class _Facts:
    def __init__(self, rules: Iterable[tuple[str, FactHolds]]) -> None:
        self._symbols: dict[str, list[str]] = {}
        for symbol, matcher in rules:
            self._symbols.setdefault(matcher.fact, []).append(symbol)

    def find(self, case: Case) -> Found:
        return [
            (symbol, detail[:MAX_DETAIL])
            for fact, detail in case.facts.items()
            for symbol in self._symbols.get(fact, ())
        ]


class _Fields:
    def __init__(self, rules: Sequence[tuple[str, HeaderExists]]) -> None:
        self._rules = [(symbol, matcher.header, matcher.exists) for symbol, matcher in rules]

    def find(self, case: Case) -> Found:
        values = case.reading.values
        return [(symbol, "") for symbol, header, exists in self._rules if (header in values) is exists]


class _Bayes:
    def __init__(self, rules: Sequence[tuple[str, BayesSays]]) -> None:
        self._rules = rules

    def find(self, case: Case) -> Found:
        p = case.probability
        return [(symbol, f"{p:.4f}") for symbol, (low, high) in self._rules if low <= p < high or p == high == 1]


class _Patterns:
    def __init__(self, field: str, rules: Sequence[tuple[str, Matches]]) -> None:
        self._symbols = [symbol for symbol, _ in rules]
        self._set = PatternSet([matcher.pattern for _, matcher in rules])
        kind, _, self._header = field.partition(":")
        self._texts = _TEXTS.get(kind, self._values)

    def find(self, case: Case) -> Found:
        texts = self._texts(case.reading)
        return [(self._symbols[number], detail) for number, detail in self._set.find(texts).items()] if texts else ()

    def _values(self, reading: Reading) -> Sequence[str]:
        return reading.values.get(self._header, ())


def _distinct(texts: Iterable[str]) -> Sequence[str]:
    return list(dict.fromkeys(texts))


_TEXTS: Mapping[str, Callable[[Reading], Sequence[str]]] = {
    "subject": lambda reading: (reading.subject,),
    "body": lambda reading: (reading.text,),
    "hidden": lambda reading: [page.hidden for page in reading.pages if page.hidden],
    "url": lambda reading: _distinct(url.whole for url in reading.urls),
    "host": lambda reading: _distinct(url.host for url in reading.urls),
    "attachment": lambda reading: _distinct(part.name for part in reading.attachments if part.name),
}


class _Keywords:
    def __init__(self, where: str, rules: Sequence[tuple[str, HasKeywords]], languages: Sequence[str]) -> None:
        self._text = _TEXTS[where]
        self._rules = [(symbol, matcher.at_least) for symbol, matcher in rules]
        words = [[word for one in languages for word in matcher.words.get(one, ())] for _, matcher in rules]
        self._set = KeywordSet(words)

    def find(self, case: Case) -> Found:
        (text,) = self._text(case.reading)
        return [
            (self._rules[number][0], ", ".join(words)[:MAX_DETAIL])
            for number, words in self._set.find(text).items()
            if len(words) >= self._rules[number][1]
        ]
