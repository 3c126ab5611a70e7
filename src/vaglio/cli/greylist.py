"""``vaglio greylist``: what is remembered, what would happen, who is allowed, and what it is all worth."""

from __future__ import annotations

from vaglio.cli import greylist_ask, greylist_change, greylist_import, greylist_look
from vaglio.cli.common import Commands


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    group = commands.add_parser("greylist", help="what greylisting remembers, decides and is worth")
    inner = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (greylist_ask, greylist_look, greylist_change, greylist_import):
        module.add_to(inner)
