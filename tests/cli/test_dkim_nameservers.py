"""Keys and their records at real name servers: two of a zone (NSD), one of which lags behind, and a cache (Unbound)."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from dnslib import DNSRecord

from lab.packages import libraries, unpacked
from lab.space import HOME, Process, Space
from lab.vaglio import command
from lab.waiting import LabError, Unavailable, until

pytestmark = pytest.mark.root

CONFIG = f"{HOME}/vaglio.toml"
NEGATIVE_TTL = 900

_NSD = """\
server:
    ip-address: {address}
    server-count: 1
    username: ""
    chroot: ""
    zonesdir: "{home}"
    database: ""
    pidfile: ""
    zonelistfile: "{home}/zones"
    xfrdfile: "{home}/transfers"
    xfrdir: "{home}"
remote-control:
    control-enable: no
zone:
    name: "{zone}"
    zonefile: "zone"
"""
_UNBOUND = """\
server:
    interface: 127.0.0.1
    username: ""
    chroot: ""
    directory: "{home}"
    pidfile: ""
    use-syslog: no
    do-daemonize: no
    num-threads: 1
    module-config: "iterator"
    do-ip6: no
stub-zone:
    name: "tizio.it"
    stub-addr: 192.0.2.1
    stub-addr: 192.0.2.2
stub-zone:
    name: "caio.it"
    stub-addr: 203.0.113.1
"""
_ZONE = """\
$ORIGIN {zone}.
$TTL 300
@ IN SOA ns1 admin {serial} 3600 900 86400 900
{servers}
{records}
"""


class NameServer:
    """An NSD that serves one zone from a file of its own."""

    def __init__(self, space: Space, root: Path, zone: str, address: str, servers: str) -> None:
        self._space, self._zone, self.address, self._servers = space, zone, address, servers
        self._home, self._serial = f"{HOME}/{address}", 0
        space.path(self._home).mkdir()
        space.path(f"{self._home}/nsd.conf").write_text(_NSD.format(address=address, home=self._home, zone=zone))
        self._write("")
        self._process = space.start([str(root / "usr/sbin/nsd"), "-d", "-c", f"{self._home}/nsd.conf"],
                                    f"{self._home}/log", {"LD_LIBRARY_PATH": libraries(root)})  # fmt: skip
        until(self._is_current, f"NSD at {address}")

    def publish(self, records: str) -> None:
        """Serve these records besides those of the zone itself."""
        self._write(records)
        self._process.signal(signal.SIGHUP)
        try:
            until(self._is_current, f"the new zone at {self.address}")
        except LabError as error:
            raise LabError(f"{error}; its log: {self._space.path(f'{self._home}/log').read_text()}") from None

    def _write(self, records: str) -> None:
        self._serial += 1
        text = _ZONE.format(zone=self._zone, serial=self._serial, servers=self._servers, records=records)
        self._space.path(f"{self._home}/zone").write_text(text)

    def _is_current(self) -> bool:
        found = asked(self._space, self.address, self._zone, "SOA")
        return found is not None and [str(record.rdata.times[0]) for record in found.rr] == [str(self._serial)]


def asked(space: Space, address: str, name: str, kind: str) -> DNSRecord | None:
    with space.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        sock.connect((address, 53))
        try:
            sock.send(DNSRecord.question(name, kind).pack())
            return DNSRecord.parse(sock.recv(4096))
        except OSError:
            return None


class Dns:
    """The name servers of tizio.it and caio.it, and a resolver that remembers."""

    def __init__(self, space: Space, root: Path) -> None:
        self._space, self._root = space, root
        tizios = "@ IN NS ns1\n@ IN NS ns2\nns1 IN A 192.0.2.1\nns2 IN A 192.0.2.2"
        self.first = NameServer(space, root, "tizio.it", "192.0.2.1", tizios)
        self.second = NameServer(space, root, "tizio.it", "192.0.2.2", tizios)
        self.caios = NameServer(space, root, "caio.it", "203.0.113.1", "@ IN NS ns1\nns1 IN A 203.0.113.1")
        space.path(f"{HOME}/unbound.conf").write_text(_UNBOUND.format(home=HOME))
        self._resolver = self._start()

    def _start(self) -> Process:
        process = self._space.start([str(self._root / "usr/sbin/unbound"), "-d", "-c", f"{HOME}/unbound.conf"],
                                    f"{HOME}/unbound.log", {"LD_LIBRARY_PATH": libraries(self._root)})  # fmt: skip
        until(lambda: asked(self._space, "127.0.0.1", "tizio.it", "SOA"), f"Unbound; its log: {HOME}/unbound.log")
        return process

    def forget(self) -> None:
        """Have the resolver begin anew."""
        self._resolver.stop()
        self._resolver = self._start()


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    try:
        space = Space()
    except Unavailable as error:
        pytest.skip(f"no lab here: {error}")
    with space:
        space.path(CONFIG).write_text(f'[dkim.sign]\nkey_dir = "{HOME}/dkim"\n[dns]\nservers = ["127.0.0.1"]\n')
        yield space


@pytest.fixture(scope="module")
def dns(space: Space) -> Dns:
    try:
        return Dns(space, unpacked("nsd", "unbound"))
    except Unavailable as error:
        pytest.skip(f"no name servers here: {error}")


def run(space: Space, *words: str) -> str:
    """Run ``vaglio dkim WORDS``; return what it printed, and behind it the exit status."""
    line = ["sh", "-c", '"$@"; echo "exit $?"', "sh", command("vaglio"), "dkim", *words, "--config", CONFIG]
    return space.run(*line)


def records(space: Space, domain: str, selector: str = "") -> str:
    """Make keys and return their records as the zone file has them."""
    file = f"{HOME}/{domain}{selector}.records"
    words = ["--selector", selector, "--only", "rsa"] if selector else []
    run(space, "new", domain, "--zone-file", file, *words)
    return space.path(file).read_text()


def test_keys_take_over_when_the_last_of_the_name_servers_tells_them(space: Space, dns: Dns) -> None:
    lines = records(space, "tizio.it")
    dns.first.publish(lines)
    said = run(space, "rotate", "tizio.it")
    assert said.endswith("exit 3\n")
    assert len(re.findall(r"ns2\.tizio\.it \(192\.0\.2\.2\): there is no TXT record", said)) == 2
    assert "ns1.tizio.it" not in said
    assert '"state": "new"' in run(space, "list", "--json")

    dns.forget()
    dns.second.publish(lines)
    said = run(space, "rotate", "tizio.it")
    assert said.endswith("which all name servers tell.\nexit 0\n")
    said = run(space, "check", "tizio.it")
    assert said.count("the record has the key that signs (2 name servers and the resolver)") == 2
    assert said.endswith("exit 0\n")


def test_a_cache_that_has_not_forgotten_is_told_from_the_zone(space: Space, dns: Dns) -> None:
    lines = records(space, "sub.tizio.it", "late")
    assert run(space, "check", "sub.tizio.it").count("there is no TXT record") == 3
    dns.first.publish(lines)
    dns.second.publish(lines)
    said = run(space, "rotate", "sub.tizio.it")
    assert said.endswith("exit 3\n")
    assert f"the resolver remembers an old answer for up to {NEGATIVE_TTL} s" in said
    assert "ns2.tizio.it" not in said
    dns.forget()
    assert run(space, "rotate", "sub.tizio.it").endswith("exit 0\n")


def test_an_alias_is_followed_to_the_servers_of_the_other_zone(space: Space, dns: Dns) -> None:
    lines = records(space, "alias.tizio.it", "a")
    alias = "a._domainkey.alias.tizio.it. IN CNAME tizio.keys.caio.it."
    for server in (dns.first, dns.second):
        server.publish(alias)
    dns.forget()
    found = json.loads(run(space, "check", "alias.tizio.it", "--json").rpartition("exit")[0])
    [key] = found["keys"]
    assert key["aliases"] == ["tizio.keys.caio.it"]
    assert [(one["server"], one["result"]) for one in key["answers"]] == [("resolver", "missing"),
                                                                        ("ns1.caio.it", "missing")]  # fmt: skip
    assert "it is an alias (CNAME) of tizio.keys.caio.it" in key["answers"][0]["text"]
    dns.caios.publish(lines.replace("a._domainkey.alias.tizio.it.", "tizio.keys.caio.it."))
    dns.forget()
    assert run(space, "rotate", "alias.tizio.it").endswith("exit 0\n")


RECORD = "x._domainkey.spoilt.tizio.it."


@pytest.mark.parametrize(
    ("pattern", "instead", "words"),
    [
        ("v=DKIM1; k=rsa; ", r'v=DKIM1\\\\; k=rsa\\\\; " "', 'there is a backslash before each ";"'),
        (r'"\s+"', r'" "\\"\\"" "', "there are quotation marks within the record"),
        (r'"\s+"', f'" )\n{RECORD} IN TXT ( "', "the key is spread over 2 TXT records"),
        (r'"\s+"[^"]+"', '"', "the record is cut: p= ends after"),
        (r'\(\s+"([^"]+)"[^)]*\)', r"\1", 'the record ends after "v=DKIM1"'),
        (re.escape(RECORD), RECORD[:-1], f"the record is at {RECORD}tizio.it"),
    ],
)
def test_a_record_that_a_zone_file_spoils_is_told_how(
    space: Space, dns: Dns, spoilt: str, pattern: str, instead: str, words: str
) -> None:
    for server in (dns.first, dns.second):
        server.publish(re.sub(pattern, instead, spoilt))
    dns.forget()
    assert words in run(space, "check", "spoilt.tizio.it")


@pytest.fixture(scope="module")
def spoilt(space: Space) -> str:
    return records(space, "spoilt.tizio.it", "x")
