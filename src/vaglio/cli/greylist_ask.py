"""``vaglio greylist check`` and ``why``: what would happen to a message now, and what is remembered of it."""

from __future__ import annotations

import argparse
from typing import Any

from vaglio.checks.greylist.check import recall
from vaglio.checks.greylist.decide import (
    DEFERRED,
    POOLS,
    SCHEMA,
    Case,
    Decision,
    Exempt,
    PoolRecord,
    Triplet,
    basis,
    decide,
    domain_name,
    median_habit,
    screen,
)
from vaglio.checks.greylist.explain import explain
from vaglio.checks.greylist.keys import Keys
from vaglio.checks.greylist.whitelists import Whitelists
from vaglio.cli.common import (
    CliError,
    Commands,
    clean,
    command,
    configuration,
    moment,
    now,
    print_json,
    state_directory,
    warn,
    with_store,
)
from vaglio.cli.decisions import ask_journal
from vaglio.config.load import Loaded
from vaglio.facts import Envelope, Facts, Session, Stage, client_of
from vaglio.ports import Store, Transaction


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    for name, run, text in (
        ("check", _check, "say what greylisting would answer now; changes nothing"),
        ("why", _why, "say what is remembered of a sender and recipient, and what was decided lately"),
    ):
        parser = command(commands, name, run, text)
        parser.add_argument("--client", required=True, metavar="IP", help="client address")
        parser.add_argument("--name", default="", metavar="NAME", help="the client's verified name, as Postfix logs it")
        parser.add_argument("--from", dest="sender", required=True, metavar="ADDRESS", help='sender; "" for bounces')
        parser.add_argument("--to", dest="recipient", required=True, metavar="ADDRESS", help="recipient")
        parser.add_argument("--now", type=float, metavar="UNIX", help="judge as of this time")
        parser.add_argument("--language", choices=["en", "it"], default="en", help="en (default) or it")


def secret_of(loaded: Loaded) -> bytes:
    """Return the key that veils what is stored, empty without privacy."""
    if not loaded.config.greylist.privacy:
        return b""
    path = state_directory(loaded) / "greylist.secret"
    try:
        return path.read_bytes()
    except OSError as error:
        raise CliError(f"{path} can't be read: {error.strerror}") from error


def _facts(args: argparse.Namespace) -> Facts:
    client = client_of(args.client, args.name, args.name)
    if not client.packed:
        raise CliError(f"--client: found {args.client!r}, wanted an IP address")
    return Facts(client, Envelope(args.sender, args.recipient), Session(Stage.RCPT))


class _Memory:
    """What the store has about a case."""

    def __init__(self, tx: Transaction, case: Case, keys: Keys) -> None:
        self.pool, self.triplet = recall(tx, keys, case)
        self.domain: PoolRecord | None = tx.get(POOLS, keys.pool(domain_name(case)))


def _recall(loaded: Loaded, case: Case) -> _Memory:
    keys = Keys(secret_of(loaded))

    async def work(store: Store) -> _Memory:
        return await store.transact(lambda tx: _Memory(tx, case, keys))

    return with_store(loaded, SCHEMA, work)


def _judge(loaded: Loaded, facts: Facts, at: int) -> tuple[Exempt | Case, Decision | None, _Memory | None]:
    settings = loaded.config.greylist
    screened = screen(facts, settings, Whitelists(settings, state_directory(loaded), warn).current())
    if isinstance(screened, Exempt):
        return screened, None, None
    memory = _recall(loaded, screened)
    return screened, decide(screened, memory.pool, memory.domain, memory.triplet, at, settings), memory


def _check(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    screened, decision, _ = _judge(loaded, _facts(args), int(now(args)))
    document = _document(screened, decision, args.language)
    if args.json:
        print_json(document)
    else:
        print(f"{document['action']} {document['reason']}\n{clean(document['why'])}\n{clean(document['next'])}")
    return 0


def _document(screened: Exempt | Case, decision: Decision | None, language: str) -> dict[str, Any]:
    if isinstance(screened, Exempt) or decision is None:
        assert isinstance(screened, Exempt)
        why, then = explain(screened.reason, {"by": screened.by}, language)
        return {"action": "pass", "reason": screened.reason, "by": screened.by, "why": why, "next": then}
    facts = basis(decision, screened)
    why, then = explain(decision.reason, facts, language)
    action = "defer" if decision.reason in DEFERRED else "pass"
    return {"action": action, "reason": decision.reason, **facts, "why": why, "next": then}


def _why(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    screened, decision, memory = _judge(loaded, _facts(args), int(now(args)))
    document = _document(screened, decision, args.language)
    document["triplet"] = _triplet(memory.triplet) if memory and memory.triplet else None
    document["pool_record"] = _pool(memory.pool) if memory and memory.pool else None
    document["decisions"] = _history(loaded, args)
    if args.json:
        print_json(document)
    else:
        _tell(document)
    return 0


def _history(loaded: Loaded, args: argparse.Namespace) -> list[dict[str, Any]]:
    try:
        found = ask_journal(
            loaded,
            lambda journal: journal.search(daemon="greylist", sender=args.sender, recipient=args.recipient, limit=5),
        )
    except CliError:
        return []  # no journal: then there is no history to tell
    return [{"at": one.at, "ref": one.ref, "reason": one.reason, "client": one.client} for one in found]


def _triplet(triplet: Triplet) -> dict[str, Any]:
    return {"first": triplet.first, "last": triplet.last, "passed": triplet.passed, "attempts": triplet.attempts}


def _pool(pool: PoolRecord) -> dict[str, Any]:
    return {"delivered": pool.delivered, "pending": pool.pending, "lost": pool.lost, "last": pool.last,
            "median_retry": median_habit(pool)}  # fmt: skip


def _tell(document: dict[str, Any]) -> None:
    print(f"Now: {document['action']} {document['reason']}\n  {clean(document['why'])}\n  {clean(document['next'])}")
    triplet, pool = document["triplet"], document["pool_record"]
    if triplet:
        passed = f"let in {moment(triplet['passed'])}" if triplet["passed"] else "not let in yet"
        print(
            f"Remembered: first contact {moment(triplet['first'])}, last {moment(triplet['last'])}, "
            f"{triplet['attempts']} contacts, {passed}"
        )
    else:
        print("Remembered: nothing of this sender and recipient from there")
    if pool:
        print(f"Pool {clean(document['pool'])}: {pool['delivered']} deliveries counted, {pool['pending']} waiting, "
              f"{pool['lost']} never retried")  # fmt: skip
    for one in document["decisions"]:
        print(f"Decided: {moment(one['at'])} {one['reason']} for {one['client']}, ref {one['ref']}")
