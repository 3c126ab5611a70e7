"""The benchmark's name server answers as a list does, to whoever asks."""

from __future__ import annotations

import socket

import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from bench.nameserver import LISTED, SILENT, TTL, ZONES, NameServer, answer, texts, wire
from bench.servers import BenchError
from vaglio.blocklists.answers import reversed_address
from vaglio.facts import pack_address

LONG = "v=DKIM1; k=rsa; p=" + "A" * 700
RECORDS = texts({"rsa._domainkey.sender.example": LONG})


def ask(name: str, rrtype: str, *, edns: bool = True) -> dns.message.Message:
    question = dns.message.make_query(name, rrtype, use_edns=0 if edns else -1)
    found = dns.message.from_wire(answer(question.to_wire(), RECORDS))
    assert question.is_response(found)
    assert (found.edns >= 0) is edns
    return found


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("edns", [True, False])
def test_who_is_not_listed_is_in_no_list_for_an_hour(zone: str, edns: bool) -> None:
    found = ask(f"7.2.0.192.{zone}", "A", edns=edns)
    assert found.rcode() == dns.rcode.NXDOMAIN
    (soa,) = found.authority
    assert (soa.ttl, soa[0].minimum) == (TTL, TTL)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("address", [LISTED, "127.0.0.2"])
def test_who_is_listed_is_in_each_list_with_a_reason(zone: str, address: str) -> None:
    name = f"{reversed_address(pack_address(address))}.{zone}"
    assert [record.to_text() for record in ask(name, "A").answer[0]] == ["127.0.0.2"]
    assert [record.to_text() for record in ask(name, "TXT").answer[0]] == ['"listed as a test"']
    nothing = ask(name, "MX")
    assert (nothing.rcode(), nothing.answer) == (dns.rcode.NOERROR, [])


def test_127_0_0_1_is_listed_nowhere() -> None:
    assert ask(f"1.0.0.127.{ZONES[0]}", "A").rcode() == dns.rcode.NXDOMAIN


def test_a_name_that_only_ends_like_an_entry_is_none() -> None:
    assert ask(f"12.0.0.127.{ZONES[0]}", "A").rcode() == dns.rcode.NXDOMAIN


def test_the_silent_list_says_nothing() -> None:
    assert answer(dns.message.make_query(f"2.0.0.127.{SILENT}", "A").to_wire(), RECORDS) == b""


@pytest.mark.parametrize("name", ["sender.example", "out.sender.example"])
def test_the_sender_and_its_host_have_an_spf_record_and_nothing_else(name: str) -> None:
    (record,) = ask(name, "TXT").answer[0]
    assert record.to_text() == '"v=spf1 ip4:192.0.2.0/24 ip4:203.0.113.0/24 -all"'
    assert (ask(name, "A").rcode(), ask(name, "A").answer) == (dns.rcode.NOERROR, [])
    assert ask(f"other.{name}", "TXT").rcode() == dns.rcode.NXDOMAIN


def test_a_text_that_it_was_told_comes_in_strings_of_255_bytes() -> None:
    (record,) = ask("rsa._domainkey.sender.example", "TXT").answer[0]
    assert [len(one) for one in record.strings] == [255, 255, len(LONG) - 510]
    assert b"".join(record.strings).decode() == LONG


@pytest.mark.parametrize("length", range(40))
def test_half_a_question_is_no_reason_to_fail(length: int) -> None:
    whole = dns.message.make_query(f"7.2.0.192.{ZONES[0]}", "A").to_wire()
    assert isinstance(answer(whole[:length], RECORDS), bytes)


def test_a_name_is_written_label_by_label() -> None:
    assert wire("bl1.test") == b"\x03bl1\x04test\0"


def test_without_the_right_to_port_53_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidden:
        def __init__(self, *_: object) -> None:
            raise PermissionError

    monkeypatch.setattr(socket, "socket", Forbidden)
    with pytest.raises(BenchError, match="port 53"):
        NameServer([0])
