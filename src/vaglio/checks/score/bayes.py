"""How likely a message is spam, by its words: Robinson's estimate for each, put together by Fisher's method. Pure.

G. Robinson, "A Statistical Approach to the Spam Problem" (2003); R. A. Fisher (1925) for the test. What is not in them:

- Words of one message are no independent witnesses: a newsletter repeats itself, a header names one host ten times. So
  only the strongest of each place count (``_MOST``: text, header, links, subject, parts), and all that count weigh
  together as ``_EFFECTIVE`` words do (Robinson's effective size factor, that of bogofilter, chosen for each message
  so that a long text does not seem surer than a short one).
- Where words are equally strong, those that speak for the message come first. But of a text they are at most half
  (``_MOST_FOR``): anybody can add good words to spam; that takes none of the bad ones away.

Where words come from is said in tokens.py; counting them is for a store.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

_UNKNOWN = 0.5  # Robinson's x: what a word says that nobody has learned
_STRENGTH = 0.1  # Robinson's s: how many messages that assumption is worth
_LEAST = 0.4  # a word counts from this distance to 0.5 on
_SILENT = 5  # words that say nothing, which every message is taken to have besides
_EFFECTIVE = 5

_MARKS = {"head:": 1, "link:": 2, "subj:": 3, "part:": 4}  # 0 is the text
_PLACE = 0b111  # bits of an id
_MOST = (40, 20, 5, 10, 5, 0, 0, 0)
_MOST_FOR = (20, 20, 5, 10, 5, 0, 0, 0)

_PRIME = 0x98915ED80446E29
"""Of 60 bits, and nothing else about it matters: numbers near a power of two would hold letters against letters."""


def token_id(token: str) -> int:
    """Return the number that stands for a word, from 0 to 2**63: the same on any machine, and another one for nearly
    any other word. Its last bits say where the word stood.
    """
    try:
        raw = token.encode()
    except UnicodeEncodeError:  # half a character; to allow for that at once takes twice the time
        raw = token.encode("utf-8", "surrogatepass")
    return int.from_bytes(raw, "little") % _PRIME << 3 | _MARKS.get(token[:5], 0)


class _Ids(dict[str, int]):
    """The numbers of words, kept up to a bound: three words in five of a message were in others."""

    def __missing__(self, token: str) -> int:
        if len(self) >= _MOST_KEPT:
            self.clear()
        found = self[token] = token_id(token)
        return found


_MOST_KEPT = 30_000
_ids = _Ids()


def ids_of(tokens: Iterable[str]) -> Iterator[int]:
    """Return the numbers of words, in their order."""
    return map(_ids.__getitem__, tokens)


def probability(counts: Mapping[int, tuple[int, int]], learned: tuple[int, int]) -> float:
    """Return how likely a message is spam, from 0 to 1; 0.5 where nothing is known.

    ``counts`` says for each word, by its id, in how many messages of spam and of wanted mail it stood; ``learned`` how
    many of each there were. In which order the words come does not matter.
    """
    found = [word for word, _ in _strongest(counts, learned)]
    share = _EFFECTIVE / (len(found) + _SILENT)
    silent = _SILENT * math.log(2)
    spam = share * (silent - sum(math.log1p(-word) for word in found))
    wanted = share * (silent - sum(map(math.log, found)))
    return 1 / (1 + _tail(spam) / _tail(wanted))


class Clue(NamedTuple):
    """A word that counted: its own probability, and in how many messages of spam and of wanted mail it stood."""

    word: str
    probability: float
    spam: int
    wanted: int


def clues(words: Mapping[int, str], counts: Mapping[int, tuple[int, int]], learned: tuple[int, int]) -> list[Clue]:
    """Return the words that counted, the strongest first."""
    found = [Clue(words[ident], word, *counts[ident]) for word, ident in _strongest(counts, learned)]
    return sorted(found, key=lambda clue: (-abs(clue.probability - 0.5), clue.word))


def _strongest(counts: Mapping[int, tuple[int, int]], learned: tuple[int, int]) -> list[tuple[float, int]]:
    """Return the words that count, each with its probability."""
    all_spam, all_wanted = max(learned[0], 1), max(learned[1], 1)
    against: tuple[list[tuple[float, float, int]], ...] = ([], [], [], [], [], [], [], [])
    speaking: tuple[list[tuple[float, float, int]], ...] = ([], [], [], [], [], [], [], [])
    for ident, (spam, wanted) in counts.items():
        if (found := _strength(spam, wanted, all_spam, all_wanted)) is not None:
            (speaking if found[1] < 0.5 else against)[ident & _PLACE].append((*found, ident))
    strongest = []
    for those_against, those_for, most, most_for in zip(against, speaking, _MOST, _MOST_FOR, strict=True):
        those_for.sort()
        strongest += sorted(those_against + those_for[:most_for])[:most]
    return [(word, ident) for _, word, ident in strongest]


@functools.lru_cache(4096)
def _strength(spam: int, wanted: int, all_spam: int, all_wanted: int) -> tuple[float, float] | None:
    """Return what sorts a word, the strongest first, and its probability; None where it says too little to count. Most
    words are seldom, so the same few figures come again and again.
    """
    known = spam + wanted
    if not known:
        return None
    by_spam, by_wanted = spam * all_wanted, wanted * all_spam
    word = (_STRENGTH * _UNKNOWN + known * by_spam / (by_spam + by_wanted)) / (_STRENGTH + known)
    distance = abs(word - 0.5)
    return (-round(distance, 9), word) if distance >= _LEAST else None


def _tail(half: float) -> float:
    """Return how often chance alone gives as much or more: the upper tail of chi-square at twice this, with twice
    ``_EFFECTIVE`` degrees of freedom.
    """
    term = total = 1.0
    for step in range(1, _EFFECTIVE):
        term *= half / step
        total += term
    return math.exp(-half) * total
