"""The servers of the benchmark of milters: ours take their settings, and the peers ask whom ours ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.milterservers import ENGINES, Bodies, Engine, Inbound, Noop, NoopPymilter, PyspfMilter, Spf
from vaglio.config.load import load
from vaglio.config.model import VaglioConfig

ADDRESS = "127.77.1.1"


def config_of(command: list[str]) -> VaglioConfig:
    (file,) = (word.removeprefix("--config=") for word in command if word.startswith("--config="))
    return load(Path(file), {}).config


@pytest.mark.parametrize("engine", ENGINES)
def test_ours_take_their_settings(tmp_path: Path, engine: Engine) -> None:
    spf = config_of(Spf(tmp_path / "spf", [0], engine, nameserver=ADDRESS).command())
    assert (spf.spf.engine, spf.dns.servers, spf.identity.authserv_id) == (engine, [ADDRESS], "mx.example.com")
    noop = Noop(tmp_path / "noop", [0], engine, workers=2)
    chain = config_of(noop.command()).chain["noop"]
    assert (chain.engine, chain.checks) == (engine, [])
    assert {"noop", f"--listen=unix:{tmp_path}/noop/sock", "--workers=2"} < set(noop.command())
    assert config_of(Bodies(tmp_path / "bodies", [0], engine).command()).chain["bodies"].engine == engine


def test_the_peers_listen_on_their_sockets_and_ask_the_same_name_server(tmp_path: Path) -> None:
    peer = PyspfMilter(tmp_path / "spf", [0], ADDRESS)
    assert f"Socket = unix:{tmp_path}/spf/sock\n" in (tmp_path / "spf/config").read_text()
    assert (tmp_path / "spf/resolv.conf").read_text() == f"nameserver {ADDRESS}\n"
    assert f"{tmp_path}/spf/resolv.conf" in peer.command()
    noop = NoopPymilter(tmp_path / "noop", [0], bodies=False).command()
    assert noop[-2:] == [f"unix:{tmp_path}/noop/sock", "--no-body"]
    assert Path(noop[1]).exists()


def test_the_inbound_chain_is_the_one_that_ships_or_has_other_checks(tmp_path: Path) -> None:
    ships = Inbound(tmp_path / "ships", [0], ADDRESS, workers=2).command()
    assert "inbound" in ships
    assert "--workers=2" in ships
    assert config_of(ships).chain["inbound"].checks == load(None, {}).config.chain["inbound"].checks
    other = Inbound(tmp_path / "other", [0], ADDRESS, ["spf", "dkim_verify"]).command()
    assert config_of(other).chain["inbound"].checks == ["spf", "dkim_verify"]
