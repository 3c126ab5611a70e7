"""``vaglio dns check`` as an admin sees it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dns.nameserver import FIT_ZONE, FitServer, NameServer
from vaglio.cli.main import main

NAMES = ["answers", "place", "dnssec", "blocklists", "honest", "sizes"]


@pytest.fixture(scope="module")
def server() -> Iterator[FitServer]:
    """A good resolver, on a loop of its own."""
    loop, server = asyncio.new_event_loop(), FitServer(FIT_ZONE)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(5)
    yield server
    asyncio.run_coroutine_threadsafe(_stop(server), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


async def _stop(server: NameServer) -> None:
    server.stop()
    await asyncio.sleep(0.01)  # transports close in the next rounds of the loop


@pytest.fixture
def config(tmp_path: Path, server: FitServer) -> Path:
    path = tmp_path / "vaglio.toml"
    path.write_text(f'[dns]\nservers = ["{server.address}"]\ntimeout = "2s"\n')
    return path


def test_a_fit_resolver_is_said_to_be_fit(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dns", "check", "--config", str(config)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[-1] == "fit for a mail server"
    assert [line.split()[1] for line in out.splitlines()[1:-1]] == NAMES


def test_json_has_it_all(config: Path, server: FitServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dns", "check", "--json", "--config", str(config)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["fit"], report["servers"]) == (True, [str(server.address)])
    assert [finding["check"] for finding in report["findings"]] == NAMES
    assert {tuple(finding) for finding in report["findings"]} == {("server", "check", "ok", "text")}


def test_each_server_given_is_asked_and_all_must_be_fit(
    config: Path, server: FitServer, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ["--server", str(server.address), "--server", "127.0.0.1:9"]  # nobody listens on the discard port
    assert main(["dns", "check", "--json", "--config", str(config), *both]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["servers"] == [str(server.address), "127.0.0.1:9"]
    bad = [(finding["server"], finding["check"]) for finding in report["findings"] if not finding["ok"]]
    assert bad == [("127.0.0.1:9", "answers")]


def test_a_server_that_is_none_is_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dns", "check", "--config", str(config), "--server", "ns.caio.it"]) == 1
    assert "DNS server 'ns.caio.it': wanted" in capsys.readouterr().err


def test_with_a_zone_file_nothing_is_asked(
    config: Path, server: FitServer, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text() + 'zone_file = "/etc/vaglio/zone"\n')
    server.questions.clear()
    assert main(["dns", "check", "--config", str(config)]) == 1
    assert "Nothing is asked" in capsys.readouterr().out
    assert server.questions == []
    assert main(["dns", "check", "--config", str(config), "--server", str(server.address)]) == 0
