"""``vaglio why`` and ``vaglio journal``, on a journal that the real check filled."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vaglio.cli.decisions import references_in
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.journal.entry import Entry
from vaglio.journal.writer import JournalWriter
from vaglio.verdict import FAILED, Action, Reply, Verdict

Host = Any  # of conftest.py
NOW = 1_790_000_000
HOSTILE = "\x1b]0;pwned\x07\x1b[2J\u202e\u200b\udcff\r\nroot"


def test_why_tells_everything_about_a_first_contact(host: Host) -> None:
    verdict = host.daemon().ask()
    ref = verdict.ref
    said = host.fine("why", ref)
    for words in (
        f"what: deferred (come back later), ref {ref}",
        "client: 198.51.100.7 (mail.tizio.it), HELO mail.tizio.it",
        "from: tizio@tizio.it",
        "to: caio@caio.it",
        "decided by: greylist: first-contact",
        "facts: pool=tizio.it pool_kind=pool delay=300 by=greylist.delay left=300",
        "300 seconds (greylist.delay)",
        f"reply: 450 4.7.1 {verdict.reply and verdict.reply.text}",
        "Nobody has to do anything",
        "   now: vaglio greylist why --client 'mail.tizio.it[198.51.100.7]' --from tizio@tizio.it --to caio@caio.it",
    ):
        assert words in said


def test_why_speaks_italian(host: Host) -> None:
    ref = host.daemon().ask().ref
    said = host.fine("why", ref, "--language", "it")
    assert "esito: rimandato (riprovare più tardi)" in said
    assert "È il primo contatto" in said
    assert "Nessuno deve fare nulla" in said


def test_why_says_how_long_who_came_too_early_waited(host: Host) -> None:
    daemon = host.daemon()
    daemon.ask()
    ref = daemon.ask(after=100).ref
    said = host.fine("why", ref)
    assert "came back after 100 seconds, earlier than the delay of 300 seconds (greylist.delay)" in said
    assert "the next try after 200 seconds or more is let in" in said


def test_the_whole_reply_can_be_pasted(host: Host) -> None:
    verdict = host.daemon().ask()
    assert verdict.reply
    line = f"host mail.caio.it[192.0.2.1] said: 450 4.7.1 <caio@caio.it>: Recipient address rejected: " \
           f"{verdict.reply.text} (in reply to RCPT TO command)"  # fmt: skip
    assert f"ref {verdict.ref}" in host.fine("why", line)
    assert f"ref {verdict.ref}" in host.fine("why", *line.split())


@pytest.mark.parametrize(
    ("text", "references"),
    [
        ("G7K2-9QFD", ["G7K2-9QFD"]),
        ("g7k2 9qfd", ["G7K2-9QFD"]),
        ("(ref. g7k29qfd)", ["G7K2-9QFD"]),
        ("G7K2-9QFD, ABCD-EFGH", ["G7K2-9QFD", "ABCD-EFGH"]),
        ("by themselves.; ref G7K2-9QFD (in reply to RCPT TO command)", ["G7K2-9QFD"]),
        ("by themselves.; ref\n    G7K2-9QFD (in", ["G7K2-9QFD"]),
        ('auto-list said "mail-host: ref G7K2-9QFD."', ["G7K2-9QFD"]),
        ("ref=G7K2-9QFD ms=0.21", ["G7K2-9QFD"]),
        ("G7K2-9QFD G7K2-9QFD", ["G7K2-9QFD"]),
        ("nothing of that kind", []),
        ("", []),
    ],
)
def test_references_are_found_in_what_was_pasted(text: str, references: list[str]) -> None:
    assert references_in(text) == references


def test_several_references_are_explained_in_one_go(host: Host) -> None:
    daemon = host.daemon()
    refs = [daemon.ask(recipient=f"{name}@caio.it").ref for name in ("one", "two")]
    assert [entry["ref"] for entry in host.json("why", *refs)] == refs


def test_an_unknown_reference_helps_on(host: Host) -> None:
    host.daemon().ask()
    said = host.run("why", "ZZZZ-ZZZZ")
    assert (said.status, said.out) == (1, "")
    assert "no decision with the reference ZZZZ-ZZZZ in the journal" in said.err
    assert "30d" in said.err
    assert "only in the daemon's log" in said.err
    said = host.run("why", "ZZZZ-ZZZZ", "--json")
    assert (said.status, json.loads(said.out)) == (1, [])


def test_what_is_no_reference_is_told_what_one_looks_like(host: Host) -> None:
    host.daemon().ask()
    said = host.run("why", "please")
    wanted = "vaglio: there is no reference in 'please': one looks like G7K2-9QFD; and no queue id\n"
    assert (said.status, said.err) == (1, wanted)


@pytest.mark.parametrize("words", [("why",), ("why", "G7K2-0000", "--to", "caio@caio.it"), ("why", "--since", "1h")])
def test_why_wants_either_a_reference_or_who_wrote_to_whom(host: Host, words: tuple[str, ...]) -> None:
    said = host.run(*words)
    assert (said.status, said.out) == (2, "")
    assert "by a reference or queue id, or by --client, --from, --to or --user" in said.err


@pytest.mark.parametrize(
    "words",
    [
        ("--client", "198.51.100.7"),
        ("--client", "mail.tizio.it[198.51.100.7]"),
        ("--client", "198.51.100.0/24"),
        ("--from", "tizio@tizio.it"),
        ("--from", "<Tizio@tizio.it>"),
        ("--from", "tizio.it"),
        ("--to", "caio@caio.it", "--from", "tizio@tizio.it", "--client", "198.51.100.7"),
    ],
)
def test_why_finds_a_decision_by_who_wrote_to_whom(host: Host, words: tuple[str, ...]) -> None:
    daemon = host.daemon()
    daemon.ask("203.0.113.9", "", "sempronio@sempronio.it", "other@caio.it")
    ref = daemon.ask().ref
    assert [entry["ref"] for entry in host.json("why", *words)] == [ref]


@pytest.mark.parametrize("null", ["", "<>"])
def test_the_null_sender_can_be_asked_for(host: Host, null: str) -> None:
    daemon = host.daemon()
    daemon.ask()
    ref = daemon.ask(sender="").ref
    assert [entry["ref"] for entry in host.json("why", "--from", null)] == [ref]
    assert "from: <>" in host.fine("why", ref)


def test_json_has_the_facts_the_words_and_the_times(host: Host) -> None:
    ref = host.daemon().ask().ref
    (entry,) = host.json("why", ref)
    assert entry["at"] == NOW
    assert entry["facts"]["delay"] == 300
    assert (entry["action"], entry["rehearsed"], entry["reason"]) == ("defer", "", "first-contact")
    assert entry["outcome"] == "deferred (come back later)"
    assert entry["why"].startswith("The recipient was asked")
    assert entry["next"].startswith("Nobody")


REHEARSED = {
    "first-contact": ("would have been deferred for 300 seconds (greylist.delay)", "sarebbe stato rimandato di 300"),
    "early-retry": ("would have been deferred once more", "sarebbe stato rimandato ancora"),
    "too-many-pending": ("would have been deferred", "sarebbe stato rimandato"),
}


@pytest.mark.parametrize("language", ["en", "it"])
@pytest.mark.parametrize("reason", REHEARSED)
def test_a_rehearsed_decision_is_never_said_to_have_deferred(host: Host, reason: str, language: str) -> None:
    host.configure('mode = "rehearse"\nmax_pending = 1')
    daemon = host.daemon()
    verdicts = [daemon.ask(), daemon.ask(after=100), daemon.ask(recipient="other@caio.it")]
    (ref,) = [verdict.ref for verdict in verdicts if verdict.reason == reason]
    (entry,) = host.json("why", ref, "--language", language)
    assert REHEARSED[reason][language == "it"] in entry["why"]
    assert ("let through" if language == "en" else "lasciato passare") in entry["why"]
    said = host.fine("why", ref, "--language", language)
    for deferring in ("are deferred", "was deferred", "comes back", "vengono rimandati", "è stato rimandato"):
        assert deferring not in said.partition("since most")[0]
    assert "?" not in entry["why"]


def test_the_journal_marks_what_was_not_carried_out(host: Host) -> None:
    host.configure('mode = "rehearse"')
    ref = host.daemon().ask().ref
    assert "let through; in earnest it would have been deferred" in host.fine("why", ref)
    assert "(defer)" in host.fine("journal")


def test_a_failure_points_to_the_log(host: Host) -> None:
    daemon = host.daemon()
    facts = Facts(client_of("192.0.2.1"), Envelope("a@b.it", "caio@caio.it"), Session(Stage.RCPT))
    verdict = Verdict(Action.DEFER, "greylist", FAILED, Reply(451, "4.3.0", "Temporary"), ref="ABCD-0000")
    daemon.journal.record(Entry.of(facts, verdict, NOW, "greylist"))
    daemon.settle()
    said = host.fine("why", "ABCD-0000")
    assert "The check itself failed, so the setting on_error decided. The daemon's log has the cause." in said
    assert "next:" not in said


# --- journal ---


@pytest.fixture
def busy(host: Host) -> Host:
    """Three decisions: two hours ago, an hour and a half ago, now."""
    daemon = host.daemon()
    daemon.ask("203.0.113.9", "", "sempronio@sempronio.it", "old@caio.it")
    daemon.ask(after=1800)
    daemon.ask(after=5, recipient="new@caio.it")
    daemon.ask(after=95)
    host.clock.time += 5300
    daemon.ask("2001:db8::1", "", "", "bounce@caio.it")
    return host


@pytest.mark.parametrize(
    ("words", "recipients"),
    [
        ((), ["bounce", "caio", "new", "caio", "old"]),
        (("--limit", "2"), ["bounce", "caio"]),
        (("--since", "1h"), ["bounce"]),
        (("--since", "95m", "--until", "1h"), ["caio", "new", "caio"]),
        (("--since", str(NOW), "--until", str(NOW + 1)), ["old"]),
        (("--since", "2026-09-21 14:40", "--until", "2026-09-21T15:00"), ["caio", "new", "caio"]),
        (("--until", "2026-09-22"), ["bounce", "caio", "new", "caio", "old"]),
        (("--verdict", "defer"), ["bounce", "caio", "new", "caio", "old"]),
        (("--verdict", "reject"), []),
        (("--reason", "early-retry"), ["caio"]),
        (("--daemon", "dnsbl"), []),
        (("--daemon", "vaglio-greylist", "--limit", "1"), ["bounce"]),
        (("--daemon", "inbound"), []),
        (("--daemon", "chain"), []),
        (("--client", "198.51.100.0/24"), ["caio", "new", "caio"]),
        (("--client", "2001:db8::/32"), ["bounce"]),
        (("--from", ""), ["bounce"]),
        (("--from", "sempronio.it"), ["old"]),
        (("--to", "NEW@caio.it"), ["new"]),
    ],
)
def test_the_journal_is_filtered(busy: Host, words: tuple[str, ...], recipients: list[str]) -> None:
    found = [entry["recipient"].partition("@")[0] for entry in busy.json("journal", *words)]
    assert found == recipients


def test_the_journal_is_a_table(busy: Host) -> None:
    head, *rows = busy.fine("journal").splitlines()
    assert " ".join(head.split()) == "when ref daemon verdict reason score client from to queue id"
    assert len(rows) == 5
    assert rows[0].split()[3:] == ["greylist", "defer", "first-contact", "2001:db8::1", "<>", "bounce@caio.it"]


@pytest.fixture
def milters(host: Host) -> Host:
    """Three messages: held by a chain, judged by another one, judged by a single milter."""
    common: dict[str, Any] = {"at": float(NOW), "action": "pass", "reason": "fail", "sender": "a@tizio.it"}
    journal = JournalWriter(host.state / "journal.sqlite", 1e9, 10**9, pytest.fail, host.clock.now)
    for entry in (
        Entry(ref="G7K2-9QF1", daemon="chain.inbound", check="spf", recipient="held@caio.it",
              queue_id="4YbT1z3mKjz9vN2", **{**common, "action": "hold"}),
        Entry(ref="G7K2-9QF2", daemon="chain.gone", check="spf", recipient="gone@caio.it", queue_id="4YBT1Z3MKJZ9VN2",
              **common),
        Entry(ref="G7K2-9QF3", daemon="spf", check="spf", recipient="spf@caio.it", queue_id="3B2C41A0F2", **common),
    ):  # fmt: skip
        journal.record(entry)
    journal.flush()
    journal.close()
    return host


@pytest.mark.parametrize(
    ("words", "recipients"),
    [
        (("--queue", "4YbT1z3mKjz9vN2"), ["held"]),
        (("--queue", "none"), []),
        (("--daemon", "inbound"), ["held"]),
        (("--daemon", "chain"), ["gone", "held"]),
        (("--daemon", "vaglio-chain gone"), ["gone"]),
        (("--daemon", "vaglio-spf"), ["spf"]),
    ],
)
def test_messages_are_found_by_queue_id_and_by_milter(
    milters: Host, words: tuple[str, ...], recipients: list[str]
) -> None:
    assert [one["recipient"].partition("@")[0] for one in milters.json("journal", *words)] == recipients


@pytest.mark.parametrize(
    "text", ["4YbT1z3mKjz9vN2", "Nov 22 12:00:00 mx postfix/cleanup[812]: 4YbT1z3mKjz9vN2: milter-hold: END-OF-MESSAGE"]
)
def test_why_takes_a_queue_id_and_says_how_to_release_what_is_held(milters: Host, text: str) -> None:
    said = milters.fine("why", text)
    assert "to: held@caio.it" in said
    assert "release: postsuper -H 4YbT1z3mKjz9vN2" in said
    assert "release" not in milters.fine("why", "3B2C41A0F2")


def test_a_queue_id_that_is_not_there_is_named(milters: Host) -> None:
    said = milters.run("why", "3B2C41A0F9")
    assert said.status == 1
    assert "there is no decision with the queue id 3B2C41A0F9 in the journal." in said.err


def test_a_journal_without_such_decisions_says_so(busy: Host) -> None:
    assert "no such decisions" in busy.fine("journal", "--to", "nobody@caio.it")
    assert busy.json("journal", "--to", "nobody@caio.it") == []


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--since", "yesterday"), 'wanted a time ago such as "1h"'),
        (("--since", "1 hour"), 'wanted a time ago such as "1h"'),
        (("--limit", "0"), "wanted a whole number of at least 1"),
        (("--limit", "-1"), "wanted a whole number of at least 1"),
        (("--verdict", "maybe"), "invalid choice"),
        (("--daemon", "greylists"), "found 'greylists', wanted one of greylist, dnsbl, ratelimit, spf, "),
    ],
)
def test_a_filter_that_makes_no_sense_is_wrong_usage(host: Host, words: tuple[str, ...], wanted: str) -> None:
    said = host.run("journal", *words)
    assert said.status == 2
    assert wanted in said.err


def test_a_client_that_is_no_address_is_an_error(busy: Host) -> None:
    said = busy.run("journal", "--client", "mail.tizio.it")
    assert (said.status, said.out) == (1, "")
    assert "neither an IP address nor a network" in said.err


# --- hostile input and trouble ---


def test_what_a_sender_wrote_never_reaches_the_terminal_raw(host: Host) -> None:
    daemon = host.daemon()
    sender, recipient = f'"{HOSTILE}"@tizio.it', "caio@caio.it"
    ref = daemon.ask(sender=sender, helo=HOSTILE, name=HOSTILE).ref
    for words in (("why", ref), ("journal",), ("why", "--to", recipient), ("greylist", "list"), ("greylist", "pools"),
                  ("greylist", "why", "--client", "198.51.100.7", "--from", sender, "--to", recipient)):  # fmt: skip
        said = host.run(*words)
        assert said.status == 0
        assert not [c for c in said.out + said.err if not c.isprintable() and c != "\n"], words
    assert host.json("why", ref)[0]["helo"] == HOSTILE


def test_a_journal_that_is_not_there_is_told(host: Host) -> None:
    said = host.run("journal")
    assert (said.status, said.out) == (1, "")
    assert f"there is no journal at {host.state / 'journal.sqlite'}" in said.err


def test_a_journal_that_is_no_journal_is_told(host: Host) -> None:
    (host.state / "journal.sqlite").write_bytes(b"not a database, but long enough to look at it" * 100)
    said = host.run("why", "G7K2-9QFD")
    assert (said.status, said.out) == (1, "")
    assert f"the journal {host.state / 'journal.sqlite'} can't be read" in said.err
    assert "and left as it is: a daemon that meets the damage sets the file aside" in said.err
    assert [path.name for path in host.state.iterdir()] == ["journal.sqlite"]


def test_a_journal_that_is_switched_off_is_told(host: Host) -> None:
    host.config.write_text(host.config.read_text() + "[journal]\nenabled = false\n")
    assert "journal.enabled is false" in host.run("why", "G7K2-9QFD").err


def test_a_state_in_memory_can_not_be_looked_into(host: Host) -> None:
    host.config.write_text('[state]\nurl = "memory:"\n')
    for words in (("journal",), ("greylist", "list"), ("greylist", "allow", "192.0.2.1")):
        said = host.run(*words)
        assert (said.status, said.out) == (1, "")
        assert 'state.url is "memory:"' in said.err


def test_entries_of_a_check_without_words_show_at_least_its_reason(host: Host) -> None:
    writer = JournalWriter(host.state / "journal.sqlite", 1e9, 10**9, print, host.clock.now)
    writer.record(Entry("ABCD-0000", NOW, "ratelimit", "ratelimit", "reject", reason="too-many", client="192.0.2.1"))
    writer.close()
    said = host.fine("why", "ABCD-0000")
    assert "what: refused for good, ref ABCD-0000" in said
    assert "why: too-many" in said
    assert "now: " not in said


@pytest.fixture
def scored(host: Host) -> Host:
    """Messages of a chain and of the milter alone, spam and not, one of them in rehearsal."""
    chain: dict[str, Any] = {"daemon": "chain.inbound", "check": "chain", "reason": "passed"}
    alone: dict[str, Any] = {"daemon": "score", "check": "score", "reason": "clean"}
    spam = {"score.score": 13.5, "score.required": 5.0, "score.spam": True, "score.because": "+13.5 a prize"}
    journal = JournalWriter(host.state / "journal.sqlite", 1e9, 10**9, pytest.fail, host.clock.now)
    rows: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
        ("G7K2-9QF1", "spam", chain, spam),
        ("G7K2-9QF2", "rehearsed", chain, {**spam, "rehearsal": True}),
        ("G7K2-9QF3", "alone", {**alone, "reason": "spam"}, {"score": 7.0, "spam": True}),
        ("G7K2-9QF4", "ham", alone, {"score": 0.5, "required": 5.0, "spam": False, "symbols": '"spam":true'}),
    ]
    for ref, recipient, whose, facts in rows:
        journal.record(Entry(ref=ref, at=float(NOW), action="pass", recipient=f"{recipient}@caio.it", facts=facts,
                             **whose))  # fmt: skip
    journal.flush()
    journal.close()
    return host


def test_spam_is_found_whatever_was_done_with_it(scored: Host) -> None:
    found = [one["recipient"].partition("@")[0] for one in scored.json("journal", "--spam")]
    assert found == ["alone", "rehearsed", "spam"]


def test_the_table_tells_scores_and_rehearsals(scored: Host) -> None:
    rows = {line.split()[2]: line.split()[4:7] for line in scored.fine("journal").splitlines()[1:]}
    assert rows == {
        "G7K2-9QF1": ["pass", "passed", "13.5/5"], "G7K2-9QF2": ["(pass)", "passed", "13.5/5"],
        "G7K2-9QF3": ["pass", "spam", "7"], "G7K2-9QF4": ["pass", "clean", "0.5/5"],
    }  # fmt: skip


def test_facts_do_not_say_again_what_why_says(scored: Host) -> None:
    said = scored.fine("why", "G7K2-9QF1")
    (line,) = [line for line in said.splitlines() if line.strip().startswith("facts:")]
    assert "score.score=13.5" in line
    assert "because" not in line
    assert said.count("+13.5 a prize") == 1
