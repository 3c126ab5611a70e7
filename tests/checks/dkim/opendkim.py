"""The real opendkim, to hear which keys its tables give an author. Tests skip where it is not to be had."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from lab import packages
from lab.waiting import Unavailable, until
from tests.milter.mta import Mail, Mta, events
from vaglio.milter.wire import Answer, Peer

_CONF = """\
Mode s
Background no
Syslog no
RequireSafeKeys no
InternalHosts 192.0.2.0/24
Socket local:{folder}/sock
KeyTable {keys}
SigningTable {signers}
MultipleSignatures {multiple}
"""
_CLIENT = Peer(b"mail.tizio.it", b"4", 54321, b"192.0.2.1")


class Signed(NamedTuple):
    """What a signature says of its signer; ``identity`` is i=, "" for none."""

    domain: str
    selector: str
    identity: str


@contextmanager
def opendkim(folder: Path, keys: str, signers: str, multiple: bool) -> Iterator[Mta]:
    """Run opendkim with these tables, as they are written in its configuration; yield a client of it."""
    program, environment = _program()
    conf = folder / "opendkim.conf"
    told = _CONF.format(folder=folder, keys=keys, signers=signers, multiple="yes" if multiple else "no")
    conf.write_text(told)
    process = subprocess.Popen([program, "-x", str(conf), "-f"], env=environment, stderr=subprocess.PIPE)
    try:
        until(lambda: (folder / "sock").exists() or process.poll() is not None, "the socket of opendkim")
        assert process.poll() is None, process.stderr and process.stderr.read()
        with Mta(f"unix:{folder}/sock") as mta:
            yield mta.greet(_CLIENT)
    finally:
        process.kill()  # it takes seconds to end by itself
        process.wait()
        if process.stderr:
            process.stderr.close()


def signed(mta: Mta, author: bytes) -> list[Signed]:
    """Return what a message of this author is signed by, in order."""
    for command, packet in events(Mail(headers=((b"From", b" " + author), (b"Subject", b" Ciao")), body=b"")):
        outcome = mta.event(command, packet)
        assert outcome.taken, outcome
        if outcome.answer is Answer.ACCEPT:  # it wants to hear no more of this message
            break
    values = [edit.value for edit in outcome.edits if edit.kind is Answer.INSERT_HEADER]
    return [_signed(value.decode()) for value in values]


def _signed(value: str) -> Signed:
    tags = dict(part.strip().split("=", 1) for part in value.split(";") if "=" in part)
    return Signed(tags["d"], tags["s"], tags.get("i", ""))


def _program() -> tuple[str, dict[str, str]]:
    installed = shutil.which("opendkim", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if installed:
        return installed, dict(os.environ)
    try:
        root = packages.unpacked("opendkim")
    except Unavailable as error:
        pytest.skip(f"opendkim is not to be had here: {error}")
    return str(root / "usr/sbin/opendkim"), os.environ | {"LD_LIBRARY_PATH": packages.libraries(root)}
