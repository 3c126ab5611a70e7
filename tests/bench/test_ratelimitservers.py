"""Both servers of the benchmark of rate limits get the same limits, and tell what they have counted."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from bench import ratelimitservers
from bench.fillusage import BUSY, USUAL, fill
from bench.ratelimitservers import RAISED, PolicydRateLimit, Ratelimit, per_user, shipped
from bench.servers import BenchError
from vaglio.checks.ratelimit.limits import DISTINCT, Kind, parse_limits
from vaglio.checks.ratelimit.settings import RatelimitSettings, Rule
from vaglio.config.load import load


def rules_of(server: Ratelimit) -> list[Rule]:
    return load(Path(server.command()[1].partition("=")[2]), {}).config.ratelimit.rule


@pytest.fixture
def packaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "packaged.yaml"
    path.write_text("debug: True\n")
    monkeypatch.setattr(ratelimitservers, "PACKAGED", path)
    return path


def test_both_get_the_same_limits(packaged: Path, tmp_path: Path) -> None:
    peer = PolicydRateLimit(tmp_path / "peer", [0], RAISED)
    peer.command()
    settings = json.loads((peer.directory / "config.yaml").read_text())
    (rule,) = rules_of(Ratelimit(tmp_path / "ours", [0], per_user(RAISED)))
    assert settings["limits"] == [[1000000, 3600], [10000000, 86400]]
    assert [list(limit) for limit in parse_limits(rule.limits, Kind(rule.count))] == settings["limits"]
    assert rule.key == ["sasl_username"]
    assert packaged.exists()


def test_the_rules_that_ship_are_all_there_and_none_is_in_the_way(tmp_path: Path) -> None:
    found = rules_of(Ratelimit(tmp_path, [0], shipped()))
    ours = RatelimitSettings().rule
    assert [(rule.name, rule.key, rule.count) for rule in found] == [(one.name, one.key, one.count) for one in ours]
    assert all("1000000/" in limit for rule in found if rule.count not in DISTINCT for limit in rule.limits)


@pytest.mark.parametrize(("text", "stage"), [("debug: True\n", "RCPT"), ("count_mode: 1\n", "DATA")])
def test_the_peer_is_asked_where_its_version_counts(packaged: Path, tmp_path: Path, text: str, stage: str) -> None:
    packaged.write_text(text)
    assert PolicydRateLimit(tmp_path / "peer", [0], RAISED).stage == stage


def test_what_was_counted_is_read_from_the_store(tmp_path: Path) -> None:
    server = Ratelimit(tmp_path, [0], per_user(RAISED))
    fill(tmp_path, 0, USUAL)
    assert server.counted() == 0


def test_windows_that_disagree_are_an_error(tmp_path: Path) -> None:
    server = Ratelimit(tmp_path, [0], per_user(RAISED))
    fill(tmp_path, 2, BUSY._replace(different=1))
    with pytest.raises(BenchError, match="counted differently"):
        server.counted()


def test_the_peers_rows_are_counted(packaged: Path, tmp_path: Path) -> None:
    peer = PolicydRateLimit(tmp_path, [0], RAISED)
    with closing(sqlite3.connect(tmp_path / "db.sqlite3")) as connection, connection:
        connection.execute("CREATE TABLE mail_count (id varchar(40) NOT NULL, date bigint NOT NULL)")
        connection.executemany("INSERT INTO mail_count VALUES (?, ?)", [("tizio", int(time.time()))] * 7)
    assert peer.counted() == 7
    assert packaged.exists()
