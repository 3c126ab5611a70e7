"""``vaglio greylist allow``: the file, and what a running check makes of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

Host = Any  # of conftest.py
ZONE = """\
tizio.it TXT "v=spf1 ip4:198.51.100.0/25 ip4:203.0.113.7 include:out.example exists:%{i}.tizio.it -all"
out.example TXT "v=spf1 ip6:2001:db8:1::/48 -all"
plain.it MX 10 mx.plain.it
mx.plain.it A 192.0.2.33
nothing.it TXT "v=spf1 -all"
broken.it TXT "v=spf1 ip4:192.0.2.1 include:dead.example -all"
dead.example TXT TIMEOUT
"""


@pytest.fixture
def zone(tmp_path: Path) -> str:
    path = tmp_path / "zone"
    path.write_text(ZONE)
    return str(path)


def clients(host: Host) -> Path:
    return Path(host.state / "greylist-allow-clients")


def entries(host: Host, *words: str) -> list[str]:
    return [one["entry"] for one in host.json("greylist", "allow", *words)]


def test_who_is_allowed_passes_in_a_running_check_and_who_is_not_any_more_waits(host: Host) -> None:
    daemon = host.daemon()
    assert daemon.ask().reason == "first-contact"
    assert host.fine("greylist", "allow", "tizio.it") == f"tizio.it is allowed ({clients(host)})\n"
    daemon.lists.refresh()
    assert daemon.ask().reason == "client-whitelisted"
    assert "is not allowed any more" in host.fine("greylist", "allow", "tizio.it", "--remove")
    daemon.lists.refresh()
    assert daemon.ask().reason == "early-retry"
    assert daemon.warnings == []


@pytest.mark.parametrize(
    ("kind", "entry", "reason"),
    [
        ("clients", "198.51.100.0/24", "client-whitelisted"),
        ("senders", "tizio@", "sender-whitelisted"),
        ("senders", "tizio.it", "sender-whitelisted"),
        ("recipients", "caio@caio.it", "recipient-whitelisted"),
        ("recipients", "/^(caio|sempronia)@/", "recipient-whitelisted"),
    ],
)
def test_every_kind_of_entry_takes_effect(host: Host, kind: str, entry: str, reason: str) -> None:
    host.fine("greylist", "allow", "--as", kind, entry, "--comment", "they are slow")
    daemon = host.daemon()
    assert daemon.ask().reason == reason
    assert daemon.warnings == []
    (one,) = host.json("greylist", "allow")
    assert (one["kind"], one["entry"], one["comment"]) == (kind, entry, "2026-09-21 14:13:20 they are slow")


def test_allowing_twice_changes_nothing(host: Host) -> None:
    host.fine("greylist", "allow", "tizio.it")
    before = clients(host).read_text(), clients(host).stat().st_mtime_ns
    host.clock.time += 1000
    assert "TIZIO.it. is allowed already (2026-09-21 14:13:20)" in host.fine("greylist", "allow", "TIZIO.it.")
    assert (clients(host).read_text(), clients(host).stat().st_mtime_ns) == before


def test_a_new_comment_replaces_the_old_one(host: Host) -> None:
    host.fine("greylist", "allow", "192.0.2.0/24", "--comment", "old")
    host.fine("greylist", "allow", "192.0.2", "--comment", "new\nlines  and # marks")
    assert clients(host).read_text() == "192.0.2  # 2026-09-21 14:13:20 new lines and # marks\n"


def test_what_was_written_by_hand_stays(host: Host) -> None:
    clients(host).write_bytes(b"# our own\n\n192.0.2.1\nnot an entry!\n\xff\n")
    host.fine("greylist", "allow", "tizio.it")
    host.fine("greylist", "allow", "192.0.2.1/32", "--remove")
    assert clients(host).read_bytes() == b"# our own\n\nnot an entry!\n\xff\ntizio.it  # 2026-09-21 14:13:20\n"
    assert entries(host) == ["tizio.it"]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("198.51.100.300",), 'an address or network such as "192.0.2.1"'),
        (("not a name",), "an address, a network, a domain name"),
        (("/(/",), "an expression that RE2 takes"),
        (("/unfinished",), "an expression between two slashes"),
        (("tizio@tizio.it",), "an address, a network, a domain name"),
        (("--as", "senders", "a b@c"), 'an address, "user@"'),
        (("",), "one entry"),
        (("# comment",), "one entry; a comment goes into --comment"),
        (("tizio.it # because",), "one entry; a comment goes into --comment"),
        (("/a\nb/",), "one entry"),
        (("/a\u2028b/",), "one entry"),
    ],
)
def test_what_is_no_entry_is_refused_with_what_is_wanted(host: Host, words: tuple[str, ...], wanted: str) -> None:
    said = host.run("greylist", "allow", *words)
    assert (said.status, said.out) == (1, "")
    assert wanted in said.err
    assert list(host.state.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ("--remove",),
        ("tizio.it", "--domain", "tizio.it"),
        ("tizio.it", "--zone", "/dev/null"),
        ("--domain", "tizio.it", "--as", "senders"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(host: Host, words: tuple[str, ...]) -> None:
    said = host.run("greylist", "allow", *words)
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("vaglio: ")


def test_removing_what_is_not_there_is_told(host: Host) -> None:
    said = host.run("greylist", "allow", "tizio.it", "--remove")
    assert (said.status, said.err) == (1, f"vaglio: tizio.it is not in {clients(host)}: see vaglio greylist allow\n")


def test_the_list_of_allowed_shows_all_kinds_or_one(host: Host) -> None:
    assert host.fine("greylist", "allow") == "nobody is allowed by hand\n"
    host.fine("greylist", "allow", "192.0.2.1")
    host.fine("greylist", "allow", "--as", "senders", "tizio@")
    assert [line.split()[:2] for line in host.fine("greylist", "allow").splitlines()] == [
        ["kind", "entry"], ["clients", "192.0.2.1"], ["senders", "tizio@"],
    ]  # fmt: skip
    assert entries(host, "--as", "senders") == ["tizio@"]


def test_json_says_what_was_done(host: Host) -> None:
    assert host.json("greylist", "allow", "192.0.2.1") == {
        "kind": "clients", "entry": "192.0.2.1", "allowed": True, "file": str(clients(host)),
    }  # fmt: skip
    assert host.json("greylist", "allow", "192.0.2.1", "--remove")["allowed"] is False


# --- the file ---


def test_the_file_is_replaced_whole_and_readable_for_the_daemon(host: Host) -> None:
    host.fine("greylist", "allow", "192.0.2.1")
    before = clients(host).stat()
    assert stat.S_IMODE(before.st_mode) == 0o644
    with clients(host).open() as reader:
        host.fine("greylist", "allow", "192.0.2.2")
        assert len(reader.readlines()) == 1  # who reads the old file reads all of it
    assert clients(host).stat().st_ino != before.st_ino
    assert [path.name for path in host.state.iterdir()] == ["greylist-allow-clients"]


def test_a_write_that_fails_leaves_the_file_as_it_was(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.fine("greylist", "allow", "192.0.2.1")

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "replace", full)
    said = host.run("greylist", "allow", "192.0.2.2")
    assert (said.status, said.err) == (1, f"vaglio: {clients(host)} can't be written: {os.strerror(28)}\n")
    assert [path.name for path in host.state.iterdir()] == ["greylist-allow-clients"]
    assert entries(host) == ["192.0.2.1"]


def test_a_state_directory_that_is_not_there_is_told(host: Host) -> None:
    host.state.rmdir()
    said = host.run("greylist", "allow", "192.0.2.1")
    assert (said.status, said.err) == (
        1, f"vaglio: there is no {host.state} yet: has the daemon run with this configuration?\n",
    )  # fmt: skip


# --- the networks of a domain ---


def test_a_domain_is_allowed_by_the_networks_that_it_sends_from(host: Host, zone: str) -> None:
    said = host.run("greylist", "allow", "--domain", "Tizio.it", "--zone", zone, "--comment", "partner")
    assert said.status == 0
    assert "tizio.it: 3 networks are allowed" in said.out
    assert "a macro, not followed" in said.err
    assert entries(host) == ["198.51.100.0/25", "203.0.113.7/32", "2001:db8:1::/48"]
    assert host.json("greylist", "allow")[0]["comment"] == "2026-09-21 14:13:20 domain tizio.it; partner"
    assert host.daemon().ask(name="").reason == "client-whitelisted"


def test_a_domain_without_spf_is_allowed_by_its_mx(host: Host, zone: str) -> None:
    host.fine("greylist", "allow", "--domain", "plain.it", "--zone", zone)
    assert entries(host) == ["192.0.2.33/32"]


def test_running_it_again_takes_in_what_changed_and_nothing_else(host: Host, zone: str) -> None:
    host.fine("greylist", "allow", "192.0.2.1", "--comment", "domain plain.it; by hand it would be odd")
    host.fine("greylist", "allow", "10.1.0.0/16", "--comment", "subdomain plain.it;")
    host.fine("greylist", "allow", "--domain", "plain.it", "--zone", zone)
    Path(zone).write_text("plain.it TXT \"v=spf1 ip4:192.0.2.64/26 -all\"")
    host.fine("greylist", "allow", "--domain", "plain.it", "--zone", zone)
    assert entries(host) == ["10.1.0.0/16", "192.0.2.64/26"]
    assert "plain.it: 1 networks are not allowed" in host.fine("greylist", "allow", "--domain", "plain.it", "--remove")
    assert entries(host) == ["10.1.0.0/16"]
    said = host.run("greylist", "allow", "--domain", "plain.it", "--remove")
    assert (said.status, said.err) == (1, f"vaglio: no networks of plain.it are in {clients(host)}\n")


def test_the_zone_file_of_the_configuration_serves_too(host: Host, zone: str) -> None:
    host.config.write_text(host.config.read_text() + f'[dns]\nzone_file = "{zone}"\n')
    assert host.json("greylist", "allow", "--domain", "plain.it")["networks"] == ["192.0.2.33/32"]


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        ("nothing.it", "no networks were found for nothing.it: nothing is changed"),
        ("unknown.it", "no networks were found for unknown.it: nothing is changed"),
        ("no domain", "no networks were found for no domain: nothing is changed"),
        ("broken.it", "dead.example TXT could not be looked up: nothing is changed, try again later"),
    ],
)
def test_a_look_up_that_finds_nothing_or_half_changes_nothing(host: Host, zone: str, domain: str, words: str) -> None:
    host.fine("greylist", "allow", "--domain", "plain.it", "--zone", zone)
    before = clients(host).read_text()
    said = host.run("greylist", "allow", "--domain", domain, "--zone", zone)
    assert (said.status, said.out) == (1, "")
    assert words in said.err
    assert clients(host).read_text() == before


def test_a_bad_zone_file_is_told(host: Host, zone: str) -> None:
    Path(zone).write_text("tizio.it A nowhere")
    said = host.run("greylist", "allow", "--domain", "tizio.it", "--zone", zone)
    assert (said.status, said.out) == (1, "")
    assert f"{zone}: line 1: found 'nowhere', wanted an address for A" in said.err
