"""``vaglio dnsbl lists``: the lists that ship and the admin's own, and what the configuration makes of them.

Also says for the other subcommands what a list weighs and is asked about. Asks nobody; shows no access key. The shipped
ones it shows also where the configuration has errors.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, get_args

from vaglio.blocklists.settings import KEY
from vaglio.checks.dnsbl.catalogue import everything, shipped
from vaglio.checks.dnsbl.settings import DnsblSettings, ListSettings, Subject
from vaglio.cli.common import (
    CliError,
    Commands,
    clean,
    command,
    configuration,
    paragraph,
    print_json,
    print_table,
    usual_options,
    warn,
)
from vaglio.config.load import ConfigError
from vaglio.config.sense import like_list
from vaglio.config.words import meant


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "lists", _lists, "show the lists that are asked, and those that could be, with their terms",
        "vaglio dnsbl lists\nvaglio dnsbl lists --all\nvaglio dnsbl lists spamhaus-zen barracuda",
        "Without NAME or --all: the lists that are on, and those of your own. A name shows all about a list, also its\n"
        "codes. A list that is off is switched on by its name in dnsbl.use: read its terms first. --all shows them\n"
        "as they ship where the configuration has errors.",
    )  # fmt: skip
    parser.add_argument("names", nargs="*", metavar="NAME", help="tell all about this list")
    parser.add_argument("--all", action="store_true", help="those too that ship and are off")
    usual_options(parser)


def _lists(args: argparse.Namespace) -> int:
    lists = everything(_settings(args))
    if unknown := sorted(set(args.names).difference(one.name for one in lists)):
        near = meant(like_list(unknown[0])) if len(unknown) == 1 else ""
        raise CliError(f"there is no list {', '.join(unknown)}: see vaglio dnsbl lists --all{near}")
    if args.names:
        shown = [one for one in lists if one.name in args.names]
    else:
        shown = [one for one in lists if args.all or one.enabled or one.name not in shipped()]
    if args.json:
        print_json([_document(one) for one in shown])
    elif args.names:
        print("\n\n".join("\n".join(_whole(one)) for one in shown))
    else:
        _tell(shown, len(lists) - len(shown))
    return 0


def _settings(args: argparse.Namespace) -> DnsblSettings:
    """Return the section [dnsbl]; with ``--all`` the defaults in place of one that can't be used."""
    try:
        return configuration(args).config.dnsbl
    except ConfigError as error:
        if not args.all:
            raise
        warn(f"{error.problems[0]}; until that is repaired the lists are shown as they ship (see vaglio config check)")
        return DnsblSettings()


def state_of(one: ListSettings) -> str:
    """Return ``on``, ``shadow`` or ``off``."""
    return "off" if not one.enabled else "shadow" if one.shadow else "on"


def weighs(one: ListSettings) -> str:
    """Return what a hit weighs: ``2.5``, or ``1 to 3`` where that depends on the code."""
    weights = sorted(one.codes.values() or [one.weight], key=abs)
    low, high = weights[0], weights[-1]
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def asked_about(one: ListSettings) -> str:
    """Return what it is asked about: ``client (IPv4)``, ``client_name, helo, sender``."""
    subjects = one.asked_about
    families = " and ".join(name for name, has in (("IPv4", one.ipv4), ("IPv6", one.ipv6)) if has or one.file)
    return ", ".join(
        f"client ({families})" if subject == "client" else subject
        for subject in get_args(Subject)
        if subject in subjects
    )


def _document(one: ListSettings) -> dict[str, Any]:
    """Return what ``--json`` prints. Of a key it says only whether there is one."""
    document = one.model_dump(exclude={"key", "enabled", "shadow"})
    document["subjects"] = [subject for subject in get_args(Subject) if subject in one.asked_about]
    return {"name": one.name, "state": state_of(one), "ships": one.name in shipped(), "has_key": bool(one.key),
            **document}  # fmt: skip


def _tell(shown: Sequence[ListSettings], left_out: int) -> None:
    rows = [(one.name, state_of(one), weighs(one), asked_about(one), one.file or one.zone, one.checked)
            for one in shown]  # fmt: skip
    print_table(("list", "state", "weighs", "asked about", "where", "checked"), rows, "no list is on")
    terms = [(one.name, one.terms) for one in shown if one.terms]
    if terms:
        print("\nTerms, as of the day on which they were checked:")
    for name, text in terms:
        print(paragraph(f"{name}: {text}"))
    if left_out:
        print(f"\n{left_out} more ship and are off: vaglio dnsbl lists --all")


def _whole(one: ListSettings) -> list[str]:
    """Return all that an admin wants to know of a list, a line each."""
    rows = [
        ("state", state_of(one)),
        ("file" if one.file else "zone", one.file or one.zone),
        ("key", ("is set" if one.key else "is missing") if KEY in one.zone else ""),
        ("asked about", asked_about(one)),
        ("weighs", weighs(one)),
        *(("code", text) for text in _codes(one)),
        ("refuses us by", ", ".join(["127.255.255.0-255", *one.blocked]) if one.zone else ""),
        ("help page", one.url),
        ("terms", one.terms),
        ("checked", one.checked),
    ]
    width = max(len(label) for label, _ in rows)
    return [one.name, *(f"  {label:>{width}}: {clean(text)}" for label, text in rows if text)]


def _codes(one: ListSettings) -> list[str]:
    """Return each code with its weight and meaning."""
    codes = dict.fromkeys([*one.codes, *one.reasons])
    return [
        f"{code} {f'weighs {one.codes[code]:g}' if code in one.codes else ''}"
        f"{': ' if code in one.codes and code in one.reasons else ''}{one.reasons.get(code, '')}"
        for code in codes
    ]
