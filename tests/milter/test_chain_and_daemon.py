"""The chain and the separate daemon say the same of each message of the shared data, by either engine."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from vaglio_milters import chain, spf_verify

from lab.spfsuite import DATA
from tests.daemon.processes import Process
from tests.milter.mta import KNOWN, POSTFIX, Mail, Mta, Outcome
from vaglio.milter.replay import read
from vaglio.milter.wire import Peer

MOST, LARGEST = 400, 300_000
"""Messages that are sent, and bytes of one."""

MESSAGES = sorted(
    path for folder in ("arc", "dkim", "mime", "spam") for path in (DATA / folder).rglob("*.eml")
    if path.stat().st_size <= LARGEST
)[:MOST]  # fmt: skip

SETTINGS = """\
[identity]
authserv_id = "mx.google.com"
hostname = "mx.caio.it"
[state]
url = "memory:"
[dns]
zone_file = "{folder}/zone.json"
[spf]
listen = ["unix:{folder}/spf.sock"]
engine = "{engine}"
header = "both"
reject_unless_pass = ["severe.it"]
[chain.inbound]
listen = ["unix:{folder}/inbound.sock"]
checks = ["spf"]
engine = "{engine}"
"""
"""Our name is one that occurs in the messages: some of them have forgeries."""

ZONE = {"tizio.it": [["TXT", "v=spf1 ip4:192.0.2.0/24 -all"]], "severe.it": [["TXT", "v=spf1 ~all"]],
        "nomail.it": [["TXT", "v=spf1 -all"]]}  # fmt: skip

ENVELOPES = [
    (address, helo, f"<{sender}>".encode())
    for address, helo in ((b"192.0.2.25", b"mail.tizio.it"), (b"198.51.100.66", b"nomail.it"))
    for sender in ("tizio@tizio.it", "", "anna@severe.it", "x@nomail.it", "no.domain")
]


def said(where: str, envelope: tuple[bytes, bytes, bytes], path: Path) -> Outcome:
    """Return what a milter says of a message, without references, which are new each time."""
    address, helo, sender = envelope
    headers, body = read(path.read_bytes())
    with Mta(where, POSTFIX, KNOWN) as mta:
        mta.greet(Peer(b"[" + address + b"]", b"4", 1, address), helo)
        outcome = mta.send(Mail(sender, headers=headers, body=body))
    return outcome._replace(reply=re.sub(rb"; ref \S+", b"", outcome.reply))


@pytest.fixture
def folder(engine: str, tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "zone.json").write_text(json.dumps(ZONE))
    config = tmp_path / "vaglio.toml"
    config.write_text(SETTINGS.format(folder=tmp_path, engine=engine))
    with ExitStack() as stack:
        for words in ((spf_verify.__file__,), (chain.__file__, "inbound")):
            stack.enter_context(Process(*words, "--config", config)).line("^INFO ready$")
        yield tmp_path


@pytest.mark.skipif(not MESSAGES, reason=f"there are no messages in {DATA} (VAGLIO_DATA says where)")
def test_the_chain_and_the_daemon_say_the_same_of_each_message(folder: Path) -> None:
    answers, removed = set(), 0
    for path, envelope in zip(MESSAGES, itertools.cycle(ENVELOPES), strict=False):
        alone, hosted = (said(f"unix:{folder}/{name}.sock", envelope, path) for name in ("spf", "inbound"))
        assert hosted == alone, path
        answers.add(alone.answer.name)
        removed += sum(not edit.value for edit in alone.edits)
    assert {"CONTINUE", "REPLY_CODE"} <= answers
    assert removed
