"""``vaglio spf report``: what SPF said of whom and what came of it, counted from the journal.

What the milters did not judge (own users, exempt clients) is not in the journal, so it is not counted.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from vaglio.checks.spf.decide import Reason
from vaglio.checks.spf.outcome import Result
from vaglio.cli.arguments import count
from vaglio.cli.common import (
    Commands,
    command,
    configuration,
    days_option,
    first_day,
    looking_options,
    moment,
    now,
    paragraph,
    print_json,
    print_table,
)
from vaglio.cli.decisions import ask_journal
from vaglio.cli.story import told_by
from vaglio.config.types import format_duration
from vaglio.journal.entry import Entry
from vaglio.milter.combine import CHAIN
from vaglio.verdict import Action, Fact

_SPF = "spf"
_REFUSED, _WOULD, _DMARC, _SPARED = "refused", "would_refuse", "left_to_dmarc", "spared"
_OUTCOMES = (_REFUSED, _WOULD, _DMARC, _SPARED)
_SPARING = (Reason.BACKUP_MX, Reason.FORWARDER, Reason.HELO_BORNE_OUT)
_RESULTS = tuple(result.value for result in Result)
_DAY = 86400


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "report", _report, "say how often which result came, for which domains, and what came of it",
        "vaglio spf report --days 7\nvaglio spf report --limit 100\nvaglio spf report --json",
        "Counted from the journal, which has every message that was judged and keeps it as long as journal.keep says.\n"
        "The domain is that of the identity that decided. A recipient that was refused by itself counts as a message.\n"
        '"Refused" is all that was refused, deferred or held for SPF, "would" what a rehearsal would have, "to DMARC"\n'
        'what DMARC is to decide on (left-to-dmarc), "spared" what came by a backup MX, a forwarder or a known HELO\n'
        "name. Days are UTC.",
    )  # fmt: skip
    days_option(parser, 7)
    parser.add_argument("--limit", type=count, default=20, metavar="N", help="at most N domains (default 20)")
    looking_options(parser)


def _report(args: argparse.Namespace) -> int:
    loaded = configuration(args)
    since = first_day(args) * _DAY
    domains = ask_journal(loaded, lambda journal: counted(journal.of_checks((_SPF, CHAIN), since)))
    document = {"as_of": int(now(args)), "days": args.days, "kept": loaded.config.journal.keep,
                **_figures(sum(domains.values(), Counter())),
                "domains": [{"domain": name, **_figures(sums)} for name, sums in _worst_first(domains)]}  # fmt: skip
    if args.json:
        print_json(document)
    else:
        _tell(document, args.limit)
    return 0


def counted(entries: Iterable[Entry]) -> dict[str, Counter[str]]:
    """Return by domain how often each result and each outcome came."""
    domains: dict[str, Counter[str]] = {}
    for entry in entries:
        facts = told_by(entry.facts).get(_SPF, {}) if entry.check == CHAIN else {"reason": entry.reason, **entry.facts}
        result = str(facts.get("result", ""))
        if result in _RESULTS:
            domains.setdefault(str(facts.get("domain", "")), Counter()).update((result, *_outcomes(entry, facts)))
    return domains


def _outcomes(entry: Entry, facts: Mapping[str, Fact]) -> Iterable[str]:
    reason = facts.get("reason")
    if reason == Reason.LEFT_TO_DMARC:
        yield _DMARC
    elif reason in _SPARING:
        yield _SPARED
    if entry.check == CHAIN and entry.facts.get("decided_by") != _SPF:
        return
    if entry.rehearsed:
        yield _WOULD
    elif entry.action != Action.PASS:
        yield _REFUSED


def _worst_first(domains: Mapping[str, Counter[str]]) -> list[tuple[str, Counter[str]]]:
    """Return first the domains with most that did not pass."""

    def rank(one: tuple[str, Counter[str]]) -> tuple[int, int, str]:
        name, sums = one
        return sums[Result.PASS] - _messages(sums), -_messages(sums), name

    return sorted(domains.items(), key=rank)


def _messages(sums: Counter[str]) -> int:
    return sum(sums[result] for result in _RESULTS)


def _figures(sums: Counter[str]) -> dict[str, Any]:
    return {"messages": _messages(sums), "results": {result: sums[result] for result in _RESULTS},
            **{outcome: sums[outcome] for outcome in _OUTCOMES}}  # fmt: skip


def _tell(document: Mapping[str, Any], limit: int) -> None:
    print(f"The last {document['days']} days, as of {moment(document['as_of'])}: "
          f"SPF judged {document['messages']} messages")  # fmt: skip
    if document["days"] * _DAY > document["kept"] + _DAY:
        print(paragraph(f"the journal keeps {format_duration(document['kept'])} only (journal.keep)"))
    whole = {"domain": "all", **{name: value for name, value in document.items() if name != "domains"}}
    rows = [
        (one["domain"] or "(no domain)", *one["results"].values(), *(one[key] for key in _OUTCOMES))
        for one in ([*document["domains"][:limit], whole] if document["messages"] else ())
    ]
    head = ("domain", *_RESULTS, "refused", "would", "to DMARC", "spared")
    print_table(head, rows, "there is nothing in the journal")
    if (left := len(document["domains"]) - limit) > 0:
        print(f"and {left} more domains (--limit)")
