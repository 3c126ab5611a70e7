"""``vaglio score``: judges messages as ``vaglio-score`` would, and says what each rule gave and how long it took."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from math import inf
from typing import Any, NamedTuple

from vaglio.checks.score.bayes import Clue
from vaglio.checks.score.case import UNKNOWN, Hit
from vaglio.checks.score.decide import Found, decide, sentence, thresholds
from vaglio.checks.score.explain import accented
from vaglio.checks.score.opinion import Opinion
from vaglio.checks.score.rulefiles import load_rules
from vaglio.checks.score.rules import Ruleset
from vaglio.checks.score.scorer import Asked, Scorer, found
from vaglio.checks.score.settings import ScoreSettings
from vaglio.cli.arguments import client, mailbox, sender, unix_time
from vaglio.cli.common import (
    CliError,
    Commands,
    WrongUsage,
    clean,
    command,
    configuration,
    now,
    paragraph,
    print_json,
    print_table,
    progress,
    usual_options,
    warn,
)
from vaglio.cli.given import Still, as_it_came, content, learned_of, links_of
from vaglio.cli.mailfiles import Piece, pieces
from vaglio.config.load import Loaded
from vaglio.daemon.clock import timer
from vaglio.examination import MAX_HEADER, Field, Message
from vaglio.facts import Client, Envelope, Facts, Session, Stage
from vaglio.mailboxes import mailboxes
from vaglio.milter.replay import read
from vaglio.ports import StoreError
from vaglio.verdict import Action

_MORE = """\
FILE is a message with its header, as it was received; - is standard input. It is judged as the section [score] has it,
with what was learned, and nothing is changed; what this host put on top of it (Received by identity.hostname, and what
stands above that) is left out, since it was not there yet. Say who sent it (--ip, --helo, --from, --to) to have that
judged, too. With --corpus, PATH is a directory, a mailbox (mbox) or a Maildir: a table tells how many messages each
rule fits; no list is asked then, unless --zone answers or --lists is given. --json prints a line for each message of a
corpus. Exit status 0 whatever the score is, 1 for what is no message."""


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands, "score", _score, "tell what a message scores, and why; or what the rules do to many messages",
        "vaglio score message.eml\n"
        "vaglio score message.eml --ip 192.0.2.7 --helo mail.tizio.it --from tizio@tizio.it --to caio@caio.it\n"
        "vaglio score --json - < message.eml\n"
        "vaglio score --corpus /home/caio/Maildir/.Junk\n"
        "vaglio score --corpus ham.mbox --json > ham.jsonl",
        _MORE,
    )  # fmt: skip
    parser.add_argument("file", nargs="?", metavar="FILE", help="the message, with its header")
    parser.add_argument("--corpus", action="append", metavar="PATH", help="judge all messages there; may be repeated")
    parser.add_argument("--recursive", "-r", action="store_true", help="of a corpus: go into the folders below, too")
    parser.add_argument("--ip", type=client, metavar="IP", help="the client: an address, or NAME[IP]")
    parser.add_argument("--helo", default="", metavar="NAME", help="what the client said in HELO")
    parser.add_argument("--from", dest="sender", type=sender, metavar="ADDRESS",
                        help='envelope sender, "" is the null sender (default: of Return-Path)')  # fmt: skip
    parser.add_argument("--to", dest="recipients", type=mailbox, action="append", default=[], metavar="ADDRESS",
                        help="envelope recipient; may be repeated")  # fmt: skip
    parser.add_argument("--bayes", action=argparse.BooleanOptionalAction, default=True, help="let Bayes have a say")
    parser.add_argument("--lists", action=argparse.BooleanOptionalAction, default=None,
                        help="ask the lists of links' domains (of a corpus: not, unless it is said)")  # fmt: skip
    parser.add_argument("--zone", default="", metavar="FILE", help="answer from this zone file, ask nobody")
    parser.add_argument("--now", type=unix_time, metavar="UNIX", help="judge as of this time (Unix seconds)")
    parser.add_argument("--language", choices=("en", "it"), default="en", help="of what is said: en (default) or it")
    usual_options(parser)


def _score(args: argparse.Namespace) -> int:
    if (args.file is None) == (args.corpus is None):
        found = "nothing to judge" if args.file is None else f"{args.file} and --corpus"
        raise WrongUsage(f"found {found}, wanted a FILE or a --corpus, which may be repeated")
    if args.lists is None:
        args.lists = not args.corpus or bool(args.zone)
    loaded = configuration(args)
    settings = loaded.config.score
    rules, problems = load_rules(settings)
    for problem in problems:
        warn(str(problem))
    with _judging(args, loaded, rules) as judging:
        return _corpus(args, settings, judging) if args.corpus else _one(args, settings, judging)


# --- judging ---


class _Judged(NamedTuple):
    """A message that was judged. ``action`` is "tag", "hold" or "reject", or "pass"; ``took`` is in seconds."""

    asked: Asked
    found: Found
    action: str
    required: float
    took: float


class _Judging:
    """Judges one message after the other on one event loop."""

    def __init__(
        self, args: argparse.Namespace, loaded: Loaded, scorer: Scorer, opinion: Opinion | None, runner: asyncio.Runner
    ) -> None:
        self._args, self._settings, self._opinion, self._runner = args, loaded.config.score, opinion, runner
        self._hostname = loaded.config.identity.hostname
        self.scorer = scorer

    def clues(self, judged: _Judged) -> list[Clue]:
        """Return the words by which Bayes judged."""
        try:
            return self._opinion.clues(judged.asked.said) if self._opinion else []
        except StoreError as error:
            raise CliError(str(error)) from error

    def judge(self, raw: bytes, more: int = 0) -> _Judged | None:
        """Judge a message, of which ``more`` bytes were left out; None for what has no header."""
        fields, body = read(raw)
        if not fields:
            return None
        args, settings = self._args, self._settings
        came = as_it_came(fields, self._hostname)
        read_of = body[: settings.max_scan]
        message = Message(_facts(args, fields), tuple(args.recipients), came, read_of, len(body) + more)
        start = timer()
        asked = self._runner.run(self.scorer.ask(message))
        outcome = found(asked, self.scorer.rules().judge(asked.case), message)
        took = timer() - start
        limits = thresholds(message.recipients, 0, settings)
        decision = decide(outcome.score, limits)
        action = "tag" if decision.action is Action.PASS and decision.spam else decision.action.value
        return _Judged(asked, outcome, action, limits.tag if limits.tag < inf else 0.0, took)


def _facts(args: argparse.Namespace, fields: list[Field]) -> Facts:
    """Return what is known of client and envelope."""
    who = args.ip.client if args.ip else Client("", b"")
    recipients = args.recipients
    envelope = Envelope(_sender(args, fields), recipients[0] if recipients else "", len(recipients))
    return Facts(who, envelope, Session(Stage.END_OF_MESSAGE, args.helo))


def _sender(args: argparse.Namespace, fields: list[Field]) -> str:
    if args.sender is not None:
        return str(args.sender)
    path = next((value for name, value in fields if name.lower() == b"return-path"), None)
    if path is None:
        return _author(fields)
    return path.decode("utf-8", "surrogateescape").strip().removeprefix("<").removesuffix(">")


def _author(fields: list[Field]) -> str:
    """Return who is most likely to have sent it: the author; else somebody, since nobody is who sends bounces."""
    field = next((value for name, value in fields if name.lower() == b"from"), b"")
    return next((f"{one.local}@{one.domain}" for one in mailboxes(field)), "unknown@unknown.invalid")


@contextmanager
def _judging(args: argparse.Namespace, loaded: Loaded, rules: Ruleset) -> Iterator[_Judging]:
    settings, clock = loaded.config.score, Still(now(args))
    with asyncio.Runner() as runner, closing(learned_of(loaded)) as tokens:
        opinion = Opinion(settings.bayes, tokens, warn) if args.bayes and settings.bayes.enabled else None
        with links_of(args.zone, loaded, clock, args.lists) as links:
            scorer = Scorer(settings, lambda: rules, clock, loaded.config.identity.hostname, opinion, links)
            yield _Judging(args, loaded, scorer, opinion, runner)


# --- one message ---

_TOLD = 10
"""Words of Bayes that are shown."""


def _one(args: argparse.Namespace, settings: ScoreSettings, judging: _Judging) -> int:
    raw = content(args.file)
    judged = judging.judge(raw)
    if judged is None:
        raise CliError(f"{args.file}: this is no message: no header found")
    judged = judging.judge(raw) or judged  # by the time of the second: the first loads the Public Suffix List
    _, seconds = judging.scorer.rules().timed(judged.asked.case, timer)
    document = _document(judged, settings, seconds, args.language)
    document["words"] = [clue._asdict() for clue in judging.clues(judged)[:_TOLD]]
    if args.json:
        print_json(document)
    else:
        _tell(document, args.language)
    return 0


def _document(
    judged: _Judged, settings: ScoreSettings, seconds: Mapping[str, float], language: str
) -> dict[str, Any]:
    outcome, said = judged.found, judged.asked.said
    wanted = settings.bayes.min_learned
    return {
        "score": outcome.score,
        "action": judged.action,
        "required": judged.required,
        "symbols": {hit.symbol: hit.score for hit in outcome.hits},
        "bayes": None if outcome.probability == UNKNOWN else outcome.probability,
        "learned": {**said.learned._asdict(), "wanted": wanted},
        "hits": [
            {"symbol": hit.symbol, "score": hit.score, "why": _why(hit, language), "group": hit.group,
             "seconds": seconds.get(hit.symbol)}
            for hit in outcome.hits
        ],
        "capped": outcome.capped,
        "silent": list(outcome.silent),
        "facts": dict(judged.asked.case.facts),
        "seconds": judged.took,
        "rule_seconds": dict(sorted(seconds.items(), key=lambda one: -one[1])),
    }  # fmt: skip


def _why(hit: Hit, language: str) -> str:
    said = sentence(hit, language)
    return accented(said) if language == "it" else said


def _tell(document: dict[str, Any], language: str) -> None:
    words = _WORDS[language]
    of = words["of"].format(document["required"]) if document["required"] else ""
    print(words["points"].format(document["score"], of, words[document["action"]]))
    rows = [(f"{hit['score']:+g}", _microseconds(hit["seconds"]), hit["symbol"], hit["why"])
            for hit in document["hits"]]  # fmt: skip
    if rows:
        print()
    print_table(words["columns"].split(), rows, words["none"])
    print()
    for group, cut in document["capped"].items():
        print(words["capped"].format(group, cut))
    if document["silent"]:
        print(words["silent"].format(", ".join(document["silent"])))
    print(_bayes(document, words))
    if document["words"]:
        told = ", ".join(f"{one['word']} {one['spam']}:{one['wanted']}" for one in document["words"])
        print(paragraph(words["words"].format(clean(told)), ""))
    slowest = ", ".join(f"{name} {_microseconds(took)}" for name, took in list(document["rule_seconds"].items())[:3])
    print(paragraph(words["took"].format(document["seconds"] * 1000, slowest), ""))


_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "points": "{:g} points{}: {}",
        "of": " of {:g}",
        "pass": "no spam",
        "tag": "spam: its headers would say so",
        "hold": "it would be held",
        "reject": "it would be refused",
        "columns": "points us symbol why",
        "none": "no rule fits",
        "capped": "the cap of the group {} takes away {:g}",
        "silent": "lists that did not answer: {}",
        "bayes": "Bayes: {:.6g} ({} spam and {} wanted messages learned)",
        "words": "The words that told most, each with how many of spam and of wanted mail had it: {}",
        "no bayes": "Bayes has no say: {} spam and {} wanted messages were learned, {} of each are wanted",
        "took": "{:.2f} ms in all; the slowest rules, in microseconds: {}",
    },
    "it": {
        "points": "{:g} punti{}: {}",
        "of": " su {:g}",
        "pass": "non è spam",
        "tag": "è spam: lo direbbero le intestazioni",
        "hold": "sarebbe trattenuto",
        "reject": "sarebbe rifiutato",
        "columns": "punti us simbolo perché",
        "none": "non vale nessuna regola",
        "capped": "il tetto del gruppo {} toglie {:g}",
        "silent": "liste che non hanno risposto: {}",
        "bayes": "Bayes: {:.6g} (messaggi imparati: {} di spam e {} desiderati)",
        "words": "Le parole che hanno detto di più, e in quanti messaggi di spam e in quanti desiderati erano: {}",
        "no bayes": "Bayes non ha voce: messaggi imparati {} di spam e {} desiderati, ne servono {} di ogni tipo",
        "took": "{:.2f} ms in tutto; le regole più lente, in microsecondi: {}",
    },
}


def _microseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e6:.0f}"


def _bayes(document: dict[str, Any], words: Mapping[str, str]) -> str:
    learned = document["learned"]
    if document["bayes"] is not None:
        return words["bayes"].format(document["bayes"], learned["spam"], learned["ham"])
    return words["no bayes"].format(learned["spam"], learned["ham"], learned["wanted"])


# --- many messages ---


class _Row:
    """What a rule did to a corpus."""

    def __init__(self) -> None:
        self.hits = 0
        self.points = 0.0
        self.with_spam = 0


def _corpus(args: argparse.Namespace, settings: ScoreSettings, judging: _Judging) -> int:
    actions: Counter[str] = Counter()
    rows: dict[str, _Row] = defaultdict(_Row)
    took = 0.0
    unread = 0
    for piece in pieces(args.corpus, settings.max_scan + MAX_HEADER, args.recursive):
        judged = None if piece.trouble else judging.judge(piece.content, piece.size - len(piece.content))
        if judged is None:
            unread += 1
            warn(f"{piece.place}: {piece.trouble or 'this is no message: no header found'}")
            continue
        actions[judged.action] += 1
        took += judged.took
        if args.json:
            _print_line(piece, judged)
            continue
        for hit in judged.found.hits:
            row = rows[hit.symbol]
            row.hits += 1
            row.points = hit.score
            row.with_spam += judged.action != "pass"
        progress(f"{actions.total()} messages")
    progress("")
    if not args.json:
        _tell_corpus(actions, rows, took, args.language)
    return 1 if unread or not actions else 0


def _print_line(piece: Piece, judged: _Judged) -> None:
    outcome = judged.found
    line = {
        "file": piece.place,
        "score": outcome.score,
        "action": judged.action,
        "bayes": None if outcome.probability == UNKNOWN else outcome.probability,
        "symbols": {hit.symbol: hit.score for hit in outcome.hits},
        "ms": round(judged.took * 1000, 3),
    }
    sys.stdout.write(json.dumps(line) + "\n")


def _tell_corpus(actions: Counter[str], rows: Mapping[str, _Row], took: float, language: str) -> None:
    total, words = actions.total(), _COUNTED[language]
    if not total:
        print(words["nothing"])
        return
    parts = ", ".join(f"{actions[one]} {words[one]}" for one in ("pass", "tag", "hold", "reject") if actions[one])
    each = words["each"].format(took / total * 1000)
    print(f"{total} {words['message' if total == 1 else 'messages']}: {parts}; {each}\n")
    ordered = sorted(rows.items(), key=lambda one: (-one[1].hits, one[0]))
    print_table(
        words["columns"].split("|"),
        [(row.hits, f"{row.hits / total:.1%}", row.with_spam, f"{row.points:+g}", clean(symbol))
         for symbol, row in ordered],
        words["none"],
    )  # fmt: skip


_COUNTED: Mapping[str, Mapping[str, str]] = {
    "en": {
        "message": "message", "messages": "messages", "nothing": "there is no message", "each": "{:.2f} ms each",
        "pass": "no spam", "tag": "spam", "hold": "to be held", "reject": "to be refused",
        "columns": "hits|share|of these spam|points|symbol", "none": "no rule fits any of them",
    },
    "it": {
        "message": "messaggio", "messages": "messaggi", "nothing": "non c'è nessun messaggio",
        "each": "{:.2f} ms l'uno",
        "pass": "non spam", "tag": "spam", "hold": "da trattenere", "reject": "da rifiutare",
        "columns": "casi|quota|di cui spam|punti|simbolo", "none": "nessuna regola vale per nessuno",
    },
}  # fmt: skip
