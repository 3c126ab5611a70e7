"""What checks may ask of the world: a clock, a store, what Bayes learned, the DNS, references. Implementations live
elsewhere.

The store holds *tables* of small records under 16-byte keys. Its one verb for changes is ``transact``: a
function reads and writes records, and all of it happens at once or not at all, against every other worker
and (with a shared store) every other host. So a decision is a plain function of the records at hand, and
no check needs a verb of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

Record = tuple[Any, ...]
"""A row: an instance of a NamedTuple class whose fields are str, int, float or bytes and have defaults."""

R = TypeVar("R", bound=Record)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Table(Generic[R]):
    """A kind of record. ``record`` is a NamedTuple class; all its fields have defaults, so that a store of an
    earlier version, which lacks the newest ones, can be read.
    """

    name: str
    record: type[R]


class Schema(NamedTuple):
    """The tables of one check: one file in an embedded store, one key prefix in a shared one."""

    name: str
    tables: tuple[Table[Any], ...]


class StoreError(Exception):
    """The store can't do what it was asked; the message tells an admin what to do. The check's failure policy
    decides what the client hears.
    """


class StoreCorrupt(StoreError):
    """The store's data can't be read as what it should be."""


class Transaction(Protocol):
    """The view of the store inside ``Store.transact``. Writes are seen by later reads of the same step."""

    def get(self, table: Table[R], key: bytes) -> R | None:
        """Return the record under ``key``, None if there is none."""

    def put(self, table: Table[R], key: bytes, record: R) -> None:
        """Store ``record`` under ``key``, in place of what was there."""

    def delete(self, table: Table[Any], key: bytes) -> None:
        """Forget the record under ``key``; no error if there is none."""


class Store(Protocol):
    """Records that survive. Every method may raise StoreError and nothing else."""

    async def transact(self, step: Callable[[Transaction], T]) -> T:
        """Run ``step`` atomically and return what it returns.

        ``step`` must have no effect but through the transaction: it may be run again when another writer
        was faster. The change is durable after ``settle`` returned.
        """

    async def scan(self, table: Table[R], after: bytes, limit: int) -> Sequence[tuple[bytes, R]]:
        """Return up to ``limit`` (key, record) pairs with key > ``after``, in the order of the keys.

        An empty answer means the end. Begin with ``after = b""``.
        """

    async def count(self, table: Table[Any]) -> int:
        """Return the number of records; costs time in proportion to it."""

    def settle(self) -> None:
        """Make all changes so far durable: an answer that rests on them may go out after this.

        Raises StoreError when they could not be kept; then none of the changes since the last ``settle`` is.
        """

    def close(self) -> None:
        """Settle and let go of files and connections."""


class Kind(StrEnum):
    """What a message was learned as."""

    SPAM = "spam"
    HAM = "ham"
    """Wanted mail."""


class Lesson(NamedTuple):
    """A message to be learned: 16 bytes that tell it from others, and the ids of its words, each once; ``version`` is
    that of the way in which words were made of it.
    """

    digest: bytes
    ids: Sequence[int]
    version: int = 1


class Effect(StrEnum):
    """What came of a lesson."""

    LEARNED = "learned"
    KNOWN = "known"
    """It was learned so already, and nothing changed."""
    MOVED = "moved"
    """It had been learned as the other kind, and is now of this one only."""
    FORGOTTEN = "forgotten"
    UNKNOWN = "unknown"
    """It should be forgotten, and is not known, or no longer."""


class Learned(NamedTuple):
    """How many messages of each kind were learned."""

    spam: int = 0
    ham: int = 0


class Word(NamedTuple):
    """A word: messages of each kind that had it, and the last day (since 1970, UTC) on which one was learned."""

    id: int
    spam: int
    ham: int
    seen: int


class TokenStore(Protocol):
    """What Bayes has learned: counts of words, by 64-bit ids (signed), and which messages they came from.

    Nothing is opened before the first call, and every call may raise StoreError, and nothing else: that passes when
    what caused it has. All are plain calls, since none waits longer than its look-up takes, but for those that change
    something: they wait for other processes that do, for as long as the store was told to.
    """

    def counts(self, ids: Sequence[int]) -> Mapping[int, tuple[int, int]]:
        """Return the messages of spam and of ham that had each word; words that none had are left out. Takes no lock
        and waits for nobody, also while somebody learns.
        """

    def learned(self) -> Learned:
        """Return how many messages were learned, be their words forgotten or not."""

    def learn(self, lessons: Sequence[Lesson], kind: Kind, day: int) -> Sequence[Effect]:
        """Learn messages on a day, all or none of them; return what came of each."""

    def forget(self, lessons: Sequence[Lesson]) -> Sequence[Effect]:
        """Take back that these messages were learned, as whatever they were; return what came of each."""

    def forget_words(self, start: int | None, limit: int, stale: Callable[[Word], bool]) -> int | None:
        """Hold the next few words against ``stale`` and forget those that are; return where to go on, None at the end.

        Begin with ``start`` None. ``stale`` is asked once for each word. One that was learned again meanwhile stays.
        """

    def forget_messages(self, after: bytes, limit: int, before: int) -> bytes | None:
        """Forget which of the next few messages were learned before that day; their words stay. Return where to go on,
        None at the end. Begin with ``after`` empty.
        """

    def close(self) -> None:
        """Let go of the file."""


class Clock(Protocol):
    """Time, passed in, so that a test can live through 35 days in a millisecond."""

    def now(self) -> float:
        """Return the Unix time in seconds."""

    async def sleep(self, seconds: float) -> None:
        """Wait; returns early when the daemon is asked to stop."""


class References(Protocol):
    """Gives each journalled decision its short name."""

    def __call__(self) -> str:
        """Return a new reference such as ``G7K2-9QFD``."""


class Outcome(StrEnum):
    """How a look-up in the DNS ended (RFC 2308 for the two kinds of "no")."""

    OK = "ok"
    NODATA = "nodata"
    NXDOMAIN = "nxdomain"
    TEMPERROR = "temperror"


class Answer(NamedTuple):
    """The values of one name and type, in the order received; none unless ``outcome`` is OK. "Not known" is an outcome
    (TEMPERROR), never an empty answer.

    Addresses are in text form; host names in lower case without a dot at their end; an MX is ``"10 mail.caio.it"``;
    the strings of a TXT record are joined without a blank (RFC 7208 3.3), bytes that are no UTF-8 kept as surrogate
    escapes. ``why`` is a slug for a TEMPERROR: ``timeout``, ``servfail``, ``refused``, ``garbled``, ``network``,
    ``loop`` (of aliases), ``too-many`` (questions at once). ``authentic`` is true where the name server says that
    DNSSEC vouches for it (AD of RFC 4035 3.2.3).
    """

    outcome: Outcome
    values: tuple[str, ...] = ()
    why: str = ""
    authentic: bool = False


NXDOMAIN = Answer(Outcome.NXDOMAIN)
NODATA = Answer(Outcome.NODATA)
TEMPERROR = Answer(Outcome.TEMPERROR, why="servfail")


class Resolver(Protocol):
    """Asks the DNS; names are absolute, with or without a dot at their end."""

    def at_hand(self, name: str, rrtype: str) -> Answer | None:
        """Return the answer if it is known already; None if the question must be asked. Never waits."""

    async def lookup(self, name: str, rrtype: str) -> Answer:
        """Return the answer; never raises (but for a task that is cancelled), and never takes longer than the total
        time that is set for a question: what can't be learned is TEMPERROR.
        """


class FreshResolver(Resolver, Protocol):
    """A resolver whose memory can be passed over: yesterday's answer does not tell whether a name server is well."""

    async def ask_again(self, name: str, rrtype: str) -> Answer:
        """Return the answer as ``lookup`` does, even where one is known; it is kept in place of that."""

    def forget(self, suffix: str) -> None:
        """Forget all that is known of names that end in ``suffix``; takes time in proportion to what is known."""
