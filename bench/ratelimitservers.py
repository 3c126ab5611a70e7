"""The servers of the benchmark of rate limits: ours, and Debian's policyd-rate-limit, which counts in SQLite too; and
what each has counted, as its store has it.
"""

from __future__ import annotations

import getpass
import grp
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.servers import BenchError, Daemon, Server
from vaglio.checks.ratelimit.limits import DISTINCT, Kind, parse_limits
from vaglio.checks.ratelimit.settings import RatelimitSettings, Rule
from vaglio.checks.ratelimit.usage import decode, rule_tag
from vaglio.config.types import format_duration

RAISED = ("1000000/1h", "10000000/1d")
"""Limits that no run reaches."""
TIGHT = ("10/1m", "150/1d")
"""Those of policyd-rate-limit as Debian ships it."""

PACKAGED = Path("/usr/lib/python3/dist-packages/policyd_rate_limit/policyd-rate-limit.yaml")
"""The configuration in the package."""


def shipped() -> list[Rule]:
    """Return the rules that ship, with limits that nobody reaches where they count amounts."""
    return [_raised(rule) for rule in RatelimitSettings().rule]


def _raised(rule: Rule) -> Rule:
    kind = Kind(rule.count)
    if kind in DISTINCT:
        return rule  # beyond such a limit nothing is remembered any more: a raised one would be another measurement
    windows = (format_duration(limit.seconds) for limit in parse_limits(rule.limits, kind))
    return rule.model_copy(update={"limits": [f"1000000/{window}" for window in windows]})


def per_user(limits: Sequence[str]) -> list[Rule]:
    """Return the first of the rules that ship, which counts a user's recipients, alone and with other limits."""
    return [shipped()[0].model_copy(update={"limits": list(limits)})]


class Ratelimit(Daemon):
    """Our daemon, as it is by default but for its rules."""

    program = "vaglio-ratelimit"
    stage = "END-OF-MESSAGE"
    passed, refused = "DUNNO", "450"

    def __init__(self, directory: Path, cores: Sequence[int], rules: Sequence[Rule], workers: int = 1) -> None:
        super().__init__(directory, cores, "".join(map(_toml, rules)), workers)
        self._tag = rule_tag(rules[0].name, rules[0].count)

    def counted(self) -> int:
        """Return what the first rule has counted for all users. Raises BenchError if its windows do not agree."""
        totals: Counter[int] = Counter()
        for (state,) in _rows(self.database, "SELECT state FROM usage"):
            counts = decode(state).get(self._tag)
            totals.update({seconds: window.total for seconds, window in counts.windows.items()} if counts else {})
        if len(set(totals.values())) > 1:
            raise BenchError(f"the windows of one rule counted differently, in seconds: {dict(totals)}")
        return max(totals.values(), default=0)


def _toml(rule: Rule) -> str:
    settings = rule.model_dump(exclude_unset=True)
    return "[[ratelimit.rule]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())


class PolicydRateLimit(Server):
    """Debian's policyd-rate-limit, with its SQLite store; it logs nothing but trouble, which is in its favour."""

    name = "policyd-rate-limit"
    passed, refused = "dunno", "defer_if_permit"

    def __init__(self, directory: Path, cores: Sequence[int], limits: Sequence[str]) -> None:
        super().__init__(directory, cores)
        self._limits = [list(limit) for limit in parse_limits(limits, Kind.MESSAGES)]
        # Before 1.2 it counted at RCPT, since then at DATA; asked elsewhere it lets everything through, uncounted.
        self.stage = "DATA" if "count_mode" in PACKAGED.read_text() else "RCPT"

    def command(self) -> list[str]:
        """Return the command and its arguments."""
        config = self.directory / "config.yaml"
        settings = {
            "debug": False,
            "user": getpass.getuser(),
            "group": grp.getgrgid(os.getgid()).gr_name,
            "pidfile": f"{self.directory}/pid",
            "sqlite_config": {"database": str(self._database)},
            "SOCKET": ["127.0.0.1", self.port],
            "limits": self._limits,
            "count_mode": 1,  # this one and the next from version 1.2 on, as Debian has them
            "sql_limits_by_id": "",
        }
        config.write_text(json.dumps(settings))  # which is YAML too
        return ["/usr/bin/policyd-rate-limit", "--file", str(config)]

    @property
    def _database(self) -> Path:
        return self.directory / "db.sqlite3"

    def counted(self) -> int:
        """Return how many messages it has counted: each is a row."""
        found: int = next(_rows(self._database, "SELECT count(*) FROM mail_count"))[0]
        return found


def _rows(database: Path, query: str) -> Iterator[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        yield from connection.execute(query)
