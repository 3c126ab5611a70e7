"""Is a name server fit for a mail server? Against good and bad ones on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from dnslib import RCODE, DNSRecord

from tests.dns.nameserver import FIT_ZONE, FitServer, NameServer, code, silent
from vaglio.dns import fitness
from vaglio.dns.fitness import Finding, examine, place
from vaglio.ports import Answer, Outcome

NAMES = ["answers", "place", "dnssec", "blocklists", "honest", "sizes"]


def found(server: NameServer, patience: float = 5.0) -> dict[str, Finding]:
    async def whole() -> list[Finding]:
        await server.start()
        try:
            return await examine(server.address, patience)
        finally:
            server.stop()

    findings = asyncio.run(whole())
    assert {finding.server for finding in findings} == {str(server.address)}
    return {finding.check: finding for finding in findings}


def only_bad(server: NameServer, patience: float = 5.0) -> Finding:
    """Return the one finding that is not well."""
    findings = found(server, patience)
    assert list(findings) == NAMES
    [bad] = [finding for finding in findings.values() if not finding.ok]
    return bad


def test_a_good_one_is_fit() -> None:
    findings = found(FitServer(FIT_ZONE))
    assert list(findings) == NAMES
    assert all(finding.ok for finding in findings.values())
    assert "On this host" in findings["place"].text


@pytest.mark.parametrize(
    ("udp", "says"),
    [
        (silent, "firewall"),
        (code(RCODE.REFUSED), "access-control"),
        (code(RCODE.SERVFAIL), "clock"),
        (code(RCODE.NXDOMAIN), "its own zones"),
    ],
)
def test_one_that_does_not_answer_is_told_why(udp: Callable[[DNSRecord], list[bytes]], says: str) -> None:
    findings = found(FitServer(FIT_ZONE, udp=udp), 0.2)
    assert list(findings) == ["answers", "place"]
    assert not findings["answers"].ok
    assert says in findings["answers"].text


def test_one_that_is_not_running_is_told_so() -> None:
    server = FitServer(FIT_ZONE)

    async def whole() -> list[Finding]:
        await server.start()
        server.stop()
        await asyncio.sleep(0)
        return await examine(server.address, 5)

    assert "nothing listens" in asyncio.run(whole())[0].text


def test_one_that_does_not_check_signatures_is_not_fit() -> None:
    server = FitServer(FIT_ZONE)
    server.checks = server.vouches = False
    bad = only_bad(server)
    assert bad.check == "dnssec"
    assert "Does not check signatures (DNSSEC):" in bad.text


def test_one_that_only_repeats_our_bit_does_not_check_signatures() -> None:
    server = FitServer(FIT_ZONE)
    server.checks = False
    assert "repeats the AD bit" in only_bad(server).text


def test_one_that_keeps_it_to_itself_is_not_fit() -> None:
    server = FitServer(FIT_ZONE)
    server.vouches = False
    assert "no AD bit" in only_bad(server).text


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ("127.255.255.254", "public or open resolver"),
        ("127.255.255.255", "too many questions"),
        ("127.255.255.252", "changes names"),
        ("127.255.255.7", "returnc"),
        ("192.0.2.99", "192.0.2.99"),
    ],
)
def test_one_that_blocklists_refuse_is_not_fit(records: str, says: str) -> None:
    server = FitServer(FIT_ZONE)
    server.instead = f"{fitness.TEST_ENTRY}. 60 IN A {records}"
    bad = only_bad(server)
    assert bad.check == "blocklists"
    assert says in bad.text
    assert "apt install unbound" in bad.text


def test_one_that_hides_blocklists_is_not_fit() -> None:
    bad = only_bad(FitServer("\n".join(line for line in FIT_ZONE.splitlines() if "zen" not in line)))
    assert (bad.check, "nxdomain" in bad.text) == ("blocklists", True)


def test_one_that_finds_every_name_is_not_fit() -> None:
    server = FitServer(FIT_ZONE)
    server.everywhere = "192.0.2.99"
    bad = only_bad(server)
    assert (bad.check, "192.0.2.99" in bad.text) == ("honest", True)


def test_one_without_tcp_is_not_fit() -> None:
    bad = only_bad(FitServer(FIT_ZONE, tcp=silent))
    assert (bad.check, "over TCP" in bad.text) == ("sizes", True)


def test_one_without_large_answers_is_not_fit() -> None:
    def small(question: DNSRecord) -> Sequence[bytes]:
        return [] if question.q.qtype == 48 else server.answers(question)

    server = FitServer(FIT_ZONE, udp=small)
    bad = only_bad(server, 0.3)
    assert (bad.check, "1,232" in bad.text) == ("sizes", True)


@pytest.mark.parametrize(
    ("host", "ok", "says"),
    [
        ("127.0.0.1", True, "On this host"),
        ("::1", True, "On this host"),
        ("127.0.0.53", True, "systemd-resolved"),
        ("10.0.0.1", True, "your own network"),
        ("100.64.0.1", True, "your own network"),
        ("fe80::1%eth0", True, "your own network"),
        ("8.8.8.8", False, "Google"),
        ("2606:4700:4700::1111", False, "Cloudflare"),
        ("9.9.9.9", False, "Quad9"),
        ("213.133.100.100", False, "Far away"),
    ],
)
def test_where_it_stands_counts(host: str, ok: bool, says: str) -> None:
    check, fine, text = place(host)
    assert (check, fine) == ("place", ok)
    assert says in text


def test_a_slow_answer_is_mentioned() -> None:
    assert "slow" in fitness.answers(Answer(Outcome.OK, ("x",)), 2.0)[2]
    assert "slow" not in fitness.answers(Answer(Outcome.OK, ("x",)), 0.02)[2]


@pytest.mark.parametrize("judge", [fitness.blocklists, fitness.honest])
def test_what_could_not_be_learned_is_not_well(judge: Callable[[Answer], tuple[str, bool, str]]) -> None:
    _, ok, text = judge(Answer(Outcome.TEMPERROR, why="timeout"))
    assert not ok
    assert "timeout" in text
