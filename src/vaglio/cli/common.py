"""What all subcommands share: errors, tables and JSON, times, the configuration, the store."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from vaglio.config.load import Loaded, load
from vaglio.config.types import parse_duration
from vaglio.daemon.clock import wall
from vaglio.ports import Schema, Store, StoreError
from vaglio.store import open_store

T = TypeVar("T")
Commands = Any
"""What argparse's add_subparsers() gives; its type has no public name."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class CliError(Exception):
    """What the admin asked for can't be done; the message says why and what to do. Exit status 1."""


def command(commands: Commands, name: str, run: Callable[[argparse.Namespace], int], text: str, more: str = "") -> Any:
    """Add a subcommand with ``--config`` and ``--json``; return its parser."""
    parser = commands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration file in place of the default one")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)
    return parser


def configuration(args: argparse.Namespace) -> Loaded:
    """Load the configuration that the command line asks for. Raises ConfigError."""
    return load(args.config, os.environ)


def now(args: argparse.Namespace) -> float:
    """Return the Unix time: that of ``--now`` where the command has it."""
    given = getattr(args, "now", None)
    return wall() if given is None else float(given)


def state_directory(loaded: Loaded) -> Path:
    """Return the directory of the stores. Raises CliError for a store in memory, which nobody else can see."""
    directory = loaded.config.state.directory
    if directory is None:
        raise CliError('state.url is "memory:": only the daemon itself can see that store')
    return directory


def with_store(loaded: Loaded, schema: Schema, work: Callable[[Store], Awaitable[T]], create: bool = False) -> T:
    """Open the store of ``schema``, run ``work``, settle. Raises CliError if there is none yet."""
    path = state_directory(loaded) / f"{schema.name}.sqlite"
    try:
        if not create and not path.exists():
            raise CliError(f"there is no store at {path} yet: has the daemon run with this configuration?")
    except PermissionError:
        raise CliError(f"{path.parent} can't be looked into: run this as root or as the daemon's user") from None

    async def run() -> T:
        store = open_store(loaded.config.state.url, schema, warn=warn, now=wall)
        try:
            result = await work(store)
            store.settle()
        finally:
            store.close()
        return result

    try:
        return asyncio.run(run())
    except StoreError as error:
        raise CliError(str(error)) from error


def warn(text: str) -> None:
    """Tell the admin on stderr."""
    print(f"vaglio: {text}", file=sys.stderr)


def progress(text: str) -> None:
    """Show how far long work has come, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def clean(value: object) -> str:
    """Return the value as text that no terminal takes for a command: what senders wrote may stand in it."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", str(value))


def print_json(document: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(document, indent=2, ensure_ascii=True))


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]], none: str = "nothing found") -> None:
    """Print rows in columns; ``none`` where there are no rows."""
    body = [[clean(cell) for cell in row] for row in rows]
    if not body:
        print(none)
        return
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    for row in ([*head], *body):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def moment(unix: float) -> str:
    """Return a time as an admin reads it, in the local zone; ``-`` for none."""
    return datetime.fromtimestamp(unix).astimezone().strftime("%Y-%m-%d %H:%M:%S") if unix else "-"


def when(text: str) -> Callable[[float], float]:
    """Read ``--since``: a duration ("1h", "7d"), a date ("2026-11-22", "2026-11-22 14:30") or Unix seconds.

    Returns a function from now to Unix seconds; argparse turns the ValueError into its own message.
    """
    if text.isascii() and text.isdigit() and len(text) > 6:
        return lambda _: float(text)
    try:
        seconds = parse_duration(text)
    except ValueError:
        stamp = datetime.fromisoformat(text).astimezone().timestamp()
        return lambda _: stamp
    return lambda now: now - seconds
