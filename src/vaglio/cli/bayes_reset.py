"""``vaglio bayes reset``: forgets all that was learned."""

from __future__ import annotations

import argparse

from vaglio.cli.bayes_store import agreed, place, to_change
from vaglio.cli.common import CliError, Commands, command, configuration, is_there, print_json, usual_options

_MORE = """\
Bayes has no say then until enough is learned anew. Nothing brings it back but a file of "vaglio bayes export". To take
back single messages: vaglio learn forget PATH."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "reset", _reset, "forget all that was learned",
        "vaglio bayes reset\nvaglio bayes reset --yes", _MORE,
    )  # fmt: skip
    parser.add_argument("--yes", action="store_true", help="do not ask")
    usual_options(parser)


def _reset(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    path = place(loaded)
    if not is_there(path):
        raise CliError(f"there is no {path}: nothing was learned")
    if not agreed(args, "this forgets all that was learned"):
        return 1
    with to_change(loaded) as store:
        learned = store.learned()
        store.clear()
    if args.json:
        print_json({"forgotten": learned._asdict()})
    else:
        print(f"forgotten: {learned.spam} messages of spam, {learned.ham} of wanted mail")
    return 0
