"""The parent process, over workers that do nothing (``trivial_supervisor.py``)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.daemon.processes import Process, manager

SCRIPT = "trivial_supervisor.py"


def test_a_killed_worker_is_replaced() -> None:
    with Process(SCRIPT) as daemon:
        old = int(daemon.line(r"worker 0 starts as (\d+)")[1])
        daemon.line("worker 0 serves")
        os.kill(old, signal.SIGKILL)
        daemon.line(rf"worker 0 \(pid {old}\) was killed by SIGKILL; another one starts in 0\.1 s")
        assert int(daemon.line(r"worker 0 starts as (\d+)")[1]) != old
        daemon.line("worker 0 serves")


def test_the_others_are_left_alone_when_a_worker_dies() -> None:
    with Process(SCRIPT, "--workers", "2") as daemon:
        pids = {found[1]: int(found[2]) for found in (daemon.line(r"worker (\d) starts as (\d+)") for _ in range(2))}
        daemon.line("ready")
        os.kill(pids["1"], signal.SIGKILL)
        daemon.line("worker 1 starts as")
        os.kill(daemon.pid, signal.SIGTERM)
        assert daemon.status() == 0
        assert daemon.seen.count("worker 0 starts") == 1


def test_the_pause_before_a_restart_doubles() -> None:
    with Process(SCRIPT, "--end", "1") as daemon:
        for pause in ("0.1", "0.2", "0.4"):
            daemon.line(rf"ended with status 1; another one starts in {pause} s")


@pytest.mark.parametrize("status", [69, 78])
def test_a_first_start_without_hope_ends_the_daemon_with_the_workers_status(status: int) -> None:
    with Process(SCRIPT, "--workers", "2", "--end", str(status)) as daemon:
        assert daemon.status() == status
        assert "another one" not in daemon.seen


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_passed_on_to_all_workers_and_awaited(number: signal.Signals) -> None:
    with Process(SCRIPT, "--workers", "2") as daemon:
        daemon.line("ready")
        os.kill(daemon.pid, number)
        assert daemon.status() == 0
        assert "worker 0 stops" in daemon.seen
        assert "worker 1 stops" in daemon.seen


def test_a_worker_that_does_not_end_is_killed_and_the_stop_was_not_clean() -> None:
    with Process(SCRIPT, "--deaf", "--stop", "0.1") as daemon:
        daemon.line("ready")
        os.kill(daemon.pid, signal.SIGTERM)
        daemon.line("killing workers that did not end")
        assert daemon.status() == os.EX_SOFTWARE


def test_a_worker_without_sign_of_life_is_killed_and_replaced() -> None:
    with Process(SCRIPT, "--hung", "0.3") as daemon:
        pid = int(daemon.line(r"starts as (\d+)")[1])
        daemon.line("ready")
        os.kill(pid, signal.SIGSTOP)
        daemon.line(rf"worker 0 \(pid {pid}\) gave no sign of life")
        daemon.line("worker 0 serves")


def test_a_worker_that_never_becomes_ready_is_killed_and_replaced_after_ever_longer_pauses() -> None:
    with Process(SCRIPT, "--workers", "2", "--never", "1", "--start", "0.2") as daemon:
        for pause in ("0.1", "0.2", "0.4"):
            pid = int(daemon.line(r"worker 1 starts as (\d+)")[1])
            daemon.line(rf"worker 1 \(pid {pid}\) was not ready within 0\.2 s")
            daemon.line(rf"worker 1 \(pid {pid}\) was killed by SIGKILL; another one starts in {pause} s")
        assert daemon.seen.count("worker 0 starts") == 1
        assert "\nready" not in daemon.seen


def test_workers_end_when_the_parent_is_killed() -> None:
    with Process(SCRIPT, "--workers", "3") as daemon:
        daemon.line("ready")
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.end()  # stderr ends with the last worker
        assert daemon.seen.count("is alone") == 3


def test_systemd_hears_ready_reloading_and_stopping_in_order(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("good")
    with manager(tmp_path) as systemd, Process(SCRIPT, "--config", config, environ=systemd.environ) as daemon:
        assert systemd.next() == "READY=1"
        os.kill(daemon.pid, signal.SIGHUP)
        assert systemd.next() == "RELOADING=1"
        assert systemd.next() == "READY=1"
        os.kill(daemon.pid, signal.SIGTERM)
        assert systemd.next() == "STOPPING=1"
        assert daemon.status() == 0


def test_systemd_hears_ready_only_when_every_worker_is(tmp_path: Path) -> None:
    args = (SCRIPT, "--workers", "2", "--gate")
    with manager(tmp_path) as systemd, Process(*args, environ=systemd.environ) as daemon:
        for _ in range(2):
            daemon.line("starts as")
        daemon.say("")
        daemon.line("worker . serves")
        assert systemd.has_nothing()
        daemon.say("")
        assert systemd.next() == "READY=1"


def test_a_good_configuration_reaches_all_workers(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("good")
    with Process(SCRIPT, "--workers", "2", "--config", config) as daemon:
        daemon.line("ready")
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.line("ready")
        assert "worker 0 reloads" in daemon.seen
        assert "worker 1 reloads" in daemon.seen


def test_a_bad_configuration_reaches_no_worker(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("bad")
    with manager(tmp_path) as systemd, Process(SCRIPT, "--config", config, environ=systemd.environ) as daemon:
        assert systemd.next() == "READY=1"
        os.kill(daemon.pid, signal.SIGHUP)
        assert systemd.next() == "RELOADING=1"
        assert systemd.next() == "READY=1"
        os.kill(daemon.pid, signal.SIGTERM)
        assert daemon.status() == 0
        assert "reloads" not in daemon.seen


def test_a_signal_does_not_kill_a_worker_that_is_still_starting(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("good")
    with Process(SCRIPT, "--gate", "--config", config) as daemon:
        daemon.line("starts as")
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.say("")
        daemon.line("worker 0 serves")
        daemon.line("worker 0 reloads")
        assert daemon.seen.count("starts as") == 1


def test_the_watchdog_is_fed_while_all_workers_live(tmp_path: Path) -> None:
    with manager(tmp_path) as systemd, Process(SCRIPT, environ={**systemd.environ, "WATCHDOG_USEC": "100000"}):
        heard = [systemd.next() for _ in range(5)]
    assert heard.count("WATCHDOG=1") == 4
    assert heard.count("READY=1") == 1


def test_the_watchdog_is_not_fed_while_a_worker_is_missing(tmp_path: Path) -> None:
    with manager(tmp_path) as systemd:
        environ = {**systemd.environ, "WATCHDOG_USEC": "20000"}
        with Process(SCRIPT, "--hung", "0.05", "--end", "1", environ=environ) as daemon:
            daemon.line(r"starts in 0\.4 s")
            while not systemd.has_nothing():
                systemd.next()
            daemon.line(r"starts in 0\.8 s")
            fed = 0
            while not systemd.has_nothing():
                fed += systemd.next() == "WATCHDOG=1"
    assert fed < 15  # every 10 ms would be 40 times
