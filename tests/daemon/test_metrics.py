"""What Prometheus reads, and what asking costs nobody.

The library decides at its first import whether processes share their figures, so what counts for real runs in
interpreters of its own.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from textwrap import dedent

import pytest

from vaglio.daemon.metrics import MOST_CONNECTIONS, MOST_REQUEST, Endpoint, Meter, SharedFiles, open_meter
from vaglio.verdict import Action

PREAMBLE = """
import asyncio, os, sys
from vaglio.daemon.metrics import *
from vaglio.daemon.metrics import BUCKETS
from vaglio.verdict import Action
from prometheus_client.parser import text_string_to_metric_families as parse

def value(text, name, **labels):
    found = [s.value for f in parse(text.decode()) for s in f.samples if s.name == name and s.labels == labels]
    assert len(found) == 1, (name, labels, found, text.decode())
    return found[0]

def worker(work):
    pid = os.fork()
    if not pid:
        async def run():
            meter = open_meter("on", "greylist", "1.0")
            work(meter)
            meter.push()
        asyncio.run(run())
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    return pid

"""


def run(script: str, runtime: Path) -> str:
    """Run ``script`` with prometheus_client imported only after the shared directory is there."""
    preamble = PREAMBLE.replace("from prometheus_client", "files = SharedFiles('on')\nfrom prometheus_client")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", preamble + dedent(script) + "\nfiles.close()\n"],
        env=os.environ | {"RUNTIME_DIRECTORY": str(runtime)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not list(runtime.iterdir()), "the shared directory is still there"
    return done.stdout


def test_the_figures_of_all_workers_are_read_from_any(tmp_path: Path) -> None:
    run(
        """
        def one(meter):
            for _ in range(3):
                meter.request(Action.DEFER, "first", 0.0003)
            meter.request(Action.PASS, "known", 7)
            meter.store_error()
            meter.alarm()
            meter.alarm()
            meter.forged(2)
            meter.journal_dropped(2)
            meter.journal_dropped(5)
            meter.journal_dropped(1)  # the configuration was read again: another writer, counting from 0
            meter.gauges({"rows": {"triplets": 1234}})

        def other(meter):
            meter.request(Action.DEFER, "first", 0.00005)

        first, second = worker(one), worker(other)
        text = open_meter("on", "greylist", "1.0").exposition()
        daemon = {"daemon": "greylist"}
        assert value(text, "vaglio_requests_total", verdict="defer", reason="first", **daemon) == 4
        assert value(text, "vaglio_requests_total", verdict="pass", reason="known", **daemon) == 1
        assert value(text, "vaglio_store_errors_total", **daemon) == 1
        assert value(text, "vaglio_alarms_total", **daemon) == 2
        assert value(text, "vaglio_forged_results_total", **daemon) == 2
        assert value(text, "vaglio_journal_dropped_total", **daemon) == 6
        assert value(text, "vaglio_rows", table="triplets", **daemon) == 1234
        bucket = lambda le: value(text, "vaglio_request_seconds_bucket", le=le, **daemon)
        assert [bucket(le) for le in ("0.0001", "0.00025", "0.0005", "5.0", "+Inf")] == [1, 1, 4, 4, 5]
        assert value(text, "vaglio_request_seconds_count", **daemon) == 5
        assert abs(value(text, "vaglio_request_seconds_sum", **daemon) - 7.00095) < 1e-9
        assert value(text, "vaglio_build_info", version="1.0", python="%d.%d.%d" % sys.version_info[:3]) == 1
        """,
        tmp_path,
    )


def test_a_dead_worker_is_no_longer_counted_but_what_it_did_is(tmp_path: Path) -> None:
    run(
        """
        dead = worker(lambda meter: meter.request(Action.DEFER, "first", 0))
        meter = open_meter("on", "greylist", "1.0")
        assert value(meter.exposition(), "vaglio_workers", daemon="greylist") == 2
        files.forget(dead)
        text = meter.exposition()
        assert value(text, "vaglio_workers", daemon="greylist") == 1
        assert value(text, "vaglio_requests_total", daemon="greylist", verdict="defer", reason="first") == 1
        """,
        tmp_path,
    )


def test_a_label_that_is_gone_becomes_0(tmp_path: Path) -> None:
    run(
        """
        def work(meter):
            meter.gauges({"rows": {"hints": 7}, "list_suspended": {"bl": 1, "gone": 1}})
            meter.gauges({"list_suspended": {"bl": 1, "new": 0}})

        worker(work)
        text = open_meter("on", "greylist", "1.0").exposition()
        suspended = lambda name: value(text, "vaglio_list_suspended", daemon="greylist", list=name)
        assert [suspended(name) for name in ("bl", "gone", "new")] == [1, 0, 0]
        assert value(text, "vaglio_rows", daemon="greylist", table="hints") == 7
        """,
        tmp_path,
    )


def test_a_busy_worker_passes_its_counts_on_by_itself(tmp_path: Path) -> None:
    run(
        """
        import vaglio.daemon.metrics as module
        module.PASS_ON = 0.01

        async def serve():
            meter = open_meter("on", "greylist", "1.0")
            pushed = asyncio.Event()
            push = meter.push
            meter.push = lambda: (push(), pushed.set())
            for _ in range(2):  # and again after the first time
                pushed.clear()
                meter.request(Action.DEFER, "first", 0)
                await pushed.wait()
            meter.push = lambda: None
            text = meter.exposition()
            assert value(text, "vaglio_requests_total", daemon="greylist", verdict="defer", reason="first") == 2

        asyncio.run(serve())
        """,
        tmp_path,
    )


def test_where_metrics_are_off_nothing_is_imported_or_written(tmp_path: Path) -> None:
    script = """
        import sys
        from vaglio.daemon.metrics import SharedFiles, open_meter
        from vaglio.verdict import Action
        files, meter = SharedFiles(""), open_meter("", "greylist", "1.0")
        files.forget(1)
        meter.request(Action.PASS, "known", 0.1)
        meter.store_error()
        meter.journal_dropped(1)
        meter.gauges({"rows": {"triplets": 1}})
        meter.push()
        assert meter.exposition() == b""
        files.close()
        assert "prometheus_client" not in sys.modules
        """
    environ = os.environ | {"RUNTIME_DIRECTORY": str(tmp_path)}
    subprocess.run([sys.executable, "-c", dedent(script)], env=environ, check=True, timeout=60)
    assert not list(tmp_path.iterdir())


def test_a_forked_worker_does_not_take_the_files_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{tmp_path}:/elsewhere")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")  # put back after the test
    files = SharedFiles("inet:127.0.0.1:9000")
    worker = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: worker)
    files.close()
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.undo()
    files.close()
    assert not list(tmp_path.iterdir())


# --- HTTP


class Figures(Meter):
    content_type = "text/plain; version=1.0.0"

    def exposition(self) -> bytes:
        return b"vaglio_up 1\n"


def ask(*requests: bytes, ready: bool = True) -> bytes:
    """Send the pieces of one request over a real connection and return the whole response."""

    async def talk() -> bytes:
        loop = asyncio.get_running_loop()
        endpoint = Endpoint(Figures(), lambda: ready)
        server = await loop.create_server(endpoint, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            for piece in requests:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            response = await reader.read()
            writer.close()
            await writer.wait_closed()
        assert not endpoint.open
        return response

    return asyncio.run(talk())


def test_metrics_are_given_whole_and_the_connection_is_closed() -> None:
    head, _, body = ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").partition(b"\r\n\r\n")
    assert body == b"vaglio_up 1\n"
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        b"Content-Type: text/plain; version=1.0.0",
        b"Content-Length: 12",
        b"Connection: close",
    ]


def test_a_request_may_come_in_pieces() -> None:
    assert ask(b"GET /heal", b"thz HTTP/1.1\r\nHost", b": x\r\n\r", b"\n").startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("request_", "ready", "status"),
    [
        (b"GET /healthz HTTP/1.0\n\n", False, 200),
        (b"GET /readyz HTTP/1.1\r\n\r\n", True, 200),
        (b"GET /readyz?x=1 HTTP/1.1\r\n\r\n", False, 503),
        (b"GET / HTTP/1.1\r\n\r\n", True, 404),
        (b"GET /metrics/../etc HTTP/1.1\r\n\r\n", True, 404),
        (b"POST /metrics HTTP/1.1\r\n\r\n", True, 405),
        (b"GET /metrics\r\n\r\n", True, 400),
        (b"\r\n\r\n", True, 400),
        (b"\x16\x03\x01\x02\r\n\r\n", True, 400),
        (b"request=smtpd_access_policy\n\n", True, 400),
        (b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * (MOST_REQUEST // 6), True, 400),
    ],
)
def test_each_request_has_its_status(request_: bytes, ready: bool, status: int) -> None:
    assert ask(request_, ready=ready).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_flood_of_silent_connections_is_cut_off() -> None:
    async def flood() -> None:
        loop = asyncio.get_running_loop()
        endpoint = Endpoint(Figures(), lambda: True)
        server = await loop.create_server(endpoint, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        silent = [await asyncio.open_connection(*address) for _ in range(MOST_CONNECTIONS)]
        reader, writer = await asyncio.open_connection(*address)
        with suppress(ConnectionError):  # a reset is as good as a close
            assert await reader.read() == b""
        assert len(endpoint.open) <= MOST_CONNECTIONS
        for _, one in [*silent, (reader, writer)]:
            one.close()
        server.close()
        await server.wait_closed()

    asyncio.run(flood())


def test_a_silent_connection_is_cut_off_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaglio.daemon.metrics.PATIENCE", 0.01)

    async def wait() -> None:
        loop = asyncio.get_running_loop()
        here, there = socket.socketpair()
        transport, _ = await loop.connect_accepted_socket(Endpoint(Figures(), lambda: True), there)
        here.setblocking(False)
        assert await loop.sock_recv(here, 1) == b""
        assert transport.is_closing()
        here.close()

    asyncio.run(wait())


def test_a_meter_that_is_off_is_a_meter() -> None:
    meter = open_meter("", "greylist", "1.0")
    meter.request(Action.PASS, "known", 0.1)
    assert meter.exposition() == b""
