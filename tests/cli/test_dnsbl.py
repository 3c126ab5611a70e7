"""``vaglio dnsbl``, on the store and journal that the real check filled, with the DNS in a zone file."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from vaglio.blocklists.answers import compiled
from vaglio.checks.dnsbl.catalogue import effective, shipped
from vaglio.checks.dnsbl.check import Context, Dnsbl
from vaglio.checks.dnsbl.privatelists import PrivateLists
from vaglio.checks.dnsbl.settings import ListSettings
from vaglio.checks.dnsbl.sweep import SCHEMA
from vaglio.checks.dnsbl.tally import COUNTS, Count, count_key
from vaglio.cli import dnsbl_check
from vaglio.cli.listfamily import asked_about, weighs
from vaglio.config.load import load
from vaglio.daemon.guard import rehearsed
from vaglio.dns.open import open_resolver
from vaglio.dns.zonefile import Zone, parse_lines
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.hints import SCHEMA as HINTS
from vaglio.journal.entry import Entry
from vaglio.journal.schema import FILE_NAME
from vaglio.journal.writer import JournalWriter
from vaglio.ports import Answer
from vaglio.store import open_store
from vaglio.store.memory import MemoryStore
from vaglio.verdict import Verdict

Host = Any  # of conftest.py
KEY = "topsecretkey"

ZONE = f"""\
2.0.0.127.bl.test A 127.0.0.2
7.113.0.203.bl.test A 127.0.0.4
7.113.0.203.bl.test TXT "sent spam on 2026-09-20"
2.0.0.127.{KEY}.keyed.test A 127.0.0.2
7.113.0.203.{KEY}.keyed.test A 127.0.0.2
7.113.0.203.{KEY}.keyed.test TXT "see https://keyed.test/{KEY}/203.0.113.7"
2.0.0.127.refuser.test A 127.255.255.254
7.113.0.203.refuser.test A 127.255.255.254
2.0.0.127.wl.test A 127.0.0.2
8.113.0.203.wl.test A 127.0.0.2
test.rhs.test A 127.0.1.2
spam.example.rhs.test A 127.0.1.2
7.113.0.203.in-addr.arpa PTR mail.spam.example
mail.spam.example A 203.0.113.7
9.113.0.203.in-addr.arpa PTR forged.caio.it
"""

LISTS = f"""\
without = {list(shipped())!r}
[[dnsbl.lists]]
name = "bl"
zone = "bl.test"
weight = 3
url = "https://bl.test/{{ip}}"
[[dnsbl.lists]]
name = "keyed"
zone = "{{key}}.keyed.test"
key = "{KEY}"
weight = 2
[[dnsbl.lists]]
name = "wl"
zone = "wl.test"
weight = -3
[[dnsbl.lists]]
name = "rhs"
zone = "rhs.test"
kind = "domain"
weight = 6
"""
REFUSER = '[[dnsbl.lists]]\nname = "refuser"\nzone = "refuser.test"\nweight = 5\n'


class Daemon:
    """The check as its daemon runs it, without sockets: judges, watches the lists, writes the store and the journal."""

    def __init__(self, host: Host, cleanup: ExitStack) -> None:
        self.config = load(host.config, {}).config
        self.clock = host.clock
        state = self.config.state.directory
        assert state
        self.store = open_store(self.config.state.url, SCHEMA, warn=print, now=self.clock.now)
        cleanup.callback(self.store.close)
        self.journal = JournalWriter(state / FILE_NAME, 1e9, 10**9, print, self.clock.now)
        cleanup.callback(self.journal.close)
        lists = effective(self.config.dnsbl)
        self.check = Dnsbl(
            self.config.dnsbl,
            [compiled(one) for one in lists if one.zone],
            Context(
                self.clock, self.store, MemoryStore(HINTS), open_resolver([], 5, self.config.dns.zone_file),
                lambda: "B7K2-0001", PrivateLists([one for one in lists if one.file], print).read().current,
                self.config.identity.language_for, "mail.caio.it", print, lambda _: None,
            ),
        )  # fmt: skip

    def ask(self, address: str) -> Verdict:
        session = Session(Stage.RCPT, helo="mail.spam.example", instance="1a2b.3c4d.0")
        facts = Facts(client_of(address), Envelope("tizio@tizio.it", "caio@caio.it"), session)
        verdict = asyncio.run(self.check.check(facts))
        if self.config.dnsbl.mode == "rehearse":
            verdict = rehearsed(verdict)
        if verdict.journalled:
            self.journal.record(Entry.of(facts, verdict, self.clock.now(), "dnsbl", "mail.caio.it"))
        self.settle()
        return verdict

    def probe(self) -> None:
        asyncio.run(self.check.upkeep())
        self.settle()

    def settle(self) -> None:
        asyncio.run(self.check.write_back())
        self.store.settle()
        self.journal.flush()


Start = Callable[..., Daemon]


@pytest.fixture
def start(host: Host) -> Iterator[Start]:
    """Configure the host with these lines of [dnsbl]; return its daemon."""
    with ExitStack() as cleanup:

        def daemon(lists: str = LISTS, zone: str = ZONE, rest: str = "") -> Daemon:
            configure(host, lists, zone, rest)
            return Daemon(host, cleanup)

        yield daemon


def configure(host: Host, lists: str = LISTS, zone: str = ZONE, rest: str = "") -> None:
    file = host.directory / "zone"
    file.write_text(zone)
    host.configure(f'[dns]\nzone_file = "{file}"\n[identity]\nlanguages = {{"caio.it" = "it"}}\n{rest}[dnsbl]\n{lists}')


def rows(said: str) -> dict[str, str]:
    """Return the lines of a table by their first word."""
    found: dict[str, str] = {}
    for line in filter(None, said.splitlines()):
        found.setdefault(line.split()[0], " ".join(line.split()[1:]))
    return found


# --- check ---


def test_check_tells_what_each_list_says_what_it_adds_up_to_and_why(host: Host) -> None:
    configure(host, LISTS + REFUSER)
    said = host.fine("dnsbl", "check", "203.0.113.7", "--recipient", "tizio@tizio.it")
    assert said.startswith("203.0.113.7 (mail.spam.example)\n")
    table = rows(said)
    assert table["bl"] == "LISTED +3 203.0.113.7 127.0.0.4 sent spam on 2026-09-20 https://bl.test/203.0.113.7"
    assert table["wl"] == "not listed"
    assert table["rhs"] == "LISTED +6 client_name spam.example 127.0.1.2"
    assert table["refuser"] == "refuses us 127.255.255.254"
    assert "score 11: refused for good: dnsbl.reject is 5" in said
    assert "reply: 554 5.7.1 Service unavailable; client name spam.example listed by rhs" in said
    assert "It is the move of whoever runs spam.example" in said
    assert "refuser: it refuses to answer us (127.255.255.254); that counts as no hit. It does so for" in said


def test_check_as_json_has_the_same(host: Host) -> None:
    configure(host, LISTS + REFUSER)
    told = host.json("dnsbl", "check", "203.0.113.7", "--recipient", "caio@caio.it")
    assert (told["action"], told["reason"], told["score"]) == ("reject", "listed", 11)
    answers = {one["name"]: one["answer"] for one in told["lists"]}
    assert answers == {"bl": "listed", "keyed": "listed", "wl": "not listed", "rhs": "listed", "refuser": "refuses-us"}
    assert told["reply"].startswith("554 5.7.1 Servizio non disponibile; il nome spam.example del client")


def test_check_gives_the_verdict_of_the_daemon(host: Host, start: Start) -> None:
    daemon = start()
    for last in (7, 8, 9, 10):
        verdict = daemon.ask(f"203.0.113.{last}")
        told = host.json("dnsbl", "check", f"unknown[203.0.113.{last}]", "--helo", "mail.spam.example",
                         "--sender", "tizio@tizio.it", "--recipient", "caio@caio.it")  # fmt: skip
        assert (told["action"], told["reason"], told["score"]) == (
            verdict.action, verdict.reason, verdict.facts["score"],
        )  # fmt: skip
        if verdict.reply:
            assert f"{verdict.reply.text}" == told["reply"].split(" ", 2)[2] + "; rif B7K2-0001"


def test_no_key_is_shown_by_any_command(host: Host, start: Start) -> None:
    start().ask("203.0.113.7")
    for words in (("dnsbl", "check", "203.0.113.7"), ("dnsbl", "lists", "--all"), ("dnsbl", "lists", "keyed"),
                  ("dnsbl", "status"), ("dnsbl", "report"), ("why", "B7K2-0001"), ("config", "show")):  # fmt: skip
        for more in ((), ("--json",)):
            said = host.run(*words, *more)
            assert "keyed" in said.out
            assert KEY not in said.out + said.err
    assert "see https://keyed.test/***/203.0.113.7" in host.fine("dnsbl", "check", "203.0.113.7")


def test_an_allow_list_outweighs_and_check_says_so(host: Host) -> None:
    configure(host)
    said = host.fine("dnsbl", "check", "203.0.113.8")
    assert said.startswith("203.0.113.8 (no name in the DNS)\n")
    assert rows(said)["wl"].startswith("LISTED -3 203.0.113.8 127.0.0.2")
    assert "score -3: let in, and vaglio-greylist is told that it is trusted: dnsbl.trust is -1" in said


def test_check_says_what_a_score_below_refusal_leads_to(host: Host) -> None:
    configure(host, LISTS.replace("weight = 6", "weight = 0.5"), ZONE)
    said = host.fine("dnsbl", "check", "unknown[203.0.113.7]")
    assert "score 5: refused for good" in said
    configure(host, "reject = 10\n" + LISTS)
    said = host.fine("dnsbl", "check", "unknown[203.0.113.7]")
    assert "score 5: let in: dnsbl.reject is 10" in said
    assert "vaglio-greylist is told that it is listed: dnsbl.greylist is 1" in said
    assert "the message gets the header X-DNSBL: dnsbl.header is 1" in said
    configure(host, "reject = 10\ndefer = 4\n" + LISTS)
    said = host.fine("dnsbl", "check", "unknown[203.0.113.7]")
    assert "score 5: refused for now: dnsbl.defer is 4" in said
    assert "reply: 450 4.7.1 Service unavailable" in said
    assert "its server tries again by itself" in said


def test_in_a_rehearsal_check_says_that_it_is_one(host: Host) -> None:
    configure(host, 'mode = "rehearse"\n' + LISTS)
    assert "refused for good: dnsbl.reject is 5 (a rehearsal: it would pass all the same)" in host.fine(
        "dnsbl", "check", "203.0.113.7"
    )


def test_a_name_that_does_not_lead_back_is_told(host: Host) -> None:
    configure(host, LISTS + "[dnsbl.rules]\nunverified_ptr = 1.5\n")
    said = host.fine("dnsbl", "check", "203.0.113.9")
    assert said.startswith("203.0.113.9 (not verified: forged.caio.it)\n")
    assert "rule unverified_ptr: +1.5, client [203.0.113.9] has a name in the DNS that does not lead back to it" in said


def test_a_name_that_was_given_is_not_looked_up(host: Host) -> None:
    configure(host)
    for words in (("mail.caio.it[203.0.113.7]",), ("203.0.113.7", "--name", "mail.caio.it")):
        assert host.fine("dnsbl", "check", *words).startswith("203.0.113.7 (mail.caio.it)\n")


def test_a_name_that_can_not_be_looked_up_is_told(host: Host) -> None:
    configure(host, zone=ZONE + "11.113.0.203.in-addr.arpa PTR TIMEOUT\n")
    said = host.run("dnsbl", "check", "203.0.113.11")
    assert said.status == 0
    assert said.err == "vaglio: the client's name could not be looked up (timeout): it is judged without its name\n"


def test_what_several_lists_suffer_from_is_told_once(host: Host) -> None:
    silent = "\n".join(f"12.113.0.203.{zone} A TIMEOUT" for zone in ("bl.test", "wl.test"))
    configure(host, zone=f"{ZONE}{silent}\n")
    assert "bl, wl: it does not answer (timeout)" in host.fine("dnsbl", "check", "203.0.113.12")


def test_rules_about_helo_are_judged_only_when_it_is_given(host: Host) -> None:
    configure(host, LISTS + "[dnsbl.rules]\nhelo_unqualified = 2\n")
    assert host.json("dnsbl", "check", "203.0.113.10")["rules"] == []
    (rule,) = host.json("dnsbl", "check", "203.0.113.10", "--helo", "pc")["rules"]
    assert (rule["rule"], rule["weight"], rule["about"]) == ("helo_unqualified", 2, "pc")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("10.0.0.1",), "The client is in a private network or one of our own"),
        (("203.0.113.7", "--recipient", "postmaster@caio.it"), "takes mail from everybody: postmaster@ of dnsbl"),
    ],
)
def test_who_passes_unasked_is_told_so(host: Host, words: tuple[str, ...], told: str) -> None:
    configure(host)
    said = host.fine("dnsbl", "check", *words)
    assert told in said
    assert "passed unasked" in said
    assert host.json("dnsbl", "check", *words)["action"] == "pass"


def test_a_domain_is_judged_as_that_of_a_sender(host: Host) -> None:
    configure(host, LISTS + "[dnsbl.rules]\nno_ptr = 3\nsender_unknown = 2\n")
    said = host.fine("dnsbl", "check", "mail.spam.example")
    table = rows(said)
    assert table["rhs"] == "LISTED +6 sender spam.example 127.0.1.2"
    assert "bl" not in table
    assert "score 6: refused for good" in said
    told = host.json("dnsbl", "check", "unheard-of.example")
    assert [rule["rule"] for rule in told["rules"]] == ["sender_unknown"]
    assert [one["answer"] for one in told["lists"]] == ["not listed"]


def test_a_domain_is_looked_for_in_private_lists_too(host: Host) -> None:
    file = host.directory / "mine"
    file.write_text("spam.example not welcome\n198.51.100.0/24\n")
    own = f'[[dnsbl.lists]]\nname = "mine"\nfile = "{file}"\nkind = "domain"\nweight = 5\n'
    configure(host, LISTS + own)
    told = host.json("dnsbl", "check", "spam.example")
    (mine,) = [one for one in told["lists"] if one["name"] == "mine"]
    assert (mine["answer"], mine["text"], mine["about"]) == ("listed", "not welcome", "spam.example")


def test_a_domain_that_no_list_is_asked_about_is_told(host: Host) -> None:
    configure(host, f"without = {list(shipped())!r}\n")
    assert "no list is asked about this: see vaglio dnsbl lists --all" in host.fine("dnsbl", "check", "caio.it")


def test_a_list_that_knows_nothing_of_the_kind_is_not_asked(host: Host) -> None:
    configure(host)
    assert rows(host.fine("dnsbl", "check", "2001:db8::7"))["bl"] == "not asked is asked only about client (IPv4)"


def test_a_code_that_weighs_nothing_is_shown(host: Host) -> None:
    configure(host, LISTS.replace("weight = 3\n", 'codes = {"127.0.0.2" = 3}\n'))
    assert rows(host.fine("dnsbl", "check", "203.0.113.7"))["bl"] == "other code 127.0.0.4, which weighs nothing"


def test_a_silent_list_is_told_with_what_to_do(host: Host) -> None:
    configure(host, zone=ZONE + "7.113.0.203.wl.test A TIMEOUT\n")
    said = host.fine("dnsbl", "check", "203.0.113.7")
    assert rows(said)["wl"] == "silent timeout"
    assert "wl: it does not answer (timeout); that counts as no hit." in said


class LateResolver:
    """Answers from the zone, and for one of its lists long after the others."""

    def __init__(self, late: str) -> None:
        self._late = late
        self._zone = Zone(parse_lines(ZONE))

    def at_hand(self, name: str, rrtype: str) -> None:
        pass

    async def lookup(self, name: str, rrtype: str) -> Answer:
        for _ in range(50 if self._late in name else 1):
            await asyncio.sleep(0)
        return self._zone(name, rrtype)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("shadow", ["", "shadow = true\n"])
def test_all_answers_are_waited_for_also_those_that_change_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch, shadow: str
) -> None:
    configure(host, "reject = 3\n" + LISTS.replace("weight = -3\n", "weight = 1\n").replace(
        "weight = 2\n", f"weight = 2\n{shadow}"))  # fmt: skip
    monkeypatch.setattr(dnsbl_check, "open_resolver", lambda *_: LateResolver("keyed.test"))
    told = host.json("dnsbl", "check", "unknown[203.0.113.7]")
    (keyed,) = [one for one in told["lists"] if one["name"] == "keyed"]
    assert (keyed["answer"], keyed["code"], keyed["shadow"]) == ("listed", "127.0.0.2", bool(shadow))
    assert told["score"] == (3 if shadow else 5)


def test_a_zone_file_can_be_given(host: Host, tmp_path: Path) -> None:
    configure(host)
    other = tmp_path / "other"
    other.write_text("1.113.0.203.bl.test A 127.0.0.2\n")
    said = host.fine("dnsbl", "check", "203.0.113.1", "--zone", str(other))
    assert rows(said)["bl"].startswith("LISTED")
    other.write_text("what\n")
    broken = host.run("dnsbl", "check", "203.0.113.1", "--zone", str(other))
    assert (broken.status, broken.out) == (1, "")
    assert "Traceback" not in broken.err
    assert "line 1" in broken.err


@pytest.mark.parametrize("text", ["300.1.2.3", "no domain", "localhost", "co.uk", "", "\x1b[2J.it"])
def test_what_is_neither_address_nor_domain_is_refused(host: Host, text: str) -> None:
    said = host.run("dnsbl", "check", text)
    assert said.status == 2
    assert 'wanted an address such as "198.51.100.7"' in said.err
    assert "\x1b" not in said.err


def test_what_a_list_says_commands_no_terminal(host: Host) -> None:
    text = '1.113.0.203.bl.test A 127.0.0.2\n1.113.0.203.bl.test TXT "\\027[2Jpwned\\226\\128\\174"\n'
    configure(host, zone=ZONE + text)
    said = host.fine("dnsbl", "check", "203.0.113.1")
    assert "pwned" in said
    assert "\x1b" not in said
    assert "\u202e" not in said


def test_a_list_that_the_daemon_does_not_ask_for_now_is_told(host: Host, start: Start) -> None:
    start(LISTS + REFUSER).probe()
    said = host.fine("dnsbl", "check", "203.0.113.8")
    assert rows(said)["refuser"] == "not listed (suspended)"
    assert "refuser: suspended: the daemon does not ask it for now" in said


def test_what_a_suspended_list_says_is_shown_and_counts_for_nothing(host: Host, start: Start) -> None:
    start(LISTS + REFUSER).probe()
    zone = ZONE.replace("7.113.0.203.refuser.test A 127.255.255.254", "13.113.0.203.refuser.test A 127.0.0.2")
    configure(host, LISTS + REFUSER, zone + "13.113.0.203.bl.test A 127.0.0.2\n")
    said = host.fine("dnsbl", "check", "203.0.113.13")
    assert rows(said)["refuser"] == "LISTED (suspended) 0 203.0.113.13 127.0.0.2"
    assert "score 3: let in: dnsbl.reject is 5" in said
    told = host.json("dnsbl", "check", "203.0.113.13")
    assert (told["action"], told["score"], told["reply"]) == ("pass", 3, "")
    (refuser,) = [one for one in told["lists"] if one["name"] == "refuser"]
    assert (refuser["answer"], refuser["suspended"], refuser["weight"]) == ("listed", True, 5)


def test_a_list_that_nobody_suspended_counts(host: Host) -> None:
    configure(host, LISTS + REFUSER, ZONE + "13.113.0.203.refuser.test A 127.0.0.2\n")
    assert host.json("dnsbl", "check", "203.0.113.13")["action"] == "reject"


def test_on_a_terminal_it_is_told_how_many_answers_are_waited_for(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(host)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    said = host.run("dnsbl", "check", "203.0.113.7")
    assert "answers outstanding: 1" in said.err
    assert said.err.endswith("\x1b[K")


# --- status ---


def test_status_says_what_is_in_order_what_is_suspended_and_what_to_do(host: Host, start: Start) -> None:
    start(LISTS + REFUSER).probe()
    said = host.run("dnsbl", "status")
    assert (said.status, said.err) == (1, "")
    table = rows(said.out)
    assert table["bl"] == "in order 2026-09-21 14:13:20"
    assert table["refuser"] == "SUSPENDED: refuses-us 2026-09-21 14:13:20 2026-09-21 14:13:20"
    assert "refuser: it refuses to answer us (127.255.255.254). Nobody is refused by it meanwhile." in said.out
    assert "What to do: It does so for questions that come through a public resolver" in said.out


def test_status_is_zero_when_all_is_well(host: Host, start: Start) -> None:
    start().probe()
    said = host.run("dnsbl", "status", "--json")
    assert (said.status, said.err) == (0, "")
    told = {one["name"]: (one["suspended"], one["probed"]) for one in json.loads(said.out)}
    assert told == dict.fromkeys(("bl", "keyed", "wl", "rhs"), (False, 1_790_000_000))


def test_status_counts_the_entries_of_private_lists(host: Host, start: Start) -> None:
    file = host.directory / "mine"
    file.write_text("192.0.2.0/24\n")
    start(LISTS + f'[[dnsbl.lists]]\nname = "mine"\nfile = "{file}"\n').probe()
    assert rows(host.fine("dnsbl", "status"))["mine"] == "in order: 1 entry"


def test_status_says_when_the_daemon_never_ran(host: Host) -> None:
    configure(host)
    said = host.run("dnsbl", "status")
    assert (said.status, said.out) == (1, "")
    assert f"there is no store at {host.state / 'dnsbl.sqlite'} yet: has the daemon run" in said.err


def test_status_says_when_no_list_is_probed_any_more(host: Host, start: Start) -> None:
    daemon = start()
    daemon.settle()
    daemon.ask("203.0.113.8")
    said = host.fine("dnsbl", "status")
    assert rows(said)["bl"] == "not probed yet"
    assert "No list has been probed yet: is vaglio-dnsbl running with this configuration?" in said
    daemon.probe()
    host.clock.time += 3 * 3600
    assert "The last probe was 3h ago, and there should be one every hour" in host.fine("dnsbl", "status")


def test_status_without_any_list_says_so(host: Host, start: Start) -> None:
    start(f"without = {list(shipped())!r}\n").ask("203.0.113.8")
    assert host.fine("dnsbl", "status") == "no list is on: see vaglio dnsbl lists --all\n"


# --- lists ---


def test_lists_shows_what_is_on_and_ones_own_with_terms(host: Host) -> None:
    configure(host, '[[dnsbl.lists]]\nname = "mine"\nzone = "bl.test"\nenabled = false\n'
                    '[[dnsbl.lists]]\nname = "barracuda"\nshadow = true\n')  # fmt: skip
    said = host.fine("dnsbl", "lists")
    table = rows(said)
    assert table["psbl"] == "on 2.5 client (IPv4) psbl.surriel.com 2026-11-22"
    assert table["mine"] == "off 1 client (IPv4) bl.test"
    assert table["barracuda"].startswith("shadow 3 client (IPv4) b.barracudacentral.org")
    assert "psbl: Free for anybody, without registration." in said
    assert "spamhaus-zen" not in table
    assert "more ship and are off: vaglio dnsbl lists --all" in said


def test_all_lists_are_shown_when_asked_for(host: Host) -> None:
    configure(host, 'without = ["psbl"]\n')
    told = host.json("dnsbl", "lists", "--all")
    assert [one["name"] for one in told] == list(shipped())
    states = {one["name"]: one["state"] for one in told}
    assert (states["psbl"], states["spamcop"], states["spamhaus-zen"]) == ("off", "on", "off")
    assert all(one["ships"] and not one["has_key"] and "key" not in one for one in told)
    assert "more ship" not in host.fine("dnsbl", "lists", "--all")


def test_a_list_that_is_named_is_shown_whole(host: Host) -> None:
    configure(host)
    said = host.fine("dnsbl", "lists", "spamhaus-zen-dqs", "keyed")
    assert "code: 127.0.0.2-4 weighs 5\n" in said
    assert "code: 127.0.0.9 weighs 5: DROP: hijacked or leased by spammers\n" in said
    assert "zone: {key}.zen.dq.spamhaus.net" in said
    assert "key: is missing" in said
    assert "key: is set" in said
    assert "refuses us by: 127.255.255.0-255" in said


def test_a_list_that_is_none_is_told(host: Host) -> None:
    configure(host)
    said = host.run("dnsbl", "lists", "sorbs")
    assert (said.status, said.err) == (1, "vaglio: there is no list sorbs: see vaglio dnsbl lists --all\n")


@pytest.mark.parametrize(("name", "near"), [("spamhous-zen", "spamhaus-zen"), ("b.barracudacentral.org", "barracuda")])
def test_a_list_whose_name_is_misspelt_is_suggested(host: Host, name: str, near: str) -> None:
    said = host.run("dnsbl", "lists", name)
    assert said.status == 1
    assert said.err == f'vaglio: there is no list {name}: see vaglio dnsbl lists --all; did you mean "{near}"?\n'


def test_all_lists_are_shown_also_where_the_configuration_is_broken(host: Host) -> None:
    host.configure('[dnsbl]\nuse = ["spamhaus-zen"\n')
    said = host.run("dnsbl", "lists", "--all")
    assert said.status == 0
    assert list(shipped()) == [name for name in rows(said.out) if name in shipped()]
    assert rows(said.out)["spamhaus-zen"].startswith("off ")
    assert f"vaglio: {host.config}:" in said.err
    assert "until that is repaired the lists are shown as they ship (see vaglio config check)" in said.err
    assert [one["name"] for one in json.loads(host.run("dnsbl", "lists", "--all", "--json").out)] == list(shipped())


def test_what_is_asked_is_not_guessed_where_the_configuration_is_broken(host: Host) -> None:
    host.configure('[dnsbl]\nuse = ["nothing"]\n')
    said = host.run("dnsbl", "lists")
    assert (said.status, said.out) == (78, "")


def test_each_shipped_list_says_when_it_was_checked(host: Host) -> None:
    configure(host, '[[dnsbl.lists]]\nname = "mine"\nzone = "bl.test"\n')
    table = rows(host.fine("dnsbl", "lists", "--all"))
    assert table["mine"] == "on 1 client (IPv4) bl.test"
    assert all(re.search(r" 20\d\d-\d\d-\d\d$", table[name]) for name in shipped())


@pytest.mark.parametrize(
    ("settings", "weight", "about"),
    [
        ({"weight": -0.5, "ipv6": True}, "-0.5", "client (IPv4 and IPv6)"),
        ({"ipv4": False, "ipv6": True}, "1", "client (IPv6)"),
        ({"codes": {"127.0.0.2": 3, "127.0.0.3": 1}, "subjects": ["client", "sender_mx"]}, "1 to 3",
         "client (IPv4), sender_mx"),
        ({"kind": "domain"}, "1", "client_name, helo, sender"),
    ],
)  # fmt: skip
def test_weights_and_subjects_in_words(settings: dict[str, Any], weight: str, about: str) -> None:
    one = ListSettings(zone="bl.test", **settings)
    assert (weighs(one), asked_about(one)) == (weight, about)


# --- report ---


def test_report_counts_what_each_list_did(host: Host, start: Start) -> None:
    daemon = start(LISTS + REFUSER)
    daemon.probe()
    for last in (7, 7, 8, 10):
        daemon.ask(f"203.0.113.{last}")
    said = host.fine("dnsbl", "report")
    assert said.startswith("The last 30 days, as of 2026-09-21 14:13:18: 4 requests were judged by lists\n")
    table = rows(said)
    assert table["bl"] == "on 4 2 0 2 0 0"
    assert table["wl"].startswith("on 4 1 1 0 1 0")
    told = host.json("dnsbl", "report", "--days", "1")
    figures = {one["name"]: (one["asked"], one["hits"], one["alone"], one["let_in"]) for one in told["lists"]}
    assert figures["keyed"] == (4, 2, 0, 0)
    assert told["requests"] == 4
    assert "refuser was not asked: is it new, or suspended (vaglio dnsbl status)?" in said


def test_report_says_how_many_requests_were_refused(host: Host, start: Start) -> None:
    daemon = start("reject = 6\ndefer = 5\n" + LISTS.replace("weight = 6", "weight = 0.5"))
    for last in (7, 8):
        daemon.ask(f"203.0.113.{last}")
    told = host.json("dnsbl", "report")
    assert (told["requests"], told["refused"], told["deferred"]) == (2, 0, 1)
    assert "\n  refused for good: 0, for now: 1\n" in host.fine("dnsbl", "report")
    assert "rehearsal" not in host.fine("dnsbl", "report")


def test_report_says_how_many_requests_a_rehearsal_would_have_refused(host: Host, start: Start) -> None:
    rehearsal = 'mode = "rehearse"\n' + LISTS
    daemon = start(rehearsal)
    assert "\n  in rehearsal, would have been refused for good: 0, for now: 0\n" in host.fine("dnsbl", "report")
    for last in (7, 7, 8):
        daemon.ask(f"203.0.113.{last}")
    said = host.fine("dnsbl", "report")
    assert "3 requests were judged by lists\n  in rehearsal, would have been refused for good: 2, for now: 0\n" in said
    assert "refused for good: 0" not in said
    start().ask("203.0.113.7")
    said = host.fine("dnsbl", "report")
    assert "\n  refused for good: 1, for now: 0\n  in rehearsal, would have been refused for good: 2, " in said
    told = host.json("dnsbl", "report")
    assert [told[key] for key in ("refused", "would_refuse", "rehearsal")] == [1, 2, False]


def test_report_leaves_out_other_days(host: Host, start: Start) -> None:
    daemon = start()
    daemon.ask("203.0.113.8")
    host.clock.time += 3 * 86400
    daemon.ask("203.0.113.8")
    assert host.json("dnsbl", "report", "--days", "3")["requests"] == 1
    assert host.json("dnsbl", "report", "--days", "4")["requests"] == 2


@pytest.mark.parametrize(
    ("settings", "counted", "remark"),
    [
        ("", Count(asked=1000), "bl never hits: it costs questions and says nothing."),
        ("", Count(asked=1000, hits=950), "bl hits nearly always: does it list everybody, or is it a list of "
                                          "something else?"),
        ("", Count(asked=1000, hits=50), "bl adds nothing: whatever it has, others have too."),
        ("", Count(asked=1000, hits=50, alone=9, silent=100), "bl did not answer 10 % of the time: each of them waits "
                                                              "for it."),
        ("shadow = true\n", Count(asked=10, hits=5, alone=5, passed=4),
         "bl is a shadow: it would have weighed on 4 that were let in, too little to refuse by itself."),
        ("shadow = true\nweight = 5\n", Count(asked=10, hits=5, alone=5, passed=4),
         "bl is a shadow: it would have refused 4 that were let in."),
        ("shadow = true\nweight = -5\n", Count(asked=10, hits=5, alone=5, passed=4),
         "bl is a shadow: it would have spoken for 5."),
        ("", Count(asked=99), ""),
        ("", Count(asked=1000, hits=50, alone=9, passed=30), ""),
    ],
)  # fmt: skip
def test_report_says_in_plain_words_what_to_think_over(
    host: Host, start: Start, settings: str, counted: Count, remark: str
) -> None:
    own = f'[[dnsbl.lists]]\nname = "bl"\nzone = "bl.test"\n{settings}'
    daemon = start(f"without = {list(shipped())!r}\n{own}")
    day = int(host.clock.now()) // 86400
    count = counted._replace(day=day, name="bl")
    asyncio.run(daemon.store.transact(lambda tx: tx.put(COUNTS, count_key(day, "bl"), count)))
    daemon.store.settle()
    assert host.fine("dnsbl", "report").partition("\n\n")[2].strip() == remark


def test_a_list_that_is_gone_is_still_counted(host: Host, start: Start) -> None:
    start().ask("203.0.113.7")
    configure(host, f"without = {list(shipped())!r}\n")
    said = host.fine("dnsbl", "report")
    assert rows(said)["bl"].startswith("gone 1 1 0")
    assert "bl is not asked any more." in said


# --- why ---


def test_why_explains_a_refusal(host: Host, start: Start) -> None:
    verdict = start().ask("203.0.113.7")
    said = host.fine("why", "B7K2-0001")
    assert verdict.reply
    for words in (
        "what: refused for good, ref B7K2-0001",
        "decided by: dnsbl: listed",
        "The lists that were asked add up to 11; dnsbl.reject is 5. What weighed: rhs +6 127.0.1.2 for helo",
        "Most came from rhs, which has spam.example with the code 127.0.1.2.",
        f"reply: 554 5.7.1 {verdict.reply.text}",
        "It is the move of whoever runs spam.example: end what got it listed",
        'docs/dnsbl.md, "Letting somebody through"',
    ):
        assert words in said


def test_why_explains_a_refusal_in_italian(host: Host, start: Start) -> None:
    start(LISTS.replace("weight = 6", "weight = 1")).ask("203.0.113.7")
    said = host.fine("why", "B7K2-0001", "--language", "it")
    for words in (
        "esito: rifiutato, ref B7K2-0001",
        "Le liste interrogate danno insieme 6; dnsbl.reject vale 5.",
        'La parte maggiore viene da bl, che contiene 203.0.113.7 con il codice 127.0.0.4 ("sent spam on 2026-09-20").',
        "poi farsi togliere da bl: https://bl.test/203.0.113.7.",
    ):
        assert words in said


def test_why_says_that_who_was_refused_for_now_gets_another_try(host: Host, start: Start) -> None:
    start("reject = 0\ndefer = 5\n" + LISTS).ask("203.0.113.7")
    said = host.fine("why", "B7K2-0001")
    assert "dnsbl.defer is 5" in said
    assert "It was refused for now only: its server tries again by itself" in said
    assert "il suo server riprova da solo" in host.fine("why", "B7K2-0001", "--language", "it")


def test_why_explains_bad_manners(host: Host, start: Start) -> None:
    start(f"without = {list(shipped())!r}\n[dnsbl.rules]\nno_ptr = 5\n").ask("203.0.113.10")
    said = host.fine("why", "B7K2-0001")
    assert "The rules of dnsbl.rules add up to 5; dnsbl.reject is 5. What weighed: rule no_ptr +5." in said


def test_why_says_of_a_rehearsal_that_nobody_was_refused(host: Host, start: Start) -> None:
    start('mode = "rehearse"\n' + LISTS).ask("203.0.113.7")
    said = host.fine("why", "--client", "203.0.113.7")
    assert "let through; in earnest it would have been refused for good" in said
    assert "this was a rehearsal" in said


# --- stores in trouble ---


@pytest.mark.parametrize("name", ["status", "report"])
def test_a_damaged_store_is_told_and_left_alone(host: Host, name: str) -> None:
    configure(host)
    store = host.state / "dnsbl.sqlite"
    store.write_bytes(b"no database at all, and longer than a page header is" * 40)
    before = store.read_bytes()
    said = host.run("dnsbl", name)
    assert (said.status, said.out, store.read_bytes()) == (1, "", before)
    assert f"vaglio: {store}: damaged (" in said.err


def test_check_needs_no_store(host: Host) -> None:
    configure(host)
    host.fine("dnsbl", "check", "203.0.113.7")
    assert list(host.state.iterdir()) == []
