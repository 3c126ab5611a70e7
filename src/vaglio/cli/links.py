"""``vaglio links``: which lists know the domains of links, how they fare, and what they say of one."""

from __future__ import annotations

from vaglio.cli import links_check, lists_show, lists_status
from vaglio.cli.common import Commands, group
from vaglio.cli.listfamily import LINKS


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    inner = group(commands, "links", "which lists are asked about the domains of links, and what they say")
    links_check.add_to(inner)
    lists_status.add_to(inner, LINKS)
    lists_show.add_to(inner, LINKS)
