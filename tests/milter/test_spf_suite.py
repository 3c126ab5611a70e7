"""The whole suite of RFC 7208 through the real ``vaglio-spf``, asked as a mail server asks it, by either engine."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from vaglio_milters import spf_verify

from lab.spfsuite import SUITE, Case, cases
from tests.daemon.processes import Manager, Process, manager
from tests.milter.mta import KNOWN, POSTFIX, Mail, Mta
from vaglio.dns.zonefile import Record
from vaglio.facts import client_of
from vaglio.milter.wire import Peer

pytestmark = pytest.mark.skipif(not cases(), reason=f"the suite is not there: {SUITE} (VAGLIO_DATA says where)")

SETTINGS = """\
[identity]
authserv_id = "mx.caio.it"
hostname = "mx.caio.it"
[state]
url = "memory:"
[dns]
zone_file = "{folder}/zone.json"
[spf]
listen = ["unix:{folder}/spf.sock"]
engine = "{engine}"
mail_from.no_mail = "accept"
helo.no_mail = "accept"
skip.local = []
"""
"""Results are only written down, and nobody is left alone."""


def zone(records: Sequence[Record]) -> str:
    """Return a zone file in its JSON form."""
    names: dict[str, list[list[str]]] = {}
    for name, rrtype, value in records:
        root = "." if rrtype == "MX" and value.endswith(" ") else ""  # RFC 7505: no mail host at all
        names.setdefault(name, []).append([rrtype, value.removeprefix("\0") + root])
    return json.dumps(names)


class Daemon(Process):
    """vaglio-spf, whose zone may change."""

    def __init__(self, folder: Path, engine: str, told: Manager) -> None:
        self.folder, self._told = folder, told
        self.zone(())
        config = folder / "vaglio.toml"
        config.write_text(SETTINGS.format(folder=folder, engine=engine))
        super().__init__(spf_verify.__file__, "--config", config, environ=told.environ)

    def zone(self, records: Sequence[Record]) -> None:
        (self.folder / "zone.json").write_text(zone(records))

    def take(self, records: Sequence[Record]) -> None:
        """Have it answer from another zone."""
        self.zone(records)
        self.child.send_signal(1)
        assert [self._told.next(), self._told.next()] == ["RELOADING=1", "READY=1"]
        self.line("the configuration was read again")

    def judge(self, case: Case) -> str:
        """Return the result that it writes into a message."""
        address = client_of(case.address).address
        peer = Peer(f"[{address}]".encode(), b"6" if ":" in address else b"4", 1, address.encode())
        sender = b"<" + case.sender.encode("utf-8", "surrogateescape") + b">"
        with Mta(f"unix:{self.folder}/spf.sock", POSTFIX, KNOWN) as mta:
            mta.greet(peer, case.helo.encode("utf-8", "surrogateescape"))
            outcome = mta.send(Mail(sender))
        (field,) = outcome.edits
        assert field.name == b"Authentication-Results"
        identity = b"mailfrom" if case.sender else b"helo"
        (result,) = re.findall(rb"spf=(\w+)(?: reason=\"[^\"]*\")? smtp\." + identity, b" ".join(field.value.split()))
        return str(result, "ascii")


@pytest.fixture
def daemon(engine: str, tmp_path: Path) -> Iterator[Daemon]:
    with manager(tmp_path) as told, Daemon(tmp_path, engine, told) as daemon:
        daemon.line("^INFO ready$")
        assert told.next() == "READY=1"
        yield daemon


def test_the_suite_passes_whole(daemon: Daemon) -> None:
    wrong, count = [], 0
    for records, group in itertools.groupby(cases(), key=lambda case: case.records):
        daemon.take(records)
        for case in group:
            count += 1
            found = daemon.judge(case)
            if found not in case.results:
                wrong.append(f"{case.name}: {found}, not {case.results}")
    assert (wrong, count) == ([], 203)
