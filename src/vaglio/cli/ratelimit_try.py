"""``vaglio ratelimit test``: what the daemon would answer to a message now, by which rules, without counting it.

The check itself answers, on a store that keeps what is written in memory: so several requests about one message count
as they would with the daemon, and nothing is changed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from vaglio.checks.listfiles import ListFiles
from vaglio.checks.ratelimit.check import STAGES, Context, Ratelimit
from vaglio.checks.ratelimit.decide import Alarm, name_of
from vaglio.checks.ratelimit.explain import explain
from vaglio.checks.ratelimit.logins import parse_logins
from vaglio.checks.ratelimit.rules import Applied, Countries, applied, case_of, ready
from vaglio.checks.ratelimit.settings import RatelimitSettings
from vaglio.checks.ratelimit.usage import SCHEMA, USAGE, Usage
from vaglio.cli.arguments import client, count, mailbox
from vaglio.cli.common import (
    CliError,
    Commands,
    WrongUsage,
    clean,
    command,
    configuration,
    look_at_store,
    looking_options,
    now,
    paragraph,
    print_json,
    print_table,
    warn,
)
from vaglio.cli.given import Still
from vaglio.cli.ratelimit_usage import HEAD, KeyUse, View, asked_at_rcpt, document, rows, title, view_of
from vaglio.config.load import Loaded
from vaglio.facts import Client, Envelope, Facts, Session, Stage, client_of
from vaglio.ports import Record, Store, T, Table, Transaction
from vaglio.store.overlay import Overlay, Writes
from vaglio.verdict import Action, Verdict

_MORE = """\
Postfix's requests about one message are played: at RCPT for each --to if rules need that, then at the stage where
messages are counted (ratelimit.stage). Nothing is counted. The sender is the login if none is given; without a login
and a client it may be that no rule holds. Exit status 0 whatever the answer is."""


class _Trial:
    """A store that looks into another one, and keeps in memory what is written."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written: Writes = {}
        self.scan, self.count, self.settle, self.close = store.scan, store.count, store.settle, store.close

    async def transact(self, step: Callable[[Transaction], T]) -> T:
        """Run ``step`` on one moment of the store, and on what was written here."""

        def trial(tx: Transaction) -> tuple[T, Writes]:
            def read(table: Table[Any], key: bytes) -> Record | None:
                written = self._written
                return written[table.name, key] if (table.name, key) in written else tx.get(table, key)

            overlay = Overlay(read)
            return step(overlay), overlay.writes

        result, writes = await self._store.transact(trial)
        self._written |= writes
        return result


class _Answer(NamedTuple):
    facts: Facts
    verdict: Verdict


class _Outcome(NamedTuple):
    """``unasked`` are rules that wait for a recipient to be named."""

    answers: list[_Answer]
    uses: list[KeyUse]
    alarms: list[Alarm]
    unasked: list[str]


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "test", _test, "say what a message would be answered now, and by which rules; counts nothing",
        "vaglio ratelimit test --user tizio@tizio.it --to caio@caio.it\n"
        "vaglio ratelimit test --user tizio@tizio.it --recipients 300 --size 2000000\n"
        "vaglio ratelimit test --client 198.51.100.7 --from '<>' --stage rcpt --json",
        _MORE,
    )  # fmt: skip
    parser.add_argument("--user", default="", metavar="LOGIN", help="who has logged in (sasl_username)")
    parser.add_argument("--from", dest="sender", type=mailbox, metavar="ADDRESS", help='sender; "" is the null sender')
    parser.add_argument("--to", dest="recipients", type=mailbox, action="append", default=[], metavar="ADDRESS",
                        help="recipient; may be repeated; rules about single recipients want one")  # fmt: skip
    parser.add_argument("--client", type=client, metavar="NAME[IP]", help="client as Postfix logs it, or its address")
    parser.add_argument("--size", type=count, default=0, metavar="N", help="bytes of the message")
    parser.add_argument("--recipients", dest="number", type=count, metavar="N",
                        help="number of recipients, where not all are given by --to")  # fmt: skip
    parser.add_argument("--stage", choices=sorted(STAGES), help="only the request at this stage")
    parser.add_argument("--language", choices=["en", "it"], default="en", help="of the explanation: en (default) or it")
    looking_options(parser)


def _test(args: argparse.Namespace) -> int:
    if not (args.user or args.client or args.sender is not None):
        raise WrongUsage("say who sends: --user, --client or --from")
    loaded = configuration(args)
    outcome = look_at_store(loaded, SCHEMA, lambda store: _played(store, args, loaded))
    rehearsal = loaded.config.ratelimit.mode == "rehearse"
    found = {
        "answers": [_answer_document(one, rehearsal, args.language) for one in outcome.answers],
        "rules": list(map(document, outcome.uses)),
        "alarms": [{"rule": alarm.finding.rule.name, "key": alarm.usage.name} for alarm in outcome.alarms],
        "asked_at_rcpt": outcome.unasked,
        "rehearsal": rehearsal,
    }
    if args.json:
        print_json(found)
    else:
        _tell(found, outcome)
    return 0


# --- asking ---


async def _played(store: Store, args: argparse.Namespace, loaded: Loaded) -> _Outcome:
    """Ask the check as Postfix would."""
    settings, at = loaded.config.ratelimit, now(args)
    country = _countries(settings.country_database)
    view = await view_of(store, loaded, at, country)
    logins = ListFiles(settings.sender_logins, parse_logins, warn, needed=True).current
    alarms: list[Alarm] = []
    context = Context(
        clock=Still(at),
        store=_Trial(store),
        references=lambda: "",
        overrides=lambda: view.overrides,
        logins=lambda: logins,
        country=country,
        language=loaded.config.identity.language_for,
        hostname=loaded.config.identity.hostname,
        warn=warn,
        alarm=lambda alarm, _: alarms.append(alarm),
    )
    check = Ratelimit(settings, view.rules, context)
    await check.begin()
    answers: list[_Answer] = []
    lost = 0
    for facts in _requests(args, view):
        if facts.session.stage is not Stage.RCPT:
            left = facts.envelope.recipient_count - lost
            if left <= 0:
                break  # nobody to send it to: the client gives up
            facts = facts._replace(envelope=facts.envelope._replace(recipient_count=left))
        verdict = await check.check(facts)
        answers.append(_Answer(facts, verdict))
        lost += verdict.action in (Action.DEFER, Action.REJECT) and settings.mode == "enforce"
    uses = await _asked(store, view, [one.facts for one in answers])
    played_at_rcpt = args.stage in (None, "rcpt")
    unasked = _unasked(answers[0].facts, settings, country) if played_at_rcpt and not args.recipients else []
    return _Outcome(answers, uses, alarms, unasked)


def _unasked(facts: Facts, settings: RatelimitSettings, country: Countries) -> list[str]:
    """Return the rules that would be asked about each recipient, if one were named that they hold for."""
    for_anyone: dict[str, list[str]] = {"recipients": [], "except_recipients": []}
    some = [rule.model_copy(update=for_anyone) for rule in settings.rule if rule.per_recipient]
    rules = ready(settings.model_copy(update={"rule": some}), country)
    named = facts._replace(envelope=facts.envelope._replace(recipient="anyone@example.com"))
    case = case_of(named, rules)
    return [rule.name for group in rules.groups for rule in group.rules if rule.fits(case) and group.values(case)]


def _countries(path: str) -> Countries:
    """Return what tells the country of an address. Raises CliError for a file that does not."""
    if not path:
        return lambda _: ""
    from vaglio.store.countries import open_countries  # for those who have such a file

    try:
        return open_countries(path)
    except OSError as error:
        raise CliError(f"ratelimit.country_database: {error}") from error


def _requests(args: argparse.Namespace, view: View) -> Iterator[Facts]:
    """Yield Postfix's requests about the message."""
    given: Client = args.client.client if args.client else client_of("")
    sender = args.user if args.sender is None else args.sender
    recipients: Sequence[str] = args.recipients
    number = max(args.number or 0, len(recipients), 1)
    last = STAGES[args.stage or view.settings.stage]

    def request(stage: Stage, recipient: str, number: int) -> Facts:
        return Facts(given, Envelope(sender, recipient, number, args.size),
                     Session(stage, instance="vaglio ratelimit test", sasl_username=args.user))  # fmt: skip

    if last is Stage.RCPT or (not args.stage and asked_at_rcpt(view.settings)):
        yield from (request(Stage.RCPT, one, 0) for one in recipients or [""] * (last is Stage.RCPT))
    if last is not Stage.RCPT:
        yield request(last, recipients[0] if number == 1 and recipients else "", number)


async def _asked(store: Store, view: View, requests: Sequence[Facts]) -> list[KeyUse]:
    """Return what was counted before by the rules that hold for the requests, each key once."""
    wanted: dict[bytes, Applied] = {}
    for facts in requests:
        groups = view.rules.asked_at(facts.session.stage, STAGES[view.settings.stage])
        wanted |= {one.key: one for one in applied(groups, case_of(facts, view.rules))}

    def step(tx: Transaction) -> list[KeyUse]:
        return [
            view.use(tx.get(USAGE, one.key) or Usage(one.group.spec, name_of(one.values)), one.group, one.rules)
            for one in wanted.values()
        ]

    return await store.transact(step)


# --- telling ---


def _answer_document(one: _Answer, rehearsal: bool, language: str) -> dict[str, Any]:
    verdict = one.verdict
    rehearsed = rehearsal and verdict.action is not Action.PASS
    why, then = explain(verdict.reason, verdict.facts, language, rehearsed)
    return {
        "stage": one.facts.session.stage.value,
        "recipient": one.facts.envelope.recipient,
        "recipients": one.facts.envelope.recipient_count,
        "action": verdict.action.value,
        "reason": verdict.reason,
        **verdict.facts,
        "reply": verdict.spoken,
        "headers": [f"{header.name}: {header.value}" for header in verdict.headers],
        "why": why,
        "next": then,
    }


def _tell(found: dict[str, Any], outcome: _Outcome) -> None:
    rehearsal = " (mode is rehearse: it would pass all the same)" if found["rehearsal"] else ""
    for one in found["answers"]:
        to = f" TO {one['recipient'] or '<>'}" if one["stage"] == Stage.RCPT else f", recipients: {one['recipients']}"
        print(clean(f"{one['stage']}{to}: {one['action']} {one['reason']}{rehearsal}"))
        for text in filter(None, (one["reply"], *one["headers"], one["why"], one["next"])):
            print(paragraph(text))
    if outcome.unasked:
        names = ", ".join(outcome.unasked)
        rules = f"the rule {names} is" if len(outcome.unasked) == 1 else f"the rules {names} are"
        print(paragraph(f"{rules} asked at RCPT, about each recipient: give --to ADDRESS"))
    for use in outcome.uses:
        print(f"\n{title(use)}, before this message:")
        print_table(HEAD, rows(use.rules), "")
    for alarm in found["alarms"]:
        print(f"\nThe admin would be told: {clean(alarm['key'])} is beyond the limit {alarm['rule']}.")
