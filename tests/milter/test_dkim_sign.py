"""Signing through the milter itself, alone and in a chain; the milter that verifies takes what it wrote."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from vaglio_milters import chain, dkim_sign, dkim_verify

from tests.checks.dkim.samples import record
from tests.daemon.processes import Process, manager
from tests.milter.mta import KNOWN, POSTFIX, Closed, Mail, Mta, Outcome
from vaglio.checks.dkim.signing.sign import private_key
from vaglio.examination import Field
from vaglio.milter.wire import Actions, Answer, Peer

SETTINGS = """\
[identity]
authserv_id = "mail.tizio.it"
hostname = "mail.tizio.it"
[state]
url = "memory:"
[dns]
zone_file = "{folder}/zone.json"
[dkim.verify]
listen = ["unix:{folder}/verify.sock"]
[dkim.sign]
listen = ["unix:{folder}/alone.sock"]
engine = "{engine}"
key_dir = ""
header_form = "simple"
[[dkim.sign.keys]]
domain = "tizio.it"
selector = "uno"
file = "{folder}/uno.pem"
[[dkim.sign.keys]]
domain = "tizio.it"
selector = "due"
file = "{folder}/due.pem"
[chain.outbound]
listen = ["unix:{folder}/outbound.sock"]
engine = "{engine}"
"""

HEADER = (
    Field(b"From", b" Tizio <tizio@tizio.it>"), Field(b"Subject", b"  Ciao,\n\t Caio "), Field(b"Date", b" today"),
)  # fmt: skip
BODY = b"Ciao  Caio, \r\n\r\nvediamoci.\t\r\n" * 5000
LAPTOP = Peer(b"laptop", b"4", 1, b"192.0.2.25")
LOGGED_IN = {**KNOWN, b"{auth_authen}": b"tizio@tizio.it"}


@pytest.fixture
def folder(engine: str, tmp_path: Path) -> Path:
    zone = {}
    for name, key in (("uno", generate_private_key(65537, 2048)), ("due", Ed25519PrivateKey.generate())):
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file = tmp_path / f"{name}.pem"
        file.touch(0o600)
        file.write_bytes(pem)
        zone[f"{name}._domainkey.tizio.it"] = [["TXT", record(private_key(pem))]]
    (tmp_path / "zone.json").write_text(json.dumps(zone))
    (tmp_path / "vaglio.toml").write_text(SETTINGS.format(folder=tmp_path, engine=engine))
    return tmp_path


@pytest.fixture
def alone(folder: Path) -> Iterator[Process]:
    with Process(dkim_sign.__file__, "--config", folder / "vaglio.toml") as process:
        process.line("^INFO ready$")
        yield process


def sent(where: Path, header: tuple[Field, ...] = HEADER, macros: dict[bytes, bytes] | None = None) -> Outcome:
    with Mta(f"unix:{where}", POSTFIX, KNOWN if macros is None else macros) as mta:
        mta.greet(LAPTOP, b"laptop")
        return mta.send(Mail(b"<tizio@tizio.it>", headers=header, body=BODY))


def signatures(outcome: Outcome) -> list[Field]:
    """Return what was put on top of the message, from the top down."""
    assert all(one.kind is Answer.INSERT_HEADER for one in outcome.edits)
    return [Field(one.name, one.value if one.value[:1] == b" " else b" " + one.value) for one in outcome.edits][::-1]


def verified(folder: Path, header: tuple[Field, ...]) -> str:
    """Return the results of the milter that verifies."""
    with Process(dkim_verify.__file__, "--config", folder / "vaglio.toml") as process:
        process.line("^INFO ready$")
        (edit,) = sent(folder / "verify.sock", header).edits
    return edit.value.decode()


def test_a_login_is_signed_for_by_both_keys_and_both_signatures_hold(folder: Path, alone: Process) -> None:
    outcome = sent(folder / "alone.sock", macros=LOGGED_IN)
    on_top = signatures(outcome)
    assert [one.name for one in on_top] == [b"DKIM-Signature"] * 2
    told = verified(folder, (*on_top, *HEADER))
    assert told.count("dkim=pass") == 2
    assert "header.a=rsa-sha256" in told
    assert "header.a=ed25519-sha256" in told
    assert "selector=uno,due" in alone.line(".*reason=signed.*").group()


@pytest.mark.usefixtures("alone")
def test_a_stranger_is_not_signed_for(folder: Path) -> None:
    assert sent(folder / "alone.sock").edits == ()
    assert sent(folder / "alone.sock", macros={**KNOWN, b"{daemon_name}": b"ORIGINATING"}).edits


def test_a_mail_server_that_lets_nobody_add_fields_is_turned_away(folder: Path, alone: Process) -> None:
    offer = POSTFIX._replace(actions=int(Actions.CHANGE_HEADERS | Actions.QUARANTINE))
    with Mta(f"unix:{folder / 'alone.sock'}", offer) as mta, pytest.raises(Closed):
        mta.negotiate()
    alone.line("^WARNING closing a milter connection: the mail server does not let milters add header fields")


@pytest.mark.parametrize(
    ("peer", "ours"),
    [
        (Peer(b"localhost", b"U"), True),  # "sendmail -bs"
        (Peer(b"localhost", b"L", 0, b"/run/x"), True),
        (Peer(b"evil.example", b"U"), False),
        (Peer(b"unknown", b"U"), False),
        (Peer(b"\xff.evil.example", b"4", 1, b"192.0.2.25"), False),
    ],
)
def test_who_came_by_no_network_is_signed_for_and_who_can_t_be_read_is_not(
    folder: Path, alone: Process, peer: Peer, ours: bool
) -> None:
    with Mta(f"unix:{folder / 'alone.sock'}", POSTFIX, KNOWN) as mta:
        outcome = mta.greet(peer, b"laptop").send(Mail(b"<tizio@tizio.it>", headers=HEADER, body=BODY))
    assert bool(outcome.edits) is ours
    assert "ready" in alone.seen


def test_a_key_that_is_gone_when_the_configuration_is_read_again_signs_on(folder: Path) -> None:
    with (
        manager(folder) as systemd,
        Process(dkim_sign.__file__, "--config", folder / "vaglio.toml", environ=systemd.environ) as process,
    ):
        assert systemd.next() == "READY=1"
        (folder / "uno.pem").unlink()
        os.kill(process.pid, signal.SIGHUP)
        assert [systemd.next(), systemd.next()] == ["RELOADING=1", "READY=1"]
        assert len(sent(folder / "alone.sock", macros=LOGGED_IN).edits) == 2
        process.line("^WARNING .*uno.pem.*No such file or directory; its last state stays")


def test_a_key_that_others_can_read_defers_the_mail_and_is_taken_up_when_mended(folder: Path) -> None:
    (folder / "uno.pem").chmod(0o644)
    with (
        manager(folder) as systemd,
        Process(dkim_sign.__file__, "--config", folder / "vaglio.toml", environ=systemd.environ) as process,
    ):
        process.line("^WARNING .*uno.pem.*everybody")
        assert systemd.next() == "READY=1"
        outcome = sent(folder / "alone.sock", macros=LOGGED_IN)
        assert outcome.reply.startswith(b"451 4.7.5")
        (folder / "uno.pem").chmod(0o600)
        os.kill(process.pid, signal.SIGHUP)
        assert [systemd.next(), systemd.next()] == ["RELOADING=1", "READY=1"]
        assert len(sent(folder / "alone.sock", macros=LOGGED_IN).edits) == 2


@pytest.mark.usefixtures("alone")
def test_another_from_behind_more_than_is_kept_of_a_header_gets_no_signature(folder: Path) -> None:
    header = (*HEADER, *[Field(b"X", b"y" * 60_000)] * 40, Field(b"From", b" boss@tizio.it"))
    assert sent(folder / "alone.sock", header, LOGGED_IN).reply.startswith(b"550 5.6.0")


def test_the_outbound_chain_signs(folder: Path) -> None:
    with Process(chain.__file__, "outbound", "--config", folder / "vaglio.toml") as process:
        process.line("^INFO ready$")
        outcome = sent(folder / "outbound.sock", macros=LOGGED_IN)
        assert verified(folder, (*signatures(outcome), *HEADER)).count("dkim=pass") == 2
        several = (*HEADER, Field(b"From", b" x@evil.example"))
        assert sent(folder / "outbound.sock", several, LOGGED_IN).reply.startswith(b"550 5.6.0")


def test_a_key_that_is_not_in_the_dns_is_told_at_the_start(folder: Path) -> None:
    (folder / "zone.json").write_text("{}")
    with Process(dkim_sign.__file__, "--config", folder / "vaglio.toml") as process:
        for selector in ("uno", "due"):
            process.line(f"^WARNING .*{selector}._domainkey.tizio.it do not fit: .*; vaglio dkim check tizio.it")


def test_for_whom_it_signs_is_told_by_one_worker_and_again_when_it_changes(folder: Path) -> None:
    with Process(dkim_sign.__file__, "--config", folder / "vaglio.toml", "--workers", "2") as process:
        process.line(r"^INFO dkim.sign: signs for tizio.it \(uno, due\)$")
        text = (folder / "vaglio.toml").read_text()
        (folder / "vaglio.toml").write_text(text.replace('selector = "due"', 'selector = "tre"'))
        os.kill(process.pid, signal.SIGHUP)
        process.line(r"^INFO dkim.sign: signs for tizio.it \(uno, tre\)$")
        assert process.seen.count("signs for") == 2


def test_a_daemon_without_any_key_warns(folder: Path) -> None:
    text = (folder / "vaglio.toml").read_text()
    text = re.sub(r"(?s)\[\[dkim.sign.keys\]\].*?(?=\[chain)", "", text)
    (folder / "vaglio.toml").write_text(text)
    with Process(dkim_sign.__file__, "--config", folder / "vaglio.toml") as process:
        process.line("^WARNING dkim.sign: signs for nobody: there is no key .*vaglio dkim new DOMAIN makes one$")
