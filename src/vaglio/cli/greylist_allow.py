"""``vaglio greylist allow``: lets somebody pass unasked, while the daemon runs.

The entries are lines of a file in the state directory, which every worker reads again within seconds:
``ENTRY  # DATE TIME COMMENT``. Those that stand for a domain have the comment ``domain NAME;``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from vaglio.checks.greylist.whitelists import KINDS, allowed_file
from vaglio.cli.common import (
    CliError,
    Commands,
    WrongUsage,
    command,
    configuration,
    is_there,
    moment,
    now,
    print_json,
    print_table,
    said,
    state_directory,
    usual_options,
    warn,
)
from vaglio.config.load import Loaded
from vaglio.dns.networks import networks_of
from vaglio.dns.open import Waiting, open_resolver
from vaglio.lists import AddressList, ClientList, Entry
from vaglio.ports import Answer, Outcome
from vaglio.store.files import locked

_MORE = """\
ENTRY is written as in whitelist files: 192.0.2.7, 192.0.2.0/24, example.com (and all below it), .example.com,
/expression/; with --as senders or recipients an address, user@, example.com, .example.com, /expression/.
Names of clients count only where Postfix verified them. The daemon takes the change within 5 seconds.
Without ENTRY and --domain the allowed ones are listed."""
_EXAMPLES = """\
vaglio greylist allow 192.0.2.0/24 --comment "the bank, ticket 123"
vaglio greylist allow example.com
vaglio greylist allow --as recipients postmaster@
vaglio greylist allow --domain example.com      the networks of its SPF record or MX
vaglio greylist allow --remove example.com
vaglio greylist allow"""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    text = "let a client, sender or recipient pass unasked from now on"
    allow = command(commands, "allow", _allow, text, _EXAMPLES, _MORE)
    allow.add_argument("entry", nargs="?", metavar="ENTRY", help="client address, network or name (see --as)")
    allow.add_argument("--as", dest="kind", choices=KINDS, help="what ENTRY names (default clients)")
    allow.add_argument("--domain", metavar="DOMAIN", help="allow the networks that DOMAIN sends from; run it again "
                       "when they change")  # fmt: skip
    allow.add_argument("--zone", type=Path, metavar="FILE", help="answer --domain's look-ups from a zone file")
    allow.add_argument("--comment", default="", metavar="TEXT", help="why, for whoever reads the file later")
    allow.add_argument("--remove", action="store_true", help="take ENTRY (or the networks of --domain) back")
    usual_options(allow)


def _allow(args: argparse.Namespace) -> int:
    state = state_directory(configuration(args))
    if args.domain is None and args.entry is None:
        if args.remove:
            raise WrongUsage("say what to take back: ENTRY or --domain")
        return _list(args, state)
    if args.entry is not None and args.domain is not None:
        raise WrongUsage("ENTRY or --domain, not both")
    if args.domain is None and args.zone:
        raise WrongUsage("--zone is for --domain")
    if args.domain is not None and args.kind not in (None, "clients"):
        raise WrongUsage(f"--domain allows clients, not {args.kind}")
    return _change_entry(args, state) if args.domain is None else _change_domain(args, state)


# --- the file ---


class _Line(NamedTuple):
    """A line of the file; ``entry`` is None for one that is none, and ``domain`` is what it stands for, if any."""

    text: str
    entry: Entry | None
    note: str
    domain: str


def _parse(line: str, kind: str) -> _Line:
    note = line.partition("#")[2].strip()
    words = note.split()
    domain = words[3].removesuffix(";") if words[2:3] == ["domain"] and len(words) > 3 else ""
    entries = (ClientList if kind == "clients" else AddressList).parse([line], "")[0].entries
    return _Line(line, entries[0] if entries else None, note, domain)


def _read(path: Path, kind: str) -> list[_Line]:
    if not is_there(path):
        return []
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise CliError(f"{path}: {said(error)}") from error
    return [_parse(line, kind) for line in text.splitlines()]


def _lock(state: Path) -> AbstractContextManager[None]:
    """Keep others of this command out. Raises CliError where there is no directory to write in."""
    if not is_there(state):
        raise CliError(f"there is no {state} yet: has the daemon run with this configuration?")
    if not os.access(state, os.W_OK | os.X_OK):
        raise CliError(f"{state}: {said(PermissionError(None, 'Permission denied'))}")
    return locked(state)


def _write(path: Path, lines: Sequence[str]) -> None:
    """Write the file whole or not at all, readable for the daemon, which may run as somebody else."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        draft.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="surrogateescape")
        draft.chmod(0o644)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise CliError(f"{path} can't be written: {said(error)}") from error


def _written(entry: str, args: argparse.Namespace, domain: str = "") -> str:
    comment = " ".join(f"{domain and f'domain {domain};'} {args.comment}".split())[:200]
    return f"{entry}  # {moment(now(args))} {comment}".rstrip()


# --- one entry ---


def _change_entry(args: argparse.Namespace, state: Path) -> int:
    kind = args.kind or "clients"
    entry, path = _entry(args.entry, kind), allowed_file(state, kind)
    with _lock(state):
        lines = _read(path, kind)
        same = [line for line in lines if line.entry and (line.entry.kind, line.entry.key) == (entry.kind, entry.key)]
        if args.remove and not same:
            raise CliError(f"{entry.text} is not in {path}: see vaglio greylist allow")
        if same and not args.remove and not args.comment:
            return _done(args, entry, kind, path, f"{entry.text} is allowed already ({same[0].note or path})")
        kept = [line.text for line in lines if line not in same]
        _write(path, kept if args.remove else [*kept, _written(entry.text, args)])
    taken = f"{entry.text} is not allowed any more" if args.remove else f"{entry.text} is allowed"
    return _done(args, entry, kind, path, f"{taken} ({path})")


def _entry(text: str, kind: str) -> Entry:
    """Return what a line of this text would mean. Raises CliError that says what is wanted."""
    entries, problems = _parse_one(text, kind)
    if problems or not entries or len(text.splitlines()) != 1 or "#" in text:
        wanted = problems[0] if problems else "one entry; a comment goes into --comment"
        raise CliError(f"found {text[:200]!r}, wanted {wanted}")
    return entries[0]


def _parse_one(text: str, kind: str) -> tuple[Sequence[Entry], list[str]]:
    found, problems = (ClientList if kind == "clients" else AddressList).parse([text], "")
    return found.entries, [problem.wanted for problem in problems]


def _done(args: argparse.Namespace, entry: Entry, kind: str, path: Path, text: str) -> int:
    if args.json:
        print_json({"kind": kind, "entry": entry.text, "allowed": not args.remove, "file": str(path)})
    else:
        print(text)
    return 0


def _list(args: argparse.Namespace, state: Path) -> int:
    kinds = [args.kind] if args.kind else KINDS
    found = [
        (kind, line.entry.text, line.note)
        for kind in kinds
        for line in _read(allowed_file(state, kind), kind)
        if line.entry
    ]
    if args.json:
        print_json([{"kind": kind, "entry": entry, "comment": note} for kind, entry, note in found])
    else:
        print_table(("kind", "entry", "since"), found, "nobody is allowed by hand")
    return 0


# --- the networks of a domain ---


def _change_domain(args: argparse.Namespace, state: Path) -> int:
    """Put the networks from which a domain sends on the list, in place of those found the last time."""
    domain, path = args.domain.strip().lower().removesuffix("."), allowed_file(state, "clients")
    networks = () if args.remove else _networks(domain, args)
    with _lock(state):
        lines = _read(path, "clients")
        kept = [line.text for line in lines if line.domain != domain]
        before = len(lines) - len(kept)
        if args.remove and not before:
            raise CliError(f"no networks of {domain} are in {path}")
        _write(path, [*kept, *(_written(network, args, domain) for network in networks)])
    if args.json:
        print_json({"domain": domain, "networks": list(networks), "before": before, "file": str(path)})
    elif args.remove:
        print(f"{domain}: {before} networks are not allowed any more ({path})")
    else:
        print(f"{domain}: {len(networks)} networks are allowed ({path}); run this again when it changes its servers")
    return 0


def _networks(domain: str, args: argparse.Namespace) -> Sequence[str]:
    """Look the networks up; tell what was left out. Raises CliError for none, or if some could not be looked up."""
    failed = list[str]()
    with _lookup(args, configuration(args)) as lookup:

        def watched(name: str, rrtype: str) -> Answer:
            answer = lookup(name, rrtype)
            if answer.outcome is Outcome.TEMPERROR:
                failed.append(f"{name} {rrtype}")
            return answer

        expansion = networks_of(domain, watched)
    if failed:
        raise CliError(f"{', '.join(failed)} could not be looked up: nothing is changed, try again later")
    for problem in expansion.problems:
        warn(problem)
    if not expansion.networks:
        raise CliError(f"no networks were found for {domain}: nothing is changed")
    return expansion.networks


def _lookup(args: argparse.Namespace, loaded: Loaded) -> Waiting:
    settings = loaded.config.dns
    try:
        return Waiting(open_resolver(settings.servers, settings.timeout, args.zone or settings.zone_file))
    except ValueError as error:
        raise CliError(str(error)) from error
