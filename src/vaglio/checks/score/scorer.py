"""Finds out all that is to be known of a message: reads it, asks Bayes and the lists, holds the rules against it.

Decides nothing and writes nothing but what is to be learned: the check does, and ``vaglio score`` shows what it would
do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from vaglio.checks.score.case import Case
from vaglio.checks.score.decide import Found
from vaglio.checks.score.learning import Learner, autolearn, digest_of
from vaglio.checks.score.links import LinkFindings, Links
from vaglio.checks.score.oddfacts import Circumstances, facts_of
from vaglio.checks.score.opinion import Opinion, Said
from vaglio.checks.score.reading import Reading, read_message
from vaglio.checks.score.rules import Judgement, Ruleset
from vaglio.checks.score.settings import ScoreSettings
from vaglio.checks.score.tokens import VERSION
from vaglio.examination import Message
from vaglio.ports import Clock, Lesson
from vaglio.verdict import AuthResult


class Asked(NamedTuple):
    """A case; what Bayes said of it; which lists did not answer."""

    case: Case
    said: Said
    silent: tuple[str, ...]


class Scorer:
    """``rules`` gives the rules of the moment; without ``opinion`` Bayes has no say, without ``links`` no list is
    asked, without ``learner`` nothing is learned by itself.
    """

    def __init__(
        self,
        settings: ScoreSettings,
        rules: Callable[[], Ruleset],
        clock: Clock,
        hostname: str,
        opinion: Opinion | None = None,
        links: Links | None = None,
        learner: Learner | None = None,
    ) -> None:
        self.rules = rules
        self._settings, self._clock, self._hostname = settings, clock, hostname
        self._opinion, self._links, self._learner = opinion, links, learner

    async def score(self, message: Message, results: Sequence[AuthResult] = ()) -> Found:
        """Return what was found out; ``results`` are those of others whom we believe, in a header."""
        asked = await self.ask(message, results)
        judgement = self.rules().judge(asked.case)
        return found(asked, judgement, message, self._learned(message, asked, judgement))

    async def ask(self, message: Message, results: Sequence[AuthResult] = ()) -> Asked:
        """Return all that rules are held against."""
        reading = read_message(message.headers, message.body, message.size)
        facts = facts_of(reading, self._circumstances(message, results))
        said = self._opinion.of(reading) if self._opinion else Said()
        listed = await self._listed(reading, message)
        return Asked(Case(reading, facts, said.probability, listed.hits), said, listed.silent)

    async def _listed(self, reading: Reading, message: Message) -> LinkFindings:
        if self._links is None:
            return LinkFindings((), ())
        return await self._links.ask(reading, message.facts)

    def _circumstances(self, message: Message, results: Sequence[AuthResult]) -> Circumstances:
        client, envelope, session = message.facts
        return Circumstances(
            client, envelope, session, message.recipients, self._clock.now(), self._hostname,
            (*message.results, *results),
        )  # fmt: skip

    def _learned(self, message: Message, asked: Asked, judgement: Judgement) -> str:
        """Have a message learned that the other rules are sure of; return as what."""
        said, session = asked.said, message.facts.session
        if self._learner is None or not said.words:  # none where the store can't be read
            return ""
        own = bool(session.sasl_username) or message.facts.client.local
        choice = autolearn(
            judgement.hits, judgement.score, said.probability, own, said.learned, self._settings.bayes
        )
        if choice.kind is None:
            return ""
        self._learner.note(
            choice.kind, Lesson(digest_of(message.headers, message.body), list(said.words), VERSION)
        )
        return choice.kind.value


def found(asked: Asked, judgement: Judgement, message: Message, learned: str = "") -> Found:
    """Return all that was found out as a decision takes it."""
    return Found(
        judgement.score,
        judgement.hits,
        asked.case.probability,
        dict(judgement.capped),
        asked.silent,
        learned,
        message.size,
        len(message.body),
    )
