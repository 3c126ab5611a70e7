"""Import from postgrey: dumps in both forms, garbled ones, and those of a real postgrey."""

from __future__ import annotations

import contextlib
import grp
import hashlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.waiting import end
from vaglio.checks.greylist.postgrey import (
    ImportedClient,
    ImportedTriplet,
    Problems,
    Trouble,
    parse_dump,
    read_clients,
    read_triplets,
)

HEAD = ["VERSION=3", "format=bytevalue", "type=btree", "db_pagesize=4096", "HEADER=END"]


def dump(*records: tuple[str | bytes, str | bytes]) -> list[str]:
    texts = (part.encode() if isinstance(part, str) else part for record in records for part in record)
    return [*HEAD, *(f" {text.hex()}" for text in texts), "DATA=END"]


def triplets(lines: list[str]) -> tuple[list[ImportedTriplet], Problems]:
    problems = Problems()
    return list(read_triplets(lines, problems)), problems


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("192.0.2.0/tizio@tizio.it/caio@caio.it", ("192.0.2.0", "tizio@tizio.it", "caio@caio.it")),
        ("192.0.2.0//caio@caio.it", ("192.0.2.0", "", "caio@caio.it")),
        ("192.0.2.0/o=x/cn=y@tizio.it/caio@caio.it", ("192.0.2.0", "o=x/cn=y@tizio.it", "caio@caio.it")),
        ("192.0.2.0//o=x@tizio.it/caio@caio.it", ("192.0.2.0", "/o=x@tizio.it", "caio@caio.it")),
        ("192.0.2.0/tizio@tizio.it/a/b@caio.it", ("192.0.2.0", "tizio@tizio.it", "a/b@caio.it")),
        ("192.0.2.0/root/caio@caio.it", ("192.0.2.0", "root", "caio@caio.it")),
        ("192.0.2.0//postmaster", ("192.0.2.0", "", "postmaster")),
        ("2001:db8:0:0:0:0:0:0/t@tizio.it/caio@caio.it", ("2001:db8::", "t@tizio.it", "caio@caio.it")),
        ("192.0.2.0/tìzio@tizio.it/caio@caio.it", ("192.0.2.0", "tìzio@tizio.it", "caio@caio.it")),
    ],
)
def test_a_triplet_s_key_is_taken_apart(key: str, parts: tuple[str, str, str]) -> None:
    found, problems = triplets(dump((key, "1700000000,1700000400")))
    assert found == [ImportedTriplet(*parts, 1700000000, 1700000400)]
    assert str(problems) == ""


def test_the_printable_form_is_read_too() -> None:
    lines = [
        "VERSION=3", "format=print", "type=btree", "HEADER=END",
        " 192.0.2.0/t\\\\x@tizio.it/ca\\c3\\ac@caio.it", " 1,2", "DATA=END",
    ]  # fmt: skip
    found, problems = triplets(lines)
    assert found == [ImportedTriplet("192.0.2.0", "t\\x@tizio.it", "caì@caio.it", 1, 2)]
    assert not problems.counts


def test_several_databases_in_one_dump_are_read_on() -> None:
    one, two = dump(("192.0.2.0//a@caio.it", "1,2")), dump(("192.0.2.0//b@caio.it", "3,4"))
    assert [triplet.recipient for triplet in triplets(one + two)[0]] == ["a@caio.it", "b@caio.it"]


GOOD = ("192.0.2.0//caio@caio.it", "1,2")


@pytest.mark.parametrize(
    ("lines", "trouble", "line", "left"),
    [
        ([], Trouble.NO_DUMP, 0, 0),
        (["SQLite format 3"], Trouble.NO_DUMP, 1, 0),
        (["VERSION=3", "format=raw", "HEADER=END", " 00", " 00", "DATA=END"], Trouble.FORMAT, 3, 0),
        (dump(GOOD)[:-1], Trouble.CUT, 7, 1),
        (dump(GOOD)[:-2], Trouble.CUT, 6, 0),
        (HEAD[:2], Trouble.CUT, 2, 0),
        ([*dump(GOOD)[:-2], "DATA=END"], Trouble.NO_VALUE, 7, 0),
        ([*HEAD, " zz", " 312c32", *dump(GOOD)[5:]], Trouble.LINE, 6, 1),
        ([*HEAD, " 3139322e302e322e302f2f61", "312c32", *dump(GOOD)[5:]], Trouble.LINE, 7, 1),
        ([*HEAD, " " + "00" * 10_000, " 312c32", *dump(GOOD)[5:]], Trouble.LINE, 6, 1),
        (dump((hashlib.sha1(b"x").hexdigest(), "1,2"), GOOD), Trouble.HASHED, 7, 1),
        (dump(("nonsense", "1,2"), GOOD), Trouble.KEY, 7, 1),
        (dump(("192.0.2.0/tizio@tizio.it", "1,2"), GOOD), Trouble.KEY, 7, 1),
        (dump(("host.example/a@b/c@d", "1,2"), GOOD), Trouble.KEY, 7, 1),
        (dump((b"192.0.2.0//\xff@caio.it", "1,2"), GOOD), Trouble.KEY, 7, 1),
        (dump(("192.0.2.0//a@caio.it", "1"), GOOD), Trouble.VALUE, 7, 1),
        (dump(("192.0.2.0//a@caio.it", "2,1"), GOOD), Trouble.VALUE, 7, 1),
        (dump(("192.0.2.0//a@caio.it", "9" * 5000 + ",1"), GOOD), Trouble.VALUE, 7, 1),
    ],
)
def test_what_can_not_be_read_is_named_and_the_rest_is_kept(
    lines: list[str], trouble: Trouble, line: int, left: int
) -> None:
    found, problems = triplets(lines)
    assert problems.counts == {trouble: 1}
    assert problems.first_lines[trouble] == line
    assert f"1 x {trouble}" in str(problems)
    assert len(found) == left


def test_clients_are_read_and_hashed_ones_counted() -> None:
    problems = Problems()
    lines = dump(
        ("192.0.2.7", "6,1700000000"),
        ("2001:DB8:0:0:0:0:0:1", "1,1700000001"),
        (hashlib.sha1(b"x").hexdigest(), "6,1"),
        ("mx.caio.it", "6,1"),
    )
    assert list(read_clients(lines, problems)) == [
        ImportedClient("192.0.2.7", 6, 1700000000),
        ImportedClient("2001:db8::1", 1, 1700000001),
    ]
    assert problems.counts == {Trouble.HASHED: 1, Trouble.KEY: 1}


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_no_dump_makes_the_reader_fail(data: st.DataObject) -> None:
    line = st.sampled_from([*HEAD, "format=print", "DATA=END", " 61", " ", " \\", " \\5c", *dump(GOOD)[5:7]])
    lines = data.draw(st.lists(line | st.text(max_size=30).map(lambda text: " " + text) | st.text(max_size=30)))
    problems = Problems()
    list(read_triplets(lines, problems))
    list(read_clients(lines, problems))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=40), st.binary(max_size=40))))
def test_records_come_back_byte_for_byte(records: list[tuple[bytes, bytes]]) -> None:
    problems = Problems()
    assert [record[1:] for record in parse_dump(dump(*records), problems)] == records
    assert not problems.counts


# --- a real postgrey --------------------------------------------------------------------------------------------


@pytest.fixture
def postgrey(tmp_path: Path) -> tuple[Path, list[str]]:
    """Give an empty database folder and postgrey's command line; skip where Debian's packages are missing."""
    if not shutil.which("postgrey", path="/usr/sbin:" + os.environ["PATH"]) or not shutil.which("db_dump"):
        pytest.skip("needs the Debian packages postgrey and db-util")
    folder = tmp_path / "db"
    folder.mkdir()
    empty = tmp_path / "empty"
    empty.touch()
    me = [f"--user={pwd.getpwuid(os.getuid()).pw_name}", f"--group={grp.getgrgid(os.getgid()).gr_name}"]
    lists = [f"--whitelist-clients={empty}", f"--whitelist-recipients={empty}"]
    return folder, ["/usr/sbin/postgrey", *me, *lists, f"--dbdir={folder}", "--delay=1", f"--unix={tmp_path}/socket"]


def run_postgrey(command: list[str], requests: list[tuple[str, str, str]], repeat: int) -> None:
    """Start postgrey, ask each request ``repeat`` times with more than its delay in between, stop it."""
    path = command[-1].partition("=")[2]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            with connect(path, process) as connection:
                for turn in range(repeat):
                    if turn:
                        time.sleep(1.2)  # postgrey's own clock counts whole seconds and can't be set
                    for request in requests:
                        ask(connection, *request)
        finally:
            end(process)


def connect(path: str, process: subprocess.Popen[bytes]) -> socket.socket:
    for _ in range(500):
        connection = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError):
            connection.connect(path)
            connection.settimeout(10)
            return connection
        connection.close()
        if process.poll() is not None:
            break
        time.sleep(0.02)
    pytest.fail(f"postgrey did not start: {process.stderr.read().decode() if process.stderr else ''}")


def ask(connection: socket.socket, address: str, sender: str, recipient: str) -> bytes:
    attributes = {
        "request": "smtpd_access_policy", "client_address": address, "client_name": "unknown", "sender": sender,
        "recipient": recipient,
    }  # fmt: skip
    connection.sendall("".join(f"{name}={value}\n" for name, value in attributes.items()).encode() + b"\n")
    answer = b""
    while not answer.endswith(b"\n\n"):
        data = connection.recv(4096)
        assert data, "postgrey closed the connection"
        answer += data
    return answer


def dumped(path: Path, *options: str) -> list[str]:
    return subprocess.run(
        ["db_dump", *options, str(path)], check=True, capture_output=True, encoding="utf-8", timeout=20
    ).stdout.splitlines()


def test_the_databases_of_a_real_postgrey_are_read(postgrey: tuple[Path, list[str]]) -> None:
    folder, command = postgrey
    before = int(time.time())
    requests = [
        ("192.0.2.7", "Tizio+lists@Tizio.it", "caio@caio.it"),
        ("2001:db8:1:2:3::7", "bounce-123@tizio.it", "a/b@caio.it"),
        ("198.51.100.9", "", "caio@caio.it"),
        ("198.51.100.9", "o=x/cn=y\\z@tizio.it", "càio@caio.it"),
    ]
    run_postgrey(command, requests, repeat=2)
    for options in ((), ("-p",)):
        found, problems = triplets(dumped(folder / "postgrey.db", *options))
        assert str(problems) == ""
        assert {(triplet.address, triplet.sender, triplet.recipient) for triplet in found} == {
            ("192.0.2.0", "tizio@tizio.it", "caio@caio.it"),
            ("2001:db8:1:2::", "bounce-#@tizio.it", "a/b@caio.it"),
            ("198.51.100.0", "", "caio@caio.it"),
            ("198.51.100.0", "o=x/cn=y\\z@tizio.it", "càio@caio.it"),
        }
        assert all(before <= triplet.first < triplet.last <= time.time() for triplet in found)
    problems = Problems()
    clients = list(read_clients(dumped(folder / "postgrey_clients.db"), problems))
    assert {(client.address, client.count) for client in clients} == {
        ("192.0.2.7", 1), ("2001:db8:1:2:3::7", 1), ("198.51.100.9", 1),
    }  # fmt: skip
    assert str(problems) == ""


def test_the_hashed_keys_of_a_real_postgrey_are_counted(postgrey: tuple[Path, list[str]]) -> None:
    folder, command = postgrey
    run_postgrey([*command[:-1], "--privacy", command[-1]], [("192.0.2.7", "a@tizio.it", "caio@caio.it")], repeat=1)
    found, problems = triplets(dumped(folder / "postgrey.db"))
    assert found == []
    assert problems.counts == {Trouble.HASHED: 1}
