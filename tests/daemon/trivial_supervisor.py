"""A supervisor over workers that do nothing but what the test's options say; stderr tells what happens."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from vaglio.daemon.lifeline import SIGNALS, Lifeline
from vaglio.daemon.notify import Notifier, watchdog_interval
from vaglio.daemon.prefork import Limits, Supervisor

options = argparse.ArgumentParser()
options.add_argument("--workers", type=int, default=1)
options.add_argument("--start", type=float, default=60.0)
options.add_argument("--hung", type=float, default=30.0)
options.add_argument("--stop", type=float, default=10.0)
options.add_argument("--end", type=int, help="workers end at once, with this status")
options.add_argument("--deaf", action="store_true", help="workers ignore SIGTERM")
options.add_argument("--gate", action="store_true", help="a worker waits for a line on stdin before it is ready")
options.add_argument("--never", type=int, help="the worker of this number is never ready")
options.add_argument("--config", type=Path, help="a configuration, good if it says so")
asked = options.parse_args()


def say(text: str) -> None:
    os.write(2, f"{text}\n".encode())  # one write: lines of several processes do not mix


def work(number: int, lifeline: Lifeline) -> int:
    if asked.end is not None:
        return int(asked.end)
    say(f"worker {number} starts as {os.getpid()}")
    if asked.gate:
        os.read(0, 1)
    if number == asked.never:
        signal.pause()
    lifeline.ready()
    say(f"worker {number} serves")
    while lifeline.beat():
        heard = signal.sigtimedwait(SIGNALS, 0.05)
        if heard and heard.si_signo == signal.SIGHUP:
            say(f"worker {number} reloads")
            lifeline.reloaded()
        elif heard and not asked.deaf:
            say(f"worker {number} stops")
            return 0
    say(f"worker {number} is alone")
    return 0


def reload() -> bool:
    assert asked.config is not None
    return "good" in asked.config.read_text()


limits = Limits(asked.start, asked.hung, asked.stop, watchdog_interval(os.environ))


def gone(pid: int) -> None:
    say(f"{pid} is gone")


supervisor = Supervisor(asked.workers, work, reload, gone, Notifier(os.environ), say, say, limits)
sys.exit(supervisor.run())
