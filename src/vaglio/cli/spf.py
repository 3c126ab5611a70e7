"""``vaglio spf check``: judge a client and a sender as ``vaglio-spf`` would, without a mail server."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from typing import Any

from vaglio.checks.spf.decide import Found, Reason
from vaglio.checks.spf.domain import ask_helo, ask_mail_from
from vaglio.checks.spf.explain import explain
from vaglio.checks.spf.outcome import Evaluation, Identity, Question, Result, Step
from vaglio.checks.spf.record import allowed, allows, lint, term_for
from vaglio.checks.spf.settings import SpfSettings
from vaglio.cli import spf_report
from vaglio.cli.arguments import client, mailbox, sender, unix_time
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
from vaglio.cli.given import Still, resolver_of
from vaglio.config.load import Loaded
from vaglio.dns.open import OpenResolver
from vaglio.examination import Field, Message, Needs
from vaglio.facts import Envelope, Facts, Session, Stage
from vaglio.verdict import Action, Verdict

_MORE = (
    "Asks the DNS, or the file of --zone alone, which has lines such as: tizio.it TXT v=spf1 ip4:192.0.2.25 -all\n"
    "The result is that of the sender; with the null sender, --from '', that of the HELO name. \"Leads to\" is what\n"
    "vaglio-spf would do, by all settings of [spf], if the message came from that client itself, said the sender's\n"
    "domain in From, too, and went to --to alone; \"vaglio try\" judges a whole message. --trace shows each look-up,\n"
    "record and term in the order in which they were evaluated, and what is odd about the record. Exit status 0\n"
    "whenever there is a result."
)
_NOBODY = "0.0.0.0"
"""An address that no record lets send, so that all of it is evaluated."""


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    inner = group(commands, "spf", "judge senders by SPF, and say what it came to")
    spf_report.add_to(inner)
    check = command(
        inner, "check", _check, "tell whether a client may send in the name of a domain, and who must do what if not",
        "vaglio spf check --ip 192.0.2.7 --from tizio@tizio.it\n"
        "vaglio spf check --ip 2001:db8::7 --from '' --helo mail.tizio.it\n"
        "vaglio spf check --ip 192.0.2.7 --from tizio@tizio.it --to caio@caio.it\n"
        "vaglio spf check --ip 192.0.2.7 --from tizio.it --trace\n"
        "vaglio spf check --ip 192.0.2.7 --from tizio@tizio.it --zone ./rehearsal.zone --json",
        _MORE,
    )  # fmt: skip
    check.add_argument("--ip", type=client, required=True, metavar="IP", help="address of the client")
    check.add_argument("--from", dest="sender", type=sender, required=True, metavar="ADDRESS",
                       help='sender, or its domain; "" is the null sender')  # fmt: skip
    check.add_argument("--to", dest="recipient", type=mailbox, default="", metavar="ADDRESS",
                       help="recipient, for rules about them")  # fmt: skip
    check.add_argument("--helo", default="", metavar="NAME", help="what the client says in HELO")
    check.add_argument("--zone", default="", metavar="FILE", help="answer from this zone file, ask nobody")
    check.add_argument("--trace", action="store_true", help="show each step, and what is odd about the record")
    check.add_argument("--now", type=unix_time, metavar="UNIX", help="the time, for records that ask for it")
    usual_options(check)


def _check(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    found, whole, verdict = asyncio.run(_judge(args, loaded))
    document = _document(found, whole, verdict, loaded, args)
    if args.json:
        print_json(document)
    else:
        _tell(document)
    return 0


async def _judge(args: argparse.Namespace, loaded: Loaded) -> tuple[Found, Evaluation | None, Verdict]:
    """Return what was found; for ``--trace``, an evaluation that reads the whole record; and what the check says."""
    from vaglio.checks.spf.evaluate import Limits, evaluate  # pyspf takes a while to load

    settings = loaded.config.spf
    limits = Limits(settings.max_lookups, settings.max_void_lookups, settings.time_limit)
    resolver = resolver_of(args.zone, loaded)

    async def ask(questions: Sequence[Question]) -> list[Evaluation]:
        return await evaluate(questions, resolver, limits, loaded.config.identity.hostname, now(args), args.trace)

    envelope_from = args.sender if not args.sender or "@" in args.sender else f"postmaster@{args.sender}"
    address = args.ip.client.address
    try:
        mail_from, helo = await ask([ask_mail_from(address, envelope_from, args.helo), ask_helo(address, args.helo)])
        whole = None
        if args.trace and mail_from.record:
            question = Question(Identity.MAIL_FROM, _NOBODY, "postmaster", mail_from.question.domain, args.helo)
            [whole] = await ask([question])
        verdict = await _verdict(args, loaded, resolver, envelope_from)
        return Found(mail_from, helo, not envelope_from), whole, verdict
    finally:
        resolver.close()


async def _verdict(args: argparse.Namespace, loaded: Loaded, resolver: OpenResolver, envelope_from: str) -> Verdict:
    """Return what the check itself says of a message with no more than a From header."""
    from vaglio.checks.spf.check import Context, Spf

    identity = loaded.config.identity
    check = Spf(
        loaded.config.spf,
        Context(Still(now(args)), resolver, lambda: "", identity.language_for, identity.hostname, lambda _: None,
                lambda *_: None),
    )  # fmt: skip
    facts = Facts(args.ip.client, Envelope(envelope_from, args.recipient), Session(Stage.RCPT, helo=args.helo))
    headers = [Field(b"From", envelope_from.encode("utf-8", "surrogateescape"))] if envelope_from else []
    examination = check.examine(facts)
    try:
        if args.recipient and Needs.RECIPIENTS in check.needs:
            refusal = await examination.recipient(args.recipient)
            if refusal is not None:
                return refusal
        if Needs.HEADERS in check.needs:
            examination.end_of_headers(headers)
        return await examination.verdict(Message(facts, (args.recipient,), headers))
    finally:
        examination.close()


def _document(
    found: Found, whole: Evaluation | None, verdict: Verdict, loaded: Loaded, args: argparse.Namespace
) -> dict[str, Any]:
    settings, one = loaded.config.spf, found.mail_from
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
        "max_lookups": settings.max_lookups,
        "max_void_lookups": settings.max_void_lookups,
        "explanation": one.theirs,
        "problem": one.problem,
        "advice": _advice(one, whole, settings),
        "helo": {"name": args.helo, "domain": found.helo.question.domain, "result": found.helo.result.value,
                 "problem": found.helo.problem},
        "policy": _policy(verdict, settings),
    }  # fmt: skip
    if args.trace:
        document["trace"] = [_row(step) for step in one.steps]
    return document


_RESULTS = frozenset(result.value for result in Result) | {Reason.NO_MAIL}


def _policy(verdict: Verdict, settings: SpfSettings) -> dict[str, str]:
    """Return what would be done; ``why`` where the result alone does not say it."""
    why = "" if verdict.reason in _RESULTS else explain(verdict.reason, verdict.facts, "en", False)[0]
    by = verdict.facts.get("by") or verdict.facts.get("rule", "")
    return {"action": verdict.action.value, "reason": verdict.reason, "by": str(by), "mode": settings.mode,
            "reply": verdict.spoken, "why": why}  # fmt: skip


def _advice(one: Evaluation, whole: Evaluation | None, settings: SpfSettings) -> list[str]:
    """Return what the domain's admin should do."""
    found = []
    domain, address = one.question.domain, one.question.address
    match one.result:
        case Result.FAIL | Result.SOFTFAIL | Result.NEUTRAL:
            other = ", or send through a host that it allows" if allowed(one.record) else ""
            found.append(f"if {address} is to send for {domain}: add {term_for(address)} to its record{other}")
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
        ("look-ups", f"{document['lookups']} of {document['max_lookups']}; "
                     f"void: {document['void_lookups']} of {document['max_void_lookups']}"),
        ("in their words", document["explanation"]),
        ("HELO", _helo(document["helo"])),
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


def _helo(helo: dict[str, str]) -> str:
    if not helo["name"]:
        return "not given (--helo)"
    return f"{helo['result']} {helo['domain']}" if helo["domain"] else f"{helo['result']} ({helo['problem']})"


def _leads_to(policy: dict[str, str]) -> str:
    by = f" ({policy['by']})" if policy["by"] else ""
    if policy["action"] == Action.PASS.value:
        return f"let in{by}{': ' if policy['why'] else ''}{policy['why']}"
    done = f"{policy['action']}{by} {policy['reply'] or policy['why']}".strip()
    return f'let in, since spf.mode is "rehearse"; in earnest: {done}' if policy["mode"] == "rehearse" else done


