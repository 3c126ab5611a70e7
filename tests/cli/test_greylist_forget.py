"""``vaglio greylist forget``."""

from __future__ import annotations

from typing import Any

import pytest

Host = Any  # of conftest.py


@pytest.fixture
def known(host: Host) -> tuple[Host, Any]:
    """Two pools with a triplet let in and one waiting each."""
    daemon = host.daemon()
    for address, name, sender in (
        ("198.51.100.7", "mail.tizio.it", "tizio@tizio.it"), ("203.0.113.9", "", "news-12@lists.example"),
    ):  # fmt: skip
        daemon.ask(address, name, sender)
        daemon.ask(address, name, sender, after=400)
        daemon.ask(address, name, sender, "sempronia@caio.it")
    return host, daemon


def remembered(host: Host) -> list[tuple[str, str, str]]:
    return sorted((one["pool"], one["sender"], one["recipient"]) for one in host.json("greylist", "list"))


def test_a_pool_is_forgotten_with_its_good_record_and_greylisted_again(known: tuple[Host, Any]) -> None:
    host, daemon = known
    said = host.fine("greylist", "forget", "--pool", "Tizio.it")
    assert said == "2 triplets and the record of the pool forgotten\n"
    assert [pool for pool, _, _ in remembered(host)] == ["203.0.113.0/24"] * 2
    assert [one["pool"] for one in host.json("greylist", "pools")] == ["203.0.113.0/24"]
    assert daemon.ask(after=10).reason == "first-contact"


def test_a_network_is_named_by_any_address_in_it(known: tuple[Host, Any]) -> None:
    host, _ = known
    assert host.json("greylist", "forget", "--pool", "203.0.113.200") == {"triplets": 2, "pools": 1}


def test_a_sender_is_forgotten_and_the_pools_record_stays(known: tuple[Host, Any]) -> None:
    host, _ = known
    assert host.fine("greylist", "forget", "--from", "<news-77@lists.example>") == "2 triplets forgotten\n"
    assert {pool for pool, _, _ in remembered(host)} == {"tizio.it"}
    assert {one["pool"] for one in host.json("greylist", "pools")} == {"tizio.it", "203.0.113.0/24"}


def test_what_is_named_must_all_hold(known: tuple[Host, Any]) -> None:
    host, _ = known
    words = ("--pool", "tizio.it", "--from", "tizio@tizio.it", "--to", "Sempronia@caio.it")
    assert host.json("greylist", "forget", *words) == {"triplets": 1, "pools": 0}
    assert ("tizio.it", "tizio@tizio.it", "caio@caio.it") in remembered(host)


def test_a_recipient_is_forgotten_and_who_waits_is_counted_right(known: tuple[Host, Any]) -> None:
    host, _ = known
    assert [one["waiting"] for one in host.json("greylist", "pools")] == [1, 1]
    assert host.json("greylist", "forget", "--to", "sempronia@caio.it")["triplets"] == 2
    assert [one["waiting"] for one in host.json("greylist", "pools")] == [0, 0]
    assert [one["retried"] for one in host.json("greylist", "pools")] == [1, 1]


def test_the_null_sender_can_be_forgotten_alone(known: tuple[Host, Any]) -> None:
    host, daemon = known
    daemon.ask(sender="")
    assert host.json("greylist", "forget", "--from", "")["triplets"] == 1
    assert len(remembered(host)) == 4


def test_the_records_of_sender_domains_go_with_their_pool(host: Host) -> None:
    host.configure("auto_whitelist_domain = 1")
    daemon = host.daemon()
    daemon.ask()
    daemon.ask(after=400)
    assert daemon.ask(sender="other@tizio.it").reason == "auto-whitelisted-domain"
    assert host.json("greylist", "forget", "--pool", "tizio.it") == {"triplets": 1, "pools": 2}
    assert daemon.ask(after=10).reason == "first-contact"


def test_many_triplets_are_forgotten_in_steps(host: Host) -> None:
    daemon = host.daemon()
    for number in range(20):
        daemon.ask(name="", recipient=f"{number}@caio.it", sender=f"{'x' * number}@tizio.it")
    assert host.json("greylist", "forget", "--pool", "198.51.100.0/24")["triplets"] == 20


def test_nothing_to_forget_is_no_error(known: tuple[Host, Any]) -> None:
    host, _ = known
    assert host.fine("greylist", "forget", "--pool", "unknown.it") == "nothing of that is remembered\n"
    assert len(remembered(host)) == 4


def test_forgetting_everything_takes_more_than_no_option(known: tuple[Host, Any]) -> None:
    host, _ = known
    said = host.run("greylist", "forget")
    assert (said.status, said.err) == (2, "vaglio: say what to forget: --pool, --from or --to\n")
    assert len(remembered(host)) == 4


def test_with_privacy_only_pools_can_be_forgotten(host: Host) -> None:
    host.configure("privacy = true")
    (host.state / "greylist.secret").write_bytes(b"secret")
    daemon = host.daemon()
    daemon.ask()
    daemon.ask(after=400)
    said = host.run("greylist", "forget", "--from", "tizio@tizio.it")
    assert (said.status, said.out) == (1, "")
    assert "forget a --pool instead" in said.err
    assert host.json("greylist", "forget", "--pool", "tizio.it") == {"triplets": 1, "pools": 1}
