"""The failure policy: whatever goes wrong in a check, the client gets an answer and the connection lives on.

This is the only place in the project that catches ``Exception``. A bug, a store that fails and a missed deadline
become the verdict that ``on_error`` names; rehearsal turns what would have been done into a pass. It does not judge,
and it does not stop a check that computes without ever awaiting: that is the watchdog's part.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import Any, Literal, ParamSpec, TypeVar

from vaglio.daemon import clock
from vaglio.daemon.log import Throttle
from vaglio.eager import Rest, start
from vaglio.examination import Examination, Field, Message, MessageCheck
from vaglio.facts import Facts
from vaglio.ports import StoreError
from vaglio.text import is_field_name
from vaglio.verdict import FAILED, REHEARSAL, TIMED_OUT, Action, AuthResult, Reply, Verdict

TROUBLE = Reply(451, "4.3.0", "Temporary problem on our side, please try again later")
"""What a client hears when ``on_error = "defer"`` decides (RFC 5321 4.2.3, RFC 3463 3.4)."""

QUIET = 60.0
"""Seconds for which the same failure is logged only once."""

Arguments = ParamSpec("Arguments")
T = TypeVar("T")

_log = logging.getLogger("vaglio.guard")


class Late(Exception):
    """The check missed its deadline."""


class Guard:
    """Has an answer, always: ``await guard(facts, work, ...)`` raises nothing but what cancels a task.

    ``name`` is the check's or the daemon's. ``deadline`` is in seconds, counted from the moment the check first has to
    wait. ``failed_hook`` is told of every failure, with None for a missed deadline; it must not raise. ``monotonic`` is
    a clock in seconds. ``results`` are fields that only tell results: a rehearsal leaves these, as it leaves
    ``Verdict.results``.
    """

    def __init__(
        self,
        name: str,
        on_error: Literal["pass", "defer"],
        mode: Literal["enforce", "rehearse"],
        deadline: float,
        failed_hook: Callable[[BaseException | None, Facts], None],
        monotonic: Callable[[], float] = clock.monotonic,
        results: Sequence[str] = (),
    ) -> None:
        self._name, self._results = name, results
        self._on_error = on_error
        self._rehearse = mode == "rehearse"
        self._deadline = deadline
        self._failed_hook = failed_hook
        self._seldom = Throttle(QUIET, monotonic)

    async def __call__(
        self, facts: Facts, work: Callable[Arguments, Coroutine[Any, Any, Verdict]], *args: Arguments.args,
        **more: Arguments.kwargs,
    ) -> Verdict:  # fmt: skip
        """Return the verdict that ``work`` returns for these arguments, or that of the failure policy."""
        outcome = self.begin(facts, work, *args, **more)
        return await outcome if isinstance(outcome, Rest) else outcome

    def begin(
        self, facts: Facts, work: Callable[Arguments, Coroutine[Any, Any, Verdict]], *args: Arguments.args,
        **more: Arguments.kwargs,
    ) -> Verdict | Rest[Verdict]:  # fmt: skip
        """Return the same at once, or what is left of the work where it has to wait: a coroutine less for the most."""
        try:
            outcome = start(work(*args, **more))
        except Exception as error:  # noqa: BLE001  # the one place that does (see above)
            return self.failed(facts, error)
        if isinstance(outcome, Rest):
            return start(self._awaited(facts, outcome))
        return rehearsed(outcome, self._results) if self._rehearse else outcome

    async def _awaited(self, facts: Facts, rest: Rest[Verdict]) -> Verdict:
        try:
            verdict = await self._in_time(rest)
        except Exception as error:  # noqa: BLE001
            return self.failed(facts, error)
        return rehearsed(verdict, self._results) if self._rehearse else verdict

    async def _in_time(self, rest: Rest[Verdict]) -> Verdict:
        # So far we may have run outside of any task (vaglio.eager), where a timeout can't be set; whoever drives
        # us gives us a task when we give way.
        await asyncio.sleep(0)
        limit = asyncio.timeout(self._deadline)
        try:
            async with limit:
                return await rest
        except TimeoutError as error:
            if limit.expired():
                raise Late from error
            raise  # the check's own: a bug like any other

    def failed(self, facts: Facts, error: BaseException) -> Verdict:
        """Log ``error``, tell the hook, and return the verdict of the failure policy."""
        late = isinstance(error, Late)
        self._failed_hook(None if late else error, facts)
        self._complain(error)
        verdict = self._policy(TIMED_OUT if late else FAILED)
        return rehearsed(verdict) if self._rehearse else verdict

    def _policy(self, reason: str) -> Verdict:
        if self._on_error == "pass":
            return Verdict(Action.PASS, self._name, reason)
        return Verdict(Action.DEFER, self._name, reason, TROUBLE)

    def _complain(self, error: BaseException) -> None:
        more = self._seldom(_place(error))
        if more is None:
            return
        then = f'on_error = "{self._on_error}" decides' + (f" ({more} more like it before)" if more else "")
        if isinstance(error, Late):
            _log.warning("%s: no answer within %g s; %s", self._name, self._deadline, then)
        elif isinstance(error, StoreError):
            _log.warning("%s: store: %s; %s", self._name, error, then)
        else:
            _log.error("%s: a bug in the check; %s", self._name, then, exc_info=error)


def safely(work: Callable[..., T], instead: Callable[..., T]) -> Callable[..., T]:
    """Return ``work`` as a function that raises nothing, for callers who can't bear it: a bug is logged, and
    ``instead`` answers, given the error before the arguments.
    """
    seldom = Throttle(QUIET, clock.monotonic)

    def safe(*arguments: Any) -> T:
        try:
            return work(*arguments)
        except Exception as error:  # noqa: BLE001  # see the top
            more = seldom(_place(error))
            if more is not None:
                _log.error("a bug in the engine (%d more like it before)", more, exc_info=error)
            return instead(error, *arguments)

    return safe


def rehearsed(verdict: Verdict, results: Sequence[str] = ()) -> Verdict:
    """Return what a rehearsal answers in place of ``verdict``: mail passes untouched, without reply, and without header
    but for ``results``.

    What would have been done stays in ``rehearsed``, and that the header would have been changed in a fact; facts,
    reason and reference are kept for the journal.
    """
    if verdict.headers or verdict.changes:
        left = tuple(one for one in verdict.headers if one.name in results)
        if verdict.changes or len(left) < len(verdict.headers):
            verdict = verdict._replace(headers=left, changes=(), facts={**verdict.facts, REHEARSAL: True})
    if verdict.action is Action.PASS:
        return verdict
    return verdict._replace(action=Action.PASS, rehearsed=verdict.action, reply=None, immediate=False)


class GuardedCheck:
    """A check of messages, each part of which may fail at the cost of its own result alone: that is ``temperror`` then,
    and ``guard`` says what else.
    """

    def __init__(self, check: MessageCheck, guard: Guard) -> None:
        self._check, self.guard = check, guard
        self.name, self.methods, self.needs = check.name, check.methods, check.needs

    def examine(self, facts: Facts) -> Examination:
        """Begin with a message."""
        try:
            return _Guarded(self, facts, self._check.examine(facts))
        except Exception as error:  # noqa: BLE001  # here and below: see the top
            return _Guarded(self, facts, Examination(), error)


class _Guarded(Examination):
    """An examination that goes on after a bug in what it guards, and remembers the first one for the verdict."""

    __slots__ = ("_check", "_error", "_facts", "_inner")

    def __init__(self, check: GuardedCheck, facts: Facts, inner: Examination, error: Exception | None = None) -> None:
        self._check, self._facts, self._inner, self._error = check, facts, inner, error

    async def recipient(self, recipient: str) -> Verdict | None:
        envelope = self._facts.envelope._replace(recipient=recipient)
        return await self._check.guard(self._facts._replace(envelope=envelope), self._recipient, recipient)

    async def _recipient(self, recipient: str) -> Verdict:
        self._raise()
        return await self._inner.recipient(recipient) or Verdict(Action.PASS, self._check.name, "")

    def end_of_headers(self, headers: Sequence[Field]) -> None:
        try:
            self._inner.end_of_headers(headers)
        except Exception as error:  # noqa: BLE001
            self._note(error)

    def body(self, chunk: bytes) -> None:
        try:
            self._inner.body(chunk)
        except Exception as error:  # noqa: BLE001
            self._note(error)

    async def verdict(self, message: Message) -> Verdict:
        verdict = await self._check.guard(message.facts, self._verdict, message)
        if verdict.reason in (FAILED, TIMED_OUT):
            # RFC 8601 2.7: "some error that is likely transient in nature"
            return verdict._replace(results=tuple(AuthResult(one, "temperror") for one in self._check.methods))
        return verdict

    async def _verdict(self, message: Message) -> Verdict:
        self._raise()
        verdict = await self._inner.verdict(message)
        names = [one.name for edits in (verdict.headers, verdict.changes) for one in edits]
        for name in names:
            if not is_field_name(name):
                raise ValueError(f"{name!r} is no name of a header field")
        return verdict

    def close(self) -> None:
        try:
            self._inner.close()
        except Exception as error:  # noqa: BLE001
            self._check.guard.failed(self._facts, error)  # the verdict is given: all that is left is to tell

    def _note(self, error: Exception) -> None:
        self._error = error
        self.close()  # it is in no state to hear more
        self._inner = Examination()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


def _place(error: BaseException) -> Hashable:
    """Where ``error`` was raised: equal for the same failure, whatever its words."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return type(error), trace and (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
