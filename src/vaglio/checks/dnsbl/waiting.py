"""Waits for the answers of one request, as long as they can matter and no longer than there is time.

A list counts by its weightiest entry, so what is outstanding can move its weight between what it has and what it can
have at most: while no such move changes what the score leads to, nobody needs to wait. Asks nothing, judges nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, NamedTuple

from vaglio.blocklists.answers import Trouble
from vaglio.checks.dnsbl.decide import Hit, settled
from vaglio.checks.dnsbl.settings import DnsblSettings

BACKGROUND = 500
"""Questions that may go on after the verdict; then the oldest are given up."""

Bounds = tuple[float, float]
"""The least and the most that a list or rule can weigh."""


class Findings:
    """What is known of one request: ``hits``, and by list the ``trouble`` of those that gave no answer to be believed.
    Where the verdict did not wait for all, more comes in later; ``then`` is called when nothing more will.
    """

    __slots__ = ("complete", "hits", "late", "then", "trouble", "waited")

    def __init__(self) -> None:
        self.hits: list[Hit] = []
        self.trouble: dict[str, Trouble] = {}
        self.complete = True
        self.waited = False
        """Something was asked: ``hits`` may have grown since they were looked at."""
        self.late = False
        """Time was over: what comes in now says nothing of how quick a list is."""
        self.then: Callable[[], None] | None = None


class Job(NamedTuple):
    """Something to wait for. ``bounds`` tells what it can change, by the names that its hits would have; ``asked`` is
    the list whose own answer it is, "" where others have a part in it.
    """

    run: Callable[[Findings], Coroutine[Any, Any, None]]
    bounds: Mapping[str, Bounds]
    asked: str = ""


class Background:
    """What goes on after its request was answered, so that the answer is at hand next time."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], None] = {}  # in the order in which they were left

    def __len__(self) -> int:
        return len(self._tasks)

    def leave(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        """Let tasks go on, and give up the oldest where they are too many."""
        for task in tasks:
            self._tasks[task] = None
            task.add_done_callback(self._done)
        while len(self._tasks) > BACKGROUND:
            oldest = next(iter(self._tasks))
            del self._tasks[oldest]
            oldest.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)


class Outstanding:
    """The jobs of one request that are under way."""

    def __init__(self, jobs: Iterable[Job], findings: Findings, settings: DnsblSettings) -> None:
        loop = asyncio.get_running_loop()
        self._findings, self._settings = findings, settings
        self._jobs = {loop.create_task(job.run(findings)): job for job in jobs}
        self._left = Counter(name for job in self._jobs.values() for name in job.bounds)
        self._bounds = {name: bounds for job in self._jobs.values() for name, bounds in job.bounds.items()}
        self._enough: asyncio.Future[bool] = loop.create_future()
        findings.complete, findings.waited = False, True
        for task in self._jobs:
            task.add_done_callback(self._landed)

    async def wait(self, seconds: float) -> bool:
        """Wait until what is still outstanding can change nothing; False when that takes longer than ``seconds``."""
        if settled(self._findings.hits, self._bounds, self._settings):
            return True  # shadow lists, or what can't matter any more: asked, not waited for
        timer = asyncio.get_running_loop().call_later(seconds, self._over)
        try:
            return await self._enough
        finally:
            timer.cancel()

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """What is still under way."""
        return list(self._jobs)

    @property
    def asked(self) -> set[str]:
        """The lists whose own answer is still under way."""
        return {job.asked for job in self._jobs.values() if job.asked}

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._forget(self._jobs.pop(task))
        findings = self._findings
        if not self._jobs:
            findings.complete = True
            if findings.then:
                findings.then()
        error = None if task.cancelled() else task.exception()
        if self._enough.done():
            return
        if error:
            self._enough.set_exception(error)
        elif not self._jobs or settled(findings.hits, self._bounds, self._settings):
            self._enough.set_result(True)

    def _forget(self, job: Job) -> None:
        for name in job.bounds:
            self._left[name] -= 1
            if not self._left[name]:
                del self._bounds[name]

    def _over(self) -> None:
        if not self._enough.done():
            self._enough.set_result(False)
