"""``vaglio why`` and ``vaglio journal``: what was decided, and why."""

from __future__ import annotations

import argparse
import glob
import os
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from vaglio.cli.arguments import client_network, count, mailbox, when
from vaglio.cli.common import (
    CliError,
    Commands,
    WrongUsage,
    clean,
    command,
    configuration,
    is_there,
    looking_options,
    moment,
    now,
    print_json,
    print_table,
    said,
    state_directory,
    warn,
)
from vaglio.cli.greylist_since import Since, since
from vaglio.cli.story import explain, outcome, rehearsed, story
from vaglio.config.load import Loaded
from vaglio.config.types import format_duration
from vaglio.journal.entry import Entry
from vaglio.journal.query import JournalError, JournalReader
from vaglio.journal.references import normalise
from vaglio.journal.schema import FILE_NAME
from vaglio.milter.combine import CHAIN
from vaglio.verdict import SENTENCES

T = TypeVar("T")

_LABELS = {
    "en": ("what", "story", "when", "client", "from", "to", "queue id", "decided by", "facts", "why", "reply", "next",
           "since then", "release", "now"),
    "it": ("esito", "storia", "quando", "client", "da", "a", "coda", "deciso da", "fatti", "perché", "risposta",
           "e poi", "da allora", "per rilasciarlo", "ora"),
}  # fmt: skip


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    why = command(
        commands, "why", _why, "explain a decision in plain words",
        "vaglio why G7K2-9QFD\n"
        'vaglio why "450 4.7.1 ... Greylisted: ...; ref G7K2-9QFD (in reply to RCPT TO command)"\n'
        "vaglio why 4YbT1z3mKjz9vN2\n"
        "vaglio why --from tizio@tizio.it --to caio@caio.it --since 2d\n"
        "vaglio why --client 198.51.100.0/24 --language it",
        "The reference stands at the end of the SMTP reply; paste as much of the bounce or log line as you like.\n"
        "The mail server's queue id does too, alone or in a line of its log. Without either, say who wrote to whom.",
    )  # fmt: skip
    why.add_argument("reference", nargs="*", metavar="REF",
                     help="reference or queue id, or a line that has one (in quotes)")  # fmt: skip
    _filters(why)
    why.add_argument("--limit", type=count, default=5, metavar="N", help="explain at most N decisions (default 5)")
    why.add_argument("--language", choices=sorted(_LABELS), default="en", help="en (default) or it")
    looking_options(why)
    journal = command(
        commands, "journal", _journal, "list decisions, newest first",
        "vaglio journal --since 1h --verdict defer\n"
        "vaglio journal --client 198.51.100.0/24 --reason early-retry\n"
        "vaglio journal --since 1d --user tizio@tizio.it\n"
        "vaglio journal --daemon inbound --verdict reject\n"
        "vaglio journal --since 1d --spam\n"
        "vaglio journal --queue 4YbT1z3mKjz9vN2\n"
        "vaglio journal --to caio.it --since 2026-11-01 --until 2026-11-08 --limit 1000 --json",
        "A verdict in parentheses was not carried out, since the daemon was rehearsing; (pass) is mail whose header\n"
        "would have been changed. Behind a score stand the points from which on mail is spam: 7.3/5. Each message\n"
        "that a milter judged is here; what simply passed a policy daemon is not: see that daemon's log.",
    )  # fmt: skip
    _filters(journal)
    journal.add_argument("--verdict", choices=["defer", "reject", "hold", "discard", "pass"], help="only these")
    journal.add_argument("--reason", metavar="SLUG", help="only this reason, such as first-contact")
    journal.add_argument("--spam", action="store_true", help="only messages whose score says spam, whatever was done")
    journal.add_argument("--daemon", metavar="NAME",
                         help="only this daemon, such as greylist, spf, or inbound; chain is all chains")  # fmt: skip
    journal.add_argument("--queue", metavar="ID", help="only of the message with this queue id")
    journal.add_argument("--limit", type=count, default=50, metavar="N", help="at most N rows (default 50)")
    looking_options(journal)


def _filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--client", type=client_network, metavar="IP", help="client address or network")
    parser.add_argument("--from", dest="sender", type=mailbox, metavar="ADDRESS",
                        help='sender or domain; "" is the null sender')  # fmt: skip
    parser.add_argument("--to", dest="recipient", type=mailbox, metavar="ADDRESS", help="recipient or domain")
    parser.add_argument("--user", metavar="LOGIN", help="who had logged in (sasl_username), or a domain of logins")
    parser.add_argument("--since", type=when, metavar="WHEN", help='"1h", "7d", "2026-11-22 14:30" or Unix seconds')
    parser.add_argument("--until", type=when, metavar="WHEN", help="the same")


# --- reading the journal ---


def ask_journal(loaded: Loaded, ask: Callable[[JournalReader], T]) -> T:
    """Return what ``ask`` reads from the journal; CliError if that can't be done."""
    path = state_directory(loaded) / FILE_NAME
    if is_there(path) and not os.access(path, os.R_OK):
        raise CliError(f"{path}: {said(PermissionError(None, 'Permission denied'))}")
    try:
        with JournalReader(path) as journal:
            return ask(journal)
    except JournalError as error:
        if not loaded.config.journal.enabled:
            raise CliError("journal.enabled is false: decisions are only in the daemon's log") from error
        raise CliError(str(error)) from error


def _search(args: argparse.Namespace, loaded: Loaded, **more: Any) -> list[Entry]:
    at = now(args)
    return ask_journal(
        loaded,
        lambda journal: journal.search(
            since=args.since(at) if args.since else None,
            until=args.until(at) if args.until else None,
            client=args.client,
            sender=args.sender,
            recipient=args.recipient,
            user=args.user,
            limit=args.limit,
            **more,
        ),
    )


_MARKED = re.compile(r"\bref\W{0,3}(\S{8,12})", re.ASCII | re.IGNORECASE)


def references_in(text: str) -> list[str]:
    """Return the references in what was typed or pasted: those behind the word "ref", else each word that is one."""
    whole = normalise(text)
    found = [whole] if whole else list(map(normalise, _MARKED.findall(text)))
    return list(dict.fromkeys(filter(None, found or map(normalise, text.split()))))


_QUEUE_ID = re.compile(r"\b[0-9A-Za-z]{6,24}\b", re.ASCII)
_WORDS = 200


def queue_ids_in(text: str) -> list[str]:
    """Return what may be the queue id of a mail server in what was typed or pasted: it has a digit in it."""
    words = [word for word in _QUEUE_ID.findall(text) if not word.isalpha()]
    return list(dict.fromkeys(words))[:_WORDS]


def _pasted(loaded: Loaded, text: str, limit: int) -> list[Entry]:
    """Return the decisions of the references in a text; without any, those about messages whose queue id is there."""
    references, queue_ids = references_in(text), queue_ids_in(text)
    if not references and not queue_ids:
        raise CliError(f"there is no reference in {text[:200]!r}: one looks like G7K2-9QFD; and no queue id")

    def ask(journal: JournalReader) -> list[Entry]:
        found = [entry for ref in references for entry in journal.by_reference(ref)]
        return found or journal.search(queue_ids=queue_ids, limit=limit)

    return ask_journal(loaded, ask)[:limit]


# --- why ---


def _why(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    text = " ".join(args.reference)
    filtered = args.client or args.sender is not None or args.recipient or args.user
    if bool(text) == bool(filtered):
        raise WrongUsage("say which decision: by a reference or queue id, or by --client, --from, --to or --user")
    entries = _pasted(loaded, text, args.limit) if text else _search(args, loaded)
    told = zip(entries, _since(loaded, entries, int(now(args)), args.language), strict=True)
    if args.json:
        print_json([_explained(entry, later, args.language) for entry, later in told])
    elif entries:
        print("\n\n".join(_in_words(entry, later, args.language) for entry, later in told))
    else:
        raise CliError(_nothing(loaded, text))
    return 0 if entries else 1


def _nothing(loaded: Loaded, text: str) -> str:
    sought = "no such decision"
    if text:
        names = {"reference": references_in(text)} if references_in(text) else {"queue id": queue_ids_in(text)}
        sought = "no decision with the " + " ".join(f"{name} {' or '.join(found)}" for name, found in names.items())
    return (
        f"there is {sought} in the journal. It keeps for {format_duration(loaded.config.journal.keep)} what was "
        f"deferred or refused, and each message that a milter judged; {_NOT_THERE}"
    )


_NOT_THERE = "what simply passed a policy daemon, or was not judged (own users, exempt), is only in the daemon's log"


def _since(loaded: Loaded, entries: Sequence[Entry], at: int, language: str) -> list[Since | None]:
    """Return what became of each; None where nobody can tell."""
    try:
        return since(loaded, entries, at, language)
    except CliError as error:
        warn(f"what happened since then is not known: {error}")  # what the journal says is worth telling without it
        return [None] * len(entries)


def _explained(entry: Entry, later: Since | None, language: str) -> dict[str, Any]:
    why, then = explain(entry, language)
    words = {"outcome": outcome(entry, language), "story": story(entry, language), "why": why, "next": then}
    return {**entry._asdict(), **words, "since": later and later._asdict()}


def _in_words(entry: Entry, later: Since | None, language: str) -> str:
    why, then = explain(entry, language)
    values = (
        f"{outcome(entry, language)}, ref {entry.ref}" if entry.ref else outcome(entry, language),
        story(entry, language),
        moment(entry.at),
        _client(entry),
        entry.sender or "<>",
        entry.recipient,
        entry.queue_id,
        f"{entry.daemon}: {entry.reason}",
        " ".join(f"{name}={value}" for name, value in entry.facts.items() if not name.endswith(SENTENCES)),
        why,
        entry.reply,
        then,
        later.text if later else "",
        f"postsuper -H {entry.queue_id}" if entry.action == "hold" and entry.queue_id else "",
        _ask_again(entry),
    )
    return "\n".join(_rows(_LABELS[language], values))


def _client(entry: Entry) -> str:
    name = f" ({entry.client_name})" if entry.client_name else ""
    return f"{entry.client}{name}{f', HELO {entry.helo}' if entry.helo else ''}"


def _ask_again(entry: Entry) -> str:
    """Return the command that tells how things stand now."""
    if entry.check == "ratelimit" and (key := entry.facts.get("key") or entry.sasl_username):
        return f"vaglio ratelimit show {shlex.quote(str(key))}"
    if entry.check != "greylist" or not entry.client:
        return ""
    client = f"{entry.client_name or 'unknown'}[{entry.client}]"
    words = ("--client", client, "--from", entry.sender, "--to", entry.recipient)
    return f"vaglio greylist why {shlex.join(words)}"


def _rows(labels: Sequence[str], values: Sequence[str]) -> Iterator[str]:
    """Yield a line for each value there is; on a terminal it is folded behind its label."""
    indent = max(map(len, labels)) + 2
    width = max(shutil.get_terminal_size().columns, 60) if sys.stdout.isatty() else 0
    for label, value in zip(labels, map(clean, values), strict=True):
        line = f"{label.rjust(indent - 2)}: {value}"
        if value and width and label != labels[-1]:  # a command must stay in one piece to be copied
            yield textwrap.fill(line, width, subsequent_indent=" " * indent, break_on_hyphens=False,
                                break_long_words=False)  # fmt: skip
        elif value:
            yield line


# --- journal ---


def _journal(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    daemon = _daemon(args.daemon, loaded) if args.daemon else None
    queue_ids = [args.queue] if args.queue else None
    entries = _search(
        args, loaded, action=args.verdict, reason=args.reason, daemon=daemon, queue_ids=queue_ids, spam=args.spam
    )
    if args.json:
        print_json([entry._asdict() for entry in entries])
        return 0
    print_table(
        ("when", "ref", "daemon", "verdict", "reason", "score", "client", "from", "to", "queue id"),
        (
            (moment(one.at), one.ref, one.daemon, _verdict(one), one.reason, _score(one),
             one.client, one.sender or "<>", one.recipient, one.queue_id)
            for one in entries
        ),
        f"no such decisions; {_NOT_THERE}",
    )  # fmt: skip
    return 0


def _verdict(entry: Entry) -> str:
    would = rehearsed(entry)
    return f"({would})" if would else entry.action


def _score(entry: Entry) -> str:
    """Return "7.3/5"; "" for what has no score."""
    of = "score." if entry.check == CHAIN else ""
    score, required = entry.facts.get(f"{of}score"), entry.facts.get(f"{of}required")
    if not isinstance(score, int | float):
        return ""
    return f"{score:g}/{required:g}" if isinstance(required, int | float) else f"{score:g}"


def _daemon(named: str, loaded: Loaded) -> str:
    """Return the daemon that is meant as the journal has it: vaglio-greylist is greylist, inbound is chain.inbound."""
    known = [name for name, _ in loaded.config.daemons()]
    name = named.removeprefix("vaglio-").strip().replace(" ", ".")
    if name == "chain":
        return "chain.*"
    wanted = next((one for one in (name, f"chain.{name}", name.replace("-", ".")) if one in known), "")
    if not wanted and not name.startswith("chain."):  # a chain that was taken out may be there still
        raise WrongUsage(f"--daemon: found {named!r}, wanted one of {', '.join(known)}; chain is all chains")
    return wanted or glob.escape(name)
