"""What systemd is told, and how."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.daemon.processes import manager
from vaglio.daemon.clock import monotonic
from vaglio.daemon.notify import Notifier, watchdog_interval


def test_each_state_is_a_datagram(tmp_path: Path) -> None:
    with manager(tmp_path) as systemd:
        notifier = Notifier(systemd.environ)
        notifier.ready()
        notifier.watchdog()
        notifier.status("two\nlines")
        notifier.stopping()
        told = [systemd.next(ignore="-") for _ in range(4)]
    assert told == ["READY=1", "WATCHDOG=1", "STATUS=two lines", "STOPPING=1"]


def test_a_reload_carries_the_monotonic_time(tmp_path: Path) -> None:
    with manager(tmp_path) as systemd:
        before = monotonic()
        Notifier(systemd.environ).reloading()
        first, second = systemd.sock.recv(200).decode().splitlines()
    assert first == "RELOADING=1"
    assert before * 1_000_000 - 1 <= int(second.removeprefix("MONOTONIC_USEC=")) <= monotonic() * 1_000_000


def test_an_abstract_socket_is_spoken_to() -> None:
    name = f"vaglio-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name}")
        sock.settimeout(5)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert sock.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "@nobody-listens", "relative", "/" + "x" * 200])
def test_nobody_to_tell_is_no_error(address: str) -> None:
    Notifier({"NOTIFY_SOCKET": address}).ready()
    Notifier({}).ready()


def test_the_watchdog_is_due_at_half_the_time_that_systemd_allows() -> None:
    assert watchdog_interval({"WATCHDOG_USEC": "30000000"}) == 15.0
    assert watchdog_interval({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}) == 15.0


@pytest.mark.parametrize(
    "environ", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"}]
)
def test_there_may_be_no_watchdog(environ: dict[str, str]) -> None:
    assert watchdog_interval(environ) is None
