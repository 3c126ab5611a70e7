"""``vaglio greylist import``: from a database that a real postgrey wrote, and from dumps of any age."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import sleep, time
from typing import Any

import pytest

from lab.waiting import end
from vaglio.checks.greylist.postgrey import ImportedTriplet
from vaglio.checks.greylist.settings import GreylistSettings
from vaglio.cli.greylist_import import as_triplet

Host = Any  # of conftest.py
NOW = 1_790_000_000
DAY = 86400

needs_db = pytest.mark.skipif(
    not (shutil.which("db_dump") and shutil.which("db_load")), reason="db_dump and db_load (db-util) are not installed"
)
needs_postgrey = pytest.mark.skipif(
    not (shutil.which("postgrey") and shutil.which("db_dump") and os.geteuid() == 0),
    reason="postgrey and db-util are not installed, or this is not root",
)


# --- a real postgrey ---


@contextmanager
def postgrey(directory: Path, *options: str) -> Iterator[socket.socket]:
    """Run postgrey in the foreground and connect to it; its process has ended after the block."""
    directory.mkdir()
    path = directory / "socket"
    command = ["postgrey", f"--unix={path}", f"--dbdir={directory}", "--user=root", "--group=root", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                _connect(connection, path)
                yield connection
        finally:
            end(process)


def _connect(connection: socket.socket, path: Path) -> None:
    for _ in range(200):
        try:
            return connection.connect(str(path))
        except OSError:
            sleep(0.05)
    raise AssertionError("postgrey does not answer")


def ask(connection: socket.socket, address: str, sender: str, recipient: str) -> str:
    attributes = {"request": "smtpd_access_policy", "protocol_state": "RCPT", "client_address": address,
                  "client_name": "unknown", "sender": sender, "recipient": recipient, "instance": os.urandom(4).hex()}
    connection.sendall("".join(f"{name}={value}\n" for name, value in attributes.items()).encode() + b"\n")
    answer = b""
    while not answer.endswith(b"\n\n"):
        answer += connection.recv(4096)
    return answer.decode().removeprefix("action=").strip()


@needs_postgrey
def test_what_a_real_postgrey_remembers_is_taken_over_once(host: Host, tmp_path: Path) -> None:
    host.configure('delay = "1s"')
    known = ("198.51.100.7", "list-1234-caio@tizio.it", "Caio@caio.it")
    with postgrey(tmp_path / "postgrey", "--delay=1", "--auto-whitelist-clients=2") as connection:
        assert ask(connection, *known).startswith("DEFER_IF_PERMIT")
        ask(connection, "203.0.113.1", "", "caio@caio.it")
        ask(connection, "2001:db8:1:2::1", "x/y@tizio.it", "caio@caio.it")
        begun = time()
        while not ask(connection, *known).startswith("PREPEND"):
            assert time() - begun < 10
            sleep(0.2)
    host.clock.time = time()
    words = ("greylist", "import", "postgrey", "--dbdir", str(tmp_path / "postgrey"), "--delay", "1")
    dry = host.json(*words, "--dry-run")
    assert (dry["triplets_found"], dry["too_old"], dry["triplets_changed"]) == (3, 0, 0)
    assert not (host.state / "greylist.sqlite").exists()
    done = host.json(*words)
    assert (done["triplets_found"], done["clients_found"], done["triplets_changed"]) == (3, 1, 3)
    with closing(sqlite3.connect(host.state / "greylist.sqlite")) as db:
        before = list(db.iterdump())
    again = host.fine(*words)
    assert again == "found 3 triplets and 1 clients; 0 more are too old\n0 triplets and 0 pools were new or better\n"
    with closing(sqlite3.connect(host.state / "greylist.sqlite")) as db:
        assert list(db.iterdump()) == before
    daemon = host.daemon()
    assert daemon.ask("198.51.100.99", "", "list-77-caio@tizio.it", "caio@caio.it").reason == "known"
    assert daemon.ask("198.51.100.99", "mx.tizio.it", "list-78-caio@tizio.it", "caio@caio.it").reason == "known"
    assert daemon.ask("198.51.100.99", "", "stranger@tizio.it", "caio@caio.it").reason == "first-contact"
    assert daemon.ask("203.0.113.2", "", "", "caio@caio.it", after=2).reason == "retried"
    assert daemon.ask("2001:db8:1:2::9", "", "x/y@tizio.it", "caio@caio.it").reason == "retried"


# --- dumps ---


def write(directory: Path, name: str, records: dict[str, str]) -> None:
    """Make a Berkeley database as postgrey's are."""
    directory.mkdir(exist_ok=True)
    lines = [f" {text.encode().hex()}\n" for record in records.items() for text in record]
    dump = "VERSION=3\nformat=bytevalue\ntype=btree\nHEADER=END\n" + "".join(lines) + "DATA=END\n"
    subprocess.run(["db_load", str(directory / name)], input=dump, text=True, check=True, capture_output=True)


@needs_db
def test_what_postgrey_would_have_forgotten_is_left_out(host: Host, tmp_path: Path) -> None:
    write(tmp_path / "db", "postgrey.db", {
        "198.51.100.0/a@tizio.it/caio@caio.it": f"{NOW - 60 * DAY},{NOW - 36 * DAY}",
        "198.51.100.0/b@tizio.it/caio@caio.it": f"{NOW - 60 * DAY},{NOW - 34 * DAY}",
        "198.51.100.0/c@tizio.it/caio@caio.it": f"{NOW - 3 * DAY},{NOW - 3 * DAY}",
        "198.51.100.0/d@tizio.it/caio@caio.it": f"{NOW - DAY},{NOW - DAY}",
    })  # fmt: skip
    write(tmp_path / "db", "postgrey_clients.db", {
        "198.51.100.7": f"9,{NOW - 40 * DAY}", "203.0.113.7": f"9,{NOW - DAY}",
    })  # fmt: skip
    said = host.fine("greylist", "import", "postgrey", "--dbdir", str(tmp_path / "db"))
    assert said == "found 2 triplets and 1 clients; 3 more are too old\n2 triplets and 1 pools were new or better\n"
    assert {one["sender"] for one in host.json("greylist", "list")} == {"b@tizio.it", "d@tizio.it"}
    assert host.daemon().ask("203.0.113.99", "").reason == "auto-whitelisted"


@needs_db
def test_an_import_looks_like_no_wait_in_a_report(host: Host, tmp_path: Path) -> None:
    key = "198.51.100.0/tizio@tizio.it/caio@caio.it"
    write(tmp_path / "db", "postgrey.db", {key: f"{NOW - 20 * DAY},{NOW - DAY}"})
    host.fine("greylist", "import", "postgrey", "--dbdir", str(tmp_path / "db"))
    document = host.json("greylist", "report")
    assert (document["let_in"], document["wait_max"], document["never_retried"]) == (0, None, 0)


@needs_db
def test_the_better_of_two_records_stays(host: Host, tmp_path: Path) -> None:
    daemon = host.daemon()
    daemon.ask(name="")  # waits here, was let in there
    daemon.ask("203.0.113.9", "")
    daemon.ask("203.0.113.9", "", after=400)  # let in here, waits there
    write(tmp_path / "db", "postgrey.db", {
        "198.51.100.0/tizio@tizio.it/caio@caio.it": f"{NOW - DAY},{NOW - 10}",
        "203.0.113.0/tizio@tizio.it/caio@caio.it": f"{NOW + 10},{NOW + 10}",
        "192.0.2.0/news-#-x@tizio.it/caio@caio.it": f"{NOW - DAY},{NOW - DAY}",
        "192.0.2.0/news-12-x@tizio.it/caio@caio.it": f"{NOW - DAY},{NOW - 100}",  # folds to the same
    })  # fmt: skip
    host.fine("greylist", "import", "postgrey", "--dbdir", str(tmp_path / "db"))
    assert [(one["pool"], bool(one["passed"]), one["last"]) for one in host.json("greylist", "list")] == [
        ("203.0.113.0/24", True, NOW + 400), ("198.51.100.0/24", True, NOW), ("192.0.2.0/24", True, NOW - 100),
    ]  # fmt: skip


@needs_db
def test_a_better_record_of_a_client_stays(host: Host, tmp_path: Path) -> None:
    write(tmp_path / "db", "postgrey.db", {})
    for count, changed in ((7, 1), (3, 0), (8, 1)):
        shutil.rmtree(tmp_path / "db")
        write(tmp_path / "db", "postgrey.db", {})
        write(tmp_path / "db", "postgrey_clients.db", {"198.51.100.7": f"{count},{NOW - DAY}"})
        done = host.json("greylist", "import", "postgrey", "--dbdir", str(tmp_path / "db"))
        assert done["pools_changed"] == changed
    assert host.json("greylist", "pools")[0]["delivered"] == 8
    assert host.json("greylist", "pools")[0]["remark"] == "never had to wait"


@needs_db
def test_what_can_not_be_read_is_counted_and_the_rest_taken(host: Host, tmp_path: Path) -> None:
    write(tmp_path / "db", "postgrey.db", {
        "0123456789abcdef0123456789abcdef01234567": f"{NOW},{NOW}",
        "198.51.100.0/tizio@tizio.it/caio@caio.it": f"{NOW},{NOW}",
    })  # fmt: skip
    said = host.run("greylist", "import", "postgrey", "--dbdir", str(tmp_path / "db"))
    assert said.status == 0
    assert "left out: 1 x hashed by --privacy" in said.err
    assert "found 1 triplets" in said.out


@needs_db
def test_privacy_hides_what_is_imported_and_twice_changes_nothing(host: Host, tmp_path: Path) -> None:
    host.configure("privacy = true")
    (host.state / "greylist.secret").write_bytes(b"secret")
    key = "198.51.100.0/tizio@tizio.it/caio@caio.it"
    write(tmp_path / "db", "postgrey.db", {key: f"{NOW - DAY},{NOW}"})
    changed = [host.json("greylist", "import", "postgrey", "--dbdir", str(tmp_path / "db"))["triplets_changed"]
               for _ in range(2)]  # fmt: skip
    assert changed == [1, 0]
    assert host.json("greylist", "list")[0]["sender"] == ""
    assert host.daemon().ask(name="").reason == "known"


@needs_db
def test_keys_that_no_network_fits_are_warned_of(host: Host, tmp_path: Path) -> None:
    host.configure('key = "address"')
    write(tmp_path / "db", "postgrey.db", {})
    said = host.run("greylist", "import", "postgrey", "--dbdir", str(tmp_path / "db"), "--dry-run")
    assert said.status == 0
    assert "most of its triplets will never be found" in said.err


@needs_db
def test_a_file_that_is_no_database_is_told(host: Host, tmp_path: Path) -> None:
    (tmp_path / "postgrey.db").write_text("text")
    said = host.run("greylist", "import", "postgrey", "--dbdir", str(tmp_path))
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith(f"vaglio: db_dump can't read {tmp_path / 'postgrey.db'}: ")
    assert said.err.count("\n") == 1


def test_a_directory_without_a_database_is_told(host: Host, tmp_path: Path) -> None:
    said = host.run("greylist", "import", "postgrey", "--dbdir", str(tmp_path))
    assert (said.status, said.out) == (1, "")
    assert f"there is no {tmp_path / 'postgrey.db'}: say where postgrey keeps its database with --dbdir" in said.err


def test_without_db_dump_the_package_is_named(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "postgrey.db").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    said = host.run("greylist", "import", "postgrey", "--dbdir", str(tmp_path))
    assert (said.status, said.err) == (1, "vaglio: db_dump is not there: apt-get install db-util\n")


@pytest.mark.parametrize(
    ("first", "last", "passed", "attempts"),
    [(NOW, NOW, 0, 1), (NOW, NOW + 99, 0, 2), (NOW, NOW + 100, NOW, 2), (NOW, NOW + DAY, NOW, 2)],
)
def test_who_came_back_after_the_delay_counts_as_let_in(first: int, last: int, passed: int, attempts: int) -> None:
    found = as_triplet(ImportedTriplet("198.51.100.0", "a@b.it", "caio@caio.it", first, last), 100, GreylistSettings())
    assert (found.passed, found.attempts, found.pool) == (passed, attempts, "198.51.100.0/24")


@needs_db
@pytest.mark.parametrize(("words", "let_in"), [((), False), (("--delay", "60"), True), (("--delay", "61"), False)])
def test_triplets_are_judged_by_the_delay_of_postgrey(
    host: Host, tmp_path: Path, words: tuple[str, ...], let_in: bool
) -> None:
    host.configure('delay = "10s"')
    write(tmp_path / "db", "postgrey.db", {"198.51.100.0/tizio@tizio.it/caio@caio.it": f"{NOW - 60},{NOW}"})
    host.fine("greylist", "import", "postgrey", "--dbdir", str(tmp_path / "db"), *words)
    assert bool(host.json("greylist", "list")[0]["passed"]) is let_in


@pytest.mark.parametrize("bad", ["5m", "0", "-1", "1.5", "9" * 30])
def test_a_delay_that_is_none_is_wrong_usage(host: Host, bad: str) -> None:
    said = host.run("greylist", "import", "postgrey", f"--delay={bad}")
    assert said.status == 2
    assert "wanted a whole number of at least 1" in said.err
