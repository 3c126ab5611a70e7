"""A milter for the benchmark: its one check has the host keep bodies, and takes in each piece as a hasher does.

    python -m bench.bodies --config FILE --listen SOCKET
"""

from __future__ import annotations

import sys

from vaglio.config.model import VaglioConfig
from vaglio.daemon.main import run
from vaglio.daemon.service import Daemon, Hosted, Milter, Ports, Service
from vaglio.examination import Examination, Message, Needs
from vaglio.facts import Facts
from vaglio.verdict import Action, Verdict

NAME = "bodies"


class _Reading(Examination):
    async def verdict(self, message: Message) -> Verdict:  # noqa: ARG002  # it is enough that it is there
        return Verdict(Action.PASS, NAME, "read")


class Reader:
    """The check."""

    name = NAME
    methods: tuple[str, ...] = ()
    needs = Needs.HEADERS | Needs.CHUNKS | Needs.BODY

    def examine(self, facts: Facts) -> Examination:  # noqa: ARG002  # whoever it is from
        """Begin with a message."""
        return _Reading()


def build(config: VaglioConfig, ports: Ports) -> Service:  # noqa: ARG001  # it needs nothing
    """Put the milter together for one worker."""
    return Service(Milter([Hosted(Reader(), config.chain[NAME])]))


DAEMON = Daemon(
    name=f"chain.{NAME}",
    schema=None,
    manual=__doc__ or "",
    settings=lambda config: config.chain[NAME],
    build=build,
)

if __name__ == "__main__":
    sys.exit(run(DAEMON))
