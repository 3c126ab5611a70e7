"""``vaglio config``: is it right, what is in force, what could be set."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from vaglio.cli.common import Commands, command, configuration, print_json, print_table, warn
from vaglio.config.describe import defaults, show, show_json
from vaglio.config.load import ConfigError


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    group = commands.add_parser("config", help="check, show and explain the configuration")
    inner = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    check = command(inner, "check", _check, "report all errors of the configuration, with file, line and key")
    check.add_argument("file", nargs="?", type=Path, metavar="FILE", help="file to check in place of the default one")
    command(inner, "show", _show, "print the settings in force and where each comes from")
    command(inner, "defaults", _defaults, "print a full configuration file with every setting explained")


def _check(args: argparse.Namespace) -> int:
    args.config = args.file or args.config
    try:
        loaded = configuration(args)
    except ConfigError as error:
        if args.json:
            problems = [
                {"file": one.file, "line": one.line, "key": one.key, "found": one.found, "wanted": one.wanted}
                for one in error.problems
            ]
            print_json({"ok": False, "problems": problems, "warnings": []})
            return os.EX_CONFIG
        raise
    if args.json:
        print_json({"ok": True, "problems": [], "warnings": list(loaded.warnings)})
        return 0
    for warning in loaded.warnings:
        warn(f"warning: {warning}")
    print(f"{loaded.path or 'no file: the defaults serve'}: ok")
    return 0


def _show(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    if args.json:
        print_json(show_json(loaded))
    else:
        print_table(("setting", "value", "from"), ((row.key, row.value, row.origin) for row in show(loaded)))
    return 0


def _defaults(args: argparse.Namespace) -> int:
    if args.json:
        print_json({"toml": defaults()})
    else:
        print(defaults(), end="")
    return 0
