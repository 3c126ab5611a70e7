"""``vaglio dkim check``: do all name servers tell the keys that sign?"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Collection, Sequence
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
A file of --zone is a list of answers: what a name server makes of the zone's own file, named-checkzone says.
Run by root, key files are judged for the user vaglio, else for whom the state directory belongs to: the daemons' user.
Exit status 0 when all keys that sign fit everywhere, 1 when not, or when the DNS did not tell ("not told"); keys that
are new or retired don't count."""


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
    ignored: Collection[str] = ()

    @property
    def is_untold(self) -> bool:
        """Whether nothing is known against it, for the DNS did not tell."""
        return self.found is not None and not self.fits and all(view.found.temporary for view in self.lacking)

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
        _tell(checked)
    return 0 if fits else 1


async def _one(asker: Asker, one: Known) -> _Checked:
    if one.key is None:
        return _Checked(one, None, False, ())
    key, name = one.key, record_name(one.domain, one.selector)
    found = await asker.survey(name, lambda answer: judge(answer, name, key))
    if not found.resolver.fits:
        found = await _looked_closer(asker, one, key, found)
    return _Checked(one, found, asker.is_seen(found), asker.lacking(found), asker.ignored)


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


def _tell(checked: Sequence[_Checked]) -> None:
    for one in checked:
        word = "ok" if one.fits else "not told" if one.is_untold else "NOT OK"
        print(clean(f"{word}  {one.name}  ({one.known.condition})"))
        for line in _lines(one):
            print(paragraph(clean(line)))
    signing = [one for one in checked if one.known.state == "signing"]
    if not signing:
        print("None of these keys signs yet.")
    if any(not one.fits and not one.is_untold for one in signing):
        print("Keys that sign do not fit: mail that they sign fails at those who ask these name servers.")
    elif any(one.is_untold for one in signing):
        print("Whether all keys that sign fit could not be told.")


def _lines(one: _Checked) -> list[str]:
    if one.found is None:
        return [one.known.trouble]
    if one.fits:
        notes = dict.fromkeys(view.found.note for view in one.found.views if view.found.note)
        return [f"{one.found.resolver.words if one.found.resolver.fits else 'the record fits'} ({_seen(one)})", *notes,
                *explained(one.found)]  # fmt: skip
    return [*map(told, one.lacking), *explained(one.found)]


def _seen(one: _Checked) -> str:
    """Say who tells the record, and who was not minded."""
    views = one.found.views if one.found else ()
    minded = [view.server for view in views if not view.is_one_of(one.ignored)]
    passed = dict.fromkeys(name for view in views for name in (view.server, view.address) if name in one.ignored)
    count = len({*minded} - {RESOLVER})
    told = [f"{count} name server{'s' if count != 1 else ''}"] if count else []
    told += ["the resolver"] if RESOLVER in minded else []
    return "; ".join([" and ".join(told) or "nobody was asked", *(f"{name} ignored" for name in passed)])
