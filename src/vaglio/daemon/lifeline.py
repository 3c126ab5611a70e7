"""What a worker and its parent have agreed on: a pipe, three words, and who handles which signals.

A worker says ready, then gives a heartbeat every second, and says "reloaded" when it has dealt with a SIGHUP. Its death
ends the pipe for the parent, and the death of the parent breaks it for the worker. Starts and stops nobody.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Blocked in a new worker until it has handlers for them: see ``Work``."""

BEAT = 1.0
"""Seconds between two heartbeats of a worker."""

READY, ALIVE, RELOADED = b"r", b".", b"c"


class Lifeline:
    """A worker's end of its pipe to the parent."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def ready(self) -> bool:
        """Say that the worker answers; False if the parent is gone."""
        return self._say(READY)

    def beat(self) -> bool:
        """Say that the worker's event loop turns; False if the parent is gone."""
        return self._say(ALIVE)

    def reloaded(self) -> bool:
        """Say that a SIGHUP was dealt with; False if the parent is gone."""
        return self._say(RELOADED)

    def _say(self, word: bytes) -> bool:
        try:
            os.write(self._fd, word)
        except BlockingIOError:
            pass  # a parent that was stopped for long: it has enough beats to read
        except BrokenPipeError:
            return False
        return True


Work = Callable[[int, Lifeline], int]
"""What a worker process does, given its number and lifeline; returns its exit status. It begins with ``SIGNALS``
blocked: it must handle them and unblock them.
"""
