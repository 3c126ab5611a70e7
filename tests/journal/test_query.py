from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from vaglio.journal.query import JournalError, JournalReader

Desk = Any  # of conftest.py


def test_a_reference_finds_its_entry_however_it_is_typed(desk: Desk) -> None:
    desk.write(desk.entry(), wanted := desk.entry(ref="G7K2-9QFD", facts={"delay": 300}), desk.entry())
    for ref in ("G7K2-9QFD", "(ref g7k29qfd)"):
        assert desk.reader().by_reference(ref) == [wanted]


def test_two_entries_of_one_reference_are_both_found_newest_first(desk: Desk) -> None:
    desk.write(old := desk.entry(ref="G7K2-9QFD", at=1.0), new := desk.entry(ref="G7K2-9QFD", at=2.0))
    assert desk.reader().by_reference("G7K2-9QFD") == [new, old]


def test_a_reference_that_is_not_there_finds_nothing(desk: Desk) -> None:
    desk.write(desk.entry())
    assert desk.reader().by_reference("ZZZZ-ZZZZ") == []


def test_what_is_no_reference_is_an_error(desk: Desk) -> None:
    desk.write(desk.entry())
    with pytest.raises(JournalError, match="'hello' is no reference: one looks like G7K2-9QFD"):
        desk.reader().by_reference("hello")


def test_the_newest_come_first_and_the_limit_holds(desk: Desk) -> None:
    desk.write(desk.entry(ref="B", at=2.0), desk.entry(ref="C", at=3.0), desk.entry(ref="A", at=1.0))
    assert desk.refs() == ["C", "B", "A"]
    assert desk.refs(limit=2) == ["C", "B"]
    assert desk.refs(since=2.0) == ["C", "B"]
    assert desk.refs(until=2.0) == ["A"]


def test_action_daemon_and_reason_are_compared_whole(desk: Desk) -> None:
    desk.write(
        desk.entry(ref="A", action="defer", reason="first"),
        desk.entry(ref="B", action="reject", daemon="dnsbl", reason="listed"),
        desk.entry(ref="C", action="pass", rehearsed="defer", reason="early"),
    )
    assert desk.refs(action="reject") == desk.refs(daemon="dnsbl") == desk.refs(reason="listed") == ["B"]
    assert desk.refs(action="defer") == ["C", "A"]  # in rehearsal, what would have been done counts
    assert desk.refs(action="defer", reason="first") == ["A"]
    assert desk.refs(reason="fir") == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("192.0.2.1", "A"),
        ("::ffff:192.0.2.1", "A"),
        ("192.0.2.0/24", "AB"),
        ("192.0.2.77/24", "AB"),
        ("0.0.0.0/0", "AB"),
        ("2001:db8::/32", "C"),
        ("2001:DB8:0:0::1", "C"),
        ("::/0", "C"),
        ("198.51.100.1", ""),
    ],
)
def test_a_client_is_an_address_or_a_network(desk: Desk, wanted: str, found: str) -> None:
    clients = {"A": "192.0.2.1", "B": "192.0.2.200", "C": "2001:db8::1", "D": "", "E": "unreadable"}
    desk.write(*(desk.entry(ref=ref, client=client) for ref, client in clients.items()))
    assert sorted(desk.refs(client=wanted)) == list(found)


@pytest.mark.parametrize("wanted", ["", "caio.it", "192.0.2.1/33", "192.0.2.1/x", "192.0.2.1/", "/24", "192.0.2.1/-1"])
def test_a_client_that_is_neither_is_an_error(desk: Desk, wanted: str) -> None:
    desk.write(desk.entry())
    with pytest.raises(JournalError, match="neither an IP address nor a network"):
        desk.reader().search(client=wanted)


@pytest.mark.parametrize("column", ["sender", "recipient"])
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("caio@caio.it", "AB"),
        ("CAIO@CAIO.IT", "AB"),
        ("<caio@caio.it>", "AB"),
        ("@caio.it", "ABC"),
        ("caio.it", "ABC"),
        ("niccolò@città.it", "G"),
        ("Città.IT", "G"),
        ("postmaster", "F"),
        ("", "E"),
        ("<>", "E"),
        ("aio.it", ""),
        ("%", ""),
    ],
)
def test_an_address_matches_in_any_case_and_by_domain(desk: Desk, column: str, wanted: str, found: str) -> None:
    addresses = {
        "A": "caio@caio.it",
        "B": "Caio@Caio.IT",
        "C": "sempronia@caio.it",
        "D": "caio@mail.caio.it",
        "E": "",
        "F": "postmaster",
        "G": "Niccolò@CITTÀ.it",
        "H": "\udcff@odd.it",
    }
    desk.write(*(desk.entry(ref=ref, **{column: address}) for ref, address in addresses.items()))
    assert sorted(desk.refs(**{column: wanted})) == list(found)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("tizio@tizio.it", "A"), ("TIZIO@tizio.it", "A"), ("tizio.it", "AB"), ("caio", "C"), ("", "D")],
)
def test_a_login_matches_in_any_case_and_by_domain(desk: Desk, wanted: str, found: str) -> None:
    logins = {"A": "tizio@tizio.it", "B": "livia@tizio.it", "C": "caio", "D": ""}
    desk.write(*(desk.entry(ref=ref, sasl_username=login) for ref, login in logins.items()))
    assert sorted(desk.refs(user=wanted)) == list(found)


def test_conditions_hold_together_and_the_limit_counts_what_is_found(desk: Desk) -> None:
    for n in range(20):
        desk.write(desk.entry(ref=f"{n:02}", client="192.0.2.1" if n % 2 else "192.0.2.2", sender=f"{n % 4}@tizio.it"))
    assert desk.refs(client="192.0.2.1", sender="3@tizio.it", limit=3) == ["19", "15", "11"]


def test_the_journal_is_read_while_a_daemon_writes(desk: Desk) -> None:
    writer = desk.writer()
    writer.record(desk.entry(ref="A"))
    writer.flush()
    reader = desk.reader()
    with closing(sqlite3.connect(desk.path, isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        assert [entry.ref for entry in reader.search()] == ["A"]
    writer.record(desk.entry(ref="B"))
    writer.flush()
    assert [entry.ref for entry in reader.search()] == ["B", "A"]
    assert writer.errors == 0


def test_reading_changes_nothing(desk: Desk) -> None:
    desk.write(desk.entry())
    before = desk.path.read_bytes()
    with desk.reader() as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._db.execute("DELETE FROM journal")
    assert desk.path.read_bytes() == before


def test_a_reader_who_may_not_write_there_reads_too(sealed_desk: Desk) -> None:
    assert list(sealed_desk.path.parent.iterdir()) == [sealed_desk.path]  # no companion file, and none can be made
    assert sealed_desk.refs() == ["A"]


def test_no_journal_is_a_clear_error(desk: Desk) -> None:
    with pytest.raises(JournalError, match=r"there is no journal at .*/journal.sqlite: no daemon has written one"):
        desk.reader()
    assert not desk.path.exists()


def test_an_empty_file_is_a_clear_error(desk: Desk) -> None:
    desk.path.touch()
    with pytest.raises(JournalError, match="it is empty: no daemon has written to it yet"):
        desk.reader()


def test_a_corrupt_journal_is_a_clear_error(desk: Desk) -> None:
    desk.path.write_bytes(b"this is no database" * 500)
    with pytest.raises(JournalError, match=r"can't be read: damaged \(file is not a database\)"):
        desk.reader()


def test_a_path_through_a_file_is_a_clear_error(desk: Desk) -> None:
    desk.path.touch()
    with pytest.raises(JournalError, match="can't be read: Not a directory"):
        JournalReader(desk.path / "journal.sqlite")


def test_a_row_that_somebody_spoilt_is_a_clear_error(desk: Desk) -> None:
    desk.write(desk.entry())
    with closing(sqlite3.connect(desk.path, isolation_level=None)) as db:
        db.execute("UPDATE journal SET facts = '{'")
    with pytest.raises(JournalError, match="can't be read"):
        desk.reader().search()
