"""Files of lists over a reload: what was read stays, and a thread reads what is new or changed."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from vaglio.checks.dnsbl import privatelists
from vaglio.checks.dnsbl.privatelists import PrivateLists
from vaglio.checks.dnsbl.settings import ListSettings


@pytest.fixture
def one(tmp_path: Path) -> ListSettings:
    (tmp_path / "blocked").write_text("192.0.2.7\n")
    return ListSettings(name="ours", file=str(tmp_path / "blocked"))


def test_what_is_in_use_is_not_read_again(one: ListSettings) -> None:
    first = PrivateLists([one], print).read()
    again = one.model_copy(update={"weight": 3.0})
    assert PrivateLists([again], print).read().current() == ((again, first.current()[0][1]),)


def test_a_new_file_is_read_by_a_thread_and_its_list_is_empty_until_then(one: ListSettings) -> None:
    Path(one.file).write_text("192.0.2.7\n192.0.2.0/99\n")
    readers: list[threading.Thread] = []
    lists = PrivateLists([one], lambda _: readers.append(threading.current_thread()))
    assert [(settings, len(zone)) for settings, zone in lists.current()] == [(one, 0)]
    lists.refresh()
    lists.wait()
    assert readers == []
    asyncio.run(lists.begin())
    assert len(lists.current()[0][1]) == 1
    assert len(readers) == 1
    assert readers[0] is not threading.current_thread()


def test_what_changed_is_read_by_the_thread(one: ListSettings) -> None:
    first = PrivateLists([one], print).read()
    Path(one.file).write_text("192.0.2.7\n192.0.2.8\n")
    second = PrivateLists([one], print).read()
    assert len(second.current()[0][1]) == 1
    second.refresh()
    second.wait()
    assert len(second.current()[0][1]) == 2
    first.refresh()
    first.wait()
    assert first.current() == second.current()


def test_a_form_that_changed_is_read_anew(one: ListSettings) -> None:
    first = PrivateLists([one], print).read()
    Path(one.file).write_text("192.0.2.7\n192.0.2.8\n")
    second = PrivateLists([one.model_copy(update={"format": "ip4set"})], print).read()
    assert (len(first.current()[0][1]), len(second.current()[0][1])) == (1, 2)


def test_what_nobody_uses_any_more_is_forgotten(one: ListSettings) -> None:
    lists = PrivateLists([one], print).read()
    assert (one.file, one.format) in privatelists._in_use
    del lists
    assert (one.file, one.format) not in privatelists._in_use
