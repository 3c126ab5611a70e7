"""``vaglio ratelimit quota``: what a user may still send, in words for that user or a help desk, English or Italian."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite

from vaglio.checks.ratelimit.decide import ATTACK
from vaglio.checks.ratelimit.limits import DISTINCT, Kind, amount_text, counted
from vaglio.checks.ratelimit.rules import Group
from vaglio.checks.ratelimit.settings import Rule
from vaglio.checks.ratelimit.usage import USAGE, Usage, usage_key
from vaglio.cli.common import Commands, clean, command, looking_options, moment, paragraph, print_json
from vaglio.cli.ratelimit_usage import RuleUse, View, WindowUse, looked_at, rule_document
from vaglio.config.types import format_duration
from vaglio.lists import AddressList
from vaglio.ports import Store

_SPANS: Mapping[str, Mapping[int, str]] = {
    "en": {60: " this minute", 3600: " this hour", 86400: " today", 604800: " this week"},
    "it": {60: " in questo minuto", 3600: " in quest'ora", 86400: " oggi", 604800: " questa settimana"},
}
_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "room": "{left} of {of_most} left{span} ({window} window)",
        "full": "none of {of_most} left{span} ({window} window)",
        "never": "nothing may be sent ({window} window)",
        "unlimited": "no limit; {of_used}{span} ({window} window)",
        "things": "{used} of at most {of_most}{span} ({window} window)",
        "share": "{used} of the recipients refused{span} ({window} window), up to {most} is allowed",
        "next": "; next slot at {at}",
        "override": "; a limit of its own",
        "ramp-up": "; a newcomer's limit, for the first {ramp_up}",
        "watched": "; nothing is held back by it",
        "beyond": "requests beyond the limit since {since}: {beyond}",
        "per_message": "; at most {cap} in one message",
        "none": "no rule counts by the login {user}",
        "other": "The rules {rules} count by more than the login: see vaglio ratelimit top --rule NAME.",
        "null_sender": " (bounces and receipts)",
    },
    "it": {
        "room": "ancora {left} di {of_most}{span} (finestra di {window})",
        "full": "non resta nulla di {of_most}{span} (finestra di {window})",
        "never": "non si può inviare nulla (finestra di {window})",
        "unlimited": "nessun limite; {of_used}{span} (finestra di {window})",
        "things": "{used} di al massimo {of_most}{span} (finestra di {window})",
        "share": "{used} dei destinatari rifiutato{span} (finestra di {window}), è ammesso fino al {most}",
        "next": "; altro posto: {at}",
        "override": "; limite proprio",
        "ramp-up": "; limite da nuovo utente, per i primi {ramp_up}",
        "watched": "; non trattiene nulla",
        "beyond": "richieste oltre il limite dal {since}: {beyond}",
        "per_message": "; al massimo {cap} in un messaggio",
        "none": "nessuna regola conta per l'utente {user}",
        "other": "Le regole {rules} non contano solo per utente: vaglio ratelimit top --rule NOME.",
        "null_sender": " (avvisi e ricevute)",
    },
}


def add_to(commands: Commands) -> None:
    """Add the subcommand."""
    parser = command(
        commands, "quota", _quota, "say in plain words what a user may still send, and when there is more room",
        "vaglio ratelimit quota tizio@tizio.it\nvaglio ratelimit quota tizio@tizio.it --language it",
        'Windows slide: "today" is the last 24 hours. What was sent leaves a window bit by bit; "next slot" is when\n'
        "there is more room than now. Times are local. A login that never sent anything has all of its limits.",
    )  # fmt: skip
    parser.add_argument("user", metavar="USER", help="the login, as in the log: sasl_username")
    parser.add_argument("--language", choices=sorted(_WORDS), default="en", help="en (default) or it")
    looking_options(parser)


def _quota(args: argparse.Namespace) -> int:
    user = args.user.strip().lower()

    async def work(store: Store, view: View) -> tuple[View, list[RuleUse]]:
        groups = [group for group in view.rules.groups if _is_by_login(group)]
        places = [usage_key(group.spec, (user,)) for group in groups]
        found = await store.transact(lambda tx: [tx.get(USAGE, place) or Usage(name=user) for place in places])
        uses = (view.use(usage, group) for usage, group in zip(found, groups, strict=True))
        return view, [one for use in uses for one in use.rules if _concerns(one, user)]

    view, rules = looked_at(args, work)
    words = _WORDS[args.language]
    lines = [(one, list(_lines(one, view.now, args.language))) for one in rules]
    others = _others(view, user)
    if args.json:
        documents = [{**rule_document(one), "words": said} for one, said in lines]
        print_json({"user": user, "rules": documents, "other_rules": others})
    else:
        print(clean(user))
        for text in [line for _, said in lines for line in said] or [words["none"].format(user=user)]:
            print(paragraph(text))
        if others:
            print(paragraph(words["other"].format(rules=", ".join(others))))
    return 0


def _is_by_login(group: Group) -> bool:
    key = group.rules[0].settings.key
    return len(key) == 1 and key[0].split("|")[0] == "sasl_username"


def _others(view: View, user: str) -> list[str]:
    """Return the rules that count by the login and something else."""
    return [
        rule.name for group in view.rules.groups for rule in group.rules
        if len(rule.settings.key) > 1 and "sasl_username" in rule.settings.key and _holds_for(rule.settings, user)
    ]  # fmt: skip


def _concerns(one: RuleUse, user: str) -> bool:
    """Tell whether a user should hear of a rule: one about bounces only if it has counted any."""
    settings = one.rule.settings
    if settings.applies_to == "system" or not _holds_for(settings, user):
        return False
    return settings.applies_to == "mail" or any(window.used for window in one.windows)


def _holds_for(rule: Rule, user: str) -> bool:
    wanted, unwanted = (AddressList.parse(entries, "")[0] for entries in (rule.users, rule.except_users))
    return (not rule.users or wanted.matches(user) != "") and unwanted.matches(user) == ""


def _lines(one: RuleUse, at: float, language: str) -> Iterator[str]:
    """Yield what is left of a rule's limits, in words, and what was beyond them."""
    for window in one.windows:
        yield _line(one, window, _phrases(one, window), at, language)
    if one.counts.over and at - one.counts.over_last < ATTACK:
        yield _line(one, one.windows[0], ["beyond"], at, language)


def _line(one: RuleUse, window: WindowUse, phrases: Iterable[str], at: float, language: str) -> str:
    kind, settings, words = one.rule.kind, one.rule.settings, _WORDS[language]
    used, most = window.used, window.most or 0
    values = {
        "left": amount_text(window.left or 0, kind, language),
        "most": amount_text(most, kind, language),
        "used": amount_text(used, kind, language),
        "of_most": counted(most, kind, language),
        "of_used": counted(used, kind, language),
        "span": _SPANS[language].get(window.seconds, ""),
        "window": format_duration(window.seconds),
        "at": _clock(window.more_at, at),
        "ramp_up": format_duration(settings.ramp_up),
        "cap": counted(settings.per_message, kind, language),
        "beyond": amount_text(one.counts.over, Kind.MESSAGES, language),
        "since": moment(one.counts.over_since)[:16],
    }
    text = "".join(words[key] for key in phrases)
    mark = words["null_sender"] if settings.applies_to == "null_sender" else ""
    return f"{one.rule.name}{mark}: {text.format_map(values)}"


def _phrases(one: RuleUse, window: WindowUse) -> Iterator[str]:
    settings = one.rule.settings
    if window.left is None:
        yield "unlimited"
    elif one.rule.kind is Kind.REFUSED_SHARE:
        yield "share"
    elif one.rule.kind in DISTINCT:
        yield "things"
    else:
        yield "room" if window.left else "full" if window.most else "never"
    if window.more_at and isfinite(window.more_at):
        yield "next"
    if settings.per_message and window is one.windows[0] and window.left is not None:
        yield "per_message"
    if one.origin != "rule" and window.left is not None:
        yield one.origin
    if settings.action in ("header", "log"):
        yield "watched"


def _clock(at: float, now: float) -> str:
    """Return the whole minute at or after a time, with its date unless that is today."""
    if not at or not isfinite(at):
        return ""
    text = moment(-(-at // 60) * 60)
    return text[11:16] if text[:10] == moment(now)[:10] else text[:16]
