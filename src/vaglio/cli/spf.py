"""``vaglio spf``: judge a client and a sender as ``vaglio-spf`` would, without a mail server."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from typing import Any

from vaglio.checks.spf.decide import Chosen, Decision, Found, decide
from vaglio.checks.spf.domain import ask_helo, ask_mail_from
from vaglio.checks.spf.outcome import Evaluation, Identity, Question, Result, Step
from vaglio.checks.spf.record import allows, lint, term_for
from vaglio.checks.spf.settings import SpfSettings
from vaglio.checks.spf.text import reply
from vaglio.cli.arguments import client, mailbox, unix_time
from vaglio.cli.common import (
    Commands,
    clean,
    command,
    configuration,
    group,
    now,
    paragraph,
    print_json,
    print_table,
    usual_options,
)
from vaglio.cli.given import resolver_of
from vaglio.config.load import Loaded
from vaglio.verdict import Action

_MORE = (
    "Asks the DNS, or the file of --zone alone. The result is that of the sender; with the null sender, --from '',\n"
    "that of the HELO name. --trace shows each look-up, record and term in the order in which they were evaluated,\n"
    "and what is odd about the record. Exit status 0 whenever there is a result."
)
_NOBODY = "0.0.0.0"
"""An address that no record lets send, so that all of it is evaluated."""


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    inner = group(commands, "spf", "judge senders by SPF")
    check = command(
        inner, "check", _check, "tell whether a client may send in the name of a domain, and who must do what if not",
        "vaglio spf check --ip 192.0.2.7 --from tizio@tizio.it\n"
        "vaglio spf check --ip 2001:db8::7 --from '' --helo mail.tizio.it\n"
        "vaglio spf check --ip 192.0.2.7 --from tizio.it --trace\n"
        "vaglio spf check --ip 192.0.2.7 --from tizio@tizio.it --zone ./rehearsal.zone --json",
        _MORE,
    )  # fmt: skip
    check.add_argument("--ip", type=client, required=True, metavar="IP", help="address of the client")
    check.add_argument("--from", dest="sender", type=mailbox, required=True, metavar="ADDRESS",
                       help='sender, or its domain; "" is the null sender')  # fmt: skip
    check.add_argument("--helo", default="", metavar="NAME", help="what the client says in HELO")
    check.add_argument("--zone", default="", metavar="FILE", help="answer from this zone file, ask nobody")
    check.add_argument("--trace", action="store_true", help="show each step, and what is odd about the record")
    check.add_argument("--now", type=unix_time, metavar="UNIX", help="the time, for records that ask for it")
    usual_options(check)


def _check(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    found, whole = asyncio.run(_judge(args, loaded))
    document = _document(found, whole, loaded, args.trace)
    if args.json:
        print_json(document)
    else:
        _tell(document)
    return 0


async def _judge(args: argparse.Namespace, loaded: Loaded) -> tuple[Found, Evaluation | None]:
    """Return what was found; and, for ``--trace``, an evaluation that reads the whole record."""
    from vaglio.checks.spf.evaluate import Limits, evaluate  # pyspf takes a while to load

    settings = loaded.config.spf
    limits = Limits(settings.max_lookups, settings.max_void_lookups, settings.time_limit)
    resolver = resolver_of(args.zone, loaded)

    async def ask(questions: Sequence[Question]) -> list[Evaluation]:
        return await evaluate(questions, resolver, limits, loaded.config.identity.hostname, now(args), args.trace)

    sender = args.sender if not args.sender or "@" in args.sender else f"postmaster@{args.sender}"
    address = args.ip.client.address
    try:
        mail_from, helo = await ask([ask_mail_from(address, sender, args.helo), ask_helo(address, args.helo)])
        whole = None
        if args.trace and mail_from.record:
            question = Question(Identity.MAIL_FROM, _NOBODY, "postmaster", mail_from.question.domain, args.helo)
            [whole] = await ask([question])
        return Found(mail_from, helo, not sender), whole
    finally:
        resolver.close()


def _document(found: Found, whole: Evaluation | None, loaded: Loaded, trace: bool) -> dict[str, Any]:
    settings, one = loaded.config.spf, found.mail_from
    decision = decide(found, Chosen(settings.helo, settings.mail_from), settings)
    document: dict[str, Any] = {
        "result": one.result.value,
        "identity": Identity.HELO.value if found.is_null_sender else Identity.MAIL_FROM.value,
        "domain": one.question.domain,
        "ip": one.question.address,
        "mechanism": one.mechanism,
        "through": f"{one.inner} of {one.inner_domain}" if one.inner else "",
        "record": one.record,
        "record_domain": one.record_domain,
        "allows": allows(one.record) if one.record else "",
        "lookups": one.lookups,
        "void_lookups": one.void_lookups,
        "explanation": one.theirs,
        "problem": one.problem,
        "advice": _advice(one, whole, settings),
        "helo": {"domain": found.helo.question.domain, "result": found.helo.result.value,
                 "problem": found.helo.problem},
        "policy": {"action": decision.action.value, "reason": decision.reason.value, "by": decision.by,
                   "reply": _reply(decision, settings)},
    }  # fmt: skip
    if trace:
        document["trace"] = [_row(step) for step in one.steps]
    return document


def _reply(decision: Decision, settings: SpfSettings) -> str:
    if decision.action not in (Action.REJECT, Action.DEFER):
        return ""
    told = reply(decision, "", "en", settings)
    return f"{told.code} {told.enhanced} {told.text}"


def _advice(one: Evaluation, whole: Evaluation | None, settings: SpfSettings) -> list[str]:
    """Return what the domain's admin should do."""
    found = []
    domain, address = one.question.domain, one.question.address
    match one.result:
        case Result.FAIL | Result.SOFTFAIL | Result.NEUTRAL:
            found.append(
                f"if {address} is to send for {domain}: add {term_for(address)} to its record, or send through a host "
                "that it allows"
            )
        case Result.PERMERROR:
            found.append(f"the admin of {domain} must repair the record: until then it protects nothing, and mail that "
                         "is in order may be refused")  # fmt: skip
        case Result.TEMPERROR:
            found.append("try again later; if it lasts, see vaglio dns check and the name servers of the domain")
        case Result.NONE if domain:
            found.append(f"whoever owns {domain} can publish a record: then nobody else can send in its name")
    if whole is not None:
        found.extend(lint(one, whole.lookups, settings.max_lookups))
    return found


def _row(step: Step) -> dict[str, Any]:
    return {"step": step.kind.value, "depth": step.depth, "domain": step.domain, "text": step.text,
            "found": step.found}  # fmt: skip


def _tell(document: dict[str, Any]) -> None:
    names = {"mailfrom": "MAIL FROM", "helo": "HELO"}
    domain = document["domain"] or "no domain"
    print(clean(f"{document['result']}: {domain} ({names[document['identity']]}), client {document['ip']}"))
    through = f", through {document['through']}" if document["through"] else ""
    rows = (
        ("matched", document["mechanism"] + through),
        ("record", f"{document['record']} ({document['record_domain']})" if document["record"] else ""),
        ("allows", document["allows"]),
        ("problem", document["problem"]),
        ("look-ups", f"{document['lookups']} terms; {document['void_lookups']} questions found nothing"),
        ("in their words", document["explanation"]),
        ("HELO", f"{document['helo']['result']} {document['helo']['domain'] or document['helo']['problem']}"),
        ("leads to", _leads_to(document["policy"])),
    )
    for label, value in rows:
        if value:
            print(paragraph(f"{label}: {value}"))
    for line in document["advice"]:
        print(paragraph(line, "- "))
    if "trace" in document:
        print()
        rows_of_trace = [("  " * row["depth"] + row["step"], row["domain"], row["text"], row["found"])
                         for row in document["trace"]]  # fmt: skip
        print_table(("step", "in the record of", "what", "found"), rows_of_trace, "nothing was looked up")


def _leads_to(policy: dict[str, str]) -> str:
    if policy["action"] == Action.PASS.value:
        return "let in"
    return f"{policy['action']} ({policy['by']}) {policy['reply']}".strip()


