"""Overrides from files and databases: read beside the answers, kept when they can't be read or the settings are read
again.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from vaglio.checks.ratelimit import overridesource
from vaglio.checks.ratelimit.overridesource import EVERY, Source, source_of
from vaglio.checks.ratelimit.settings import RatelimitSettings, Rule

DATABASE = "postgresql://tizio:s3cret@db.caio.it/mail"
ROW = ("per-user", "caio@caio.it", "5000/1h")


class Database:
    """Stands in for one: gives ``found``, or raises it, once it may."""

    def __init__(self) -> None:
        self.found: Sequence[Sequence[object]] | OSError = [ROW]
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked = 0

    def __call__(self, url: str, query: str) -> Sequence[Sequence[object]]:
        self.asked += 1
        assert (url, query.split()[0]) == (DATABASE, "SELECT")
        assert self.may_answer.wait(10)
        if isinstance(self.found, OSError):
            raise self.found
        return self.found


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def database() -> Database:
    return Database()


def settings(place: object = DATABASE, rule: str = "per-user", **more: str) -> RatelimitSettings:
    return RatelimitSettings(overrides=str(place), rule=[Rule(name=rule)], **more)  # type: ignore[arg-type]


def no_rows(url: str, query: str) -> Sequence[Sequence[object]]:
    raise AssertionError("a file is no database")


def of_file(path: Path, warn: Callable[[str], None]) -> Source:
    return source_of(settings(path), no_rows, lambda: 0.0, warn)


def refreshed(source: Source) -> int:
    """Refresh, wait for it, and say how many overrides there are."""
    source.refresh()
    if source._reader:
        source._reader.join(10)
    return len(source.current.limits)


# --- databases ---


def test_making_a_source_asks_nothing_and_its_beginning_waits_for_the_answer(
    database: Database, warnings: list[str]
) -> None:
    source = source_of(settings(), database, lambda: 0.0, warnings.append)
    assert database.asked == 0
    asyncio.run(source.begin())
    assert source.current.find("per-user", ("caio@caio.it",))
    assert warnings == []


def test_a_silent_database_holds_nobody_up_and_is_told_of(
    database: Database, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overridesource, "FIRST", 0.05)
    database.may_answer.clear()
    source = source_of(settings(), database, lambda: 0.0, warnings.append)

    async def live() -> int:
        turns = 0
        beginning = asyncio.create_task(source.begin())
        while not beginning.done():
            await asyncio.sleep(0.001)
            turns += 1
        return turns

    assert asyncio.run(live()) > 5, "the event loop stood still"
    assert len(warnings) == 1
    assert warnings[0].endswith("the limits of the rules hold")
    database.may_answer.set()
    assert refreshed(source) == 1


def test_a_database_that_cannot_be_read_at_first_leaves_the_limits_of_the_rules(
    database: Database, warnings: list[str]
) -> None:
    database.found = OSError("connection refused")
    source = source_of(settings(), database, lambda: 0.0, warnings.append).read()
    source.read()
    assert warnings == ["ratelimit.overrides can't be read, the limits of the rules hold: connection refused"]


def test_a_database_is_read_again_when_it_is_time_and_keeps_what_it_said_when_it_fails(
    database: Database, warnings: list[str]
) -> None:
    now = 0.0
    source = source_of(settings(), database, lambda: now, warnings.append).read()
    database.found = [ROW, ("per-user", "anna@caio.it", "unlimited")]
    assert refreshed(source) == 1
    now = EVERY
    assert refreshed(source) == 2
    database.found = OSError("connection refused")
    now = 2 * EVERY
    assert refreshed(source) == 2
    assert warnings == ["ratelimit.overrides can't be read, what it said last holds: connection refused"]


def test_what_a_database_said_outlives_a_reload_while_it_is_down(database: Database, warnings: list[str]) -> None:
    before = source_of(settings(), database, lambda: 0.0, warnings.append).read()
    database.found = OSError("connection refused")
    after = source_of(settings(reply_code=451), database, lambda: 0.0, warnings.append)  # type: ignore[arg-type]
    asyncio.run(after.begin())
    assert after.current.find("per-user", ("caio@caio.it",))
    assert database.asked == 2
    assert warnings == ["ratelimit.overrides can't be read, what it said last holds: connection refused"]
    assert before is after


@pytest.mark.parametrize(
    "other", [settings(rule="other"), settings(overrides_query="SELECT 1, 2, 3"), settings("/nowhere/limits.csv")]
)
def test_other_settings_have_a_source_of_their_own(database: Database, other: RatelimitSettings) -> None:
    before = source_of(settings(), database, lambda: 0.0, print).read()
    assert source_of(other, database, lambda: 0.0, print) is not before
    assert len(source_of(other, database, lambda: 0.0, print).current.limits) == 0


# --- files ---


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("limits.csv", "rule,name,limits\nper-user,caio@caio.it,5000/1h\n"),
        ("limits.toml", '[per-user]\n"caio@caio.it" = "5000/1h"\n'),
    ],
)
def test_a_file_is_read_in_a_thread_when_it_begins_and_again_when_it_changes(
    tmp_path: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    threads: set[str] = set()
    for parser in ("parse_csv", "parse_toml"):
        parse = getattr(overridesource, parser)

        def parse_and_tell(*args: object, parse: Callable[..., object] = parse, **named: object) -> object:
            threads.add(threading.current_thread().name)
            return parse(*args, **named)

        monkeypatch.setattr(overridesource, parser, parse_and_tell)
    path = tmp_path / name
    path.write_text(text)
    source = of_file(path, warnings.append)
    assert len(source.current.limits) == 0
    asyncio.run(source.begin())
    assert source.current.find("per-user", ("caio@caio.it",))
    path.write_text(text.replace("caio@", "anna@") + "# changed\n")
    assert refreshed(source) == 1
    assert source.current.find("per-user", ("caio@caio.it",)) is None
    assert threads == {"overrides"}
    assert warnings == []


def test_a_file_that_is_not_there_is_told_of_once(tmp_path: Path, warnings: list[str]) -> None:
    source = of_file(tmp_path / "limits.csv", warnings.append).read()
    assert refreshed(source) == 0
    assert len(warnings) == 1
    assert warnings[0].startswith(f"{tmp_path}/limits.csv: can't be read, it counts as empty: ")
    (tmp_path / "limits.csv").write_text("per-user,caio@caio.it,5000/1h\n")
    assert refreshed(source) == 1


def test_a_file_that_is_removed_is_told_of_once_and_its_limits_stay_also_after_a_reload(
    tmp_path: Path, warnings: list[str]
) -> None:
    path = tmp_path / "limits.csv"
    path.write_text("per-user,caio@caio.it,5000/1h\n")
    source = of_file(path, warnings.append).read()
    path.unlink()
    assert refreshed(source) == 1
    after = of_file(path, warnings.append)
    asyncio.run(after.begin())
    assert len(after.current.limits) == 1
    assert len(warnings) == 1
    assert "its last state stays" in warnings[0]


def test_brackets_without_end_in_a_file_keep_its_last_state(tmp_path: Path, warnings: list[str]) -> None:
    path = tmp_path / "limits.toml"
    path.write_text('[per-user]\n"caio@caio.it" = "unlimited"\n')
    source = of_file(path, warnings.append).read()
    path.write_text("x = " + "[" * 5000 + "]" * 5000)
    assert refreshed(source) == 1
    assert len(warnings) == 1
    assert "brackets within brackets" in warnings[0]


def test_without_overrides_nothing_is_read() -> None:
    source = source_of(settings(""), no_rows, lambda: 0.0, print).read()
    asyncio.run(source.begin())
    assert refreshed(source) == 0
    assert threading.active_count() == 1 or source._reader is None
