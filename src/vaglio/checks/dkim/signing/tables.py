"""OpenDKIM's KeyTable and SigningTable, read as they are (opendkim.conf(5), and what opendkim 2.11 makes of it). Pure.

A line is a key, blanks, and a value; ``#`` begins a comment. In a KeyTable it is NAME DOMAIN:SELECTOR:FILE, where a
DOMAIN of ``%`` stands for the author's domain, and a ``%`` in FILE for that of the signature. In a SigningTable it is
ADDRESS NAME, and perhaps the identity (i=) behind a colon, in which ``%`` is the author's domain; a NAME of ``%`` is
the author's domain too.

In a plain SigningTable the author's address is looked up, then the host, then ``user@.domain`` and ``.domain`` for each
domain above it, at last ``user@*`` and ``*``. Behind ``refile:``, lines are patterns with ``*``, tried in their order.
Of equal lines the first counts.

A line that can't be used is told, and stays: an author whose line it is must not be signed for by another one. A key
that stands in the table itself is not read, nor ever shown. No file is read here.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

from vaglio.checks.dkim.signature import ascii_name
from vaglio.lists import MAX_ENTRIES, MAX_LINE, MAX_PROBLEMS, Problem
from vaglio.names import domain_of, is_domain, is_selector

MAX_PATTERNS = 5000
"""Most patterns of a table that are tried one after the other: all but ``*@domain``."""

MAX_TRIED = 200_000
"""About how often, when tables are read, a pattern is tried on a name, to tell of names that nobody has."""

MAX_LOCAL = 1024
"""Longest local part that is compared in characters; for a longer one only what holds for all of a domain counts."""

_FILE = re.compile(r"/[^\x00-\x1f\x7f]*")
_IDENTITY = re.compile(r"[!-:<>-?A-~]{0,64}@[A-Za-z0-9_.%-]{1,253}", re.ASCII)
_SPECIAL = re.compile(r"[][?|{}()^$\\]")
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class Entry(NamedTuple):
    """A key that signs for a domain (A-labels, lower case); ``identity`` is i=, "" for none."""

    domain: str
    selector: str
    file: str
    identity: str = ""


class Unusable(ValueError):
    """A table has a line for an author, and no key comes of it; the message says where, and what was wanted."""


class Source(NamedTuple):
    """A table's text, the name of its file, and whether its lines are patterns ("refile:")."""

    text: str
    name: str
    patterns: bool = False


class _KeyRow(NamedTuple):
    domain: str
    selector: str
    file: str


class _SignRow(NamedTuple):
    line: int
    pattern: str
    name: str
    identity: str


def is_identity(text: str, domain: str) -> bool:
    """Say whether a text can be i= of a signature of this domain as it is, without being encoded (RFC 6376 3.5)."""
    _, _, theirs = text.lower().rpartition("@")
    return bool(_IDENTITY.fullmatch(text)) and (theirs == domain or theirs.endswith(f".{domain}"))


def _lower(text: str) -> str:
    return text.translate(_LOWER)  # ASCII alone, as opendkim does it: no stranger's letter becomes one of ours


class Pattern:
    """A text where each ``*`` stands for anything. Matching is linear: what is between two stars is searched for once,
    from where the last was found.
    """

    __slots__ = ("_first", "_last", "_literal", "_middle")

    def __init__(self, text: str) -> None:
        first, *others = text.split("*")
        self._literal = None if others else text
        self._first, self._last = first, others[-1] if others else ""
        self._middle = [part for part in others[:-1] if part]

    def matches(self, text: str) -> bool:
        """Say whether the whole text fits."""
        if self._literal is not None:
            return text == self._literal
        end = len(text) - len(self._last)
        if not (text.startswith(self._first) and text.endswith(self._last)) or end < len(self._first):
            return False
        place = len(self._first)
        for part in self._middle:
            place = text.find(part, place, end)
            if place < 0:
                return False
            place += len(part)
        return True


# --- tables ---

R = TypeVar("R")


class _Rows(Generic[R]):
    """The lines of a table, each a row or the problem with it, found by a text: by the very key, or by patterns."""

    def __init__(self, source: str, patterns: bool) -> None:
        self.source, self.patterns = source, patterns
        self.all: list[tuple[int, R | Problem]] = []
        self._exact: dict[str, list[int]] = {}
        self._domains: dict[str, list[int]] = {}
        self._others: list[tuple[int, Pattern]] = []

    @property
    def limit(self) -> str:
        """What there are as many of as there may be; "" for nothing."""
        if self.tried >= MAX_PATTERNS:
            return f"{MAX_PATTERNS} patterns other than *@DOMAIN"
        return f"{MAX_ENTRIES}" if len(self.all) >= MAX_ENTRIES else ""

    @property
    def tried(self) -> int:
        """The number of patterns that are tried one after the other."""
        return len(self._others)

    def add(self, line: int, key: str, row: R | Problem) -> None:
        """Add the row of a line."""
        place = len(self.all)
        self.all.append((line, row))
        star, _, domain = key.partition("@")
        if not self.patterns or "*" not in key:
            self._exact.setdefault(key, []).append(place)
        elif star == "*" and domain and "*" not in domain and "@" not in domain:  # what nearly all of them are
            self._domains.setdefault(domain, []).append(place)
        else:
            self._others.append((place, Pattern(key)))

    def find(self, text: str) -> list[R | Problem]:
        """Return the rows whose key, or whose pattern, a text is, in their order."""
        places = self._exact.get(text, [])
        if self.patterns:
            _, at, domain = text.rpartition("@")
            known = self._domains.get(domain, []) if at else []
            places = sorted([*places, *known, *(place for place, one in self._others if one.matches(text))])
        return [self.all[place][1] for place in places]


def _read(text: str, source: str, patterns: bool, rows: _Rows[R], row_of: Callable[[int, str, str], R],
          key_of: Callable[[str], str]) -> list[Problem]:  # fmt: skip
    """Read the lines of a table; return the problems with them."""
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), 1):
        told = line.partition("#")[0]
        key, value = [*told.split(None, 1), "", ""][:2]
        if not key:
            continue
        if patterns and told[0].isspace():
            wanted = "a pattern where the line begins: like opendkim, this skips a line that begins with a blank"
            problems.append(Problem(source, number, "a blank", wanted))
            continue
        if most := rows.limit:
            problems.append(Problem(source, number, "more lines", f"at most {most}; the rest is not read"))
            break
        if patterns and _SPECIAL.search(key):
            wanted = 'a pattern with no special character but "*": opendkim takes others for expressions, this does not'
            problems.append(Problem(source, number, f"{key[:80]!a}", wanted))
        try:
            if len(line) > MAX_LINE:
                raise ValueError(f"a line of at most {MAX_LINE} characters")
            if not value:
                raise ValueError("two words, with blanks between them")
            row: R | Problem = row_of(number, key, value.strip())
        except ValueError as error:
            # What stands in a line may be a key, and its first word, where there is no other, a piece of one.
            shown = f"a line for {key[:80]!a}" if value else "a single word"
            row = Problem(source, number, shown, str(error))
            problems.append(row)
        rows.add(number, key_of(key), row)
    return problems


def _key_row(line: int, name: str, value: str) -> _KeyRow:  # noqa: ARG001  # as _sign_row
    domain, selector, file = [*value.split(":", 2), "", ""][:3]
    domain = domain if domain == "%" else domain_of(domain)
    if not selector or not file or not domain:
        raise ValueError("NAME DOMAIN:SELECTOR:FILE, without blanks around the colons")
    if not is_selector(selector, domain.strip("%")):
        raise ValueError('a selector such as "2026a" behind the first colon')
    if not _FILE.fullmatch(file):
        raise ValueError(
            "the absolute path of a key file behind the second colon: a key that stands in the table is not read"
        )
    return _KeyRow(domain, selector, file)


def _sign_row(line: int, pattern: str, value: str) -> _SignRow:
    name, _, identity = value.partition(":")
    if not name or len(name.split()) > 1:
        raise ValueError("ADDRESS NAME, or ADDRESS NAME:IDENTITY")
    if identity and not _IDENTITY.fullmatch(identity):
        raise ValueError('an identity such as "@tizio.it", "@%" or "staff@tizio.it" behind the colon')
    return _SignRow(line, _address_key(pattern), name, identity)


def _address_key(text: str) -> str:
    """Return an address or a pattern in lower case, labels of its domain in A-labels where there is no star."""
    local, at, domain = text.rpartition("@")
    labels = [label if label.isascii() or "*" in label else ascii_name(label) for label in domain.split(".")]
    return _lower(local + at + ".".join(labels))


class Tables:
    """A KeyTable and a SigningTable together."""

    def __init__(self, keys: _Rows[_KeyRow], signers: _Rows[_SignRow]) -> None:
        self._keys, self._signers = keys, signers

    @classmethod
    def parse(cls, keys: Source, signers: Source) -> tuple[Tables, list[Problem]]:
        """Read both; return what is wrong with them, too."""
        key_rows: _Rows[_KeyRow] = _Rows(keys.name, keys.patterns)
        sign_rows: _Rows[_SignRow] = _Rows(signers.name, signers.patterns)
        problems = _read(keys.text, keys.name, keys.patterns, key_rows, _key_row, str)
        problems += _read(signers.text, signers.name, signers.patterns, sign_rows, _sign_row, _address_key)
        tables = cls(key_rows, sign_rows)
        problems += tables._misfits()
        return tables, problems[:MAX_PROBLEMS]

    def _misfits(self) -> Iterator[Problem]:
        """Yield the names that nobody has. It takes bounded time: of thousands that patterns may be for, the last are
        told when an author's line names them.
        """
        left = MAX_TRIED
        known: dict[str, bool] = {"%": True}
        for line, row in self._signers.all:
            if isinstance(row, _SignRow) and row.name not in known:
                known[row.name] = bool(self._keys.find(row.name))
                left -= 1 + self._keys.tried
            if isinstance(row, _SignRow) and not known[row.name]:
                yield self._nameless(line, row.name)
            if left <= 0:
                return

    def _nameless(self, line: int, name: str) -> Problem:
        return Problem(self._signers.source, line, ascii(name[:80]), f"the NAME of a line of {self._keys.source}")

    @property
    def is_open(self) -> bool:
        """True where they may name keys of domains that can't be told without an author."""
        return any(isinstance(row, _KeyRow) and row.domain == "%" for _, row in self._keys.all)

    def find(self, local: str, domain: str, every: bool = False) -> tuple[Entry, ...]:
        """Return the keys for an author, whose domain is in A-labels: of the first line that fits, or of ``every`` one.
        Raises Unusable.
        """
        local = _lower(local) if len(local) <= MAX_LOCAL else ""
        if self._signers.patterns:
            rows = self._signers.find(f"{local}@{domain}")
        else:
            rows = [row for key in _plain_keys(local, domain) for row in self._signers.find(key)[:1]]
        return tuple(dict.fromkeys(self._entry(row, domain) for row in (rows if every else rows[:1])))

    def entries(self) -> list[Entry]:
        """Return the keys that can be told without an author."""
        found: dict[tuple[str, ...], Entry] = {}
        for _, row in self._signers.all:
            try:
                entry = self._entry(row, _domain_of(row.pattern) if isinstance(row, _SignRow) else "")
            except Unusable:
                continue
            found.setdefault(entry[:3], entry)
        return list(found.values())

    def _entry(self, row: _SignRow | Problem, domain: str) -> Entry:
        if isinstance(row, Problem):
            raise Unusable(str(row))
        name = domain if row.name == "%" else row.name
        key = next(iter(self._keys.find(name)), None)
        if key is None:
            raise Unusable(str(self._nameless(row.line, name)))
        if isinstance(key, Problem):
            raise Unusable(str(key))
        ours = domain if key.domain == "%" else key.domain
        if not is_domain(ours) or not is_selector(key.selector, ours):
            raise Unusable(f"{self._keys.source}: the author's domain can't stand where there is a % for it")
        identity = row.identity.replace("%", domain)
        identity = identity if is_identity(identity, ours) else ""  # left out where it is not of the signing domain
        return Entry(ours, key.selector, key.file.replace("%", ours), identity)


def _plain_keys(local: str, domain: str) -> Iterator[str]:
    """Yield what is looked up for an author, in this order (dkimf_apply_signtable)."""
    yield f"{local}@{domain}"
    yield domain
    place = domain.find(".", 0, 254)
    while place >= 0:
        yield f"{local}@{domain[place:]}"
        yield domain[place:]
        place = domain.find(".", place + 1, 254)
    yield f"{local}@*"
    yield "*"


def _domain_of(pattern: str) -> str:
    """Return the domain that all authors have whose line it is; "" where there may be several."""
    domain = pattern.rpartition("@")[2]
    return "" if "*" in domain or domain.startswith(".") else domain
