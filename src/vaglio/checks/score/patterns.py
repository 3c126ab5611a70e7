"""Many patterns, or many keywords, looked for in one pass over a text. Pure; knows nothing of rules.

Patterns are RE2's: linear time, whatever an admin writes and a stranger sends; no look-around, no back-references.
Letter case does not count unless a pattern says so; ``^`` and ``$`` are the ends of the text (``(?m)``: of lines);
``.`` is no line end; ``\\b`` and ``\\w`` know ASCII letters only, ``\\pL`` is any letter.

Keywords are whole words or phrases: no letter or digit stands beside them. Letter case does not count, accents do, and
a blank also stands for a line end.

Patterns are found in two steps (RE2's Filter): one pass finds the words that they can't do without, and a pattern is
searched for only where its words are. One automaton of all patterns (RE2's Set) is as fast on usual text, but where a
stranger makes it take ever new states 256 kB cost it half a second; so they cost 0.2 s at most with 30 patterns that
have gaps such as ``.{0,40}``, and 2 ms without. Keywords are plain words, whose automaton stays small.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import re2

MAX_PATTERN = 1000
"""Longest pattern in characters."""
MAX_PROGRAM = 3000
"""Largest pattern in RE2's instructions: a gap such as ``.{0,40}`` takes about 360."""
MAX_TOTAL = 60_000
"""Instructions of all patterns for one kind of text together."""
MAX_SCANNED = 128 * 1024
"""Bytes of a text in which is looked; what lies beyond, a reader hardly reads."""
MAX_TEXTS = 500
"""Texts of one kind (links, names, fields) that are looked at."""
MAX_DETAIL = 100
"""Characters of what was found that are kept."""

_MEMORY = 1 << 20
"""Bytes that RE2 may take for a pattern, most of them only while somebody sends what it is slow on."""
_SET_MEMORY = 16 << 20
_MAX_LOOKED_UP = 1 << 20
"""Bytes that are read once more in all, to tell what fitted."""
_PROBE = b"vaglio probe"
_START = rb"\A"


class Pattern(NamedTuple):
    """A regular expression as RE2 gets it, whether letter case counts, and how many of RE2's instructions it takes."""

    source: bytes
    case: bool
    size: int

    def compiled(self) -> Any:
        """Return RE2's expression. Raises ``re2.error``."""
        return re2.compile(self.source, _options(_MEMORY, self.case))


def read_pattern(text: str, case: bool = False) -> Pattern:
    """Return a pattern; ``case``: letter case counts. Raises ValueError that says what is wanted in its place."""
    if len(text) > MAX_PATTERN:
        raise ValueError(f"a pattern of at most {MAX_PATTERN} characters")
    pattern = Pattern(text.encode("utf-8", "replace"), case, 0)
    try:
        size = int(pattern.compiled().programsize)
    except re2.error as error:
        said = error.args[0]
        words = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise ValueError(f"a pattern that RE2 takes ({words})") from None
    if size > MAX_PROGRAM:
        raise ValueError(f"a smaller pattern: it takes {size} instructions of RE2, {MAX_PROGRAM} at most")
    return pattern._replace(size=size)


def _options(memory: int, case: bool = True) -> Any:
    options = re2.Options()
    options.case_sensitive = case
    options.log_errors = False  # it would write to stderr what a stranger sent
    options.never_capture = True
    options.max_mem = memory
    return options


class PatternSet:
    """Patterns that are looked for together; there is at least one."""

    __slots__ = ("_count", "_filter", "_singles")

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._count = len(patterns)
        self._filter = re2.Filter()
        for pattern in patterns:
            self._filter.Add(pattern.source, _options(_MEMORY, pattern.case))
        self._filter.Add(_PROBE, _options(_MEMORY))
        self._singles: list[Any] | None = None
        if not self._works():
            self._singles = [pattern.compiled() for pattern in patterns]

    def _works(self) -> bool:
        """Return whether the filter finds anything. Where its automaton has no room to work in, RE2 says "nothing
        found", as if nothing were there; its first state tells, since each further one needs no more than that.
        """
        try:
            self._filter.Compile()
        except re2.error:
            return False
        return self._count in (self._filter.Match(_PROBE) or ())

    def find(self, texts: Iterable[str]) -> dict[int, str]:
        """Return the numbers of the patterns that are found in any of the texts, with what was found."""
        found: dict[int, str] = {}
        budget = _MAX_LOOKED_UP
        for text in itertools.islice(texts, MAX_TEXTS):
            data = _encoded(text)
            for number in self._matching(data):
                if number not in found and number != self._count:
                    budget -= len(data)
                    found[number] = _detail(self._single(number), data) if budget >= 0 else ""
        return found

    def _matching(self, data: bytes) -> Iterable[int]:
        if self._singles is None:
            return self._filter.Match(data) or ()
        return [number for number, single in enumerate(self._singles) if single.search(data)]

    def _single(self, number: int) -> Any:
        return self._filter.re(number) if self._singles is None else self._singles[number]


def _encoded(text: str) -> bytes:
    """Return the first bytes of a text; a lone surrogate becomes a question mark."""
    return text[:MAX_SCANNED].encode("utf-8", "replace")[:MAX_SCANNED]


def _detail(single: Any, data: bytes) -> str:
    """Return what fits a pattern, at most MAX_DETAIL characters."""
    match = single.search(data)
    if match is None:
        return ""
    start, end = match.span()
    return str(data[start : min(end, start + 4 * MAX_DETAIL)], "utf-8", "ignore")[:MAX_DETAIL]


class KeywordSet:
    """Lists of words that are looked for together."""

    __slots__ = ("_set", "_words")

    def __init__(self, lists: Sequence[Iterable[str]], memory: int = _SET_MEMORY) -> None:
        users: dict[str, list[int]] = {}
        for number, words in enumerate(lists):
            for word in dict.fromkeys(map(folded, words)):
                users.setdefault(word, []).append(number)
        self._words = list(users.items())
        self._set = re2.Set.SearchSet(_options(memory))
        for word in users:
            self._set.Add(re2.escape(word.encode("utf-8", "replace")))
        self._set.Add(_START)
        try:
            self._set.Compile()
        except re2.error:  # too large for the memory
            self._set = None

    def find(self, text: str) -> Mapping[int, Sequence[str]]:
        """Return the distinct words that are found, as folded, by the numbers of their lists."""
        text = folded(text[:MAX_SCANNED])
        found: dict[int, list[str]] = {}
        for index in self._candidates(text):
            word, numbers = self._words[index]
            if _stands_alone(word, text):
                for number in numbers:
                    found.setdefault(number, []).append(word)
        return found

    def _candidates(self, text: str) -> Iterable[int]:
        """Return the numbers of words that are in the text, be it within others. Every text has a start: where even
        that is not found, RE2's automaton had no room, and all words are looked for one by one.
        """
        last = len(self._words)
        found = self._set.Match(text.encode("utf-8", "replace")) if self._set is not None else None
        return range(last) if found is None else sorted(index for index in found if index != last)


def _stands_alone(word: str, text: str) -> bool:
    """Return whether a word is in the text with no letter or digit beside it."""
    step = len(word) if word.isalnum() else 1  # what overlaps such a word has a letter before it
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        if not text[start - 1 : start].isalnum() and not text[end : end + 1].isalnum():
            return True
        start = text.find(word, start + step)
    return False


def folded(text: str) -> str:
    """Return a text as keywords are compared: letter case undone, line ends as blanks."""
    return text.casefold().replace("\n", " ").replace("\xa0", " ")
