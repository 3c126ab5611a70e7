"""``vaglio postconf``: the lines that wire the daemons of the current configuration into Postfix."""

from __future__ import annotations

import argparse

from vaglio.cli.common import Commands, command, configuration, print_json
from vaglio.config.model import VaglioConfig

_LATER = 2
"""Seconds that Postfix waits longer than the daemon takes at most, so that the daemon's own policy decides."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    command(commands, "postconf", _postconf, "print the main.cf lines for the current configuration")


def greylist_service(config: VaglioConfig) -> str:
    """Return the ``check_policy_service`` restriction for greylisting (postconf(5), Postfix 3.0 and later)."""
    settings = config.greylist
    default = "DUNNO" if settings.on_error == "pass" else "451 4.3.0 Temporary problem on our side"
    default = f"{{ default_action = {default} }}" if " " in default else f"default_action={default}"
    return (
        f"check_policy_service {{ {settings.listen[0]}, timeout={settings.deadline + _LATER}s, "
        f"{default}, policy_context=vaglio-greylist }}"
    )


def _postconf(args: argparse.Namespace) -> int:
    config = configuration(args).config
    service = greylist_service(config)
    at_data = config.greylist.null_sender == "data"
    if args.json:
        print_json({"smtpd_recipient_restrictions": [service], "smtpd_data_restrictions": [service] if at_data else []})
        return 0
    print("# Add the service to main.cf; it must stand after reject_unauth_destination.")
    print("smtpd_recipient_restrictions =")
    print("    ... what is there now, with reject_unauth_destination ...,")
    print(f"    {service}")
    if at_data:
        print('# greylist.null_sender = "data": bounces are judged here')
        print("smtpd_data_restrictions =")
        print(f"    {service}")
    print("# then: postfix reload")
    return 0
