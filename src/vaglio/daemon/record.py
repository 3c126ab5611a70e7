"""What remains of an answer: one log line, one metric, and, unless it is a plain pass, one journal entry.

It stands on the way of every request, after the answer went out: no I/O of its own, and no value that a client may
send makes it raise.
"""

from __future__ import annotations

from collections.abc import Callable

from vaglio.daemon.log import Log
from vaglio.daemon.metrics import Meter
from vaglio.facts import Facts
from vaglio.journal.entry import Entry
from vaglio.journal.writer import JournalWriter
from vaglio.verdict import FORGED, Verdict


class Recorder:
    """Keeps account of answers; ``host`` is the mail server's own name, for the journal."""

    def __init__(
        self,
        log: Log,
        metrics: Meter,
        journal: JournalWriter | None,
        daemon: str,
        now: Callable[[], float],
        host: str = "",
    ) -> None:
        self._log = log
        self._metrics = metrics
        self._journal = journal
        self._daemon = daemon
        self._now = now
        self._host = host

    def __call__(self, facts: Facts, verdict: Verdict, seconds: float) -> None:
        """Record that ``verdict`` was given for ``facts`` after ``seconds``."""
        now = self._now()
        self._log.decision(facts, verdict, seconds, now)
        self._metrics.request(verdict.action, verdict.reason, seconds)
        if forged := verdict.facts.get(FORGED):
            self._metrics.forged(int(forged))
        if self._journal and verdict.journalled:
            self._journal.record(Entry.of(facts, verdict, now, self._daemon, self._host))
