"""``vaglio why`` on what became of a deferred message since then."""

from __future__ import annotations

import re
from typing import Any

import pytest

from vaglio.cli.greylist_since import _SENTENCES
from vaglio.journal.schema import FILE_NAME

Host = Any  # of conftest.py
NOW = 1_790_000_000  # 2026-09-21 14:13:20 UTC
DAY = 86400
REHEARSE = 'mode = "rehearse"'


def test_who_came_back_was_let_in(host: Host) -> None:
    daemon = host.daemon()
    first = daemon.ask().ref
    early = daemon.ask(after=60).ref
    daemon.ask(after=300)
    for ref in (first, early):
        assert "since then: let in at 2026-09-21 14:19:20 after 360 seconds\n" in host.fine("why", ref)
        assert host.json("why", ref)[0]["since"] == {
            "state": "let-in", "text": "let in at 2026-09-21 14:19:20 after 360 seconds",
            "at": NOW + 360, "waited": 360,
        }  # fmt: skip
    italian = host.fine("why", first, "--language", "it")
    assert "da allora: accettato il 2026-09-21 14:19:20 dopo 360 secondi\n" in italian


def test_who_has_not_come_back_yet_is_still_waiting(host: Host) -> None:
    daemon = host.daemon()
    ref = daemon.ask().ref
    daemon.ask(after=60)
    (entry,) = host.json("why", ref)
    assert (entry["since"]["state"], entry["since"]["at"]) == ("waiting", None)
    assert (
        "since then: still waiting: last seen at 2026-09-21 14:14:20, and it may come back until 2026-09-23 14:13:20\n"
        in host.fine("why", ref)
    )


@pytest.mark.parametrize("swept", [False, True])
def test_who_never_came_back_is_told_whether_the_triplet_is_still_there_or_not(host: Host, swept: bool) -> None:
    daemon = host.daemon()
    ref = daemon.ask().ref
    host.clock.time += 2 * DAY + 1
    if swept:
        daemon.sweep()
    assert "since then: never came back from tizio.it within 2d\n" in host.fine("why", ref)
    assert host.json("why", ref)[0]["since"]["state"] == "never-retried"


def test_a_later_first_contact_is_not_taken_for_a_retry(host: Host) -> None:
    daemon = host.daemon()
    ref = daemon.ask().ref
    again = daemon.ask(after=3 * DAY).ref
    daemon.ask(after=400)
    (entry,) = host.json("why", ref)
    assert entry["since"]["text"] == (
        "never came back from tizio.it within 2d; a new first contact was made at 2026-09-24 14:13:20"
    )
    assert host.json("why", again)[0]["since"]["state"] == "let-in"


def test_a_retry_under_a_verified_name_is_found(host: Host) -> None:
    daemon = host.daemon()
    ref = daemon.ask().ref
    daemon.ask("198.51.100.8", "", after=60)
    daemon.ask("198.51.100.9", "other.tizio.it", after=300)
    assert host.json("why", ref)[0]["since"]["state"] == "let-in"


def test_what_was_forgotten_by_hand_is_not_said_to_have_stayed_away(host: Host) -> None:
    ref = host.daemon().ask().ref
    host.fine("greylist", "forget", "--pool", "tizio.it")
    (entry,) = host.json("why", ref)
    assert entry["since"] == {"state": "unknown", "text": "nothing is remembered of it from tizio.it", "at": None,
                              "waited": None}  # fmt: skip


def test_who_was_not_even_remembered_leaves_no_trace(host: Host) -> None:
    host.configure("max_pending = 1")
    daemon = host.daemon()
    daemon.ask()
    ref = daemon.ask(recipient="other@caio.it").ref
    assert host.json("why", ref)[0]["since"]["text"] == "nobody can tell: it was not even remembered"
    host.clock.time += 3 * DAY
    assert host.json("why", ref)[0]["since"]["state"] == "unknown"


def test_who_passes_unasked_by_now_may_have_come_back(host: Host) -> None:
    ref = host.daemon().ask().ref
    host.fine("greylist", "allow", "tizio.it")
    (entry,) = host.json("why", ref)
    assert entry["since"]["state"] == "unknown"
    assert entry["since"]["text"].endswith("it passes unasked (client-whitelisted)")


def test_a_pool_with_a_good_record_by_now_leaves_no_trace_in_the_triplet(host: Host) -> None:
    host.configure("auto_whitelist = 1")
    daemon = host.daemon()
    ref = daemon.ask().ref
    daemon.ask(recipient="other@caio.it", after=1)
    daemon.ask(recipient="other@caio.it", after=400)
    assert host.json("why", ref)[0]["since"]["text"].endswith("it passes unasked (auto-whitelisted)")
    others = {entry["recipient"]: entry["since"]["state"] for entry in host.json("why", "--from", "tizio@tizio.it")}
    assert others == {"caio@caio.it": "unknown", "other@caio.it": "let-in"}


def test_bounces_that_wait_at_data_are_found(host: Host) -> None:
    ref = host.daemon().ask(sender="").ref
    host.configure('null_sender = "data"')
    assert host.json("why", ref)[0]["since"]["state"] == "waiting"


def test_a_rehearsal_never_says_that_anybody_came_back(host: Host) -> None:
    host.configure(REHEARSE)
    daemon = host.daemon()
    ref = daemon.ask().ref
    assert "since then: has not written again since 2026-09-21 14:13:20" in host.fine("why", ref)
    daemon.ask(after=400)
    assert (
        "since then: wrote again at 2026-09-21 14:20:00, 400 seconds after the first contact: "
        "it would have been let in\n"
        in host.fine("why", ref)
    )
    ref = daemon.ask(recipient="other@caio.it").ref
    host.clock.time += 3 * DAY
    assert "since then: did not write again from tizio.it within 2d, and had no reason to\n" in host.fine("why", ref)


def test_privacy_is_no_hindrance(host: Host) -> None:
    host.configure("privacy = true")
    (host.state / "greylist.secret").write_bytes(b"secret")
    ref = host.daemon().ask().ref
    assert host.json("why", ref)[0]["since"]["state"] == "waiting"


@pytest.mark.parametrize("store", [None, b"no database at all, and longer than a page header is" * 40])
def test_without_a_store_the_rest_is_told(host: Host, store: bytes | None) -> None:
    ref = host.daemon().ask().ref
    host.stop()
    for path in host.state.iterdir():
        if not path.name.startswith(FILE_NAME):
            path.unlink()
    if store:
        (host.state / "greylist.sqlite").write_bytes(store)
    said = host.run("why", ref)
    assert (said.status, said.err.count("\n")) == (0, 1)
    assert "what happened since then is not known: " in said.err
    assert "since then" not in said.out
    assert "300 seconds (greylist.delay)" in said.out


def test_both_languages_say_the_same_things() -> None:
    english, italian = _SENTENCES["en"], _SENTENCES["it"]
    assert english.keys() == italian.keys()
    for key, sentence in english.items():
        assert set(re.findall(r"{\w+}", sentence)) == set(re.findall(r"{\w+}", italian[key])), key
