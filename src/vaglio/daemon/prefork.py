"""The parent process: starts the workers, keeps them alive, passes signals on, and tells systemd how things are.

It serves nobody and opens no store, no journal and no event loop, so that there is nothing that a fork could split.
A worker is heard on its lifeline (``lifeline.py``); the end of that is the end of the worker.
"""

from __future__ import annotations

import math
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from vaglio.daemon.clock import monotonic
from vaglio.daemon.lifeline import READY, RELOADED, SIGNALS, Lifeline, Work
from vaglio.daemon.notify import Notifier

_FIRST_BACK_OFF, _LONGEST_BACK_OFF, _PROVEN = 0.1, 30.0, 60.0
_RELOAD_TIME = 10.0
_HOPELESS = (os.EX_UNAVAILABLE, os.EX_CONFIG)  # another start would end in the same way


@dataclass(slots=True)
class _Slot:
    number: int
    pid: int = 0  # 0 while no process is running
    pipe: int = -1
    ready_since: float = math.inf
    beat: float = 0.0  # the last sign of life; the birth is one
    ready: bool = False
    killed: bool = False  # for want of signs of life
    reloading: bool = False
    back_off: float = 0.0
    due: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: a worker with no heartbeat for ``hung`` is killed, so is one that takes more than ``start`` to be ready
    (a store may have a long log to read) or more than ``stop`` to end.

    ``watchdog`` is the time between two signs of life to systemd, None if it wants none.
    """

    start: float = 60.0
    hung: float = 30.0
    stop: float = 10.0
    watchdog: float | None = None


class Supervisor:
    """Runs ``count`` processes of ``work``.

    ``reload`` reads the configuration and says whether it is good; ``gone`` is told the process id of each worker
    that has ended. ``begin`` is called once, when all workers are ready and before anybody is told; where it returns
    False, the daemon ends.
    """

    def __init__(
        self,
        count: int,
        work: Work,
        reload: Callable[[], bool],
        gone: Callable[[int], None],
        notifier: Notifier,
        info: Callable[[str], None],
        warn: Callable[[str], None],
        limits: Limits = Limits(),
        begin: Callable[[], bool] = lambda: True,
    ) -> None:
        self._slots = [_Slot(number) for number in range(count)]
        self._work, self._reload, self._gone, self._notifier = work, reload, gone, notifier
        self._info, self._warn, self._limits, self._begin = info, warn, limits, begin
        self._selector = selectors.DefaultSelector()
        self._status: int | None = None  # the exit status, once we are stopping
        self._kill_at = math.inf
        self._served = False  # all workers were ready once
        self._refused = False  # the last reload found a bad configuration
        self._announced = False  # systemd was told READY=1 since the start or the last reload
        self._announce_by = math.inf
        self._watchdog_at = 0.0 if limits.watchdog else math.inf

    def run(self) -> int:
        """Run until SIGTERM or SIGINT, or until the first start proves hopeless; return the exit status."""
        hears, tells = socket.socketpair()
        with hears, tells, self._selector:
            hears.setblocking(False)
            tells.setblocking(False)
            self._selector.register(hears, selectors.EVENT_READ, partial(self._hear_signals, hears))
            signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False)
            before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
            try:
                while self._status is None or any(slot.pid for slot in self._slots):
                    self._tend(monotonic())
                    for key, _ in self._selector.select(self._pause(monotonic())):
                        key.data()
            finally:
                signal.set_wakeup_fd(-1)
                for number, handler in before.items():
                    signal.signal(number, handler)
        return self._status

    def _pause(self, now: float) -> float:
        """Return for how long there is nothing to do unless something happens; at most a second."""
        starts = [slot.due for slot in self._slots if not slot.pid and self._status is None]
        return max(0.0, min(now + 1.0, self._watchdog_at, self._announce_by, self._kill_at, *starts) - now)

    def _tend(self, now: float) -> None:
        """Do what is due by the clock."""
        if self._status is not None:
            self._kill_late_ones(now)
            return
        for slot in self._slots:
            if not slot.pid and now >= slot.due:
                self._try_to_start(slot, now)
            elif slot.pid and not slot.killed and self._is_silent(slot, now):
                self._kill_silent(slot, now)
        self._announce(now)
        if now >= self._watchdog_at and not any(self._is_silent(slot, now) for slot in self._slots):
            self._notifier.watchdog()
            self._watchdog_at = now + (self._limits.watchdog or math.inf)

    # --- workers ---

    def _is_silent(self, slot: _Slot, now: float) -> bool:
        """Tell whether there was no sign of life for longer than there may be; a starting worker gives none."""
        starting = slot.pid and not slot.ready
        return now - slot.beat > (self._limits.start if starting else self._limits.hung)

    def _kill_silent(self, slot: _Slot, now: float) -> None:
        served = f"gave no sign of life for {now - slot.beat:.0f} s"
        problem = served if slot.ready else f"was not ready within {self._limits.start:g} s"
        self._warn(f"worker {slot.number} (pid {slot.pid}) {problem}")
        slot.killed = True
        os.kill(slot.pid, signal.SIGKILL)

    def _try_to_start(self, slot: _Slot, now: float) -> None:
        try:
            self._start(slot)
        except OSError as error:  # no memory, no process, no descriptor left: the other workers serve meanwhile
            slot.due = now + _LONGEST_BACK_OFF
            self._warn(f"worker {slot.number} can't be started: {error.strerror}; again in {_LONGEST_BACK_OFF:.0f} s")

    def _start(self, slot: _Slot) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            slot.pipe, theirs = os.pipe()
            os.set_blocking(slot.pipe, False)
            os.set_blocking(theirs, False)
            try:
                slot.pid = os.fork()
            except OSError:
                os.close(slot.pipe)
                os.close(theirs)
                raise
            if not slot.pid:
                self._be_worker(slot.number, theirs)
            os.close(theirs)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        slot.beat, slot.ready_since, slot.killed = monotonic(), math.inf, False
        self._selector.register(slot.pipe, selectors.EVENT_READ, partial(self._hear_worker, slot))

    def _be_worker(self, number: int, pipe: int) -> NoReturn:
        status = os.EX_SOFTWARE
        try:
            signal.set_wakeup_fd(-1)
            for one in SIGNALS:
                signal.signal(one, signal.SIG_DFL)
            self._selector.close()
            for slot in self._slots:  # else a pipe would not break when the parent is gone
                with suppress(OSError):
                    os.close(slot.pipe)
            status = self._work(number, Lifeline(pipe))
        finally:  # never back into the parent's code, which would take its sockets away
            if (problem := sys.exc_info()[1]) is not None:
                sys.excepthook(type(problem), problem, problem.__traceback__)
            sys.stderr.flush()
            os._exit(status)

    def _hear_worker(self, slot: _Slot) -> None:
        words = os.read(slot.pipe, 4096)
        if not words:
            self._bury(slot)
            return
        slot.beat = monotonic()
        if READY in words:
            slot.ready, slot.ready_since = True, slot.beat
        slot.reloading &= RELOADED not in words

    def _bury(self, slot: _Slot) -> None:
        self._selector.unregister(slot.pipe)
        os.close(slot.pipe)
        pid, slot.pid, slot.pipe, slot.ready, slot.reloading = slot.pid, 0, -1, False, False
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self._gone(pid)
        if self._status is not None:
            return
        if not self._served and status in _HOPELESS:
            self._stop(status)
            return
        now = monotonic()
        worn = 0.0 if now - slot.ready_since >= _PROVEN else slot.back_off
        slot.back_off = min(max(2 * worn, _FIRST_BACK_OFF), _LONGEST_BACK_OFF)
        slot.due = now + slot.back_off
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        self._warn(f"worker {slot.number} (pid {pid}) {how}; another one starts in {slot.back_off:.1f} s")

    def _kill_late_ones(self, now: float) -> None:
        if now < self._kill_at:
            return
        self._kill_at = math.inf
        self._warn(f"killing workers that did not end within {self._limits.stop:.0f} s")
        self._status = self._status or os.EX_SOFTWARE
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        for slot in self._slots:
            if slot.pid:  # not waited for yet, so the number is still its own
                os.kill(slot.pid, number)

    # --- signals and systemd ---

    def _hear_signals(self, hears: socket.socket) -> None:
        for number in set(hears.recv(4096)):
            if number == signal.SIGHUP:
                self._begin_reload()
            elif number in SIGNALS:
                self._stop(os.EX_OK)

    def _stop(self, status: int) -> None:
        if self._status is None:
            self._status = status
            self._kill_at = monotonic() + self._limits.stop
            self._notifier.stopping()
            self._info("stopping")
            self._send(signal.SIGTERM)

    def _begin_reload(self) -> None:
        """Check the configuration, then have the workers read it; a bad one concerns no worker."""
        if self._status is not None:
            return
        self._notifier.reloading()
        self._announced = False
        self._announce_by = monotonic() + _RELOAD_TIME if self._served else math.inf
        self._refused = not self._reload()
        if not self._refused:
            self._send(signal.SIGHUP)
            for slot in self._slots:
                slot.reloading = bool(slot.pid)

    def _announce(self, now: float) -> None:
        """Say READY=1 when all workers are, after the start as after a reload (there with a time limit)."""
        if self._announced:
            return
        if now >= self._announce_by or all(slot.ready and not slot.reloading for slot in self._slots):
            if not self._served and not self._begin():
                self._stop(os.EX_UNAVAILABLE)
                return
            self._announced, self._served, self._announce_by = True, True, math.inf
            self._notifier.ready()
            self._notifier.status(f"{len(self._slots)} worker{'s' * (len(self._slots) > 1)}")
            self._info("goes on with the configuration that it had" if self._refused else "ready")
            self._refused = False
