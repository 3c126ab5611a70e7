"""A daemon whose check does what the sender's local part says, in place of a real one (settings: ``[greylist]``)."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

if "WITHOUT_UVLOOP" in os.environ:
    sys.modules["uvloop"] = None  # type: ignore[assignment]  # importing it fails

from vaglio.config.model import VaglioConfig
from vaglio.daemon.main import run
from vaglio.daemon.service import Daemon, Ports, Service
from vaglio.facts import Facts
from vaglio.ports import Schema, Table, Transaction
from vaglio.verdict import Action, Reply, Verdict


class Count(NamedTuple):
    """How often a key was seen."""

    seen: int = 0


COUNTS = Table("counts", Count)


def _count(tx: Transaction) -> int:
    record = tx.get(COUNTS, b"0" * 16) or Count()
    tx.put(COUNTS, b"0" * 16, Count(record.seen + 1))
    return record.seen + 1


class Trivial:
    """Says its process id, the help_url of the configuration, and what else the sender asks for."""

    def __init__(self, config: VaglioConfig, ports: Ports) -> None:
        self._word, self._ports = config.greylist.help_url, ports
        self._begun = False
        self._kept = 0

    async def begin(self) -> None:
        """Say so, a turn of the loop later than one might; with the word "late" when the file "go" is there."""
        await asyncio.sleep(0)
        if self._word == "late":
            self._ports.warn("begins late")
            while not (self._ports.state / "go").exists():  # it comes from another process
                await asyncio.sleep(0.01)
        self._begun = True

    async def check(self, facts: Facts) -> Verdict:
        """Do as the sender says."""
        what = facts.envelope.sender.partition("@")[0]
        if not self._begun:
            raise RuntimeError("asked before it began")
        if what == "pass":
            return Verdict(Action.PASS, "greylist", "known")
        if what == "fail":
            raise RuntimeError("as asked for")
        if what == "keep":
            self._kept += 1
        if what == "count":
            return self._deferral(f"count {await self._ports.store.transact(_count)}")
        if what == "alarm":
            self._ports.alarm("as asked for", "nothing to worry about", {})
        if what == "slow":
            self._ports.warn("judging slowly")
            await self._ports.clock.sleep(60)
        return self._deferral(what)

    def _deferral(self, what: str) -> Verdict:
        reply = Reply(450, "4.7.1", f"pid {os.getpid()} {self._word} {what}")
        return Verdict(Action.DEFER, "greylist", "first", reply, ref=self._ports.references())

    def refresh(self) -> None:
        """Nothing to read again."""

    async def write_back(self) -> None:
        """Say what was kept in memory."""
        if self._kept:
            self._ports.warn(f"{self._word} kept {self._kept}")
        self._kept = 0

    async def upkeep(self) -> float:
        """Count the rows, in a transaction of its own; again in a minute."""
        await self._ports.store.transact(_count)
        self._ports.warn("keeping up")
        return 60.0

    def gauges(self) -> Mapping[str, Mapping[str, float]]:
        """Return a figure."""
        return {"rows": {"counts": 1}}


def build(config: VaglioConfig, ports: Ports) -> Service:
    """Make the service."""
    trivial = Trivial(config, ports)
    return Service(trivial.check, trivial.refresh, trivial.upkeep, trivial.write_back, trivial.gauges, trivial.begin)


MANUAL = "NAME\n  vaglio-trivial - for tests\n"
TRIVIAL = Daemon("trivial", Schema("trivial", (COUNTS,)), MANUAL, lambda config: config.greylist, build)

if __name__ == "__main__":
    sys.exit(run(TRIVIAL))
