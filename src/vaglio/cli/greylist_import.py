"""``vaglio greylist import``: take over what another greylister remembers, so that nobody has to wait again."""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from vaglio.checks.greylist.decide import POOLS, SCHEMA, TRIPLETS, PoolRecord, Triplet
from vaglio.checks.greylist.keys import Keys
from vaglio.checks.greylist.pool import fold_recipient, fold_sender, pool_of
from vaglio.checks.greylist.postgrey import ImportedClient, ImportedTriplet, Problems, read_clients, read_triplets
from vaglio.checks.greylist.settings import GreylistSettings
from vaglio.cli.common import CliError, Commands, command, configuration, print_json, progress, warn, with_store
from vaglio.cli.greylist_ask import secret_of
from vaglio.facts import client_of
from vaglio.ports import Store, Transaction

T = TypeVar("T")

_PAGE = 500
"""Records in one transaction: the daemon may be running."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "import", _import, "take over what postgrey remembers",
        "Reads postgrey's Berkeley DB through db_dump (Debian: db-util). Stop postgrey first, so that its log is\n"
        "written back. Running this twice changes nothing.",
    )  # fmt: skip
    parser.add_argument("source", choices=["postgrey"], help="which greylister")
    parser.add_argument("--dbdir", type=Path, default=Path("/var/lib/postgrey"), help="its database directory")
    parser.add_argument("--dry-run", action="store_true", help="say what would be taken over, and write nothing")


def _import(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    settings = loaded.config.greylist
    problems = Problems()
    found = [as_triplet(one, settings) for one in read_triplets(_dump(args.dbdir / "postgrey.db"), problems)]
    pools = []
    if (clients_file := args.dbdir / "postgrey_clients.db").exists():
        pools = [as_pool(one, settings) for one in read_clients(_dump(clients_file), problems)]
    if problems.counts:
        warn(f"left out: {problems}")
    document = {"triplets_found": len(found), "clients_found": len(pools), "triplets_added": 0, "pools_changed": 0}
    if not args.dry_run:
        keys = Keys(secret_of(loaded))

        async def work(store: Store) -> None:
            document["triplets_added"] = await _in_steps(store, found, lambda tx, some: _put_triplets(tx, keys, some))
            document["pools_changed"] = await _in_steps(store, pools, lambda tx, some: _put_pools(tx, keys, some))

        with_store(loaded, SCHEMA, work, create=True)
    if args.json:
        print_json(document)
    else:
        print(
            f"found {len(found)} triplets and {len(pools)} clients; "
            + ("nothing was written (--dry-run)" if args.dry_run else
               f"{document['triplets_added']} triplets and {document['pools_changed']} pools were new")
        )  # fmt: skip
    return 0


def _dump(database: Path) -> list[str]:
    """Return the lines of ``db_dump``. Raises CliError when that can't be had."""
    if not database.exists():
        raise CliError(f"there is no {database}: say where postgrey keeps its database with --dbdir")
    try:
        done = subprocess.run(["db_dump", str(database)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CliError("db_dump is not there: apt-get install db-util") from None
    if done.returncode != 0:
        raise CliError(f"db_dump {database}: {done.stderr.strip()[:300]}")
    return done.stdout.splitlines()


def as_triplet(found: ImportedTriplet, settings: GreylistSettings) -> Triplet:
    """Return the triplet as ours, under its network's name: postgrey knows no names, and ``recall`` looks there too.
    A triplet seen twice counts as let in.
    """
    passed = found.last if found.last > found.first else 0
    pool = pool_of(client_of(found.address), settings).name
    attempts = 2 if passed else 1
    return Triplet(
        found.first, found.last, passed, attempts, pool, fold_sender(found.sender), fold_recipient(found.recipient)
    )


def as_pool(found: ImportedClient, settings: GreylistSettings) -> PoolRecord:
    """Return the good record of a client as that of its network."""
    pool = pool_of(client_of(found.address), settings).name
    return PoolRecord(name=pool, last=found.last, delivered=found.count, counted=found.last)


async def _in_steps(store: Store, records: Sequence[T], put: Callable[[Transaction, Sequence[T]], int]) -> int:
    count = 0
    for at, some in enumerate(_pages(records)):
        count += await store.transact(lambda tx, some=some: put(tx, some))  # type: ignore[misc]
        store.settle()
        progress(f"{at * _PAGE + len(some)} of {len(records)}")
    progress("")
    return count


def _pages(records: Sequence[T]) -> Iterator[Sequence[T]]:
    return (records[at : at + _PAGE] for at in range(0, len(records), _PAGE))


def _put_triplets(tx: Transaction, keys: Keys, some: Sequence[Triplet]) -> int:
    """Add those that are not there yet; return how many that were."""
    added = 0
    for triplet in some:
        key = keys.triplet(triplet.pool, triplet.sender, triplet.recipient)
        if tx.get(TRIPLETS, key) is None:
            tx.put(TRIPLETS, key, keys.veil_triplet(triplet))
            added += 1
    return added


def _put_pools(tx: Transaction, keys: Keys, some: Sequence[PoolRecord]) -> int:
    """Raise each pool's good record to what was found; return how many that changed."""
    changed = 0
    for pool in some:
        key = keys.pool(pool.name)
        old = tx.get(POOLS, key)
        if old is None or old.delivered < pool.delivered:
            base = old or PoolRecord(name=pool.name)
            better = base._replace(delivered=pool.delivered, counted=pool.counted, last=max(base.last, pool.last))
            tx.put(POOLS, key, keys.veil_pool(better))
            changed += 1
    return changed
