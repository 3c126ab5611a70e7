"""``vaglio greylist import``: take over what another greylister remembers, so that nobody has to wait again."""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from vaglio.checks.greylist.decide import (
    POOLS,
    SCHEMA,
    TRIPLETS,
    PoolRecord,
    Triplet,
    expired,
    forgettable,
)
from vaglio.checks.greylist.keys import Keys
from vaglio.checks.greylist.pool import fold_recipient, fold_sender, pool_of
from vaglio.checks.greylist.postgrey import (
    DELAY,
    ImportedClient,
    ImportedTriplet,
    Problems,
    read_clients,
    read_triplets,
)
from vaglio.checks.greylist.settings import GreylistSettings
from vaglio.cli.arguments import count
from vaglio.cli.common import (
    CliError,
    Commands,
    change_store,
    command,
    configuration,
    is_there,
    now,
    print_json,
    progress,
    usual_options,
    warn,
)
from vaglio.cli.greylist_keys import keys_of
from vaglio.facts import client_of
from vaglio.ports import Store, Transaction

T = TypeVar("T")

_PAGE = 500
"""Records in one transaction: the daemon may be running."""
_MORE = """\
Reads postgrey's Berkeley DB through db_dump (Debian: db-util). Stop postgrey first, so that its log is written back.
Our own daemon may be running. postgrey does not write down whom it let in: that was who came back after its delay,
which is not ours. Did it run with --delay (Debian: POSTGREY_OPTS in /etc/default/postgrey)? Give the same here.
What postgrey would have forgotten by now (greylist.retry_window, greylist.lifetime) is left out. Running this twice
changes nothing."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "import", _import, "take over what postgrey remembers",
        "vaglio greylist import postgrey --dry-run\n"
        "vaglio greylist import postgrey --dbdir /var/lib/postgrey --delay 60",
        _MORE,
    )  # fmt: skip
    parser.add_argument("source", choices=["postgrey"], help="which greylister")
    parser.add_argument("--dbdir", type=Path, default=Path("/var/lib/postgrey"), metavar="DIR",
                        help="its database directory (default /var/lib/postgrey)")  # fmt: skip
    parser.add_argument("--delay", type=count, default=DELAY, metavar="SECONDS",
                        help=f"postgrey's own --delay (default {DELAY}, as postgrey's)")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="say what would be taken over, and write nothing")
    usual_options(parser)


class _Found(NamedTuple):
    """What is worth taking over, and how many records were too old."""

    triplets: Sequence[Triplet]
    pools: Sequence[PoolRecord]
    old: int


def _import(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    _warn_of_narrow_keys(loaded.config.greylist)
    found = _found(args.dbdir, args.delay, loaded.config.greylist, int(now(args)))
    document = {"triplets_found": len(found.triplets), "clients_found": len(found.pools), "too_old": found.old,
                "triplets_changed": 0, "pools_changed": 0}  # fmt: skip
    if not args.dry_run:
        keys = keys_of(loaded)

        async def work(store: Store) -> None:
            document["triplets_changed"] = await _in_steps(store, found.triplets, lambda tx, one: _put(tx, keys, one))
            document["pools_changed"] = await _in_steps(store, found.pools, lambda tx, one: _raise(tx, keys, one))

        change_store(loaded, SCHEMA, work, create=True)
    if args.json:
        print_json(document)
    else:
        _tell(document, args.dry_run)
    return 0


def _tell(document: dict[str, int], dry_run: bool) -> None:
    print(f"found {document['triplets_found']} triplets and {document['clients_found']} clients; "
          f"{document['too_old']} more are too old")  # fmt: skip
    if dry_run:
        print("nothing was written (--dry-run)")
    else:
        print(f"{document['triplets_changed']} triplets and {document['pools_changed']} pools were new or better")


def _warn_of_narrow_keys(settings: GreylistSettings) -> None:
    if settings.key == "address" or settings.ipv4_prefix > 24 or settings.ipv6_prefix > 64:
        warn("postgrey remembers networks (/24, /64) unless it ran with --lookup-by-host: with the greylist.key and "
             "prefixes that are set here most of its triplets will never be found")  # fmt: skip


# --- reading ---


def _found(directory: Path, delay: int, settings: GreylistSettings, at: int) -> _Found:
    problems = Problems()
    triplets = [as_triplet(one, delay, settings) for one in read_triplets(_dump(directory / "postgrey.db"), problems)]
    pools = []
    if is_there(clients := directory / "postgrey_clients.db"):
        pools = [as_pool(one, settings) for one in read_clients(_dump(clients), problems)]
    if problems.counts:
        warn(f"left out: {problems}")
    fresh = [one for one in triplets if not expired(one, at, settings)]
    good = [one for one in pools if not forgettable(one, at, settings)]
    return _Found(fresh, good, len(triplets) + len(pools) - len(fresh) - len(good))


def _dump(database: Path) -> list[str]:
    """Return the lines of ``db_dump``. Raises CliError when that can't be had."""
    if not is_there(database):
        raise CliError(f"there is no {database}: say where postgrey keeps its database with --dbdir")
    try:
        done = subprocess.run(["db_dump", str(database)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CliError("db_dump is not there: apt-get install db-util") from None
    if done.returncode != 0:
        raise CliError(f"db_dump can't read {database}: {' '.join(done.stderr.split())[:300]}")
    return done.stdout.splitlines()


def as_triplet(found: ImportedTriplet, delay: int, settings: GreylistSettings) -> Triplet:
    """Return the triplet as ours, under its network's name: postgrey knows no names, and ``recall`` looks there too.

    postgrey lets in who comes back after its ``delay`` (seconds) and does not say when that was: who was seen that long
    after the first contact counts as let in with it (``passed`` is ``first``), so that no report takes this for a wait.
    """
    passed = found.first if found.last - found.first >= delay else 0
    attempts = 1 if found.last == found.first else 2
    pool = pool_of(client_of(found.address), settings).name
    return Triplet(
        found.first, found.last, passed, attempts, pool, fold_sender(found.sender), fold_recipient(found.recipient)
    )


def as_pool(found: ImportedClient, settings: GreylistSettings) -> PoolRecord:
    """Return the good record of a client as that of its network."""
    pool = pool_of(client_of(found.address), settings).name
    return PoolRecord(name=pool, last=found.last, delivered=found.count, counted=found.last)


# --- writing ---


async def _in_steps(store: Store, records: Sequence[T], put: Callable[[Transaction, T], bool]) -> int:
    """Write the records page by page; return how many changed the store."""
    changed = 0
    for page in _pages(records):
        changed += await store.transact(lambda tx, page=page: sum(put(tx, one) for one in page))  # type: ignore[misc]
        store.settle()
        progress(f"{changed} of {len(records)} written")
    progress("")
    return changed


def _pages(records: Sequence[T]) -> Iterator[Sequence[T]]:
    return (records[at : at + _PAGE] for at in range(0, len(records), _PAGE))


def _put(tx: Transaction, keys: Keys, found: Triplet) -> bool:
    """Store the triplet, or what it adds to the one that is there; return whether that changed anything."""
    key = keys.triplet(found.pool, found.sender, found.recipient)
    old, new = tx.get(TRIPLETS, key), keys.veil_triplet(found)
    if old is not None:
        new = _joined(old, new)
    if new == old:
        return False
    tx.put(TRIPLETS, key, new)
    return True


def _joined(old: Triplet, new: Triplet) -> Triplet:
    """Return the better of two: one that was let in counts more, and both together were seen last by the later."""
    if not new.passed:
        return old
    return (old if old.passed else new)._replace(last=max(old.last, new.last))


def _raise(tx: Transaction, keys: Keys, found: PoolRecord) -> bool:
    """Raise the pool's good record to what was found; return whether it was less."""
    key = keys.pool(found.name)
    old = tx.get(POOLS, key) or PoolRecord(name=found.name)
    if old.delivered >= found.delivered:
        return False
    better = old._replace(delivered=found.delivered, counted=found.counted, last=max(old.last, found.last))
    tx.put(POOLS, key, keys.veil_pool(better))
    return True
