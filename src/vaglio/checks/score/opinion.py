"""What Bayes says of a message, out of what was learned. A store that fails leaves it without a say: mail goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from vaglio.checks.score.bayes import Clue, clues, ids_of, probability
from vaglio.checks.score.case import UNKNOWN
from vaglio.checks.score.learning import unmarked
from vaglio.checks.score.reading import Reading
from vaglio.checks.score.settings import BayesSettings
from vaglio.checks.score.tokens import tokens_of
from vaglio.ports import Learned, StoreError, TokenStore


class Said(NamedTuple):
    """The probability that a message is spam, or UNKNOWN; its words by their ids, in the order of their first standing;
    how many messages had been learned.
    """

    probability: float = UNKNOWN
    words: Mapping[int, str] = {}
    learned: Learned = Learned()


class Opinion:
    """``warn`` hears of a store that fails."""

    def __init__(self, settings: BayesSettings, store: TokenStore, warn: Callable[[str], None]) -> None:
        self._settings, self._store, self._warn = settings, store, warn

    def of(self, reading: Reading) -> Said:
        """Return what Bayes says; without a word where too little was learned."""
        try:
            learned = self._store.learned()
            if min(learned.spam, learned.ham) < self._settings.min_learned and not self._settings.autolearn:
                return Said(learned=learned)
            tokens = tokens_of(before_delivery(reading))
            words = dict(zip(ids_of(tokens), tokens, strict=True))
            if min(learned.spam, learned.ham) < self._settings.min_learned:
                return Said(words=words, learned=learned)
            counts = self._store.counts(list(words))
        except StoreError as error:
            self._warn(f"score.bayes: it has no say: {error}")
            return Said()
        return Said(probability(counts, (learned.spam, learned.ham)), words, learned)

    def clues(self, said: Said) -> list[Clue]:
        """Return the words that counted, the strongest first; none where it had no say. Raises StoreError."""
        if said.probability == UNKNOWN:
            return []
        return clues(said.words, self._store.counts(list(said.words)), said.learned)


def before_delivery(reading: Reading) -> Reading:
    """Return a reading without the fields that filters and mail servers put in, as it is learned."""
    fields = unmarked(reading.fields)
    if len(fields) == len(reading.fields):
        return reading
    left = {field.name.strip().lower().decode("latin-1") for field in fields}
    return reading._replace(
        fields=fields, values={name: values for name, values in reading.values.items() if name in left}
    )
