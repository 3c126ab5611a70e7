"""``vaglio ratelimit``: what is counted for whom, what is left, what would be answered, and a fresh start."""

from __future__ import annotations

from vaglio.cli import ratelimit_quota, ratelimit_reset, ratelimit_show, ratelimit_try
from vaglio.cli.common import Commands, group


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    inner = group(commands, "ratelimit", "how much logins, senders and clients have sent, and may send")
    for module in (ratelimit_show, ratelimit_quota, ratelimit_try, ratelimit_reset):
        module.add_to(inner)
