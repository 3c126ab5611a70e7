"""Whether work takes time in proportion to its size, on this machine and at this moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf

TIMES = 8
"""How many times as large the second size is. Time grows as much, or by its square where something is wrong."""
_FEWEST, _MOST = 3, 30
"""Rounds."""
_HOPELESS = 2.0
"""Seconds."""


def in_proportion(prepare: Callable[[int], Callable[[], object]], size: int) -> bool:
    """Say whether the work that ``prepare`` returns for a size takes no more than three times ``TIMES`` as long for
    ``TIMES`` the size.

    Both take turns, and the shortest time of each counts: whatever else the machine does can but make it longer. It is
    tried again as long as it might be that. What takes less than some milliseconds says nothing.
    """
    one, many = prepare(size), prepare(TIMES * size)
    short = long = inf
    for rounds in range(1, _MOST + 1):
        short, long = min(short, _seconds(one)), min(long, _seconds(many))
        if rounds >= _FEWEST and long < 3 * TIMES * short + 0.005:
            return True
        if long > _HOPELESS:
            return False
    return False


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
