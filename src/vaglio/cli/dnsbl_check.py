"""``vaglio dnsbl check``: what the lists say of an address or a domain now, and what that leads to."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from vaglio.blocklists.words import trouble_text
from vaglio.checks.dnsbl.catalogue import effective
from vaglio.checks.dnsbl.decide import Decision, Exempt, Exemptions, Reason, basis, screen
from vaglio.checks.dnsbl.explain import explain
from vaglio.checks.dnsbl.settings import DnsblSettings
from vaglio.checks.dnsbl.text import reply_text, sentence
from vaglio.cli.arguments import client, mailbox
from vaglio.cli.common import (
    CliError,
    Commands,
    clean,
    command,
    configuration,
    looking_options,
    paragraph,
    print_json,
    print_table,
)
from vaglio.cli.dnsbl_ask import Heard, Judgement, ask_about_client, ask_about_domain, named
from vaglio.cli.listfamily import DNSBL
from vaglio.cli.lists_status import statuses
from vaglio.config.load import Loaded
from vaglio.dns.open import OpenResolver, open_resolver
from vaglio.facts import Client, Envelope, Facts, Session, Stage, Standing, client_of
from vaglio.names import registered_domain
from vaglio.verdict import Action

_MORE = (
    "Asks the DNS. An address is judged as a client that connects: its name is looked up as Postfix does it, but for\n"
    "--name or NAME[IP]. A domain is judged as that of a sender. All answers are waited for; the daemon stops as soon\n"
    "as none can change what comes of it. A list that the daemon has suspended is asked too, and counts for nothing.\n"
    "Nothing is remembered or counted. Exit status 0 whatever is found."
)
_SAID = {"listed": "{code} {text} {url}", "other code": "{detail}, which weighs nothing", "not asked": "{detail}",
         "not listed": ""}  # fmt: skip
"""By answer; any other is a list in trouble."""
_SUSPENDED = (
    "suspended: the daemon does not ask it for now, so what it says here counts for nothing; see vaglio dnsbl status"
)


class _Subject(NamedTuple):
    """What is to be judged: a client, or a domain."""

    client: Client
    is_named: bool = False
    domain: str = ""


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "check", _check, "ask all lists about an address or a domain now, and explain",
        "vaglio dnsbl check 198.51.100.7\n"
        "vaglio dnsbl check 'mail.tizio.it[198.51.100.7]' --helo mail.tizio.it --sender tizio@tizio.it\n"
        "vaglio dnsbl check tizio.it\n"
        "vaglio dnsbl check 192.0.2.7 --zone ./rehearsal.zone --json",
        _MORE,
    )  # fmt: skip
    parser.add_argument("subject", type=_subject, metavar="IP|DOMAIN", help="address (or NAME[IP]), or domain")
    parser.add_argument("--name", default="", metavar="NAME", help="the client's verified name, in place of looking")
    parser.add_argument("--helo", default="", metavar="NAME", help="what it says in HELO")
    parser.add_argument("--sender", type=mailbox, default="", metavar="ADDRESS", help="sender")
    parser.add_argument("--recipient", type=mailbox, default="", metavar="ADDRESS",
                        help="recipient: for dnsbl.exempt_recipients and the language of the reply")  # fmt: skip
    parser.add_argument("--zone", default="", metavar="FILE", help="answer from this zone file, ask nobody")
    looking_options(parser)


def _subject(text: str) -> _Subject:
    try:
        asked = client(text)
    except argparse.ArgumentTypeError:
        domain = text.strip().lower().removesuffix(".")
        if not registered_domain(domain):
            wanted = 'an address such as "198.51.100.7", "mail.tizio.it[198.51.100.7]", or a domain'
            raise argparse.ArgumentTypeError(f"found {text!r}, wanted {wanted}") from None
        return _Subject(client_of(""), domain=domain)
    return _Subject(asked.client, asked.named)


def _check(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    suspended = _suspended(loaded)
    facts, found = asyncio.run(_judge(args, loaded, suspended))
    document = _exempt(found, facts) if isinstance(found, Exempt) else _document(found, facts, loaded, suspended)
    document["rehearsal"] = loaded.config.dnsbl.mode == "rehearse"
    if args.json:
        print_json(document)
    else:
        _tell(document)
    return 0


# --- asking ---


def _suspended(loaded: Loaded) -> Collection[str]:
    """Return the lists that the daemon has suspended; none if it never ran, or its store can't be looked at."""
    lists = [one for one in effective(loaded.config.dnsbl) if one.zone]
    try:
        return {name for name, status in statuses(loaded, DNSBL, lists).items() if status.trouble}
    except CliError:
        return frozenset()


async def _judge(
    args: argparse.Namespace, loaded: Loaded, suspended: Collection[str]
) -> tuple[Facts, Exempt | Judgement]:
    subject: _Subject = args.subject
    resolver = _resolver(args.zone, loaded)
    try:
        if subject.domain:
            sender = Envelope(f"postmaster@{subject.domain}", args.recipient)
            facts = Facts(subject.client, sender, Session(Stage.MAIL))
            return facts, await ask_about_domain(loaded.config, facts, resolver, suspended)
        facts = _facts(args)
        if exempt := screen(facts, Exemptions.of(loaded.config.dnsbl)):
            return facts, exempt
        if not (subject.is_named or args.name):
            facts = facts._replace(client=await named(facts.client, resolver))
        return facts, await ask_about_client(loaded.config, facts, resolver, suspended)
    finally:
        resolver.close()


def _resolver(zone: str, loaded: Loaded) -> OpenResolver:
    dns = loaded.config.dns
    timeout = min(dns.timeout, loaded.config.dnsbl.lookup_timeout)  # what comes later, the daemon does not wait for
    try:
        return open_resolver(dns.servers, timeout, zone or dns.zone_file)
    except ValueError as error:  # ZoneError is one
        raise CliError(str(error)) from error


def _facts(args: argparse.Namespace) -> Facts:
    given: Client = args.subject.client
    if args.name:
        given = client_of(given.address, args.name, args.name)
    # Without a HELO name no rule about it can be judged: it is asked as at the connection then.
    session = Session(Stage.RCPT if args.helo else Stage.CONNECT, helo=args.helo)
    return Facts(given, Envelope(args.sender, args.recipient), session)


# --- telling ---


def _exempt(found: Exempt, facts: Facts) -> dict[str, Any]:
    why, then = explain(found.reason, {"by": found.by}, "en", rehearsed=False)
    return {"about": facts.client.address, "action": "pass", "reason": found.reason, "by": found.by, "why": why,
            "next": then}  # fmt: skip


def _document(found: Judgement, facts: Facts, loaded: Loaded, suspended: Collection[str]) -> dict[str, Any]:
    settings, decision = loaded.config.dnsbl, found.decision
    rests_on = basis(decision, settings)
    why, then = explain(decision.reason, rests_on, "en", rehearsed=False)
    return {
        "about": _about(facts),
        "action": decision.band.action.value,
        "reason": decision.reason.value,
        "score": decision.score,
        "leads_to": _leads_to(decision, settings),
        "lists": [_row(one, suspended) for one in found.heard],
        "rules": [{"rule": hit.name.removeprefix("rule "), "about": hit.about, "weight": hit.weight,
                   "text": sentence(hit, "en")} for hit in decision.hits if not hit.code],
        "reply": _reply(decision, facts, loaded),
        "why": why,
        "next": then,
    }  # fmt: skip


def _about(facts: Facts) -> str:
    if not facts.client.packed:
        return facts.envelope.sender.rpartition("@")[2]
    name, pointer = facts.client.name, facts.client.reverse_name
    return f"{facts.client.address} ({name or (f'not verified: {pointer}' if pointer else 'no name in the DNS')})"


def _row(heard: Heard, suspended: Collection[str]) -> dict[str, Any]:
    hit = heard.hit
    row = {"name": heard.one.name, "answer": heard.answer, "detail": heard.detail, "shadow": heard.one.shadow,
           "suspended": heard.one.name in suspended}  # fmt: skip
    found = {"code": hit.code, "weight": hit.weight, "subject": hit.subject, "about": hit.about, "text": hit.text,
             "url": hit.url} if hit else {}  # fmt: skip
    return {**row, **found}


def _leads_to(decision: Decision, settings: DnsblSettings) -> list[str]:
    """Return what the score leads to, and by which setting."""
    band = decision.band
    if band.action is Action.REJECT:
        return [f"refused for good: dnsbl.reject is {settings.reject:g}"]
    if band.action is Action.DEFER:
        return [f"refused for now: dnsbl.defer is {settings.defer:g}"]
    if band.standing is Standing.TRUSTED:
        return [f"let in, and vaglio-greylist is told that it is trusted: dnsbl.trust is {settings.trust:g}"]
    found = [f"let in: dnsbl.reject is {settings.reject:g}"]
    if band.standing is Standing.LISTED:
        found.append(f"vaglio-greylist is told that it is listed: dnsbl.greylist is {settings.greylist:g}")
    if band.header:
        found.append(f"the message gets the header X-DNSBL: dnsbl.header is {settings.header:g}")
    return found


def _reply(decision: Decision, facts: Facts, loaded: Loaded) -> str:
    settings, action = loaded.config.dnsbl, decision.band.action
    if action is Action.PASS:
        return ""
    language = loaded.config.identity.language_for(facts.envelope.recipient.rpartition("@")[2])
    code = settings.enhanced_code
    codes = f"{settings.reply_code} {code}" if action is Action.REJECT else f"450 4{code[1:]}"
    return f"{codes} {reply_text(decision, '', language, settings)}"


def _tell(document: Mapping[str, Any]) -> None:
    print(clean(document["about"]))
    if "score" not in document:
        print(paragraph(f"{document['why']} {document['next']}"))
        return
    if not document["lists"]:
        print("  no list is asked about this: see vaglio dnsbl lists --all")
    else:
        print_table(("list", "answer", "weighs", "about", "what it says"), map(_cells, document["lists"]), "")
    for rule in document["rules"]:
        print(f"rule {rule['rule']}: {rule['weight']:+g}, {clean(rule['text'])}")
    rehearsal = " (a rehearsal: it would pass all the same)" if document["rehearsal"] else ""
    print(f"\nscore {document['score']:g}: {document['leads_to'][0]}{rehearsal}")
    for text in document["leads_to"][1:]:
        print(paragraph(text))
    if document["reply"]:
        print(paragraph(f"reply: {document['reply']}"))
    if document["reason"] in (Reason.LISTED, Reason.MANNERS):
        print(paragraph(document["next"]))
    _tell_of_troubles(document["lists"])


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    answer = "LISTED" if row["answer"] == "listed" else row["answer"].replace("-", " ")
    for mark in ("shadow", "suspended"):
        answer += f" ({mark})" if row[mark] else ""
    said = " ".join(_SAID.get(row["answer"], "{detail}").format_map(row).split())
    if row["answer"] != "listed":
        return row["name"], answer, "", "", said
    about = row["about"] if row["subject"] == "client" else f"{row['subject']} {row['about']}"
    weighs = "0" if row["shadow"] or row["suspended"] else f"{row['weight']:+g}"
    return row["name"], answer, weighs, about, said


def _tell_of_troubles(rows: Sequence[Mapping[str, Any]]) -> None:
    """Say what to do about lists that gave no answer, and which are not asked by the daemon for now."""
    told: dict[str, list[str]] = {}
    for row in rows:
        if row["answer"] not in _SAID:
            what, then = trouble_text(row["answer"], row["detail"], "dnsbl")
            told.setdefault(f"{what}; that counts as no hit. {then}", []).append(row["name"])
        elif row["suspended"]:
            told.setdefault(_SUSPENDED, []).append(row["name"])
    for text, names in told.items():
        print(paragraph(f"{', '.join(names)}: {text}", ""))
