"""The resolver against name servers of our own on loopback: every outcome has its name, whatever they do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
import uvloop
from dnslib import QTYPE, RCODE, RR, DNSRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dns.nameserver import Clock, NameServer, code, run, silent, truncated
from vaglio import eager
from vaglio.dns.resolver import NetworkResolver
from vaglio.ports import NODATA, NXDOMAIN, TEMPERROR, Answer, Outcome

ZONE = r"""
caio.it.       60 IN SOA  ns.caio.it. admin.caio.it. 1 3600 600 86400 20
caio.it.       60 IN MX   10 Mail.caio.it.
caio.it.       60 IN TXT  "v=spf1 " "mx -all"
caio.it.       60 IN NS   ns.caio.it.
none.caio.it.  60 IN MX   0 .
mail.caio.it.  60 IN A    192.0.2.1
mail.caio.it.  60 IN AAAA 2001:db8::1
www.caio.it.   40 IN CNAME mail.caio.it.
web.caio.it.   60 IN CNAME www.caio.it.
lost.caio.it.  60 IN CNAME nowhere.caio.it.
bare.caio.it.  60 IN CNAME none.caio.it.
1.2.0.192.in-addr.arpa. 60 IN PTR mail.caio.it.
"""
MAIL = Answer(Outcome.OK, ("192.0.2.1",))
QUESTION = ("mail.caio.it", "A")


def failed(why: str) -> Answer:
    return TEMPERROR._replace(why=why)


def ask(*servers: NameServer, question: tuple[str, str] = QUESTION, timeout: float = 5.0) -> Answer:
    """Ask one question of a resolver that knows nothing yet."""

    async def test(resolver: NetworkResolver) -> Answer:
        return await resolver.lookup(*question)

    return run(test, *servers, timeout=timeout)


def raw(text: str, question: DNSRecord) -> list[bytes]:
    """An answer with these records, whoever owns them."""
    reply = question.reply()
    reply.header.ad = 0
    reply.add_answer(*RR.fromZone(text))
    return [reply.pack()]


# --- outcomes ---


@pytest.mark.parametrize(
    ("name", "rrtype", "answer"),
    [
        ("caio.it", "MX", Answer(Outcome.OK, ("10 mail.caio.it",))),
        ("none.caio.it", "MX", Answer(Outcome.OK, ("0 ",))),
        ("Caio.IT.", "TXT", Answer(Outcome.OK, ("v=spf1 mx -all",))),
        ("caio.it", "NS", Answer(Outcome.OK, ("ns.caio.it",))),
        ("mail.caio.it", "A", MAIL),
        ("mail.caio.it", "AAAA", Answer(Outcome.OK, ("2001:db8::1",))),
        ("mail.caio.it", "TXT", NODATA),
        ("www.caio.it", "A", MAIL),
        ("www.caio.it", "CNAME", Answer(Outcome.OK, ("mail.caio.it",))),
        ("web.caio.it", "A", MAIL),
        ("lost.caio.it", "A", NXDOMAIN),
        ("bare.caio.it", "A", NODATA),
        ("1.2.0.192.in-addr.arpa", "PTR", Answer(Outcome.OK, ("mail.caio.it",))),
        ("nowhere.it", "A", NXDOMAIN),
    ],
)
def test_every_outcome_has_its_name(name: str, rrtype: str, answer: Answer) -> None:
    assert ask(NameServer(ZONE), question=(name, rrtype)) == answer


@pytest.mark.parametrize(
    ("rcode", "why"),
    [
        (RCODE.SERVFAIL, "servfail"),
        (RCODE.REFUSED, "refused"),
        (RCODE.NOTIMP, "refused"),
        (RCODE.FORMERR, "garbled"),
        (RCODE.YXDOMAIN, "refused"),
    ],
)
def test_an_answer_that_is_none_says_why(rcode: int, why: str) -> None:
    assert ask(NameServer(udp=code(rcode))) == failed(why)


def test_a_refusal_may_leave_out_the_question() -> None:
    def refuse(question: DNSRecord) -> list[bytes]:
        return [question.header.id.to_bytes(2) + b"\x80\x05" + bytes(8)]

    assert ask(NameServer(udp=refuse)) == failed("refused")


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".it", "", ".", "é" * 300, "a." * 130 + "it", "\udcff.it"])
def test_a_name_that_can_not_exist_is_not_asked_for(name: str) -> None:
    server = NameServer(ZONE)
    assert ask(server, question=(name, "A")) == NXDOMAIN
    assert server.questions == []


def test_a_type_that_there_is_not_is_an_error_of_the_program() -> None:
    with pytest.raises(ValueError, match="no type"):
        ask(NameServer(ZONE), question=("caio.it", "NONSENSE"))


def test_names_are_asked_as_they_are_with_edns_of_1232_bytes_and_the_wish_for_dnssec() -> None:
    server = NameServer(ZONE)
    ask(server, question=("nowhere", "A"))
    [question] = server.questions
    assert (str(question.q.qname), question.header.rd, question.header.ad) == ("nowhere.", 1, 1)
    assert [option.edns_len for option in question.ar] == [1232]


@pytest.mark.parametrize("question", [QUESTION, ("nowhere.caio.it", "A"), ("mail.caio.it", "MX")])
def test_what_dnssec_vouches_for_is_marked(question: tuple[str, str]) -> None:
    def vouch(asked: DNSRecord) -> list[bytes]:
        reply = server.reply(asked)
        reply.header.ad = 1
        return [reply.pack()]

    server = NameServer(ZONE, udp=vouch)
    assert ask(server, question=question).authentic
    assert not ask(NameServer(ZONE), question=question).authentic


def test_an_answer_put_together_from_two_is_vouched_for_only_if_both_are() -> None:
    def vouch(question: DNSRecord) -> list[bytes]:
        reply = question.reply()
        name = str(question.q.qname)
        reply.header.ad = int(name in vouched)
        records = "www.it. 60 IN CNAME mail.it." if name == "www.it." else "mail.it. 60 IN A 192.0.2.1"
        reply.add_answer(*RR.fromZone(records))
        return [reply.pack()]

    for vouched in (["www.it."], ["mail.it."], ["www.it.", "mail.it."]):
        answer = ask(NameServer(udp=vouch), question=("www.it", "A"))
        assert answer == MAIL._replace(authentic=len(vouched) == 2)


# --- aliases ---


def test_records_of_others_are_ignored() -> None:
    text = "other.it. 60 IN A 192.0.2.66\nmail.caio.it. 60 IN A 192.0.2.1\nwww.other.it. 60 IN A 192.0.2.67"
    assert ask(NameServer(udp=lambda question: raw(text, question))) == MAIL


def test_records_may_come_in_any_order() -> None:
    text = "b.it. 60 IN A 192.0.2.1\na.it. 60 IN CNAME b.it.\nmail.caio.it. 60 IN CNAME A.IT."
    assert ask(NameServer(udp=lambda question: raw(text, question))) == MAIL


def test_a_chain_that_leaves_the_answer_is_asked_on() -> None:
    def short(question: DNSRecord) -> list[bytes]:
        if str(question.q.qname) == "www.caio.it.":
            return raw("www.caio.it. 60 IN CNAME mail.caio.it.", question)
        return list(server.answers(question))

    server = NameServer(ZONE, udp=short)
    assert ask(server, question=("www.caio.it", "A")) == MAIL
    assert [str(question.q.qname) for question in server.questions] == ["www.caio.it.", "mail.caio.it."]


@pytest.mark.parametrize(
    "text",
    [
        "mail.caio.it. 60 IN CNAME mail.caio.it.",
        "mail.caio.it. 60 IN CNAME a.it.\na.it. 60 IN CNAME mail.caio.it.",
        "mail.caio.it. 60 IN CNAME 0.it.\n" + "".join(f"{n}.it. 60 IN CNAME {n + 1}.it.\n" for n in range(20)),
    ],
)
def test_aliases_without_an_end_are_named(text: str) -> None:
    assert ask(NameServer(udp=lambda question: raw(text, question))) == failed("loop")


def test_a_loop_over_several_answers_ends() -> None:
    def turn(question: DNSRecord) -> list[bytes]:
        name = str(question.q.qname)
        return raw(f"{name} 60 IN CNAME {'b' if name.startswith('a') else 'a'}.it.", question)

    server = NameServer(udp=turn)
    assert ask(server, question=("a.it", "A")) == failed("loop")
    assert len(server.questions) < 12


# --- answers that do not fit ---


def wrong_id(question: DNSRecord) -> list[bytes]:
    reply = question.reply()
    reply.header.id ^= 1
    reply.add_answer(*RR.fromZone("mail.caio.it. 60 IN A 192.0.2.66"))
    return [reply.pack()]


def wrong_name(question: DNSRecord) -> list[bytes]:
    question.q.qname = "evil.it."
    return raw("evil.it. 60 IN A 192.0.2.66", question)


def wrong_type(question: DNSRecord) -> list[bytes]:
    question.q.qtype = QTYPE.TXT
    return raw('mail.caio.it. 60 IN TXT "evil"', question)


def wrong_class(question: DNSRecord) -> list[bytes]:
    question.q.qclass = 3
    return raw("mail.caio.it. 60 IN A 192.0.2.66", question)


def no_answer(question: DNSRecord) -> list[bytes]:
    return [question.pack()]  # QR is not set


def no_question(question: DNSRecord) -> list[bytes]:
    return [question.header.id.to_bytes(2) + b"\x80\x00" + bytes(8)]


def stub(question: DNSRecord) -> list[bytes]:
    return [b"", b"\0", question.header.id.to_bytes(2)]


WRONG = [wrong_id, wrong_name, wrong_type, wrong_class, no_answer, no_question, stub]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_answer_is_dropped_and_the_right_one_awaited(wrong: Callable[[DNSRecord], list[bytes]]) -> None:
    def both(question: DNSRecord) -> Sequence[bytes]:
        right = server.answers(question)
        return [*wrong(question), *right]

    async def test(resolver: NetworkResolver) -> tuple[Answer, int]:
        return await resolver.lookup(*QUESTION), resolver.counts.dropped

    server = NameServer(ZONE, udp=both)
    answer, dropped = run(test, server)
    assert answer == MAIL
    assert dropped >= 1


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_answers_alone_end_in_time(wrong: Callable[[DNSRecord], list[bytes]]) -> None:
    assert ask(NameServer(udp=wrong), timeout=0.2) == failed("timeout")


def test_the_case_of_a_name_may_change_on_the_way() -> None:
    def shout(question: DNSRecord) -> list[bytes]:
        question.q.qname = "MAIL.Caio.IT."
        return raw("Mail.CAIO.it. 60 IN A 192.0.2.1", question)

    assert ask(NameServer(udp=shout)) == MAIL


def test_a_second_answer_is_dropped() -> None:
    async def test(resolver: NetworkResolver) -> int:
        await resolver.lookup(*QUESTION)
        await resolver.lookup("nowhere.it", "A")  # the second answer came before this one's
        return resolver.counts.dropped

    server = NameServer(ZONE, udp=lambda question: [*server.answers(question), *code(RCODE.NXDOMAIN)(question)])
    assert run(test, server) >= 1


def test_a_late_answer_is_harmless() -> None:
    async def test(resolver: NetworkResolver) -> None:
        assert await resolver.lookup(*QUESTION) == failed("timeout")
        for question, port in zip(server.questions, server.ports, strict=True):
            server.send(server.answers(question)[0], ("127.0.0.1", port))
        server.udp = None
        assert await resolver.lookup("www.caio.it", "A") == MAIL
        assert resolver.at_hand(*QUESTION) == failed("timeout")

    server = NameServer(ZONE, udp=silent)
    run(test, server, timeout=0.1)


def test_an_answer_to_the_first_try_counts_while_the_second_is_on_its_way() -> None:
    def tardy(question: DNSRecord) -> Sequence[bytes]:
        if len(server.questions) == 2:
            server.send(server.answers(server.questions[0])[0], ("127.0.0.1", server.ports[0]))
        return []

    server = NameServer(ZONE, udp=tardy)
    assert ask(server, timeout=1) == MAIL
    assert len(server.questions) == 2


@given(st.lists(st.binary(max_size=300), max_size=5))
@settings(max_examples=30, deadline=None)
def test_no_datagrams_bring_it_down(bodies: list[bytes]) -> None:
    """Garbage with and without the right id and question, and then the answer."""

    def shower(question: DNSRecord) -> list[bytes]:
        head = question.header.id.to_bytes(2) + b"\x80\x00\x00\x01\x00\x01\x00\x00\x00\x00"
        asked = question.pack()[12 : 12 + len("mail.caio.it") + 6]
        ours = [question.header.id.to_bytes(2) + body for body in bodies]
        return [*bodies, *ours, *(head + asked + body for body in bodies)]

    answer = ask(NameServer(udp=shower), NameServer(ZONE), timeout=0.4)
    assert answer.outcome in Outcome


def test_an_answer_with_the_longest_texts_is_taken_as_a_whole_or_not_at_all() -> None:
    def txt(question: DNSRecord) -> list[bytes]:
        return raw("caio.it. 60 IN TXT " + " ".join([f'"{"x" * 250}"'] * (size // 250)), question)

    for size, outcome in ((15_000, Outcome.OK), (60_000, Outcome.TEMPERROR)):
        answer = ask(NameServer(udp=truncated, tcp=txt), question=("caio.it", "TXT"))
        assert answer.outcome == outcome
        assert [len(value) for value in answer.values] == [size] * len(answer.values)


# --- TCP ---


def test_what_is_truncated_is_asked_again_over_tcp() -> None:
    server = NameServer(ZONE, udp=truncated)
    assert ask(server) == MAIL
    assert [str(question.q.qname) for question in server.over_tcp] == ["mail.caio.it."]


@pytest.mark.parametrize(
    ("tcp", "why"),
    [
        (truncated, "garbled"),
        (wrong_id, "garbled"),
        (wrong_name, "garbled"),
        (lambda _: [], "network"),  # closes at once
        (lambda _: [b""], "garbled"),
        (lambda question: [question.header.id.to_bytes(2) + bytes(60_000)], "garbled"),
        (code(RCODE.SERVFAIL), "servfail"),
    ],
)
def test_what_goes_wrong_over_tcp_has_its_name(tcp: Callable[[DNSRecord], list[bytes]], why: str) -> None:
    assert ask(NameServer(udp=truncated, tcp=tcp)) == failed(why)


def test_a_server_that_says_nothing_over_tcp_takes_no_longer_than_the_deadline() -> None:
    async def test(resolver: NetworkResolver) -> Answer:
        async with asyncio.timeout(5):
            return await resolver.lookup(*QUESTION)

    server = NameServer(udp=truncated)
    server._serve = _say_nothing  # type: ignore[method-assign]
    assert run(test, server, timeout=0.2) == failed("timeout")


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


# --- several servers ---


@pytest.mark.parametrize("bad", [silent, code(RCODE.SERVFAIL), code(RCODE.REFUSED), lambda q: [q.reply().pack()[:14]]])
def test_another_server_is_asked_when_one_fails(bad: Callable[[DNSRecord], list[bytes]]) -> None:
    assert ask(NameServer(udp=bad), NameServer(ZONE), timeout=1) == MAIL


def test_a_failure_that_comes_late_ends_only_the_turn_of_who_failed() -> None:
    def both(question: DNSRecord) -> list[bytes]:
        if len(two.questions) == 1:
            one.send(code(RCODE.SERVFAIL)(one.questions[0])[0], ("127.0.0.1", one.ports[0]))
            answer, peer = two.answers(question)[0], ("127.0.0.1", two.ports[0])
            asyncio.get_running_loop().call_later(0.05, two.send, answer, peer)
        return []

    one, two = NameServer(udp=silent), NameServer(ZONE, udp=both)
    assert ask(one, two, timeout=1) == MAIL
    assert (len(one.questions), len(two.questions)) == (1, 1)


def test_a_server_that_is_not_there_costs_no_time() -> None:
    async def test(resolver: NetworkResolver) -> Answer:
        gone.stop()
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            return await resolver.lookup(*QUESTION)

    gone = NameServer()
    assert run(test, gone, NameServer(ZONE), timeout=60) == MAIL
    gone = NameServer()
    assert run(test, gone, timeout=60) == failed("network")


def test_a_silent_server_is_asked_last_for_a_while() -> None:
    clock = Clock()

    async def test(resolver: NetworkResolver) -> list[int]:
        asked = []
        for name in ("a.it", "b.it", "c.it"):
            await resolver.lookup(name, "A")
            asked.append(len(quiet.questions))
            clock.now += 20
        return asked

    quiet = NameServer(udp=silent)
    assert run(test, quiet, NameServer(ZONE), timeout=0.3, clock=clock) == [1, 1, 2]


def test_all_silent_servers_are_still_asked() -> None:
    async def test(resolver: NetworkResolver) -> None:
        assert await resolver.lookup("a.it", "A") == failed("timeout")
        one.udp = two.udp = None
        assert await resolver.lookup(*QUESTION) == MAIL

    one, two = NameServer(ZONE, udp=silent), NameServer(ZONE, udp=silent)
    run(test, one, two, timeout=0.2)


def test_a_lost_datagram_is_sent_again() -> None:
    server = NameServer(ZONE, udp=lambda question: [] if len(server.questions) == 1 else server.answers(question))
    assert ask(server, timeout=0.6) == MAIL


def test_a_question_ends_in_time_whatever_the_servers_do() -> None:
    async def test(resolver: NetworkResolver) -> Answer:
        async with asyncio.timeout(2):
            return await resolver.lookup(*QUESTION)

    assert run(test, *(NameServer(udp=silent) for _ in range(5)), timeout=0.3) == failed("timeout")


# --- the other event loop ---


@pytest.mark.parametrize("bad", [silent, truncated, code(RCODE.SERVFAIL), wrong_id])
def test_it_runs_on_uvloop_too(bad: Callable[[DNSRecord], list[bytes]]) -> None:
    async def test(resolver: NetworkResolver) -> list[Answer]:
        return list(await asyncio.gather(resolver.lookup(*QUESTION), resolver.lookup("nowhere.it", "A")))

    assert run(test, NameServer(ZONE, udp=bad), NameServer(ZONE), timeout=0.5, runner=uvloop.run) == [MAIL, NXDOMAIN]


def test_a_server_that_is_not_there_costs_no_time_on_uvloop() -> None:
    async def test(resolver: NetworkResolver) -> Answer:
        gone.stop()
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            return await resolver.lookup(*QUESTION)

    gone = NameServer()
    assert run(test, gone, NameServer(ZONE), timeout=60, runner=uvloop.run) == MAIL


# --- what is kept ---


def kept_for(server: NameServer, name: str, rrtype: str) -> int:
    """Return for how many seconds the answer is at hand."""
    clock = Clock()

    async def test(resolver: NetworkResolver) -> int:
        answer = await resolver.lookup(name, rrtype)
        start, step = clock.now, 1 << 20
        while step:
            clock.now += step
            if resolver.at_hand(name, rrtype) is None:
                clock.now -= step
            else:
                assert resolver.at_hand(name, rrtype) == answer
            step >>= 1
        return int(clock.now - start) + 1

    return run(test, server, clock=clock, timeout=0.3)


@pytest.mark.parametrize(
    ("name", "rrtype", "seconds"),
    [
        ("mail.caio.it", "A", 60),
        ("www.caio.it", "A", 40),  # the least of the chain
        ("nowhere.caio.it", "A", 20),  # MINIMUM of the SOA
        ("mail.caio.it", "TXT", 20),
        ("lost.caio.it", "A", 20),
    ],
)
def test_an_answer_is_kept_as_long_as_it_says(name: str, rrtype: str, seconds: int) -> None:
    assert kept_for(NameServer(ZONE), name, rrtype) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("mail.caio.it. 0 IN A 192.0.2.1", 5),
        ("mail.caio.it. 604800 IN A 192.0.2.1", 86400),
        ("mail.caio.it. 2147483648 IN A 192.0.2.1", 5),
    ],
)
def test_how_long_answers_are_kept_has_bounds(text: str, seconds: int) -> None:
    assert kept_for(NameServer(udp=lambda question: raw(text, question)), *QUESTION) == seconds


@pytest.mark.parametrize(
    ("soa", "seconds"),
    [
        ("caio.it. 7 IN SOA a.it. b.it. 1 1 1 1 900", 7),
        ("caio.it. 900 IN SOA a.it. b.it. 1 1 1 1 8", 8),
        ("caio.it. 86400 IN SOA a.it. b.it. 1 1 1 1 86400", 3600),
        ("", 30),
    ],
)
def test_a_no_is_kept_as_long_as_its_zone_says(soa: str, seconds: int) -> None:
    assert kept_for(NameServer(soa), *QUESTION) == seconds


@pytest.mark.parametrize(("bad", "times"), [(silent, 3), (code(RCODE.SERVFAIL), 1)])
def test_a_failure_is_kept_for_seconds(bad: Callable[[DNSRecord], list[bytes]], times: int) -> None:
    server = NameServer(udp=bad)
    assert kept_for(server, *QUESTION) == 5
    assert len(server.questions) == times


def test_what_is_known_is_not_asked_again() -> None:
    async def test(resolver: NetworkResolver) -> None:
        assert resolver.at_hand(*QUESTION) is None
        for name in ("mail.caio.it", "MAIL.caio.it", "mail.caio.it."):
            assert await resolver.lookup(name, "A") == MAIL
            assert resolver.at_hand(name, "A") == MAIL

    server = NameServer(ZONE)
    run(test, server)
    assert len(server.questions) == 1


def test_what_is_known_is_asked_again_on_request_and_replaced() -> None:
    async def test(resolver: NetworkResolver) -> None:
        assert await resolver.lookup(*QUESTION) == MAIL
        server.udp = silent
        both = await asyncio.gather(*(resolver.ask_again(*QUESTION) for _ in range(2)))
        assert both == [failed("timeout")] * 2
        assert resolver.at_hand(*QUESTION) == failed("timeout")

    server = NameServer(ZONE)
    run(test, server, timeout=0.3)
    assert len(server.questions) == 4  # one, and three tries for both


def test_names_that_end_alike_can_be_forgotten() -> None:
    async def test(resolver: NetworkResolver) -> None:
        await asyncio.gather(*(resolver.lookup(name, "A") for name in ("mail.caio.it", "www.caio.it", "nowhere.it")))
        resolver.forget(".Caio.it.")
        assert [resolver.at_hand(name, "A") for name in ("mail.caio.it", "www.caio.it")] == [None, None]
        assert resolver.at_hand("nowhere.it", "A") == NXDOMAIN

    run(test, NameServer(ZONE))


# --- at once ---


def test_one_question_is_shared_by_all_who_wait() -> None:
    async def test(resolver: NetworkResolver) -> list[Answer]:
        return await asyncio.gather(*(resolver.lookup(*QUESTION) for _ in range(100)))

    server = NameServer(ZONE)
    assert set(run(test, server)) == {MAIL}
    assert len(server.questions) == 1


def test_who_gives_up_does_not_end_it_for_the_others() -> None:
    async def test(resolver: NetworkResolver) -> None:
        waiting = [asyncio.create_task(resolver.lookup(*QUESTION)) for _ in range(3)]
        await server.asked.wait()
        waiting[0].cancel()
        waiting[2].cancel()
        [peer] = server.ports
        server.send(server.answers(server.questions[0])[0], ("127.0.0.1", peer))
        assert await waiting[1] == MAIL
        assert waiting[0].cancelled()
        assert waiting[2].cancelled()

    server = NameServer(ZONE, udp=silent)
    run(test, server)


def test_an_answer_nobody_waits_for_any_more_is_kept() -> None:
    async def test(resolver: NetworkResolver) -> None:
        waiting = asyncio.create_task(resolver.lookup(*QUESTION))
        await server.asked.wait()
        waiting.cancel()
        server.send(server.answers(server.questions[0])[0], ("127.0.0.1", server.ports[0]))
        while resolver.at_hand(*QUESTION) is None:
            await asyncio.sleep(0)
        assert resolver.at_hand(*QUESTION) == MAIL

    server = NameServer(ZONE, udp=silent)
    run(test, server)


def test_it_may_be_started_outside_of_a_task() -> None:
    async def test(resolver: NetworkResolver) -> Answer:
        loop = asyncio.get_running_loop()
        begun = loop.create_future()
        loop.call_soon(lambda: begun.set_result(eager.start(resolver.lookup(*QUESTION))))
        rest = await begun
        assert isinstance(rest, eager.Rest)
        return await rest  # type: ignore[no-any-return]

    assert run(test, NameServer(ZONE)) == MAIL


def flood(count: int) -> Callable[[NetworkResolver], Awaitable[list[Answer]]]:
    async def test(resolver: NetworkResolver) -> list[Answer]:
        return await asyncio.gather(*(resolver.lookup(f"{number}.it", "A") for number in range(count)))

    return test


def test_too_many_questions_wait_for_their_turn() -> None:
    assert run(flood(500), NameServer(ZONE), in_flight=3) == [NXDOMAIN] * 500


def test_who_waits_too_long_for_his_turn_is_told() -> None:
    server = NameServer(udp=silent)
    answers = run(flood(5), server, in_flight=2, timeout=0.3)
    assert answers.count(failed("timeout")) == 2
    assert answers.count(failed("too-many")) == 3
    assert {str(question.q.qname) for question in server.questions} == {"0.it.", "1.it."}


def test_too_many_who_wait_are_told_at_once_and_it_is_not_kept() -> None:
    async def test(resolver: NetworkResolver) -> None:
        answers = await flood(5000)(resolver)
        refused = answers.index(failed("too-many"))
        assert set(answers) == {NXDOMAIN, failed("too-many")}
        assert await resolver.lookup(f"{refused}.it", "A") == NXDOMAIN

    run(test, NameServer(ZONE), in_flight=10)


def test_ids_and_ports_are_not_to_be_guessed() -> None:
    server = NameServer(ZONE)
    run(flood(2000), server)
    assert len({question.header.id for question in server.questions}) > 1800
    assert len(set(server.ports)) >= 2000 // 128
    assert max(map(server.ports.count, set(server.ports))) <= 128


def test_a_port_is_given_up_after_half_a_minute() -> None:
    clock = Clock()

    async def test(resolver: NetworkResolver) -> None:
        for number in range(40):
            await resolver.lookup(f"{number}.it", "A")
        clock.now += 31
        for number in range(40, 80):
            await resolver.lookup(f"{number}.it", "A")

    server = NameServer(ZONE)
    run(test, server, clock=clock)
    assert set(server.ports[:40]).isdisjoint(server.ports[40:])


# --- the end ---


def test_closing_ends_what_is_on_its_way() -> None:
    async def test(resolver: NetworkResolver) -> Answer:
        waiting = asyncio.create_task(resolver.lookup(*QUESTION))
        await server.asked.wait()
        resolver.close()
        return await waiting

    server = NameServer(udp=silent)
    assert run(test, server) == failed("network")


def test_closing_ends_what_has_not_begun_and_what_comes_later() -> None:
    async def test(resolver: NetworkResolver) -> list[Answer]:
        rest = eager.start(resolver.lookup(*QUESTION))
        assert isinstance(rest, eager.Rest)
        resolver.close()
        return [await rest, await resolver.lookup("caio.it", "MX")]

    server = NameServer(ZONE)
    assert run(test, server) == [failed("network")] * 2
    assert server.questions == []
