"""``vaglio dkim check``: do all name servers tell the keys that sign?"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from vaglio.checks.dkim.signing.published import compare, judge
from vaglio.checks.dkim.signing.record import record_name
from vaglio.checks.dkim.signing.sign import PrivateKey
from vaglio.checks.dkim.signing.survey import RESOLVER, Survey, View
from vaglio.cli.common import CliError, Commands, clean, command, configuration, paragraph, print_json, usual_options
from vaglio.cli.dkim_ask import Asker, asked, asking_options, explained, told
from vaglio.cli.dkim_folder import domain
from vaglio.cli.dkim_known import Known, known
from vaglio.cli.dkim_reader import reader

_MORE = """\
Each key signs something, which is verified with the record that the resolver of the daemons tells, and every name
server of the zone. Where that fails it is said what is wrong with the record: cut, quoted, in pieces, another key, ...
Run by root, key files are judged for the user vaglio, else for whom the state directory belongs to: the daemons' user.
Exit status 0 when all keys that sign fit everywhere, 1 when not; keys that are new or retired don't count."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "check", _check, "compare keys with their DNS records, at every name server",
        "vaglio dkim check\n"
        "vaglio dkim check tizio.it --ignore ns3.tizio.it\n"
        "vaglio dkim check tizio.it --zone ./rehearsal.zone --json",
        _MORE,
    )  # fmt: skip
    parser.add_argument("domain", nargs="?", type=domain, metavar="DOMAIN", help="keys of this domain only")
    asking_options(parser)
    usual_options(parser)


class _Checked(NamedTuple):
    known: Known
    found: Survey | None
    fits: bool
    lacking: Sequence[View]

    @property
    def name(self) -> str:
        known = self.known
        return known.file if known.selector == "?" else record_name(known.domain, known.selector)


def _check(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    keys = [one for one in known(loaded, args.domain or "") if one.state != "revoked"]
    if not keys:
        raise CliError(f"there is no key of {args.domain}" if args.domain else "there are no keys")

    async def work(asker: Asker) -> list[_Checked]:
        return await asyncio.gather(*(_one(asker, key) for key in keys))

    checked = asked(args, loaded, work)
    fits = all(one.fits for one in checked if one.known.state == "signing")
    daemon = reader(loaded)
    if args.json:
        print_json({"fits": fits, "user": daemon.name if daemon else None, "keys": [_row(one) for one in checked]})
    else:
        if daemon:
            print(clean(f"Key files are judged for the user {daemon.name}, as whom the daemons run."))
        _tell(checked, fits)
    return 0 if fits else 1


async def _one(asker: Asker, one: Known) -> _Checked:
    if one.key is None:
        return _Checked(one, None, False, ())
    key, name = one.key, record_name(one.domain, one.selector)
    found = await asker.survey(name, lambda answer: judge(answer, name, key))
    if not found.resolver.fits:
        found = await _looked_closer(asker, one, key, found)
    return _Checked(one, found, asker.is_seen(found), asker.lacking(found))


async def _looked_closer(asker: Asker, one: Known, key: PrivateKey, found: Survey) -> Survey:
    """Say more of what the resolver tells."""
    closer = await compare(one.domain, one.selector, key, asker.resolver)
    return found._replace(views=(View(RESOLVER, "", closer), *found.servers))


def _row(one: _Checked) -> dict[str, Any]:
    views = one.found.views if one.found else ()
    return {
        "domain": one.known.domain, "selector": one.known.selector, "name": one.name, "state": one.known.state,
        "file": one.known.file, "fits": one.fits, "problem": one.known.trouble,
        "explanation": explained(one.found) if one.found else [],
        "aliases": list(one.found.aliases) if one.found else [],
        "answers": [{"server": view.server, "address": view.address, "result": view.found.finding.value,
                     "text": view.found.words, "ignored": not view.found.fits and view not in one.lacking}
                    for view in views],
    }  # fmt: skip


def _tell(checked: Sequence[_Checked], fits: bool) -> None:
    for one in checked:
        print(clean(f"{'ok' if one.fits else 'NOT OK'}  {one.name}  ({one.known.state})"))
        for line in _lines(one):
            print(paragraph(clean(line)))
    if not fits:
        print("Keys that sign do not fit: mail that they sign fails at those who ask these name servers.")


def _lines(one: _Checked) -> list[str]:
    if one.found is None:
        return [one.known.trouble]
    if one.fits:
        count = len({view.server for view in one.found.servers})
        seen = f"{count} name servers and the resolver" if count else "the resolver"
        notes = dict.fromkeys(view.found.note for view in one.found.views if view.found.note)
        return [f"{one.found.resolver.words if one.found.resolver.fits else 'the record fits'} ({seen})", *notes,
                *explained(one.found)]  # fmt: skip
    return [*map(told, one.lacking), *explained(one.found)]

