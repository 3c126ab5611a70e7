"""Messages of others through the real ``vaglio-dkim-verify``, handed over as a mail server does, with either engine: as
they are, as signed by their own canonical forms, and tampered with.

What the daemon writes is held against what the corpus, the command ``vaglio dkim verify`` and the check itself say.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import authres
import pytest
from vaglio_milters import dkim_verify

from tests.checks.dkim.letters import CASES, DATA, FLANKER, Letter, absent, best, letters, tampered
from tests.checks.dkim.samples import NAME, judge, record, rsa
from tests.daemon.processes import Manager, Process, manager
from tests.milter import mta
from tests.milter.mta import KNOWN, POSTFIX, Mail, Mta
from vaglio.checks.dkim.check import MAX_RESULTS
from vaglio.checks.dkim.text import results
from vaglio.cli.main import main
from vaglio.daemon.clock import wall
from vaglio.examination import Field
from vaglio.milter.authres import authentication_results
from vaglio.milter.replay import read

SETTINGS = """\
[identity]
authserv_id = "mx.caio.it"
hostname = "mx.caio.it"
[state]
url = "memory:"
[dns]
zone_file = "{folder}/zone.json"
[dkim.verify]
listen = ["unix:{folder}/dkim.sock"]
engine = "{engine}"
"""
LETTERS = letters(int(wall()), valid=86400)
"""Ours are good by the clock that the daemon has, for longer than tests take."""


class Daemon(Process):
    """vaglio-dkim-verify, whose zone may change."""

    def __init__(self, folder: Path, engine: str, told: Manager) -> None:
        self.folder, self.engine, self._told = folder, engine, told
        self.zone = folder / "zone.json"
        self.zone.write_text("{}")
        self.config = folder / "vaglio.toml"
        self.config.write_text(SETTINGS.format(folder=folder, engine=engine))
        super().__init__(dkim_verify.__file__, "--config", self.config, environ=told.environ)

    def take(self, keys: Mapping[str, str]) -> None:
        """Have it answer from another zone."""
        self.zone.write_text(json.dumps({name: [["TXT", text]] for name, text in keys.items()}))
        self.child.send_signal(1)
        assert [self._told.next(), self._told.next()] == ["RELOADING=1", "READY=1"]
        self.line("the configuration was read again")

    def connected(self) -> Mta:
        return Mta(f"unix:{self.folder}/dkim.sock", POSTFIX, KNOWN).greet()


@pytest.fixture(scope="module")
def daemon(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp(f"dkim-{engine}")
    with manager(folder) as told, Daemon(folder, engine, told) as daemon:
        daemon.line("^INFO ready$")
        assert told.next() == "READY=1"
        yield daemon


def said(server: Mta, letter: Letter) -> str:
    """Return the results that are written into a message; what it brought along in our name is taken out."""
    outcome = server.send(Mail(headers=letter.header, body=letter.body))
    assert outcome.taken, outcome
    (field,) = [edit for edit in outcome.edits if edit.value]
    assert field.name == b"Authentication-Results"
    return field.value.decode()


# --- as they are ---


class Found(NamedTuple):
    """What is said of a signature."""

    result: str
    domain: str
    identity: str
    selector: str
    algorithm: str


def others() -> Iterator[Letter]:
    """Yield the messages that the corpus has besides its cases."""
    keys = {"sed._domainkey.test.ex": "dkimpy/eximtest.dns", "test._domainkey.example.com": "dkimpy/test2.txt"}
    records = {name: (DATA / file).read_text().strip() for name, file in keys.items() if DATA.exists()}
    known = {case.name for case in CASES}
    for path in sorted(DATA.glob("dkimpy/*.m[sbe][gos]*")):
        if (name := f"dkimpy/{path.name}") not in known:
            header, body = read(path.read_bytes())
            yield Letter(name, tuple(header), body, records, "pass" if path.name == "ed25519test2.msg" else "")


def commanded(daemon: Daemon, letter: Letter, capsys: pytest.CaptureFixture[str]) -> list[Found]:
    """Return what the command says."""
    file = daemon.folder / "message.eml"
    file.write_bytes(mta.header_bytes(letter.header) + b"\n" + letter.body)
    with_files = [str(file), "--zone", str(daemon.zone), "--config", str(daemon.config)]
    assert main(["dkim", "verify", "--json", *with_files]) == 0
    rows = json.loads(capsys.readouterr().out)["signatures"]
    return [Found(*(row[key] for key in ("result", "domain", "identity", "selector", "algorithm"))) for row in rows]


@absent
def test_what_is_written_into_each_message_is_what_the_command_says(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    everything = [*CASES, *others()]
    assert len(everything) == 18
    for keys, group in itertools.groupby(everything, key=lambda letter: letter.keys):
        daemon.take(keys)
        with daemon.connected() as server:
            for letter in group:
                expected = commanded(daemon, letter, capsys)
                if letter.expected:
                    assert best([one.result for one in expected]) == letter.expected
                assert written(said(server, letter), letter) == expected, letter.name


def written(value: str, letter: Letter) -> list[Found]:
    """Return the results of a field, as another's library reads it, but for none: b= must be the beginning of one."""
    marks = [b"".join(found.split()) for name, text in letter.header if name.lower() == b"dkim-signature"
             for found in re.findall(rb"\bb\s*=([^;]*)", text)]  # fmt: skip
    found = []
    for one in authres.parse_value(value).results:
        told = {f"{name.type}.{name.name}": name.value for name in one.properties}
        assert one.method == "dkim"
        if one.result != "none":
            mark = told["header.b"].encode()
            assert any(full.startswith(mark) for full in marks)
            assert len(mark) >= 8
            found.append(Found(one.result, *(told.get(f"header.{letter}", "") for letter in "disa")))
    return found


# --- canonical forms ---

FORMS = ("simple", "relaxed")

def canonical(path: Path, form: str) -> tuple[list[bytes], bytes]:
    """Return the fields and the body of a message in a form, as the set has them."""
    raw = b"\r\n" + path.with_name(f"{form}.expected{path.suffix}").read_bytes()
    head, _, body = raw.partition(b"\r\n\r\n")
    return re.split(rb"\r\n(?![ \t])", head)[1:], body


def signed(path: Path, form: str, body_form: str) -> Letter:
    """Return a message of the sets, signed by what the set says are its canonical forms, not by ours."""
    header, body = read(path.read_bytes())
    fields, _ = canonical(path, form)
    _, whole = canonical(path, body_form)
    if not header:  # of the empty file, which nobody may sign
        header = [Field(b"From", b" <joe@example.net>")]
        fields = [b"From: <joe@example.net>" if form == "simple" else b"from:<joe@example.net>"]
    hashed = base64.b64encode(hashlib.sha256(whole).digest()).decode()
    names = ":".join(field.name.decode() for field in header)
    tags = f"v=1; a=rsa-sha256; c={form}/{body_form}; d=tizio.it; s=uno; h={names}; bh={hashed}; b="
    own = "dkim-signature:" if form == "relaxed" else "DKIM-Signature: "
    mark = base64.b64encode(rsa().sign(b"\r\n".join([*fields, (own + tags).encode()]))).decode()
    first = Field(b"DKIM-Signature", f" {tags}{mark}".encode())
    return Letter(path.suffix, (first, *header), body, {NAME: record(rsa())})


@absent
@pytest.mark.parametrize("chunk", [mta.CHUNK, 7])
def test_what_is_signed_by_the_canonical_forms_of_the_sets_passes(
    daemon: Daemon, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mta, "CHUNK", chunk)
    assert len(FLANKER) == 21
    daemon.take({NAME: record(rsa())})
    with daemon.connected() as server:
        for path, form, body_form in itertools.product(FLANKER, FORMS, FORMS):
            assert "dkim=pass" in said(server, signed(path, form, body_form)), [path.name, form, body_form]


# --- tampered with ---


def bare(text: str) -> str:
    """Return text without the blanks that folding may add."""
    return "".join(text.split())


def expected(letter: Letter) -> str:
    """Return what the check itself has to say."""
    found = judge(letter.header, letter.body, letter.keys, wall())
    return bare(authentication_results("mx.caio.it", results(found[:MAX_RESULTS])))


@pytest.mark.parametrize("letter", LETTERS, ids=lambda letter: letter.name)
def test_whatever_is_done_to_a_message_it_gets_the_results_of_the_check(daemon: Daemon, letter: Letter) -> None:
    dice = random.Random(letter.name)
    daemon.take(letter.keys)
    changed = [tampered(letter, dice)._replace(keys=letter.keys) for _ in range(60)]
    with daemon.connected() as server:
        for one in changed:
            assert bare(said(server, one)) == expected(one), one
