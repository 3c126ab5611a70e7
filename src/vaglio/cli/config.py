"""``vaglio config``: is it right (list files, tables and keys too), what is in force, what could be set."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from pathlib import Path

from vaglio.cli.common import Commands, command, configuration, group, print_json, print_table, usual_options, warn
from vaglio.cli.config_lists import list_files
from vaglio.config.describe import defaults, show, show_json
from vaglio.config.load import ConfigError, Loaded


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    inner = group(commands, "config", "check, show and explain the configuration")
    check = command(
        inner, "check", _check, "report all errors of the configuration, and of lists, tables and keys that it names",
        "vaglio config check\nvaglio config check ./vaglio.toml && systemctl reload vaglio-greylist",
        "Exit status 78 when the daemons can't run with it; 1 when a file that it names is there and can't be read,\n"
        "or is a key that is not used, when anything is wrong with rules of score.rules, or one is missing, and when\n"
        "score.scores names a symbol that there isn't; else 0. Warnings are no errors: a bad line of a list file is\n"
        "left out, a missing file is an empty list. Run by root, keys are judged as the user vaglio reads them.",
    )  # fmt: skip
    usual_options(check)
    check.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the same as --config FILE")
    shown = command(
        inner, "show", _show, "print the settings in force and where each comes from",
        "vaglio config show\nvaglio config show | grep -v default$     only what was set",
    )  # fmt: skip
    usual_options(shown)
    command(
        inner, "defaults", _defaults, "print a full configuration file with every setting explained",
        "vaglio config defaults | less\nvaglio config defaults > /etc/vaglio/vaglio.toml",
    )  # fmt: skip


def _check(args: argparse.Namespace) -> int:
    args.config = args.file or args.config
    try:
        loaded = configuration(args)
    except ConfigError as error:
        if not args.json:
            raise
        print_json({"ok": False, "problems": [asdict(problem) for problem in error.problems], "warnings": [],
                    "lists": []})  # fmt: skip
        return os.EX_CONFIG
    lists = list(list_files(loaded))
    wrong = any(one.is_wrong() for one in lists)
    if args.json:
        documents = [one.document() for one in lists]
        print_json({"ok": not wrong, "problems": [], "warnings": list(loaded.warnings), "lists": documents})
    else:
        _warn_of(loaded)
        for remark in (remark for one in lists for remark in one.remarks()):
            warn(remark)
        outcome = "ok, but not all that it names can be used" if wrong else "ok"
        print(f"{loaded.path or 'no file: the defaults serve'}: {outcome}")
    return 1 if wrong else 0


def _warn_of(loaded: Loaded) -> None:
    for warning in loaded.warnings:
        warn(f"warning: {warning}")


def _show(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    if args.json:
        print_json(show_json(loaded))
    else:
        _warn_of(loaded)
        rows = ((row.key, row.value, row.origin) for row in show(loaded))
        print_table(("setting", "value", "from"), rows, "there are no settings")
    return 0


def _defaults(_: argparse.Namespace) -> int:
    print(defaults(), end="")
    return 0
