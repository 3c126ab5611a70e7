"""Messages under way: what the requests about their recipients said, until that about the message comes.

At the end of a message Postfix tells how many recipients it has, but not which; and those that were refused are
gone. A session asks by one connection, so a worker sees all of a message; what it forgets at its end is a sample of
recipient domains and a part of a share, no count. No I/O, no clock.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from vaglio.checks.ratelimit.rules import Case
from vaglio.checks.ratelimit.usage import SAMPLES

MOST = 10_000
"""Messages under way that are remembered."""

ABANDONED = 600.0
"""Seconds after its last recipient in which a message that had no end is given up: Postfix's smtpd_timeout is 300."""


@dataclass(slots=True)
class UnderWay:
    """A message of which only recipients were seen; ``last`` is when the last was."""

    case: Case
    last: float
    attempts: int = 0
    domains: list[str] = field(default_factory=list)


class InFlight:
    """The messages under way, by Postfix's name for them."""

    def __init__(self) -> None:
        self._messages: OrderedDict[str, UnderWay] = OrderedDict()

    def saw_recipient(self, case: Case, now: float) -> None:
        """Take note of a recipient."""
        instance = case.facts.session.instance
        if not instance:
            return
        message = self._messages.get(instance)
        if message is None:
            message = self._messages[instance] = UnderWay(case, now)
            if len(self._messages) > MOST:
                self._messages.popitem(last=False)
        message.attempts += 1
        message.last = now
        domain = case.recipient.rpartition("@")[2]
        if domain not in message.domains and len(message.domains) < SAMPLES:
            message.domains.append(domain)

    def ended(self, instance: str) -> UnderWay | None:
        """Return what is known of a message, and forget it."""
        return self._messages.pop(instance, None) if self._messages else None

    def abandoned(self, now: float) -> list[UnderWay]:
        """Return, and forget, the messages that will have no end."""
        lost = [key for key, message in self._messages.items() if not 0 <= now - message.last < ABANDONED]
        return [self._messages.pop(key) for key in lost]
