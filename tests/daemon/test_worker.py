"""Workers, as real processes: what a mail server sees when they live, reload, drain and die."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from tests.daemon.daemons import Client, Trivial, request
from tests.daemon.processes import PATIENCE, manager


@contextmanager
def one_client_per_worker(daemon: Trivial) -> Iterator[dict[int, Client]]:
    """Connect until each worker has got a connection; give one of each by process id."""
    with ExitStack() as stack:
        clients: dict[int, Client] = {}
        for _ in range(500):
            client = stack.enter_context(daemon.client())
            clients.setdefault(client.pid(), client)
            if len(clients) == daemon.workers:
                break
        yield clients


@pytest.mark.parametrize("environ", [{}, {"WITHOUT_UVLOOP": "1"}])
def test_requests_are_answered_on_tcp_and_unix_sockets(tmp_path: Path, environ: dict[str, str]) -> None:
    with Trivial(tmp_path, environ=environ).ready() as daemon:
        for address in (daemon.inet, daemon.unix):
            with Client(address) as client:
                assert client.ask("pass") == "DUNNO"
                assert client.ask("defer").startswith("DEFER_IF_PERMIT 4.7.1 pid")
        os.kill(daemon.pid, signal.SIGTERM)
        assert daemon.status() == 0


def test_connections_spread_over_the_workers_and_outlive_the_death_of_another(tmp_path: Path) -> None:
    with Trivial(tmp_path, workers=2).ready() as daemon, one_client_per_worker(daemon) as clients:
        assert len(clients) == 2
        (doomed, lost), (survivor, kept) = clients.items()
        os.kill(doomed, signal.SIGKILL)
        assert lost.answer() == ""
        assert kept.pid() == survivor
        daemon.line(rf"\(pid {doomed}\) was killed by SIGKILL")
        with daemon.client() as another:
            assert another.pid() != doomed


def test_an_only_worker_that_is_killed_is_replaced_and_waiting_connections_are_answered(tmp_path: Path) -> None:
    with Trivial(tmp_path).ready() as daemon:
        with daemon.client() as client:
            doomed = client.pid()
        os.kill(doomed, signal.SIGKILL)
        with daemon.client() as client:
            assert client.pid() != doomed


def test_a_bug_in_a_check_gives_the_failure_verdict_and_the_connection_lives(tmp_path: Path) -> None:
    with Trivial(tmp_path, on_error='"defer"').ready() as daemon, daemon.client() as client:
        assert client.ask("fail").startswith("DEFER_IF_PERMIT 4.3.0")
        daemon.line("ERROR.*bug")
        daemon.line("RuntimeError: as asked for")
        assert client.ask("pass") == "DUNNO"


def test_a_stop_answers_all_requests_that_were_read(tmp_path: Path) -> None:
    with Trivial(tmp_path, workers=2).ready() as daemon, one_client_per_worker(daemon) as clients:
        for client in clients.values():
            client.sock.sendall(b"".join(map(request, ["pass", "slow", "count", "pass", "count"])))
            daemon.line("judging slowly")
        os.kill(daemon.pid, signal.SIGTERM)
        for client in clients.values():
            answers = [client.answer().rpartition(" ")[0 if n in (2, 4) else 2] for n in range(5)]
            assert answers[0] == answers[3] == "DUNNO"
            assert answers[1] == "slow"
            assert answers[2].endswith("count")
            assert answers[4].endswith("count")
            assert client.answer() == ""
        assert daemon.status() == 0
    with closing(sqlite3.connect(tmp_path / "state" / "trivial.sqlite")) as db:
        assert db.execute("SELECT seen FROM counts").fetchone()[0] >= 4


def test_an_idle_connection_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    with Trivial(tmp_path).ready() as daemon, daemon.client() as client:
        client.pid()
        os.kill(daemon.pid, signal.SIGTERM)
        assert client.answer() == ""
        assert daemon.status() == 0


def test_a_worker_can_be_stopped_by_itself_and_is_replaced(tmp_path: Path) -> None:
    with Trivial(tmp_path).ready() as daemon:
        with daemon.client() as client:
            old = client.pid()
            os.kill(old, signal.SIGTERM)
            assert client.answer() == ""
        daemon.line(rf"\(pid {old}\) ended with status 0; another one starts")
        with daemon.client() as client:
            assert client.pid() != old


def test_a_good_configuration_changes_the_answers_and_closes_no_connection(tmp_path: Path) -> None:
    trivial = Trivial(tmp_path, workers=2, help_url='"before"').ready()
    with trivial as daemon, one_client_per_worker(daemon) as clients:
        daemon.configure(help_url='"after"')
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.line("the configuration was read again: .*vaglio.toml")
        daemon.line("^INFO ready$")
        for pid, client in clients.items():
            assert client.ask("defer").endswith(f"pid {pid} after defer")


def test_a_request_under_way_is_finished_by_the_old_configuration(tmp_path: Path) -> None:
    with Trivial(tmp_path, help_url='"before"').ready() as daemon, daemon.client() as client:
        client.sock.sendall(request("slow") + request("defer"))
        daemon.line("judging slowly")
        daemon.configure(help_url='"after"')
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.line("^INFO ready$")
        os.kill(daemon.pid, signal.SIGTERM)
        assert client.answer().endswith("before slow")
        assert client.answer().endswith("after defer")


def test_what_is_counted_while_the_new_configuration_begins_is_not_lost(tmp_path: Path) -> None:
    with Trivial(tmp_path, help_url='"before"').ready() as daemon, daemon.client() as client:
        daemon.configure(help_url='"late"')
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.line("begins late")
        assert client.ask("keep").endswith("before keep")
        (tmp_path / "state" / "go").touch()
        daemon.line("before kept 1")
        assert client.ask("defer").endswith("late defer")


def test_a_bad_configuration_changes_nothing_and_the_log_says_why(tmp_path: Path) -> None:
    with Trivial(tmp_path, help_url='"before"').ready() as daemon, daemon.client() as client:
        daemon.configure(help_url='"after"', delay="5", colour='"red"')
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.line("WARNING the configuration stays as it was: .*greylist.delay: found 5, wanted")
        daemon.line("WARNING the configuration stays as it was: .*greylist.colour")
        daemon.line("INFO goes on with the configuration that it had")
        assert client.ask("defer").endswith("before defer")


def test_what_a_reload_can_not_change_is_said_to_need_a_restart(tmp_path: Path) -> None:
    with Trivial(tmp_path).ready() as daemon:
        daemon.workers = 3
        daemon.configure()
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.line(r"WARNING trivial\.workers has changed: that needs a restart")
        daemon.line("^INFO ready$")


def test_workers_drain_and_end_when_the_parent_is_killed(tmp_path: Path) -> None:
    with Trivial(tmp_path, workers=2).ready() as daemon, daemon.client() as client:
        client.sock.sendall(request("slow"))
        daemon.line("judging slowly")
        os.kill(daemon.pid, signal.SIGKILL)
        assert client.answer().endswith("slow")
        assert client.answer() == ""
        assert daemon.end().count("the parent process is gone") == 2


def test_systemd_hears_of_start_reload_and_stop(tmp_path: Path) -> None:
    with manager(tmp_path) as systemd, Trivial(tmp_path, workers=2, environ=systemd.environ) as daemon:
        assert systemd.next() == "READY=1"
        with daemon.client() as client:
            assert client.ask("pass") == "DUNNO"
        os.kill(daemon.pid, signal.SIGHUP)
        assert [systemd.next(), systemd.next()] == ["RELOADING=1", "READY=1"]
        os.kill(daemon.pid, signal.SIGTERM)
        assert systemd.next() == "STOPPING=1"
        assert daemon.status() == 0


def test_one_worker_alone_keeps_the_house(tmp_path: Path) -> None:
    with Trivial(tmp_path, workers=2).ready() as daemon:
        os.kill(daemon.pid, signal.SIGTERM)
        assert daemon.status() == 0
        assert daemon.seen.count("keeping up") == 1


def test_housekeeping_begins_at_once_after_a_reload(tmp_path: Path) -> None:
    with Trivial(tmp_path).ready() as daemon:
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.line("keeping up")  # it would be its turn in a minute


def test_what_was_journalled_is_in_the_file_after_a_stop(tmp_path: Path) -> None:
    with Trivial(tmp_path).ready() as daemon:
        with daemon.client() as client:
            client.ask("pass")
            client.ask("defer")
        os.kill(daemon.pid, signal.SIGTERM)
        assert daemon.status() == 0
    with closing(sqlite3.connect(tmp_path / "state" / "journal.sqlite")) as db:
        ((name,),) = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        assert db.execute(f"SELECT count(*) FROM {name}").fetchone() == (1,)


def test_alarms_under_way_are_sent_before_the_end_all_of_one_subject_that_a_check_raises(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hook:
        hook.settimeout(PATIENCE)
        alert = f'[alert]\nwebhook = "http://127.0.0.1:{hook.getsockname()[1]}/"'
        with Trivial(tmp_path, more=alert).ready() as daemon, daemon.client() as client:
            for _ in range(3):
                client.ask("alarm")
            first = hook.accept()[0]  # the others wait
            os.kill(daemon.pid, signal.SIGTERM)
            assert client.answer() == ""
            first.sendall(b"HTTP/1.1 204 ok\r\n\r\n")
            first.close()
            for _ in range(2):
                with hook.accept()[0] as post:
                    post.sendall(b"HTTP/1.1 204 ok\r\n\r\n")
            assert daemon.status() == 0


def test_when_files_run_out_connections_wait_and_are_answered_later(tmp_path: Path) -> None:
    with Trivial(tmp_path, prefix=("prlimit", "--nofile=48:48")).ready() as daemon:
        with ExitStack() as stack:
            for _ in range(60):
                stack.enter_context(daemon.client())
            daemon.line("WARNING can't accept connections for a moment: Too many open files")
        with daemon.client() as client:
            assert client.ask("pass") == "DUNNO"


def test_metrics_of_all_workers_are_told_by_any(tmp_path: Path) -> None:
    more = f'[metrics]\nlisten = "unix:{tmp_path}/{{daemon}}-metrics.sock"'
    with Trivial(tmp_path, workers=2, more=more).ready() as daemon:
        with one_client_per_worker(daemon) as clients:
            for client in clients.values():
                client.ask("pass")
            figures = ""
            while 'reason="known",verdict="pass"} 2.0' not in figures:  # counts are passed on once a second
                with Client(f"unix:{tmp_path}/trivial-metrics.sock") as scrape:
                    scrape.sock.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
                    figures = "".join(iter(lambda: scrape.sock.recv(65536).decode(), ""))
        assert 'vaglio_rows{daemon="trivial",table="counts"} 1.0' in figures
        with Client(f"unix:{tmp_path}/trivial-metrics.sock") as probe:
            probe.sock.sendall(b"GET /readyz HTTP/1.1\r\n\r\n")
            assert probe.sock.recv(100).startswith(b"HTTP/1.1 200")
