"""Real Postfixes that ask milters about what smtp-source sends, and throw it away: each has a milter of its
own, or none.

They live in the lab (lab/space.py), so nothing of the machine's own Postfix is touched. The milters do not, so that
they find the benchmark's name server.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from bench.messages import HELO, RECIPIENT, SENDER
from lab.postfix import MailHost, Postfix
from lab.space import Space

SESSIONS = 20

_SETTINGS = {
    "virtual_transport": "discard:",
    "milter_default_action": "tempfail",  # a milter that is not there must be noticed
    "smtpd_peername_lookup": "no",
}


class Relays:
    """A Postfix for each of the names, which are those of ``milters``: path of the milter's socket, None for none."""

    def __init__(self, space: Space, milters: Mapping[str, Path | None]) -> None:
        self._space = space
        self._hosts = {
            name: _postfix(space, number, path) for number, (name, path) in enumerate(milters.items(), start=1)
        }

    def rate(self, name: str, message: Path, count: int) -> float:
        """Return how many messages a second it took in, one in each SMTP session. LabError if one was refused."""
        begin = time.perf_counter()
        self._space.run(
            "smtp-source", "-s", str(SESSIONS), "-m", str(count), "-f", SENDER, "-t", RECIPIENT, "-M", HELO,
            "-F", str(message), f"inet:{self._hosts[name].host.address}:25",
        )  # fmt: skip
        return count / (time.perf_counter() - begin)


def _postfix(space: Space, number: int, milter: Path | None) -> Postfix:
    # The client is the same host, by the same address: one that the benchmark's SPF record allows.
    settings = _SETTINGS | ({"smtpd_milters": f"unix:{milter}"} if milter else {})
    return Postfix(space, MailHost(f"mx{number}.rcpt.example", f"203.0.113.{number}", "rcpt.example", settings))
