"""``vaglio dnsbl status``: which lists are in order, which are suspended, and what to do about it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from vaglio.blocklists.health import STATUS, Status, status_key
from vaglio.blocklists.watch import PROBE_EVERY
from vaglio.blocklists.words import trouble_text
from vaglio.checks.dnsbl.catalogue import effective
from vaglio.checks.dnsbl.privatelists import PrivateLists
from vaglio.checks.dnsbl.settings import ListSettings
from vaglio.checks.dnsbl.sweep import SCHEMA
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
    warn,
)
from vaglio.config.load import Loaded
from vaglio.config.types import format_duration

_LATE = 2 * PROBE_EVERY
"""Seconds without a probe of any list, after which the daemon is probably not running."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "status", _status, "say which lists are in order and which are suspended, and what to do",
        "vaglio dnsbl status\nvaglio dnsbl status --json",
        "Exit status 1 when a list is suspended, so that it serves monitoring. Nobody is refused by a suspended list;\n"
        "the daemon tries it every few minutes (dnsbl.suspend_for), and it comes back by itself.",
    )  # fmt: skip
    looking_options(parser)


def statuses(loaded: Loaded, lists: Sequence[ListSettings]) -> Mapping[str, Status]:
    """Return what the daemon knows of lists, by name. Raises CliError if there is no store yet."""
    names = [one.name for one in lists]
    found = look_at_store(
        loaded, SCHEMA, lambda store: store.transact(lambda tx: [tx.get(STATUS, status_key(name)) for name in names])
    )
    return {name: status or Status(name) for name, status in zip(names, found, strict=True)}


def _status(args: argparse.Namespace) -> int:
    loaded, at = configuration(args), int(now(args))
    lists = effective(loaded.config.dnsbl)
    known = statuses(loaded, lists)
    files = PrivateLists([one for one in lists if one.file], warn).read()
    entries = {one.name: len(zone) for one, zone in files.current()}
    documents = [_document(one, known[one.name], entries.get(one.name)) for one in lists]
    if args.json:
        print_json(documents)
    else:
        _tell(documents)
        _tell_of_the_daemon(known.values(), lists, at)
    return 1 if any(one["suspended"] for one in documents) else 0


def _document(one: ListSettings, status: Status, entries: int | None) -> dict[str, Any]:
    what, then = trouble_text(status.trouble, status.detail, "dnsbl") if status.trouble else ("", "")
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


def _tell(documents: Sequence[dict[str, Any]]) -> None:
    print_table(
        ("list", "state", "since", "last probe"),
        (
            (one["name"], _state(one), moment(one["since"]) if one["since"] else "",
             moment(one["probed"]) if one["probed"] else "")
            for one in documents
        ),
        "no list is on: see vaglio dnsbl lists --all",
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


def _tell_of_the_daemon(known: Any, lists: Sequence[ListSettings], at: int) -> None:
    """Say so when nobody probes the lists."""
    if not any(one.zone and one.probe for one in lists):
        return
    last = max(status.probed for status in known)
    if not last:
        print("\nNo list has been probed yet: is vaglio-dnsbl running with this configuration?")
    elif at - last > _LATE:
        print(f"\nThe last probe was {format_duration(at - last)} ago, and there should be one every hour: is "
              "vaglio-dnsbl running?")  # fmt: skip
