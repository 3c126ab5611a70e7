"""``vaglio bayes``."""

from __future__ import annotations

import io
import lzma
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from vaglio.cli import bayes_export
from vaglio.ports import Kind, Learned, Lesson
from vaglio.store import tokenrows, tokens
from vaglio.store.tokenrows import Entry, Origin
from vaglio.store.tokens import FILE_NAME, SqliteTokens, Tokens

Host = Any  # of conftest.py
NOW = 1_790_000_000  # as in conftest.py
DAY = NOW // 86400


def lesson(number: int, *ids: int) -> Lesson:
    return Lesson(number.to_bytes(16, "big"), ids)


def opened(host: Host, name: str = FILE_NAME) -> Tokens:
    return SqliteTokens(host.state / name, warn=pytest.fail, now=lambda: float(NOW))


@pytest.fixture
def taught(host: Host) -> Host:
    """Three of spam and two of wanted mail, of 5 words."""
    host.configure("[score.bayes]\nmin_learned = 2\nmax_tokens = 10000")
    with closing(opened(host)) as store:
        store.learn([lesson(1, 1, -2), lesson(2, 1, 3), lesson(3, 3)], Kind.SPAM, DAY - 1)
        store.learn([lesson(4, 1, 5), lesson(5, -6)], Kind.HAM, DAY)
    return host


# --- status ---


def test_without_a_store_it_says_how_to_begin(host: Host) -> None:
    said = host.run("bayes", "status")
    assert said.status == 1
    assert "nothing was learned (vaglio learn spam PATH, vaglio learn ham PATH)" in said.err
    assert not (host.state / FILE_NAME).exists()


def test_status_says_how_much_was_learned(taught: Host) -> None:
    lines = taught.fine("bayes", "status").splitlines()
    assert lines[:4] == [
        "learned: 3 messages of spam, 2 of wanted mail",
        "Bayes has a say",
        "remembered: 5 messages, learned from 2026-09-20 to 2026-09-21, which can be learned as the other kind",
        "words: 5, at most 10000 (score.bayes.max_tokens)",
    ]
    assert lines[4].startswith(f"file: {taught.state}/bayes.sqlite, 0.0 MB")
    found = taught.json("bayes", "status")
    assert found.pop("size") > 0
    assert found == {
        "file": f"{taught.state}/bayes.sqlite", "enabled": True, "ready": True, "min_learned": 2, "spam": 3, "ham": 2,
        "words": 5, "max_tokens": 10_000, "remembered": 5, "of_earlier_versions": 0, "first": (DAY - 1) * 86400,
        "last": DAY * 86400,
    }  # fmt: skip


def test_status_says_what_bayes_waits_for(taught: Host) -> None:
    taught.configure("[score.bayes]\nmin_learned = 10")
    assert "it waits for 7 more of spam and 8 more of wanted mail\n" in taught.fine("bayes", "status")
    taught.configure("[score.bayes]\nenabled = false")
    assert "Bayes has no say: score.bayes.enabled is false\n" in taught.fine("bayes", "status")
    assert taught.json("bayes", "status")["ready"] is False


def test_status_tells_of_messages_that_were_learned_by_other_words(taught: Host) -> None:
    with closing(sqlite3.connect(taught.state / FILE_NAME)) as file, file:
        file.execute("UPDATE messages SET version = 0 WHERE kind = 'ham'")
    assert "2 of these an earlier version learned, by other words" in taught.fine("bayes", "status")


def test_status_looks_into_any_state_directory(taught: Host, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (taught.state / FILE_NAME).rename(tmp_path / "elsewhere" / FILE_NAME)
    assert taught.json("bayes", "status", "--state", str(tmp_path / "elsewhere"))["spam"] == 3


# --- out and back ---


def contents(host: Host) -> list[Any]:
    with closing(opened(host)) as store:
        return [one for one in store.all() if not isinstance(one, Origin)]


def test_what_is_written_can_be_taken_over_by_an_empty_store(taught: Host, tmp_path: Path) -> None:
    path = str(tmp_path / "bayes.txt")
    assert taught.fine("bayes", "export", path) == f"14 lines written to {path}\n"
    before = contents(taught)
    taught.fine("bayes", "reset", "--yes")
    assert contents(taught) == [Learned(0, 0)]
    assert taught.fine("bayes", "import", path) == "taken over: 5 words, of 3 messages of spam and 2 of wanted mail\n"
    assert contents(taught) == before


def test_it_can_be_written_to_standard_output_and_read_from_standard_input(
    taught: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(taught)
    output = io.TextIOWrapper(io.BytesIO())
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", output)
        assert taught.run("bayes", "export").status == 0
    packed = lzma.compress(output.buffer.getvalue())
    (tmp_path / "packed").write_bytes(packed)
    taught.fine("bayes", "reset", "--yes")
    with lzma.open(tmp_path / "packed") as plain:
        read, write = os.pipe()
        os.write(write, plain.read())
        os.close(write)
    with os.fdopen(read) as pipe, monkeypatch.context() as patch:
        patch.setattr("sys.stdin", pipe)
        assert taught.json("bayes", "import") == {"spam": 3, "ham": 2, "remembered": 5, "words": 5}
    assert contents(taught) == before


def test_a_file_that_is_there_is_not_written_over(taught: Host, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("precious")
    said = taught.run("bayes", "export", str(tmp_path / "there"))
    assert (said.status, said.err) == (1, f"vaglio: {tmp_path}/there: File exists\n")
    assert (tmp_path / "there").read_text() == "precious"


def test_what_is_written_is_for_its_owner_alone(taught: Host, tmp_path: Path) -> None:
    taught.fine("bayes", "export", str(tmp_path / "bayes.txt"))
    assert (tmp_path / "bayes.txt").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_file_that_is_half_written_goes_again(
    taught: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(store: Tokens, file: BinaryIO) -> int:
        file.write(b"vaglio-bayes 1")
        raise error

    monkeypatch.setattr(bayes_export, "_write", fail)
    assert taught.run("bayes", "export", str(tmp_path / "bayes.txt")).status in (1, 130)
    assert not (tmp_path / "bayes.txt").exists()


def test_what_others_learned_is_added(taught: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_ADDED", 2)
    taught.fine("bayes", "export", str(tmp_path / "bayes.txt"))
    taught.fine("bayes", "reset", "--yes")
    with closing(opened(taught)) as store:
        store.learn([lesson(77, 1, 99)], Kind.SPAM, DAY)
    taught.fine("bayes", "import", str(tmp_path / "bayes.txt"))
    with closing(opened(taught)) as store:
        assert store.learned() == Learned(4, 2)
        assert store.counts([1, 99, -6]) == {1: (3, 1), 99: (1, 0), -6: (0, 1)}


def test_a_file_that_was_taken_over_already_is_refused(taught: Host, tmp_path: Path) -> None:
    path = str(tmp_path / "bayes.txt")
    taught.fine("bayes", "export", path)
    before = contents(taught)
    said = taught.run("bayes", "import", path)
    assert said.status == 1
    assert "it comes from here, or was taken over already" in said.err
    lines = [line for line in Path(path).read_text().splitlines() if not line.startswith("origin")]
    (tmp_path / "bare.txt").write_text("\n".join(lines).replace("end 11", "end 10"))
    said = taught.run("bayes", "import", str(tmp_path / "bare.txt"))
    assert "5 of its 5 messages are known here, so it was taken over already" in said.err
    assert contents(taught) == before
    with closing(opened(taught)) as store:
        store.learn([lesson(77, 1, 99)], Kind.SPAM, DAY)
    taught.fine("bayes", "import", "--replace", "--yes", path)
    assert contents(taught) == before


def test_what_was_taken_over_is_known_by_its_origin_too(taught: Host, tmp_path: Path) -> None:
    """Where no message is remembered any more: after half a year, as it comes."""
    with closing(sqlite3.connect(taught.state / FILE_NAME)) as file, file:
        file.execute("DELETE FROM messages")
    first, second = str(tmp_path / "first.txt"), str(tmp_path / "second.txt")
    taught.fine("bayes", "export", first)
    with closing(opened(taught)) as store:
        store.learn([lesson(8, 80)], Kind.HAM, DAY)
    taught.fine("bayes", "export", second)
    assert taught.run("bayes", "import", first).status == 1
    (taught.state / FILE_NAME).unlink()
    taught.fine("bayes", "import", first)
    before = contents(taught)
    for again in (first, second):
        assert "it comes from here, or was taken over already" in taught.run("bayes", "import", again).err
    assert contents(taught) == before
    taught.fine("bayes", "import", "--replace", "--yes", second)
    assert contents(taught)[0] == Learned(3, 3)


@pytest.mark.parametrize("words", [(), ("--replace", "--yes")])
def test_an_import_that_is_interrupted_changes_nothing(
    taught: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    path = str(tmp_path / "bayes.txt")
    taught.fine("bayes", "export", path)
    (taught.state / FILE_NAME).unlink()
    with closing(opened(taught)) as store:
        store.learn([lesson(77, 1, 99)], Kind.SPAM, DAY)
    before = contents(taught)
    monkeypatch.setattr(tokens, "_ADDED", 1)
    put, left = tokenrows.put, [8]

    def interrupted(connection: sqlite3.Connection, some: Sequence[Entry]) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        put(connection, some)

    monkeypatch.setattr(tokens, "put", interrupted)
    assert taught.run("bayes", "import", *words, path).status == 130
    assert contents(taught) == before
    taught.fine("bayes", "import", *words, path)
    assert contents(taught)[0] == (Learned(3, 2) if words else Learned(4, 2))


def test_a_bad_file_changes_nothing(taught: Host, tmp_path: Path) -> None:
    path = tmp_path / "bayes.txt"
    taught.fine("bayes", "export", str(path))
    path.write_text(path.read_text().replace("end 11", "end 12"))
    before = contents(taught)
    said = taught.run("bayes", "import", "--replace", "--yes", str(path))
    assert (said.status, said.err) == (
        1, f"vaglio: {path}: line 14: found 'end 12', wanted \"end 11\": lines are missing or too many; nothing was "
        "changed\n",
    )  # fmt: skip
    assert contents(taught) == before


@pytest.mark.parametrize("words", [("reset",), ("import", "--replace", "none")])
def test_who_can_not_be_asked_must_say_yes(taught: Host, words: tuple[str, ...]) -> None:
    said = taught.run("bayes", *words)
    assert said.status == 2
    assert "say --yes" in said.err
    assert len(contents(taught)) == 11


def test_a_reset_forgets_all_of_it(taught: Host) -> None:
    assert taught.json("bayes", "reset", "--yes") == {"forgotten": {"spam": 3, "ham": 2}}
    assert contents(taught) == [Learned(0, 0)]


def test_without_a_store_there_is_nothing_to_reset(host: Host) -> None:
    assert host.run("bayes", "reset", "--yes").status == 1
    assert not (host.state / FILE_NAME).exists()
