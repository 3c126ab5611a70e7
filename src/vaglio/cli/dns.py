"""``vaglio dns``: is the resolver that the daemons ask fit for a mail server?"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from vaglio.cli.common import CliError, Commands, command, configuration, group, print_json, print_table, usual_options
from vaglio.dns.servers import Address, parse_server, system_servers


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    inner = group(commands, "dns", "look after the look-ups in the DNS")
    check = command(
        inner, "check", _check, "tell whether the name servers are fit for a mail server, and what to do if not",
        "vaglio dns check\nvaglio dns check --server 127.0.0.1 --server '[::1]:5353'",
        "Exit status 0 when all are fit, 1 when not. Asks for org, dnssec-failed.org, the test entry of\n"
        "zen.spamhaus.org and a random name.",
    )  # fmt: skip
    usual_options(check)
    check.add_argument(
        "--server", action="append", default=[], metavar="SERVER", help="ask this one in place of those configured"
    )


def _check(args: argparse.Namespace) -> int:
    settings = configuration(args).config.dns
    if settings.zone_file and not args.server:
        return _report(args, [], [_zone(settings.zone_file)])
    servers = _servers(args.server or settings.servers)
    from vaglio.dns.fitness import examine  # dnspython takes a while to load

    async def all_of_them() -> list[Row]:
        found = await asyncio.gather(*(examine(server, settings.timeout) for server in servers))
        return [finding for findings in found for finding in findings]

    return _report(args, servers, asyncio.run(all_of_them()))


Row = tuple[str, str, bool, str]
"""Server, check, whether it is well, what was found."""


def _zone(path: str) -> Row:
    return "", "zone_file", False, (
        f'Nothing is asked: zone_file in [dns] answers all questions from {path}. Good for a rehearsal; set it to "" '
        "before real mail comes."
    )  # fmt: skip


def _servers(given: Sequence[str]) -> list[Address]:
    try:
        return [parse_server(text) for text in given] or system_servers()
    except ValueError as error:
        raise CliError(str(error)) from error


def _report(args: argparse.Namespace, servers: Sequence[Address], rows: Sequence[Row]) -> int:
    fit = all(ok for _, _, ok, _ in rows)
    if args.json:
        findings = [dict(zip(("server", "check", "ok", "text"), row, strict=True)) for row in rows]
        print_json({"fit": fit, "servers": [str(server) for server in servers], "findings": findings})
    else:
        table = [(server, check, "ok" if ok else "NOT OK", text) for server, check, ok, text in rows]
        print_table(("server", "check", "", "finding"), table, "there is nothing to check")
        print("fit for a mail server" if fit else "not fit for a mail server: see what to do where it says NOT OK")
    return 0 if fit else 1
