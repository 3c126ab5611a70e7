"""``vaglio ratelimit``, on the store and journal that the real check filled."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from vaglio.checks.ratelimit.check import Context, Ratelimit
from vaglio.checks.ratelimit.decide import Alarm
from vaglio.checks.ratelimit.logins import Logins
from vaglio.checks.ratelimit.overridesource import source_of
from vaglio.checks.ratelimit.rules import ready
from vaglio.checks.ratelimit.usage import SCHEMA, USAGE, Usage, usage_key
from vaglio.config.load import load
from vaglio.daemon.guard import rehearsed
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.journal.entry import Entry
from vaglio.journal.schema import FILE_NAME
from vaglio.journal.writer import JournalWriter
from vaglio.ports import Transaction
from vaglio.store import open_store
from vaglio.verdict import Verdict

Host = Any  # of conftest.py
NOW = 1_790_000_000  # 2026-09-21 14:13:20 UTC
TIZIO = "tizio@tizio.it"
PER_USER = '[[ratelimit.rule]]\nname = "per-user"\nlimits = ["200/1h", "1000/1d"]\n'
SIGNS = """\
[[ratelimit.rule]]
name = "networks"
count = "distinct_networks"
limits = ["2/1h"]
action = "log"
[[ratelimit.rule]]
name = "strangers"
count = "new_recipients"
limits = ["4/1h"]
[[ratelimit.rule]]
name = "refused"
count = "refused_share"
limits = ["40%/1h"]
at_least = 4
action = "log"
"""
BY_DOMAIN = """\
[[ratelimit.rule]]
name = "by-domain"
key = ["sasl_username", "recipient_domain"]
limits = ["50/1d"]
"""
BOUNCES = """\
[[ratelimit.rule]]
name = "bounces"
key = ["sasl_username|client"]
count = "messages"
limits = ["100/1h"]
applies_to = "null_sender"
"""
BYTES = '[[ratelimit.rule]]\nname = "volume"\ncount = "bytes"\nlimits = ["10 MB/1d"]\naction = "reject"\n'


class Daemon:
    """The check as its daemon runs it, without sockets: judges, counts, writes the journal."""

    def __init__(self, host: Host, cleanup: ExitStack) -> None:
        config = load(host.config, {}).config
        self.settings, self.clock, self.host = config.ratelimit, host.clock, host
        self.alarms: list[Alarm] = []
        state = config.state.directory
        assert state
        self.store = open_store(config.state.url, SCHEMA, warn=print, now=self.clock.now)
        cleanup.callback(self.store.close)
        self.journal = JournalWriter(state / FILE_NAME, 1e9, 10**9, print, self.clock.now)
        cleanup.callback(self.journal.close)
        overrides = source_of(self.settings, lambda *_: [], lambda: 0.0, print).read()
        numbers = itertools.count()
        self.instances = (f"{n:x}.6382.0" for n in itertools.count(1))
        self.check = Ratelimit(
            self.settings,
            ready(self.settings, lambda _: ""),
            Context(
                self.clock, self.store, lambda: f"R7K2-{next(numbers):04}", lambda: overrides.current, Logins,
                lambda _: "", config.identity.language_for, "mail.tizio.it", print,
                lambda alarm, _: self.alarms.append(alarm),
            ),
        )  # fmt: skip
        asyncio.run(self.check.begin())
        self.settle()

    def send(
        self, user: str = TIZIO, to: int = 1, size: int = 1000, client: str = "198.51.100.7", sender: str | None = None,
        after: float = 0, domain: str = "caio.it",
    ) -> Verdict:  # fmt: skip
        """Send a message to so many recipients, as Postfix asks about it; return the last verdict."""
        self.clock.time += after
        instance = next(self.instances)
        given = user if sender is None else sender

        def ask(stage: Stage, recipient: str, number: int) -> Verdict:
            session = Session(stage, instance=instance, sasl_username=user)
            facts = Facts(client_of(client), Envelope(given, recipient, number, size), session)
            verdict = asyncio.run(self.check.check(facts))
            if self.settings.mode == "rehearse":
                verdict = rehearsed(verdict)
            if verdict.journalled:
                self.journal.record(Entry.of(facts, verdict, self.clock.now(), "ratelimit", "mail.tizio.it"))
            return verdict

        verdicts = [ask(Stage.RCPT, f"r{n}@{domain}", 0) for n in range(to)] if self.check_recipients else []
        there = to - sum(verdict.reply is not None for verdict in verdicts)
        last = ask(Stage.END_OF_MESSAGE, f"r0@{domain}" if there == 1 else "", there) if there else verdicts[-1]
        self.settle()
        return last

    @property
    def check_recipients(self) -> bool:
        rules = self.settings.rule
        return any(rule.count in ("new_recipients", "refused_share") or len(rule.key) > 1 for rule in rules)

    def settle(self) -> None:
        self.store.settle()
        self.journal.flush()

    def records(self) -> dict[str, Usage]:
        found = asyncio.run(self.store.scan(USAGE, b"", 100))
        return {f"{one.spec} {one.name}": one for _, one in found}


Start = Callable[..., Daemon]


@pytest.fixture
def start(host: Host) -> Iterator[Start]:
    """Configure the host with these rules, or settings and rules; return its daemon."""
    with ExitStack() as cleanup:

        def daemon(rules: str = PER_USER, more: str = "", overrides: str = "") -> Daemon:
            file = host.directory / "overrides.toml"
            file.write_text(overrides)
            host.configure(f'[ratelimit]\noverrides = "{file}"\n{more}\n{rules}')
            return Daemon(host, cleanup)

        yield daemon


def whole(said: str) -> str:
    """Return what was printed with single blanks."""
    return " ".join(said.split())


# --- show ---


def test_show_tells_all_that_is_counted_for_a_login(host: Host, start: Start) -> None:
    daemon = start(PER_USER + SIGNS)
    daemon.send(to=3)
    daemon.send(to=2, client="203.0.113.9", after=60, domain="sempronia.it")
    said = whole(host.fine("ratelimit", "show", TIZIO))
    for words in (
        "tizio@tizio.it (by sasl_username) first seen 2026-09-21 14:13:20, last 2026-09-21 14:14:20",
        "clients: 203.0.113.9 198.51.100.7 recipient domains: sempronia.it caio.it",
        "per-user recipients 1h 4 200 196 2026-09-21 15:13:20 per-user recipients 1d 4 1,000 996 2026-09-22 14:13:20",
        "networks distinct_networks 1h 2 2 0 2026-09-21 15:13:20 nothing is held back",
        "refused refused_share 1h 20% 40% 20% of 5 recipients; nothing is held back",
        "tizio@tizio.it (by sasl_username, single recipients)",
        "strangers new_recipients 1h 4 4 0 2026-09-21 15:13:20",
        "strangers: 1 request beyond the limit since 2026-09-21 14:14:20, last 2026-09-21 14:14:20; the admin was told "
        "2026-09-21 14:14:20",
    ):
        assert words in said


def test_show_json_has_the_same_as_values(host: Host, start: Start) -> None:
    daemon = start()
    daemon.send(to=200)
    daemon.send(to=1, after=5)
    (found,) = host.json("ratelimit", "show", "TIZIO@Tizio.it")
    assert found["by"] == "sasl_username"
    assert found["per_recipient"] is False
    assert (found["first"], found["last"]) == (NOW, NOW + 5)
    assert found["clients"] == ["198.51.100.7"]
    (rule,) = found["rules"]
    assert rule["beyond"] == {"requests": 1, "since": NOW + 5, "last": NOW + 5}
    assert rule["alarmed"] == NOW + 5
    hour, day = rule["windows"]
    assert hour == {"seconds": 3600, "used": 200, "limit": 200, "left": 0, "more_at": NOW + 3601}
    assert day == {"seconds": 86400, "used": 200, "limit": 1000, "left": 800, "more_at": NOW + 86401}


def test_show_knows_what_has_left_a_window(host: Host, start: Start) -> None:
    daemon = start()
    daemon.send(to=7)
    daemon.clock.time += 4000
    (hour, day) = host.json("ratelimit", "show", TIZIO)[0]["rules"][0]["windows"]
    assert (hour["used"], hour["more_at"], day["used"]) == (0, None, 7)


def test_a_key_of_several_parts_and_a_client_are_found(host: Host, start: Start) -> None:
    daemon = start(BY_DOMAIN + BOUNCES)
    daemon.send()
    daemon.send(user="", client="2001:db8::7", sender="")
    assert "by-domain" in host.fine("ratelimit", "show", f"{TIZIO} caio.it")
    assert "bounces" in host.fine("ratelimit", "show", "2001:DB8:0::7")


def test_a_key_that_is_not_there_is_told_so(host: Host, start: Start) -> None:
    start()
    said = host.run("ratelimit", "show", "nobody")
    assert (said.status, said.out) == (1, "")
    assert "nothing is counted for 'nobody'" in said.err
    assert host.run("ratelimit", "show", "nobody", "--json").out == "[]\n"


def test_without_a_daemon_ever_the_commands_say_so(host: Host) -> None:
    for words in (("show", "x"), ("top",), ("quota", "x"), ("report",), ("test", "--user", "x"), ("reset", "x")):
        said = host.run("ratelimit", *words)
        assert said.status == 1
        assert "there is no store at" in said.err


def test_looking_changes_nothing_on_disk(host: Host, start: Start) -> None:
    start().send(to=3)
    before = {path.name: path.read_bytes() for path in host.state.iterdir() if not path.name.endswith("-shm")}
    for words in (("show", TIZIO), ("show",), ("top",), ("quota", TIZIO), ("report",), ("test", "--user", TIZIO)):
        host.fine("ratelimit", *words)
    assert {path.name: path.read_bytes() for path in host.state.iterdir() if path.name in before} == before


def test_a_hostile_key_reaches_no_terminal(host: Host, start: Start) -> None:
    daemon = start()
    hostile = "\x1b[2j\u202eroot"
    daemon.send(user=hostile, to=250)
    for words in (("show", hostile), ("top", "--refused"), ("report",), ("quota", hostile), ("test", "--user", hostile),
                  ("reset", hostile, "--yes")):  # fmt: skip
        said = host.run("ratelimit", *words)
        assert said.status == 0
        assert not {"\x1b", "\u202e"} & set(said.out + said.err)


# --- overrides and ramp-up ---


@pytest.mark.parametrize(
    ("override", "hour"),
    [
        ('"500/1h"', {"used": 150, "limit": 500, "left": 350}),
        ('"100/1h"', {"used": 150, "limit": 100, "left": 0}),
        ('"unlimited"', {"used": 150, "limit": None, "left": None}),
    ],
)
def test_a_limit_of_its_own_counts_everywhere(
    host: Host, start: Start, override: str, hour: dict[str, int | None]
) -> None:
    start().send(to=150)
    start(overrides=f'[per-user]\n"{TIZIO}" = {override}\n')
    (rule,) = host.json("ratelimit", "show", TIZIO)[0]["rules"]
    assert rule["limits_from"] == "override"
    assert {key: rule["windows"][0][key] for key in hour} == hour
    assert host.json("ratelimit", "quota", TIZIO)["rules"][0]["windows"] == rule["windows"]
    assert host.json("ratelimit", "test", "--user", TIZIO)["rules"][0]["rules"][0]["windows"] == rule["windows"]
    top = host.json("ratelimit", "top", "--window", "1h")
    assert [one["limit"] for one in top] == ([hour["limit"]] if hour["limit"] else [])


def test_an_override_by_domain_from_a_database_counts_too(host: Host, start: Start) -> None:
    start().send(to=3)
    file = host.directory / "limits.db"
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE ratelimit_overrides (rule TEXT, name TEXT, limits TEXT)")
        db.execute("INSERT INTO ratelimit_overrides VALUES ('per-user', '@tizio.it', '7/1h')")
    db.close()
    host.configure(f'[ratelimit]\noverrides = "sqlite://{file}"\n{PER_USER}')
    assert "4 of 7 recipients left this hour" in host.fine("ratelimit", "quota", TIZIO)


def test_overrides_that_cannot_be_read_are_told_of(host: Host, start: Start) -> None:
    start().send()
    host.configure(f'[ratelimit]\noverrides = "sqlite://{host.directory}/gone.db"\n{PER_USER}')
    said = host.run("ratelimit", "quota", TIZIO)
    assert said.status == 0
    assert "199 of 200 recipients left" in said.out
    assert "ratelimit.overrides can't be read" in said.err
    assert "the limits shown are those of the rules" in said.err


def test_a_country_database_that_is_not_there_is_told_of(host: Host, start: Start) -> None:
    start()
    host.configure('[ratelimit]\ncountry_database = "/nowhere/countries.mmdb"')
    said = host.run("ratelimit", "test", "--user", TIZIO)
    assert said.status == 1
    assert "ratelimit.country_database: /nowhere/countries.mmdb: " in said.err


def test_a_newcomer_has_lower_limits_everywhere(host: Host, start: Start) -> None:
    daemon = start(PER_USER + 'ramp_up = "7d"\nramp_up_share = 10\n')
    daemon.send(user="old@tizio.it")
    daemon.send(to=5, after=8 * 86400)
    daemon.send(user="old@tizio.it")
    (rule,) = host.json("ratelimit", "show", TIZIO)[0]["rules"]
    assert (rule["limits_from"], rule["windows"][0]["limit"]) == ("ramp-up", 20)
    assert "ramp-up: 10% of the rule's limit" in host.fine("ratelimit", "show", TIZIO)
    assert "15 of 20 recipients left this hour" in host.fine("ratelimit", "quota", TIZIO)
    assert "a newcomer's limit, for the first 7d" in host.fine("ratelimit", "quota", TIZIO)
    assert "199 of 200" in host.fine("ratelimit", "quota", "old@tizio.it")
    assert "20 of 20" in host.fine("ratelimit", "quota", "new@tizio.it")
    assert "refused" not in host.fine("ratelimit", "test", "--user", TIZIO, "--recipients", "15")
    (answer,) = host.json("ratelimit", "test", "--user", TIZIO, "--recipients", "16")["answers"]
    assert (answer["action"], answer["limit"]) == ("defer", "20/1h")


# --- top and report ---


def test_top_lists_who_uses_most_of_its_limit(host: Host, start: Start) -> None:
    daemon = start(PER_USER + BYTES)
    daemon.send(to=20)
    daemon.send(user="caia@tizio.it", to=150)
    daemon.send(user="sempronio@tizio.it", size=9_000_000)
    top = host.json("ratelimit", "top", "--limit", "3")
    assert [(one["key"], one["rule"], one["seconds"]) for one in top] == [
        ("sempronio@tizio.it", "volume", 86400), ("caia@tizio.it", "per-user", 3600), (TIZIO, "per-user", 3600),
    ]  # fmt: skip
    assert [one["share"] for one in top] == [0.9, 0.75, 0.1]
    assert "sempronio@tizio.it volume bytes 1d 9 MB 10 MB 90%" in whole(host.fine("ratelimit", "show"))
    by_rule = host.json("ratelimit", "top", "--rule", "per-user", "--window", "1d")
    assert [(one["key"], one["used"]) for one in by_rule] == [
        ("caia@tizio.it", 150), (TIZIO, 20), ("sempronio@tizio.it", 1),
    ]  # fmt: skip


def test_top_keeps_the_highest_of_many(host: Host, start: Start) -> None:
    daemon = start()
    for n in range(120):
        daemon.send(user=f"u{n}", to=1 + (n * 37) % 120)
    assert [one["used"] for one in host.json("ratelimit", "top", "--limit", "2")] == [120, 119]


def test_top_refused_lists_who_was_refused_most(host: Host, start: Start) -> None:
    daemon = start()
    daemon.send(to=150)
    for _ in range(3):
        daemon.send(to=100)
    daemon.send(user="caia@tizio.it", to=201)
    daemon.send(user="livia@tizio.it", to=199)
    found = host.json("ratelimit", "top", "--refused")
    assert [(one["key"], one["beyond"]["requests"]) for one in found] == [(TIZIO, 3), ("caia@tizio.it", 1)]


def test_top_names_the_rules_there_are(host: Host, start: Start) -> None:
    start().send()
    said = host.run("ratelimit", "top", "--rule", "peruser")
    assert said.status == 1
    assert "there is no rule 'peruser': found in the configuration are per-user" in said.err
    assert host.run("ratelimit", "top", "--window", "soon").status == 2


def test_report_says_who_was_beyond_a_limit_lately(host: Host, start: Start) -> None:
    daemon = start()
    daemon.send(user="early@tizio.it", to=201)
    daemon.send(to=201, after=3 * 86400)
    said = host.fine("ratelimit", "report")
    assert f"{TIZIO} per-user 200/1h 1,000/1d defer 1 2026-09-24 14:13:20" in whole(said)
    assert "early@tizio.it" not in said
    assert "change the password first" in said
    document = host.json("ratelimit", "report", "--days", "7")
    assert {one["key"] for one in document["keys"]} == {TIZIO, "early@tizio.it"}
    assert document["rehearsal"] is False


def test_report_is_silent_for_a_timer_when_there_is_nothing(host: Host, start: Start) -> None:
    start().send()
    assert host.fine("ratelimit", "report", "--days", "2") == "No key was beyond a limit within the last 2 days.\n"
    assert host.fine("ratelimit", "report", "--only-if-any") == ""
    assert host.fine("ratelimit", "report", "--only-if-any", "--json") == ""


def test_report_of_a_rehearsal_says_what_the_rules_do_now_and_nothing_of_the_past(host: Host, start: Start) -> None:
    start().send(to=201)
    start(more='mode = "rehearse"')
    said = whole(host.fine("ratelimit", "report"))
    assert 'Now ratelimit.mode is "rehearse": what goes beyond a limit passes.' in said


def test_report_says_once_that_a_key_has_no_limit_by_now(host: Host, start: Start) -> None:
    start().send(to=201)
    start(overrides=f'[per-user]\n"{TIZIO}" = "unlimited"\n')
    assert f"{TIZIO} per-user none defer 1" in whole(host.fine("ratelimit", "report"))


# --- quota ---


def test_quota_is_in_plain_words(host: Host, start: Start) -> None:
    daemon = start()
    for _ in range(3):
        daemon.send(to=196, after=4000)
    assert host.fine("ratelimit", "quota", TIZIO).splitlines() == [
        "tizio@tizio.it",
        "  per-user: 4 of 200 recipients left this hour (1h window); next slot at 18:34",
        "  per-user: 412 of 1,000 recipients left today (1d window); next slot at 2026-09-22 15:20",
    ]


def test_quota_speaks_italian(host: Host, start: Start) -> None:
    start().send(to=200)
    assert host.fine("ratelimit", "quota", TIZIO, "--lang", "it").splitlines() == [
        "tizio@tizio.it",
        "  per-user: non resta nulla di 200 destinatari in quest'ora (finestra di 1h); altro posto: 15:14",
        "  per-user: ancora 800 di 1.000 destinatari oggi (finestra di 1d); altro posto: 2026-09-22 14:14",
    ]


def test_quota_of_every_kind_of_rule_reads_well(host: Host, start: Start) -> None:
    rules = PER_USER + SIGNS + BYTES + BY_DOMAIN + BOUNCES
    overrides = f'[per-user]\n"{TIZIO}" = "0/1d"\n[volume]\n"{TIZIO}" = "unlimited"\n'
    start(rules, overrides=overrides)
    said = host.fine("ratelimit", "quota", TIZIO)
    for words in (
        "per-user: nothing may be sent (1d window); a limit of its own",
        "networks: 0 of at most 2 different networks this hour (1h window); nothing is held back by it",
        "strangers: 4 of 4 new recipients left this hour (1h window)",
        "refused: 0% of the recipients refused this hour (1h window), up to 40% is allowed; nothing is held back by it",
        "volume: no limit; 0 B today (1d window)",
        "The rules by-domain count by more than the login",
    ):
        assert words in said
    assert "bounces" not in said
    assert host.json("ratelimit", "quota", TIZIO)["other_rules"] == ["by-domain"]


def test_quota_counts_what_is_beyond_and_names_bounces_once_there_are_any(host: Host, start: Start) -> None:
    daemon = start(PER_USER + "per_message = 100\n" + BOUNCES)
    daemon.send(sender="")
    daemon.send(to=101)
    daemon.send(to=101)
    said = host.fine("ratelimit", "quota", TIZIO)
    assert "per-user: 200 of 200 recipients left this hour (1h window); at most 100 recipients in one message" in said
    assert "per-user: requests beyond the limit since 2026-09-21 14:13: 2" in said
    assert "bounces (bounces and receipts): 99 of 100 messages left this hour" in said


def test_quota_leaves_out_rules_that_are_for_others(host: Host, start: Start) -> None:
    only = PER_USER + 'users = ["caio.it"]\n'
    but = PER_USER.replace("per-user", "others") + f'except_users = ["{TIZIO}"]\n'
    start(only + but)
    assert host.fine("ratelimit", "quota", TIZIO) == f"{TIZIO}\n  no rule counts by the login {TIZIO}\n"
    assert [one["rule"] for one in host.json("ratelimit", "quota", "x@caio.it")["rules"]] == ["per-user", "others"]


# --- test ---


def test_test_answers_as_the_daemon_would_and_counts_nothing(host: Host, start: Start) -> None:
    daemon = start(more='help = "call 12"')
    daemon.send(to=198)
    before = daemon.records()
    (answer,) = host.json("ratelimit", "test", "--user", TIZIO, "--recipients", "3")["answers"]
    assert (answer["action"], answer["reason"], answer["rule"]) == ("defer", "over-limit", "per-user")
    said = host.fine("ratelimit", "test", "--user", TIZIO, "--recipients", "3")
    for words in (
        "END-OF-MESSAGE, recipients: 3: defer over-limit",
        f"450 4.7.1 Sending limit: {TIZIO} would exceed 200 recipients in 1h (198 used, "
        "this would add 3); there is room again in 1h; help: call 12",
        f"{TIZIO} had written to 198 recipients within 1h, and this would be 3 more; the rule per-user allows 200.",
        "The admin would be told: tizio@tizio.it is beyond the limit per-user.",
    ):
        assert words in said
    assert "END-OF-MESSAGE, recipients: 2: pass within-limits" in host.fine(
        "ratelimit", "test", "--user", TIZIO, "--to", "caio@caio.it", "--to", "livia@caio.it"
    )
    assert daemon.records() == before
    real = daemon.send(to=3)
    assert real.reply
    assert answer["reply"] == f"{real.reply.code} {real.reply.enhanced} {real.reply.text}".partition("; ref")[0]


def test_test_plays_all_requests_about_a_message(host: Host, start: Start) -> None:
    start(PER_USER + SIGNS)
    recipients = [word for n in range(5) for word in ("--to", f"x{n}@caio.it")]
    document = host.json("ratelimit", "test", "--user", TIZIO, *recipients)
    assert [(one["stage"], one["action"], one["recipients"]) for one in document["answers"]] == [
        *[("RCPT", "pass", 0)] * 4, ("RCPT", "defer", 0), ("END-OF-MESSAGE", "pass", 4),
    ]  # fmt: skip
    assert {rule["rule"] for use in document["rules"] for rule in use["rules"]} == {
        "per-user", "networks", "strangers", "refused",
    }  # fmt: skip
    only = host.json("ratelimit", "test", "--user", TIZIO, *recipients, "--stage", "rcpt")["answers"]
    assert [one["stage"] for one in only] == ["RCPT"] * 5


def test_test_names_the_rules_that_wait_for_a_recipient(host: Host, start: Start) -> None:
    head = '[[ratelimit.rule]]\nlimits = ["0/1d"]\n'
    start(
        head + 'name = "outside"\nexcept_recipients = ["tizio.it"]\n'
        + head + 'name = "each"\nkey = ["recipient"]\n'
        + head + 'name = "partner"\nrecipients = ["caio.it"]\nusers = ["livia@tizio.it"]\n'
    )  # fmt: skip
    document = host.json("ratelimit", "test", "--user", TIZIO, "--recipients", "6")
    assert document["asked_at_rcpt"] == ["outside", "each"]
    said = whole(host.fine("ratelimit", "test", "--user", TIZIO, "--recipients", "6"))
    assert "No rule about messages as a whole holds for this one." in said
    assert "the rules outside, each are asked at RCPT, about each recipient: give --to ADDRESS" in said
    named = host.json("ratelimit", "test", "--user", TIZIO, "--to", "caio@caio.it")
    assert (named["asked_at_rcpt"], named["answers"][0]["action"]) == ([], "reject")
    only = host.json("ratelimit", "test", "--user", TIZIO, "--stage", "end-of-message")
    assert only["asked_at_rcpt"] == []


def test_a_message_whose_recipients_are_all_refused_has_no_end(host: Host, start: Start) -> None:
    start('[[ratelimit.rule]]\nname = "none"\nkey = ["recipient"]\nlimits = ["0/1d"]\naction = "reject"\n')
    (answer,) = host.json("ratelimit", "test", "--user", TIZIO, "--to", "caio@caio.it")["answers"]
    assert (answer["stage"], answer["action"]) == ("RCPT", "reject")


def test_a_message_on_hold_has_no_smtp_reply(host: Host, start: Start) -> None:
    start('[[ratelimit.rule]]\nname = "park"\nlimits = ["0/1d"]\naction = "hold"\n')
    (answer,) = host.json("ratelimit", "test", "--user", TIZIO)["answers"]
    assert (answer["action"], answer["reply"]) == ("hold", "")
    assert "postsuper -H QUEUE_ID lets it go" in host.fine("ratelimit", "test", "--user", TIZIO)


def test_test_knows_who_may_use_a_sender_address(host: Host, start: Start) -> None:
    logins = host.directory / "logins"
    logins.write_text(f"info@tizio.it {TIZIO}\n")
    start(more=f'sender_login = "reject"\nsender_logins = ["{logins}"]')
    for sender, action in (("info@tizio.it", "pass"), ("boss@tizio.it", "reject")):
        (answer,) = host.json("ratelimit", "test", "--user", TIZIO, "--from", sender)["answers"]
        assert answer["action"] == action


def test_a_rehearsal_says_that_it_would_pass(host: Host, start: Start) -> None:
    start(more='mode = "rehearse"').send(to=200)
    said = host.fine("ratelimit", "test", "--user", TIZIO)
    assert "defer over-limit (mode is rehearse: it would pass all the same)" in said
    assert "This is a rehearsal" in said


def test_test_wants_to_know_who_sends(host: Host, start: Start) -> None:
    start()
    said = host.run("ratelimit", "test", "--to", "caio@caio.it")
    assert said.status == 2
    assert "say who sends: --user, --client or --from" in said.err
    assert "no-rule" in host.fine("ratelimit", "test", "--client", "mail.tizio.it[198.51.100.7]")


# --- reset ---


def test_reset_forgets_and_the_running_daemon_sees_it_at_once(host: Host, start: Start) -> None:
    daemon = start(PER_USER + SIGNS)
    daemon.send(to=3)
    daemon.send(to=1, after=86400 * 30)
    before = daemon.records()
    said = host.fine("ratelimit", "reset", TIZIO, "--yes")
    assert "forgotten: tizio@tizio.it (by sasl_username): per-user (recipients) 1 in 1h, 1 in 1d; " in said
    assert {(one["used"]) for use in host.json("ratelimit", "show", TIZIO) for rule in use["rules"]
            for one in rule["windows"]} == {0}  # fmt: skip
    after = daemon.records()
    assert {key: one._replace(state=b"") for key, one in before.items()} == after  # known since then: no newcomer
    assert daemon.send(to=1).reason == "within-limits"
    assert host.json("ratelimit", "show", TIZIO)[0]["rules"][0]["windows"][0]["used"] == 1


def test_who_was_refused_may_send_again_after_a_reset(host: Host, start: Start) -> None:
    daemon = start()
    daemon.send(to=200)
    assert daemon.send().reply
    forgotten = host.json("ratelimit", "reset", TIZIO, "--yes")["forgotten"]
    assert forgotten[0]["rules"][0]["windows"][0]["used"] == 200
    assert forgotten[0]["rules"][0]["beyond"]["requests"] == 1
    assert not daemon.send().reply


def test_reset_of_one_rule_leaves_the_others(host: Host, start: Start) -> None:
    start(PER_USER + BYTES).send(to=5, size=5000)
    host.fine("ratelimit", "reset", TIZIO, "--rule", "per-user", "--yes")
    rules = {one["rule"]: one["windows"][0]["used"] for one in host.json("ratelimit", "show", TIZIO)[0]["rules"]}
    assert rules == {"per-user": 0, "volume": 5000}
    assert host.run("ratelimit", "reset", TIZIO, "--rule", "per-user", "--yes").status == 1
    assert host.run("ratelimit", "reset", TIZIO, "--rule", "nope", "--yes").status == 1


def test_reset_asks_first_and_not_where_nobody_can_answer(
    host: Host, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    start().send(to=5)

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert host.run("ratelimit", "reset", TIZIO).status == 2
    for typed, status, used in (("n\n", 1, 5), ("y\n", 0, 0)):
        monkeypatch.setattr(sys, "stdin", Terminal(typed))
        said = host.run("ratelimit", "reset", TIZIO)
        assert said.status == status
        assert "per-user (recipients) 5 in 1h, 5 in 1d" in said.out
        assert host.json("ratelimit", "show", TIZIO)[0]["rules"][0]["windows"][0]["used"] == used


def test_a_reset_of_what_is_not_there_says_so(host: Host, start: Start) -> None:
    start()
    said = host.run("ratelimit", "reset", "nobody", "--yes", "--json")
    assert (said.status, json.loads(said.out)) == (1, {"forgotten": []})
    assert "nothing is counted for 'nobody'" in said.err


def test_counts_that_cannot_be_read_are_told_of(host: Host, start: Start) -> None:
    daemon = start()
    daemon.send()
    key = usage_key("sasl_username", (TIZIO,))

    def spoil(tx: Transaction) -> None:
        usage = tx.get(USAGE, key)
        assert usage
        tx.put(USAGE, key, usage._replace(state=b"\1\2\3"))

    asyncio.run(daemon.store.transact(spoil))
    daemon.settle()
    for words in (("show", TIZIO), ("top",), ("quota", TIZIO), ("reset", TIZIO, "--yes")):
        said = host.run("ratelimit", *words)
        assert (said.status, said.out) == (1, "")
        assert "counts that can't be read" in said.err


# --- why and journal ---


def test_why_explains_a_limit_and_says_where_to_look(host: Host, start: Start) -> None:
    daemon = start()
    daemon.send(to=199)
    ref = daemon.send(to=2).ref
    said = host.fine("why", ref)
    for words in (
        "decided by: ratelimit: over-limit",
        f"why: {TIZIO} had written to 199 recipients within 1h, and this would be 2 more",
        "the rule per-user allows 200.",
        "there is room for it 1h later",
        f"now: vaglio ratelimit show {TIZIO}",
    ):
        assert words in said
    assert "aveva scritto a 199 destinatari in 1h" in host.fine("why", ref, "--language", "it")


def test_decisions_are_found_by_login(host: Host, start: Start) -> None:
    daemon = start()
    for user in (TIZIO, "caia@tizio.it", "livia@livia.it"):
        daemon.send(user=user, to=201)
    found = host.json("journal", "--user", TIZIO, "--since", "1d")
    assert [one["sasl_username"] for one in found] == [TIZIO]
    assert len(host.json("journal", "--user", "tizio.it")) == 2
    assert len(host.json("why", "--user", "livia@livia.it")) == 1
