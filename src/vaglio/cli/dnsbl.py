"""``vaglio dnsbl``: which lists there are, how they fare, what they say of somebody, and what they are worth."""

from __future__ import annotations

from vaglio.cli import dnsbl_check, dnsbl_lists, dnsbl_report, dnsbl_status
from vaglio.cli.common import Commands, group


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    inner = group(commands, "dnsbl", "which blocklists are asked, what they say, and what they are worth")
    for module in (dnsbl_check, dnsbl_status, dnsbl_lists, dnsbl_report):
        module.add_to(inner)
