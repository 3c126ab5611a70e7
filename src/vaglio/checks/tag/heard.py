"""What others say of a message: earlier checks of the chain, our own milters before this one, spam filters. Pure.

Earlier checks are heard in memory, our other milters by ``checks/ownresults.py``. X-Spam-* of vaglio-score,
SpamAssassin and rspamd are read only where the configuration says that somebody before this milter takes out those of
strangers. What can't be read is passed over, not guessed at.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vaglio.checks.tag.conditions import Known
from vaglio.examination import Field
from vaglio.verdict import AuthResult, Fact, Verdict

SCORE_CHECK = "score"
"""The check that judges spam."""

MAX_FIELD = 8192
"""Bytes of a field that is read; longer ones are passed over."""

MAX_FIELDS = 50
"""Fields that are read."""

_SYMBOL = re.compile(r"[A-Z][A-Z0-9_]{1,59}")


class Spam(NamedTuple):
    """What is said of spam; the more severe of several words counts."""

    spam: bool = False
    score: float | None = None
    symbols: frozenset[str] = frozenset()

    def __or__(self, other: Spam) -> Spam:
        scores = [one for one in (self.score, other.score) if one is not None]
        return Spam(self.spam or other.spam, max(scores, default=None), self.symbols | other.symbols)


NOTHING = Spam()


def known(earlier: Mapping[str, Verdict], results: Sequence[AuthResult], spam: Spam) -> Known:
    """Put together what earlier checks found, with all ``results`` and with ``spam`` of filters before us.

    Where vaglio-score is one of the checks, what headers say of spam does not count.
    """
    facts = {name: {"reason": verdict.reason, **verdict.facts} for name, verdict in earlier.items()}
    if SCORE_CHECK in facts:
        spam = _of_score(facts[SCORE_CHECK])
    return Known(spam.spam, spam.score, spam.symbols, _by_method(results), facts)


def _of_score(facts: Mapping[str, Fact]) -> Spam:
    score = facts.get("score")
    return Spam(
        facts.get("spam") is True,
        float(score) if isinstance(score, (int, float)) else None,
        frozenset(_SYMBOL.findall(str(facts.get("symbols", "")))),
    )


# --- results ----------------------------------------------------------------------------------------------------------


def _by_method(results: Sequence[AuthResult]) -> dict[str, str]:
    """Return one result for each method: a pass if there is one (one good signature of several is enough), else the
    first. Of SPF, that of MAIL FROM counts before that of HELO.
    """
    found: dict[str, list[str]] = {}
    for one in sorted(results, key=lambda one: any(name == "smtp.helo" for name, _ in one.properties)):
        found.setdefault(one.method.partition("/")[0].lower(), []).append(one.result.lower())
    return {method: _one_of(method, all_of) for method, all_of in found.items()}


def _one_of(method: str, results: Sequence[str]) -> str:
    return "pass" if "pass" in results and method != "spf" else results[0]


# --- spam -------------------------------------------------------------------------------------------------------------

_YES = re.compile(r"\s*(?:yes|true)\b", re.IGNORECASE)
_POINTS = r"(-?[0-9]{1,5}(?:\.[0-9]{1,4})?)"
_SCORE_FIELD = re.compile(rf"\s*{_POINTS}(?![\w.])")
_STATUS_SCORE = re.compile(rf"\b(?:score|hits)={_POINTS}(?![\w.])")
_TESTS = re.compile(r"\b(?:tests|symbols)=(.*?)(?:\s[a-z]+=|\Z)", re.DOTALL)
_RSPAMD = re.compile(rf"\s*\w+:\s*(True|False)\s*\[{_POINTS}\s*/", re.IGNORECASE)
_RSPAMD_SYMBOL = re.compile(r"([A-Z][A-Z0-9_]{1,59})(?:\(|\[|;|\s|\Z)")


def spam_of(headers: Sequence[Field]) -> Spam:
    """Return what X-Spam headers say. That a message is no spam is what nobody has to say: one yes is enough."""
    found, read = NOTHING, 0
    for name, value in headers:
        reader = _READERS.get(name.lower()) if name[:2] in (b"X-", b"x-") else None
        if reader and len(value) <= MAX_FIELD and read < MAX_FIELDS:
            read += 1
            found |= reader(value.decode("utf-8", "replace"))
    return found


def _flag(text: str) -> Spam:
    return Spam(_YES.match(text) is not None)


def _score(text: str) -> Spam:
    found = _SCORE_FIELD.match(text)
    return Spam(score=_number(found[1])) if found else NOTHING


def _status(text: str) -> Spam:
    score, tests = _STATUS_SCORE.search(text), _TESTS.search(text)
    symbols = frozenset(_SYMBOL.findall(tests[1])) if tests else frozenset()
    return Spam(_YES.match(text) is not None, _number(score[1]) if score else None, symbols)


def _rspamd(text: str) -> Spam:
    found = _RSPAMD.match(text)
    if not found:
        return NOTHING
    return Spam(found[1].lower() == "true", _number(found[2]), frozenset(_RSPAMD_SYMBOL.findall(text, found.end())))


def _number(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


_READERS = {
    b"x-spam-flag": _flag, b"x-spam": _flag, b"x-spam-status": _status, b"x-spam-score": _score,
    b"x-spamd-result": _rspamd,
}  # fmt: skip
