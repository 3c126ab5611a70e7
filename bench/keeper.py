"""Stays with a program that goes into the background, and ends all that it left when it is ended itself (SIGTERM).

What loses its parent becomes a child of this process (a subreaper, prctl(2)), so that its processor time can be counted
and nothing outlives a benchmark.

    python -m bench.keeper COMMAND ARGUMENT...
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

from bench.processes import family

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_PATIENCE = 5.0
"""Seconds that the program's processes have to end."""


def _end(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    limit = time.monotonic() + _PATIENCE
    number = signal.SIGTERM
    while left := _others():
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        time.sleep(0.1)
        while _reaped():
            pass
        if time.monotonic() > limit:
            number = signal.SIGKILL
    sys.exit(0)


def _others() -> list[int]:
    while True:
        with suppress(OSError):  # one of them ended while we looked
            return family(os.getpid())[1:]


def _reaped() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def main() -> int:
    """Run the command and wait until nothing of it is left; return the command's exit status."""
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, _end)
    status = subprocess.call(sys.argv[1:])
    with suppress(ChildProcessError):
        while True:
            os.wait()
    return status


if __name__ == "__main__":
    sys.exit(main())
