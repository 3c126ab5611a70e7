"""Rows of other people's databases, of real ones: SQLite, PostgreSQL, and MariaDB for MySQL."""

from __future__ import annotations

import sqlite3
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any
from urllib.parse import quote

import psycopg
import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.conftest import PASSWORD, Postgres
from vaglio.store.rows import checked_url, read_rows

QUERY = "SELECT rule, name, limits FROM overrides ORDER BY name"
TABLE = "CREATE TABLE overrides (rule TEXT, name TEXT, limits TEXT)"
ROWS = [("per-user", "caio@caio.it", "unlimited"), ("per-user", "tizio@tizio.it", "500/1h")]


def trouble(url: str, query: str = QUERY, patience: float = 1.0) -> str:
    """Return why rows can't be read."""
    with pytest.raises(OSError, match=r".") as caught:
        read_rows(url, query, patience=patience)
    assert not isinstance(caught.value.__context__, psycopg.Error | pymysql.MySQLError), "its connection stays open"
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- URLs ---


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///var/lib/mail/limits.db",
        "sqlite:///with%20blank",
        "postgresql://tizio@db.caio.it/mail",
        "postgres://tizio@db.caio.it/mail",
        "postgresql://tizio:p%40ss@[::1]:5433/mail?sslmode=verify-full",
        "postgresql:///mail?host=/run/postgresql",
        "mysql://tizio:p%2Fss@db.caio.it/mail?ssl_ca=/etc/ssl/ca.pem",
        "mysql://localhost/mail?socket=/run/mysqld/mysqld.sock&defaults_file=/etc/vaglio/my.cnf",
    ],
)
def test_a_url_that_can_serve_is_passed(url: str) -> None:
    assert checked_url(url) == ""


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("", 'begins with "sqlite:///", "postgresql://" or "mysql://"'),
        ("ldap://tizio:s3cret@db/mail", "begins with"),
        ("/var/lib/s3cret.db", "begins with"),
        ("sqlite://s3cret/limits.db", "the absolute path of a file"),
        ("sqlite:///", "the absolute path of a file"),
        ("sqlite:///x?mode=s3cret", 'nothing behind "?"'),
        ("postgresql://tizio:s3/cret@db/mail", "%2F for /"),
        ("postgresql://tizio:12/s3cret@db/mail", "%2F for /"),
        ("postgresql://tizio:12?s3cret@db/mail", "%3F for ?"),
        ("postgresql://tizio:12?s3cret=@db/mail", "%3F for ?"),
        ("postgresql://tizio:s3cret#@db/mail", "%23 for #"),
        ("postgresql://tizio:12#s3cret@db/mail", "%23 for #"),
        ("postgresql://tizio:[s3cret@db/mail", "such as"),
        ("postgresql://tizio:s3\ncret@db/mail", "such as"),
        ("postgresql://tizio@db:99999/mail", "such as"),
        ("postgresql://tizio@db/mail?password=s3cret", "nothing but host, passfile"),
        ("mysql://tizio@db/mail?s3cret=1", "nothing but socket, ssl_ca, defaults_file"),
    ],
)
def test_a_url_that_cannot_serve_is_refused_without_showing_it(url: str, wanted: str) -> None:
    assert wanted in checked_url(url)
    assert "s3" not in checked_url(url) + trouble(url)


@given(st.sampled_from(["postgresql", "mysql"]), st.text(min_size=1))
def test_every_password_can_be_written(scheme: str, password: str) -> None:
    encoded = quote(password.encode("utf-8", "replace"), safe="")
    assert checked_url(f"{scheme}://tizio:{encoded}@db.caio.it/mail") == ""


@given(st.text())
def test_no_text_upsets_the_check(text: str) -> None:
    for url in (text, f"sqlite://{text}", f"postgresql://{text}", f"mysql://{text}"):
        assert checked_url(url).isprintable()


@pytest.mark.parametrize(("scheme", "module", "extra"), [("postgresql", "psycopg", "postgresql"),
                                                         ("mysql", "pymysql", "mysql")])  # fmt: skip
def test_a_missing_driver_is_named_with_the_extra_that_has_it(
    monkeypatch: pytest.MonkeyPatch, scheme: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    said = trouble(f"{scheme}://tizio:s3cret@127.0.0.1/mail")
    assert said.startswith(f"{scheme}://127.0.0.1/mail: ")
    assert f'pip install "vaglio[{extra}]"' in said
    assert "s3cret" not in said


# --- SQLite ---


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "li mits?#%.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(TABLE)
        connection.executemany("INSERT INTO overrides VALUES (?, ?, ?)", ROWS)
    return path


def sqlite(path: Path) -> str:
    return f"sqlite://{quote(str(path))}"


def test_rows_of_a_file_are_read_and_changes_seen(file: Path) -> None:
    assert read_rows(sqlite(file), QUERY) == ROWS
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM overrides WHERE name LIKE 'tizio%'")
    assert read_rows(sqlite(file), QUERY) == ROWS[:1]


def test_one_row_more_than_wanted_tells_that_there_are_too_many(file: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    assert read_rows(sqlite(file), endless, most=3) == [(1,), (2,), (3,), (4,)]


def test_a_file_is_only_read(file: Path) -> None:
    before = file.read_bytes()
    assert "readonly" in trouble(sqlite(file), "DELETE FROM overrides")
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert "no such file" in trouble(f"sqlite://{tmp_path}/nothing.db")
    assert "no such file" in trouble(f"sqlite://{tmp_path}")
    assert "no such file" in trouble(f"sqlite://{tmp_path}/%00")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("rule,name,limits\n" * 100)
    assert trouble(f"sqlite://{tmp_path}/x.db") == f"{tmp_path}/x.db: SQLite says: file is not a database"


def test_a_locked_file_is_given_up_in_time(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "locked" in trouble(sqlite(file), patience=0.05)
        other.execute("ROLLBACK")
    assert read_rows(sqlite(file), QUERY) == ROWS


@pytest.mark.parametrize("query", ["SELECT nothing", "SELECT 1; SELECT 2", "no SQL", "SELECT '\0'", "SELECT '\ud800'"])
def test_a_query_that_fails_is_the_databases_word(file: Path, query: str) -> None:
    assert f"{file}: SQLite says: " in trouble(sqlite(file), query)


# --- PostgreSQL ---


def postgresql(server: Postgres, password: str = PASSWORD, parameters: str = "") -> str:
    return f"postgresql://tizio:{quote(password, safe='')}@/postgres?host={server.directory}{parameters}"


def change(server: Postgres, *statements: str) -> None:
    with psycopg.connect(
        host=str(server.directory), user="tizio", password=PASSWORD, dbname="postgres", autocommit=True
    ) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Postgres]:
    """The server with the rows in it."""
    values = ", ".join(f"('{rule}', '{name}', '{limits}')" for rule, name, limits in ROWS)
    change(postgres, TABLE, f"INSERT INTO overrides VALUES {values}")
    yield postgres
    change(postgres, "DROP TABLE overrides")


def test_rows_of_a_server_are_read_and_changes_seen(database: Postgres) -> None:
    assert read_rows(postgresql(database), QUERY) == ROWS
    change(database, "UPDATE overrides SET limits = '1/1d, così €' WHERE name LIKE 'tizio%'")
    assert read_rows(postgresql(database), QUERY + ";") == [ROWS[0], (*ROWS[1][:2], "1/1d, così €")]


def test_a_server_sends_no_more_rows_than_wanted(postgres: Postgres) -> None:
    many = "SELECT generate_series(1, 1000000000)"  # would take longer than the patience, and all memory
    assert read_rows(postgresql(postgres), many, most=3) == [(1,), (2,), (3,), (4,)]


def test_a_server_is_only_read(database: Postgres) -> None:
    change(database, "CREATE FUNCTION harm() RETURNS int LANGUAGE sql AS 'DELETE FROM overrides; SELECT 1'")
    try:
        assert "read-only transaction" in trouble(postgresql(database), "SELECT harm()")
    finally:
        change(database, "DROP FUNCTION harm")
    assert read_rows(postgresql(database), QUERY) == ROWS


def test_a_query_that_lasts_too_long_is_ended(postgres: Postgres) -> None:
    assert "statement timeout" in trouble(postgresql(postgres), "SELECT pg_sleep(60)", patience=0.1)


@pytest.mark.parametrize("query", ["SELECT nothing", "", "no SQL %s", "SELECT '\0'", "DELETE FROM overrides"])
def test_a_query_that_a_server_refuses_is_the_databases_word(database: Postgres, query: str) -> None:
    assert trouble(postgresql(database), query).startswith("postgresql:///postgres: PostgreSQL says: ")
    assert read_rows(postgresql(database), "SELECT '100%s'") == [("100%s",)]


def test_a_wrong_password_is_not_shown(postgres: Postgres) -> None:
    said = trouble(postgresql(postgres, "wr0ng'\\ €"))
    assert "password authentication failed" in said
    assert "wr0ng" not in said


def test_a_server_that_is_down_is_said_to_be_and_read_again_when_it_is_back(database: Postgres) -> None:
    database.stop()
    try:
        said = trouble(postgresql(database))
    finally:
        database.start()
    assert str(database.directory) in said
    assert PASSWORD not in said
    assert read_rows(postgresql(database), QUERY) == ROWS


def test_the_password_may_be_in_a_file_of_its_own(postgres: Postgres, tmp_path: Path) -> None:
    escaped = PASSWORD.replace(":", "\\:")
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"*:*:*:*:{escaped}\n")
    passfile.chmod(0o600)
    url = f"postgresql://tizio@/postgres?host={postgres.directory}&passfile={passfile}"
    assert read_rows(url, "SELECT 1") == [(1,)]


# --- MySQL ---


def mysql(socket: Path, password: str = PASSWORD, parameters: str = "") -> str:
    return f"mysql://tizio:{quote(password, safe='')}@localhost/mail?socket={socket}{parameters}"


def change_mysql(socket: Path, *statements: str) -> None:
    with pymysql.connect(
        unix_socket=str(socket), user="tizio", password=PASSWORD, database="mail", charset="utf8mb4", autocommit=True
    ) as connection:
        for statement in statements:
            connection.cursor().execute(statement)


@pytest.fixture
def tables(mariadb: Path) -> Iterator[Path]:
    """The server with the rows in it."""
    values = ", ".join(f"('{rule}', '{name}', '{limits}')" for rule, name, limits in ROWS)
    change_mysql(mariadb, TABLE, f"INSERT INTO overrides VALUES {values}")
    yield mariadb
    change_mysql(mariadb, "DROP TABLE overrides")


def test_rows_of_mysql_are_read_and_changes_seen(tables: Path) -> None:
    assert read_rows(mysql(tables), QUERY) == ROWS
    change_mysql(tables, "UPDATE overrides SET limits = '1/1d, così €' WHERE name LIKE 'tizio%'")
    assert read_rows(mysql(tables), QUERY + ";") == [ROWS[0], (*ROWS[1][:2], "1/1d, così €")]


def test_mysql_sends_no_more_rows_than_wanted(tables: Path) -> None:
    many = "SELECT seq FROM seq_1_to_1000000000"
    assert read_rows(mysql(tables), many, most=3, patience=5) == [(1,), (2,), (3,), (4,)]


def test_mysql_is_only_read(tables: Path) -> None:
    assert "READ ONLY transaction" in trouble(mysql(tables), "DELETE FROM overrides")
    assert read_rows(mysql(tables), QUERY) == ROWS


def test_a_query_of_mysql_that_lasts_too_long_is_given_up(mariadb: Path) -> None:
    assert "timed out" in trouble(mysql(mariadb), "SELECT SLEEP(3)", patience=0.1)


@pytest.mark.parametrize("query", ["SELECT nothing", "", "no SQL %s", "SELECT nothing FROM nowhere"])
def test_a_query_that_mysql_refuses_is_the_databases_word(mariadb: Path, query: str) -> None:
    assert trouble(mysql(mariadb), query).startswith("mysql://localhost/mail: MySQL says: ")
    assert read_rows(mysql(mariadb), "SELECT '100%s'") == [("100%s",)]


def test_a_wrong_password_of_mysql_is_not_shown(mariadb: Path) -> None:
    said = trouble(mysql(mariadb, "wr0ng'\\ €"))
    assert "Access denied" in said
    assert "wr0ng" not in said


def test_the_login_of_mysql_may_be_in_a_file_of_its_own(mariadb: Path, tmp_path: Path) -> None:
    (tmp_path / "my.cnf").write_text(f"[client]\nuser = tizio\npassword = {PASSWORD}\n")
    assert read_rows(f"mysql://localhost/mail?socket={mariadb}&defaults_file={tmp_path}/my.cnf", "SELECT 1") == [(1,)]


# --- servers that are none ---


class Silent(StreamRequestHandler):
    enough = threading.Event()

    def handle(self) -> None:
        self.enough.wait(30)


class Garbling(StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"\x05\0\0\0\x0aHTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.fixture
def served() -> Iterator[Callable[[type[StreamRequestHandler]], str]]:
    """Start a server on this host; return its host and port."""
    servers: list[tuple[ThreadingTCPServer, threading.Thread]] = []

    def serve(handler: type[StreamRequestHandler]) -> str:
        server = ThreadingTCPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        servers.append((server, thread))
        return f"127.0.0.1:{server.server_address[1]}"

    Silent.enough.clear()
    yield serve
    Silent.enough.set()
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_that_says_nothing_is_given_up(
    served: Callable[[type[StreamRequestHandler]], str], scheme: str
) -> None:
    place = served(Silent)
    said = trouble(f"{scheme}://tizio:s3cret@{place}/mail", patience=0.1)
    assert said.startswith(f"{scheme}://{place}/mail: ")
    assert "s3cret" not in said


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_of_another_kind_is_an_error_like_any(
    served: Callable[[type[StreamRequestHandler]], str], scheme: str
) -> None:
    place = served(Garbling)
    assert trouble(f"{scheme}://tizio:s3cret@{place}/mail").startswith(f"{scheme}://{place}/mail: ")


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_port_where_nobody_listens_is_an_error_like_any(scheme: str) -> None:
    said = trouble(f"{scheme}://tizio:s3cret@127.0.0.1:1/mail")
    assert "refused" in said
    assert "s3cret" not in said


# --- MySQL's driver, where no server is at hand that would show it ---


class Fake:
    """Stands in for a connection, and for its cursor."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def cursor(self) -> Fake:
        return self

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, _: str) -> None:
        if self.error:
            raise self.error

    def fetchmany(self, _: int) -> tuple[tuple[object, ...], ...]:
        return ()


def faked(monkeypatch: pytest.MonkeyPatch, error: BaseException | None = None) -> dict[str, Any]:
    """Put a fake in place of the driver's connection; return what it will be given."""
    given: dict[str, Any] = {}

    def connect(**arguments: Any) -> Fake:
        given.update({name: value for name, value in arguments.items() if value is not None})
        return Fake(error)

    monkeypatch.setattr(pymysql, "connect", connect)
    return given


def test_the_parts_of_the_url_reach_mysqls_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    given = faked(monkeypatch)
    read_rows("mysql://tizio:p%E2%82%AC%40@db.caio.it:3307/mail?ssl_ca=/etc/ca.pem", QUERY, patience=7)
    assert given == {
        "host": "db.caio.it", "port": 3307, "user": "tizio", "password": "p€@".encode(), "database": "mail",
        "ssl_ca": "/etc/ca.pem", "ssl_verify_identity": True, "charset": "utf8mb4",
        "connect_timeout": 7, "read_timeout": 7, "write_timeout": 7,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("'cryptography' package is required"), "'cryptography' package is required"),
        (struct.error("unpack requires a buffer"), "unpack requires a buffer"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_whatever_mysqls_driver_raises_is_an_error_like_any(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, said: str
) -> None:
    faked(monkeypatch, error)
    assert trouble("mysql://tizio:s3cret@db.caio.it/mail") == f"mysql://db.caio.it/mail: MySQL says: {said}"
