"""What stands in the log, and what no client can make stand there."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shlex
from collections.abc import Iterator
from typing import Any, TextIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaglio.daemon.log import LINE, VALUE, WAITING, Format, Level, Throttle, decision_json, decision_line, setup
from vaglio.facts import Client, Envelope, Facts, Session, Stage, client_of
from vaglio.verdict import Action, Verdict

DEFER = Verdict(Action.DEFER, "greylist", "first", ref="G7K2-9QFD", facts={"pool": "tizio.it", "delay": 300})


def facts(
    address: str = "192.0.2.1", name: str = "mx.tizio.it", sender: str = "a@tizio.it", recipient: str = "b@caio.it",
    queue: str = "",
) -> Facts:  # fmt: skip
    return Facts(client_of(address, name), Envelope(sender, recipient), Session(Stage.RCPT, queue_id=queue))


class Pipe:
    """A stream for ``setup`` whose other end the test reads."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        self.stream: TextIO = os.fdopen(writer, "w")

    def close(self) -> None:
        for handler in logging.getLogger().handlers[:]:
            if type(handler).__module__ == "vaglio.daemon.log":
                logging.getLogger().removeHandler(handler)
        self.stream.close()
        os.close(self.reader)

    def read(self) -> str:
        return os.read(self.reader, 1 << 20).decode("ascii")

    def journald(self, patch: pytest.MonkeyPatch) -> None:
        status = os.fstat(self.stream.fileno())
        patch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    before = logging.getLogger().level
    one = Pipe()
    yield one
    one.close()
    logging.getLogger().setLevel(before)


def test_a_decision_is_one_line_of_keys_and_values() -> None:
    assert decision_line(facts(queue="4XyZ"), DEFER, 0.123) == (
        "queue=4XyZ client=192.0.2.1 name=mx.tizio.it from=a@tizio.it to=b@caio.it verdict=defer reason=first"
        " ref=G7K2-9QFD ms=0.12 pool=tizio.it delay=300"
    )


def test_what_is_empty_is_left_out_but_the_null_sender() -> None:
    verdict = Verdict(Action.PASS, "greylist", "known")
    assert decision_line(facts(name="", sender=""), verdict, 0) == (
        "client=192.0.2.1 from=<> to=b@caio.it verdict=pass reason=known ms=0.00"
    )


def test_a_rehearsed_decision_says_so() -> None:
    verdict = Verdict(Action.PASS, "greylist", "first", rehearsed=Action.DEFER)
    assert " verdict=pass rehearsed=defer reason=first " in decision_line(facts(), verdict, 0)
    assert json.loads(decision_json(facts(), verdict, 0, 0))["rehearsed"] == "defer"


@pytest.mark.parametrize(
    ("sender", "written"),
    [
        ("a b@tizio.it", '"a b@tizio.it"'),
        ("x verdict=pass", '"x verdict=pass"'),
        ('"a b"@tizio.it', r'"\"a b\"@tizio.it"'),
        ("bounce+b=caio.it@tizio.it", '"bounce+b=caio.it@tizio.it"'),
        ("o'caio@tizio.it", '"o\'caio@tizio.it"'),
        ("a\nINFO client=1", r'"a\x0aINFO client=1"'),
        ("a\\", r'"a\\"'),
        ("\x1b[2J", r'"\x1b[2J"'),
        ("jos\u00e9@tizio.it", r'"jos\xe9@tizio.it"'),
        ("\u202egro.elpmaxe@a", r'"\u202egro.elpmaxe@a"'),
        ("\U0001f600", r'"\U0001f600"'),
        (b"\xff\xfe".decode(errors="surrogateescape"), r'"\xff\xfe"'),
        ("x" * 300, '"' + "x" * 253 + '..."'),
    ],
)
def test_a_value_can_add_no_key_and_end_no_line(sender: str, written: str) -> None:
    assert decision_line(facts(sender=sender), DEFER, 0).startswith(
        f"client=192.0.2.1 name=mx.tizio.it from={written} to=b@caio.it verdict=defer "
    )


KEYS = ["client", "from", "to", "verdict", "reason", "ref", "ms"]
TEXTS = st.text(max_size=400) | st.text(alphabet='ab ="\'\\\n\r\x00\u2028\udc80', max_size=600)


@settings(max_examples=150, deadline=None)
@given(TEXTS, TEXTS, TEXTS, TEXTS, TEXTS)
def test_whatever_a_client_sends_the_line_is_bounded_ascii_with_just_our_keys(
    address: str, name: str, sender: str, queue: str, told: str
) -> None:
    asked = Facts(Client(address, b"", name), Envelope(sender, "b@caio.it"), Session(Stage.RCPT, queue_id=queue))
    verdict = Verdict(Action.DEFER, "greylist", "first", ref="G7K2-9QFD", facts={"helo": told, "delay": 300})
    line = decision_line(asked, verdict, 1.0)
    assert line.isascii()
    assert line.isprintable()
    assert len(line) <= LINE
    keys = [word.partition("=")[0] for word in shlex.split(line)]
    assert [key for key in keys if key not in ("queue", "name")] == [*KEYS, "helo", "delay"]
    assert all(len(word) <= VALUE + 8 for word in shlex.split(line))
    text = decision_json(asked, verdict, 1.0, 2.0)
    assert text.isascii()
    assert "\n" not in text
    assert len(text) <= LINE
    assert sender.startswith(json.loads(text)["from"])


@pytest.mark.parametrize(
    ("value", "text", "parsed"),
    [
        (True, "true", True),
        (1759276800.5, "1759276800.5", 1759276800.5),
        (300.0, "300", 300),
        (float("nan"), "nan", "nan"),
        (float("-inf"), "-inf", "-inf"),
        (-7, "-7", -7),
        pytest.param(10**5000, "?", "?", id="more digits than Python writes"),
        ("", "", ""),
        ("si, è", '"si, \\xe8"', "si, è"),
    ],
)
def test_odd_facts_are_written_and_never_raise(value: Any, text: str, parsed: Any) -> None:
    verdict = Verdict(Action.PASS, "greylist", "known", facts={"odd": value})
    assert decision_line(facts(), verdict, 0).endswith(f" odd={text}")
    assert json.loads(decision_json(facts(), verdict, 0, 0))["odd"] == parsed


def test_facts_may_not_stand_in_for_our_own_keys_and_end_where_the_line_is_full() -> None:
    more = {"client": "evil"} | {f"k{n}": "x" * 200 for n in range(20)}
    verdict = Verdict(Action.PASS, "greylist", "known", facts=more)
    line, text = decision_line(facts(), verdict, 0), decision_json(facts(), verdict, 0, 0)
    assert "evil" not in line + text
    assert max(len(line), len(text)) <= LINE
    assert line.endswith("x" * 200)
    assert "k7" in json.loads(text)


def test_json_has_the_keys_that_a_collector_wants() -> None:
    assert json.loads(decision_json(facts(queue="4XyZ"), DEFER, 0.126, 1759276800.1234)) == {
        "time": 1759276800.123, "level": "info", "message": "decision", "queue": "4XyZ", "client": "192.0.2.1",
        "name": "mx.tizio.it", "from": "a@tizio.it", "to": "b@caio.it", "verdict": "defer", "reason": "first",
        "ref": "G7K2-9QFD", "ms": 0.13, "pool": "tizio.it", "delay": 300,
    }  # fmt: skip


def test_decisions_are_written_together_and_soon_each_time(pipe: Pipe) -> None:
    log = setup("text", "info", pipe.stream)

    async def turn() -> None:
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(pipe.reader, readable.set)
        log.decision(facts(), DEFER, 0.001, 0)
        await asyncio.sleep(0)
        log.decision(facts(sender=""), DEFER, 0.001, 0)
        await asyncio.wait_for(readable.wait(), 5)
        loop.remove_reader(pipe.reader)
        first, second = pipe.read().splitlines()
        assert first.startswith("INFO client=192.0.2.1 name=mx.tizio.it from=a@tizio.it")
        assert second.startswith("INFO client=192.0.2.1 name=mx.tizio.it from=<>")

    asyncio.run(turn())
    asyncio.run(turn())


def test_an_event_is_written_at_once_after_the_decisions_before_it(pipe: Pipe) -> None:
    log = setup("text", "info", pipe.stream)

    async def turn() -> None:
        log.decision(facts(), DEFER, 0.001, 0)
        logging.getLogger("vaglio.x").warning("an event")
        decision, event = pipe.read().splitlines()
        assert decision.startswith("INFO client=")
        assert event == "WARNING an event"

    asyncio.run(turn())


def test_another_setup_writes_what_waited(pipe: Pipe) -> None:
    log = setup("text", "info", pipe.stream)

    async def turn() -> None:
        log.decision(facts(), DEFER, 0.001, 0)
        setup("text", "info", pipe.stream)
        assert pipe.read().count("\n") == 1

    asyncio.run(turn())


def test_a_decision_without_a_loop_is_written_at_once(pipe: Pipe) -> None:
    setup("text", "info", pipe.stream).decision(facts(), DEFER, 0.001, 0)
    assert pipe.read().startswith("INFO client=")


def test_what_waits_is_written_by_flush_when_the_loop_does_not_come_round_again(pipe: Pipe) -> None:
    log = setup("text", "info", pipe.stream)

    async def turn() -> None:
        log.decision(facts(), DEFER, 0.001, 0)
        log.flush(1)
        assert pipe.read().count("\n") == 1

    asyncio.run(turn())


def test_under_journald_each_line_begins_with_its_priority(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe.journald(monkeypatch)
    log = setup("text", "debug", pipe.stream)
    log.decision(facts(), DEFER, 0, 0)
    for level in (logging.DEBUG, logging.WARNING, logging.ERROR):
        logging.getLogger("vaglio.x").log(level, "event")
    decision, *events = pipe.read().splitlines()
    assert decision.startswith("<6>client=")
    assert events == ["<7>event", "<4>event", "<3>event"]


def test_a_stream_that_is_not_journalds_gets_no_priorities(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    setup("text", "info", pipe.stream)
    logging.getLogger("vaglio.x").info("event")
    assert pipe.read() == "INFO event\n"


@pytest.mark.parametrize("level", ["warning", "error"])
def test_a_level_above_info_silences_decisions(pipe: Pipe, level: Level) -> None:
    log = setup("text", level, pipe.stream)
    log.decision(facts(), DEFER, 0, 0)
    logging.getLogger("vaglio.x").info("quiet")
    logging.getLogger("vaglio.x").error("loud")
    assert pipe.read() == "ERROR loud\n"


def test_another_setup_takes_the_place_of_the_first(pipe: Pipe) -> None:
    setup("text", "info", pipe.stream)
    setup("json", "info", pipe.stream)
    logging.getLogger("vaglio.x").info("once")
    (line,) = pipe.read().splitlines()
    assert json.loads(line)["message"] == "once"


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_exception_text_can_pose_as_no_line_of_its_own(pipe: Pipe, form: Format) -> None:
    setup(form, "info", pipe.stream)
    try:
        raise ValueError("x\nINFO client=192.0.2.1 verdict=pass\x1b[2J")
    except ValueError as error:
        logging.getLogger("vaglio.x").error("a bug\nINFO client=1", exc_info=error)
    lines = pipe.read().splitlines()
    if form == "json":
        (line,) = lines
        assert json.loads(line)["level"] == "error"
        assert "ValueError: x" in json.loads(line)["traceback"]
    else:
        assert lines[0] == r"ERROR a bug\x0aINFO client=1"
        assert len(lines) > 3
        assert all(line.startswith("ERROR | ") for line in lines[1:])
        assert r"\x1b" in lines[-1]


def test_records_of_other_libraries_say_whose_they_are(pipe: Pipe) -> None:
    setup("text", "info", pipe.stream)
    logging.getLogger("asyncio").error("x")
    assert pipe.read() == "ERROR asyncio: x\n"


def test_a_reader_that_stopped_holds_up_nobody_and_hears_how_many_lines_were_lost(pipe: Pipe) -> None:
    log = setup("text", "info", pipe.stream)
    sent = 5000
    for _ in range(sent):
        log.decision(facts(), DEFER, 0, 0)
    log.flush()
    got = pipe.read()
    log.flush()
    while "were lost" not in got:
        got += pipe.read()
        log.flush()
    *lines, last = got.splitlines()
    assert all(line.startswith("INFO client=192.0.2.1 ") and line.endswith(" delay=300") for line in lines)
    assert last == f"WARNING {sent - len(lines)} log lines were lost: whoever reads stderr was too slow"
    assert len(lines) >= WAITING


def test_a_reader_that_is_gone_harms_nobody() -> None:
    pipe = Pipe()
    os.close(pipe.reader)
    pipe.reader = os.open(os.devnull, os.O_RDONLY)
    try:
        log = setup("text", "info", pipe.stream)
        log.decision(facts(), DEFER, 0, 0)
        log.flush(1)
    finally:
        pipe.close()


def test_a_throttle_lets_one_of_a_kind_through_and_counts_the_rest() -> None:
    now = 0.0
    throttle = Throttle(60, lambda: now)
    assert [throttle("a"), throttle("a"), throttle("b"), throttle("a")] == [0, None, 0, None]
    now = 60
    assert [throttle("a"), throttle("a")] == [2, None]


def test_a_throttle_does_not_grow_with_the_kinds() -> None:
    throttle = Throttle(60, lambda: 0.0)
    for kind in range(Throttle.MOST * 2):
        throttle(kind)
    assert len(throttle._kinds) <= Throttle.MOST


def test_sentences_for_people_are_left_to_the_journal() -> None:
    said = {"score.symbols": "PRIZE 6", "score.because": "+6 it promises a prize", "because_it": "+6 un premio"}
    verdict = Verdict(Action.PASS, "chain", "passed", facts=said)
    assert decision_line(facts(), verdict, 0).endswith(' score.symbols="PRIZE 6"')
    assert "because" not in decision_json(facts(), verdict, 0, 0)
