"""``vaglio links check``: asks all lists about a domain or an address now, as if a link led there, and explains.

Asks those too that the daemon has suspended. Changes nothing and remembers nothing.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from vaglio.blocklists.answers import PRIVATE, Listed, Trouble, compiled, read
from vaglio.blocklists.words import trouble_text
from vaglio.checks.score.linkcatalogue import common, effective
from vaglio.checks.score.links import About, Ours, hit_of, label_of
from vaglio.cli.common import (
    CliError,
    Commands,
    command,
    configuration,
    looking_options,
    paragraph,
    print_json,
    print_table,
)
from vaglio.cli.listfamily import LINKS
from vaglio.cli.lists_status import statuses
from vaglio.config.load import Loaded
from vaglio.dns.open import open_resolver
from vaglio.facts import pack_address, unpack_address
from vaglio.lists import NetworkSet
from vaglio.names import domain_of, registered_domain
from vaglio.ports import Answer, Resolver

_AS = ("link", "from", "reply_to", "sender")
"""As what a domain is asked about: the first that a list takes."""


class _Wanted(NamedTuple):
    """What to ask about: a registered domain, or an address."""

    name: str
    is_address: bool


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "check", _check, "ask all lists about a domain or an address now, and explain",
        "vaglio links check tizio.example\nvaglio links check 192.0.2.7\n"
        "vaglio links check tizio.example --zone ./rehearsal.zone --json",
        "Asks the DNS, as if a link of a message led there: of a host name, about its registered domain. A list\n"
        "that is suspended is asked too. Nothing is remembered. Exit status 0 whatever is found.",
    )  # fmt: skip
    parser.add_argument("subject", type=_subject, metavar="DOMAIN|IP", help="domain, or address")
    parser.add_argument("--zone", default="", metavar="FILE", help="answer from this zone file, ask nobody")
    looking_options(parser)


def _subject(text: str) -> _Wanted:
    packed = pack_address(text.strip().strip("[]"))
    name = unpack_address(packed) or registered_domain(domain_of(text.strip()))
    if not name:
        raise argparse.ArgumentTypeError(f'found {text!r}, wanted a domain such as "tizio.example", or an address')
    return _Wanted(name, bool(packed))


def _check(args: argparse.Namespace) -> int:
    loaded, wanted = configuration(args), args.subject
    suspended = _suspended(loaded)
    rows = asyncio.run(_ask(loaded, wanted, args.zone, suspended))
    document = {
        "about": wanted.name,
        "exempt": _exempt(loaded, wanted),
        "score": round(sum(row["weight"] for row in rows if not row["suspended"]), 3),
        "lists": rows,
    }
    if args.json:
        print_json(document)
    else:
        _tell(document)
    return 0


def _suspended(loaded: Loaded) -> Collection[str]:
    """Return the lists that the daemon has suspended; none if it never ran."""
    try:
        known = statuses(loaded, LINKS, effective(loaded.config.score.links))
    except CliError:
        return frozenset()
    return {name for name, status in known.items() if status.trouble}


def _exempt(loaded: Loaded, wanted: _Wanted) -> str:
    """Return why the daemon does not ask about it; "" where it does."""
    if wanted.name in loaded.config.score.links.exempt_domains:
        return "it is exempt (score.links.exempt_domains)"
    if wanted.name in common():
        return "everybody links to it"
    private = wanted.is_address and pack_address(wanted.name) in NetworkSet(PRIVATE)
    return "nobody on the open net has this address" if private else ""


async def _ask(loaded: Loaded, wanted: _Wanted, zone: str, suspended: Collection[str]) -> list[dict[str, Any]]:
    config = loaded.config
    timeout = min(config.dns.timeout, config.score.links.lookup_timeout)  # what comes later, nobody waits for
    try:
        resolver = open_resolver(config.dns.servers, timeout, zone or config.dns.zone_file)
    except ValueError as error:  # ZoneError is one
        raise CliError(str(error)) from error
    lists = [compiled(one) for one in effective(config.score.links)]
    try:
        return list(await asyncio.gather(*(_row(one, wanted, resolver, one.name in suspended) for one in lists)))
    finally:
        resolver.close()


async def _row(one: Ours, wanted: _Wanted, resolver: Resolver, suspended: bool) -> dict[str, Any]:
    as_what = ("address",) if wanted.is_address else _AS
    subject = next((subject for subject in as_what if subject in one.subjects), "")
    about = About(subject, wanted.name)
    label = label_of(one, about) if subject else ""
    row = {"name": one.name, "suspended": suspended, "answer": "not asked", "weight": 0.0,
           "says": _unasked(wanted, subject)}  # fmt: skip
    return {**row, **_heard(one, about, await resolver.lookup(label + one.suffix, "A"))} if label else row


def _unasked(wanted: _Wanted, subject: str) -> str:
    if subject == "address":
        return f"is not asked about addresses of IPv{6 if ':' in wanted.name else 4}"
    if subject:
        return "is asked about whole mail addresses, not about domains"
    asked, other = ("addresses", "domains") if wanted.is_address else ("domains", "addresses")
    return f"is asked about {other}, not about {asked}"


def _heard(one: Ours, about: About, answer: Answer) -> dict[str, Any]:
    said = read(one, answer)
    if isinstance(said, Trouble):
        return {"answer": said.value, "says": answer.why or ", ".join(answer.values[:3])}
    if isinstance(said, Listed):
        hit = hit_of(one, about, said)
        return {"answer": "listed", "weight": hit.score, "says": hit.en, "code": said.code, "symbol": hit.symbol}
    if answer.values:
        return {"answer": "other code", "says": f"{', '.join(answer.values[:3])}, which weighs nothing"}
    return {"answer": "not listed", "says": ""}


def _tell(document: Mapping[str, Any]) -> None:
    rows: Sequence[Mapping[str, Any]] = document["lists"]
    print(document["about"])
    print_table(
        ("list", "answer", "weighs", "what it says"),
        (
            (row["name"], row["answer"].replace("-", " ") + (" (suspended)" if row["suspended"] else ""),
             f"{row['weight']:+g}" if row["answer"] == "listed" else "", row["says"])
            for row in rows
        ),
        "no list is on: see vaglio links lists --all",
    )  # fmt: skip
    print(f"\nadds to the score of a message with such a link: {document['score']:g}")
    if document["exempt"]:
        print(paragraph(f"In mail no list is asked about it: {document['exempt']}."))
    for row in rows:
        if row["answer"] in set(Trouble):
            what, then = trouble_text(row["answer"], row["says"], LINKS.section)
            print(paragraph(f"{row['name']}: {what}; that counts as no hit. {then}", ""))
