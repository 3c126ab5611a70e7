"""Hosts checks of messages: which events they need together, one judgement of a message, what then is done with it.

A host is made from a configuration and never changes; a message is judged to its end by the one it began with. It
knows neither engine nor wire, and opens nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any, ParamSpec, Protocol

from vaglio.examination import Examination, Message, MessageCheck, Needs
from vaglio.facts import Facts
from vaglio.milter.combine import combined
from vaglio.milter.plan import UNTOUCHED, Plan, plan_of
from vaglio.verdict import FAILED, TIMED_OUT, Action, Verdict

Arguments = ParamSpec("Arguments")
Judging = Coroutine[Any, Any, Verdict]
Work = Callable[Arguments, Judging]


class Guard(Protocol):
    """Awaits a judgement in the host's place, and returns the verdict of the failure policy where that fails."""

    def __call__(self, facts: Facts, work: Work[Arguments], *args: Arguments.args, **more: Arguments.kwargs) -> Judging:
        """Never raises."""


FAILURES = "failed"
"""The fact of a chain that names the checks that failed."""

_FAILURES = (FAILED, TIMED_OUT)
_LET_IN = Verdict(Action.PASS, "", "")


@dataclass(frozen=True, slots=True)
class Manner:
    """How a milter treats messages whatever its checks say.

    ``authserv_id`` is our name in Authentication-Results; ``forged`` says whether fields that claim it are taken out,
    ``results`` whether one of our own is written. ``own`` are other fields that tell our results, in lower case, each
    with our name in it: those that came with a message and mention it are forged, too. ``max_scan`` bounds the bytes
    of a body that are kept. ``rehearse``: nothing is done to any message.
    """

    authserv_id: str
    forged: bool = True
    results: bool = True
    max_scan: int = 1000**2
    rehearse: bool = False
    own: Mapping[bytes, str] = field(default_factory=dict)


class Host:
    """The checks of a milter, in their order; made from a configuration, and never changed.

    ``guard`` stands before judgements of messages, ``recipient_guard`` before those of recipients, which have less
    time. ``record`` is told of each verdict with the seconds that it took from the end of the message (from RCPT, for
    one on a recipient alone). ``references`` names what is journalled and no check has named; ``owner`` lives as long
    as the host does. ``of_header`` and ``of_body`` are the places of the checks that hear of these; ``skims`` says that
    of a header only Authentication-Results are of interest; ``suspect`` are the letters with which fields begin that
    may tell results in our name.
    """

    __slots__ = ("_guard", "_of_recipient", "_owner", "_recipient_guard", "_references", "asks_recipients", "checks",
                 "manner", "needs", "of_body", "of_header", "record", "scans", "skims", "suspect")  # fmt: skip

    def __init__(
        self,
        checks: Sequence[MessageCheck],
        guard: Guard,
        recipient_guard: Guard,
        record: Callable[[Facts, Verdict, float], None],
        manner: Manner,
        references: Callable[[], str] = lambda: "",
        owner: object = None,
    ) -> None:
        self.checks, self.record, self.manner = tuple(checks), record, manner
        self._guard, self._recipient_guard = guard, recipient_guard
        self._references, self._owner = references, owner
        forged = Needs.HEADERS if manner.forged else Needs.NOTHING
        self.needs = reduce(or_, (check.needs for check in checks), forged)
        # Flags take up to half a microsecond each time they are looked at: once is enough.
        self._of_recipient = [place for place, check in enumerate(checks) if Needs.RECIPIENTS in check.needs]
        self.asks_recipients = bool(self._of_recipient)
        self.scans = Needs.BODY in self.needs
        self.of_header = [place for place, check in enumerate(checks) if Needs.HEADERS in check.needs]
        self.of_body = [place for place, check in enumerate(checks) if Needs.CHUNKS in check.needs]
        self.skims = not self.of_header and not manner.own
        initials = b"a" + b"".join(name[:1] for name in manner.own)
        self.suspect = initials + initials.upper()

    def examine(self, facts: Facts) -> list[Examination]:
        """Begin with a message."""
        return [check.examine(facts) for check in self.checks]

    async def judge(self, examinations: Sequence[Examination], message: Message) -> Verdict:
        """Return the one verdict on a message; never raises."""
        verdict = await self._guard(message.facts, self._judged, examinations, message)
        if not verdict.ref and (verdict.reason in _FAILURES or verdict.facts.get(FAILURES)):
            return verdict._replace(ref=self._references())  # who looks for the message finds that it was not judged
        return verdict

    async def _judged(self, examinations: Sequence[Examination], message: Message) -> Verdict:
        if len(examinations) == 1:  # nothing is to be combined, and none has an earlier one
            return await examinations[0].verdict(message)
        found: dict[str, Verdict] = {}
        message = message._replace(earlier=found)
        for check, examination in zip(self.checks, examinations, strict=True):
            found[check.name] = await examination.verdict(message)
        verdict = combined(found)
        failed = ",".join(name for name, one in found.items() if one.reason in _FAILURES)
        return verdict._replace(facts={**verdict.facts, FAILURES: failed}) if failed else verdict

    async def judge_recipient(self, examinations: Sequence[Examination], facts: Facts) -> Verdict:
        """Return the first refusal of the recipient in ``facts`` alone, else a pass, which tells of the first one that
        was only rehearsed; never raises.
        """
        return await self._recipient_guard(facts, self._judged_recipient, examinations, facts.envelope.recipient)

    async def _judged_recipient(self, examinations: Sequence[Examination], recipient: str) -> Verdict:
        rehearsed = _LET_IN
        for place in self._of_recipient:
            verdict = await examinations[place].recipient(recipient)
            if verdict is None:
                continue
            if verdict.action in (Action.REJECT, Action.DEFER):
                return verdict
            if verdict.rehearsed and rehearsed is _LET_IN:
                rehearsed = verdict
        return rehearsed

    def refusal(self, why: Verdict) -> Verdict:
        """Return a refusal that is no check's, or in rehearsal what that leads to."""
        why = why._replace(ref=self._references())
        if why.reply and why.ref:
            why = why._replace(reply=why.reply._replace(text=f"{why.reply.text}; ref {why.ref}"))
        return why._replace(action=Action.PASS, rehearsed=why.action, reply=None) if self.manner.rehearse else why

    def plan(self, verdict: Verdict, forged: Sequence[tuple[bytes, int]]) -> Plan:
        """Return what a verdict on a message leads to."""
        if self.manner.rehearse:
            return UNTOUCHED
        return plan_of(verdict, forged, self.manner.authserv_id if self.manner.results else "")
