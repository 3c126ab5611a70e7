"""``vaglio dkim list``: which keys there are, and what they do."""

from __future__ import annotations

import argparse

from vaglio.cli.common import Commands, command, configuration, day_of, print_json, print_table, usual_options
from vaglio.cli.dkim_folder import domain
from vaglio.cli.dkim_known import Known, known

_MORE = """\
A key is new (made, and does not sign yet), signing, retired (signs no more, its record still stands) or revoked (its
record has an empty p=), or broken: it can't be used, or the line of a table can't, and the last column says why. It
comes from the directory key_dir, from the configuration ([[dkim.sign.keys]]) or from OpenDKIM's tables."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "list", _list, "list the keys of this host and what they do",
        "vaglio dkim list\nvaglio dkim list tizio.it --json", _MORE,
    )  # fmt: skip
    parser.add_argument("domain", nargs="?", type=domain, metavar="DOMAIN", help="keys of this domain only")
    usual_options(parser)


def _list(args: argparse.Namespace) -> int:
    found = known(configuration(args), args.domain or "")
    if args.json:
        print_json({"keys": [_row(one) for one in found]})
        return 0
    print_table(
        ("domain", "selector", "algorithm", "bits", "state", "since", "from", "file"),
        [(one.domain, one.selector, one.algorithm, one.key.bits if one.key else "?", one.condition,
          "" if one.since is None else day_of(one.since), one.source, one.trouble or one.file) for one in found],
        f"there are no keys: vaglio dkim new {args.domain or 'DOMAIN'} makes some",
    )  # fmt: skip
    return 0


def _row(one: Known) -> dict[str, object]:
    row = {name: value for name, value in one._asdict().items() if name not in ("key", "trouble")}
    return row | {"bits": one.key.bits if one.key else None, "broken": one.condition == "broken",
                  "problem": one.trouble}  # fmt: skip
