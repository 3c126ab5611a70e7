"""The check of what a message says: has it scored, decides, writes the score into its header.

Knows no protocol and opens nothing; rules, Bayes, lists, the clock and the references come through what it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from vaglio.checks.ownresults import results_of
from vaglio.checks.score.decide import MAX_FOREIGN, Found, Reason, basis, decide, screen, thresholds
from vaglio.checks.score.scorer import Scorer
from vaglio.checks.score.settings import ScoreSettings
from vaglio.checks.score.text import foreign, headers, reply, too_many
from vaglio.examination import Examination, Foregone, Message, Needs
from vaglio.facts import Facts
from vaglio.lists import NetworkSet
from vaglio.ports import References
from vaglio.verdict import Action, Verdict

NAME = "score"


class Context(NamedTuple):
    """What the check works with. ``authserv_id`` is the name whose results in a header are believed: ours, where
    another milter of ours stands before this one; "" believes none.
    """

    scorer: Scorer
    references: References
    language: Callable[[str], str]
    authserv_id: str = ""


class Score:
    """The check behind ``vaglio-score``."""

    name = NAME
    methods: tuple[str, ...] = ()
    needs = Needs.HEADERS | Needs.BODY

    def __init__(self, settings: ScoreSettings, context: Context) -> None:
        self.settings, self.context = settings, context
        self._networks = NetworkSet(settings.trusted_networks)

    def examine(self, facts: Facts) -> Examination:
        """Begin with a message."""
        exempt = screen(facts, self.settings, self._networks)
        if exempt is None:
            return _Scored(self)
        return Foregone(Verdict(Action.PASS, NAME, exempt.reason, facts={"by": exempt.by}))  # and not journalled


class _Scored(Examination):
    """A message that is scored."""

    __slots__ = ("_check",)

    def __init__(self, check: Score) -> None:
        self._check = check

    async def verdict(self, message: Message) -> Verdict:
        context = self._check.context
        removals = foreign(message.headers)
        if len(removals) > MAX_FOREIGN:
            ref = context.references()
            told = too_many(ref, self._language(message))
            return Verdict(Action.REJECT, NAME, Reason.TOO_MANY_FOREIGN, told, ref=ref)
        results = results_of(message.headers, context.authserv_id) if context.authserv_id else ()
        found = await context.scorer.score(message, results)
        return self._verdict(found._replace(foreign=len(removals)), message)._replace(changes=removals)

    def _verdict(self, found: Found, message: Message) -> Verdict:
        settings, context = self._check.settings, self._check.context
        limits = thresholds(message.recipients, message.facts.envelope.recipient_count, settings)
        decision = decide(found.score, limits)
        ref = context.references()
        return Verdict(
            decision.action,
            NAME,
            Reason.SPAM if decision.spam or decision.by else Reason.CLEAN,
            reply(found, decision, ref, self._language(message), settings),
            headers(found, decision, limits, settings),
            basis(found, decision, limits),
            ref=ref,
        )

    def _language(self, message: Message) -> str:
        recipient = message.recipients[0] if message.recipients else ""
        return self._check.context.language(recipient.rpartition("@")[2].lower())
