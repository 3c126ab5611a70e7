"""What a sender hears of a refusal, and the headers that tell of the score.

Italian is written without accents: a reply may go to clients that did not ask for SMTPUTF8 (RFC 6531 3.7.4.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from vaglio.checks.replytext import filled
from vaglio.checks.score.decide import Decision, Found, Thresholds
from vaglio.checks.score.settings import ScoreSettings
from vaglio.examination import Field, counted
from vaglio.verdict import Action, Change, Header, Reply

_MAX_STARS = 50
_MAX_TESTS = 2000
"""Characters of the symbols in X-Spam-Status."""

_TOO_MANY = {"en": "Too many X-Spam headers", "it": "Troppe intestazioni X-Spam"}


def reply(found: Found, decision: Decision, ref: str, language: str, settings: ScoreSettings) -> Reply | None:
    """Return what the sender is told; None for a message that is taken."""
    if decision.action is not Action.REJECT:
        return None
    template = settings.reply_it if language == "it" else settings.reply
    reasons = ". ".join(_reasons(found, language))
    text = filled(template, {"score": f"{found.score:g}", "reasons": reasons or f"{found.score:g}"}, ref)
    return Reply(550, "5.7.1", text)


def too_many(ref: str, language: str) -> Reply:
    """Return what a message gets that has more X-Spam headers than are taken out (RFC 3463 3.8)."""
    text = _TOO_MANY.get(language, _TOO_MANY["en"])
    return Reply(550, "5.7.1", f"{text}; ref {ref}" if ref else text)


def _reasons(found: Found, language: str) -> list[str]:
    """Return what weighed most, without what was found: what a stranger wrote is not for a reply, but for the domain
    that a list knows. What Bayes says comes last: nobody could write his message otherwise for that.
    """
    weighty = sorted((hit for hit in found.hits if hit.score > 0), key=lambda hit: hit.symbol.startswith("BAYES"))
    said = [(hit.it if language == "it" else hit.en) or hit.en for hit in weighty]
    return list(dict.fromkeys(said))[:2]


def headers(found: Found, decision: Decision, limits: Thresholds, settings: ScoreSettings) -> tuple[Header, ...]:
    """Return the header fields that tell of the score, those that the settings name."""
    said = "Yes" if decision.spam else "No"
    required = f" required={limits.tag:.1f}" if limits.tag < inf else ""
    values = {
        "flag": said.upper(),
        "score": f"{found.score:.1f}",
        "level": "*" * min(_MAX_STARS, max(0, int(found.score))),
        "status": f"{said}, score={found.score:.1f}{required}\n\ttests={_tests(found)}",
    }
    # A level without stars would be an empty field.
    return tuple(Header(f"X-Spam-{name.capitalize()}", values[name]) for name in settings.headers if values[name])


def _tests(found: Found) -> str:
    """Return the symbols with their scores, parted by a comma and a place to fold."""
    tests: list[str] = []
    room = _MAX_TESTS
    for hit in found.hits:
        one = f"{hit.symbol}={hit.score:g}"
        room -= len(one) + 2
        if room < 0:
            break
        tests.append(one)
    return ", ".join(tests) or "none"


def foreign(fields: Sequence[Field]) -> tuple[Change, ...]:
    """Return the removal of the X-Spam fields that a message brought along: nobody believes what a stranger writes of
    himself, and filters behind us must not.
    """
    return tuple(Change(name, nth, "") for name, nth, _ in counted(fields, _tells_of_spam))


def _tells_of_spam(name: bytes) -> bool:
    return name[:6].lower() == b"x-spam"  # X-Spam, X-Spam-Flag, X-Spamd-Result ...
