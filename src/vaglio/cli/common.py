"""What all subcommands share: errors, tables and JSON, the configuration, the store."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from vaglio.cli.arguments import count
from vaglio.config.load import ConfigError, Loaded, load
from vaglio.config.model import State, VaglioConfig
from vaglio.daemon.clock import wall
from vaglio.ports import R, Schema, Store, StoreError, Table
from vaglio.store import open_store
from vaglio.store.files import identity

T = TypeVar("T")
Commands = Any
"""What argparse's add_subparsers() gives; its type has no public name."""

_UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f"  # controls: escape sequences
    r"\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # invisible, or turns the direction of what follows
    r"\ud800-\udfff]"  # bytes that were no UTF-8
)
_PAGE = 5000
_WIDEST = 50
"""Columns are padded to this many characters at most; longer cells stand whole and push out only their own row."""


class CliError(Exception):
    """What the admin asked for can't be done; the message says why and what to do."""

    status = 1


class WrongUsage(CliError):
    """Options that don't go together."""

    status = 2


def group(commands: Commands, name: str, text: str) -> Commands:
    """Add a command that has subcommands of its own; alone it prints its help."""
    parser = commands.add_parser(name, help=text, description=_sentence(text))
    parser.set_defaults(run=lambda _: helpless(parser))
    return parser.add_subparsers(title="commands", metavar="COMMAND")


def helpless(parser: argparse.ArgumentParser) -> int:
    """Print the help of a command that was called without a subcommand; return the exit status."""
    parser.print_help(sys.stderr)
    return 2


def command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], text: str, examples: str, more: str = ""
) -> argparse.ArgumentParser:
    """Add a subcommand and return its parser. ``examples`` are command lines, ``more`` stands before them."""
    lines = "\n".join(f"  {line}" for line in examples.strip().splitlines())
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=_sentence(text), epilog=f"{more}\n\nexamples:\n{lines}".strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.set_defaults(run=run)
    return parser


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def usual_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--config`` and ``--json``."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration file in place of the default one")
    parser.add_argument("--json", action="store_true", help="print one JSON document: times in Unix seconds")


def looking_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that only reads: the usual ones and ``--state``."""
    usual_options(parser)
    parser.add_argument("--state", type=_state, metavar="DIR",
                        help="look into this state directory, whatever the configuration says")  # fmt: skip


def days_option(parser: argparse.ArgumentParser, usual: int) -> None:
    """Add ``--days`` to a command that counts by day."""
    parser.add_argument("--days", type=count, default=usual, metavar="N", help=f"the last N days (default {usual})")


def _state(text: str) -> State:
    try:
        return State(url=f"sqlite://{Path(text).absolute()}")
    except ValueError:  # ValidationError is one
        raise argparse.ArgumentTypeError(f"found {text!r}, wanted a directory such as /var/lib/vaglio") from None


def configuration(args: argparse.Namespace) -> Loaded:
    """Load the configuration that the command line asks for. Raises ConfigError, but not where ``--state`` says where
    to look: then the defaults serve in place of a configuration that has errors.
    """
    state: State | None = getattr(args, "state", None)
    try:
        loaded = load(args.config, os.environ)
    except ConfigError as error:
        if state is None:
            raise
        warn(f"{error.problems[0]}; until that is repaired all settings are taken as the defaults have them "
             "(see vaglio config check)")  # fmt: skip
        loaded = Loaded(VaglioConfig())
    return loaded if state is None else replace(loaded, config=loaded.config.model_copy(update={"state": state}))


def now(args: argparse.Namespace) -> float:
    """Return the Unix time: that of ``--now`` where the command has it."""
    given: float | None = getattr(args, "now", None)
    return wall() if given is None else given


def first_day(args: argparse.Namespace) -> int:
    """Return the first of the last ``--days`` days, in days since 1970."""
    days: int = args.days
    return int(now(args)) // 86400 - days + 1


def counted_until(args: argparse.Namespace) -> int:
    """Return the Unix time until which all is counted: daemons write their counts every few seconds."""
    from vaglio.daemon.worker import WRITE_BACK  # takes a while to load

    return int(now(args) - (WRITE_BACK if getattr(args, "now", None) is None else 0))


# --- the state directory ---


def state_directory(loaded: Loaded) -> Path:
    """Return the directory of the stores. Raises CliError for a store in memory, which nobody else can see."""
    directory = loaded.config.state.directory
    if directory is None:
        raise CliError('state.url is "memory:": only the daemon itself can see that store')
    return directory


def is_there(path: Path) -> bool:
    """Return whether there is such a file. Raises CliError when we may not know."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise CliError(f"{path}: {said(error)}") from error
    return True


def said(error: OSError) -> str:
    """Return what the system says, and what helps against it."""
    text = error.strerror or str(error)
    return f"{text}: run this as root or as the daemon's user" if isinstance(error, PermissionError) else text


def look_at_store(loaded: Loaded, schema: Schema, work: Callable[[Store], Awaitable[T]]) -> T:
    """Open the store of ``schema`` for looking only and run ``work``. Raises CliError, also if there is none yet."""
    _there(loaded, schema, os.R_OK)

    async def look() -> T:
        store = open_store(loaded.config.state.url, schema, warn=warn, now=wall, look_only=True)
        try:
            return await work(store)
        finally:
            store.close()

    return _run(look)


async def walk(store: Store, table: Table[R], after: bytes = b"") -> AsyncIterator[R]:
    """Yield the records of a table behind the key ``after``, showing progress on long walks."""
    seen = 0
    while page := await store.scan(table, after, _PAGE):
        for _, record in page:
            yield record
        after, seen = page[-1][0], seen + len(page)
        progress(f"{seen} {table.name}" if len(page) == _PAGE else "")
    progress("")


def change_store(loaded: Loaded, schema: Schema, work: Callable[[Store], Awaitable[T]], create: bool = False) -> T:
    """Open the store of ``schema``, run ``work``, settle. Raises CliError, also for one that is not there yet, but
    with ``create``.
    """
    path = _there(loaded, schema, os.R_OK | os.W_OK, create)
    return _run(lambda: _work_on(loaded, schema, work, path))


def _run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    try:
        return asyncio.run(work())
    except StoreError as error:
        raise CliError(str(error)) from error


def _there(loaded: Loaded, schema: Schema, rights: int, create: bool = False) -> Path:
    """Return the path of a store that we may use. Raises CliError."""
    path = state_directory(loaded) / f"{schema.name}.sqlite"
    if not is_there(path):
        if not create:
            raise CliError(f"there is no store at {path} yet: has the daemon run with this configuration?")
    elif not os.access(path, rights):
        raise CliError(f"{path}: {said(PermissionError(None, 'Permission denied'))}")
    return path


async def _work_on(loaded: Loaded, schema: Schema, work: Callable[[Store], Awaitable[T]], path: Path) -> T:
    before = identity(path)
    store = open_store(loaded.config.state.url, schema, warn=warn, now=wall)
    try:
        if before is not None and identity(path) != before:  # the store has warned, and said where it is now
            raise CliError(f"{path} was damaged: nothing is remembered any more")
        result = await work(store)
        store.settle()
    finally:
        store.close()
    return result


# --- output ---


def warn(text: str) -> None:
    """Tell the admin on stderr."""
    print(f"vaglio: {clean(text)}", file=sys.stderr)


def progress(text: str) -> None:
    """Show how far long work has come, on a terminal only; an empty text wipes it away."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def clean(value: object) -> str:
    """Return the value as text that no terminal takes for a command: what senders wrote may stand in it."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", str(value))


def print_json(document: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(document, indent=2, ensure_ascii=True))


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]], none: str) -> None:
    """Print rows in columns; ``none`` where there are no rows."""
    body = [[clean(cell) for cell in row] for row in rows]
    if not body:
        print(none)
        return
    widths = [min(max(map(len, column)), _WIDEST) for column in zip(head, *body, strict=True)]
    for row in ([*head], *body):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def paragraph(text: str, indent: str = "  ") -> str:
    """Return a text behind ``indent``; on a terminal it is folded to its width."""
    if not sys.stdout.isatty():
        return indent + clean(text)
    width = max(shutil.get_terminal_size().columns, 60)
    return textwrap.fill(clean(text), width, initial_indent=indent, subsequent_indent=indent, break_long_words=False,
                         break_on_hyphens=False)  # fmt: skip


def moment(unix: float) -> str:
    """Return a time as an admin reads it, in the local zone."""
    try:
        return datetime.fromtimestamp(unix).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):  # no time at all, but what stands in the store
        return str(unix)


def day_of(unix: float) -> str:
    """Return the date of a time, in UTC, by which days are counted."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d")
