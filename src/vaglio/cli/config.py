"""``vaglio config``: is it right, what is in force, what could be set."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from pathlib import Path

from vaglio.cli.common import Commands, command, configuration, group, print_json, print_table, usual_options, warn
from vaglio.config.describe import defaults, show, show_json
from vaglio.config.load import ConfigError, Loaded


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    inner = group(commands, "config", "check, show and explain the configuration")
    check = command(
        inner, "check", _check, "report all errors of the configuration, with file, line and key",
        "vaglio config check\nvaglio config check ./vaglio.toml && systemctl reload vaglio-greylist",
        "Exit status 0 when the daemons can run with it, else 78. Warnings are no errors.",
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
        print_json({"ok": False, "problems": [asdict(problem) for problem in error.problems], "warnings": []})
        return os.EX_CONFIG
    if args.json:
        print_json({"ok": True, "problems": [], "warnings": list(loaded.warnings)})
    else:
        _warn_of(loaded)
        print(f"{loaded.path or 'no file: the defaults serve'}: ok")
    return 0


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
