from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.journal.entry import Entry
from vaglio.journal.query import JournalReader
from vaglio.journal.schema import MAX_FACTS, MAX_TEXT, decode, entry_of, pack_facts, row_of
from vaglio.verdict import Action, Reply, Verdict

FACTS = Facts(
    client_of("::ffff:192.0.2.1", "mail.tizio.it"),
    Envelope("tizio@tizio.it", "caio@caio.it"),
    Session(Stage.RCPT, "helo.tizio.it", instance="1.2.3", queue_id="4abc", sasl_username="tizio"),
)


def test_an_entry_holds_the_question_and_the_answer() -> None:
    reply = Reply(450, "4.7.1", "come back in 300 seconds (ref G7K2-9QFD)")
    verdict = Verdict(Action.DEFER, "grey", "first", reply, facts={"delay": 300}, ref="G7K2-9QFD")
    assert Entry.of(FACTS, verdict, 5.5, "greylist", "mx.caio.it") == Entry(
        ref="G7K2-9QFD",
        at=5.5,
        daemon="greylist",
        check="grey",
        action="defer",
        rehearsed="",
        reason="first",
        reply="450 4.7.1 come back in 300 seconds (ref G7K2-9QFD)",
        client="192.0.2.1",
        client_name="mail.tizio.it",
        helo="helo.tizio.it",
        sender="tizio@tizio.it",
        recipient="caio@caio.it",
        queue_id="4abc",
        instance="1.2.3",
        sasl_username="tizio",
        host="mx.caio.it",
        facts={"delay": 300},
    )


def test_a_rehearsed_verdict_keeps_what_would_have_been_done() -> None:
    entry = Entry.of(FACTS, Verdict(Action.PASS, "grey", "first", rehearsed=Action.DEFER), 5.5, "greylist")
    assert (entry.action, entry.rehearsed, entry.reply, entry.host) == ("pass", "defer", "", "")


def test_who_is_held_heard_nothing_of_it() -> None:
    held = Verdict(Action.HOLD, "limit", "over", Reply(250, "2.0.0", "beyond the limit"), ref="G7K2-9QFD")
    assert Entry.of(FACTS, held, 5.5, "ratelimit").reply == ""


# What a policy request can hold: any bytes, those that are not UTF-8 as surrogates. NUL and controls included.
_received = st.binary(max_size=60).map(decode) | st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
_facts = st.dictionaries(
    _received, _received | st.integers() | st.booleans() | st.floats(allow_nan=False), max_size=5
)
_entries = st.builds(
    Entry,
    **{name: _received for name in Entry._fields if name not in ("at", "facts")},
    at=st.floats(0, 1e11),
    facts=_facts,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=st.lists(_entries, min_size=1, max_size=8))
def test_what_comes_out_of_the_file_is_what_went_in(at_fresh_desk: Callable[[], Any], entries: list[Entry]) -> None:
    desk = at_fresh_desk()
    desk.write(*entries)
    with JournalReader(desk.path) as reader:
        found = reader.search()
    assert sorted(found, key=repr) == sorted(entries, key=repr)
    assert desk.warnings == []


@given(st.text(st.characters(categories=["Cs"]), min_size=1), st.text(st.characters(categories=["Cs"])))
def test_even_surrogates_that_no_byte_becomes_do_not_fail(text: str, name: str) -> None:
    entry = Entry("G7K2-9QFD", 1.0, "greylist", "greylist", "defer", sender=text, facts={name: text})
    row = row_of(entry)
    assert isinstance(row[11], bytes)
    assert entry_of([v.encode() if isinstance(v, str) else v for v in row]).ref == "G7K2-9QFD"


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(max_size=300), st.text(max_size=3000) | st.integers(), max_size=60))
def test_facts_are_valid_json_within_their_bound(facts: dict[str, str | int]) -> None:
    packed = pack_facts(facts)
    assert len(packed) <= MAX_FACTS
    assert set(json.loads(packed)) <= set(json.loads(json.dumps(facts)))


def test_facts_that_are_too_long_lose_the_ends_of_texts_before_whole_facts() -> None:
    facts = json.loads(pack_facts({"helo": "h" * 5000, "delay": 300}))
    assert facts == {"helo": "h" * 256, "delay": 300}
    many = json.loads(pack_facts({f"fact{n}": "x" * 300 for n in range(100)}))
    assert list(many) == [f"fact{n}" for n in range(len(many))]
    assert len(many) > 10


def test_an_overlong_text_is_cut() -> None:
    row = row_of(Entry("G7K2-9QFD", 1.0, "greylist", "greylist", "defer", helo="h" * 60_000))
    assert row[10] == "h" * MAX_TEXT
