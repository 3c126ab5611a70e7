"""Corpora of spam and ham: checked, cut in halves that share no body, written so that every program can read them."""

from __future__ import annotations

import csv
import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench import corpora
from bench.corpora import Mail
from bench.servers import BenchError


def message(number: int, body: str = "") -> bytes:
    return f"Subject: number {number}\n\n{body or f'Hello {number}'}\n".encode()


def mail(number: int, body: str = "", label: corpora.Label = "ham") -> Mail:
    content = message(number, body)
    return Mail("mine", label, hashlib.sha256(content).hexdigest(), content)


def corpus(directory: Path, files: Mapping[str, bytes], label: str = "ham", **listed: str) -> Path:
    """Write a corpus "mine" with its manifest; ``listed`` are other digests than the files have, by file."""
    with tarfile.open(directory / "mine.tar.xz", "w:xz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with (directory / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["corpus", "label", "file", "size", "sha256"])
        for name, content in files.items():
            digest = listed.get(name, hashlib.sha256(content).hexdigest())
            writer.writerow(["mine", label, name, len(content), digest])
        writer.writerow(["another", label, "another/0", 1, "0"])
    return directory


def test_a_corpus_is_read_without_the_lines_that_mailboxes_put_in_front(tmp_path: Path) -> None:
    plain, boxed = message(1), b"From tizio@tizio.it Sun Nov 22 18:00:00 2026\n" + message(2)
    found = corpora.read(corpus(tmp_path, {"mine/1": plain, "mine/2": boxed}, "spam"), ["mine"])
    assert [one.content for one in found] == [message(1), message(2)]
    assert [one.sha256 for one in found] == [hashlib.sha256(raw).hexdigest() for raw in (plain, boxed)]
    assert {(one.corpus, one.label) for one in found} == {("mine", "spam")}


def test_what_has_no_header_is_left_out(tmp_path: Path) -> None:
    found = corpora.read(corpus(tmp_path, {"mine/1": message(1), "mine/2": b"        return 0;\n}\n"}), ["mine"])
    assert [one.content for one in found] == [message(1)]


@pytest.mark.parametrize("label", ["ham", "eggs"])
def test_what_is_not_as_the_manifest_says_ends_it(tmp_path: Path, label: str) -> None:
    listed = {"1": "0" * 64} if label == "ham" else {}
    with pytest.raises(BenchError, match=r"1 is (not what the manifest says|neither ham nor spam, but eggs)"):
        corpora.read(corpus(tmp_path, {"1": message(1)}, label, **listed), ["mine"])


def test_where_there_are_no_corpora_it_says_where_they_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAGLIO_DATA", str(tmp_path))
    with pytest.raises(BenchError, match=f"{tmp_path}/spam: VAGLIO_DATA says"):
        corpora.home()
    (tmp_path / "spam").mkdir()
    (tmp_path / "spam" / "manifest.csv").touch()
    assert corpora.home() == tmp_path / "spam"


def test_no_body_is_on_both_sides() -> None:
    mails = [mail(number, f"Hello {number % 100}") for number in range(1000)]
    first, second = (({one.content.partition(b"\n\n")[2] for one in side}) for side in corpora.halves(mails))
    assert len(first | second) == 100
    assert not first & second
    assert min(len(first), len(second)) > 30


def test_copies_that_differ_in_white_space_and_case_are_on_one_side() -> None:
    for number in range(20):
        sides = corpora.halves([mail(1, f"Buy {number}\nnow"), mail(2, f"BUY  {number} now \n\n")])
        assert sorted(map(len, sides)) == [0, 2]


def test_another_salt_gives_other_halves() -> None:
    mails = [mail(number) for number in range(100)]
    assert corpora.halves(mails) == corpora.halves(mails)
    assert corpora.halves(mails)[0] != corpora.halves(mails, "another")[0]


def test_a_sample_is_the_same_in_whatever_order_the_mail_comes() -> None:
    mails = [mail(number, label="spam" if number % 3 else "ham") for number in range(90)]
    assert corpora.some(mails, 10) == corpora.some(reversed(mails), 10)
    sample = corpora.balanced(mails, 40)
    assert [len(corpora.of(label, sample)) for label in ("ham", "spam")] == [30, 40]


def test_mail_is_written_by_label_and_mixed(tmp_path: Path) -> None:
    mails = [mail(1), mail(2, label="spam"), mail(3)]
    folder = corpora.write(mails, tmp_path / "sorted")
    assert {file.read_bytes() for file in (folder / "ham").iterdir()} == {message(1), message(3)}
    assert [file.read_bytes() for file in (folder / "spam").iterdir()] == [message(2)]
    mixed = corpora.write_mixed(mails, tmp_path / "mixed")
    assert {file.read_bytes() for file in mixed.glob("*.eml")} == {message(1), message(2), message(3)}
