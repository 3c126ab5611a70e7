"""DKIM through the milter itself, alone and behind SPF in a chain: what was signed passes, what was changed fails."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from vaglio_milters import chain, dkim_verify

from tests.checks.dkim import samples
from tests.daemon.processes import Process
from tests.milter.mta import KNOWN, POSTFIX, Edit, Mail, Mta
from vaglio.examination import Field
from vaglio.milter.wire import Answer, Peer

SETTINGS = """\
[identity]
authserv_id = "mail.caio.it"
hostname = "mail.caio.it"
[state]
url = "memory:"
[dns]
zone_file = "{folder}/zone.json"
[dkim.verify]
listen = ["unix:{folder}/alone.sock"]
engine = "{engine}"
[chain.both]
listen = ["unix:{folder}/both.sock"]
engine = "{engine}"
checks = ["spf", "dkim_verify"]
"""

HEADER = (
    Field(b"From", b" Tizio <tizio@tizio.it>"), Field(b"Subject", b"  Ciao,\n\t Caio "), Field(b"Date", b" today"),
)  # fmt: skip
_TIMES = itertools.count(1_700_000_000)
BODY = b"Ciao  Caio, \r\n\r\nvediamoci.\t\r\n" * 5000


@pytest.fixture
def folder(engine: str, tmp_path: Path) -> Iterator[Path]:
    spf = "v=spf1 ip4:192.0.2.0/24 -all"
    zone = {samples.NAME: [["TXT", samples.record(samples.rsa())]], "tizio.it": [["TXT", spf]]}
    (tmp_path / "zone.json").write_text(json.dumps(zone))
    config = tmp_path / "vaglio.toml"
    config.write_text(SETTINGS.format(folder=tmp_path, engine=engine))
    with (
        Process(dkim_verify.__file__, "--config", config) as alone,
        Process(chain.__file__, "both", "--config", config) as both,
    ):
        alone.line("^INFO ready$")
        both.line("^INFO ready$")
        yield tmp_path


def results(where: str, body: bytes, signature: Field | None = None) -> str:
    """Return the results that a milter writes for a message that was signed with ``BODY``."""
    signature = signature or samples.sign(HEADER, BODY, c="relaxed/relaxed", t=str(next(_TIMES)))
    with Mta(where, POSTFIX, KNOWN) as mta:
        mta.greet(Peer(b"mail.tizio.it", b"4", 1, b"192.0.2.25"), b"mail.tizio.it")
        outcome = mta.send(Mail(b"<tizio@tizio.it>", headers=(signature, *HEADER), body=body))
    [edit] = outcome.edits
    assert isinstance(edit, Edit)
    assert edit.kind is Answer.INSERT_HEADER
    return edit.value.decode()


def test_what_was_signed_passes_and_what_was_changed_does_not(folder: Path) -> None:
    good, bad = (results(f"unix:{folder}/alone.sock", body) for body in (BODY, BODY + b"Clicca qui\r\n"))
    assert "dkim=pass" in good
    assert "header.d=tizio.it" in good
    assert "dkim=fail" in bad
    assert "dkim=pass" not in bad


def test_a_chain_writes_one_field_for_both(folder: Path) -> None:
    good, bad = (results(f"unix:{folder}/both.sock", body) for body in (BODY, BODY + b"Clicca qui\r\n"))
    assert good.index("spf=pass") < good.index("dkim=pass")
    assert "spf=pass" in bad
    assert "dkim=fail" in bad


def test_workers_count_together_how_often_one_signature_comes(engine: str, tmp_path: Path) -> None:
    (tmp_path / "zone.json").write_text(json.dumps({samples.NAME: [["TXT", samples.record(samples.rsa())]]}))
    config = tmp_path / "vaglio.toml"
    text = SETTINGS.format(folder=tmp_path, engine=engine).replace('"memory:"', f'"sqlite://{tmp_path}/state"')
    config.write_text(f"{text}[dkim.verify.replay]\nlimit = 3\n")
    signature = samples.sign(HEADER, BODY, c="relaxed/relaxed")
    where = f"unix:{tmp_path}/alone.sock"
    with Process(dkim_verify.__file__, "--config", config, "--workers", "2") as process:
        process.line("^INFO ready$")
        told = [results(where, BODY, signature) for _ in range(6)]
        assert ["dkim=pass" in one for one in told] == [True] * 3 + [False] * 3
        assert 'reason="it came with 6 messages within 1d"' in told[-1]
        assert "dkim=pass" in results(where, BODY)  # another one
    assert (tmp_path / "state" / "dkim.sqlite").exists()
