"""A daemon's command: options, exit status, sockets."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.daemon.daemons import Client, Trivial
from tests.daemon.processes import HERE, Process
from vaglio import __version__
from vaglio.daemon.main import without_secrets


def test_every_problem_of_a_configuration_is_printed_and_the_status_is_78(tmp_path: Path) -> None:
    with Trivial(tmp_path, delay="5", colour='"red"') as daemon:
        assert daemon.status() == os.EX_CONFIG
        assert "vaglio.toml:8: greylist.delay: found 5, wanted" in daemon.seen
        assert "greylist.colour" in daemon.seen


def test_a_configuration_that_is_not_there_is_78(tmp_path: Path) -> None:
    with Process("trivial_daemon.py", environ={"VAGLIO_CONFIG": str(tmp_path / "no.toml")}) as daemon:
        assert daemon.status() == os.EX_CONFIG
        assert "no.toml" in daemon.seen


def test_a_port_in_use_is_69_and_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with Trivial(tmp_path, "--listen", f"inet:127.0.0.1:{port}") as daemon:
            assert daemon.status() == os.EX_UNAVAILABLE
            assert f"ERROR can't listen on inet:127.0.0.1:{port}: Address already in use" in daemon.seen


def test_a_path_where_another_daemon_answers_is_69_and_left_alone(tmp_path: Path) -> None:
    with Trivial(tmp_path).ready() as first, Trivial(tmp_path) as second:
        assert second.status() == os.EX_UNAVAILABLE
        assert "another process listens there" in second.seen
        with first.client() as client:
            assert client.ask("pass") == "DUNNO"


def test_a_path_that_a_killed_daemon_left_is_taken_over(tmp_path: Path) -> None:
    with Trivial(tmp_path).ready() as killed:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.end()
    assert killed.path.exists()
    with Trivial(tmp_path).ready() as daemon, daemon.client() as client:
        assert client.ask("pass") == "DUNNO"


METRICS = '[metrics]\nlisten = "unix:{folder}/{{daemon}}-metrics.sock"\n'


def test_a_daemon_that_replaces_another_takes_all_its_paths_once_it_is_ready(tmp_path: Path) -> None:
    more = METRICS.format(folder=tmp_path)
    listen = ("--listen", f"unix:{tmp_path}/x.sock")
    with Trivial(tmp_path, *listen, more=more).ready() as old:
        (path,) = tmp_path.glob("*-metrics.sock")
        inode = path.stat().st_ino
        with Trivial(tmp_path, *listen, "--replace", workers=2, more=more).ready() as new:
            assert path.stat().st_ino != inode
            os.kill(old.pid, signal.SIGTERM)
            assert old.status() == 0
            assert path.exists()
            with new.client() as client:
                assert client.ask("pass") == "DUNNO"


def test_a_daemon_that_fails_to_replace_another_leaves_it_on_the_air(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new/state").touch()
    with Trivial(tmp_path, "--listen", f"unix:{tmp_path}/x.sock").ready() as old:
        for listen in (old.unix, f"unix:{tmp_path}/missing/y.sock"):
            args = ("--listen", old.unix, "--listen", listen) if listen != old.unix else ("--listen", listen)
            with Trivial(tmp_path / "new", *args, "--replace", workers=2) as new:
                assert new.status() == os.EX_UNAVAILABLE
            with old.client() as client:
                assert client.ask("pass") == "DUNNO"
    assert not list(tmp_path.glob(".[0-9]*"))


def test_an_unknown_socket_owner_is_69(tmp_path: Path) -> None:
    with Trivial(tmp_path, socket_owner='"nobody-here"') as daemon:
        assert daemon.status() == os.EX_UNAVAILABLE
        assert "there is no user 'nobody-here'" in daemon.seen


def test_a_store_that_can_not_be_opened_is_69_without_a_restart(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with Trivial(tmp_path, workers=2) as daemon:
        assert daemon.status() == os.EX_UNAVAILABLE
        assert "ERROR can't open the store" in daemon.seen
        assert "another one starts" not in daemon.seen


def test_a_unix_socket_has_the_configured_mode_and_is_removed_at_the_end(tmp_path: Path) -> None:
    with Trivial(tmp_path, socket_mode='"0606"').ready() as daemon:
        assert stat.S_IMODE(daemon.path.stat().st_mode) == 0o606
        os.kill(daemon.pid, signal.SIGINT)
        assert daemon.status() == 0
        assert not daemon.path.exists()


def test_options_take_the_place_of_the_configuration(tmp_path: Path) -> None:
    ours = f"unix:{tmp_path}/ours.sock"
    with Trivial(tmp_path, "--listen", ours, "--listen", "inet:127.0.0.1:0", "--workers", "2").ready() as daemon:
        assert daemon.seen.count("listening on") == 2
        assert not daemon.path.exists()
        with Client(ours) as client:
            assert client.ask("pass") == "DUNNO"


@pytest.mark.parametrize(
    ("option", "value", "wanted"), [("--listen", "nowhere", "wanted a socket such as"), ("--workers", "0", "1 to 64")]
)
def test_an_option_that_makes_no_sense_is_explained(tmp_path: Path, option: str, value: str, wanted: str) -> None:
    with Trivial(tmp_path, option, value) as daemon:
        assert daemon.status() == 2
        assert wanted in " ".join(daemon.seen.split())


def test_sockets_that_systemd_passes_take_the_place_of_configured_ones(tmp_path: Path) -> None:
    policy, metrics = tmp_path / "policy.sock", tmp_path / "figures.sock"
    prefix = (sys.executable, str(HERE / "activate.py"), f"policy={policy}", f"metrics={metrics}", "--")
    with Trivial(tmp_path, prefix=prefix).ready() as daemon:
        with Client(f"unix:{policy}") as client:
            assert client.ask("pass") == "DUNNO"
        with Client(f"unix:{metrics}") as probe:
            probe.sock.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
            assert probe.sock.recv(100).startswith(b"HTTP/1.1 200")
        assert not daemon.path.exists()
        os.kill(daemon.pid, signal.SIGTERM)
        assert daemon.status() == 0
    assert policy.exists()  # it is systemd's


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="needs systemd-socket-activate")
def test_systemds_own_tool_can_start_the_daemon(tmp_path: Path) -> None:
    policy = tmp_path / "policy.sock"
    with Trivial(tmp_path, prefix=("systemd-socket-activate", f"--listen={policy}")) as daemon:
        daemon.line("Listening on")
        with Client(f"unix:{policy}") as client:
            assert client.ask("pass") == "DUNNO"


def test_what_is_passed_and_is_no_listening_socket_is_69(tmp_path: Path) -> None:
    script = (
        "import os, sys; os.dup2(0, 3); os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1');"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    with Trivial(tmp_path, prefix=(sys.executable, "-c", script)) as daemon:  # 0 is a pipe
        assert daemon.status() == os.EX_UNAVAILABLE
        assert "can't use the socket that was passed as file descriptor 3" in daemon.seen


def test_the_first_line_tells_what_runs_and_on_which_settings(tmp_path: Path) -> None:
    with Trivial(tmp_path, "--workers", "2", mode='"rehearse"').ready() as daemon:
        first = daemon.seen.splitlines()[0]
    assert first == (
        f"INFO vaglio-trivial {__version__}: configuration {tmp_path}/vaglio.toml, mode rehearse, 2 workers, "
        f"store sqlite://{tmp_path}/state"
    )


def test_without_a_configuration_the_first_line_says_defaults(tmp_path: Path) -> None:
    listen = ("--listen", f"unix:{tmp_path}/x.sock")
    with Process("trivial_daemon.py", *listen, environ={"STATE_DIRECTORY": str(tmp_path)}) as daemon:
        daemon.line(rf": configuration defaults, mode enforce, 1 worker, store sqlite://{tmp_path}$")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///var/lib/vaglio", "sqlite:///var/lib/vaglio"),
        ("sqlite:///srv/a:b@c", "sqlite:///srv/a:b@c"),
        ("redis://db.example:6379/0", "redis://db.example:6379/0"),
        ("redis://:secret@db.example:6379/0", "redis://:***@db.example:6379/0"),
        ("redis://vaglio:s/e@c:ret@[::1]:6379", "redis://vaglio:***@[::1]:6379"),
        ("postgresql://db.example/vaglio?password=secret", "postgresql://db.example/vaglio"),
    ],
)
def test_no_password_gets_into_the_log(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_metrics_that_other_hosts_may_read_are_warned_of(tmp_path: Path, host: str) -> None:
    if host == "[::]" and not _has_ipv6():
        pytest.skip("there is no IPv6 here")
    with Trivial(tmp_path, more=f'[metrics]\nlisten = "inet:{host}:0"').ready() as daemon:
        assert f"WARNING anybody who can reach inet:{host}:" in daemon.seen


@pytest.mark.parametrize("where", ["inet:127.0.0.1:0", "inet:127.9.9.9:0", "unix:{}/figures.sock"])
def test_metrics_that_stay_on_this_host_are_no_matter(tmp_path: Path, where: str) -> None:
    with Trivial(tmp_path, more=f'[metrics]\nlisten = "{where.format(tmp_path)}"').ready() as daemon:
        assert "WARNING anybody" not in daemon.seen


def _has_ipv6() -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET6) as sock:
        sock.bind(("::", 0))
        return True
    return False
