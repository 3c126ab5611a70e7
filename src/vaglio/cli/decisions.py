"""``vaglio why`` and ``vaglio journal``: what was decided, and why."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any

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
from vaglio.cli.story import explain, outcome, story
from vaglio.config.load import Loaded
from vaglio.config.types import format_duration
from vaglio.journal import FILE_NAME, Entry, JournalError, JournalReader, normalise

_LABELS = {
    "en": ("what", "story", "when", "client", "from", "to", "queue id", "decided by", "facts", "why", "reply", "next",
           "since then", "now"),
    "it": ("esito", "storia", "quando", "client", "da", "a", "coda", "deciso da", "fatti", "perché", "risposta",
           "e poi", "da allora", "ora"),
}  # fmt: skip


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    why = command(
        commands, "why", _why, "explain a decision in plain words",
        "vaglio why G7K2-9QFD\n"
        'vaglio why "450 4.7.1 ... Greylisted: ...; ref G7K2-9QFD (in reply to RCPT TO command)"\n'
        "vaglio why --from tizio@tizio.it --to caio@caio.it --since 2d\n"
        "vaglio why --client 198.51.100.0/24 --language it",
        "The reference stands at the end of the SMTP reply; paste as much of the bounce or log line as you like.\n"
        "Without one, say who wrote to whom.",
    )  # fmt: skip
    why.add_argument("reference", nargs="*", metavar="REF", help="reference, or a line that has one (in quotes)")
    _filters(why)
    why.add_argument("--limit", type=count, default=5, metavar="N", help="explain at most N decisions (default 5)")
    why.add_argument("--language", choices=sorted(_LABELS), default="en", help="en (default) or it")
    looking_options(why)
    journal = command(
        commands, "journal", _journal, "list decisions, newest first",
        "vaglio journal --since 1h --verdict defer\n"
        "vaglio journal --client 198.51.100.0/24 --reason early-retry\n"
        "vaglio journal --since 1d --user tizio@tizio.it\n"
        "vaglio journal --to caio.it --since 2026-11-01 --until 2026-11-08 --limit 1000 --json",
        "A verdict in parentheses was not carried out, since the daemon was rehearsing. Each message that a milter\n"
        "judged is here; what simply passed a policy daemon is not: see that daemon's log.",
    )  # fmt: skip
    _filters(journal)
    journal.add_argument("--verdict", choices=["defer", "reject", "hold", "discard", "pass"], help="only these")
    journal.add_argument("--reason", metavar="SLUG", help="only this reason, such as first-contact")
    journal.add_argument("--daemon", metavar="NAME", help="only this daemon, such as greylist")
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


def ask_journal(loaded: Loaded, ask: Callable[[JournalReader], list[Entry]]) -> list[Entry]:
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


def _by_references(loaded: Loaded, text: str, limit: int) -> list[Entry]:
    references = references_in(text)
    if not references:
        raise CliError(f"there is no reference in {text[:200]!r}: one looks like G7K2-9QFD")
    return ask_journal(loaded, lambda journal: [e for ref in references for e in journal.by_reference(ref)])[:limit]


# --- why ---


def _why(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    text = " ".join(args.reference)
    filtered = args.client or args.sender is not None or args.recipient or args.user
    if bool(text) == bool(filtered):
        raise WrongUsage("say which decision: either by a reference, or by --client, --from, --to or --user")
    entries = _by_references(loaded, text, args.limit) if text else _search(args, loaded)
    told = zip(entries, _since(loaded, entries, int(now(args)), args.language), strict=True)
    if args.json:
        print_json([_explained(entry, later, args.language) for entry, later in told])
    elif entries:
        print("\n\n".join(_in_words(entry, later, args.language) for entry, later in told))
    else:
        raise CliError(_nothing(loaded, text))
    return 0 if entries else 1


def _nothing(loaded: Loaded, text: str) -> str:
    sought = f"no decision with the reference {' or '.join(references_in(text))}" if text else "no such decision"
    return (
        f"there is {sought} in the journal. It keeps for {format_duration(loaded.config.journal.keep)} what was "
        "deferred or refused, and each message that a milter judged; what simply passed is only in the daemon's log."
    )


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
        " ".join(f"{name}={value}" for name, value in entry.facts.items()),
        why,
        entry.reply,
        then,
        later.text if later else "",
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
    entries = _search(args, configuration(args), action=args.verdict, reason=args.reason, daemon=args.daemon)
    if args.json:
        print_json([entry._asdict() for entry in entries])
        return 0
    print_table(
        ("when", "ref", "verdict", "reason", "client", "from", "to"),
        (
            (moment(one.at), one.ref, f"({one.rehearsed})" if one.rehearsed else one.action, one.reason,
             one.client, one.sender or "<>", one.recipient)
            for one in entries
        ),
        "no such decisions; what simply passed is only in the daemon's log",
    )  # fmt: skip
    return 0
