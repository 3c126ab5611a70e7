"""What can be said of a signature: results (RFC 8601 2.7.1), and why. Values only: nothing is verified here."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Result(StrEnum):
    """The seven results."""

    PASS = "pass"
    FAIL = "fail"
    NEUTRAL = "neutral"
    POLICY = "policy"
    PERMERROR = "permerror"
    TEMPERROR = "temperror"
    NONE = "none"


class Reason(StrEnum):
    """Why: metric label, log key, journal key."""

    PASS = "pass"
    UNSIGNED = "unsigned"
    BODY_CHANGED = "body-changed"
    HEADER_CHANGED = "header-changed"
    MALFORMED = "malformed"
    UNSUPPORTED = "unsupported"
    TESTING = "test-mode"
    EXPIRED = "expired"
    FROM_FUTURE = "from-the-future"
    SHORT_KEY = "short-key"
    LONG_KEY = "long-key"
    PARTIAL_BODY = "partial-body"
    UNSIGNED_FROM = "second-from"
    TOO_LARGE = "too-large"
    PASSED_OVER = "passed-over"
    SHA1 = "rsa-sha1"
    FROM_NOT_SIGNED = "from-not-signed"
    FOREIGN_IDENTITY = "foreign-identity"
    BODY_TOO_SHORT = "body-too-short"
    NO_KEY = "no-key"
    REVOKED = "key-revoked"
    SEVERAL_KEYS = "several-keys"
    BAD_KEY = "key-unusable"
    WRONG_KEY = "key-not-for-this"
    DNS = "dns-failed"
    REPLAYED = "replayed"


RESULTS = {
    Reason.PASS: Result.PASS,
    Reason.UNSIGNED: Result.NONE,
    Reason.BODY_CHANGED: Result.FAIL,
    Reason.HEADER_CHANGED: Result.FAIL,
    # RFC 8601 2.7.1: "contained syntax errors or were not otherwise able to be processed"
    Reason.MALFORMED: Result.NEUTRAL,
    Reason.UNSUPPORTED: Result.NEUTRAL,
    Reason.TESTING: Result.NEUTRAL,  # RFC 6376 3.6.1: no different from unsigned mail
    # "some aspect of the signature was not acceptable": ours to decide, by settings or bounds
    Reason.EXPIRED: Result.POLICY,
    Reason.FROM_FUTURE: Result.POLICY,
    Reason.SHORT_KEY: Result.POLICY,
    Reason.LONG_KEY: Result.POLICY,
    Reason.PARTIAL_BODY: Result.POLICY,
    Reason.UNSIGNED_FROM: Result.POLICY,
    Reason.TOO_LARGE: Result.POLICY,
    Reason.PASSED_OVER: Result.POLICY,
    Reason.REPLAYED: Result.POLICY,
    # PERMFAIL of RFC 6376 6.1.1 and 6.1.2, and of RFC 8301 3.1
    Reason.SHA1: Result.PERMERROR,
    Reason.FROM_NOT_SIGNED: Result.PERMERROR,
    Reason.FOREIGN_IDENTITY: Result.PERMERROR,
    Reason.BODY_TOO_SHORT: Result.PERMERROR,
    Reason.NO_KEY: Result.PERMERROR,
    Reason.REVOKED: Result.PERMERROR,
    Reason.SEVERAL_KEYS: Result.PERMERROR,
    Reason.BAD_KEY: Result.PERMERROR,
    Reason.WRONG_KEY: Result.PERMERROR,
    Reason.DNS: Result.TEMPERROR,
}


class Flaw(NamedTuple):
    """Why a signature, or a key, is none that verifies. ``words`` say what was found; strangers' text in them is short
    and printable.
    """

    reason: Reason
    words: str


class Flawed(Exception):
    """Carries a flaw to whoever judges."""

    def __init__(self, reason: Reason, words: str) -> None:
        super().__init__(words)
        self.flaw = Flaw(reason, words)


def shown(text: str, room: int = 60) -> str:
    """Return at most ``room`` characters of a stranger's text, printable ASCII, and what else there is as ``?``."""
    cut = text[:room]
    if not (cut.isascii() and cut.isprintable()):
        cut = "".join(one if " " <= one <= "~" else "?" for one in cut)
    return cut if len(text) <= room else f"{cut}..."
