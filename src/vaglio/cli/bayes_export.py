"""``vaglio bayes export``: writes what was learned into a file of text."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from vaglio.cli.bayes_lines import written
from vaglio.cli.bayes_store import to_look
from vaglio.cli.common import CliError, Commands, command, configuration, looking_options, print_json, progress, said
from vaglio.store.tokens import Tokens

_MORE = """\
The file is for "vaglio bayes import": a line for each word, as a number (from which short words can be told: treat the
file like mail), and for each message, as a number too. It is the store as it was at one moment; daemons and learning
go on meanwhile. A FILE that is there already is not written over; only you may read the new one."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "export", _export, "write what was learned into a file",
        "vaglio bayes export bayes.txt\nvaglio bayes export | xz > bayes.txt.xz", _MORE,
    )  # fmt: skip
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="the file (default: standard output)")
    looking_options(parser)


def _export(args: argparse.Namespace) -> int:
    with to_look(configuration(args)) as store:
        if args.file == "-":
            _write(store, sys.stdout.buffer)
            return 0
        try:
            with _new(Path(args.file)) as file:
                number = _write(store, file)
        except OSError as error:
            raise CliError(f"{args.file}: {said(error)}") from error
    if args.json:
        print_json({"file": args.file, "lines": number})
    else:
        print(f"{number} lines written to {args.file}")
    return 0


@contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    """Create a file that only its owner may read; it goes again unless all of it is written. Raises OSError."""
    with ExitStack() as undo:
        with open(path, "xb", opener=_for_me_alone) as file:  # that of a Path takes no opener
            undo.callback(path.unlink, missing_ok=True)
            yield file
        undo.pop_all()


def _for_me_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _write(store: Tokens, file: BinaryIO) -> int:
    number = 0
    for number, line in enumerate(written(store.all()), 1):
        file.write(line)
        if number % 100_000 == 0:
            progress(f"{number} lines")
    file.flush()
    progress("")
    return number
