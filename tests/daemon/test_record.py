"""Each answer leaves a log line and a count, and a journal entry unless it is a plain pass."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from vaglio.daemon.log import Log, Outlet
from vaglio.daemon.metrics import Meter
from vaglio.daemon.record import Recorder
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.journal.entry import Entry
from vaglio.journal.writer import JournalWriter
from vaglio.verdict import Action, Verdict

FACTS = Facts(client_of("192.0.2.1"), Envelope("a@tizio.it", "b@caio.it"), Session(Stage.RCPT, helo="mx.tizio.it"))
DEFER = Verdict(Action.DEFER, "greylist", "first", ref="G7K2-9QFD", facts={"delay": 300})


class Count(Meter):
    def __init__(self) -> None:
        self.seen: list[tuple[str, str, float]] = []

        self.forgeries = 0

    def forged(self, count: int) -> None:
        self.forgeries += count

    def request(self, action: Action, reason: str, seconds: float) -> None:
        self.seen.append((action.value, reason, seconds))


class Notebook(JournalWriter):
    """A journal that keeps its entries at hand."""

    def __init__(self) -> None:
        super().__init__(Path(os.devnull), 1, 1, lambda _: None, lambda: 0.0)
        self.entries: list[Entry] = []

    def record(self, entry: Entry) -> None:
        self.entries.append(entry)


class Bench:
    def __init__(self, journal: bool = True) -> None:
        self.meter, self.journal = Count(), Notebook()
        reader, writer = os.pipe()
        self._ends = reader, writer
        log = Log(Outlet(writer), "text", journald=False, decisions=True)
        self.record = Recorder(
            log, self.meter, self.journal if journal else None, "greylist", lambda: 1000.0, "mail.caio.it"
        )

    def lines(self) -> list[str]:
        reader, writer = self._ends
        os.close(writer)
        with open(reader) as stream:
            return stream.read().splitlines()


def test_forged_results_are_logged_counted_and_journalled() -> None:
    bench = Bench()
    bench.record(FACTS, DEFER._replace(action=Action.PASS, facts={"forged": 2}), 0.001)
    bench.record(FACTS, DEFER, 0.001)
    assert bench.meter.forgeries == 2
    assert bench.journal.entries[0].facts["forged"] == 2
    assert "forged=2" in bench.lines()[0]


def test_a_deferral_is_logged_counted_and_journalled() -> None:
    bench = Bench()
    bench.record(FACTS, DEFER, 0.0015)
    assert bench.meter.seen == [("defer", "first", 0.0015)]
    (entry,) = bench.journal.entries
    assert entry == Entry.of(FACTS, DEFER, 1000.0, "greylist", "mail.caio.it")
    (line,) = bench.lines()
    assert line.endswith("verdict=defer reason=first ref=G7K2-9QFD ms=1.50 delay=300")


def test_a_plain_pass_is_not_journalled() -> None:
    bench = Bench()
    bench.record(FACTS, Verdict(Action.PASS, "greylist", "known"), 0.001)
    assert (len(bench.lines()), len(bench.meter.seen), bench.journal.entries) == (1, 1, [])


def test_a_rehearsed_deferral_is_journalled() -> None:
    bench = Bench()
    bench.record(FACTS, Verdict(Action.PASS, "greylist", "first", rehearsed=Action.DEFER), 0.001)
    assert [entry.rehearsed for entry in bench.journal.entries] == ["defer"]
    assert bench.meter.seen[0][0] == "pass"
    bench.lines()


def test_without_a_journal_the_rest_is_still_done() -> None:
    bench = Bench(journal=False)
    bench.record(FACTS, DEFER, 0.001)
    assert (len(bench.lines()), len(bench.meter.seen)) == (1, 1)


@settings(max_examples=50, deadline=None)
@given(st.text(), st.text(), st.floats() | st.integers() | st.text())
def test_no_value_makes_it_raise(address: str, sender: str, fact: float | str) -> None:
    bench = Bench()
    odd = Facts(client_of(address), Envelope(sender, ""), Session(Stage.UNKNOWN))
    bench.record(odd, Verdict(Action.DEFER, "greylist", "first", facts={"odd": fact}), 0.001)
    assert len(bench.lines()) == 1
