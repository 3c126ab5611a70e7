"""``vaglio dnsbl``: which lists there are, how they fare, what they say of somebody, and what they are worth."""

from __future__ import annotations

from vaglio.cli import dnsbl_check, dnsbl_report, lists_show, lists_status
from vaglio.cli.common import Commands, group
from vaglio.cli.listfamily import DNSBL


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    inner = group(commands, "dnsbl", "which blocklists are asked, what they say, and what they are worth")
    dnsbl_check.add_to(inner)
    lists_status.add_to(inner, DNSBL)
    lists_show.add_to(inner, DNSBL)
    dnsbl_report.add_to(inner)
