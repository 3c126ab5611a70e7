"""What the commands about Bayes share: its store, opened for looking or for changes, and what it still waits for."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from vaglio.checks.score.settings import BayesSettings
from vaglio.cli.common import CliError, WrongUsage, is_there, said, state_directory, warn
from vaglio.config.load import Loaded
from vaglio.daemon.clock import wall
from vaglio.ports import Learned, StoreError
from vaglio.store.tokens import FILE_NAME, LookTokens, Tokens, open_tokens

_PATIENCE = 30.0
"""Seconds that a command waits for others who learn."""

NAMES = {"spam": "spam", "ham": "wanted mail"}


def place(loaded: Loaded) -> Path:
    """Return the path of the store. Raises CliError."""
    return state_directory(loaded) / FILE_NAME


@contextmanager
def to_change(loaded: Loaded) -> Iterator[Tokens]:
    """Open the store, which waits for others who change it. Raises CliError."""
    path = place(loaded)
    if is_there(path) and not os.access(path, os.R_OK | os.W_OK):
        raise CliError(f"{path}: {said(PermissionError(None, 'Permission denied'))}")
    with as_cli_error(), closing(open_tokens(path.parent, warn=warn, now=wall, lock_wait=_PATIENCE)) as store:
        yield store


@contextmanager
def to_look(loaded: Loaded) -> Iterator[Tokens]:
    """Open the store, if there is one, and change nothing. Raises CliError."""
    path = place(loaded)
    if not is_there(path):
        raise CliError(f"there is no {path} yet: nothing was learned (vaglio learn spam PATH, vaglio learn ham PATH)")
    with as_cli_error(), closing(LookTokens(path)) as store:
        yield store


@contextmanager
def as_cli_error() -> Iterator[None]:
    """Tell the admin what the store says."""
    try:
        yield
    except StoreError as error:
        raise CliError(str(error)) from error


def waiting_for(learned: Learned, settings: BayesSettings) -> str:
    """Return what Bayes waits for before it has a say; "" where it has one."""
    wanted = [f"{settings.min_learned - number} more of {NAMES[kind]}"
              for kind, number in learned._asdict().items() if number < settings.min_learned]  # fmt: skip
    return f"Bayes has no say yet: it waits for {' and '.join(wanted)}" if wanted else ""


def agreed(args: argparse.Namespace, what: str) -> bool:
    """Ask whether to do what can't be undone, unless ``--yes`` says so. Raises WrongUsage where nobody can be asked."""
    if args.yes:
        return True
    if args.json or not sys.stdin.isatty():
        raise WrongUsage(f"{what} for good, and nobody can be asked: say --yes")
    return input(f"{what[0].upper()}{what[1:]} for good. Go on? [y/N] ").strip().lower() in ("y", "yes")
