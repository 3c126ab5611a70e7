"""What an SPF evaluation is asked, and what comes of it (RFC 7208 2.6). Values only: nothing is evaluated here."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Result(StrEnum):
    """The seven results."""

    PASS = "pass"
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"
    PERMERROR = "permerror"
    TEMPERROR = "temperror"


class Identity(StrEnum):
    """Whose record is asked about (RFC 7208 2.3 and 2.4)."""

    HELO = "helo"
    MAIL_FROM = "mailfrom"


class Question(NamedTuple):
    """May ``address`` (an IP address in text form) send in the name of ``domain``?

    ``domain`` is in lower case and A-labels, "" where there is none that could have a record; ``why`` says why.
    ``helo`` is what the client said, and may be anything, and so may ``said``: MAIL FROM as it came.
    """

    identity: Identity
    address: str
    local: str
    domain: str
    helo: str
    why: str = ""
    said: str = ""

    @property
    def sender(self) -> str:
        """The address that is evaluated (RFC 7208 2.4: postmaster@HELO for the null sender)."""
        return f"{self.local}@{self.domain}"


class StepKind(StrEnum):
    """What a step of an evaluation is."""

    LOOKUP = "lookup"
    RECORD = "record"
    TERM = "term"


class Step(NamedTuple):
    """One step, for whoever wants to follow. ``depth`` counts includes; ``domain`` is whose record is being read;
    ``text`` the record, the term, or name and type that are looked up; ``found`` what the look-up gave.
    """

    kind: StepKind
    depth: int
    domain: str
    text: str
    found: str = ""


class Evaluation(NamedTuple):
    """A result and what it rests on.

    ``record`` is the one that decided, of ``record_domain``: after a redirect the other domain's. ``mechanism`` is its
    term that matched, "" if none did; ``inner`` the one within an include that made it match, of ``inner_domain``.
    ``theirs`` is the explanation of the domain's owner (exp=), in ASCII, as long as they like it: to be quoted as
    theirs. ``problem`` says in words what went wrong, or why there is no record.
    """

    question: Question
    result: Result
    problem: str = ""
    record: str = ""
    record_domain: str = ""
    mechanism: str = ""
    inner: str = ""
    inner_domain: str = ""
    theirs: str = ""
    lookups: int = 0
    void_lookups: int = 0
    steps: tuple[Step, ...] = ()
