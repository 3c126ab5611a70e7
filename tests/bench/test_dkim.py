"""The benchmark of DKIM: its sums, and what it says where a peer is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import dkim
from bench.dkim import missing_peers, one_after_other
from bench.generator import Measured


def test_who_asks_two_milters_waits_for_both() -> None:
    (both,) = one_after_other([Measured(1000.0, 1.0, 2.0, 100.0, 0.1)], [Measured(250.0, 3.0, 4.0, 900.0, 0.0)])
    assert both.rate == pytest.approx(200)  # 1 ms and 4 ms for each message
    assert (both.p50, both.p99, both.cpu, both.other) == (4.0, 6.0, 1000.0, 0.1)


def test_two_of_whom_one_is_not_there_are_not_compared() -> None:
    run = Measured(1000.0, 1.0, 2.0, 100.0, 0.1)
    assert one_after_other([], [run]) == one_after_other([run], []) == []


def test_peers_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    monkeypatch.setattr(dkim, "_PEERS", {"opendkim": f"{tmp_path}/there", "dkimpy-milter": f"{tmp_path}/gone"})
    assert missing_peers() == ["dkimpy-milter"]
