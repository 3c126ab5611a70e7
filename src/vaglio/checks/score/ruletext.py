"""Reads the text of a rule file (TOML) and tells all that is wrong with it. Pure; the language is told in ``rules``.

Looks at one file at a time: whether the symbols and groups that rules name exist is for ``rules`` to find out.
"""

from __future__ import annotations

import functools
import math
import re
import tomllib
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, TypeGuard

from vaglio.checks.score.patterns import Pattern, read_pattern
from vaglio.config.places import Path, line_of, places
from vaglio.config.words import found as as_found
from vaglio.config.words import found_line, meant, near, written_key

MAX_SENTENCE = 200
MAX_KEYWORD = 100
MAX_POINTS = 1000.0
LISTED = "LISTED_"
"""What the symbols of lists begin with."""

PATTERN_FIELDS = ("subject", "body", "hidden", "url", "host", "attachment")
"""Keys whose value is a pattern, for what is read of a message."""
_META = ("all", "any", "not")
_MATCHERS = ("fact", "header", *PATTERN_FIELDS, "keywords", "bayes", *_META)
_KEYS = ("symbol", "score", "en", "it", "group", *_MATCHERS, "case", "where", "at_least")

_symbol = re.compile(r"[A-Z][A-Z0-9_]{1,59}", re.ASCII)
_fact = re.compile(r"[a-z0-9][a-z0-9.:=_-]{0,99}", re.ASCII)
_group = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}", re.ASCII)
_field = re.compile(r"[!-9;-~]{1,100}", re.ASCII)  # RFC 5322 2.2: printable, no colon
_language = re.compile(r"[a-z]{2}", re.ASCII)

_A_SYMBOL = 'a symbol in capitals such as "NO_SUBJECT": 2 to 60 of A-Z, 0-9 and _, a letter first'


class RuleProblem(NamedTuple):
    """What is wrong with a rule file: its line (0 where unknown), the rule's symbol ("" for none), what was found, and
    what would have served.
    """

    file: str
    line: int
    rule: str
    found: str
    wanted: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        of = f"rule {self.rule}: " if self.rule else ""
        return f"{place}: {of}found {self.found}, wanted {self.wanted}"


# --- what a rule may look for ---


class FactHolds(NamedTuple):
    """A fact of the message."""

    fact: str


class HeaderExists(NamedTuple):
    """A header field that is there, or is not. ``header`` is in lower case."""

    header: str
    exists: bool


class Matches(NamedTuple):
    """A pattern in one of the texts of ``field``: one of PATTERN_FIELDS, or ``header:`` and its name in lower case."""

    field: str
    text: str
    pattern: Pattern


class HasKeywords(NamedTuple):
    """So many distinct words of those of the languages in use."""

    where: str
    words: Mapping[str, tuple[str, ...]]
    at_least: int


class BayesSays(NamedTuple):
    """Bayes' probability from ``low`` to below ``high``; 1 counts where ``high`` is 1."""

    low: float
    high: float


class Meta(NamedTuple):
    """All of some rules, some of others, and none of others."""

    all: tuple[str, ...]
    any: tuple[str, ...]
    none: tuple[str, ...]
    at_least: int = 1

    def uses(self) -> tuple[str, ...]:
        """Return the symbols that decide."""
        return self.all + self.any + self.none


Matcher = FactHolds | HeaderExists | Matches | HasKeywords | BayesSays | Meta


class Rule(NamedTuple):
    """A rule. One whose score is 0 serves other rules, and is not shown."""

    symbol: str
    score: float
    en: str
    it: str
    group: str
    matcher: Matcher
    file: str
    line: int


class RuleText(NamedTuple):
    """What a file says: rules and caps of groups that are right, symbols also of those that are not."""

    rules: tuple[Rule, ...]
    caps: Mapping[str, float]
    symbols: frozenset[str]
    problems: tuple[RuleProblem, ...]


def read_text(file: str, text: str, facts: Collection[str] | None = None) -> RuleText:
    """Read a rule file; ``file`` is its name in problems. ``facts`` are those there are, where that is known."""
    text = text.replace("\r\n", "\n")
    try:
        data = tomllib.loads(text)
    except RecursionError:
        problem = RuleProblem(file, 0, "", "brackets in brackets", "at most a hundred levels")
        return RuleText((), {}, frozenset(), (problem,))
    except ValueError as error:
        return RuleText((), {}, frozenset(), (_syntax(file, text, str(error)),))
    return _File(file, text, data, facts).read()


def _syntax(file: str, text: str, message: str) -> RuleProblem:
    """Put what tomllib says into a problem; it ends in "(at line 3, column 7)", or not."""
    said, _, where = message.rpartition(" (at ")
    match = re.match(r"line (\d+)", where)
    lines = text.split("\n")
    line = int(match[1]) if match else len(text.rstrip().split("\n"))
    return RuleProblem(file, line, "", found_line(lines[line - 1].strip()) or "nothing", f"TOML ({said or message})")


class _File:
    def __init__(self, file: str, text: str, data: Mapping[str, Any], facts: Collection[str] | None) -> None:
        self.file, self.data, self.facts = file, data, facts
        self._text = text
        self.problems: list[RuleProblem] = []

    @functools.cached_property
    def _lines(self) -> Mapping[Path, int]:
        return places(self._text)

    def line(self, path: Path) -> int:
        return line_of(self._lines, path)

    def problem(self, path: Path, found: str, wanted: str, rule: str = "") -> None:
        self.problems.append(RuleProblem(self.file, self.line(path), rule, found, wanted))

    def read(self) -> RuleText:
        for key in self.data.keys() - {"rule", "group"}:
            wanted = "[[rule]] or [group.NAME]" + meant(near(key, ("rule", "group")))
            self.problem((key,), f"the key {written_key(key)}", wanted)
        caps = self._caps(self.data.get("group", {}))
        tables = self.data.get("rule", [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self.problem(("rule",), "rule", "tables in [[double brackets]]")
            tables = []
        rules: dict[str, Rule] = {}
        symbols = set()
        for index, table in enumerate(tables):
            reader = _Reader(self, index, table)
            rule = reader.read()
            symbols.add(reader.symbol)
            if rule and rules.setdefault(rule.symbol, rule) is not rule:
                first = rules[rule.symbol].line
                reader.problem("symbol", f"{rule.symbol} again", f"a symbol of its own; line {first} has this one")
        problems = sorted(self.problems, key=lambda problem: problem.line)
        return RuleText(tuple(rules.values()), caps, frozenset(symbols), tuple(problems))

    def _caps(self, groups: Any) -> dict[str, float]:
        caps: dict[str, float] = {}
        if not isinstance(groups, dict):
            self.problem(("group",), "group", "a table [group.NAME] with cap = 5.0 in it")
            return caps
        for name, table in groups.items():
            path: Path = ("group", name)
            cap = table.get("cap") if isinstance(table, dict) else None
            if not _group.fullmatch(name):
                self.problem(path, f"the group {written_key(name)}", 'a name in lower case such as "subject"')
            elif not isinstance(table, dict) or table.keys() != {"cap"}:
                self.problem(path, f"[group.{name}] with {_listed(table)}", "cap = 5.0 in it, and nothing else")
            elif not _is_number(cap) or not 0 < cap <= MAX_POINTS:
                self.problem((*path, "cap"), f"cap = {as_found(cap)}", "a number above 0 and up to 1000")
            else:
                caps[name] = float(cap)
        return caps


def _listed(table: Any) -> str:
    return ", ".join(map(written_key, table)) or "nothing" if isinstance(table, dict) else as_found(table)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


class _Wrong(Exception):
    """A value that can't be: raised where no other value of the same matcher makes sense any more."""


class _Reader:
    """One [[rule]]. Every problem is noted; ``read`` returns None if there was any."""

    def __init__(self, file: _File, index: int, table: Mapping[str, Any]) -> None:
        self._file, self._path, self._table = file, ("rule", index), table
        symbol = table.get("symbol")
        self.symbol = symbol if isinstance(symbol, str) and _symbol.fullmatch(symbol) else ""
        self._before = len(file.problems)

    def problem(self, key: str, found: str, wanted: str) -> None:
        path: Path = (*self._path, key) if key in self._table else self._path  # what is missing has the rule's line
        self._file.problem(path, found, wanted, self.symbol)

    def bad(self, key: str, wanted: str, value: Any = None) -> None:
        """Note that the value of a key (or one in it) is not what is wanted."""
        self.problem(key, f"{key} = {as_found(self._table[key] if value is None else value)}", wanted)

    def read(self) -> Rule | None:
        for key in self._table.keys() - set(_KEYS):
            self.problem(key, f"the key {written_key(key)}", "no such key" + meant(near(key, _KEYS)))
        self._check_symbol()
        score = self._score()
        matcher = self._matcher()
        self._companions()
        en = self._sentence("en")
        if not en and score and "en" not in self._table:
            self.problem("en", "no sentence", 'en = "..." that says what fits, in English (it = "..." in Italian)')
        rule = (self.symbol, score, en, self._sentence("it") or en, self._group(), matcher)
        if len(self._file.problems) > self._before or matcher is None:
            return None
        return Rule(*rule[:5], matcher, self._file.file, self._file.line(self._path))

    def _check_symbol(self) -> None:
        if "symbol" not in self._table:
            self.problem("symbol", "a rule without a symbol", _A_SYMBOL)
        elif not self.symbol:
            self.bad("symbol", _A_SYMBOL)
        elif self.symbol.startswith(LISTED):
            self.bad("symbol", f"another symbol: lists have those with {LISTED} (score.scores changes their points)")

    def _score(self) -> float:
        score = self._table.get("score")
        if "score" not in self._table:
            self.problem("score", "no score", "score = 1.5, or another number; 0 for a rule that serves others")
        elif not _is_number(score) or abs(score) > MAX_POINTS:
            self.bad("score", "a number from -1000 to 1000")
        else:
            return float(score)
        return 0.0

    def _sentence(self, key: str) -> str:
        if key not in self._table:
            return ""
        text = self._table[key]
        if isinstance(text, str) and text.isprintable() and 0 < len(text) <= MAX_SENTENCE:
            return text
        self.bad(key, f"a sentence on one line, at most {MAX_SENTENCE} characters")
        return ""

    def _group(self) -> str:
        if "group" not in self._table:
            return ""
        group = self._table["group"]
        if isinstance(group, str) and _group.fullmatch(group):
            return group
        self.bad("group", 'the name of a group such as "subject"')
        return ""

    def _companions(self) -> None:
        """Note keys that say nothing about this kind of rule."""
        takes_case = any(key in self._table for key in ("header", *PATTERN_FIELDS))
        if "case" in self._table and not takes_case:
            self.problem("case", "case", "case only beside a pattern")
        elif not isinstance(self._table.get("case", False), bool):
            self.bad("case", "true or false")
        if "where" in self._table and "keywords" not in self._table:
            self.problem("where", "where", "where only beside keywords")
        if "at_least" in self._table and "keywords" not in self._table and "any" not in self._table:
            self.problem("at_least", "at_least", "at_least only beside keywords or any")

    # --- matchers ---

    def _matcher(self) -> Matcher | None:
        given = [key for key in self._table if key in _MATCHERS]
        kinds = {"all" if key in _META else key for key in given}
        if len(kinds) != 1:
            found = " and ".join(given) or "nothing to look for"
            self.problem(given[-1] if given else "", found, f"one of {', '.join(_MATCHERS[:-3])}, or all/any/not")
            return None
        (kind,) = kinds
        try:
            return self._matcher_of(kind)
        except _Wrong:
            return None

    def _matcher_of(self, kind: str) -> Matcher:
        if kind in PATTERN_FIELDS:
            return self._pattern(kind, kind, self._table[kind])
        if kind == "header":
            return self._header(self._table["header"])
        if kind == "keywords":
            return self._keywords(self._table["keywords"])
        if kind == "all":
            return self._meta()
        return self._bayes(self._table["bayes"]) if kind == "bayes" else self._fact(self._table["fact"])

    def _wrong(self, key: str, wanted: str, value: Any = None) -> _Wrong:
        self.bad(key, wanted, value)
        return _Wrong()

    def _fact(self, fact: Any) -> FactHolds:
        known = self._file.facts
        if not isinstance(fact, str) or not _fact.fullmatch(fact):
            raise self._wrong("fact", 'a fact such as "no-subject"')
        if known is not None and fact not in known:
            raise self._wrong("fact", "a fact that there is (docs/score-rules.md)" + meant(near(fact, known)))
        return FactHolds(fact)

    def _pattern(self, key: str, field: str, text: Any) -> Matches:
        if not isinstance(text, str) or not text:
            raise self._wrong(key, "a pattern in quotes", text)
        try:
            return Matches(field, text, read_pattern(text, self._table.get("case") is True))
        except ValueError as error:
            raise self._wrong(key, str(error), text) from None

    def _header(self, header: Any) -> Matcher:
        wanted = 'a table such as {name = "X-Mailer", pattern = "..."} or {name = "Date", exists = false}'
        if not isinstance(header, dict) or header.keys() not in ({"name", "pattern"}, {"name", "exists"}):
            raise self._wrong("header", wanted, _listed(header) if isinstance(header, dict) else None)
        name = header["name"]
        if not isinstance(name, str) or not _field.fullmatch(name):
            raise self._wrong("header", 'the name of a header field such as "X-Mailer"', name)
        if "pattern" in header:
            return self._pattern("header", f"header:{name.lower()}", header["pattern"])
        if not isinstance(header["exists"], bool):
            raise self._wrong("header", "exists = true or false", header["exists"])
        return HeaderExists(name.lower(), header["exists"])

    def _keywords(self, keywords: Any) -> HasKeywords:
        if not isinstance(keywords, dict) or not keywords or not all(map(_language.fullmatch, keywords)):
            raise self._wrong("keywords", 'lists by language such as {en = ["free"], it = ["gratis"]}')
        words: dict[str, tuple[str, ...]] = {}
        for language, listed in keywords.items():
            if not isinstance(listed, list) or not listed:
                raise self._wrong("keywords", f"{language} = [...] with words in quotes", listed)
            for word in listed:
                if not _is_keyword(word):
                    wanted = f"words of up to {MAX_KEYWORD} characters with a letter or digit, no blank at their ends"
                    raise self._wrong("keywords", wanted, word)
            words[language] = tuple(listed)
        where = self._table.get("where", "body")
        if where not in ("subject", "body"):
            raise self._wrong("where", '"subject" or "body"')
        return HasKeywords(where, words, self._at_least(max(map(len, words.values())), "words"))

    def _at_least(self, most: int, what: str) -> int:
        least = self._table.get("at_least", 1)
        if isinstance(least, bool) or not isinstance(least, int) or not 1 <= least <= most:
            raise self._wrong("at_least", f"a whole number from 1 to {most}, since there are {most} {what}")
        return least

    def _bayes(self, bounds: Any) -> BayesSays:
        if isinstance(bounds, list) and len(bounds) == 2 and all(map(_is_number, bounds)):
            low, high = bounds
            if 0 <= low < high <= 1:
                return BayesSays(float(low), float(high))
        raise self._wrong("bayes", "two probabilities, the smaller one first, such as [0.99, 1.0]")

    def _meta(self) -> Meta:
        every, some, none = (self._symbols(key) for key in _META)
        return Meta(every, some, none, self._at_least(len(some), "symbols") if some else 1)

    def _symbols(self, key: str) -> tuple[str, ...]:
        listed = self._table.get(key, [])
        if not isinstance(listed, list) or (not listed and key in self._table):
            raise self._wrong(key, f"a list of symbols, each {_A_SYMBOL}")
        for symbol in listed:
            if not isinstance(symbol, str) or not _symbol.fullmatch(symbol):
                raise self._wrong(key, _A_SYMBOL, symbol)
        return tuple(dict.fromkeys(listed))


def _is_keyword(word: Any) -> bool:
    if not isinstance(word, str) or not 0 < len(word) <= MAX_KEYWORD:
        return False
    return word == word.strip() and any(map(str.isalnum, word))
