"""What is learned and what is forgotten: a message as a lesson for Bayes, which messages may teach by themselves, which
words have nothing to say any more. Opens no file and knows no clock; the store comes through its port.

A message is told from others by its date, its author and its text (``digest_of``), so that it is the same one in a
mailbox, in a file, and while it is being received.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import accumulate, islice, takewhile
from typing import NamedTuple

from vaglio.checks.score.bayes import ids_of
from vaglio.checks.score.case import UNKNOWN, Hit
from vaglio.checks.score.reading import Reading, read_message
from vaglio.checks.score.settings import BayesSettings
from vaglio.checks.score.tokens import VERSION, tokens_of
from vaglio.examination import Field
from vaglio.ports import Clock, Kind, Learned, Lesson, TokenStore, Word

# --- a message as a lesson ---

_OURS = (b"x-spam-", b"x-vaglio-")
_LATER = frozenset({
    b"authentication-results", b"received-spf", b"x-greylist", b"x-dnsbl", b"return-path", b"delivered-to",
    b"x-original-to",
    b"envelope-to", b"delivery-date", b"status", b"x-status", b"x-keywords", b"x-uid", b"x-uidl", b"x-imap",
    b"x-imapbase", b"content-length", b"lines", b"x-mozilla-status", b"x-mozilla-status2", b"x-mozilla-keys",
    b"x-evolution-source", b"x-gmail-labels", b"x-bogosity", b"x-rspamd-server", b"x-rspamd-queue-id",
    b"x-rspamd-action", b"x-spamd-result", b"x-spamd-bar", b"x-virus-scanned", b"x-virus-status",
})  # fmt: skip
"""Fields that filters, mail servers and mail programs put in once a message is there."""

_BLANKS = b" \t\r\n>"
_PREFIX = 65_536
"""Bytes of the text that tell a message from others; more are not to be had of a large one while it comes in."""


def unmarked(fields: Sequence[Field]) -> list[Field]:
    """Return a header without what was put in after the message had been judged, or says how it was: else Bayes would
    learn its own verdict, and words that no message has when it is judged. Senders' own are no loss: anyone can write
    them.
    """
    return [one for one in fields if not comes_later(one.name)]


def comes_later(name: bytes) -> bool:
    """Say whether a field of this name is put in once a message is there, and not by who wrote it."""
    name = name.strip().lower()
    return name in _LATER or name.startswith(_OURS)


def digest_of(fields: Sequence[Field], body: bytes) -> bytes:
    """Return 16 bytes that are the same for a message wherever it lies, and hardly for any other.

    Date and From are what delivery leaves alone; the Subject gets tags, and a Message-ID that is missing is put in by
    some mail servers, behind our back. In the text blanks, line ends and ">" do not count: LF becomes CRLF, a mailbox
    writes ">From" for "From" and adds a line at the end. Equal copies for several recipients are one message. One whose
    text was encoded anew on its way, for a server that takes no 8-bit text, is another one.
    """
    text = body[: 4 * _PREFIX].translate(None, _BLANKS)[:_PREFIX]
    parts = [*(_first(fields, name).translate(None, _BLANKS) for name in (b"date", b"from")), text]
    return hashlib.blake2b(b"\0".join(parts), digest_size=16).digest()


def _first(fields: Sequence[Field], name: bytes) -> bytes:
    return next((one.value for one in fields if one.name.strip().lower() == name), b"")


def lesson_of(fields: Sequence[Field], body: bytes, size: int) -> Lesson:
    """Return what a message teaches; ``body`` is as much of it as is read of new mail, ``size`` that of all of it."""
    return lesson(fields, body, read_message(unmarked(fields), body, size))


def lesson(fields: Sequence[Field], body: bytes, reading: Reading) -> Lesson:
    """Return what a message teaches that has been read already, without the fields that ``unmarked`` leaves out."""
    return Lesson(digest_of(fields, body), [*{*ids_of(tokens_of(reading))}], VERSION)


# --- who teaches by himself ---


class Why(StrEnum):
    """Why a message is learned by itself, or is not."""

    SURE = "sure"
    OFF = "off"
    OWN = "own-mail"
    UNSURE = "unsure"
    FEW = "few-rules"
    NO_HEADER = "nothing-in-the-header"
    NO_BODY = "nothing-in-the-body"
    SUSPICIOUS = "a-rule-says-spam"
    SILENT = "bayes-has-no-say"
    DISAGREES = "bayes-disagrees"
    BALANCE = "balance"


class Choice(NamedTuple):
    """As what a message is to be learned; None if it is not."""

    kind: Kind | None
    why: Why


RULES = 3
"""Rules that must say spam, for a message to be learned as such."""
SUSPICIOUS = 1.0
"""Points of a single rule with which a message is not learned as wanted mail, whatever others take off."""
DISAGREES = 0.1
"""Bayes disagrees strongly where it gives spam no more than this."""
AGREES = 0.3
"""Bayes agrees that mail is wanted where it gives it no more than this. It must: what takes points off, a signature, a
list, an answer, proves who sent a message or how, which spammers can have as well.
"""
HEAD_START = 20
"""Messages of a kind that may be learned before there are any of the other."""

BAYES = "BAYES"
"""What the symbols of rules about Bayes' own verdict begin with."""
HEADER = frozenset({"missing", "way", "auth", "header", "sender", "subject"})
BODY = frozenset({"words", "links", "files", "mime", "body", "text"})
"""The groups of the shipped rules by where they look; a rule of another group, or of none, tells of neither."""
LISTED = "LISTED_"
"""What the symbols of lists of links' domains begin with: they tell of the body."""


def autolearn(hits: Sequence[Hit], score: float, probability: float, own: bool, learned: Learned,
              settings: BayesSettings) -> Choice:  # fmt: skip
    """Say whether a message is learned by itself, and as what.

    ``score`` is that of all ``hits``; what Bayes put into it is taken out, so that it never learns from itself. ``own``
    is mail of own users, which tells nothing of mail from outside.
    """
    if not settings.autolearn or not settings.enabled:
        return Choice(None, Why.OFF)
    if own:
        return Choice(None, Why.OWN)
    others = [hit for hit in hits if not hit.symbol.startswith(BAYES)]
    score -= sum(hit.score for hit in hits if hit.symbol.startswith(BAYES))
    if score >= settings.autolearn_spam:
        kind, why = Kind.SPAM, _against_spam(others, probability)
    elif score <= settings.autolearn_ham:
        kind, why = Kind.HAM, _against_ham(others, probability)
    else:
        return Choice(None, Why.UNSURE)
    if why is Why.SURE and _one_sided(kind, learned, settings.autolearn_balance):
        why = Why.BALANCE
    return Choice(kind if why is Why.SURE else None, why)


def _against_spam(hits: Sequence[Hit], probability: float) -> Why:
    guilty = [hit for hit in hits if hit.score > 0]
    if len(guilty) < RULES:
        return Why.FEW
    if not any(_is_of(hit, HEADER) for hit in guilty):
        return Why.NO_HEADER
    if not any(_is_of(hit, BODY) or hit.symbol.startswith(LISTED) for hit in guilty):
        return Why.NO_BODY
    return Why.DISAGREES if probability != UNKNOWN and probability <= DISAGREES else Why.SURE


def _against_ham(hits: Sequence[Hit], probability: float) -> Why:
    if any(hit.score >= SUSPICIOUS for hit in hits):
        return Why.SUSPICIOUS
    if probability == UNKNOWN:
        return Why.SILENT
    return Why.SURE if probability <= AGREES else Why.DISAGREES


def _is_of(hit: Hit, groups: frozenset[str]) -> bool:
    return hit.group in groups


def _one_sided(kind: Kind, learned: Learned, balance: float) -> bool:
    """Say whether enough of this kind was learned, until there is more of the other."""
    mine, other = (learned.spam, learned.ham) if kind is Kind.SPAM else (learned.ham, learned.spam)
    return mine >= balance * max(other, HEAD_START)


# --- which words are forgotten ---

WEIGHT = 5
"""A word is kept a time longer for each so many messages that had it."""
ROOM = 0.9
"""Part of the words that there may be, down to which they are forgotten once there are more."""


def staleness(word: Word, today: int) -> int:
    """Return for how long a word had nothing to say, in days: those since it was last learned, of which fewer count the
    more messages had it. One that no message has left is as old as can be.
    """
    messages = word.spam + word.ham
    return max(0, today - word.seen) // (1 + messages // WEIGHT) if messages else 10**6


def limit_for(ages: Mapping[int, int], most: int, usual: int) -> int:
    """Return the staleness from which on words are forgotten, given how many there are of each: the usual one, or a
    lower one where more are left than there may be. Those of the last day stay.
    """
    kept = sum(number for age, number in ages.items() if age < usual)
    if kept <= most:
        return usual
    young = sorted(ages)
    below = accumulate(ages[age] for age in young)
    fitting = [age + 1 for age, number in zip(young, below, strict=True) if number <= ROOM * most]
    return max(1, min(usual, max(fitting, default=1)))


# --- at work ---

STEP = 500
"""Words looked at in one step: about a millisecond."""
PAUSE = 0.05
"""Seconds between steps: a million words are gone through in two minutes."""
REST = 3600.0
"""Seconds between one walk and the next."""
WAITING = 200
"""Lessons that wait to be written; the oldest give way."""
AT_ONCE = 5
"""Lessons written at a time: mail waits for some 10 ms."""


class Learner:
    """Learns by itself, for the check of one worker: ``note`` costs nothing, ``write_back``, to be called every few
    seconds and at the end, writes what was noted.
    """

    def __init__(self, store: TokenStore, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._noted: deque[tuple[Kind, Lesson]] = deque(maxlen=WAITING)

    def note(self, kind: Kind, lesson: Lesson) -> None:
        """Have a message learned soon."""
        self._noted.append((kind, lesson))

    async def write_back(self) -> None:
        """Learn what was noted, a few at a time: mail has its turn in between. Raises StoreError: what was not learned
        is kept for the next time then.
        """
        while self._noted:
            self._learn_some()
            await self._clock.sleep(0)

    def _learn_some(self) -> None:
        kind = self._noted[0][0]
        some = [lesson for _, lesson in takewhile(lambda one: one[0] is kind, islice(self._noted, AT_ONCE))]
        self._store.learn(some, kind, day_of(self._clock))
        for _ in some:
            self._noted.popleft()


class Forgetter:
    """Walks through words and messages, over and over, and forgets what is to be forgotten. For one worker only.
    ``words`` is how many the last walk left.
    """

    def __init__(self, store: TokenStore, settings: BayesSettings, clock: Clock) -> None:
        self._store, self._settings, self._clock = store, settings, clock
        self._usual = max(1, settings.expire // 86400)
        self._limit = self._usual
        self._word: int | None = None
        self._message: bytes | None = None  # where the walk through the messages is, None while it is at the words
        self._ages: Counter[int] = Counter()
        self._rested = 0.0
        self.words = 0

    def step(self) -> float:
        """Take a step; return the seconds until the next: who comes earlier finds nothing to do. Raises StoreError."""
        now, today = self._clock.now(), day_of(self._clock)
        if now < self._rested <= now + REST:  # else the clock was set back
            return self._rested - now
        if self._message is None:
            self._some_words(today)
            return PAUSE
        self._message = self._store.forget_messages(self._message, STEP, today - self._usual)
        if self._message is not None or self._limit < self._usual:
            return PAUSE
        self._rested = now + REST
        return REST

    def _some_words(self, today: int) -> None:
        def is_stale(word: Word) -> bool:
            age = staleness(word, today)
            self._ages[age] += age < self._limit
            return age >= self._limit

        self._word = self._store.forget_words(self._word, STEP, is_stale)
        if self._word is None:
            self.words = self._ages.total()
            self._limit = limit_for(self._ages, self._settings.max_tokens, self._usual)
            self._ages.clear()
            self._message = b""


def day_of(clock: Clock) -> int:
    """Return the day, in days since 1970 (UTC)."""
    return int(clock.now()) // 86400
