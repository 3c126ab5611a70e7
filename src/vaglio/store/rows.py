"""Rows of somebody else's database, read once and let go: ``sqlite:///path``, ``postgresql://...`` (or ``postgres://``),
``mysql://...``.

It writes nothing and keeps no connection. What goes wrong is an OSError in an admin's words, which shows where the
database is and nothing of what stands before the "@". The drivers of PostgreSQL and MySQL are extras of the package,
and are imported only for such a URL. It keeps no records of ours (``sqlite`` does).

PostgreSQL's URL may have libpq's parameters (``?host=/run/postgresql``, ``?sslmode=verify-full``, ``?passfile=...``),
MySQL's ``socket``, ``ssl_ca`` (the server's certificate is then verified) and ``defaults_file`` (an option file that
may hold the login).
"""

from __future__ import annotations

import math
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from vaglio.store.trouble import is_denied

_WHO = """: see that the daemon's user may read it; a file in WAL mode is readable only by who may also write its \
directory, or while a program that may has it open"""

Rows = list[tuple[object, ...]]

_PARAMETERS = {
    "sqlite": (),
    "postgresql": ("host", "passfile", "service", "sslmode", "sslrootcert", "sslcert", "sslkey", "channel_binding",
                   "target_session_attrs"),
    "mysql": ("socket", "ssl_ca", "defaults_file"),
}  # fmt: skip
"""What may stand behind the "?", by scheme."""

_ALSO = {"postgres": "postgresql"}  # libpq takes both

_ESCAPES = "in a login or password write %40 for @, %3A for :, %2F for /, %3F for ?, %23 for #, %25 for %"


class _Place(NamedTuple):
    """A URL, taken apart."""

    scheme: str
    user: str
    password: str
    host: str
    port: int
    name: str
    parameters: dict[str, str]

    def __str__(self) -> str:
        """Return the place without user, password and parameters."""
        if self.scheme == "sqlite":
            return self.name
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{f':{self.port}' if self.port else ''}/{self.name}"


def read_rows(url: str, query: str, most: int = 100_000, patience: float = 10.0) -> Rows:
    """Return the rows that ``query`` finds; ``most`` + 1 of them where there are more than ``most``.

    ``patience`` is in seconds: how long a SQLite file may be locked, and how long a server may take to be connected to
    (PostgreSQL: at least 2) and then to answer. Raises OSError.
    """
    try:
        place = _parse(url)
    except ValueError as error:
        raise OSError(f"the database's URL is not one that can be used: wanted {error}") from None
    try:
        return _READERS[place.scheme](place, query, most + 1, patience)
    except _NotReadableError as error:
        trouble = " ".join(str(error).split())
    # Not raised above: the driver's exception would come with it, and keep the connection open as long as it is seen.
    raise OSError(f"{place}: {trouble}")


def checked_url(text: str) -> str:
    """Return what is wanted in place of a URL that can't serve; "" for one that can, as far as its text tells."""
    try:
        _parse(text)
    except ValueError as error:
        return str(error)
    return ""


class _NotReadableError(Exception):
    """Why there are no rows."""


# --- the URL --------------------------------------------------------------------------------------------------------


def _parse(text: str) -> _Place:
    """Take a URL apart. Raises ValueError that says what is wanted and shows nothing that was found: where the text
    is not what we think, any part of it may be part of a password.
    """
    scheme = text.partition("://")[0]
    scheme = _ALSO.get(scheme, scheme)
    if scheme not in _PARAMETERS:
        raise ValueError('a URL that begins with "sqlite:///", "postgresql://" or "mysql://"')
    example = f'such as "{scheme}://user:password@host/database"; {_ESCAPES}'
    try:
        parts = urlsplit(text)
        parameters = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        port = parts.port or 0
    except ValueError:
        raise ValueError(f"a URL {example}") from None
    if not text.isprintable() or parts.fragment or "@" in parts.path or "@" in parts.query:
        raise ValueError(f"a URL {example}")
    if not parameters.keys() <= set(_PARAMETERS[scheme]):
        known = ", ".join(_PARAMETERS[scheme]) or "nothing"
        raise ValueError(f'nothing but {known} behind "?"' if _PARAMETERS[scheme] else 'nothing behind "?"')
    if scheme == "sqlite":
        if parts.netloc or not parts.path.strip("/"):
            raise ValueError('"sqlite://" and the absolute path of a file, such as "sqlite:///var/lib/mail/limits.db"')
        return _Place(scheme, "", "", "", 0, unquote(parts.path), parameters)
    return _Place(scheme, unquote(parts.username or ""), unquote(parts.password or ""), unquote(parts.hostname or ""),
                  port, unquote(parts.path[1:]), parameters)  # fmt: skip


# --- the databases --------------------------------------------------------------------------------------------------


def _sqlite(place: _Place, query: str, most: int, patience: float) -> Rows:
    if not Path(place.name).is_file():
        raise _NotReadableError("there is no such file, or it can't be seen by the daemon's user")
    try:
        uri = f"file:{quote(place.name)}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=patience, isolation_level=None)) as connection:
            return connection.execute(query).fetchmany(most)
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        denied = isinstance(error, sqlite3.Error) and is_denied(error)
        raise _NotReadableError(f"SQLite says: {error}{_WHO if denied else ''}") from None


def _postgresql(place: _Place, query: str, most: int, patience: float) -> Rows:
    try:
        import psycopg
        from psycopg.conninfo import make_conninfo
    except ImportError as error:
        raise _lacking("postgresql", error) from None
    options: dict[str, str | int] = {
        "host": place.host, "port": place.port, "user": place.user, "password": place.password, "dbname": place.name,
        **place.parameters, "client_encoding": "UTF8", "application_name": "vaglio",
        "connect_timeout": max(2, math.ceil(patience)),
        # A server that vanishes amidst an answer is noticed by TCP (Linux: tcp(7)).
        "keepalives_idle": max(1, math.ceil(patience)), "keepalives_interval": 2, "keepalives_count": 3,
        "tcp_user_timeout": math.ceil(patience * 1000),
    }  # fmt: skip
    given = {name: value for name, value in options.items() if value}
    try:
        with psycopg.connect(make_conninfo("", **given)) as connection:
            connection.read_only = True
            # Not a parameter of the connection: poolers refuse those.
            connection.execute(f"SET LOCAL statement_timeout = {math.ceil(patience * 1000)}".encode())
            with connection.cursor("vaglio") as cursor:  # of the server's: what we don't fetch is never sent
                return cursor.execute(query.encode()).fetchmany(most)
    except (psycopg.Error, OSError, ValueError) as error:
        raise _NotReadableError(f"PostgreSQL says: {error}") from None


def _mysql(place: _Place, query: str, most: int, patience: float) -> Rows:
    try:
        import pymysql
    except ImportError as error:
        raise _lacking("mysql", error) from None
    ssl_ca = place.parameters.get("ssl_ca")
    try:
        connection = pymysql.connect(
            host=place.host or None, port=place.port, user=place.user or None, password=place.password.encode(),
            database=place.name or None, unix_socket=place.parameters.get("socket"),
            read_default_file=place.parameters.get("defaults_file"), ssl_ca=ssl_ca,
            ssl_verify_identity=True if ssl_ca else None, charset="utf8mb4",
            connect_timeout=patience, read_timeout=patience, write_timeout=patience,
        )  # fmt: skip
        with connection, connection.cursor() as cursor:
            cursor.execute(f"SET SESSION sql_select_limit = {most}")
            cursor.execute("START TRANSACTION READ ONLY")
            cursor.execute(query)
            return list(cursor.fetchmany(most))
    except (pymysql.MySQLError, OSError, ValueError, RuntimeError, struct.error) as error:  # as the driver raises them
        said = error.args[-1] if error.args else ""  # of (2003, "Can't connect ..."), the words
        raise _NotReadableError(f"MySQL says: {said or type(error).__name__}") from None


def _lacking(extra: str, error: ImportError) -> _NotReadableError:
    return _NotReadableError(f'its driver is not installed: pip install "vaglio[{extra}]" ({error})')


_READERS = {"sqlite": _sqlite, "postgresql": _postgresql, "mysql": _mysql}
