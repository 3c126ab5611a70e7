"""Corpora of spam and ham: read out of their archives, checked, cut in two halves, and written as files that every
program can read.

The mail is not ours and not in this repository: it is where ``VAGLIO_DATA`` says, or in ``../shared/data``. A manifest
tells which message is what, and its SHA-256; what is not in it, or not as it says, is not used. Nothing of it is kept.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from bench.servers import BenchError

REAL = ("spamassassin-public", "csdmc2010", "list-ham")
"""Those with mail as it came, in which nothing but what it is tells spam from ham."""
ALL = (*REAL, "enron1", "phishing-pot")

Label = Literal["ham", "spam"]
LABELS: tuple[Label, ...] = ("ham", "spam")
_LABEL: Mapping[str, Label] = {label: label for label in LABELS}


_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
"""A field of a header. What does not begin with one is no message, and no program is asked about it."""


class Mail(NamedTuple):
    """A message. ``sha256`` is the manifest's, of the file as it was; ``content`` is without a mailbox' "From " line,
    which not all of them have and not all programs know how to read.
    """

    corpus: str
    label: Label
    sha256: str
    content: bytes


def home() -> Path:
    """Return where the corpora are. Raises BenchError if they are not."""
    found = Path(os.environ.get("VAGLIO_DATA") or "../shared/data") / "spam"
    if not (found / "manifest.csv").exists():
        raise BenchError(f"there are no corpora of spam and ham in {found}: VAGLIO_DATA says where the data are")
    return found


def read(directory: Path, corpora: Iterable[str]) -> list[Mail]:
    """Return the messages of some corpora, in the manifest's order. Raises BenchError unless all are as it says."""
    with (directory / "manifest.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    return [mail for corpus in corpora for mail in _corpus(directory, corpus, lines)]


def _corpus(directory: Path, corpus: str, lines: Iterable[Mapping[str, str]]) -> list[Mail]:
    members = _members(directory / f"{corpus}.tar.xz")
    found = []
    for line in lines:
        if line["corpus"] != corpus:
            continue
        content = members.get(line["file"])
        if content is None or hashlib.sha256(content).hexdigest() != line["sha256"]:
            raise BenchError(f"{directory}: {line['file']} is not what the manifest says")
        label = _LABEL.get(line["label"])
        if label is None:
            raise BenchError(f"{directory}: {line['file']} is neither ham nor spam, but {line['label']}")
        message = without_from_line(content)
        if _FIELD.match(message):
            found.append(Mail(corpus, label, line["sha256"], message))
    return found


def _members(archive: Path) -> dict[str, bytes]:
    """Return the files of an archive by name; nothing is written to any path that it names."""
    found = {}
    with tarfile.open(archive, "r:xz") as tar:
        for member in tar:
            if member.isfile() and (file := tar.extractfile(member)):
                found[member.name] = file.read()
    return found


def without_from_line(content: bytes) -> bytes:
    """Return a message without the line that begins it in a mailbox."""
    return content.partition(b"\n")[2] if content.startswith(b"From ") else content


def halves(mails: Iterable[Mail], salt: str = "") -> tuple[list[Mail], list[Mail]]:
    """Return two halves, by a hash of the body, so that no body is on both sides. Another ``salt`` gives others."""
    sides: tuple[list[Mail], list[Mail]] = ([], [])
    for mail in mails:
        sides[hashlib.sha256(salt.encode() + _body(mail.content)).digest()[0] & 1].append(mail)
    return sides


def _body(content: bytes) -> bytes:
    """Return the body without what differs between copies of one message: white space and case."""
    return b" ".join(content.partition(b"\n\n")[2].split()).lower()


def some(mails: Iterable[Mail], count: int) -> list[Mail]:
    """Return ``count`` of them, always the same ones, whatever their order."""
    return sorted(mails, key=lambda mail: mail.sha256)[:count]


def of(label: Label, mails: Iterable[Mail]) -> list[Mail]:
    """Return the ham, or the spam."""
    return [mail for mail in mails if mail.label == label]


def balanced(mails: Sequence[Mail], count: int) -> list[Mail]:
    """Return ``count`` of each kind, fewer where there are not so many."""
    return [mail for label in LABELS for mail in some(of(label, mails), count)]


def write(mails: Iterable[Mail], directory: Path) -> Path:
    """Write the messages into folders ``ham`` and ``spam`` below ``directory``, which is returned."""
    for label in LABELS:
        (directory / label).mkdir(parents=True)
    for number, mail in enumerate(mails):
        (directory / mail.label / f"{number:05}.eml").write_bytes(mail.content)
    return directory


def write_mixed(mails: Iterable[Mail], directory: Path) -> Path:
    """Write the messages into ``directory`` itself, ham and spam in no order."""
    directory.mkdir(parents=True)
    for mail in mails:
        (directory / f"{mail.sha256}.eml").write_bytes(mail.content)
    return directory
