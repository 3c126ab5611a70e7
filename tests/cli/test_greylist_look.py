"""``vaglio greylist list``, ``pools``, ``stats`` and ``report``."""

from __future__ import annotations

from typing import Any

import pytest

from vaglio.daemon.worker import WRITE_BACK

Host = Any  # of conftest.py
NOW = 1_790_000_000
TODAY = NOW // 86400 * 86400
DAY = 86400


@pytest.fixture
def week(host: Host) -> Host:
    """A few days of mail: tizio.it retries at once and again, slow.it late, spam never, late.it waits."""
    daemon = host.daemon()
    daemon.ask("203.0.113.1", "", "buy@spam.example", "caio@caio.it")
    daemon.ask("203.0.113.2", "", "buy2@spam.example", "sempronia@caio.it")
    daemon.ask()
    daemon.ask(after=60)
    daemon.ask(after=300)
    daemon.ask("192.0.2.9", "mx.slow.it", "news@slow.it", "caio@caio.it")
    daemon.ask("192.0.2.9", "mx.slow.it", "news@slow.it", "caio@caio.it", after=7200)
    host.clock.time += 3 * DAY
    daemon.sweep()
    daemon.ask("192.0.2.77", "mx.late.it", "", "caio@caio.it")
    return host


def test_list_shows_who_writes_to_whom(week: Host) -> None:
    head, *rows = week.fine("greylist", "list").splitlines()
    assert head.split("  ")[0] == "pool"
    assert [row.split()[:3] for row in rows] == [
        ["late.it", "<>", "caio@caio.it"],
        ["slow.it", "news@slow.it", "caio@caio.it"],
        ["tizio.it", "tizio@tizio.it", "caio@caio.it"],
    ]
    assert rows[0].endswith("1         waiting")
    assert rows[2].endswith("3         2026-09-21 14:19:20")


@pytest.mark.parametrize(
    ("words", "pools"),
    [
        (("--waiting",), ["late.it"]),
        (("--pool", "TIZIO.it"), ["tizio.it"]),
        (("--pool", "it"), []),
        (("--from", "slow"), ["slow.it"]),
        (("--from", "<>"), ["late.it"]),
        (("--from", "News@slow.it"), ["slow.it"]),
        (("--to", "CAIO.it", "--limit", "2"), ["late.it", "slow.it"]),
        (("--to", "nobody"), []),
    ],
)
def test_list_is_filtered(week: Host, words: tuple[str, ...], pools: list[str]) -> None:
    assert [one["pool"] for one in week.json("greylist", "list", *words)] == pools


def test_list_in_json_has_unix_seconds(week: Host) -> None:
    (one,) = week.json("greylist", "list", "--pool", "tizio.it")
    assert one == {"first": NOW, "last": NOW + 360, "passed": NOW + 360, "attempts": 3, "pool": "tizio.it",
                   "sender": "tizio@tizio.it", "recipient": "caio@caio.it"}  # fmt: skip


def test_an_address_finds_the_network_that_it_is_in(host: Host) -> None:
    host.daemon().ask(name="")
    assert [one["pool"] for one in host.json("greylist", "list", "--pool", "198.51.100.200")] == ["198.51.100.0/24"]


def test_a_sender_is_found_by_its_address_though_its_tag_is_folded(host: Host) -> None:
    host.daemon().ask(sender="list-1234-caio=caio.it@tizio.it")
    (one,) = host.json("greylist", "list", "--from", "list-77-caio=caio.it@tizio.it")
    assert one["sender"] == "list-#@tizio.it"


def test_list_without_anything_says_so(host: Host) -> None:
    host.daemon()
    assert host.fine("greylist", "list") == "no such triplets\n"
    assert host.json("greylist", "list") == []


def test_privacy_hides_the_addresses_and_says_so(host: Host) -> None:
    host.configure("privacy = true")
    (host.state / "greylist.secret").write_bytes(b"secret")
    host.daemon().ask()
    assert host.fine("greylist", "list").splitlines()[1].split()[1:3] == ["(hidden)", "(hidden)"]
    assert len(host.json("greylist", "list", "--pool", "tizio.it")) == 1
    said = host.run("greylist", "list", "--from", "tizio")
    assert (said.status, said.out) == (1, "")
    assert "with greylist.privacy addresses are not stored" in said.err


def test_pools_show_their_habits(week: Host) -> None:
    found = {one["pool"]: one for one in week.json("greylist", "pools")}
    assert set(found) == {"tizio.it", "slow.it", "late.it", "203.0.113.0/24"}
    numbers = ("contacts", "waiting", "retried", "lost", "early", "delivered", "median_retry")
    assert [found["tizio.it"][key] for key in numbers] == [1, 0, 1, 0, 1, 1, 60]
    assert [found["slow.it"][key] for key in numbers] == [1, 0, 1, 0, 0, 1, 7200]
    assert [found["late.it"][key] for key in numbers] == [1, 1, 0, 0, 0, 0, None]
    assert [found["203.0.113.0/24"][key] for key in numbers] == [2, 0, 0, 2, 0, 0, None]
    table = week.fine("greylist", "pools", "--limit", "10")
    assert "comes back after 1m, the delay is 5m: its first retry is deferred too" in table
    assert "comes back after 2h, late" in table
    assert table.splitlines()[1].startswith("203.0.113.0/24")
    assert len(week.json("greylist", "pools", "--limit", "1")) == 1


def test_pools_without_anything_say_so(host: Host) -> None:
    host.daemon()
    assert host.fine("greylist", "pools") == "no pools yet\n"


def test_stats_count_what_happened_day_by_day(week: Host) -> None:
    document = week.json("greylist", "stats")
    assert document["rows"] == {"triplets": 3, "pools": 3}
    nothing = dict.fromkeys(("early", "retried", "waited", "lost", "crowded", "rehearsed"), 0)
    assert document["days"] == [
        {**nothing, "day": TODAY, "contacts": 4, "early": 1, "retried": 2, "waited": 7560, "lost": 2},
        {**nothing, "day": TODAY + 3 * DAY, "contacts": 1},
    ]
    lines = week.fine("greylist", "stats").splitlines()
    assert lines[1].split() == ["2026-09-21", "4", "1", "2", "1h3m", "2", "0"]
    assert lines[2].split() == ["2026-09-24", "1", "0", "0", "-", "0", "0"]
    assert lines[3] == "As of 2026-09-24 16:19:18. 3 triplets and 3 pools are remembered now."
    assert len(week.json("greylist", "stats", "--days", "3")["days"]) == 1


def test_a_report_adds_up(week: Host) -> None:
    document = week.json("greylist", "report")
    counts = {"first_contacts": 5, "let_in": 2, "never_retried": 2, "waiting": 1, "early_retries": 1}
    assert {key: document[key] for key in counts} == counts
    assert (document["wait_median"], document["wait_p90"], document["wait_max"]) == (7200, 7200, 7200)
    assert [one["pool"] for one in document["late_pools"]] == ["slow.it"]
    assert document["lost_pools"] == [{"pool": "203.0.113.0/24", "lost": 2, "contacts": 2}]
    assert (document["never_back_pools"], document["rehearsed"]) == (1, 0)


def test_a_report_tells_the_gain_and_the_cost(week: Host) -> None:
    said = week.fine("greylist", "report", "--days", "7")
    for words in (
        "The last 7 days, as of 2026-09-24 16:19:18:\n  5 first contacts were deferred\n",
        "2 (40 %) came back and got in; they waited 2h (median), 2h (9 of 10), 2h (longest)\n",
        "2 (40 %) were never retried: most of this is the spam that stayed out\n",
        "1 (20 %) still wait for their sender to try again",
        "Pools that come back late (the cost; see vaglio greylist allow):\n"
        "pool     remark\nslow.it  comes back after 2h",
        "Pools whose contacts were never retried:\npool            lost\n203.0.113.0/24  2\n",
    ):
        assert words in said
    assert "rehearsal" not in said


def test_a_report_of_days_without_mail_is_short(host: Host) -> None:
    host.daemon()
    assert host.fine("greylist", "report") == (
        "The last 30 days, as of 2026-09-21 14:13:18:\n  no first contacts\n"
    )
    assert host.json("greylist", "report")["wait_median"] is None


def test_what_the_daemons_may_not_have_written_down_yet_is_not_claimed(week: Host) -> None:
    at = int(week.clock.time)
    for command in ("report", "stats"):
        assert week.json("greylist", command)["as_of"] == at - WRITE_BACK
    assert week.json("greylist", "report", "--now", str(at - DAY))["as_of"] == at - DAY


def test_a_report_leaves_out_what_is_older(week: Host) -> None:
    assert week.json("greylist", "report", "--days", "1")["first_contacts"] == 1


def test_a_report_on_a_rehearsal_says_what_would_have_been(host: Host) -> None:
    host.configure('mode = "rehearse"')
    daemon = host.daemon()
    daemon.ask()
    daemon.ask(after=86000)
    said = host.fine("greylist", "report")
    assert "0 first contacts were deferred; 1 more would have been, but it was a rehearsal" in said
    assert host.json("greylist", "report")["rehearsed"] == 1


def test_times_that_are_none_do_not_break_the_table(host: Host) -> None:
    daemon = host.daemon()
    host.clock.time = 10.0**13
    daemon.ask()
    host.clock.time = NOW
    assert "10000000000000" in host.fine("greylist", "list")
