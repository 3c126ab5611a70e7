"""The front of a daemon that is asked by Postfix's policy protocol."""

from __future__ import annotations

from collections.abc import Callable

from vaglio.config.model import VaglioConfig
from vaglio.config.types import DaemonSection
from vaglio.daemon.accept import Acceptor
from vaglio.daemon.clock import timer
from vaglio.daemon.front import Listening, Surroundings
from vaglio.daemon.guard import Guard
from vaglio.daemon.service import Milter, Service
from vaglio.facts import Facts
from vaglio.policy.serve import Server
from vaglio.ports import StoreError
from vaglio.verdict import Verdict

MAX_CONNECTIONS = 10_000
"""Of one worker. Postfix has one for each smtpd process, 100 by default."""


class PolicyFront(Listening):
    """Postfix's policy protocol."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._policy = server = Server(around.turn, around.settle, self._failed, around.record, timer, around.warn)
        acceptor = Acceptor(
            around.listeners, server, lambda: server.connections, MAX_CONNECTIONS, around.warn, around.has_most
        )
        super().__init__(server, acceptor)

    def _failed(self, facts: Facts, error: StoreError) -> Verdict:
        return self._guard.failed(facts, error)

    def fit(self, service: Service, section: DaemonSection, config: VaglioConfig) -> Callable[[], None]:  # noqa: ARG002
        """Put a check behind the guard."""
        around, check = self._around, service.work
        assert not isinstance(check, Milter)
        guard = Guard(around.name, section.on_error, section.mode, section.deadline, around.note_failure)

        def use() -> None:
            self._guard = guard
            self._policy.answer = lambda facts: guard.begin(facts, check, facts)

        return use
