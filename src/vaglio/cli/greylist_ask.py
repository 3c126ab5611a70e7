"""``vaglio greylist check`` and ``why``: what would happen to a message now, and what is remembered of it."""

from __future__ import annotations

import argparse
from typing import Any

from vaglio.checks.greylist.decide import DEFERRED, Exempt, PoolRecord, Triplet, basis, median_habit
from vaglio.checks.greylist.explain import explain
from vaglio.cli.arguments import client, mailbox, unix_time
from vaglio.cli.common import (
    CliError,
    Commands,
    clean,
    command,
    configuration,
    looking_options,
    moment,
    now,
    print_json,
    warn,
)
from vaglio.cli.decisions import ask_journal
from vaglio.cli.greylist_judge import Judgement, judge
from vaglio.config.load import Loaded
from vaglio.config.types import format_duration
from vaglio.facts import Client, Envelope, Facts, Session, Stage, client_of
from vaglio.verdict import Fact

_MORE = (
    "Give the client's name too, as Postfix verified and logged it: mail.tizio.it[198.51.100.7]. Greylisting knows\n"
    "most senders by the domain of that name."
)
_NAMELESS = {
    ("en", True): "The client's name was not given, and is not looked up here: so its pool is its network, {pool}. "
    "Postfix does look it up: a verified name that is not generic makes its domain the pool, and the answer may be "
    "another. Give the name with --name or as NAME[IP]; unknown[IP] says that there is none.",
    ("en", False): "The client's name was not given, and is not looked up here: so no list entry and no rule by name "
    "can fit. Give it with --name or as NAME[IP]; unknown[IP] says that there is none.",
    ("it", True): "Il nome del client non è stato dato, e qui non viene cercato: il suo pool è quindi la sua rete, "
    "{pool}. Postfix invece lo cerca: se il nome è verificato e non generico, il pool è il suo dominio, e la risposta "
    "può cambiare. Il nome si dà con --name o come NOME[IP]; unknown[IP] dice che non ne ha.",
    ("it", False): "Il nome del client non è stato dato, e qui non viene cercato: nessuna voce di lista e nessuna "
    "regola per nome può valere. Si dà con --name o come NOME[IP]; unknown[IP] dice che non ne ha.",
}
"""By language, and whether the pool depends on the name."""
_HISTORY = 5


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    for name, run, text in (
        ("check", _check, "say what greylisting would answer now; changes nothing"),
        ("why", _why, "say what is remembered of a sender and recipient, and what was decided lately"),
    ):
        parser = command(
            commands, name, run, text,
            f"vaglio greylist {name} --client 'mail.tizio.it[198.51.100.7]' --from tizio@tizio.it --to caio@caio.it\n"
            f"vaglio greylist {name} --client 198.51.100.7 --from '<>' --to caio@caio.it",
            _MORE,
        )  # fmt: skip
        parser.add_argument("--client", type=client, required=True, metavar="NAME[IP]",
                            help="client as Postfix logs it, or its address alone")  # fmt: skip
        parser.add_argument("--name", default="", metavar="NAME", help="the client's verified name, if not given there")
        parser.add_argument("--from", dest="sender", type=mailbox, required=True, metavar="ADDRESS",
                            help='sender; "" is the null sender')  # fmt: skip
        parser.add_argument("--to", dest="recipient", type=mailbox, required=True, metavar="ADDRESS", help="recipient")
        parser.add_argument("--now", type=unix_time, metavar="UNIX", help="judge as of this time (Unix seconds)")
        parser.add_argument("--language", choices=["en", "it"], default="en", help="en (default) or it")
        looking_options(parser)


def _facts(args: argparse.Namespace) -> Facts:
    given: Client = args.client.client
    named = client_of(given.address, args.name, args.name) if args.name else given
    return Facts(named, Envelope(args.sender, args.recipient), Session(Stage.RCPT))


def _judge(args: argparse.Namespace, loaded: Loaded) -> Exempt | Judgement:
    (found,) = judge(loaded, [_facts(args)], int(now(args)), warn)
    return found


def _note(found: Exempt | Judgement, args: argparse.Namespace, loaded: Loaded) -> str:
    """Return what it means that nobody gave the client's name; "" where somebody did."""
    if args.name or args.client.named:
        return ""
    by_pool = isinstance(found, Judgement) and loaded.config.greylist.key == "pool"
    pool = found.case.pool.name if isinstance(found, Judgement) else ""
    return _NAMELESS[args.language, by_pool].format(pool=pool)


def _document(found: Exempt | Judgement, loaded: Loaded, args: argparse.Namespace) -> dict[str, Any]:
    if isinstance(found, Exempt):
        reason, facts = found.reason, dict[str, Fact](by=found.by)
    else:
        reason, facts = found.decision.reason, basis(found.decision, found.case)
    action = "defer" if reason in DEFERRED else "pass"
    rehearsal = loaded.config.greylist.mode == "rehearse"
    why, then = explain(reason, facts, args.language, rehearsal)
    note = _note(found, args, loaded)
    return {"action": action, "reason": reason, **facts, "why": why, "next": then, "note": note, "rehearsal": rehearsal}


def _check(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    document = _document(_judge(args, loaded), loaded, args)
    if args.json:
        print_json(document)
    else:
        _tell_answer(document)
    return 0


def _tell_answer(document: dict[str, Any]) -> None:
    rehearsal = " (mode is rehearse: it would pass all the same)" if document["rehearsal"] else ""
    print(f"{document['action']} {document['reason']}{rehearsal}")
    for text in filter(None, (document["why"], document["next"], document["note"])):
        print(f"  {clean(text)}")


def _why(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    found = _judge(args, loaded)
    document = {**_document(found, loaded, args), "triplet": None, "pool_record": None}
    if isinstance(found, Judgement):
        document["triplet"] = found.triplet and _triplet(found.triplet)
        document["pool_record"] = found.pool and _pool(found.pool)
    document["decisions"] = _history(loaded, args)
    if args.json:
        print_json(document)
    else:
        print("Now: ", end="")
        _tell_answer(document)
        if isinstance(found, Judgement):
            _tell_memory(document)
        _tell_history(document["decisions"])
    return 0


def _history(loaded: Loaded, args: argparse.Namespace) -> list[dict[str, Any]]:
    try:
        found = ask_journal(
            loaded,
            lambda journal: journal.search(
                daemon="greylist", sender=args.sender, recipient=args.recipient, limit=_HISTORY
            ),
        )
    except CliError as error:
        warn(str(error))  # what the store says is worth telling without it
        return []
    return [{"at": one.at, "ref": one.ref, "reason": one.reason, "client": one.client} for one in found]


def _triplet(triplet: Triplet) -> dict[str, Any]:
    return {"first": triplet.first, "last": triplet.last, "passed": triplet.passed, "attempts": triplet.attempts}


def _pool(pool: PoolRecord) -> dict[str, Any]:
    return {"delivered": pool.delivered, "retried": pool.retried, "lost": pool.lost, "early": pool.early,
            "last": pool.last, "median_retry": median_habit(pool)}  # fmt: skip


def _tell_memory(document: dict[str, Any]) -> None:
    name, triplet, pool = clean(document["pool"]), document["triplet"], document["pool_record"]
    if triplet:
        passed = f"let in {moment(triplet['passed'])}" if triplet["passed"] else "not let in yet"
        print(f"Remembered: first contact {moment(triplet['first'])}, last {moment(triplet['last'])}, "
              f"{triplet['attempts']} contacts, {passed}")  # fmt: skip
    else:
        print(f"Remembered: nothing of this sender and recipient from {name}")
    if pool:
        habit = pool["median_retry"]
        comes_back = f", comes back after {format_duration(habit)}" if habit is not None else ""
        print(f"Pool {name}: {pool['delivered']} deliveries counted, {pool['retried']} triplets let in, "
              f"{pool['lost']} never retried{comes_back}")  # fmt: skip


def _tell_history(decisions: list[dict[str, Any]]) -> None:
    for one in decisions:
        print(f"Decided: {moment(one['at'])} {one['reason']} for {clean(one['client'])}, ref {one['ref']}")
