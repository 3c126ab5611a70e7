"""A check of messages that does as it is told and remembers what it heard, and a host of such checks."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ParamSpec

from vaglio.examination import Examination, Field, Message, Needs
from vaglio.facts import Facts
from vaglio.milter.host import Host, Manner
from vaglio.verdict import Action, Verdict

MANNER = Manner("mx.caio.it")
ALL = Needs.RECIPIENTS | Needs.HEADERS | Needs.CHUNKS | Needs.BODY
Arguments = ParamSpec("Arguments")


class Heard(Examination):
    """What one message had to say; ``calls`` are the events in their order."""

    def __init__(self, check: Listener, facts: Facts) -> None:
        self.check, self.facts = check, facts
        self.calls: list[str] = []
        self.complete: Sequence[Field] = ()
        self.chunks: list[bytes] = []
        self.recipients: list[str] = []
        self.messages: list[Message] = []

    def _called(self, event: str) -> None:
        self.calls.append(event)
        self.check.at(event)

    async def recipient(self, recipient: str) -> Verdict | None:
        self._called("recipient")
        self.recipients.append(recipient)
        return self.check.of_recipient(recipient)

    def end_of_headers(self, headers: Sequence[Field]) -> None:
        self._called("end_of_headers")
        self.complete = tuple(headers)

    def body(self, chunk: bytes) -> None:
        self._called("body")
        self.chunks.append(chunk)

    async def verdict(self, message: Message) -> Verdict:
        self._called("verdict")
        # A view of what changes later is no record of what was seen.
        self.messages.append(message._replace(headers=tuple(message.headers), earlier=dict(message.earlier)))
        return await self.check.judge(message)

    def close(self) -> None:
        self._called("close")


class Listener:
    """A check; ``judge`` gives its verdicts, ``at`` is called at each event and may raise."""

    def __init__(self, name: str = "one", needs: Needs = ALL, methods: tuple[str, ...] = ("one",)) -> None:
        self.name, self.needs, self.methods = name, needs, methods
        self.heard: list[Heard] = []
        self.at: Callable[[str], None] = lambda event: None
        self.of_recipient: Callable[[str], Verdict | None] = lambda recipient: None
        self.given = Verdict(Action.PASS, name, "fine")

    @property
    def last(self) -> Heard:
        """What the last message had to say."""
        return self.heard[-1]

    async def judge(self, message: Message) -> Verdict:
        return self.given

    def examine(self, facts: Facts) -> Examination:
        self.at("examine")
        self.heard.append(Heard(self, facts))
        return self.heard[-1]

    def raises(self, where: str) -> Listener:
        """Have it raise at an event; return it."""

        def at(event: str) -> None:
            if event == where:
                raise ZeroDivisionError(f"in {where}")

        self.at = at
        return self


async def unguarded(
    facts: Facts, work: Callable[Arguments, Coroutine[Any, Any, Verdict]], *args: Arguments.args,
    **more: Arguments.kwargs,
) -> Verdict:  # fmt: skip
    """Await a judgement as it is."""
    return await work(*args, **more)


class Hosting:
    """A host of checks, and what it recorded."""

    def __init__(self, *checks: Listener, manner: Manner = MANNER) -> None:
        self.recorded: list[tuple[Facts, Verdict]] = []
        self.host = Host(checks, unguarded, unguarded, self._record, manner)

    def _record(self, facts: Facts, verdict: Verdict, seconds: float) -> None:
        assert seconds >= 0
        self.recorded.append((facts, verdict))
