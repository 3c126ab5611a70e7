"""Messages under way: what the requests about their recipients said, until that about the message comes.

At the end of a message Postfix tells how many recipients it has, but not which; and those that were refused are
gone. A session asks by one connection, so a worker sees all of a message; what it forgets at its end is a sample of
recipient domains and a part of a share, no count. No I/O, no clock.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from vaglio.checks.ratelimit.rules import Case
from vaglio.checks.ratelimit.usage import LONGEST_SAMPLE, SAMPLES

MOST = 5_000
"""Messages under way that are remembered."""

LONGEST_INSTANCE = 200
"""Characters of a message's name; Postfix's have about 20."""

ABANDONED = 600.0
"""Seconds after its last recipient in which a message that had no end is given up, if its session does not begin
another one before: Postfix's smtpd_timeout is 300."""


@dataclass(slots=True)
class UnderWay:
    """A message of which only recipients were seen, ``attempts`` of them, the last at ``last``. ``case`` is the request
    about one of them, where it is needed.
    """

    instance: str
    case: Case | None
    last: float
    attempts: int = 0
    domains: list[str] = field(default_factory=list)


class InFlight:
    """The messages under way, by Postfix's name; ``keep_cases`` where those without an end are to be counted."""

    def __init__(self, keep_cases: bool) -> None:
        self._keep_cases = keep_cases
        self._messages: OrderedDict[str, UnderWay] = OrderedDict()
        self._sessions: OrderedDict[tuple[str, str, str], str] = OrderedDict()
        """The last message of each session, where that matters."""

    def saw_recipient(self, case: Case, now: float) -> None:
        """Take note of a recipient."""
        instance = case.facts.session.instance
        if not instance or len(instance) > LONGEST_INSTANCE:
            return
        message = self._messages.get(instance)
        if message is None:
            message = self._messages[instance] = UnderWay(instance, case if self._keep_cases else None, now)
            if len(self._messages) > MOST:
                self._messages.popitem(last=False)
            if self._keep_cases:
                self._close_the_one_before(case, instance)
        message.attempts += 1
        message.last = now
        domain = case.recipient.rpartition("@")[2][:LONGEST_SAMPLE]
        if domain not in message.domains and len(message.domains) < SAMPLES:
            message.domains.append(domain)

    def _close_the_one_before(self, case: Case, instance: str) -> None:
        """A session has one message at a time, so its next one tells that the last had no end."""
        process, client = case.facts.session.process, case.facts.client
        if not process:
            return
        session = process, client.address, case.user[:LONGEST_SAMPLE]
        before = self._messages.get(self._sessions.pop(session, ""))
        if before is not None:
            before.last = -ABANDONED
        self._sessions[session] = instance
        if len(self._sessions) > MOST:
            self._sessions.popitem(last=False)

    def ended(self, instance: str) -> UnderWay | None:
        """Return what is known of a message, and forget it."""
        return self._messages.pop(instance, None) if self._messages else None

    def abandoned(self, now: float) -> list[UnderWay]:
        """Return the messages that will have no end."""
        return [message for message in self._messages.values() if not 0 <= now - message.last < ABANDONED]
