"""Waiting for what other processes do, with a limit. The only place of the lab that reads the clock or sleeps."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from typing import TypeVar

T = TypeVar("T")


class LabError(Exception):
    """The lab could not be set up, or did not do what was awaited; the text says what and where to look."""


class Unavailable(LabError):
    """The lab can't be on this machine: a package or a privilege is missing. Tests skip then."""


def until(ready: Callable[[], T], what: str, seconds: float = 60, step: float = 0.02) -> T:
    """Return the first true value of ``ready()``; LabError naming ``what`` if there was none within ``seconds``."""
    limit = time.monotonic() + seconds
    while not (value := ready()):
        if time.monotonic() > limit:
            raise LabError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(step)
    return value


def clock() -> float:
    """Return seconds of a clock that never jumps."""
    return time.monotonic()


def end(process: subprocess.Popen[bytes]) -> None:
    """End a program of somebody else's. A signal that comes while it is starting may get lost: ask again, then kill."""
    for _ in range(5):
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(2)
            return
    process.kill()
    process.wait(10)


def now() -> str:
    """Return the date and time, as a letter has it (RFC 5322 3.3)."""
    return formatdate(time.time(), localtime=True)
