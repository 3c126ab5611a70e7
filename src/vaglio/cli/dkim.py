"""``vaglio dkim``: keys and their records; ``verify``, which judges a message as ``vaglio-dkim-verify`` would."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from typing import Any

from vaglio.checks.dkim.check import Context, DkimVerify
from vaglio.checks.dkim.decide import Decision, basis, decide
from vaglio.checks.dkim.explain import advice
from vaglio.checks.dkim.outcome import Result
from vaglio.checks.dkim.verify import Judged
from vaglio.cli import dkim_check, dkim_import, dkim_list, dkim_new, dkim_rotate
from vaglio.cli.arguments import unix_time
from vaglio.cli.common import (
    CliError,
    Commands,
    clean,
    command,
    configuration,
    group,
    now,
    paragraph,
    print_json,
    usual_options,
)
from vaglio.cli.given import Still, content, resolver_of
from vaglio.config.load import Loaded
from vaglio.facts import Client, Envelope, Facts, Session, Stage
from vaglio.milter.replay import read
from vaglio.verdict import Action

_MORE = (
    "Asks the DNS for the keys, or the file of --zone alone. FILE is a message with its header, as it was received;\n"
    "- is standard input. Signatures are verified as the section [dkim.verify] has it, the reasons are its reasons.\n"
    "Exit status 0 whenever there is a result (\"none\" is one), 1 for what has no header: that is no message."
)
_NOBODY = Facts(Client("", b""), Envelope("", ""), Session(Stage.END_OF_MESSAGE))


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    inner = group(commands, "dkim", "verify signatures, look after keys (DKIM)")
    verify = command(
        inner, "verify", _verify, "tell of each signature of a message whether it is good, and who must do what if not",
        "vaglio dkim verify message.eml\n"
        "vaglio dkim verify - --json < message.eml\n"
        "vaglio dkim verify old.eml --zone ./rehearsal.zone --now 1700000000",
        _MORE,
    )  # fmt: skip
    verify.add_argument("file", metavar="FILE", help="the message, with its header")
    verify.add_argument("--zone", default="", metavar="FILE", help="answer from this zone file, ask nobody")
    verify.add_argument("--now", type=unix_time, metavar="UNIX", help="the time, for signatures that expire")
    usual_options(verify)
    for module in (dkim_new, dkim_check, dkim_rotate, dkim_list, dkim_import):
        module.add_to(inner)


def _verify(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    judged, author = asyncio.run(_judge(args, loaded, content(args.file)))
    document = _document(judged, author, loaded)
    if args.json:
        print_json(document)
    else:
        _tell(document)
    return 0


async def _judge(args: argparse.Namespace, loaded: Loaded, message: bytes) -> tuple[list[Judged], str]:
    """Return what became of each signature, and the author's domain."""
    headers, body = read(message)
    if not headers:
        raise CliError(f"{args.file}: this is no message: no header found")
    resolver = resolver_of(args.zone, loaded)
    context = Context(Still(now(args)), resolver, lambda: "", lambda _: "en")
    examination = DkimVerify(loaded.config.dkim.verify, context).examine(_NOBODY)
    try:
        examination.end_of_headers(headers)
        examination.body(body)
        return await examination.judged(), examination.author
    finally:
        examination.close()
        resolver.close()


def _document(judged: Sequence[Judged], author: str, loaded: Loaded) -> dict[str, Any]:
    decision = decide(judged, author, loaded.config.dkim.verify)
    return {
        "result": decision.judged.result.value if decision.judged else Result.NONE.value,
        "author_domain": author,
        "signatures": [_row(one) for one in judged],
        "policy": {"action": decision.action.value, "reason": decision.reason.value, "by": decision.by},
    }


def _row(one: Judged) -> dict[str, Any]:
    signature = one.signature
    why, move = advice(one.reason, basis(Decision(Action.PASS, one.reason, one), (one,), 1), "en")
    return {
        "result": one.result.value,
        "domain": signature.domain,
        "selector": signature.selector,
        "algorithm": signature.algorithm,
        "reason": one.reason.value,
        "problem": one.words,
        "identity": signature.identity,
        "key_bits": one.bits,
        "uncovered_bytes": one.beyond,
        "explanation": why,
        "advice": move,
    }


def _tell(document: dict[str, Any]) -> None:
    if not document["signatures"]:
        print("none: the message has no DKIM signature")
    for row in document["signatures"]:
        bits = f", key of {row['key_bits']} bits" if row["key_bits"] else ""
        who = f"{row['domain'] or '?'} (selector {row['selector'] or '?'}, {row['algorithm'] or '?'}{bits})"
        print(clean(f"{row['result']}: {who}"))
        for line in filter(None, (row["explanation"], row["advice"])):
            print(paragraph(line))
    policy = document["policy"]
    if policy["by"]:
        print(f"leads to: {policy['action']} ({policy['by']})")
