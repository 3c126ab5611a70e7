"""``vaglio greylist forget``: takes back what is remembered, while the daemon runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from vaglio.checks.greylist.decide import POOLS, SCHEMA, TRIPLETS, PoolRecord, Triplet
from vaglio.checks.greylist.pool import fold_recipient, fold_sender
from vaglio.cli.arguments import mailbox
from vaglio.cli.common import (
    CliError,
    Commands,
    WrongUsage,
    change_store,
    command,
    configuration,
    print_json,
    progress,
    usual_options,
)
from vaglio.cli.greylist_keys import keys_of, pool_named
from vaglio.config.load import Loaded
from vaglio.ports import R, Store, Table, Transaction

_PAGE = 500
"""Records looked at in one transaction: the daemon may be running."""
_MORE = """\
Who is forgotten is greylisted again, some 5 seconds later. What --pool, --from and --to say must all hold. A pool with
a good record passes unasked whoever sends (greylist.auto_whitelist): only --pool alone takes that back."""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "forget", _forget, "forget what is remembered of a pool, sender or recipient",
        "vaglio greylist forget --pool example.com\nvaglio greylist forget --pool 198.51.100.7\n"
        "vaglio greylist forget --from tizio@tizio.it --to caio@caio.it",
        _MORE,
    )  # fmt: skip
    parser.add_argument("--pool", metavar="NAME", help="domain or network, or an address in it: its triplets and, "
                        "given alone, its good record")  # fmt: skip
    parser.add_argument("--from", dest="sender", type=mailbox, metavar="ADDRESS", help="triplets of this sender")
    parser.add_argument("--to", dest="recipient", type=mailbox, metavar="ADDRESS", help="triplets of this recipient")
    usual_options(parser)


def _forget(args: argparse.Namespace) -> int:
    if not (args.pool or args.sender is not None or args.recipient):
        raise WrongUsage("say what to forget: --pool, --from or --to")
    loaded = configuration(args)
    if loaded.config.greylist.privacy and (args.sender is not None or args.recipient):
        raise CliError("with greylist.privacy addresses are not stored: forget a --pool instead")
    triplets, pools = change_store(loaded, SCHEMA, lambda store: _work(store, args, loaded))
    if args.json:
        print_json({"triplets": triplets, "pools": pools})
    else:
        good_record = " and the record of the pool" if pools else ""
        print(f"{triplets} triplets{good_record} forgotten" if triplets or pools else "nothing of that is remembered")
    return 0


async def _work(store: Store, args: argparse.Namespace, loaded: Loaded) -> tuple[int, int]:
    keys = keys_of(loaded)
    pool = pool_named(args.pool, loaded.config.greylist) if args.pool else ""
    sender = None if args.sender is None else fold_sender(args.sender)
    recipient = fold_recipient(args.recipient) if args.recipient else None

    def fits(triplet: Triplet) -> bool:
        return (
            (not pool or keys.pool(triplet.pool) == keys.pool(pool))
            and (sender is None or triplet.sender == sender)
            and (recipient is None or triplet.recipient == recipient)
        )

    def of_pool(record: PoolRecord) -> bool:
        """True for the pool's own record and those of sender domains in it (whose names privacy hides)."""
        return keys.pool(record.name) == keys.pool(pool) or record.name.startswith(f"{pool} @")

    triplets = await _walk(store, TRIPLETS, fits)
    if not pool or sender is not None or recipient is not None:
        return triplets, 0
    return triplets, await _walk(store, POOLS, of_pool)


async def _walk(store: Store, table: Table[R], fits: Callable[[R], bool]) -> int:
    """Delete the records of a table that fit, page by page; return how many that were."""
    count, after = 0, b""
    while page := await store.scan(table, after, _PAGE):
        after = page[-1][0]
        if found := [key for key, record in page if fits(record)]:
            count += await store.transact(lambda tx, found=found: _delete(tx, table, found))  # type: ignore[misc]
            store.settle()
            progress(f"{count} forgotten")
    progress("")
    return count


def _delete(tx: Transaction, table: Table[Any], found: Sequence[bytes]) -> int:
    there = [key for key in found if tx.get(table, key) is not None]  # the daemon may have been faster
    for key in there:
        tx.delete(table, key)
    return len(there)
