"""List files: changes are seen, problems are told once, what can't be read keeps its last state."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vaglio.checks.listfiles import ListFiles
from vaglio.facts import client_of
from vaglio.lists import AddressList, ClientList

MX = client_of("192.0.2.1", "mx.caio.it")


@pytest.fixture
def warnings() -> list[str]:
    return []


def test_files_that_are_not_there_are_an_empty_list(tmp_path: Path, warnings: list[str]) -> None:
    files = ListFiles([tmp_path / "none", "/nonexistent/none"], ClientList.parse, warnings.append)
    assert len(files.current) == 0
    assert not files.refresh()
    assert warnings == []


def test_a_file_that_is_needed_and_not_there_is_told_of_once_and_keeps_its_last_state(
    tmp_path: Path, warnings: list[str]
) -> None:
    path = tmp_path / "list"
    files = ListFiles([path], ClientList.parse, warnings.append, needed=True)
    assert not files.refresh()
    assert [warning.partition(": [")[0] for warning in warnings] == [f"{path}: can't be read, it counts as empty"]
    path.write_text("caio.it\n")
    assert files.refresh()
    path.unlink()
    assert not files.refresh()
    assert not files.refresh()
    assert files.current.matches(MX) == "caio.it"
    assert [warning.partition(": [")[0] for warning in warnings[1:]] == [f"{path}: can't be read, its last state stays"]


def test_several_files_make_one_list_and_an_entry_names_its_file(tmp_path: Path, warnings: list[str]) -> None:
    (tmp_path / "a").write_text("tizio.it\n")
    (tmp_path / "b").write_text("# ours\ncaio.it\n")
    files = ListFiles([tmp_path / "a", tmp_path / "b"], ClientList.parse, warnings.append)
    assert files.current.where(files.current.matches(MX)) == f"{tmp_path}/b:2"


def test_a_changed_a_new_and_a_removed_file_are_seen(tmp_path: Path, warnings: list[str]) -> None:
    path = tmp_path / "list"
    files = ListFiles([path], AddressList.parse, warnings.append)
    path.write_text("caio@\n")
    assert files.refresh()
    assert files.current.matches("caio@caio.it") == "caio@"
    path.write_text("tizio@caio.it\n")
    assert files.refresh()
    assert not files.refresh()
    assert files.current.matches("caio@caio.it") == ""
    path.unlink()
    assert files.refresh()
    assert len(files.current) == 0


def test_a_file_put_in_place_by_rename_is_seen_even_with_the_same_size_and_time(
    tmp_path: Path, warnings: list[str]
) -> None:
    path, new = tmp_path / "list", tmp_path / "new"
    path.write_text("caio.it\n")
    files = ListFiles([path], ClientList.parse, warnings.append)
    status = path.stat()
    new.write_text("tizi.it\n")
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.rename(path)
    assert files.refresh()
    assert files.current.matches(MX) == ""


def test_problems_are_told_once_for_each_change(tmp_path: Path, warnings: list[str]) -> None:
    path = tmp_path / "list"
    path.write_text("caio.it\nnot a name\n")
    files = ListFiles([path], ClientList.parse, warnings.append)
    files.refresh()
    assert len(warnings) == 1
    assert warnings[0].startswith(f'{path}:2: found "not a name", wanted ')
    assert warnings[0].endswith("; the line is left out")
    assert files.current.matches(MX) == "caio.it"
    path.write_text("caio.it\nstill not a name\n")
    files.refresh()
    assert len(warnings) == 2


def test_a_file_that_can_not_be_read_keeps_its_last_state_and_is_told_once(
    tmp_path: Path, warnings: list[str]
) -> None:
    path = tmp_path / "list"
    path.write_text("caio.it\n")
    files = ListFiles([path], ClientList.parse, warnings.append)
    path.unlink()
    path.mkdir()  # reading a directory fails, for root too
    assert not files.refresh()
    assert not files.refresh()
    assert files.current.matches(MX) == "caio.it"
    assert len(warnings) == 1
    assert f"{path}: can't be read" in warnings[0]


def test_a_file_that_is_too_large_keeps_its_last_state(tmp_path: Path, warnings: list[str]) -> None:
    path = tmp_path / "list"
    path.write_text("caio.it\n")
    files = ListFiles([path], ClientList.parse, warnings.append, most=100)
    path.write_text("tizio.it\n" * 100)
    assert not files.refresh()
    assert files.current.matches(MX) == "caio.it"
    assert "larger than 100 bytes" in warnings[0]


def test_a_byte_order_mark_and_other_encodings_do_no_harm(tmp_path: Path, warnings: list[str]) -> None:
    path = tmp_path / "list"
    path.write_bytes(b"\xef\xbb\xbfcaio.it\r\n# caf\xe9\r\ncaf\xe9.it\r\n")
    files = ListFiles([path], ClientList.parse, warnings.append)
    assert files.current.matches(MX) == "caio.it"
    assert [":3:" in warning for warning in warnings] == [True]
