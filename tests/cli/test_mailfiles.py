"""Messages out of files, Maildir folders, mailboxes and directories."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest

from vaglio.cli import mailfiles
from vaglio.cli.mailfiles import Piece, pieces

MOST = 10_000


def letter(subject: str, text: str = "ciao") -> bytes:
    return f"From: tizio@tizio.it\nSubject: {subject}\n\n{text}\n".encode()


def found(*paths: Path | str, most: int = MOST, recursive: bool = False) -> list[Piece]:
    return list(pieces([str(path) for path in paths], most, recursive))


def contents(*paths: Path | str, recursive: bool = False) -> list[bytes]:
    return [one.content for one in found(*paths, recursive=recursive)]


def test_a_file_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "one.eml").write_bytes(letter("uno"))
    assert found(tmp_path / "one.eml") == [Piece(str(tmp_path / "one.eml"), letter("uno"), len(letter("uno")))]


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Input:
        buffer = io.BytesIO(letter("uno"))

    monkeypatch.setattr("sys.stdin", Input)
    assert found("-") == [Piece("standard input", letter("uno"), len(letter("uno")))]


def test_of_a_large_message_only_the_beginning_is_kept(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(letter("uno", "x" * 3_000_000))
    (one,) = found(tmp_path / "large", most=100)
    assert one.content == letter("uno", "x" * 100)[:100]
    assert one.size == len(letter("uno", "x" * 3_000_000))


def test_what_is_larger_than_any_message_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailfiles, "LARGEST", 1_000_000)
    for name, head in (("image", b""), ("mbox", b"From x Sun Nov 22 18:00:00 2026\n")):
        (tmp_path / name).write_bytes(head + letter("uno", "x\n" * 1_000_000))
        (one,) = found(tmp_path / name)
        assert "that is no message" in one.trouble
        assert one.content == b""


def test_a_file_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    (one,) = found(tmp_path / "none")
    assert one.trouble == "No such file or directory"


# --- mailboxes ---

BEGIN = b"From tizio@tizio.it Sun Nov 22 18:00:00 2026\n"


def test_a_mailbox_is_split(tmp_path: Path) -> None:
    path = tmp_path / "mbox"
    path.write_bytes(b"\n".join(BEGIN + letter(name) for name in ("uno", "due", "tre")))
    assert [one.content.rstrip() for one in found(path)] == [letter(name).rstrip() for name in ("uno", "due", "tre")]
    assert [one.place for one in found(path)] == [str(path), f"{path}, message 2", f"{path}, message 3"]


def test_a_mailbox_with_crlf_is_split(tmp_path: Path) -> None:
    path = tmp_path / "mbox"
    path.write_bytes(b"\n".join(BEGIN + letter(name) for name in ("uno", "due")).replace(b"\n", b"\r\n"))
    assert len(found(path)) == 2


@pytest.mark.parametrize("line", ["From a to z", "From here on, at noon", "From: 12:00", "from x Sun Nov 22 18:00:00"])
def test_a_line_that_only_looks_like_a_beginning_stays(tmp_path: Path, line: str) -> None:
    (tmp_path / "mbox").write_bytes(BEGIN + letter("uno", f"prima\n\n{line}\ndopo"))
    assert contents(tmp_path / "mbox") == [letter("uno", f"prima\n\n{line}\ndopo")]


def test_a_beginning_within_a_paragraph_is_none(tmp_path: Path) -> None:
    text = f"prima\n{BEGIN.decode()}dopo"
    (tmp_path / "mbox").write_bytes(BEGIN + letter("uno", text))
    assert contents(tmp_path / "mbox") == [letter("uno", text)]


def test_an_escaped_from_is_undone_in_a_mailbox_only(tmp_path: Path) -> None:
    (tmp_path / "mbox").write_bytes(BEGIN + letter("uno", "\n>From x\n>>From y\n> From z"))
    assert contents(tmp_path / "mbox") == [letter("uno", "\nFrom x\n>From y\n> From z")]
    (tmp_path / "file").write_bytes(letter("uno", ">From x"))
    assert contents(tmp_path / "file") == [letter("uno", ">From x")]


def test_a_line_without_an_end_takes_no_memory_and_begins_nothing(tmp_path: Path) -> None:
    long = b"x" * (mailfiles._LINE - 1) + b"\n" + BEGIN
    (tmp_path / "mbox").write_bytes(BEGIN + letter("uno") + b"y" * mailfiles._LINE + BEGIN + long)
    (one,) = found(tmp_path / "mbox", most=50)
    assert len(one.content) == 50


def test_an_empty_file_is_an_empty_message(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert contents(tmp_path / "empty") == [b""]


# --- directories ---


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    """A Maildir with a folder ".Junk", and what Dovecot keeps beside the messages."""
    for folder in (tmp_path / "Maildir", tmp_path / "Maildir" / ".Junk"):
        for name in ("cur", "new", "tmp"):
            (folder / name).mkdir(parents=True)
            (folder / name / f"1.{name}:2,S").write_bytes(letter(f"{folder.name} {name}"))
        (folder / "dovecot.index").write_bytes(b"no message")
    (tmp_path / "Maildir" / "cur" / ".hidden").write_bytes(b"no message")
    return tmp_path / "Maildir"


def test_a_folder_of_a_maildir_is_what_is_in_cur_and_new(maildir: Path) -> None:
    assert contents(maildir) == [letter("Maildir cur"), letter("Maildir new")]
    assert contents(maildir / ".Junk") == [letter(".Junk cur"), letter(".Junk new")]


def test_the_folders_below_come_with_recursive(maildir: Path) -> None:
    both = [letter(f"{name} {place}") for name in ("Maildir", ".Junk") for place in ("cur", "new")]
    assert contents(maildir, recursive=True) == both
    assert contents(maildir.parent, recursive=True) == both
    assert contents(maildir.parent) == []


def test_a_directory_is_the_files_in_it_in_order(tmp_path: Path) -> None:
    for name in ("b", "a", ".c"):
        (tmp_path / name).write_bytes(letter(name))
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "d").write_bytes(letter("d"))
    assert contents(tmp_path) == [letter("a"), letter("b")]
    assert contents(tmp_path, recursive=True) == [letter("a"), letter("b"), letter("d")]


def test_links_and_pipes_in_a_directory_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "secret").write_bytes(letter("secret"))
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "folder" / "loop").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(tmp_path / "folder" / "pipe")
    assert contents(tmp_path / "folder", recursive=True) == []


@pytest.mark.parametrize("folder", [False, True])
def test_a_link_that_is_named_is_told_of(tmp_path: Path, folder: bool) -> None:
    (tmp_path / "real").mkdir() if folder else (tmp_path / "real").write_bytes(letter("uno"))
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=folder)
    (one,) = found(tmp_path / "link")
    assert (one.content, one.trouble) == (b"", "it is a symbolic link: name what it leads to")


def test_a_directory_that_a_link_leads_to_is_read_where_its_name_says_directory(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_bytes(letter("a"))
    (tmp_path / "link").symlink_to(tmp_path / "folder", target_is_directory=True)
    assert contents(f"{tmp_path}/link/") == [letter("a")]


def test_a_pipe_that_is_named_is_told_of_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (one,) = found(tmp_path / "pipe")
    assert one.trouble == 'it is no file: what comes out of a pipe is read as "-"'


def test_folders_are_followed_so_deep_and_no_deeper(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_DIRECTORY)
    for depth in range(2 * mailfiles._DEEPEST):
        os.mkdir("f", dir_fd=here)
        below = os.open("f", os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
        if depth in (mailfiles._DEEPEST - 1, mailfiles._DEEPEST):
            os.close(os.open("message", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "last").write_bytes(letter("last"))
    *deep, last = found(tmp_path, recursive=True)
    assert last.content == letter("last")
    assert [bool(one.trouble) for one in deep] == [False, True]
    assert "what is below is not read" in deep[-1].trouble


def test_a_name_that_is_no_utf_8_is_a_name(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/perch\xe9")
    Path(path).write_bytes(letter("uno"))
    assert [one.place for one in found(tmp_path)] == [path]


def test_a_folder_that_may_not_be_read_is_told_with_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who learns is the daemon's user, as a rule, and that one reads nobody's mail."""

    def refuse(_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "scandir", refuse)
    (piece,) = pieces([str(tmp_path)], 1000)
    assert piece.trouble == (
        'Permission denied: run this as root, or hand messages over one by one ("-" is standard input)'
    )
