"""Reads the journal for the admin's commands: by reference, or by who, what and when.

The file is opened read-only and may be written by the daemons meanwhile. It explains nothing: an entry's facts are
put into words by the check that it came from.
"""

from __future__ import annotations

import ipaddress
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from vaglio.facts import pack_address
from vaglio.journal.entry import Entry
from vaglio.journal.references import normalise
from vaglio.journal.schema import COLUMNS, SELECTED, VERSION, decode, entry_of
from vaglio.ports import StoreError
from vaglio.store.database import look_into
from vaglio.store.trouble import unreadable

_SPAM = ('"spam":true', '"score.spam":true')
"""How the facts say so, of a milter and of a chain. Nothing that a stranger writes looks like it: its quotes are
escaped."""

_Row = tuple[Any, ...]  # text as bytes: most rows are looked at and thrown away
_Test = Callable[[_Row], bool]


class JournalError(Exception):
    """The journal can't be read; the message tells an admin why and what to do."""


class JournalReader:
    """A look into the journal at ``path``; a context manager.

    It and its methods raise JournalError, with a sentence for the admin, when the journal can't be read or the
    question makes no sense.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = _open(path)

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def by_reference(self, ref: str) -> list[Entry]:
        """Return the entries of a reference, newest first; mostly one. ``ref`` is read as ``normalise`` does."""
        wanted = normalise(ref)
        if not wanted:
            raise JournalError(f"{ref!r} is no reference: one looks like G7K2-9QFD")
        found = self._select("ref = ?", [wanted], "", [], None)
        return sorted(found, key=lambda entry: entry.at, reverse=True)

    def of_checks(self, checks: Sequence[str], since: float) -> Iterator[Entry]:
        """Yield the decisions of these checks from ``since`` on, one after the other: there may be millions."""
        try:
            marks = ", ".join("?" * len(checks))
            query = f'SELECT {SELECTED} FROM journal WHERE at >= ? AND "check" IN ({marks})'
            yield from map(entry_of, self._db.execute(query, [since, *checks]))
        except (sqlite3.Error, ValueError) as error:
            raise _unreadable(error, self._path) from error

    def search(
        self,
        *,
        since: float | None = None,
        until: float | None = None,
        action: str | None = None,
        daemon: str | None = None,
        queue_ids: Sequence[str] | None = None,
        reason: str | None = None,
        client: str | None = None,
        sender: str | None = None,
        recipient: str | None = None,
        user: str | None = None,
        spam: bool = False,
        limit: int | None = None,
    ) -> list[Entry]:
        """Return the entries to which all that is given applies, newest first, at most ``limit``.

        ``since`` (included) and ``until`` (not included) are Unix seconds. ``action`` is the one taken or, in
        rehearsal, the one that would have been. ``daemon`` is a name, or a pattern such as ``chain.*``; ``queue_ids``
        are those of the mail server, of which any may apply. ``client`` is an address or a network. ``sender`` and
        ``recipient`` are addresses or whole domains (``caio.it``, ``@caio.it``) in any case; ``""`` and ``<>`` are the
        null sender. ``user`` is a login, or all logins of a domain; ``""`` is who has not logged in.
        ``spam`` are messages whose score says so.
        """
        clauses: list[str] = []
        values: list[object] = []
        for clause, value in (
            ("at >= ?", since),
            ("at < ?", until),
            ("? IN (action, rehearsed)", action),
            ("daemon GLOB ?", daemon),
            ("reason = ?", reason),
        ):
            if value is not None:
                clauses.append(clause)
                values.append(value)
        if spam:
            clauses.append(f"({' OR '.join('instr(facts, ?)' for _ in _SPAM)})")
            values.extend(_SPAM)
        if queue_ids is not None:
            clauses.append(f"queue_id IN ({', '.join('?' * len(queue_ids))})")
            values.extend(queue_ids)
        tests = _tests(client=client, sender=sender, recipient=recipient, sasl_username=user)
        return self._select(" AND ".join(clauses) or "1", values, "ORDER BY at DESC, rowid DESC", tests, limit)

    def _select(
        self, where: str, values: list[object], order: str, tests: list[_Test], limit: int | None
    ) -> list[Entry]:
        try:
            rows: Iterable[_Row] = self._db.execute(f"SELECT {SELECTED} FROM journal WHERE {where} {order}", values)
            kept = (row for row in rows if all(test(row) for test in tests))
            return [entry_of(row) for row in islice(kept, limit)]
        except (sqlite3.Error, ValueError) as error:
            raise _unreadable(error, self._path) from error


def _tests(**wanted: str | None) -> list[_Test]:
    """Return what a row must pass to be what is wanted, by columns."""
    return [
        (_client_in if column == "client" else _address_is)(COLUMNS.index(column), value)
        for column, value in wanted.items() if value is not None
    ]  # fmt: skip


def _open(path: Path) -> sqlite3.Connection:
    try:
        db = look_into(path, VERSION)
    except StoreError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise JournalError(f"there is no journal at {path}: no daemon has written one there yet") from error
        raise _unreadable(error, path) from error
    db.text_factory = bytes
    return db


def _unreadable(error: Exception, path: Path) -> JournalError:
    if isinstance(error, sqlite3.Error):
        error = unreadable(error, path)
    return JournalError(f"the journal {path} can't be read: {str(error).removeprefix(f'{path}: ')}")


def _client_in(column: int, wanted: str) -> _Test:
    """Return a test for clients in the network ``wanted``; an IPv4-mapped address counts as IPv4."""
    address, slash, length = wanted.partition("/")
    packed = pack_address(address)
    try:
        network = ipaddress.ip_network((packed, int(length) if slash else len(packed) * 8), strict=False)
    except ValueError:
        raise JournalError(f"{wanted!r} is neither an IP address nor a network such as 192.0.2.0/24") from None
    size, shift = len(packed), network.max_prefixlen - network.prefixlen
    prefix = int(network.network_address) >> shift

    def test(row: _Row) -> bool:
        client = pack_address(decode(row[column]))
        return len(client) == size and int.from_bytes(client) >> shift == prefix

    return test


def _address_is(column: int, wanted: str) -> _Test:
    """Return a test for one mail address or all of a domain."""
    address = wanted.removeprefix("<").removesuffix(">").casefold()
    domain = "@" + address.removeprefix("@")

    def test(row: _Row) -> bool:
        # A message has several recipients, parted by commas; a single address that has one in it is found as well.
        value = decode(row[column]).casefold()
        values = (value, *value.split(",")) if "," in value else (value,)
        return any(one == address or (len(domain) > 1 and one.endswith(domain)) for one in values)

    return test
