"""``vaglio postconf``: the lines that wire the daemons of the current configuration into Postfix.

Why they stand in this order: examples/postfix/main.cf.greylist.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from vaglio.checks.greylist.settings import GreylistSettings
from vaglio.cli.common import Commands, command, configuration, print_json, usual_options, warn

_LATER = 5
"""Seconds that Postfix waits longer than the daemon takes at most, so that the daemon's own on_error decides."""
_SPOOL = "unix:/var/spool/postfix/"
_ANY_HOST = {"inet:0.0.0.0:": "inet:127.0.0.1:", "inet:[::]:": "inet:[::1]:"}
_OWN = ("permit_mynetworks", "permit_sasl_authenticated")
_SERVICE = "check_policy_service $vaglio_greylist"


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "postconf", _postconf, "print the main.cf lines for the current configuration",
        "vaglio postconf\nvaglio postconf --json",
        "A parameter that main.cf has already keeps its other entries. Then: postfix reload",
    )  # fmt: skip
    usual_options(parser)


def endpoint(listen: str) -> str:
    """Return the address at which Postfix finds a socket that we listen on.

    A path in Postfix's queue directory is written relative to it: so it holds for a chrooted smtpd, too.
    """
    for wildcard, near in _ANY_HOST.items():
        listen = listen.replace(wildcard, near)
    return f"unix:{listen.removeprefix(_SPOOL)}" if listen.startswith(_SPOOL) else listen


def parameters(settings: GreylistSettings) -> dict[str, str | list[str]]:
    """Return the parameters by name: text, or a list of restrictions (postconf(5), SMTPD_POLICY_README)."""
    default = "DUNNO" if settings.on_error == "pass" else "DEFER_IF_PERMIT"
    found: dict[str, str | list[str]] = {
        "vaglio_greylist": f"{{ {endpoint(settings.listen[0])}, timeout={settings.deadline + _LATER}s, try_limit=2, "
        f"retry_delay=1s, default_action={default} }}",
        "smtpd_recipient_restrictions": [*_OWN, "reject_unauth_destination", "reject_unlisted_recipient", _SERVICE],
    }
    if settings.null_sender == "data":
        found["smtpd_data_restrictions"] = [*_OWN, "reject_unauth_pipelining", _SERVICE]
    return found


def _postconf(args: argparse.Namespace) -> int:
    settings = configuration(args).config.greylist
    if endpoint(settings.listen[0]).startswith("unix:/"):
        warn(f"{settings.listen[0]} is out of reach for a chrooted smtpd (Debian's default, see master.cf): listen in "
             "unix:/var/spool/postfix/vaglio/ or on inet:127.0.0.1")  # fmt: skip
    if args.json:
        print_json(parameters(settings))
    else:
        print("\n".join(_lines(settings)))
    return 0


def _lines(settings: GreylistSettings) -> Iterator[str]:
    yield "# Lines for main.cf. A parameter that is already there keeps its other entries: add the last one to it."
    yield "# Greylisting stands last, behind reject_unauth_destination and all that refuses for good."
    for name, value in parameters(settings).items():
        if name == "smtpd_data_restrictions":
            yield '# greylist.null_sender = "data": bounces are asked here'
        if isinstance(value, str):
            yield f"{name} = {value}"
        else:
            yield f"{name} ="
            yield from (f"    {entry}" for entry in value)
