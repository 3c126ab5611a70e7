"""The lists, tables and keys that a configuration names, read as the daemons do: for ``vaglio config check``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from vaglio.checks.dkim.signing.keyfile import KeyTrouble, read_key
from vaglio.checks.dkim.signing.keys import table_path, table_source
from vaglio.checks.dkim.signing.settings import DkimSignSettings
from vaglio.checks.dkim.signing.tables import Tables
from vaglio.checks.dnsbl.localzone import reader
from vaglio.checks.dnsbl.privatelists import MAX_BYTES as MOST_PRIVATE
from vaglio.checks.listfiles import MAX_BYTES
from vaglio.checks.ratelimit.limits import Kind
from vaglio.checks.ratelimit.logins import parse_logins
from vaglio.checks.ratelimit.overrides import parse_csv, parse_toml
from vaglio.checks.ratelimit.settings import RatelimitSettings
from vaglio.checks.score.rulefiles import load_rules, places, symbols_of_lists
from vaglio.checks.score.rules import SCORES, RuleProblem, Ruleset
from vaglio.checks.score.settings import ScoreSettings
from vaglio.checks.tag.conditions import symbol_in
from vaglio.checks.tag.settings import TagSettings
from vaglio.cli.common import said
from vaglio.cli.dkim_reader import acting_as
from vaglio.cli.dkim_reader import reader as reader_of_keys
from vaglio.config.load import Loaded
from vaglio.config.words import meant, near
from vaglio.dns.zonefile import ZoneError, load_zone
from vaglio.lists import AddressList, ClientList, Problem
from vaglio.store.countries import open_countries

_Parse = Callable[[Iterable[str], str], tuple[Sized, list[Problem]]]
_KINDS: Mapping[str, _Parse] = {
    "whitelist_clients": ClientList.parse,
    "whitelist_senders": AddressList.parse,
    "whitelist_recipients": AddressList.parse,
}
"""Keys of any daemon's section that hold the names of list files."""


_LEFT_OUT = "it is left out"
_NEVER = "nothing ever has it"
_UNSIGNED = "mail that it is about can't be signed"


class State(StrEnum):
    """What became of reading it."""

    READ = "read"
    ABSENT = "absent"
    UNREADABLE = "unreadable"


class ListFile(NamedTuple):
    """A list file: the key that names it, whether that was set (or is a default), and what was found in it. ``absent``
    says what comes of it where there is none, ``flawed`` what comes of a bad line. ``strict`` takes either for an
    error: who has changed rules wants them to hold.
    """

    key: str
    file: str
    is_set: bool
    state: State
    entries: int = 0
    problems: tuple[Problem, ...] = ()
    absent: str = "it is an empty list"
    flawed: str = "the line is left out"
    strict: bool = False

    def is_wrong(self) -> bool:
        """Say whether that is an error, and not a warning."""
        return self.state is State.UNREADABLE or (self.strict and (self.state is State.ABSENT or bool(self.problems)))

    def document(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        problems = [{"file": one.source, "line": one.line, "found": one.found, "wanted": one.wanted}
                    for one in self.problems]  # fmt: skip
        return {"key": self.key, "file": self.file, "state": self.state, "entries": self.entries, "problems": problems}

    def remarks(self) -> Iterator[str]:
        """Yield what an admin should know of it, a line each."""
        mark = "" if self.is_wrong() else "warning: "
        if self.state is State.ABSENT and self.is_set:
            yield f"{mark}{self.file}: there is no such file, so {self.absent} ({self.key})"
        for problem in self.problems:
            place = f"{problem.source}:{problem.line}" if problem.line else problem.source
            if self.state is State.UNREADABLE:
                yield f"{place}: {self.key}: found {problem.found}, wanted {problem.wanted}"
            else:
                yield f"{mark}{place}: found {problem.found}, wanted {problem.wanted}; {self.flawed} ({self.key})"


def list_files(loaded: Loaded) -> Iterator[ListFile]:
    """Read all list files of all daemons, and the zone file that may stand in for the DNS."""
    if loaded.config.dns.zone_file:
        yield _zone_file(loaded.config.dns.zone_file)
    for section, settings in loaded.config:
        for name, parse in _KINDS.items():
            key = f"{section}.{name}"
            for file in getattr(settings, name, ()):
                yield _read(key, file, key in loaded.origins, parse)
    for number, private in enumerate(loaded.config.dnsbl.lists):
        if private.file:
            yield _read(f"dnsbl.lists[{number}].file", private.file, True, reader(private.format), MOST_PRIVATE)
    yield from _ratelimit_files(loaded.config.ratelimit)
    asked = [*_symbols_asked(loaded.config.tag)]
    if loaded.config.score.rules or loaded.config.score.scores or asked:  # else nobody waits for the rules that ship
        rules, problems = load_rules(loaded.config.score)
        yield from _rule_files(loaded.config.score, rules, problems)
        yield from _tag_symbols(asked, rules, loaded.config.score)
    with acting_as(reader_of_keys(loaded)):
        signing = [*_tables(loaded.config.dkim.sign), *_keys(loaded)]
    yield from signing


def _ratelimit_files(settings: RatelimitSettings) -> Iterator[ListFile]:
    """Read what rate limits name: overrides, logins, countries."""
    kinds = {rule.name: Kind(rule.count) for rule in settings.rule}
    if settings.overrides.startswith("/"):
        parse = parse_toml if settings.overrides.endswith(".toml") else parse_csv
        yield _read("ratelimit.overrides", settings.overrides, True, partial(parse, kinds=kinds))
    for file in settings.sender_logins:
        yield _read("ratelimit.sender_logins", file, True, parse_logins)
    if settings.country_database:
        yield _country_database(settings.country_database)


def _rule_files(settings: ScoreSettings, rules: Ruleset, problems: Sequence[RuleProblem]) -> Iterator[ListFile]:
    """Read the rule files that the settings name, or folders of them, and whether there are the rules whose points
    they change.
    """
    for place in places(settings.rules):
        files = {place.entry, *map(str, place.files)}
        own = tuple(_rule_problem(one) for one in problems if one.file in files)
        entries = sum(rule.file in files for rule in rules.rules)
        found = ListFile("score.rules", place.entry, True, State.READ, entries, own, "it has no rules", _LEFT_OUT,
                         strict=True)  # fmt: skip
        if place.absent:
            found = found._replace(state=State.ABSENT, problems=())
        elif {one.source for one in own} - {rule.file for rule in rules.rules}:  # nothing in it that could be used
            found = found._replace(state=State.UNREADABLE)
        yield found
    if unknown := tuple(_rule_problem(one) for one in problems if one.file == SCORES):
        yield ListFile(SCORES, SCORES, True, State.READ, problems=unknown, flawed="it changes nothing",
                       strict=True)  # fmt: skip


def _symbols_asked(settings: TagSettings) -> Iterator[tuple[str, str]]:
    """Yield the symbols that conditions of [tag] name, each behind its key. Those of another filter nobody knows."""
    if settings.trust_spam_headers:
        return
    for index, rule in enumerate(settings.rule):
        for place, condition in enumerate(rule.when):
            if symbol := symbol_in(condition):
                yield f"tag.rule[{index}].when[{place}]", symbol


def _tag_symbols(asked: Iterable[tuple[str, str]], rules: Ruleset, settings: ScoreSettings) -> Iterator[ListFile]:
    """Look whether there are rules with these symbols, which give points: others are never named."""
    known = {rule.symbol for rule in rules.rules if rule.score} | set(symbols_of_lists(settings))
    known -= {symbol for symbol, points in settings.scores.items() if not points}
    for key, symbol in asked:
        if symbol not in known:
            wanted = "the symbol of a rule that gives points" + meant(near(symbol, known))
            yield ListFile(key, key, True, State.READ, problems=(Problem(key, 0, symbol, wanted),), flawed=_NEVER)


def _rule_problem(problem: RuleProblem) -> Problem:
    of = f" in rule {problem.rule}" if problem.rule else ""
    return Problem(problem.file, problem.line, problem.found + of, problem.wanted)


def _tables(settings: DkimSignSettings) -> list[ListFile]:
    """Read OpenDKIM's tables. The one tells what the other's names mean, so both are judged when both are read."""
    texts: list[str] = []

    def parse(lines: Iterable[str], _: str) -> tuple[Sized, list[Problem]]:
        rows = list(lines)
        texts.append("\n".join(rows))
        return [one for one in rows if one.strip() and not one.lstrip().startswith("#")], []

    named = {"dkim.sign.key_table": settings.key_table, "dkim.sign.signing_table": settings.signing_table}
    found = [_read(key, table_path(table), True, parse) for key, table in named.items() if table]
    if len(texts) == 2:
        tables = zip(named.values(), texts, strict=True)
        _, problems = Tables.parse(*(table_source(table, text) for table, text in tables))
        found = [one._replace(problems=tuple(bad for bad in problems if bad.source == one.file)) for one in found]
    return [one._replace(absent=_UNSIGNED, flawed=_UNSIGNED) for one in found]


def _keys(loaded: Loaded) -> Iterator[ListFile]:
    """Look for the directory of keys, if it was set, and read the keys that are named; credentials are a daemon's."""
    settings = loaded.config.dkim.sign
    if settings.key_dir and "dkim.sign.key_dir" in loaded.origins:
        yield _key_dir(settings.key_dir)
    for number, one in enumerate(settings.keys):
        if one.file.startswith("/"):
            absent = f"mail of {one.domain} can't be signed by it"
            yield _key(f"dkim.sign.keys[{number}].file", one.file)._replace(absent=absent)


def _key_dir(path: str) -> ListFile:
    found = ListFile("dkim.sign.key_dir", path, True, State.READ, absent="no key in it signs")
    try:
        with os.scandir(path) as folders:
            return found._replace(entries=sum(one.is_dir() for one in folders))
    except FileNotFoundError:
        return found._replace(state=State.ABSENT)
    except OSError as error:
        problem = Problem(path, 0, said(error), "a directory that the daemon can read")
        return found._replace(state=State.UNREADABLE, problems=(problem,))


def _key(key: str, file: str) -> ListFile:
    found = ListFile(key, file, True, State.READ, 1)
    try:
        if _can_tell(file):
            read_key(file)
    except (FileNotFoundError, NotADirectoryError):
        return found._replace(state=State.ABSENT, entries=0)
    except KeyTrouble as error:
        text = str(error).removeprefix(f"{file}: ")
        flaw, _, wanted = (text.partition("found ")[2] or text.partition(": ")[2]).partition(", wanted ")
        problem = Problem(file, 0, flaw, wanted or "a private key (PEM)")
        return found._replace(state=State.UNREADABLE, entries=0, problems=(problem,))
    return found


def _can_tell(file: str) -> bool:
    """Say whether who asks can tell if the daemon may use a key. Root can, whose place its user takes, and who owns the
    key; for others it must do that there is one. Raises FileNotFoundError or NotADirectoryError where there is none.
    """
    try:
        owner = Path(file).stat().st_uid
    except (FileNotFoundError, NotADirectoryError):
        raise
    except (OSError, ValueError):
        return os.getuid() == 0
    return os.getuid() in (0, owner) or (owner == 0 and os.access(file, os.R_OK))


def _country_database(file: str) -> ListFile:
    try:
        open_countries(file)
    except OSError as error:
        return _unreadable("ratelimit.country_database", file, True, str(error).removeprefix(f"{file}: "))
    return ListFile("ratelimit.country_database", file, True, State.READ)


def _zone_file(file: str) -> ListFile:
    try:
        zone = load_zone(Path(file))
    except ZoneError as error:
        return _unreadable("dns.zone_file", file, True, str(error).removeprefix(f"{file}: "))
    return ListFile("dns.zone_file", file, True, State.READ, len(zone))


def _read(key: str, file: str, is_set: bool, parse: _Parse, most: int = MAX_BYTES) -> ListFile:
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(most + 1)
    except (FileNotFoundError, NotADirectoryError):
        return ListFile(key, file, is_set, State.ABSENT)
    except OSError as error:
        return _unreadable(key, file, is_set, said(error))
    except ValueError:  # a NUL in its name
        return _unreadable(key, file, is_set, "no name of a file")
    if len(data) > most:
        return _unreadable(key, file, is_set, "a larger file", most)
    try:
        content, problems = parse(data.decode("utf-8-sig", "replace").splitlines(), file)
    except ValueError as error:
        return _unreadable(key, file, is_set, str(error))
    return ListFile(key, file, is_set, State.READ, len(content), tuple(problems))


def _unreadable(key: str, file: str, is_set: bool, found: str, most: int = MAX_BYTES) -> ListFile:
    problem = Problem(file, 0, found, f"a readable file of at most {most >> 20} MiB")
    return ListFile(key, file, is_set, State.UNREADABLE, problems=(problem,))
