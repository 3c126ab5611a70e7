"""``vaglio try``: play a message through a chain, without a mail server, and tell what would become of it."""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from vaglio_milters import chain

from vaglio.cli.arguments import client, mailbox, sender, unix_time
from vaglio.cli.common import (
    CliError,
    Commands,
    clean,
    command,
    configuration,
    now,
    paragraph,
    print_json,
    usual_options,
    warn,
)
from vaglio.cli.given import Still, as_it_came, content, learned_of, resolver_of
from vaglio.cli.story import clauses, explain, outcome, story
from vaglio.config.load import Loaded
from vaglio.config.types import MilterSection
from vaglio.daemon.clock import timer
from vaglio.daemon.front import Surroundings
from vaglio.daemon.milterfront import hosted
from vaglio.daemon.service import NO_TABLES, Ports, Service
from vaglio.dns.open import OpenResolver
from vaglio.examination import Field
from vaglio.facts import Facts, pack_address
from vaglio.journal.entry import Entry
from vaglio.milter.replay import Letter, Outcome, applied, play, read
from vaglio.milter.session import Session
from vaglio.milter.wire import Peer
from vaglio.ports import TokenStore
from vaglio.store.memory import MemoryStore
from vaglio.turn import Turn
from vaglio.verdict import Fact, Verdict

_REF = "XXXX-XXXX"
_MORE = f"""\
Judges as the milter would, and changes nothing: no store, no journal, no alarm. Without --zone the DNS is
asked. A forged Authentication-Results is taken out as it would be. FILE may have LF or CRLF line ends; - is
standard input. Of a message out of a mailbox, what this host itself put on top (Received by identity.hostname, and
what stands above that) is left out first. A zone file has lines such as: tizio.it TXT v=spf1 ip4:192.0.2.25 -all
{_REF} stands for the reference that a reply would have. Exit status 0 whatever the verdict is."""
_LABELS = {
    "en": {"why": "why", "refused": "refused for", "deferred": "deferred for", "reply": "reply", "held": "held",
           "added": "added", "removed": "removed", "nothing": "no verdict",
           "partly": "{outcome}, but not for {refused} of {all} recipients"},
    "it": {"why": "perché", "refused": "rifiutato per", "deferred": "rimandato per", "reply": "risposta",
           "held": "trattenuto", "added": "aggiunto", "removed": "tolto", "nothing": "nessun verdetto",
           "partly": "{outcome}, ma non per {refused} destinatari su {all}"},
}  # fmt: skip


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "try", _try, "play a message through a chain without a mail server, and tell its story",
        "vaglio try message.eml --ip 192.0.2.7 --from tizio@tizio.it --to caio@caio.it --helo mail.tizio.it\n"
        "vaglio try message.eml --chain outbound --ip 127.0.0.1 --from caio@caio.it --to tizio@tizio.it --login caio\n"
        "vaglio try - --ip 198.51.100.66 --from tizio@tizio.it --to caio@caio.it --zone ./rehearsal.zone --json < mail",
        _MORE,
    )  # fmt: skip
    parser.add_argument("file", metavar="FILE", help="the message, with its header")
    parser.add_argument("--chain", default="inbound", metavar="NAME", help="the chain (default: inbound)")
    parser.add_argument("--ip", type=client, required=True, metavar="IP", help="the client: an address, or NAME[IP]")
    parser.add_argument("--from", dest="sender", type=sender, required=True, metavar="ADDRESS",
                        help='envelope sender; "" is the null sender')  # fmt: skip
    parser.add_argument("--to", dest="recipients", type=mailbox, action="append", required=True, metavar="ADDRESS",
                        help="envelope recipient; may be repeated")  # fmt: skip
    parser.add_argument("--helo", default="", metavar="NAME", help="what the client says in HELO")
    parser.add_argument("--login", default="", metavar="NAME", help="who has logged in, if anybody has")
    parser.add_argument("--zone", default="", metavar="FILE", help="answer from this zone file, ask nobody")
    parser.add_argument("--now", type=unix_time, metavar="UNIX", help="judge as of this time (Unix seconds)")
    parser.add_argument("--language", choices=("en", "it"), default="en", help="of the story: en (default) or it")
    usual_options(parser)


def _try(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    try:
        chain.settings(args.chain, loaded.config)
    except LookupError as error:
        raise CliError(str(error.args[0])) from None
    letter = _letter(args, loaded.config.identity.hostname)
    told = asyncio.run(_played(args, loaded, letter))
    document = _document(told, letter, args.language)
    document["headline"] = _headline(document, len(letter.recipients), _LABELS[args.language])
    if args.json:
        print_json(document)
    else:
        _tell(document, _LABELS[args.language])
    return 0


def _letter(args: argparse.Namespace, hostname: str) -> Letter:
    headers, body = read(content(args.file))
    headers = as_it_came(headers, hostname)
    asked = args.ip.client
    family = b"6" if len(pack_address(asked.address)) == 16 else b"4"
    peer = Peer(_raw(asked.name or f"[{asked.address}]"), family, 0, _raw(asked.address))
    recipients = [_raw(one) for one in args.recipients]
    return Letter(peer, _raw(args.helo), _raw(args.sender), recipients, headers, body, _raw(args.login))


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


# --- playing ---


class _Told(NamedTuple):
    """What became of the message, and each verdict on the way: on recipients, then on the message if it came so far."""

    outcome: Outcome
    verdicts: list[tuple[Facts, Verdict]]


def _nothing(*_: object) -> None:
    pass


async def _played(args: argparse.Namespace, loaded: Loaded, letter: Letter) -> _Told:
    verdicts: list[tuple[Facts, Verdict]] = []
    with ExitStack() as stack:
        resolver = resolver_of(args.zone, loaded)
        stack.callback(resolver.close)
        tokens = cache(lambda: stack.enter_context(closing(learned_of(loaded))))  # one for all, if any asks
        section, service = _milter(args, loaded, resolver, tokens)
        around = Surroundings(
            f"chain.{args.chain}", (), Turn(), _nothing, lambda facts, verdict, _: verdicts.append((facts, verdict)),
            _nothing, warn, lambda _: False, lambda: _REF,
        )  # fmt: skip
        host = hosted(service, section, loaded.config.identity.authserv_id, around)
        return _Told(await play(Session(lambda: host, timer), letter), verdicts)


def _milter(
    args: argparse.Namespace, loaded: Loaded, resolver: OpenResolver, tokens: Callable[[], TokenStore]
) -> tuple[MilterSection, Service]:
    def untold(text: str) -> None:  # what a daemon logs of itself
        pass

    def no_alarm(subject: str, text: str, details: Mapping[str, Fact]) -> None:  # nobody is told
        pass

    ports = Ports(
        Still(now(args)), MemoryStore(NO_TABLES), lambda: _REF, Path(), warn, untold, MemoryStore, lambda: resolver,
        no_alarm, tokens,
    )  # fmt: skip
    return chain.settings(args.chain, loaded.config), chain.build(args.chain, loaded.config, ports)


# --- telling ---


def _document(told: _Told, letter: Letter, language: str) -> dict[str, Any]:
    refused, plan = told.outcome
    facts, verdict = told.verdicts[-1] if told.verdicts else (None, None)
    entry = Entry.of(facts, verdict, 0, "chain") if facts and verdict else None
    after = applied(letter.headers, plan) if plan else letter.headers
    why, then = explain(entry, language) if entry else ("", "")
    return {
        "verdict": str(verdict.action) if verdict else "pass",
        "rehearsed": str(verdict.rehearsed) if verdict and verdict.rehearsed else None,
        "reason": verdict.reason if verdict else "",
        "reply": plan.reply if plan else "",
        "story": story(entry, language) if entry else "",
        "outcome": outcome(entry, language) if entry else "",
        "found": clauses(entry, language) if entry else [],
        "why": why,
        "next": then,
        "recipients_refused": {_text(recipient): reply for recipient, reply in refused.items()},
        "added": _lines_only_of(after, letter.headers),
        "removed": _lines_only_of(letter.headers, after),
        "held": _text(plan.quarantine) if plan else "",
        "facts": dict(verdict.facts) if verdict else {},
    }


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _lines_only_of(fields: Sequence[Field], others: Sequence[Field]) -> list[str]:
    """Return the fields that others do not have, or not as often."""
    left, only = Counter(others), []
    for one in fields:
        left[one] -= 1
        if left[one] < 0:
            only.append(_text(one.name + b":" + one.value))
    return only


def _headline(document: Mapping[str, Any], recipients: int, labels: Mapping[str, str]) -> str:
    """Return what became of the message and what was found: "let through: SPF pass for tizio.it"."""
    done, refused = document["outcome"] or labels["nothing"], len(document["recipients_refused"])
    if 0 < refused < recipients:
        done = labels["partly"].format(outcome=done, refused=refused, all=recipients)
    return ": ".join(filter(None, (done, "; ".join(document["found"]))))


def _tell(document: Mapping[str, Any], labels: Mapping[str, str]) -> None:
    print(clean(document["headline"]))
    if document["why"] not in ("", document["reason"]):  # a check that found nothing has no more to say
        print(f"\n{labels['why']} ({clean(document['reason'])}):\n{paragraph(document['why'])}")
        if document["next"]:
            print(paragraph(document["next"]))
    for recipient, reply in document["recipients_refused"].items():
        done = labels["deferred" if reply.startswith("4") else "refused"]
        print(f"\n{done} {clean(recipient)}:\n{paragraph(reply)}")
    for what in ("reply", "held"):
        if document[what]:
            print(f"\n{labels[what]}:\n{paragraph(document[what])}")
    for what in ("added", "removed"):
        if document[what]:
            print(f"\n{labels[what]}:")
            for field in document[what]:
                print("\n".join(f"  {clean(line.expandtabs(4))}" for line in field.split("\n")))
