"""``vaglio dnsbl status``, ``vaglio links status``: which lists are in order, which are suspended, and what to do."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from vaglio.blocklists.health import STATUS, Status, status_key
from vaglio.blocklists.settings import DnsListSettings
from vaglio.blocklists.watch import PROBE_EVERY
from vaglio.blocklists.words import trouble_text
from vaglio.cli.common import (
    Commands,
    command,
    configuration,
    look_at_store,
    looking_options,
    moment,
    now,
    paragraph,
    print_json,
    print_table,
)
from vaglio.cli.listfamily import Family
from vaglio.config.load import Loaded
from vaglio.config.types import format_duration

_LATE = 2 * PROBE_EVERY
"""Seconds without a probe of any list, after which the daemon is probably not running."""


def add_to(commands: Commands, family: Family) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "status", _status, "say which lists are in order and which are suspended, and what to do",
        f"{family.command} status\n{family.command} status --json",
        "Exit status 1 when a list is suspended, so that it serves monitoring. Nobody is refused by a suspended list;\n"
        f"the daemon tries it every few minutes ({family.section}.suspend_for), and it comes back by itself.",
    )  # fmt: skip
    looking_options(parser)
    parser.set_defaults(family=family)


def statuses(loaded: Loaded, family: Family, lists: Sequence[DnsListSettings]) -> Mapping[str, Status]:
    """Return what the daemon knows of lists, by name. Raises CliError if there is no store yet."""
    names = [one.name for one in lists]
    found = look_at_store(
        loaded,
        family.schema,
        lambda store: store.transact(lambda tx: [tx.get(STATUS, status_key(name)) for name in names]),
    )
    return {name: status or Status(name) for name, status in zip(names, found, strict=True)}


def _status(args: argparse.Namespace) -> int:
    loaded, at = configuration(args), int(now(args))
    family: Family = args.family
    lists = family.catalogue.effective(family.settings(loaded.config))
    known, entries = statuses(loaded, family, lists), family.entries(lists)
    documents = [_document(one, known[one.name], entries.get(one.name), family) for one in lists]
    if args.json:
        print_json(documents)
    else:
        _tell(documents, family)
        _tell_of_the_daemon(known.values(), lists, at, family)
    return 1 if any(one["suspended"] for one in documents) else 0


def _document(one: DnsListSettings, status: Status, entries: int | None, family: Family) -> dict[str, Any]:
    what, then = trouble_text(status.trouble, status.detail, family.section) if status.trouble else ("", "")
    return {
        "name": one.name,
        "suspended": bool(status.trouble),
        "trouble": status.trouble,
        "since": status.since or None,
        "probed": status.probed or None,
        "entries": entries,
        "what": what,
        "todo": then,
    }


def _tell(documents: Sequence[dict[str, Any]], family: Family) -> None:
    print_table(
        ("list", "state", "since", "last probe"),
        (
            (one["name"], _state(one), moment(one["since"]) if one["since"] else "",
             moment(one["probed"]) if one["probed"] else "")
            for one in documents
        ),
        f"no list is on: see {family.command} lists --all",
    )  # fmt: skip
    for one in documents:
        if one["suspended"]:
            print()
            print(paragraph(f"{one['name']}: {one['what']}. Nobody is refused by it meanwhile.", ""))
            if one["todo"]:
                print(paragraph(f"What to do: {one['todo']}"))


def _state(one: Mapping[str, Any]) -> str:
    if one["entries"] is not None:
        return f"in order: {one['entries']} {'entry' if one['entries'] == 1 else 'entries'}"
    if one["suspended"]:
        return f"SUSPENDED: {one['trouble']}"
    return "in order" if one["probed"] else "not probed yet"


def _tell_of_the_daemon(known: Any, lists: Sequence[DnsListSettings], at: int, family: Family) -> None:
    """Say so when nobody probes the lists."""
    if not any(one.zone and one.probe for one in lists):
        return
    last = max(status.probed for status in known)
    if not last:
        print(f"\nNo list has been probed yet: is {family.watcher} running with this configuration?")
    elif at - last > _LATE:
        print(f"\nThe last probe was {format_duration(at - last)} ago, and there should be one every hour: is "
              f"{family.watcher} running?")  # fmt: skip
