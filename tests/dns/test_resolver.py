"""The resolver against a DNS server of our own on loopback: every outcome has its name."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from dnslib import QTYPE, RCODE, RR, DNSRecord
from dnslib.server import DNSLogger, DNSServer

from vaglio.dns.resolver import Resolver
from vaglio.ports import NODATA, NXDOMAIN, TEMPERROR, Answer, Outcome

ZONE = r"""
caio.it.       60 IN MX   10 Mail.caio.it.
caio.it.       60 IN TXT  "v=spf1 " "mx -all"
mail.caio.it.  60 IN A    192.0.2.1
mail.caio.it.  60 IN AAAA 2001:db8::1
www.caio.it.   60 IN CNAME mail.caio.it.
1.2.0.192.in-addr.arpa. 60 IN PTR mail.caio.it.
"""


class Server:
    """Answers from ZONE; ``broken.it`` is SERVFAIL, ``silent.it`` gets no answer that fits."""

    def __init__(self) -> None:
        self.records = RR.fromZone(ZONE)
        self.questions: list[DNSRecord] = []

    def resolve(self, request: Any, handler: Any) -> Any:
        self.questions.append(request)
        reply, name = request.reply(), request.q.qname
        if name == "broken.it." or name == "silent.it.":
            reply.header.rcode = RCODE.SERVFAIL
            if name == "silent.it.":
                reply.header.id ^= 1  # for somebody else: the client goes on waiting
            return reply
        here = [record for record in self.records if record.rname == name]
        kinds = (QTYPE[request.q.qtype], "CNAME")
        for record in here:
            if QTYPE[record.rtype] in kinds:
                reply.add_answer(record)
                if QTYPE[record.rtype] == "CNAME" != kinds[0]:
                    target = [r for r in self.records if r.rname == record.rdata.label and r.rtype == request.q.qtype]
                    reply.add_answer(*target)
        if not here:
            reply.header.rcode = RCODE.NXDOMAIN
        return reply


@pytest.fixture(scope="module")  # stopping it takes half a second
def server() -> Iterator[tuple[Server, str]]:
    answers = Server()
    quiet = DNSLogger(log="-request,-reply,-truncated,-error,-recv,-send,-data", prefix=False)
    running = DNSServer(answers, address="127.0.0.1", port=0, logger=quiet)
    running.start_thread()
    try:
        yield answers, f"127.0.0.1:{running.server.server_address[1]}"
    finally:
        running.stop()
        running.server.server_close()


@pytest.mark.parametrize(
    ("name", "rrtype", "answer"),
    [
        ("caio.it", "MX", Answer(Outcome.OK, ("10 mail.caio.it",))),
        ("Caio.IT.", "TXT", Answer(Outcome.OK, ("v=spf1 mx -all",))),
        ("mail.caio.it", "A", Answer(Outcome.OK, ("192.0.2.1",))),
        ("mail.caio.it", "AAAA", Answer(Outcome.OK, ("2001:db8::1",))),
        ("mail.caio.it", "TXT", NODATA),
        ("www.caio.it", "A", Answer(Outcome.OK, ("192.0.2.1",))),
        ("1.2.0.192.in-addr.arpa", "PTR", Answer(Outcome.OK, ("mail.caio.it",))),
        ("nowhere.it", "A", NXDOMAIN),
        ("broken.it", "A", TEMPERROR),
    ],
)
def test_every_outcome_has_its_name(server: tuple[Server, str], name: str, rrtype: str, answer: Answer) -> None:
    assert Resolver([server[1]], timeout=2)(name, rrtype) == answer


def test_names_are_asked_as_they_are_with_edns_of_1232_bytes(server: tuple[Server, str]) -> None:
    server[0].questions.clear()
    Resolver([server[1]], timeout=2)("nowhere", "A")
    assert [str(question.q.qname) for question in server[0].questions] == ["nowhere."]
    assert [option.edns_len for question in server[0].questions for option in question.ar] == [1232]


def test_a_look_up_that_gets_no_answer_ends_in_time(server: tuple[Server, str]) -> None:
    assert Resolver([server[1]], timeout=0.3)("silent.it", "A") == TEMPERROR


def test_a_server_that_is_not_there_is_a_temporary_error() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))  # it listens, and never answers
        assert Resolver([f"127.0.0.1:{taken.getsockname()[1]}"], timeout=0.2)("caio.it", "A") == TEMPERROR


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".it", "", "é" * 300])
def test_a_name_that_can_not_exist_does_not_exist(server: tuple[Server, str], name: str) -> None:
    assert Resolver([server[1]], timeout=2)(name, "A") == NXDOMAIN


@pytest.mark.parametrize("given", ["192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]", "[::1]:53"])
def test_servers_are_taken_with_and_without_a_port(given: str) -> None:
    Resolver([given])


@pytest.mark.parametrize("given", ["", "ns.caio.it", "192.0.2.53:0", "192.0.2.53:99999", "192.0.2.256", "[192.0.2"])
def test_a_server_that_is_none_is_named(given: str) -> None:
    with pytest.raises(ValueError, match="DNS server"):
        Resolver([given])
