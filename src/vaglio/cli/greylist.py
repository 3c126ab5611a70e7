"""``vaglio greylist``: what is remembered, what would happen, who is allowed, and what it is all worth."""

from __future__ import annotations

from vaglio.cli import greylist_allow, greylist_ask, greylist_forget, greylist_import, greylist_look, greylist_report
from vaglio.cli.common import Commands, group


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    inner = group(commands, "greylist", "what greylisting remembers, decides and is worth")
    for module in (greylist_ask, greylist_look, greylist_report, greylist_allow, greylist_forget, greylist_import):
        module.add_to(inner)
