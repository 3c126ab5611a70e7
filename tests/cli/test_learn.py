"""``vaglio learn``."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.waiting import until
from vaglio.cli import learn
from vaglio.milter.replay import read
from vaglio.ports import Effect, StoreError, Word
from vaglio.store.tokens import FILE_NAME, LookTokens, Tokens

Host = Any  # of conftest.py


def letter(number: int, text: str = "") -> bytes:
    return (
        f"From: tizio{number}@tizio.it\nDate: Sun, 22 Nov 2026 18:00:00 +0100\nSubject: offerta {number}\n\n"
        f"parola{number} ciao {text}\n"
    ).encode()


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    """Three messages."""
    folder = tmp_path / "mail"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.eml").write_bytes(letter(number))
    return folder


def learned(host: Host) -> tuple[int, int]:
    found = host.json("bayes", "status")
    return found["spam"], found["ham"]


def test_messages_are_learned_once_and_moved(host: Host, mail: Path) -> None:
    host.configure("[score.bayes]\nmin_learned = 2")
    assert host.fine("learn", "spam", str(mail)) == (
        "messages: 3 learned as spam\nBayes has no say yet: it waits for 2 more of wanted mail\n"
    )
    assert host.fine("learn", "spam", str(mail)).startswith("messages: 3 known already\n")
    said = host.fine("learn", "ham", str(mail / "0.eml"), str(mail / "1.eml"), str(mail / "1.eml"))
    assert said.startswith("messages: 2 moved to wanted mail, 1 known already\n")
    assert learned(host) == (1, 2)
    assert host.fine("learn", "forget", str(mail)).startswith("messages: 3 forgotten\n")
    assert learned(host) == (0, 0)


def test_json_says_what_came_of_it(host: Host, mail: Path) -> None:
    assert host.json("learn", "ham", str(mail)) == {
        "learned": 3, "known": 0, "moved": 0, "forgotten": 0, "unknown": 0, "unreadable": 0, "spam": 0, "ham": 3,
        "ready": False,
    }  # fmt: skip


def test_a_mailbox_and_a_maildir_hold_the_same_messages(host: Host, mail: Path, tmp_path: Path) -> None:
    host.fine("learn", "spam", str(mail))
    mailbox = b"\n".join(b"From x Sun Nov 22 18:00:00 2026\n" + letter(number) for number in range(4))
    (tmp_path / "mbox").write_bytes(mailbox)
    (tmp_path / "Maildir" / "cur").mkdir(parents=True)
    (tmp_path / "Maildir" / "cur" / "1:2,S").write_bytes(
        b"Return-Path: <x@y.z>\r\nX-Spam-Flag: YES\r\nReceived: by here\r\n" + letter(4).replace(b"\n", b"\r\n")
    )
    said = host.fine("learn", "spam", str(tmp_path / "mbox"), str(tmp_path / "Maildir"))
    assert said.startswith("messages: 2 learned as spam, 3 known already\n")


def test_a_mark_in_the_subject_is_not_learned(host: Host, tmp_path: Path) -> None:
    plain, marked = letter(1), letter(1).replace(b"Subject: ", b"Subject: [SPAM] ", 1)
    assert plain != marked
    (tmp_path / "plain.eml").write_bytes(plain)
    (tmp_path / "marked.eml").write_bytes(marked)
    host.fine("learn", "spam", str(tmp_path / "marked.eml"))
    host.fine("learn", "ham", str(tmp_path / "plain.eml"))  # takes back each word of the first
    with closing(LookTokens(host.state / FILE_NAME)) as store:
        assert [word.spam for word in store.all() if isinstance(word, Word)].count(0) == store.summary().words > 0


def test_standard_input_is_a_path_like_any_other(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(letter(1))))
    assert host.fine("learn", "spam", "-").startswith("messages: 1 learned as spam\n")


def test_what_is_no_message_is_told_and_the_rest_is_learned(host: Host, mail: Path) -> None:
    (mail / "empty").touch()
    (mail / "text").write_text("no header here\n")
    said = host.run("learn", "spam", str(mail), str(mail / "none"))
    assert said.status == 1
    assert said.out.startswith("messages: 3 learned as spam, 3 unreadable\n")
    assert said.err.splitlines() == [
        f"vaglio: {mail}/empty: it has no header: that is no message",
        f"vaglio: {mail}/text: it has no header: that is no message",
        f"vaglio: {mail}/none: No such file or directory",
    ]


def test_many_that_are_unreadable_are_not_all_named(host: Host, tmp_path: Path) -> None:
    said = host.run("learn", "spam", *(f"{tmp_path}/none{number}" for number in range(50)))
    assert len(said.err.splitlines()) == 10
    assert said.out.startswith("messages: 50 unreadable\n")


LINES = st.lists(st.sampled_from([b"From: x", b" y", b"no field", b"", b"\r", b"\0", b"From x 12:00", b"\xff: z"]))


@given(LINES, st.sampled_from([b"\n", b"\r\n"]), st.booleans())
def test_the_short_way_to_read_a_message_reads_the_same(lines: list[bytes], end: bytes, ended: bool) -> None:
    message = end.join(lines) + (end if ended else b"")
    assert learn._read(message) == read(message)


def test_a_directory_without_messages_is_no_result(host: Host, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    said = host.run("learn", "spam", str(tmp_path / "nothing"))
    assert (said.status, said.out.splitlines()[0]) == (1, "there is no message")


def test_a_large_message_is_read_as_far_as_new_mail_is(host: Host, tmp_path: Path) -> None:
    host.configure('[score]\nmax_scan = "2 KiB"')
    for name, more in (("one", "zzz"), ("two", "yyy")):
        (tmp_path / name).write_bytes(letter(1, "abc " * 1000 + more * 10))
    host.fine("learn", "spam", str(tmp_path / "one"))
    host.fine("learn", "ham", str(tmp_path / "two"))  # the part that is read is the same
    assert learned(host) == (0, 1)


def test_it_is_written_in_small_batches(host: Host, mail: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learn, "_WORDS", 1)
    sizes = []
    write = Tokens.learn

    def note(self: Tokens, lessons: Sequence[Any], *more: Any) -> Sequence[Effect]:
        sizes.append(len(lessons))
        return write(self, lessons, *more)

    monkeypatch.setattr(Tokens, "learn", note)
    assert host.json("learn", "spam", str(mail))["learned"] == 3
    assert sizes == [1, 1, 1]


_IN_SMALL_BATCHES = """
import sys
from vaglio.cli import learn
from vaglio.cli.main import main
learn._WORDS = 100
sys.exit(main())
"""


def test_an_interrupt_leaves_what_was_written_and_says_so(host: Host) -> None:
    """The input does not end, so the command waits for more of it when the signal comes."""
    mailbox = b"\n".join(b"From x Sun Nov 22 18:00:00 2026\n" + letter(number, "parole " * 50) for number in range(99))
    command = [sys.executable, "-c", _IN_SMALL_BATCHES, "learn", "spam", "-", "--config", str(host.config)]
    read, write = os.pipe()
    with (
        subprocess.Popen(command, stdin=read, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running,
        os.fdopen(write, "wb") as pipe,
    ):
        os.close(read)
        pipe.write(mailbox)
        pipe.flush()
        until(lambda: written(host.state / FILE_NAME) > 0, "something to be learned")
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    match = re.fullmatch(r"vaglio: interrupted: what was done with the first (\d+) messages stays\n", said)
    assert match, said
    assert learned(host) == (int(match[1]), 0)


def written(path: Path) -> int:
    with suppress(StoreError), closing(LookTokens(path)) as store:
        return store.learned().spam
    return 0
