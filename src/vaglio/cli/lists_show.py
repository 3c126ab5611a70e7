"""``vaglio dnsbl lists``, ``vaglio links lists``: the lists that ship and the admin's own, and what the configuration
makes of them.

Asks nobody; shows no access key. The shipped ones it shows also where the configuration has errors.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from vaglio.blocklists.settings import KEY, DnsListSettings
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
from vaglio.cli.listfamily import Family, asked_about, file_of, state_of, weighs
from vaglio.config.load import ConfigError
from vaglio.config.sense import like_list
from vaglio.config.words import meant


def add_to(commands: Commands, family: Family) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "lists", _lists, "show the lists that are asked, and those that could be, with their terms",
        "\n".join(f"{family.command} lists{what}" for what in ("", " --all", f" {family.example}")),
        "Without NAME or --all: the lists that are on, and those of your own. A name shows all about a list, also its\n"
        f"codes. A list that is off is switched on by its name in {family.section}.use: read its terms first.\n"
        "--all shows them as they ship where the configuration has errors.",
    )  # fmt: skip
    parser.add_argument("names", nargs="*", metavar="NAME", help="tell all about this list")
    parser.add_argument("--all", action="store_true", help="those too that ship and are off")
    usual_options(parser)
    parser.set_defaults(family=family)


def _lists(args: argparse.Namespace) -> int:
    family: Family = args.family
    lists = family.catalogue.everything(_settings(args))
    if unknown := sorted(set(args.names).difference(one.name for one in lists)):
        near = meant(like_list(unknown[0], family.catalogue.names())) if len(unknown) == 1 else ""
        raise CliError(f"there is no list {', '.join(unknown)}: see {family.command} lists --all{near}")
    if args.names:
        shown = [one for one in lists if one.name in args.names]
    else:
        shown = [one for one in lists if args.all or one.enabled or one.name not in family.catalogue.shipped()]
    if args.json:
        print_json([_document(one, family) for one in shown])
    elif args.names:
        print("\n\n".join("\n".join(_whole(one)) for one in shown))
    else:
        _tell(shown, len(lists) - len(shown), family)
    return 0


def _settings(args: argparse.Namespace) -> Any:
    """Return the section; with ``--all`` the defaults in place of one that can't be used."""
    try:
        return args.family.settings(configuration(args).config)
    except ConfigError as error:
        if not args.all:
            raise
        warn(f"{error.problems[0]}; until that is repaired the lists are shown as they ship (see vaglio config check)")
        return args.family.defaults()


def _document(one: DnsListSettings, family: Family) -> dict[str, Any]:
    """Return what ``--json`` prints. Of a key it says only whether there is one."""
    document = one.model_dump(exclude={"key", "enabled", "shadow"})
    document["subjects"] = [subject for subject in family.subjects if subject in one.asked_about]
    return {"name": one.name, "state": state_of(one), "ships": one.name in family.catalogue.shipped(),
            "has_key": bool(one.key), **document}  # fmt: skip


def _tell(shown: Sequence[DnsListSettings], left_out: int, family: Family) -> None:
    rows = [(one.name, state_of(one), weighs(one), asked_about(one), file_of(one) or one.zone, one.checked)
            for one in shown]  # fmt: skip
    print_table(("list", "state", "weighs", "asked about", "where", "checked"), rows, "no list is on")
    terms = [(one.name, one.terms) for one in shown if one.terms]
    if terms:
        print("\nTerms, as of the day on which they were checked:")
    for name, text in terms:
        print(paragraph(f"{name}: {text}"))
    if left_out:
        print(f"\n{left_out} more ship and are off: {family.command} lists --all")


def _whole(one: DnsListSettings) -> list[str]:
    """Return all that an admin wants to know of a list, a line each."""
    rows = [
        ("state", state_of(one)),
        ("file" if file_of(one) else "zone", file_of(one) or one.zone),
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


def _codes(one: DnsListSettings) -> list[str]:
    """Return each code with its weight and meaning."""
    codes = dict.fromkeys([*one.codes, *one.reasons])
    return [
        f"{code} {f'weighs {one.codes[code]:g}' if code in one.codes else ''}"
        f"{': ' if code in one.codes and code in one.reasons else ''}{one.reasons.get(code, '')}"
        for code in codes
    ]
