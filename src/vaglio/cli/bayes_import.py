"""``vaglio bayes import``: takes over what was learned elsewhere, or earlier."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple

from vaglio.cli.bayes_lines import LONGEST, BadFile, entries
from vaglio.cli.bayes_store import agreed, to_change
from vaglio.cli.common import CliError, Commands, command, configuration, now, print_json, progress, said, usual_options
from vaglio.ports import Learned, Word
from vaglio.store.tokenrows import Entry, Origin, Remembered
from vaglio.store.tokens import Tokens

_TOGETHER = 10_000
"""Entries between two lines of progress."""
_MORE = """\
The file is read to its end before anything is changed, and then all of it is taken over or, if that is interrupted,
nothing. What is in it is added to what was learned here: a message that was learned in both places counts twice, so
what was taken over already, or comes from here, is refused, later exports of the same store too. --replace puts it in
place of what is here. Bayes goes by what was there before until all is done; who learns waits."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "import", _import, "take over what was learned elsewhere, or earlier",
        "vaglio bayes import bayes.txt\nvaglio bayes import --replace bayes.txt\n"
        "vaglio bayes import < bayes.txt",
        _MORE,
    )  # fmt: skip
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="the file (default: standard input)")
    parser.add_argument("--replace", action="store_true", help="forget what was learned here, in favour of it")
    parser.add_argument("--yes", action="store_true", help="with --replace: do not ask")
    usual_options(parser)


class _Found(NamedTuple):
    """What is in a file, how many of its messages are known here, and whether anything of where it comes from is."""

    learned: Learned
    messages: int
    words: int
    known: int
    of_known: bool


def _import(args: argparse.Namespace) -> int:
    if args.replace and not agreed(args, "this forgets what was learned here"):
        return 1
    today = int(now(args)) // 86400
    with _at_hand(args.file) as file, to_change(configuration(args)) as store:
        try:
            found = _examined(entries(_lines(file), today), store)
        except BadFile as error:
            raise CliError(f"{args.file}: {error}; nothing was changed") from error
        if not args.replace and (why := _why_not(found)):
            raise CliError(f"{args.file}: {why}; to put it in place of what is here: --replace")
        file.seek(0)
        store.add(_counted(entries(_lines(file), today), "lines written"), args.replace)
    if args.json:
        print_json({"spam": found.learned.spam, "ham": found.learned.ham, "remembered": found.messages,
                    "words": found.words})  # fmt: skip
    else:
        print(f"taken over: {found.words} words, of {found.learned.spam} messages of spam and {found.learned.ham} of "
              "wanted mail")  # fmt: skip
    return 0


@contextmanager
def _at_hand(name: str) -> Iterator[BinaryIO]:
    """Open the file so that it can be read twice. Raises CliError."""
    try:
        with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as source:
            if source.seekable():
                yield source
                return
            with TemporaryFile() as copy:
                shutil.copyfileobj(source, copy)
                copy.seek(0)
                yield copy
    except OSError as error:
        raise CliError(f"{name}: {said(error)}") from error


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(LONGEST):
        yield line


def _examined(found: Iterable[Entry], store: Tokens) -> _Found:
    """Look through it all. Raises BadFile."""
    learned, messages, words, known, of_known = Learned(), 0, 0, 0, False
    for some in _batches(_counted(found, "lines read")):
        digests = [one.digest for one in some if isinstance(one, Remembered)]
        messages, known = messages + len(digests), known + store.known(digests)
        words += sum(isinstance(one, Word) for one in some)
        of_known = of_known or store.holds(one for one in some if isinstance(one, Origin))
        learned = next((one for one in some if isinstance(one, Learned)), learned)
    return _Found(learned, messages, words, known, of_known)


def _why_not(found: _Found) -> str:
    """Return why it is not to be added; "" where nothing speaks against that."""
    if found.of_known:
        return "it comes from here, or was taken over already, it or another export of the same store"
    if found.known * 2 > found.messages:
        return f"{found.known} of its {found.messages} messages are known here, so it was taken over already"
    return ""


def _counted(found: Iterable[Entry], what: str) -> Iterator[Entry]:
    """Show how far it is while it is gone through."""
    try:
        for number, one in enumerate(found, 1):
            if number % _TOGETHER == 0:
                progress(f"{number} {what}")
            yield one
    finally:
        progress("")


def _batches(found: Iterable[Entry]) -> Iterator[Sequence[Entry]]:
    rest = iter(found)
    while some := list(islice(rest, _TOGETHER)):
        yield some
