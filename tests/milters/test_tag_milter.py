"""Marks in the subject through the milter itself, and as a link of a chain, as a mail server is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from vaglio_milters import tag

from tests.daemon.processes import Process
from tests.milter.conftest import ENGINES, needs_engine
from tests.milter.fakes import MANNER, Listener, unguarded
from tests.milter.mta import KNOWN, POSTFIX, Edit, Mail, Mta
from vaglio.checks.tag.check import Context, Tag
from vaglio.checks.tag.settings import TagSettings
from vaglio.examination import Field, Needs
from vaglio.milter.host import Host
from vaglio.milter.replay import Letter, play
from vaglio.milter.session import Session
from vaglio.milter.wire import Answer, Peer
from vaglio.verdict import Action, Change, Verdict

SETTINGS = """\
[identity]
authserv_id = "mail.caio.it"
hostname = "mail.caio.it"
[state]
url = "memory:"
[tag]
listen = ["unix:{folder}/tag.sock"]
engine = "{engine}"
remove_forged = false
trust_spam_headers = true
mode = "{mode}"
[[tag.rule]]
when = ["spam"]
tag = "[SPAM {{score}}]"
[[tag.rule]]
when = ["dmarc=fail"]
tag = "[DMARC]"
"""
STRANGER = Peer(b"mx.tizio.it", b"4", 1, b"192.0.2.25")
SPAM = Field(b"X-Spam-Status", b" Yes, score=7.2 required=5.0")
FORGED = Field(b"Authentication-Results", b" mail.caio.it; dmarc=fail")
SUBJECT = Field(b"Subject", b" Re: [SPAM] caff\xe8\n\tbuono")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    needs_engine(request.param)
    return str(request.param)


@pytest.fixture
def mode() -> str:
    return "enforce"


@pytest.fixture
def alone(tmp_path: Path, engine: str, mode: str) -> Iterator[Process]:
    config = tmp_path / "vaglio.toml"
    config.write_text(SETTINGS.format(folder=tmp_path, engine=engine, mode=mode))
    with Process(tag.__file__, "--config", config) as process:
        process.line("^INFO ready$")
        yield process


def edits(folder: Path, *header: Field) -> list[Edit]:
    """Return what the milter wants done; values without the blank behind the colon."""
    with Mta(f"unix:{folder / 'tag.sock'}", POSTFIX, KNOWN) as mta:
        mta.greet(STRANGER, b"mx.tizio.it")
        outcome = mta.send(Mail(headers=(Field(b"From", b" t@tizio.it"), *header)))
    assert outcome.answer in (Answer.CONTINUE, Answer.ACCEPT)
    return [one._replace(value=one.value.lstrip(b" ")) for one in outcome.edits]


def test_a_mail_server_is_told_to_change_the_subject(alone: Process, tmp_path: Path, engine: str) -> None:
    rest = b"Re: caff\xe8\n\tbuono"
    if engine == "libmilter":  # takes text, and no bytes
        rest = rest.replace(b"\xe8", "\ufffd".encode())
    assert edits(tmp_path, SPAM, SUBJECT) == [Edit(Answer.CHANGE_HEADER, 1, b"Subject", b"[SPAM 7.2] " + rest)]
    alone.line(".*reason=tagged.*")
    assert edits(tmp_path, SPAM) == [Edit(Answer.INSERT_HEADER, 0, b"Subject", b"[SPAM 7.2]")]
    assert edits(tmp_path, SUBJECT) == [Edit(Answer.CHANGE_HEADER, 1, b"Subject", rest)]


@pytest.mark.usefixtures("alone")
def test_behind_our_other_milters_their_results_are_believed_and_left(tmp_path: Path) -> None:
    (edit,) = edits(tmp_path, FORGED, Field(b"Subject", b" Ciao"))
    assert edit == Edit(Answer.CHANGE_HEADER, 1, b"Subject", b"[DMARC] Ciao")
    assert edits(tmp_path, Field(b"Subject", b" Ciao")) == []


@pytest.mark.parametrize("mode", ["rehearse"])
def test_a_rehearsal_changes_nothing(alone: Process, tmp_path: Path, mode: str) -> None:  # for alone
    assert edits(tmp_path, SPAM, SUBJECT) == []
    alone.line(".*reason=tagged.*")


# --- in a chain ---


def played(settings: TagSettings, *header: Field, spam: bool = True) -> list[tuple[bytes, int, bytes]]:
    """Return what becomes of a message in a chain behind a score that takes out an X-Spam field of a stranger."""
    score = Listener("score", Needs.HEADERS, ())
    facts = {"score": 6.0, "spam": spam}
    score.given = Verdict(Action.PASS, "score", "spam", facts=facts, changes=(Change("X-Spam-Status", 1, ""),))
    checks = (score, Tag(settings, Context(lambda: "REF")))
    host = Host(checks, unguarded, unguarded, lambda *told: None, MANNER)
    session = Session(lambda: host, lambda: 0.0)
    fields = [Field(b"From", b" t@tizio.it"), *header]
    letter = Letter(STRANGER, b"mx.tizio.it", b"t@tizio.it", [b"caio@caio.it"], fields, b"Ciao\r\n")
    plan = asyncio.run(play(session, letter)).plan
    assert plan is not None
    return [(one.name, one.nth, one.value) for one in plan.replace]


def test_in_a_chain_it_hears_of_the_score_in_memory() -> None:
    assert set(played(TagSettings(), SPAM, SUBJECT)) == {
        (b"X-Spam-Status", 1, b""), (b"Subject", 1, b"[SPAM] Re: caff\xe8\n\tbuono"),
    }  # fmt: skip


def test_in_a_chain_with_a_score_headers_are_not_believed() -> None:
    settings = TagSettings(trust_spam_headers=True, remove_forged=False)
    changes = played(settings, SPAM, Field(b"Subject", b"[SPAM] Ciao"), spam=False)
    assert (b"Subject", 1, b"Ciao") in changes
