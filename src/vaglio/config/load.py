"""Find the configuration file, read it, validate it whole.

All problems are found in one go, each with file, line, key, what was found and what is wanted. Nothing is
opened but the file itself: whether a list file or a socket's directory exists is for its user to find out.
README: "Configuration".
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from vaglio.config import sense, words
from vaglio.config.chain import READY, ChainSettings
from vaglio.config.model import VaglioConfig
from vaglio.config.places import Path as KeyPath
from vaglio.config.places import line_of, places
from vaglio.config.words import dotted

DEFAULT_PATH = Path("/etc/vaglio/vaglio.toml")
LARGEST = 1024 * 1024

FROM_ENVIRONMENT = "environment STATE_DIRECTORY"
_STATE_URL: KeyPath = ("state", "url")

_SYNTAX = (  # what tomllib says -> what we say; else tomllib's words
    ("Expected newline or end", "the end of the line after the value (text, durations and sizes stand in quotes)"),
    ("Invalid value", "a value: text in quotes, a number, true, false or a list in brackets"),
    ("Invalid statement", 'a line such as key = "value" or [section]'),
    ("Expected '='", 'a line such as key = "value" or [section]'),
    ("Cannot overwrite a value", "each key only once"),
    ("Cannot declare", "each [section] only once"),
    ("Unterminated string", "a closing quote"),
    ("Illegal character '\\n'", "a closing quote"),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to repair. ``line`` is 0 and ``key`` empty where there is none; ``found`` is in TOML's notation."""

    file: str
    line: int
    key: str
    found: str
    wanted: str

    def __str__(self) -> str:
        place = ":".join([self.file, *([str(self.line)] if self.line else [])])
        return ": ".join([place, *([self.key] if self.key else []), f"found {self.found}, wanted {self.wanted}"])


class ConfigError(Exception):
    """The configuration can't be used; ``problems`` has all reasons, ``str()`` one line for each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration.

    ``path`` is the file, None where the defaults serve. ``origins`` names the place of each key that is set
    (``FILE:LINE`` or ``environment STATE_DIRECTORY``); keys that are not in it have their default. ``warnings``
    are lines for the admin about settings that are valid and probably not meant.
    """

    config: VaglioConfig
    path: Path | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def load(path: Path | None, environ: Mapping[str, str], default: Path = DEFAULT_PATH) -> Loaded:
    """Return the configuration of ``path``, else of $VAGLIO_CONFIG, else of ``default`` if there is such a file,
    else the defaults. Raises ConfigError with all problems.
    """
    document = _document(path or _path_of(environ), default)
    document = document.with_environment(environ)
    config, problems = _validate(document)
    if problems:
        raise ConfigError(sorted(problems, key=lambda problem: problem.line))
    warnings = tuple(_warning(document, remark) for remark in sense.remarks(config))
    return Loaded(config, document.path, dict(document.origins()), warnings)


class _Document(NamedTuple):
    """What is set, and where."""

    path: Path | None = None
    data: Mapping[str, Any] = {}
    lines: Mapping[KeyPath, int] = {}
    from_environment: bool = False

    def with_environment(self, environ: Mapping[str, str]) -> _Document:
        """Let $STATE_DIRECTORY (systemd.exec(5); the first of several) stand for a state.url that is not set."""
        directory = environ.get("STATE_DIRECTORY", "").partition(":")[0]
        state = self.data.get("state", {})
        if not directory or not isinstance(state, dict) or "url" in state:
            return self
        data = {**self.data, "state": {**state, "url": f"sqlite://{directory}"}}
        return self._replace(data=data, from_environment=True)

    def place(self, path: KeyPath) -> tuple[str, int]:
        """Return the file and line of a key."""
        if self.from_environment and path == _STATE_URL:
            return FROM_ENVIRONMENT, 0
        return str(self.path), line_of(self.lines, path)

    def problem(self, path: KeyPath, found: str, wanted: str) -> Problem:
        return Problem(*self.place(path), dotted(path), found, wanted)

    def has(self, path: KeyPath) -> bool:
        """Return whether the key is set."""
        return _walk(self.data, path)[0] == path

    def origins(self) -> Iterator[tuple[str, str]]:
        """Yield each key that is set, with its place in words."""
        for path in _leaves(self.data):
            file, line = self.place(path)
            yield dotted(path), f"{file}:{line}" if line else file


def _path_of(environ: Mapping[str, str]) -> Path | None:
    return Path(environ["VAGLIO_CONFIG"]) if environ.get("VAGLIO_CONFIG") else None


def _document(path: Path | None, default: Path) -> _Document:
    """Read and parse the file; a missing default file is an empty one without a path."""
    if path is None and not _is_there(default):
        return _Document()
    path = path or default
    text = _read(path)
    data = _parse(str(path), text)
    return _Document(path, data, places(text.replace("\r\n", "\n")))


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # reading it will say what is wrong
    return True


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise _unreadable(path, (error.strerror or str(error)).lower()) from error
    if len(raw) > LARGEST:
        raise _unreadable(path, "a larger file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = f"the byte 0x{error.object[error.start]:02X}"
        raise ConfigError([Problem(str(path), line, "", byte, "text in UTF-8")]) from error


def _unreadable(path: Path, found: str) -> ConfigError:
    return ConfigError([Problem(str(path), 0, "", found, "a readable file of at most 1 MiB")])


def _parse(file: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax_problem(file, text, str(error))]) from error
    except RecursionError as error:
        raise ConfigError([Problem(file, 0, "", "brackets in brackets", "at most a hundred levels")]) from error
    except ValueError as error:  # Python does not read numbers of thousands of digits
        raise ConfigError([Problem(file, 0, "", "a number of thousands of digits", "shorter numbers")]) from error


# An access key must not reach a log, not even by way of an open quote, nor one that stands in the zone.
_SECRET = re.compile(r"((?:key|zone)[\"']?\s*=\s*).*", re.IGNORECASE)
_NOT_SHOWN = "a value that is not shown"


def _syntax_problem(file: str, text: str, message: str) -> Problem:
    """Put tomllib's message, which ends in "(at line 3, column 7)" or "(at end of document)", into our words."""
    lines = text.split("\n")
    said, _, where = message.rpartition(" (at ")
    match = re.match(r"line (\d+)", where)
    line = int(match[1]) if match else len(text.rstrip().split("\n"))
    found = _NOT_SHOWN if _goes_on(lines[:line]) else words.found_line(_SECRET.sub(r"\1...", lines[line - 1].strip()))
    wanted = next((ours for theirs, ours in _SYNTAX if said.startswith(theirs)), f"TOML: {said}")
    return Problem(file, line, "", found, wanted)


def _goes_on(lines: list[str]) -> bool:
    """Return whether the last line may be the rest of a secret that began on an earlier one."""
    start = next((line for line in reversed(lines) if "=" in line), "")
    if start == lines[-1] or not _SECRET.search(start):
        return False
    try:
        tomllib.loads(start)
    except ValueError:
        return True
    return False


def _validate(document: _Document) -> tuple[VaglioConfig, list[Problem]]:
    """Return the configuration and all that is wrong with it.

    Keys that are wrong are taken out and the rest is validated again, so that keys which are wrong only
    together are found as well.
    """
    try:
        config, problems, bad = VaglioConfig.model_validate(document.data), [], set[KeyPath]()
    except ValidationError as error:
        errors = _by_key(document.data, error.errors(include_url=False))
        problems = [_field_problem(document, path, of_key) for path, of_key in errors.items()]
        bad = {path[:2] for path in errors}
        config = VaglioConfig.model_validate(_without(document.data, bad))
    for clash in sense.clashes(config):
        if not any(path[:2] in bad or path[:1] in bad for path in clash.paths):
            problems.append(_clash_problem(document, clash))
    return config, problems


def _by_key(data: Any, errors: Iterable[ErrorDetails]) -> dict[KeyPath, list[ErrorDetails]]:
    """Group pydantic's errors by the key they are about: it gives one for each branch of a union."""
    keys: dict[KeyPath, list[ErrorDetails]] = {}
    for error in errors:
        keys.setdefault(_walk(data, error["loc"])[0], []).append(error)
    return keys


def _walk(data: Any, location: KeyPath) -> tuple[KeyPath, Any]:
    """Follow ``location`` as far as there is data; return the path that exists and the value at its end.

    pydantic puts names of its own (branches of a union, "[key]") at the end of a location.
    """
    path: KeyPath = ()
    for part in location:
        if not _has(data, part):
            break
        path, data = (*path, part), data[part]
    return path, data


def _has(data: Any, part: str | int) -> bool:
    if isinstance(data, list):
        return isinstance(part, int) and part < len(data)
    return isinstance(data, dict) and part in data


def _without(data: Mapping[str, Any], bad: Iterable[KeyPath]) -> dict[str, Any]:
    """Return a copy without the given sections and keys."""
    copy = {name: dict(table) if isinstance(table, dict) else table for name, table in data.items()}
    for path in bad:
        if len(path) == 1:
            copy.pop(str(path[0]), None)
        elif path[0] in copy:
            copy[str(path[0])].pop(path[1], None)
    return copy


def _field_problem(document: _Document, path: KeyPath, errors: list[ErrorDetails]) -> Problem:
    first = errors[0]
    unknown = first["type"] == "extra_forbidden"
    found = _NOT_SHOWN if _may_be_secret(path, unknown) else words.found(_walk(document.data, path)[1])
    if unknown:
        return document.problem(path, found, _unknown(path))
    if first["loc"][-1] == "[key]":
        keys = words.kind_of_keys(words.kind_at(VaglioConfig, path[:-1]))
        return document.problem(path, f"the key {words.found(path[-1])}", words.wanted(keys))
    if first["type"] == "value_error" and len(errors) == 1:
        return document.problem(path, found, str(first["ctx"]["error"]))
    missing = [str(one["loc"][-1]) for one in errors if one["type"] == "missing"]
    if missing:
        return document.problem(path, f"a table without {', '.join(missing)}", "a table that has these keys")
    wanted = words.wanted(words.kind_at(VaglioConfig, path))
    if path[:-1] == ("chain",) and path[-1] in ChainSettings.model_fields:
        wanted += f", and {path[-1]} in it: write [chain.{next(iter(READY))}], or another name, above the line"
    return document.problem(path, found, wanted)


def _may_be_secret(path: KeyPath, unknown: bool) -> bool:
    """Return whether an access key may stand there, also by a mistake: under a name that there isn't, in a zone, in
    place of a table.
    """
    has_lists = path[:1] == ("dnsbl",) or path[:2] == ("score", "links")
    if unknown:
        return has_lists or "key" in str(path[-1]).lower()
    of_lists = has_lists and (path[-1] == "zone" or words.is_table(words.kind_at(VaglioConfig, path)))
    return of_lists or words.is_secret(VaglioConfig, path)


def _unknown(path: KeyPath) -> str:
    """Say that there is no such key, and which one may be meant: the same in a table of this section, a similar one
    here, or the same in another section.
    """
    above, name = path[:-1], str(path[-1])
    section: type[BaseModel] = words.kind_at(VaglioConfig, above).type
    if above and (below := list(_tables_with(name, above))):
        return "no such key" + words.meant(*below)
    near = words.near(name, section.model_fields)
    return "no such key" + words.meant(near or next(_tables_with(name, ()), ""))


def _tables_with(name: str, path: KeyPath) -> Iterator[str]:
    """Yield the key of this name in each table of the section at ``path``."""
    for table in words.kind_at(VaglioConfig, path).type.model_fields:
        kind = words.kind_at(VaglioConfig, (*path, table)).type
        if words.is_section(kind) and name in kind.model_fields:
            yield dotted((*path, table, name))


def _clash_problem(document: _Document, clash: sense.Clash) -> Problem:
    return document.problem(clash.paths[0], clash.found, clash.wanted)


def _leaves(data: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the path of each value that is no table and no list of tables."""
    if isinstance(data, dict) and data:
        for key, value in data.items():
            yield from _leaves(value, (*path, key))
    elif isinstance(data, list) and data and all(isinstance(entry, dict) for entry in data):
        for index, entry in enumerate(data):
            yield from _leaves(entry, (*path, index))
    elif path:
        yield path


def _warning(document: _Document, remark: sense.Remark) -> str:
    """Write a warning with the place of the first of its keys that is set."""
    path = next((path for path in remark.paths if document.has(path)), remark.paths[0])
    file, line = document.place(path)
    return f"{file}{f':{line}' if line else ''}: {dotted(remark.paths[0])}: {remark.text}"
