"""The check that marks subjects: hears what is known of a message at its end, and changes its subject or leaves it.

Knows no protocol and opens nothing; references come through what it is given.
"""

from __future__ import annotations

from typing import NamedTuple

from vaglio.checks.ownresults import results_of
from vaglio.checks.tag.decide import OWN_MAIL, REFUSED, Decision, Policy, basis, is_refused
from vaglio.checks.tag.heard import NOTHING, SCORE_CHECK, known, spam_of
from vaglio.checks.tag.settings import TagSettings
from vaglio.examination import Examination, Message, Needs
from vaglio.facts import Facts
from vaglio.ports import References
from vaglio.verdict import Action, Verdict

NAME = "tag"


class Context(NamedTuple):
    """What the check works with.

    ``authserv_id`` is the name of ours whose Authentication-Results are believed, "" to read none: only where another
    of our milters stands before and takes forged ones out. ``score_rehearses``: what vaglio-score finds is a rehearsal.
    """

    references: References
    authserv_id: str = ""
    score_rehearses: bool = False


class Tag:
    """The check behind ``vaglio-tag``."""

    name = NAME
    methods = ()
    needs = Needs.HEADERS

    def __init__(self, settings: TagSettings, context: Context) -> None:
        self.settings, self.context, self.policy = settings, context, Policy(settings)

    def examine(self, facts: Facts) -> Marking:  # noqa: ARG002  # the same for all
        """Begin with a message."""
        return Marking(self)

    def decide(self, message: Message, *, earnest: bool = False) -> Decision:
        """Return what becomes of a message's subject; ``earnest``: what would, if vaglio-score did not rehearse."""
        policy, recipients = self.policy, message.recipients
        if policy.is_own(message.facts):
            return OWN_MAIL
        if any(is_refused(one, earnest) for one in message.earlier.values()):
            return REFUSED
        if message.facts.envelope.recipient_count > len(recipients):
            recipients = ()  # what all of them have in common can't be known
        earlier = message.earlier
        if self.context.score_rehearses and not earnest:
            earlier = {name: one for name, one in earlier.items() if name != SCORE_CHECK}
        ours = self.context.authserv_id
        results = (*(results_of(message.headers, ours) if ours else ()), *message.results)
        spam = spam_of(message.headers) if self.settings.trust_spam_headers else NOTHING
        return policy.decide(message.headers, policy.puts(known(earlier, results, spam), recipients))


class Marking(Examination):
    """One message."""

    __slots__ = ("_check",)

    def __init__(self, check: Tag) -> None:
        self._check = check

    async def verdict(self, message: Message) -> Verdict:
        """Let the message pass, with its subject as it is to be."""
        check = self._check
        decision = check.decide(message)
        facts = basis(decision)
        if check.context.score_rehearses:
            more = check.decide(message, earnest=True)
            if more.puts and more.puts != decision.puts:
                facts["would"] = " ".join(put.tag for put in more.puts)
        if not decision.changes_anything:
            return Verdict(Action.PASS, NAME, decision.reason, facts=facts)
        return Verdict(
            Action.PASS, NAME, decision.reason, headers=decision.headers, facts=facts,
            ref=check.context.references(), changes=decision.changes,
        )  # fmt: skip
