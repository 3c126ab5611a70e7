"""Users that were written directly are such as the check itself leaves."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from bench.fill import rows
from bench.fillusage import BUSY, CLIENTS, USUAL, Habit, fill, kept
from bench.load import login
from vaglio.checks.ratelimit.settings import RatelimitSettings
from vaglio.checks.ratelimit.usage import Counts, Usage, decode, rule_tag, usage_key
from vaglio.checks.ratelimit.window import slid

NOW = 1_800_000_000.0
RULE, NETWORKS, _ = RatelimitSettings().rule


def counts(usage: Usage) -> Counts:
    return decode(usage.state)[rule_tag(RULE.name, RULE.count)]


def test_users_have_sent_as_often_as_is_their_habit() -> None:
    found = kept(USUAL._replace(different=20), NOW)
    assert len({usage.name for usage in found}) == 20
    for usage in found:
        hour, day = (slid(counts(usage).windows[seconds], NOW, seconds).total for seconds in (3600, 86400))
        assert hour in USUAL.lately
        assert day - hour in USUAL.before
        assert 1 <= len(usage.clients.split()) <= CLIENTS


def test_all_rules_that_ship_have_counted() -> None:
    (usage,) = kept(Habit(range(8, 9), range(1), 1), NOW)
    assert 1 <= len(decode(usage.state)[rule_tag(NETWORKS.name, NETWORKS.count)].things.seen) // 16 <= CLIENTS


def test_the_busiest_users_have_the_longest_windows_and_were_never_refused() -> None:
    (usage,) = kept(BUSY._replace(different=1), NOW)
    windows = counts(usage).windows
    assert counts(usage).over == 0
    assert [windows[seconds].total for seconds in (3600, 86400)] == [196, 996]
    assert min(len(window.slots) // 12 for window in windows.values()) > 90


@pytest.mark.parametrize("users", [3, 1000])
def test_every_user_has_a_row_under_a_key_of_its_own(tmp_path: Path, users: int) -> None:
    fill(tmp_path, users, USUAL)
    database = tmp_path / "ratelimit.sqlite"
    assert rows(database, "usage") == users
    with closing(sqlite3.connect(database)) as connection:
        key, name, last = connection.execute("SELECT key, name, last FROM usage ORDER BY random() LIMIT 1").fetchone()
    assert key == usage_key("sasl_username", (name,))
    assert name in map(login, range(users))
    assert 0 < time.time() - last < 3600
