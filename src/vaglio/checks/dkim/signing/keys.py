"""Who signs for an author: keys that are named in the configuration, those of the key directory, OpenDKIM's tables.

In this order: the keys of the author's domain, named ones and those of its folder together; those of the nearest domain
above it; what the tables say. Keys are read when they are first known and when their file changes, never for a message,
but for those whose path a ``%`` in a table makes of the author's domain. What can't be read any more keeps its last
state, also in the ``Keys`` that take the place of these when the configuration is read again; an author whose key never
could be read is not signed for by another one, but has trouble.

What is signed, and whether, is not decided here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from vaglio.checks.dkim.signing.keyfile import KeyTrouble, key_path, read_key
from vaglio.checks.dkim.signing.ring import FILE_NAME, Ring, read_ring
from vaglio.checks.dkim.signing.settings import DkimSignSettings
from vaglio.checks.dkim.signing.sign import PrivateKey, Signer
from vaglio.checks.dkim.signing.tables import Entry, Source, Tables, Unusable, is_identity
from vaglio.checks.listfiles import MAX_BYTES, State, state_of
from vaglio.names import is_domain, registered_domain

MAX_KEPT = 4096
"""Most answers of tables, and most keys by author, that are kept."""

MAX_DOMAIN = 253
MAX_RING = 1024 * 1024
"""Most bytes of a keys.json."""

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class _Kept(Generic[T]):
    """What was read of a file: its last good value, and the trouble with the file as it is now, "" for none."""

    __slots__ = ("_read", "_state", "path", "trouble", "value")

    def __init__(self, path: str, read: Callable[[T | None], T], before: _Kept[T] | None = None) -> None:
        """``read`` is told the last value, which is that of ``before`` at first, if it was of the same file."""
        self.path, self._read = path, read
        self._state: State = ()
        self.value: T | None = before.value if before and before.path == path else None
        self.trouble = ""

    def refresh(self, warn: Callable[[str], None]) -> bool:
        """Read what changed, and again what could not be read; return whether anything came of it."""
        state = state_of(Path(self.path))
        if state == self._state and not self.trouble:
            return False
        before, self._state, self.trouble = (self.value, self.trouble), state, ""
        try:
            self.value = self._read(self.value)
        except OSError as error:
            self.trouble = f"{self.path}: can't be read: {error.strerror or error}"
        except ValueError as error:
            self.trouble = str(error)
        if self.trouble and self.trouble != before[1]:
            warn(self.trouble + ("; its last state stays" if self.value is not None else ""))
        return (self.value, self.trouble) != before

    def get(self) -> T:
        """Return the value; raises KeyTrouble where there never was one."""
        if self.value is None:
            raise KeyTrouble(self.trouble)
        return self.value


class Keys:
    """The keys that sign now. ``warn`` is told what can't be read, once for each change, and which domains lost their
    keys. What can't be read now is as it was in ``before``, which these take the place of.
    """

    def __init__(self, settings: DkimSignSettings, warn: Callable[[str], None], before: Keys | None = None) -> None:
        self._settings, self._warn, self._before = settings, warn, before
        self._named = [Entry(one.domain, one.selector, one.file) for one in settings.keys]
        last = before._folders if before else None
        self._folders: _Kept[list[str]] = _Kept(settings.key_dir, self._list_folders, last)
        self._strange: set[str] = set()
        self._rings: dict[str, _Kept[Ring]] = {}
        paths = (settings.key_table, settings.signing_table)
        self._texts = [_table_of(table_path(one), before) for one in paths] if all(paths) else []
        self._tables: Tables | None = None
        self._all: list[Entry] = []
        self._files: dict[str, _Kept[PrivateKey]] = {}
        self._by_author: dict[str, _Kept[PrivateKey]] = {}
        # What is asked for each message. A text is the trouble with a domain's keys; _gap that with a whole source.
        self._domains: dict[str, tuple[Signer, ...] | str] = {}
        self._answers: dict[tuple[str, str], tuple[Entry, ...] | str] = {}
        self._gap = ""
        self.is_open = False
        """Whether tables name keys of domains that can't be told without an author (``%``)."""
        self.one_organization = True
        """Whether all domains that keys sign for are of one organization, as far as that can be told."""
        self.refresh()
        self._before = None

    # --- asked for each message ---

    def signers(self, local: str, domain: str) -> Sequence[Signer]:
        """Return who signs mail of an author, whose domain is in A-labels; nobody where there is no key. Raises
        KeyTrouble where there should be one and it can't be used.
        """
        found = self._domains.get(domain)
        if found is None and self._settings.subdomains:
            found = self._above(domain)
        if found is None:
            found = self._of_tables(local, domain)
        if isinstance(found, str):
            raise KeyTrouble(found)
        if found and self._settings.identity == "author":
            return [self._with_author(one, f"{local}@{domain}") for one in found]
        return found

    def _above(self, domain: str) -> tuple[Signer, ...] | str | None:
        found = (self._domains.get(one) for one in _names_above(domain))
        return next((one for one in found if one is not None), None)

    def waiting(self, domain: str) -> str:
        """Return the domain whose keys in the directory are for an author's, and of which none signs yet, "" for none:
        ``vaglio dkim rotate`` was not run since ``vaglio dkim new``.
        """
        names = [domain, *(_names_above(domain) if self._settings.subdomains else ())]
        return next((one for one in names if one in self._rings and self._is_waiting(one)), "")

    def all_waiting(self) -> list[str]:
        """Return all domains that have keys in the directory of which none signs yet."""
        return [one for one in self._rings if self._is_waiting(one)]

    def _is_waiting(self, name: str) -> bool:
        ring = self._rings[name].value
        return bool(ring and ring.of("new") and not ring.of("signing"))

    @staticmethod
    def _with_author(signer: Signer, author: str) -> Signer:
        fits = not signer.identity and is_identity(author, signer.domain)
        return signer._replace(identity=author) if fits else signer

    def _of_tables(self, local: str, domain: str) -> tuple[Signer, ...] | str:
        if self._gap:
            return self._gap
        if self._tables is None or len(domain) > MAX_DOMAIN:
            return ()
        found = self._answers.get((local, domain))
        if found is None:
            try:
                found = self._tables.find(local, domain, self._settings.all_matches)
            except Unusable as error:
                found = str(error)
            if len(local) <= MAX_DOMAIN:
                _keep(self._answers, (local, domain), found)
        return found if isinstance(found, str) else self._ready(found)

    def _ready(self, entries: Iterable[Entry]) -> tuple[Signer, ...] | str:
        """Return the signers for entries, or the trouble with one of them."""
        try:
            found = [Signer(one.domain, one.selector, self._key(one.file).get(), one.identity) for one in entries]
        except KeyTrouble as error:
            return str(error)
        # On top, and so first for whoever verifies a single one: all of them know RSA, not all know Ed25519.
        return tuple(sorted(found, key=lambda one: one.key.algorithm != "rsa-sha256"))

    def _key(self, file: str) -> _Kept[PrivateKey]:
        kept = self._files.get(file) or self._by_author.get(file)
        if kept is None:  # its path has the author's domain in it
            kept = self._key_of(file)
            kept.refresh(_unheard)  # who is told of the message is told of this, and strangers choose how often
            _keep(self._by_author, file, kept)
        return kept

    # --- asked now and then ---

    def entries(self) -> list[tuple[Entry, PrivateKey]]:
        """Return the keys that sign now, as far as they are known without an author."""
        known = ((one, self._files[one.file].value) for one in self._all)
        return [(entry, key) for entry, key in known if key is not None]

    def refresh(self) -> bool:
        """Read again what changed; return whether anything did."""
        changed = self._refresh_rings() | self._refresh_tables()
        if changed or not self._files:
            self._all = [*self._own(), *(self._tables.entries() if self._tables else ())]
            self._files = {one.file: self._files.get(one.file) or self._key_of(one.file) for one in self._all}
        changed |= _refresh(self._files.values(), self._warn) | _refresh(self._by_author.values(), _unheard)
        if changed:
            self._settle()
        return changed

    def _refresh_rings(self) -> bool:
        if not self._settings.key_dir:
            return False
        changed = self._folders.refresh(self._warn)
        self._rings = {name: self._rings.get(name) or self._ring_of(name) for name in self._folders.value or ()}
        return _refresh(self._rings.values(), self._warn) | changed

    def _refresh_tables(self) -> bool:
        changed = _refresh(self._texts, self._warn)
        texts = [one.value for one in self._texts if one.value is not None]
        if changed and len(texts) == 2:
            keys, signers = self._settings.key_table, self._settings.signing_table
            self._tables, problems = Tables.parse(table_source(keys, texts[0]), table_source(signers, texts[1]))
            for problem in problems:
                self._warn(str(problem))
        return changed

    def _settle(self) -> None:
        """Make ready what is asked for each message."""
        by_domain: dict[str, list[Entry]] = {}
        for one in self._own():
            by_domain.setdefault(one.domain, []).append(one)
        before = self._before._domains if self._before else self._domains
        self._domains = {domain: self._ready(entries) for domain, entries in by_domain.items()}
        self._domains |= {name: ring.trouble for name, ring in self._rings.items() if ring.value is None}
        for domain in before.keys() - self._domains.keys():
            self._warn(f"{domain}: no key of its own signs for it any more")
        names = {one.domain for one in self._all} | self._domains.keys()
        self.is_open = bool(self._tables and self._tables.is_open)
        self.one_organization = not self.is_open and len({registered_domain(one) or one for one in names}) < 2
        self._answers.clear()
        gaps = [one.trouble for one in self._texts if one.value is None]
        if self._settings.key_dir and self._folders.value is None:
            gaps.append(self._folders.trouble)
        self._gap = next(iter(gaps), "")

    def _own(self) -> list[Entry]:
        """Return the keys that are named, and those of the folders that sign; of two with one name the first."""
        found = {(one.domain, one.selector): one for one in self._named}
        for name, ring in self._rings.items():
            for key in ring.value.of("signing") if ring.value else ():
                file = f"{self._settings.key_dir}/{name}/{key.file}"
                found.setdefault((name, key.selector), Entry(name, key.selector, file))
        return list(found.values())

    # --- files ---

    def _list_folders(self, before: list[str] | None) -> list[str]:
        try:
            with os.scandir(self._settings.key_dir) as found:
                names = sorted(one.name for one in found if not one.name.startswith(".") and one.is_dir())
        except FileNotFoundError:
            if before:
                raise
            return []
        for name in names:
            if not is_domain(name) and name not in self._strange:
                self._strange.add(name)
                where = ascii(f"{self._settings.key_dir}/{name}")
                self._warn(f"{where}: no key in it signs: its name is no domain in lower case and A-labels (xn--...)")
        return [name for name in names if is_domain(name)]

    def _key_of(self, file: str) -> _Kept[PrivateKey]:
        try:
            path = key_path(file)
        except KeyTrouble:
            path = file  # reading it says why
        return _Kept(path, lambda _: read_key(file), self._before._files.get(file) if self._before else None)

    def _ring_of(self, name: str) -> _Kept[Ring]:
        path = f"{self._settings.key_dir}/{name}/{FILE_NAME}"

        def read(before: Ring | None) -> Ring:
            try:
                ring = read_ring(_text(path, MAX_RING))
            except FileNotFoundError:
                if Path(path).parent.is_dir() and not (before and before.keys):
                    return Ring(name)
                raise
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from None
            if ring.domain != name:
                raise ValueError(f'{path}: found the keys of "{ring.domain}", wanted those of "{name}", as the folder')
            return ring

        return _Kept(path, read, self._before._rings.get(name) if self._before else None)


def _names_above(domain: str) -> Iterator[str]:
    """Yield the domains above one, the nearest first; a domain has two labels at least."""
    while len(domain) <= MAX_DOMAIN and "." in (domain := domain.partition(".")[2]):
        yield domain


def _refresh(kept: Iterable[_Kept[T]], warn: Callable[[str], None]) -> bool:
    changed = [one.refresh(warn) for one in kept]  # each of them, not up to the first that changed
    return any(changed)


def _table_of(path: str, before: Keys | None) -> _Kept[str]:
    emptied: State = ()

    def read(last: str | None) -> str:
        nonlocal emptied
        text = _text(path, MAX_BYTES)
        if not text.strip() and last and last.strip():
            found, emptied = emptied, state_of(Path(path))
            if found != emptied:  # whoever writes a file anew in its place empties it first
                raise ValueError(f"{path}: it is empty; if it stays so, nobody is signed for by it")
        return text

    return _Kept(path, read, next((one for one in before._texts if one.path == path), None) if before else None)


def _text(path: str, most: int) -> str:
    with Path(path).open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{path}: found more than {most} bytes, wanted fewer")
    return data.decode("utf-8-sig", "replace")


def table_source(table: str, text: str) -> Source:
    """Return a table as its reader takes it."""
    return Source(text, table_path(table), table.startswith("refile:"))


def table_path(table: str) -> str:
    """Return the path of a table, without what says of which kind it is."""
    return table.partition(":")[2] if not table.startswith("/") else table


def _keep(kept: dict[K, V], key: K, value: V) -> None:
    """Keep a value; the oldest makes room for it."""
    if len(kept) >= MAX_KEPT:
        del kept[next(iter(kept))]
    kept[key] = value


def _unheard(text: str) -> None:
    """Hear of trouble that is told elsewhere."""
