"""``vaglio greylist allow`` and ``forget``: changes by the admin, while the daemon runs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from vaglio.checks.greylist.decide import POOLS, SCHEMA, TRIPLETS, Triplet
from vaglio.checks.greylist.keys import Keys
from vaglio.checks.greylist.pool import fold_recipient, fold_sender
from vaglio.checks.greylist.whitelists import KINDS, allowed_file
from vaglio.cli.common import (
    CliError,
    Commands,
    command,
    configuration,
    moment,
    now,
    print_json,
    print_table,
    progress,
    state_directory,
    warn,
    with_store,
)
from vaglio.cli.greylist_ask import secret_of
from vaglio.config.load import Loaded
from vaglio.lists import AddressList, ClientList
from vaglio.ports import Store, Transaction

_PAGE = 500


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    allow = command(
        commands, "allow", _allow, "let a client, sender or recipient pass unasked from now on",
        "The entry goes into a file in the state directory, which the daemon reads again within seconds. Entries are\n"
        "written as in whitelist files. Without ENTRY the allowed ones are listed; --remove takes one back.",
    )  # fmt: skip
    allow.add_argument("entry", nargs="?", metavar="ENTRY", help="client address, network or name (see --as)")
    allow.add_argument("--as", dest="kind", choices=KINDS, default="clients", help="what ENTRY names (default clients)")
    allow.add_argument("--domain", metavar="DOMAIN", help="allow the networks that DOMAIN's SPF record or MX names")
    allow.add_argument("--zone", type=Path, metavar="FILE", help="answer --domain's look-ups from a zone file")
    allow.add_argument("--comment", default="", metavar="TEXT", help="why, for whoever reads the file later")
    allow.add_argument("--remove", action="store_true", help="take the entry (or the domain's networks) back")
    forget = command(commands, "forget", _forget, "forget what is remembered of a pool, sender or recipient")
    forget.add_argument("--pool", metavar="NAME", help="all of this pool: its triplets and its good record")
    forget.add_argument("--from", dest="sender", metavar="ADDRESS", help="all triplets of this sender")
    forget.add_argument("--to", dest="recipient", metavar="ADDRESS", help="all triplets of this recipient")


# --- allow ---


def _allow(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    path = allowed_file(state_directory(loaded), args.kind)
    if args.domain:
        return _allow_domain(args, loaded)
    if not args.entry:
        return _list_allowed(args, state_directory(loaded))
    _well_formed(args.entry, args.kind)
    lines = _lines(path)
    kept = [line for line in lines if _entry_of(line) != args.entry.lower()]
    if args.remove and kept == lines:
        raise CliError(f"{args.entry} is not in {path}")
    _write(path, kept if args.remove else [*kept, _line(args.entry, args)])
    _done(args, f"{args.entry} is {'no more ' if args.remove else ''}allowed ({path})")
    return 0


def _well_formed(entry: str, kind: str) -> None:
    problems = (ClientList if kind == "clients" else AddressList).parse([entry], "")[1]
    if problems:
        raise CliError(f"found {problems[0].found}, wanted {problems[0].wanted}")


def _line(entry: str, args: argparse.Namespace, why: str = "") -> str:
    comment = " ".join(f"{why} {args.comment}".split())[:200]
    return f"{entry}  # {moment(now(args))} {comment}".rstrip()


def _entry_of(line: str) -> str:
    return line.partition("#")[0].strip().lower()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CliError(f"{path} can't be read: {error.strerror}") from error


def _write(path: Path, lines: Sequence[str]) -> None:
    """Write the file whole or not at all, readable for the daemon, which may run as somebody else."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        draft.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="surrogateescape")
        draft.chmod(0o644)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise CliError(f"{path} can't be written: {error.strerror}") from error


def _done(args: argparse.Namespace, text: str) -> None:
    if args.json:
        print_json({"done": text})
    else:
        print(text)


def _list_allowed(args: argparse.Namespace, state: Path) -> int:
    rows = [
        (kind, _entry_of(line), line.partition("#")[2].strip())
        for kind in KINDS
        for line in _lines(allowed_file(state, kind))
        if _entry_of(line)
    ]
    if args.json:
        print_json([{"kind": kind, "entry": entry, "comment": comment} for kind, entry, comment in rows])
    else:
        print_table(("kind", "entry", "since"), rows, "nobody is allowed by hand")
    return 0


def _allow_domain(args: argparse.Namespace, loaded: Loaded) -> int:
    """Put the networks from which a domain sends on the list, in place of those found the last time."""
    from vaglio.dns.networks import networks_of
    from vaglio.dns.resolver import Resolver
    from vaglio.dns.zonefile import ZoneFile

    mark = f"domain {args.domain.lower()};"
    path = allowed_file(state_directory(loaded), "clients")
    kept = [line for line in _lines(path) if mark not in line]
    networks: Sequence[str] = ()
    if not args.remove:
        zone = args.zone or loaded.config.dns.zone_file
        lookup = (
            ZoneFile.load(Path(zone)).lookup
            if zone
            else Resolver(loaded.config.dns.servers, loaded.config.dns.timeout).lookup
        )
        expansion = networks_of(args.domain, lookup)
        for problem in expansion.problems:
            warn(str(problem))
        networks = expansion.networks
        if not networks:
            raise CliError(f"no networks were found for {args.domain}; nothing is changed")
    _write(path, [*kept, *(_line(network, args, mark) for network in networks)])
    if args.json:
        print_json({"domain": args.domain, "networks": list(networks)})
    else:
        print(f"{args.domain}: {len(networks)} networks allowed ({path}); run this again when it changes its servers")
    return 0


# --- forget ---


def _forget(args: argparse.Namespace) -> int:
    if not (args.pool or args.sender is not None or args.recipient):
        raise CliError("say what to forget: --pool, --from or --to")
    loaded = configuration(args)
    keys = Keys(secret_of(loaded))
    pool_key = keys.pool(args.pool) if args.pool else b""
    sender = None if args.sender is None else fold_sender(args.sender)
    recipient = fold_recipient(args.recipient) if args.recipient else None
    if loaded.config.greylist.privacy and (sender is not None or recipient):
        raise CliError("with greylist.privacy addresses are not stored: forget a --pool instead")

    def fits(triplet: Triplet) -> bool:
        return (
            (not pool_key or keys.pool(triplet.pool) == pool_key)
            and (sender is None or triplet.sender == sender)
            and (recipient is None or triplet.recipient == recipient)
        )

    async def work(store: Store) -> int:
        count, after = 0, b""
        while page := await store.scan(TRIPLETS, after, _PAGE):
            after = page[-1][0]
            doomed = [(key, record) for key, record in page if fits(record)]
            await store.transact(lambda tx, doomed=doomed: _delete(tx, keys, doomed))  # type: ignore[misc]
            store.settle()
            count += len(doomed)
            progress(f"{count} forgotten")
        if pool_key and sender is None and not recipient:
            await store.transact(lambda tx: tx.delete(POOLS, pool_key))
        return count

    count = with_store(loaded, SCHEMA, work)
    progress("")
    _done(args, f"{count} triplets forgotten")
    return 0


def _delete(tx: Transaction, keys: Keys, doomed: Sequence[tuple[bytes, Triplet]]) -> None:
    for key, triplet in doomed:
        tx.delete(TRIPLETS, key)
        pool_key = keys.pool(triplet.pool)
        pool = tx.get(POOLS, pool_key)
        if pool and not triplet.passed:
            tx.put(POOLS, pool_key, pool._replace(pending=max(pool.pending - 1, 0)))
