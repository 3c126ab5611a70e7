"""``vaglio learn``: shows Bayes what is spam and what is wanted mail, or takes that back."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from vaglio.checks.score.learning import lesson_of
from vaglio.checks.score.settings import ScoreSettings
from vaglio.checks.tag.decide import marks_of
from vaglio.checks.tag.subject import Marks
from vaglio.cli.bayes_store import NAMES, to_change, waiting_for
from vaglio.cli.common import CliError, Commands, command, configuration, now, print_json, progress, usual_options, warn
from vaglio.cli.mailfiles import Piece, pieces
from vaglio.daemon.interrupts import held_back
from vaglio.examination import MAX_HEADER, Field
from vaglio.milter.replay import read
from vaglio.ports import Effect, Kind, Learned, Lesson
from vaglio.store.tokens import Tokens

_WORDS = 60_000
"""Words that are written at once: other processes wait for a tenth of a second. Many at once have words in common,
which are changed once then: it takes three quarters of the time that 20,000 at once take.
"""
_EMPTY = re.compile(rb"\n\r?\n")
_TOLD = 10
"""Messages that can't be read and are named one by one."""
_MORE = """\
PATH is a message, a mailbox (mbox), a folder of a Maildir, a directory of messages, or "-" for standard input. To learn
a message again changes nothing, whatever mailbox it lies in now; to learn it as the other kind takes the first back.
"forget" takes back that it was learned. What was written into a message once it had been judged, such as X-Spam-Flag,
is not learned. The daemon need not be told, and several of these may run at the same time. Both kinds are needed, from
mail of the same time and the same people: some hundreds of each."""


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands, "learn", _learn, "teach Bayes what is spam and what is wanted mail",
        "vaglio learn spam /home/caio/Maildir/.Junk\n"
        "vaglio learn ham --recursive /home/caio/Maildir/.Archive\n"
        "vaglio learn spam old-spam.mbox message.eml\n"
        "vaglio learn ham - < message.eml\n"
        "vaglio learn forget message.eml",
        _MORE,
    )  # fmt: skip
    parser.add_argument("kind", choices=[*map(str, Kind), "forget"], help="what the messages are")
    parser.add_argument("path", nargs="+", metavar="PATH", help='message, mbox, Maildir folder, directory, or "-"')
    parser.add_argument("--recursive", "-r", action="store_true", help="go into the folders below, too")
    usual_options(parser)


class _Tally:
    """What came of the messages so far."""

    def __init__(self) -> None:
        self.effects: Counter[Effect] = Counter()
        self.unreadable = 0

    def take(self, effects: Iterable[Effect]) -> None:
        self.effects.update(effects)
        progress(f"{self.effects.total()} messages")

    def refuse(self, place: str, why: str) -> None:
        self.unreadable += 1
        if self.unreadable <= _TOLD:
            warn(f"{place}: {why}")


def _learn(args: argparse.Namespace) -> int:
    loaded, tally = configuration(args), _Tally()
    settings, marks = loaded.config.score, marks_of(loaded.config.tag)
    try:
        with to_change(loaded) as store:
            for lessons in _in_batches(_lessons(args, settings, marks, tally)):
                with held_back():  # what is written is counted, too
                    tally.take(_write(store, lessons, args))
            progress("")
            learned = store.learned()
    except CliError as error:
        progress("")
        raise CliError(f"{error}{_so_far(tally)}") from error
    except KeyboardInterrupt:
        progress("")
        warn(f"interrupted{_so_far(tally) or ': nothing was changed'}")
        raise
    _tell(args, tally, learned, settings)
    return 1 if tally.unreadable or not tally.effects else 0


def _so_far(tally: _Tally) -> str:
    done = tally.effects.total()
    return f": what was done with the first {f'{done} messages' if done > 1 else 'message'} stays" if done else ""


def _write(store: Tokens, lessons: Sequence[Lesson], args: argparse.Namespace) -> Sequence[Effect]:
    if args.kind == "forget":
        return store.forget(lessons)
    return store.learn(lessons, Kind(args.kind), int(now(args)) // 86400)


# --- reading ---


def _lessons(args: argparse.Namespace, settings: ScoreSettings, marks: Marks, tally: _Tally) -> Iterator[Lesson]:
    for piece in pieces(args.path, settings.max_scan + MAX_HEADER, args.recursive):
        fields, body = _read(piece.content)
        if piece.trouble or not fields:
            tally.refuse(piece.place, piece.trouble or "it has no header: that is no message")
            continue
        yield lesson_of(_unmarked(fields, marks), body[: settings.max_scan], _size(piece, body))


def _unmarked(fields: Sequence[Field], marks: Marks) -> list[Field]:
    """Return a header without what vaglio-tag put into the subject: it would be learned as a word of spam."""
    return [
        Field(name, marks.without(value).value) if name.rstrip(b" \t").lower() == b"subject" else Field(name, value)
        for name, value in fields
    ]


def _read(content: bytes) -> tuple[list[Field], bytes]:
    """Return header and body as a mail server hands them over, without looking at each line of the body."""
    end = _EMPTY.search(content)
    fields, rest = read(content[: end.end()] if end else content)
    if end is None or rest:  # a header that is broken off by what is no field
        return read(content)
    return fields, content[end.end() :].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _size(piece: Piece, body: bytes) -> int:
    """Return the size of the whole body, of which not all may have been kept."""
    return len(body) + piece.size - len(piece.content)


def _in_batches(lessons: Iterable[Lesson]) -> Iterator[Sequence[Lesson]]:
    batch: list[Lesson] = []
    words = 0
    for lesson in lessons:
        batch.append(lesson)
        words += len(lesson.ids)
        if words >= _WORDS:
            yield batch
            batch, words = [], 0
    if batch:
        yield batch


# --- telling ---

_TEXTS = {
    Effect.LEARNED: "learned as {kind}",
    Effect.MOVED: "moved to {kind}",
    Effect.KNOWN: "known already",
    Effect.FORGOTTEN: "forgotten",
    Effect.UNKNOWN: "not known",
}


def _tell(args: argparse.Namespace, tally: _Tally, learned: Learned, settings: ScoreSettings) -> None:
    waiting = waiting_for(learned, settings.bayes)
    if args.json:
        counts = {effect.value: tally.effects[effect] for effect in Effect}
        print_json({**counts, "unreadable": tally.unreadable, "spam": learned.spam, "ham": learned.ham,
                    "ready": not waiting})  # fmt: skip
        return
    said = [f"{tally.effects[effect]} {text.format(kind=NAMES.get(args.kind, ''))}"
            for effect, text in _TEXTS.items() if tally.effects[effect]]  # fmt: skip
    if tally.unreadable:
        said.append(f"{tally.unreadable} unreadable")
    print(f"messages: {', '.join(said)}" if said else "there is no message")
    if waiting:
        print(waiting)
