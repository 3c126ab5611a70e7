"""``vaglio bayes``: what was learned, a way out and back for it, and a new beginning."""

from __future__ import annotations

from vaglio.cli import bayes_export, bayes_import, bayes_reset, bayes_status
from vaglio.cli.common import Commands, group


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    inner = group(commands, "bayes", "what Bayes has learned: how much it is, and a way out and back for it")
    for module in (bayes_status, bayes_export, bayes_import, bayes_reset):
        module.add_to(inner)
