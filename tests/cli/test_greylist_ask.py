"""``vaglio greylist check`` and ``why``."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

Host = Any  # of conftest.py
NOW = 1_790_000_000
ARGS = ("--client", "mail.tizio.it[198.51.100.7]", "--from", "tizio@tizio.it", "--to", "caio@caio.it")


def contents(store: Path) -> list[str]:
    with closing(sqlite3.connect(store)) as db:
        return list(db.iterdump())


def test_check_follows_a_triplet_through_its_life(host: Host) -> None:
    daemon = host.daemon()

    def answer() -> str:
        return str(host.fine("greylist", "check", *ARGS).splitlines()[0])

    assert answer() == "defer first-contact"
    daemon.ask()
    assert answer() == "defer early-retry"
    daemon.ask(after=400)
    assert answer() == "pass known"


def test_check_changes_nothing(host: Host) -> None:
    daemon = host.daemon()
    daemon.ask()
    before = contents(host.state / "greylist.sqlite")
    files = sorted(path.name for path in host.state.iterdir())
    for _ in range(3):
        host.fine("greylist", "check", *ARGS, "--now", str(NOW + 400))
        host.fine("greylist", "why", *ARGS, "--now", str(NOW + 400))
    assert contents(host.state / "greylist.sqlite") == before
    assert sorted(path.name for path in host.state.iterdir()) == files


def test_check_judges_as_of_any_time(host: Host) -> None:
    host.daemon().ask()
    found = [
        host.json("greylist", "check", *ARGS, "--now", str(NOW + seconds)) for seconds in (299, 300, 3 * 86400)
    ]
    assert [(one["action"], one["reason"]) for one in found] == [
        ("defer", "early-retry"), ("pass", "retried"), ("defer", "first-contact"),
    ]  # fmt: skip
    assert (found[0]["left"], found[0]["waited"], found[0]["by"]) == (1, 299, "greylist.delay")


def test_check_says_why_and_what_next_in_words(host: Host) -> None:
    host.daemon()
    said = host.fine("greylist", "check", *ARGS)
    assert "asked for the first time by this sender from tizio.it" in said
    assert "300 seconds (greylist.delay)" in said
    assert "primo contatto" in host.fine("greylist", "check", *ARGS, "--language", "it")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ('trusted_networks = ["198.51.100.0/24"]', "pass local-network"),
        ("[[greylist.rule]]\nrecipients = ['caio@caio.it']\ngreylist = false", "greylist.rule[0]"),
    ],
)
def test_check_names_the_setting_that_exempts(host: Host, setting: str, words: str) -> None:
    host.configure(setting)
    host.daemon()
    assert words in host.fine("greylist", "check", *ARGS)


def test_check_names_the_line_of_a_whitelist(host: Host) -> None:
    host.daemon()
    host.fine("greylist", "allow", "tizio.it")
    said = host.fine("greylist", "check", *ARGS)
    assert "pass client-whitelisted" in said
    assert f"tizio.it at {host.state / 'greylist-allow-clients'}:1" in said


def test_a_client_without_a_name_is_judged_by_its_network(host: Host) -> None:
    daemon = host.daemon()
    daemon.ask(name="")
    for client in ("198.51.100.99", "unknown[198.51.100.99]:4711"):
        found = host.json("greylist", "check", "--client", client, *ARGS[2:])
        assert (found["reason"], found["pool"]) == ("early-retry", "198.51.100.0/24")


def test_a_name_that_nobody_gave_is_said_not_to_be_looked_up(host: Host) -> None:
    host.daemon()
    bare = ("--client", "198.51.100.7", *ARGS[2:])
    note = host.json("greylist", "check", *bare)["note"]
    assert "its pool is its network, 198.51.100.0/24" in note
    assert host.fine("greylist", "check", *bare).endswith(f"  {note}\n")
    italian = host.fine("greylist", "check", *bare, "--language", "it")
    assert "il suo pool è quindi la sua rete, 198.51.100.0/24" in italian
    for given in (ARGS, (*bare, "--name", "mail.tizio.it"), ("--client", "unknown[198.51.100.7]", *ARGS[2:])):
        assert host.json("greylist", "check", *given)["note"] == ""
        assert "looked up" not in host.fine("greylist", "check", *given)


@pytest.mark.parametrize("setting", ['key = "network"', 'trusted_networks = ["198.51.100.0/24"]'])
def test_a_missing_name_says_nothing_of_the_pool_where_that_does_not_depend_on_it(host: Host, setting: str) -> None:
    host.configure(setting)
    host.daemon()
    note = host.json("greylist", "check", "--client", "198.51.100.7", *ARGS[2:])["note"]
    assert "no rule by name can fit" in note
    assert "pool" not in note


def test_the_name_may_be_given_apart(host: Host) -> None:
    host.daemon().ask()
    args = ("--client", "198.51.100.99", "--name", "other.tizio.it", *ARGS[2:])
    assert host.json("greylist", "check", *args)["pool"] == "tizio.it"


def test_check_tells_when_it_is_only_a_rehearsal(host: Host) -> None:
    host.configure('mode = "rehearse"')
    host.daemon()
    assert "(mode is rehearse: it would pass all the same)" in host.fine("greylist", "check", *ARGS)
    document = host.json("greylist", "check", *ARGS)
    assert document["rehearsal"] is True
    assert "would have been deferred for 300 seconds" in document["why"]
    assert document["next"].startswith("Nothing")


@pytest.mark.parametrize("bad", ["mail.tizio.it", "198.51.100", "198.51.100.0/24", "", "x[y]"])
def test_a_client_that_is_none_is_wrong_usage(host: Host, bad: str) -> None:
    said = host.run("greylist", "check", "--client", bad, *ARGS[2:])
    assert said.status == 2
    assert f'found {bad!r}, wanted "198.51.100.7" or "mail.tizio.it[198.51.100.7]"' in said.err


@pytest.mark.parametrize("bad", ["nan", "inf", "-1", "tomorrow", "1e30"])
def test_a_time_that_is_none_is_wrong_usage(host: Host, bad: str) -> None:
    said = host.run("greylist", "check", *ARGS, f"--now={bad}")
    assert said.status == 2
    assert "wanted a time in Unix seconds" in said.err


def test_why_tells_what_is_remembered_and_was_decided(host: Host) -> None:
    daemon = host.daemon()
    ref = daemon.ask().ref
    early = daemon.ask(after=60).ref
    said = host.fine("greylist", "why", *ARGS)
    assert said.startswith("Now: defer early-retry\n")
    assert "first contact 2026-09-21 14:13:20, last 2026-09-21 14:14:20, 2 contacts, not let in yet" in said
    assert "Pool tizio.it: 0 deliveries counted" in said
    assert "comes back after 1m" in said
    assert f"early-retry for 198.51.100.7, ref {early}\n" in said
    assert f"first-contact for 198.51.100.7, ref {ref}\n" in said
    document = host.json("greylist", "why", *ARGS)
    assert document["triplet"] == {"first": NOW, "last": NOW + 60, "passed": 0, "attempts": 2}
    assert [one["reason"] for one in document["decisions"]] == ["early-retry", "first-contact"]
    assert document["pool_record"]["median_retry"] == 60


def test_why_works_for_what_was_never_seen_and_without_a_journal(host: Host) -> None:
    host.daemon()
    said = host.run("greylist", "why", *ARGS)
    assert said.status == 0
    assert "Remembered: nothing of this sender and recipient from tizio.it" in said.out
    assert "there is no journal" in said.err


def test_why_says_nothing_of_memory_for_who_is_never_asked(host: Host) -> None:
    host.configure('trusted_networks = ["198.51.100.0/24"]')
    daemon = host.daemon()
    daemon.ask("192.0.2.1", "")
    assert "Remembered" not in host.fine("greylist", "why", *ARGS)


def test_privacy_is_no_hindrance_to_who_knows_the_addresses(host: Host) -> None:
    host.configure("privacy = true")
    (host.state / "greylist.secret").write_bytes(b"secret")
    host.daemon().ask()
    assert host.json("greylist", "check", *ARGS)["reason"] == "early-retry"
    assert host.json("greylist", "why", *ARGS)["triplet"]["attempts"] == 1


def test_a_missing_secret_is_told(host: Host) -> None:
    host.configure("privacy = true")
    host.daemon()
    said = host.run("greylist", "check", *ARGS)
    assert (said.status, said.out) == (1, "")
    assert "greylist.secret yet: has the daemon run" in said.err
