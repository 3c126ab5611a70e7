"""The policy parser: whole or byte by byte the same, bounded, and never an exception."""

import os
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vaglio.facts import Facts, Stage
from vaglio.policy.parse import MAX_ATTRIBUTES, MAX_NAMES, MAX_REQUEST, Attributes, Parser, facts_of, shape_of

DATA = Path(os.environ.get("VAGLIO_DATA", Path(__file__).parents[3] / "shared" / "data"))

REQUEST = (
    b"request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=192.0.2.7\n"
    b"client_name=mail.tizio.it\nreverse_client_name=mail.tizio.it\nhelo_name=mail.tizio.it\n"
    b"sender=tizio@tizio.it\nrecipient=caio@caio.it\nrecipient_count=0\nqueue_id=\n"
    b"instance=123.456.7\nsize=1000\nsasl_username=\n\n"
)


def outcome(chunks: list[bytes]) -> tuple[list[Attributes], str]:
    parser, requests = Parser(), []
    for chunk in chunks:
        requests += parser.feed(chunk)
    return requests, parser.error


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def test_a_request_becomes_its_attributes() -> None:
    (request,), error = outcome([REQUEST])
    assert error == ""
    assert request["sender"] == "tizio@tizio.it"
    assert request["queue_id"] == ""


def test_values_keep_their_equal_signs_and_blanks() -> None:
    (request,), _ = outcome([b"sender=prvs=123=a@b.example\nhelo_name= x = y \n\n"])
    assert request == {"sender": "prvs=123=a@b.example", "helo_name": " x = y "}


def test_bytes_that_are_no_utf8_are_kept_not_refused() -> None:
    (request,), error = outcome([b"helo_name=\xff\xfe\n\n"])
    assert error == ""
    assert request["helo_name"].encode("utf-8", "surrogateescape") == b"\xff\xfe"


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"sender\n\n", "line without '='"),
        (b"\n\n", "line without '='"),
        (b"\nsender=a\n\n", "line without '='"),
        (b"request=junk\n\n", "request of the unknown kind 'junk'"),
        (b"a=1\n" * (MAX_ATTRIBUTES + 1) + b"\n", f"request of more than {MAX_ATTRIBUTES} attributes"),
        (b"a=" + b"x" * MAX_REQUEST + b"\n\n", f"request of more than {MAX_REQUEST} bytes"),
        (b"a=" + b"x" * (MAX_REQUEST + 10), f"request of more than {MAX_REQUEST} bytes"),
    ],
)
def test_what_is_malformed_or_out_of_bounds_ends_the_conversation(data: bytes, error: str) -> None:
    assert outcome([data]) == ([], error)
    assert outcome(byte_by_byte(data)) == ([], error)


def test_the_largest_request_allowed_is_read() -> None:
    data = b"a=" + b"x" * (MAX_REQUEST - 2) + b"\n\n"
    assert outcome([data])[1] == ""
    assert outcome(byte_by_byte(data)) == outcome([data])
    assert outcome([b"a=1\n" * MAX_ATTRIBUTES + b"\n"])[1] == ""


def test_requests_before_an_error_are_returned_and_nothing_after_it() -> None:
    parser = Parser()
    assert len(parser.feed(REQUEST + b"junk\n\n" + REQUEST)) == 1
    assert parser.error
    assert parser.feed(REQUEST) == []


_PIECES = st.sampled_from(
    [REQUEST, b"a=b\n\n", b"\n", b"\n\n", b"=", b"x", b"a=b\n", b"\xff=\xc3", b"request=", b"a" * 300]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_PIECES, max_size=8).map(b"".join) | st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=50))
@example(b"a=b\n\n\n", [1])
def test_however_the_bytes_are_cut_the_requests_are_the_same(data: bytes, cuts: list[int]) -> None:
    chunks, at = [], 0
    for cut in cuts:
        chunks.append(data[at : at + cut])
        at += cut
    chunks.append(data[at:])
    whole = outcome([data])
    assert outcome(chunks) == whole
    assert outcome(byte_by_byte(data)) == whole


POSTFIX = REQUEST[:-1] + b"reverse.x=\nccert_subject=\nccert_pubkey_fingerprint=AB:CD\nstress=\n\n"


def facts_of_all(chunks: list[bytes]) -> tuple[list[Facts], str]:
    parser, facts = Parser(), []
    for chunk in chunks:
        facts += parser.facts(chunk)
    return facts, parser.error


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(POSTFIX)), st.integers(0, 12), st.binary(max_size=12)), max_size=6),
    st.sampled_from([REQUEST, POSTFIX]),
)
@example([(0, 0, b"")], POSTFIX)
@example([(POSTFIX.index(b"smtpd"), 5, b"junk")], POSTFIX)
@example([(POSTFIX.index(b"stress"), 6, b"sender")], POSTFIX)
@example([(POSTFIX.index(b"stress"), 0, b"sender=x\n")], POSTFIX)
def test_a_request_that_looks_like_those_before_it_says_what_it_says_alone(
    changes: list[tuple[int, int, bytes]], first: bytes
) -> None:
    raw = POSTFIX
    for at, length, new in changes:
        raw = raw[:at] + new + raw[at + length :]
        requests, error = outcome([raw])
        assert facts_of_all([first, raw, POSTFIX]) == facts_of_all([first, *byte_by_byte(raw + POSTFIX)])
        assert facts_of_all([first, raw])[0][1:] == [facts_of(request) for request in requests]
        assert facts_of_all([first, raw])[1] == error


def test_facts_take_unknown_for_no_name_and_mapped_addresses_for_ipv4() -> None:
    facts = facts_of({"client_address": "::ffff:192.0.2.1", "client_name": "unknown", "reverse_client_name": "Unknown"})
    assert facts.client.address == "192.0.2.1"
    assert len(facts.client.packed) == 4
    assert (facts.client.name, facts.client.reverse_name) == ("", "")


def test_facts_name_the_attributes_that_are_missing() -> None:
    facts = facts_of({"sender": "", "protocol_state": "RCPT"})
    assert facts.session.missing == ("client_address", "client_name", "instance", "recipient")
    assert facts.session.stage is Stage.RCPT


def test_facts_name_the_process_that_asks() -> None:
    assert facts_of({"instance": "1a2b.6382.7"}).session.process == "1a2b"
    assert facts_of({}).session.process == ""


def test_a_number_of_any_length_is_no_small_one() -> None:
    assert facts_of({"size": "9" * 18}).envelope.size == 10**18 - 1
    assert facts_of({"size": "9" * 19}).envelope.size == 10**18
    assert facts_of({"size": "-1", "recipient_count": "1e3"}).envelope[2:] == (0, 0)


def test_no_shape_is_learnt_of_names_that_are_too_long() -> None:
    names = tuple(line.split("=")[0] for line in POSTFIX.decode().split())
    assert shape_of(names)
    assert shape_of((*names, "x" * MAX_NAMES)) is None


def test_an_unverified_certificate_is_no_certificate() -> None:
    assert facts_of({"ccert_pubkey_fingerprint": "AB:CD"}).session.certificate == ""
    assert facts_of({"ccert_pubkey_fingerprint": "AB:CD", "ccert_subject": "CN"}).session.certificate == "AB:CD"


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["size", "client_address", "recipient_count", "x"]), st.text()))
def test_facts_are_made_of_anything(attributes: Attributes) -> None:
    facts = facts_of(attributes)
    assert len(facts.client.packed) in (0, 4, 16)
    assert facts.envelope.size >= 0


def test_a_request_captured_from_postfix_is_read() -> None:
    sample = DATA / "policy" / "postfwd-request.sample"
    if not sample.exists():
        pytest.skip("the captured requests are not here (VAGLIO_DATA)")
    ((request,), error) = outcome([sample.read_bytes()])
    assert error == ""
    assert facts_of(request).client.name == "english-breakfast.cloud9.net"
