"""The failure policy: whatever goes wrong in a check, the client gets an answer and the connection lives on.

This is the only place in the project that catches ``Exception``. A bug, a store that fails and a missed deadline
become the verdict that ``on_error`` names; rehearsal turns what would have been done into a pass. It does not judge,
and it does not stop a check that computes without ever awaiting: that is the watchdog's part.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from typing import Literal

from vaglio.daemon import clock
from vaglio.daemon.log import Throttle
from vaglio.daemon.service import Check
from vaglio.eager import Rest, start
from vaglio.facts import Facts
from vaglio.ports import StoreError
from vaglio.verdict import FAILED, TIMED_OUT, Action, Reply, Verdict

TROUBLE = Reply(451, "4.3.0", "Temporary problem on our side, please try again later")
"""What a client hears when ``on_error = "defer"`` decides (RFC 5321 4.2.3, RFC 3463 3.4)."""

QUIET = 60.0
"""Seconds for which the same failure is logged only once."""

_log = logging.getLogger("vaglio.guard")


class Late(Exception):
    """The check missed its deadline."""


class Guard:
    """Answers in place of ``check``, always: ``await guard(facts)`` raises nothing but what cancels a task.

    ``name`` is the daemon's. ``deadline`` is in seconds, counted from the moment the check first has to wait.
    ``failed_hook`` is told of every failure, with None for a missed deadline; it must not raise. ``monotonic`` is a
    clock in seconds.
    """

    def __init__(
        self,
        check: Check,
        name: str,
        on_error: Literal["pass", "defer"],
        mode: Literal["enforce", "rehearse"],
        deadline: float,
        failed_hook: Callable[[BaseException | None, Facts], None],
        monotonic: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._check = check
        self._name = name
        self._on_error = on_error
        self._rehearse = mode == "rehearse"
        self._deadline = deadline
        self._failed_hook = failed_hook
        self._seldom = Throttle(QUIET, monotonic)

    async def __call__(self, facts: Facts) -> Verdict:
        """Return the check's verdict, or that of the failure policy."""
        try:
            outcome = start(self._check(facts))
            verdict = await self._in_time(outcome) if isinstance(outcome, Rest) else outcome
        except Exception as error:  # noqa: BLE001  # the one place that does (see above)
            return self.failed(facts, error)
        return rehearsed(verdict) if self._rehearse else verdict

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


def rehearsed(verdict: Verdict) -> Verdict:
    """Return what a rehearsal answers in place of ``verdict``: mail passes untouched, without header or reply.

    What would have been done stays in ``rehearsed``; facts, reason and reference are kept for the journal.
    """
    if verdict.action is Action.PASS:
        return verdict._replace(headers=()) if verdict.headers else verdict
    return verdict._replace(action=Action.PASS, rehearsed=verdict.action, reply=None, headers=(), immediate=False)


def _place(error: BaseException) -> Hashable:
    """Where ``error`` was raised: equal for the same failure, whatever its words."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return type(error), trace and (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
