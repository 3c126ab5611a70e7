"""Evaluation: bounds against hostile records, waiting, time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaglio.checks.spf.domain import ask_helo, ask_mail_from
from vaglio.checks.spf.evaluate import Limits, evaluate
from vaglio.checks.spf.outcome import Evaluation, Result
from vaglio.dns.zonefile import Zone, parse_lines
from vaglio.ports import NXDOMAIN, TEMPERROR, Answer, Outcome


class Dns:
    """Answers at hand, from a dict; all other names are not there."""

    def __init__(self, answers: dict[tuple[str, str], Answer] | None = None, zone: str = "") -> None:
        self.answers, self.zone = answers or {}, Zone(parse_lines(zone))
        self.asked: Counter[tuple[str, str]] = Counter()

    def answer(self, name: str, rrtype: str) -> Answer:
        return self.answers.get((name, rrtype)) or self.zone(name, rrtype)

    def at_hand(self, name: str, rrtype: str) -> Answer | None:
        self.asked[name, rrtype] += 1
        return self.answer(name, rrtype)

    async def lookup(self, name: str, rrtype: str) -> Answer:
        raise AssertionError("it was at hand")


class Slow(Dns):
    """Nothing is at hand; each answer takes ``seconds``."""

    def __init__(self, zone: str, seconds: float) -> None:
        super().__init__(zone=zone)
        self.seconds = seconds
        self.under_way = self.most = self.given_up = 0

    def at_hand(self, name: str, rrtype: str) -> Answer | None:
        return None

    async def lookup(self, name: str, rrtype: str) -> Answer:
        self.asked[name, rrtype] += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        finally:
            self.under_way -= 1
        return self.answer(name, rrtype)


def judge(dns: Dns, sender: str = "a@b.it", ip: str = "192.0.2.7", helo: str = "mail.b.it") -> Evaluation:
    [found] = asyncio.run(evaluate([ask_mail_from(ip, sender, helo)], dns, Limits(), "mx.caio.it", 0))
    return found


def txt(*texts: str) -> Answer:
    return Answer(Outcome.OK, texts)


def record(text: str, **more: str) -> Dns:
    answers = {("b.it", "TXT"): txt(text)}
    answers |= {(name.replace("_", "."), "TXT"): txt(value) for name, value in more.items()}
    return Dns(answers)


# --- bounds ---


HOSTILE = {
    "64 kB": "v=spf1 " + "ip4:192.0.2.1 " * 4600,
    "1000 terms": "v=spf1 " + "a " * 1000,
    "one long term": "v=spf1 a:" + "x." * 3000 + "it",
    "many labels with a macro": "v=spf1 a:" + "x." * 200 + "%{d}",
    "many macros": "v=spf1 exists:" + "%{s}" * 120 + ".it",
    "huge macro count": "v=spf1 exists:%{s" + "9" * 400 + "}.it",
    "huge prefix": "v=spf1 ip4:192.0.2.1/" + "9" * 400,
    "unclosed macro": "v=spf1 exists:%{s",
    "macro of nothing": "v=spf1 exists:%{}.it",
    "line end": "v=spf1 ip4:192.0.2.7\n -all",
    "carriage return": "v=spf1 ip4:192.0.2.7\r\nX: y -all",
    "bytes": "v=spf1 a:\udcff\udcfe -all",
    "half characters": "v=spf1 a:\ud800 -all",
    "accents": "v=spf1 a:perché.it -all",
    "slashes": "v=spf1 a" + "/1" * 250,
    "only signs": "v=spf1 - + ~ ? : / // = ,",
    "empty names": "v=spf1 a: mx: include: exists: ptr: redirect= exp=",
    "long label": "v=spf1 a:" + "x" * 300 + ".it",
    "top label that never ends": "v=spf1 a:b." + "a" * 400 + "!",
    "equals": "v=spf1 " + "=" * 400,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_record_has_a_result_and_soon(text: str) -> None:
    began = time.process_time()
    found = judge(record(text), sender=f"{'x' * 64}@b.it")
    assert found.result in (Result.PERMERROR, Result.FAIL, Result.NEUTRAL)
    assert len(found.problem) < 9000
    assert time.process_time() - began < 1


def test_the_same_ten_times_over_is_bounded_too() -> None:
    terms = "ip4:198.51.100.1 " * 80
    includes = {f"x{n}_it": f"v=spf1 {terms} include:x{n + 1}.it -all" for n in range(12)}
    began = time.process_time()
    found = judge(record("v=spf1 include:x0.it -all", **includes))
    assert found.result is Result.PERMERROR
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "sender",
    ["a\udcff@b.it", "\udcff@b.it", "a@\udcff.it", "a@b\r\n.it", "a@b.it\r\nX: y", "@", "a@", "@b.it",
     "x" * 5000 + "@b.it", "a@" + "b." * 200 + "it", "a@perché.it", f"a@{chr(0xD800)}.it", "a@.", "a@b..it",
     "%{s}@b.it", "a@%{d}.it", "a@b.it."],
)  # fmt: skip
def test_any_sender_and_helo_have_a_result(sender: str) -> None:
    dns = record("v=spf1 exists:%{s}.%{h}.%{l}.%{S}.%{H}.x.it exp=%{d} -all")
    for helo in (sender, "mail.b.it", ""):
        found = asyncio.run(
            evaluate([ask_mail_from("192.0.2.7", sender, helo), ask_helo("192.0.2.7", helo)], dns, Limits(), "mx", 0)
        )
        assert {one.result for one in found} <= {Result.NONE, Result.FAIL, Result.PERMERROR}


WORDS = st.sampled_from(
    ["a", "mx", "ptr", "ip4:", "ip6:", "include:", "exists:", "redirect=", "exp=", "all", "-", "~", "?", "+", "b.it",
     "x.it", "y.it", "%{d}", "%{ir}", "%{p}", "%{s1r-}", "%{l0}", "%", "/24", "//64", "/0", ":", ".", "192.0.2.7",
     "2001:db8::", "é", "\n", "x" * 70]
)  # fmt: skip
RECORDS = st.lists(st.lists(WORDS, max_size=4).map("".join), max_size=12).map(lambda terms: "v=spf1 " + " ".join(terms))
ANSWERS = st.one_of(
    st.just(NXDOMAIN),
    st.just(TEMPERROR),
    st.lists(RECORDS, min_size=1, max_size=2).map(lambda texts: txt(*texts)),
)


@settings(max_examples=300, deadline=None)
@given(
    records=st.dictionaries(st.sampled_from(["b.it", "x.it", "y.it"]), ANSWERS),
    hosts=st.dictionaries(
        st.tuples(
            st.sampled_from(["b.it", "x.it", "7.2.0.192.in-addr.arpa"]), st.sampled_from(["A", "AAAA", "MX", "PTR"])
        ),
        st.sampled_from([TEMPERROR, NXDOMAIN]),
    ),
    ip=st.sampled_from(["192.0.2.7", "2001:db8::7"]),
)
def test_any_records_have_a_result_within_the_limits(
    records: dict[str, Answer], hosts: dict[tuple[str, str], Answer], ip: str
) -> None:
    dns = Dns({(name, "TXT"): answer for name, answer in records.items()} | hosts)
    found = judge(dns, ip=ip)
    assert found.result in set(Result)
    assert found.lookups <= 11
    assert sum(dns.asked.values()) <= 60


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_any_text_behind_the_version_has_a_result(text: str) -> None:
    assert judge(record(f"v=spf1 {text}")).result in set(Result)


def test_ten_names_of_mx_are_looked_up_and_eleven_are_an_error() -> None:
    def zone(count: int) -> str:
        lines = [f"b.it MX {n} mx{n}.b.it\nmx{n}.b.it A 192.0.2.{n}" for n in range(1, count + 1)]
        return "\n".join(["b.it TXT v=spf1 mx -all", *lines])

    assert judge(Dns(zone=zone(10))).result is Result.PASS
    found = judge(Dns(zone=zone(11)))
    assert (found.result, found.problem) == (Result.PERMERROR, "More than 10 MX records returned")


def test_a_redirect_that_is_not_followed_is_no_lookup() -> None:
    includes = {f"x{n}_it": "v=spf1 ?all" for n in range(10)}
    whole = " ".join(f"include:x{n}.it" for n in range(10))
    found = judge(record(f"v=spf1 {whole} ip4:192.0.2.7 redirect=y.it", **includes))
    assert (found.result, found.lookups) == (Result.PASS, 10)
    found = judge(record(f"v=spf1 {whole} redirect=y.it", y_it="v=spf1 -all", **includes))
    assert found.result is Result.PERMERROR


def test_what_allows_more_than_one_is_read_for_explanations() -> None:
    found = judge(record("v=spf1 redirect=x.it", x_it="v=spf1 ip4:198.51.100.1 -all"))
    assert (found.result, found.record, found.record_domain) == (
        Result.FAIL,
        "v=spf1 ip4:198.51.100.1 -all",
        "x.it",
    )


def test_a_domain_that_is_too_long_loses_labels_from_the_left() -> None:
    dns = record("v=spf1 exists:%{l}.%{l}.%{l}.%{l}.%{l}.x.it -all")
    judge(dns, sender=f"{'x' * 30}.{'y' * 30}@b.it")
    [name] = [name for name, rrtype in dns.asked if rrtype == "A"]
    assert len(name) == 252
    assert name.startswith("x" * 30 + ".yyy")


# --- waiting ---


def test_what_is_at_hand_needs_neither_a_wait_nor_a_loop() -> None:
    dns = record("v=spf1 ip4:192.0.2.0/24 -all")
    work = evaluate([ask_mail_from("192.0.2.7", "a@b.it", "x")], dns, Limits(), "mx", 0)
    with pytest.raises(StopIteration) as done:
        work.send(None)
    assert done.value.value[0].result is Result.PASS


ZONE = """
b.it TXT v=spf1 mx -all
b.it MX 10 mx1.b.it
b.it MX 20 mx2.b.it
b.it MX 30 mx3.b.it
mx1.b.it A 198.51.100.1
mx2.b.it A 198.51.100.2
mx3.b.it A 192.0.2.7
mail.b.it TXT v=spf1 a -all
mail.b.it A 192.0.2.7
"""


def test_the_addresses_of_all_mx_are_asked_for_at_once_and_each_question_once() -> None:
    dns = Slow(ZONE, 0.001)
    questions = [ask_mail_from("192.0.2.7", "a@b.it", "mail.b.it"), ask_helo("192.0.2.7", "mail.b.it")]
    found = asyncio.run(evaluate(questions, dns, Limits(), "mx", 0))
    assert [one.result for one in found] == [Result.PASS, Result.PASS]
    assert dns.most >= 3
    assert set(dns.asked.values()) == {1}


def test_time_is_up_for_all_look_ups_together() -> None:
    dns = Slow("b.it TXT v=spf1 include:x.it -all\nx.it TXT v=spf1 ?all", 0.04)
    limits = Limits(seconds=0.06)
    began = time.monotonic()
    [found] = asyncio.run(evaluate([ask_mail_from("192.0.2.7", "a@b.it", "x")], dns, limits, "mx", 0))
    assert (found.result, found.problem) == (Result.TEMPERROR, "TXT of x.it can't be looked up (timeout)")
    assert time.monotonic() - began < 1
    assert dns.given_up == 1


def test_who_gives_up_gives_up_the_questions() -> None:
    dns = Slow(ZONE, 60)

    async def give_up() -> None:
        task = asyncio.create_task(evaluate([ask_mail_from("192.0.2.7", "a@b.it", "x")], dns, Limits(), "mx", 0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)

    asyncio.run(give_up())
    assert (dns.given_up, dns.under_way) == (1, 0)


class Uneven(Dns):
    """Nothing is at hand, and names below ``slow`` never answer."""

    def __init__(self, zone: str, slow: str) -> None:
        super().__init__(zone=zone)
        self.slow = slow

    def at_hand(self, name: str, rrtype: str) -> Answer | None:
        return None

    async def lookup(self, name: str, rrtype: str) -> Answer:
        await asyncio.sleep(60 if name.endswith(self.slow) else 0)
        return self.answer(name, rrtype)


def test_a_slow_question_takes_no_time_of_another() -> None:
    dns = Uneven("b.it TXT v=spf1 include:x.it -all\nx.it TXT v=spf1 include:y.it\ny.it TXT v=spf1 ?all", "slow.it")
    questions = [ask_mail_from("192.0.2.7", "a@b.it", "mail.slow.it"), ask_helo("192.0.2.7", "mail.slow.it")]
    mail_from, helo = asyncio.run(evaluate(questions, dns, Limits(seconds=0.05), "mx", 0))
    assert (mail_from.result, helo.result) == (Result.FAIL, Result.TEMPERROR)
