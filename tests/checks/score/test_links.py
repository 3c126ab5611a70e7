"""Lists of domains in links: what is asked of whom, what an answer is worth, and what becomes of lists in trouble."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from vaglio.blocklists.answers import Listed, compiled
from vaglio.blocklists.health import News
from vaglio.checks.score.case import Hit
from vaglio.checks.score.linkcatalogue import common, shipped
from vaglio.checks.score.links import NEVER, SCHEMA, About, Context, LinkFindings, Links, hit_of, symbol_of
from vaglio.checks.score.reading import Mailbox, Reading, Url
from vaglio.checks.score.settings import LinkListSettings, LinksSettings
from vaglio.dns.zonefile import Zone, parse_lines
from vaglio.examination import Field
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.names import registered_domain
from vaglio.ports import Answer
from vaglio.store.memory import MemoryStore

BEGIN = 1_700_000_000
SOUND = "test.bl.test A 127.0.0.2\n"
"""The test entry of a list of domains (RFC 5782 5)."""


def url(host: str, shown: str = "") -> Url:
    return Url(f"https://{host}/", "https", host, registered_domain(host), "/", shown)


def reading(*urls: Url, author: str = "", reply_to: str = "") -> Reading:
    fields = [Field(b"Reply-To", b" " + reply_to.encode())] if reply_to else []
    return Reading(fields, {}, "", Mailbox("", author), "", (), (), urls, (), (), frozenset(), 0)


def facts(sender: str = "", recipient: str = "caio@caio.it") -> Facts:
    return Facts(client_of("192.0.2.7"), Envelope(sender, recipient), Session(Stage.END_OF_MESSAGE))


class FakeDns:
    """Answers from a zone; with ``cold`` nothing is at hand. What ends in a ``mute`` suffix is never answered."""

    def __init__(self, zone: str, cold: bool = True, mute: str = "") -> None:
        self.cold, self.mute = cold, mute
        self.asked: list[str] = []
        self.most = self._at_once = 0
        self.use(zone)

    def use(self, zone: str) -> None:
        self._zone = Zone(parse_lines(zone))

    def at_hand(self, name: str, rrtype: str) -> Answer | None:
        if self.cold:
            return None
        self.asked.append(name)
        return self._zone(name, rrtype)

    async def lookup(self, name: str, rrtype: str) -> Answer:
        self.asked.append(name)
        self._at_once += 1
        self.most = max(self.most, self._at_once)
        try:
            await (asyncio.Event().wait() if self.mute and name.endswith(self.mute) else asyncio.sleep(0))
        finally:
            self._at_once -= 1
        return self._zone(name, rrtype)

    async def ask_again(self, name: str, rrtype: str) -> Answer:
        return self._zone(name, rrtype)

    def forget(self, suffix: str) -> None:
        pass


class Host:
    """What outlives a worker: time, the DNS, the store, what the admin heard."""

    def __init__(self, zone: str = "", cold: bool = True, mute: str = "") -> None:
        self.dns, self.store = FakeDns(zone, cold, mute), MemoryStore(SCHEMA)
        self.time = float(BEGIN)
        self.told: list[str] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)

    def tell(self, news: News) -> None:
        self.told.append(news.status.trouble or "back")

    def links(self, *lists: Mapping[str, Any], timeout: float = 60.0, **settings: Any) -> Links:
        named = [{"name": "bl", "zone": "bl.test", **one} for one in lists or ({},)]
        whole = LinksSettings.model_validate({"lists": named, "without": list(shipped()), **settings})
        whole = whole.model_copy(update={"lookup_timeout": timeout})  # also one shorter than an admin may set
        return Links(whole, Context(self, self.store, self.dns, self.tell))


def found(zone: str, message: Reading, *lists: Mapping[str, Any], cold: bool = True, **settings: Any) -> LinkFindings:
    return asyncio.run(Host(zone, cold).links(*lists, **settings).ask(message, facts()))


def asked(message: Reading, *lists: Mapping[str, Any], of: Facts | None = None, **settings: Any) -> list[str]:
    host = Host()
    asyncio.run(host.links(*lists, **settings).ask(message, of or facts()))
    return sorted(name.removesuffix(".bl.test") for name in host.dns.asked)


# --- what an answer is worth ---


@pytest.mark.parametrize("cold", [True, False])
def test_a_link_to_a_listed_domain_is_a_hit_with_its_sentences(cold: bool) -> None:
    one = {"weight": 3, "reasons": {"127.0.0.2": "a phishing site"}, "reasons_it": {"127.0.0.2": "sito di phishing"}}
    message = reading(url("www.trap.example"), url("tizio.it"))
    (hit,) = found("trap.example.bl.test A 127.0.0.2", message, one, cold=cold).hits
    assert hit == Hit(
        "LISTED_BL",
        3.0,
        "a link leads to trap.example, which bl knows as a phishing site",
        "un link porta a trap.example, che bl segnala come sito di phishing",
        "trap.example",
    )


def test_a_list_without_reasons_is_named_all_the_same() -> None:
    (hit,) = found("trap.example.bl.test A 127.0.0.2", reading(url("trap.example"))).hits
    assert hit.en == "a link leads to trap.example, which is on the list bl"
    assert hit.it == "un link porta a trap.example, che si trova nella lista bl"


def test_a_reason_without_italian_words_stands_as_it_is() -> None:
    one = {"reasons": {"127.0.0.2": "a trap"}}
    (hit,) = found("trap.example.bl.test A 127.0.0.2", reading(url("trap.example")), one).hits
    assert hit.it.endswith("segnala come a trap")


def test_a_list_counts_once_by_its_weightiest_entry() -> None:
    one = {"codes": {"127.0.0.2": 1.0, "127.0.0.4": 4.0}, "reasons": {"127.0.0.4": "malware"}}
    zone = "mild.example.bl.test A 127.0.0.2\nworse.example.bl.test A 127.0.0.2\nworse.example.bl.test A 127.0.0.4"
    (hit,) = found(zone, reading(url("mild.example"), url("worse.example")), one).hits
    assert (hit.score, hit.detail) == (4.0, "worse.example")
    assert "knows as malware" in hit.en


@pytest.mark.parametrize(
    ("code", "score"), [("127.0.0.2", 3.0), ("127.0.0.6", 3.0), ("127.0.0.4", 0.5), ("127.0.0.16", None)]
)
def test_bits_of_a_code_each_have_their_weight(code: str, score: float | None) -> None:
    one = {"codes": {"bit 2": 3.0, "bit 4": 0.5}}
    hits = found(f"trap.example.bl.test A {code}", reading(url("trap.example")), one).hits
    assert [hit.score for hit in hits] == ([] if score is None else [score])


def test_each_list_has_a_hit_of_its_own_and_a_shadow_weighs_nothing() -> None:
    lists = ({"weight": 2}, {"name": "other-1", "zone": "other.test", "weight": 9, "shadow": True})
    zone = "trap.example.bl.test A 127.0.0.2\ntrap.example.other.test A 127.0.0.2"
    hits = found(zone, reading(url("trap.example")), *lists).hits
    assert {hit.symbol: hit.score for hit in hits} == {"LISTED_BL": 2.0, "LISTED_OTHER_1": 0.0}


@pytest.mark.parametrize("answer", ["A 127.255.255.254", "A 203.0.113.9", "* SERVFAIL", "A TIMEOUT", "A 127.0.0.1"])
def test_no_trouble_of_a_list_is_a_hit(answer: str) -> None:
    one = {"codes": {"bit 1": 5.0, "bit 2": 5.0}, "blocked": ["127.0.0.1"]}
    assert found(f"trap.example.bl.test {answer}", reading(url("trap.example")), one) == LinkFindings((), ("bl",))


# --- what is asked ---


def test_each_registered_domain_is_asked_about_once() -> None:
    message = reading(url("a.trap.example"), url("b.trap.example"), url("www.tizio.co.uk"))
    assert asked(message) == ["tizio.co.uk", "trap.example"]


def test_domains_that_are_exempt_common_or_the_recipient_s_own_are_not_asked_about() -> None:
    message = reading(url("www.google.com"), url("friend.it"), url("posta.caio.it"), url("trap.example"))
    assert asked(message, exempt_domains=["friend.it"]) == ["trap.example"]


def test_an_exempt_domain_that_could_never_match_is_refused() -> None:
    with pytest.raises(ValueError, match="registered domain"):
        LinksSettings(exempt_domains=["www.caio.it"])


def test_addresses_in_links_go_to_lists_that_take_them_reversed() -> None:
    message = reading(url("198.51.100.7"), url("[2001:db8::1]"), url("10.0.0.1"), url("trap.example"))
    six = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
    assert asked(message) == ["trap.example"]
    assert asked(message, {"subjects": ["link", "address"]}) == ["7.100.51.198", "trap.example"]
    assert asked(message, {"kind": "address", "ipv6": True}) == [six, "7.100.51.198"]


def test_an_address_in_a_link_is_a_hit_too() -> None:
    one = {"subjects": ["address"]}
    (hit,) = found("7.100.51.198.bl.test A 127.0.0.2", reading(url("198.51.100.7")), one).hits
    assert hit.detail == "198.51.100.7"
    assert hit.en.startswith("a link leads to 198.51.100.7,")


def test_the_domains_of_addresses_go_to_lists_that_want_them() -> None:
    message = reading(author="Tizio@mail.from.example", reply_to="x@yahoo.com, Sempronio <s@reply.example>")
    of = facts("bounce@sender.example")
    assert asked(message, of=of) == []
    one = {"subjects": ["from", "reply_to", "sender"]}
    assert asked(message, one, of=of) == ["from.example", "reply.example", "sender.example"]
    assert asked(message, {"subjects": ["from"]}, of=of) == ["from.example"]


@pytest.mark.parametrize(
    ("subject", "en", "it"),
    [
        ("from", "the author writes from trap.example,", "l'autore scrive da trap.example,"),
        ("reply_to", "answers go to trap.example,", "le risposte vanno a trap.example,"),
        ("sender", "bounces go to trap.example,", "gli avvisi di mancata consegna vanno a trap.example,"),
    ],
)
def test_a_sentence_says_which_address_it_is_about(subject: str, en: str, it: str) -> None:
    message = reading(author="a@trap.example", reply_to="a@trap.example")
    links = Host("trap.example.bl.test A 127.0.0.2").links({"subjects": [subject]})
    (hit,) = asyncio.run(links.ask(message, facts("a@trap.example"))).hits
    assert hit.en.startswith(en)
    assert hit.it.startswith(it)


def test_a_sentence_names_no_more_than_a_reply_has_room_for() -> None:
    label = "x" * 63
    for about in (About("link", f"{label}.example"), About("from", "a@b.it", f"{label}.example"),
                  About("link", "a\r\nb <script>;\u0430.example")):  # fmt: skip
        (one,) = [compiled(LinkListSettings.model_validate({"name": "bl", "zone": "bl.test"}))]
        hit = hit_of(one, about, Listed("127.0.0.2", 1.0))
        for sentence in (hit.en, hit.it):
            assert sentence.isascii()
            assert sentence.isprintable()
            assert sentence.count("x") <= 60
            assert "<" not in sentence


def test_lists_of_hashes_are_asked_about_addresses_also_at_common_domains() -> None:
    message = reading(url("trap.example"), author="Tizio@Gmail.com", reply_to="s@caio.it")
    digest = hashlib.sha1(b"tizio@gmail.com").hexdigest()
    host = Host(f"{digest}.bl.test A 127.0.0.2")
    (hit,) = asyncio.run(host.links({"kind": "hash"}).ask(message, facts())).hits
    assert host.dns.asked == [f"{digest}.bl.test"]
    assert hit.detail == "tizio@gmail.com"
    assert hit.en.startswith("the author writes from an address of gmail.com,")


@pytest.mark.parametrize(
    "author", ["", "tizio", "@x.it", "a@", "a@localhost", "a@[192.0.2.1]", "a@" + "x" * 300 + ".it", "\udcff@\udcff.it"]
)
def test_addresses_without_a_registered_domain_are_not_asked_about(author: str) -> None:
    of = facts(author)
    assert asked(reading(author=author), {"subjects": ["from", "sender"]}, of=of) == []


def test_of_too_many_domains_those_of_misleading_links_are_asked_about_and_others_by_chance() -> None:
    filler = [url(f"d{number}.example") for number in range(200)]
    message = reading(*filler, url("trap.example", "www.bank.example"), *filler)
    several = [asked(message, max_domains=5) for _ in range(20)]
    assert all("trap.example" in names and len(names) == 5 for names in several)
    assert len({name for names in several for name in names}) > 20


def test_links_that_hide_where_they_lead_get_half_of_the_questions_and_no_more() -> None:
    plain, several = [url(f"d{number}.example") for number in range(200)], range(30)
    for hiding in (url("bit.ly"), url("phish.web.app"), url("198.51.100.7"), url("trap.example", "www.bank.example")):
        name = hiding.domain or "7.100.51.198"
        assert all(name in asked(reading(*plain, hiding, *plain), {"subjects": ["link", "address"]}, max_domains=4)
                   for _ in several)  # fmt: skip
    flood = [url(f"m{number}.example", "www.bank.example") for number in range(200)]
    many = [asked(reading(*flood, *plain), max_domains=8) for _ in several]
    assert all(len(names) == 8 and sum(name[0] == "m" for name in names) >= 4 for names in many)
    assert len({name for names in many for name in names if name[0] == "m"}) > 40  # which ones, nobody can know


def test_the_first_and_the_last_links_are_asked_about() -> None:
    message = reading(*(url(f"d{number}.example") for number in range(200)))
    for most, ends in ((8, {"d0", "d1", "d198", "d199"}), (4, {"d0", "d199"}), (2, {"d0"})):
        names = asked(message, max_domains=most)
        assert len(names) == most
        assert {f"{name}.example" for name in ends} <= set(names)
    assert len(asked(message, max_domains=1)) == 1


def test_all_questions_are_asked_at_once() -> None:
    host = Host()
    lists = [{}, {"name": "other", "zone": "other.test"}]
    asyncio.run(host.links(*lists).ask(reading(*(url(f"d{n}.example") for n in range(20))), facts()))
    assert host.dns.most == 40


@pytest.mark.parametrize("settings", [{"enabled": False}, {"lists": []}])
def test_without_lists_nothing_is_asked_and_nothing_is_watched(settings: dict[str, Any]) -> None:
    async def live() -> None:
        host = Host()
        links = host.links(**settings)
        await links.begin()
        await links.write_back()
        assert await links.upkeep() == NEVER
        assert await links.ask(reading(url("trap.example")), facts()) == LinkFindings((), ())
        assert links.gauges() == {}
        assert host.dns.asked == []

    asyncio.run(live())


# --- lists in trouble ---


def test_a_list_that_refuses_us_is_suspended_at_once_and_back_after_a_good_probe() -> None:
    async def live() -> None:
        host = Host("trap.example.bl.test A 127.255.255.254\n" + SOUND)
        links, other = host.links(), host.links()
        await links.ask(reading(url("trap.example")), facts())
        assert links.gauges() == {"list_suspended": {"bl": 1.0}}
        await links.write_back()
        await other.write_back()
        assert host.told == ["refuses-us"]
        host.dns.use("trap.example.bl.test A 127.0.0.2\n" + SOUND)
        for one in (links, other):
            assert await one.ask(reading(url("trap.example")), facts()) == LinkFindings((), ())
        host.time += 300
        await links.upkeep()
        await other.write_back()
        assert host.told == ["refuses-us", "back"]
        for one in (links, other):
            assert (await one.ask(reading(url("trap.example")), facts())).hits

    asyncio.run(live())


def test_a_list_that_does_not_answer_in_time_is_silent_and_the_others_count() -> None:
    async def live() -> None:
        host = Host("trap.example.other.test A 127.0.0.2", mute="bl.test")
        links = host.links({}, {"name": "other", "zone": "other.test"}, timeout=0.05, suspend_after=2)
        for _ in range(2):
            message = reading(*(url(f"{name}.example") for name in ("trap", "a", "b", "c")))
            findings = await asyncio.wait_for(links.ask(message, facts()), 10)
            assert findings.silent == ("bl",)
            assert [hit.symbol for hit in findings.hits] == ["LISTED_OTHER"]
        assert links.names == {"other"}

    asyncio.run(live())


def test_one_message_with_many_links_does_not_suspend_a_list_that_was_silent_for_a_moment() -> None:
    async def live() -> None:
        host = Host("\n".join(f"d{n}.example.bl.test A TIMEOUT" for n in range(20)))
        links = host.links(suspend_after=2)
        await links.ask(reading(*(url(f"d{n}.example") for n in range(20))), facts())
        assert links.names == {"bl"}
        await links.ask(reading(url("d0.example")), facts())
        assert links.names == frozenset()

    asyncio.run(live())


def test_a_list_that_answers_some_questions_is_not_silent_for_good() -> None:
    async def live() -> None:
        links = Host("d0.example.bl.test A TIMEOUT").links(suspend_after=1)
        findings = await links.ask(reading(url("d0.example"), url("d1.example")), facts())
        assert findings.silent == ("bl",)
        assert links.names == {"bl"}

    asyncio.run(live())


def test_a_new_list_waits_for_its_first_probe() -> None:
    async def live() -> None:
        host = Host("trap.example.bl.test A 127.0.0.2\n" + SOUND)
        links = host.links()
        await links.begin()
        assert not (await links.ask(reading(url("trap.example")), facts())).hits
        assert await links.upkeep() > 0
        assert (await links.ask(reading(url("trap.example")), facts())).hits

    asyncio.run(live())


def test_what_is_under_way_ends_when_nobody_waits_any_more() -> None:
    async def live() -> None:
        host = Host(mute="bl.test")
        task = asyncio.ensure_future(host.links().ask(reading(url("trap.example")), facts()))
        while not host.dns.asked:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(live())


def test_a_symbol_is_one_whatever_the_name() -> None:
    assert symbol_of("spamhaus-dbl.dqs") == "LISTED_SPAMHAUS_DBL_DQS"


def test_common_domains_are_registered_ones_and_few() -> None:
    assert all(registered_domain(name) == name for name in common())
    assert len(common()) < 50


def symbols(names: Sequence[str]) -> set[str]:
    return {symbol_of(name) for name in names}


def test_shipped_lists_have_symbols_of_their_own() -> None:
    assert len(symbols(list(shipped()))) == len(shipped())
