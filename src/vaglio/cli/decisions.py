"""``vaglio why`` and ``vaglio journal``: what was decided, and why."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from vaglio.checks.greylist import explain as greylist
from vaglio.cli.common import (
    CliError,
    Commands,
    clean,
    command,
    configuration,
    moment,
    now,
    print_json,
    print_table,
    state_directory,
    when,
)
from vaglio.config.load import Loaded
from vaglio.journal.entry import Entry
from vaglio.journal.file import JournalError
from vaglio.journal.query import JournalReader
from vaglio.verdict import FAILED, TIMED_OUT, Fact

_EXPLAINERS: Mapping[str, Callable[[str, Mapping[str, Fact], str], tuple[str, str]]] = {"greylist": greylist.explain}
"""By check: the words for its reasons."""

_FAILURES = {
    "en": {
        FAILED: "The check itself failed, so the setting on_error decided. The daemon's log has the cause.",
        TIMED_OUT: "The check missed its deadline, so the setting on_error decided.",
    },
    "it": {
        FAILED: "Il controllo stesso è fallito: ha deciso l'impostazione on_error. La causa è nel log del demone.",
        TIMED_OUT: "Il controllo non ha finito in tempo: ha deciso l'impostazione on_error.",
    },
}

_WORDS = {
    "en": {"defer": "deferred (come back later)", "reject": "refused for good", "hold": "put on hold",
           "discard": "discarded", "pass": "let through", "would": "let through; in earnest it would have been "},
    "it": {"defer": "rimandato (riprovare più tardi)", "reject": "rifiutato", "hold": "trattenuto",
           "discard": "scartato", "pass": "lasciato passare",
           "would": "lasciato passare; fuori dalla prova sarebbe stato "},
}  # fmt: skip
_LABELS = {
    "en": ("what", "when", "client", "from", "to", "decided by", "why", "reply", "next"),
    "it": ("esito", "quando", "client", "da", "a", "deciso da", "perché", "risposta", "e ora"),
}


def add_to(commands: Commands) -> None:
    """Add the subcommands."""
    why = command(
        commands, "why", _why, "explain a decision in plain words",
        "The reference stands at the end of the SMTP reply (... ref G7K2-9QFD). Without one, say who wrote to whom.",
    )  # fmt: skip
    why.add_argument("reference", nargs="*", metavar="REF", help="reference out of the reply, as pasted")
    _filters(why)
    why.add_argument("--limit", type=int, default=5, metavar="N", help="explain at most N decisions (default 5)")
    why.add_argument("--language", choices=sorted(_LABELS), default="en", help="en (default) or it")
    journal = command(commands, "journal", _journal, "list decisions, newest first")
    _filters(journal)
    journal.add_argument("--verdict", choices=["defer", "reject", "hold", "discard", "pass"], help="only these")
    journal.add_argument("--reason", metavar="SLUG", help="only this reason, such as first-contact")
    journal.add_argument("--daemon", metavar="NAME", help="only this daemon, such as greylist")
    journal.add_argument("--limit", type=int, default=50, metavar="N", help="at most N rows (default 50)")


def _filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--client", metavar="IP", help="client address or network")
    parser.add_argument("--from", dest="sender", metavar="ADDRESS", help='sender or domain; "" is the null sender')
    parser.add_argument("--to", dest="recipient", metavar="ADDRESS", help="recipient or domain")
    parser.add_argument("--since", type=when, metavar="WHEN", help='"1h", "7d", "2026-11-22", Unix seconds')
    parser.add_argument("--until", type=when, metavar="WHEN", help="the same")


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
            limit=args.limit,
            **more,
        ),
    )


def ask_journal(loaded: Loaded, ask: Callable[[JournalReader], list[Entry]]) -> list[Entry]:
    """Return what ``ask`` reads from the journal; CliError if that can't be done."""
    try:
        with JournalReader(state_directory(loaded) / "journal.sqlite") as journal:
            return ask(journal)
    except JournalError as error:
        raise CliError(str(error)) from error


def _why(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    reference = " ".join(args.reference)
    if reference:
        entries = ask_journal(loaded, lambda journal: journal.by_reference(reference))
    elif args.client or args.sender is not None or args.recipient:
        entries = _search(args, loaded)
    else:
        raise CliError("say which decision: a reference, or --client, --from, --to")
    if args.json:
        print_json([_explained(entry, args.language) for entry in entries])
    else:
        print("\n\n".join(_in_words(entry, args.language) for entry in entries) or _nothing(loaded, reference))
    return 0 if entries else 1


def _nothing(loaded: Loaded, reference: str) -> str:
    days = loaded.config.journal.keep // 86400
    sought = f"no decision with the reference {clean(reference)}" if reference else "no such decision"
    return (
        f"There is {sought} in the journal. It keeps what was deferred or refused for {days} days; "
        "what simply passed is only in the log."
    )


def explain(entry: Entry, language: str) -> tuple[str, str]:
    """Return why it was decided so and what happens next; at least the reason's slug."""
    if entry.reason in _FAILURES["en"]:
        return _FAILURES[language][entry.reason], ""
    explainer = _EXPLAINERS.get(entry.check)
    why, then = explainer(entry.reason, entry.facts, language) if explainer else ("", "")
    return why or entry.reason, then


def _outcome(entry: Entry, language: str) -> str:
    words = _WORDS[language]
    if entry.rehearsed:
        return words["would"] + words.get(entry.rehearsed, entry.rehearsed)
    return words.get(entry.action, entry.action)


def _explained(entry: Entry, language: str) -> dict[str, Any]:
    why, then = explain(entry, language)
    return {**asdict(entry), "outcome": _outcome(entry, language), "why": why, "next": then}


def _in_words(entry: Entry, language: str) -> str:
    why, then = explain(entry, language)
    client = f"{entry.client} ({entry.client_name})" if entry.client_name else entry.client
    values = (
        f"{_outcome(entry, language)}, ref {entry.ref}",
        moment(entry.at),
        client,
        entry.sender or "<>",
        entry.recipient,
        f"{entry.daemon}: {entry.reason}",
        why,
        entry.reply,
        then,
    )
    width = max(map(len, _LABELS[language]))
    return "\n".join(
        f"{label.rjust(width)}: {clean(value)}"
        for label, value in zip(_LABELS[language], values, strict=True)
        if value
    )


def _journal(args: argparse.Namespace) -> int:
    entries = _search(args, configuration(args), action=args.verdict, reason=args.reason, daemon=args.daemon)
    if args.json:
        print_json([asdict(entry) for entry in entries])
        return 0
    print_table(
        ("when", "ref", "verdict", "reason", "client", "from", "to"),
        (
            (moment(one.at), one.ref, f"({one.rehearsed})" if one.rehearsed else one.action, one.reason,
             one.client, one.sender or "<>", one.recipient)
            for one in entries
        ),
        "no decisions; what simply passed is only in the log",
    )  # fmt: skip
    return 0
