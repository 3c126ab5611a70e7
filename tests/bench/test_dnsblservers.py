"""All servers of the benchmark of blocklists ask the same lists, and ours nothing but them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from bench import dnsblservers
from bench.dnsblservers import Dnsbl, Peer, PolicydWeight, Postfwd
from bench.nameserver import ZONES
from vaglio.checks.dnsbl.catalogue import effective
from vaglio.config.load import load

ADDRESS = "127.77.1.1"


def test_ours_asks_these_lists_and_no_others(tmp_path: Path) -> None:
    config = load(Path(Dnsbl(tmp_path / "ours", [0], ADDRESS).command()[1].partition("=")[2]), {}).config
    assert [one.zone for one in effective(config.dnsbl)] == list(ZONES)
    assert config.dns.servers == [ADDRESS]


@pytest.mark.parametrize("make", [Postfwd, partial(PolicydWeight, lists_only=True)])
def test_a_peer_asks_the_same_lists_of_the_same_server(
    make: Callable[[Sequence[int], str], Peer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(dnsblservers, "mkdtemp", lambda **_: str(tmp_path))
    monkeypatch.setattr(shutil, "chown", lambda *_: None)
    peer = make([0], ADDRESS)
    told = " ".join(peer.command()) + "".join(path.read_text() for path in tmp_path.iterdir())
    assert all(zone in told for zone in ZONES)
    assert ADDRESS in told
    assert str(peer.port) in told
