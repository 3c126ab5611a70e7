"""Files of lists over a reload: what was read stays, what changed is read by the thread."""

from __future__ import annotations

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
    first = PrivateLists([one], print)
    again = one.model_copy(update={"weight": 3.0})
    assert PrivateLists([again], print).current() == ((again, first.current()[0][1]),)


def test_what_changed_is_read_by_the_thread(one: ListSettings) -> None:
    first = PrivateLists([one], print)
    Path(one.file).write_text("192.0.2.7\n192.0.2.8\n")
    second = PrivateLists([one], print)
    assert len(second.current()[0][1]) == 1
    second.refresh()
    second.wait()
    assert len(second.current()[0][1]) == 2
    first.refresh()
    first.wait()
    assert first.current() == second.current()


def test_a_form_that_changed_is_read_at_once(one: ListSettings) -> None:
    first = PrivateLists([one], print)
    Path(one.file).write_text("192.0.2.7\n192.0.2.8\n")
    second = PrivateLists([one.model_copy(update={"format": "ip4set"})], print)
    assert (len(first.current()[0][1]), len(second.current()[0][1])) == (1, 2)


def test_what_nobody_uses_any_more_is_forgotten(one: ListSettings) -> None:
    lists = PrivateLists([one], print)
    assert (one.file, one.format) in privatelists._in_use
    del lists
    assert (one.file, one.format) not in privatelists._in_use
