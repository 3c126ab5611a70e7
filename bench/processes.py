"""What Linux knows of processes and of the machine: time used, memory, how busy the processors are (proc(5))."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_TICK = os.sysconf("SC_CLK_TCK")


class Memory(NamedTuple):
    """Bytes: resident, and with shared pages divided among those who share them."""

    rss: int
    pss: int


def family(pid: int) -> list[int]:
    """Return ``pid`` and all its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


def used_seconds(pid: int) -> float:
    """Return the processor time of ``pid`` and its descendants, also of those that ended, user and system."""
    return sum(_ticks(one) for one in family(pid)) / _TICK


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15]))  # utime, stime, and those of children that ended; counted from behind the name


def memory(pid: int) -> Memory:
    """Return what ``pid`` alone takes."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, value = line.partition(":")
        found[name] = int(value.split()[0]) * 1024
    return Memory(found["Rss"], found["Pss"])


def busy_seconds() -> float:
    """Return the time that all processors together were at work since the start, for us or for the hypervisor."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / _TICK


def cores() -> list[int]:
    """Return the processors that we may use."""
    return sorted(os.sched_getaffinity(0))
