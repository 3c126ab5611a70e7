"""What a user hears whose message is beyond a limit, and the header of one that is only marked.

Italian is written without accents: a reply may go to clients that did not ask for SMTPUTF8 (RFC 6531 3.7.4.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from vaglio.checks.ratelimit.decide import Decision, Finding, Reason
from vaglio.checks.ratelimit.limits import Kind, amount_text, noun
from vaglio.checks.ratelimit.rules import Case
from vaglio.checks.ratelimit.settings import RatelimitSettings
from vaglio.checks.replytext import filled
from vaglio.config.types import format_duration
from vaglio.verdict import Header

_OVER = {
    "en": "Sending limit: {who} would exceed {limit}{what} in {window} ({used} used, this would add {units})"
    "{when}{where}",
    "it": "Limite di invio: {who} supererebbe {limit}{what} in {window} (finora {used}, questo invio ne conta {units})"
    "{when}{where}",
}
_REFUSED = {
    "en": "Sending limit: more than {limit} of the recipients of {who} in {window} were refused{when}{where}",
    "it": "Limite di invio: i destinatari rifiutati di {who} in {window} superano la quota di {limit}{when}{where}",
}
"""For a share, which no single message exceeds."""
_WHEN = {"en": "; there is room again in {wait}", "it": "; ci sara' posto tra {wait}"}
_TOO_MUCH = {
    "en": "Sending limit: this message is more than {who} may send at once ({limit}{what}){where}",
    "it": "Limite di invio: questo messaggio supera quanto {who} puo' inviare in una volta ({limit}{what}){where}",
}
_NOT_OWN = {
    "en": "The login {who} may not send as {sender}{where}",
    "it": "L'utente {who} non puo' scrivere come {sender}{where}",
}
_WHERE = {"en": "; help: {help}", "it": "; aiuto: {help}"}
"""With ``_WHEN`` what only the shipped texts say: clauses that fall away where there is nothing to put into them."""
_PART = 120


def reply_text(decision: Decision, case: Case, ref: str, language: str, settings: RatelimitSettings, now: float) -> str:
    """Return the reply in ``language`` (``en`` where no text is at hand), the reference at its end."""
    language = language if language in _OVER or language in settings.text else "en"
    shipped = language if language in _OVER else "en"
    values = _values(decision, case, shipped, settings, now)
    if decision.reason is Reason.NOT_OWN_SENDER:
        template = _NOT_OWN[shipped]
    elif decision.reason is Reason.TOO_MUCH:
        template = _TOO_MUCH[shipped]
    else:
        own = settings.text.get(language)
        template = (own.over if own else "") or _shipped(decision)[shipped]
    return filled(template, values, ref)


def _shipped(decision: Decision) -> Mapping[str, str]:
    is_share = decision.worst is not None and decision.worst.rule.kind is Kind.REFUSED_SHARE
    return _REFUSED if is_share else _OVER


def _values(
    decision: Decision, case: Case, language: str, settings: RatelimitSettings, now: float
) -> dict[str, str]:
    where = _WHERE[language].format(help=settings.help) if settings.help else ""
    values = {"who": case.user[:_PART], "sender": case.sender[:_PART], "help": settings.help, "where": where}
    finding = decision.worst
    if finding is None or finding.limit is None:
        return values
    kind, cap, wait = finding.rule.kind, finding.rule.settings.per_message, _wait(finding, now)
    most = cap if decision.reason is Reason.TOO_MUCH and 0 < cap < finding.units else finding.limit.most
    return values | {
        "who": decision.name[:_PART],
        "what": noun(most, kind, language),
        "limit": amount_text(most, kind, language),
        "used": amount_text(finding.used, kind, language),
        "units": amount_text(finding.units, kind, language),
        "window": format_duration(finding.limit.seconds),
        "wait": wait,
        "when": _WHEN[language].format(wait=wait) if wait else "",
    }


def _wait(finding: Finding, now: float) -> str:
    """Return how long until there is room; "" where that is not known."""
    left = finding.free_at - now
    if not 0 < left < 10**9:
        return ""
    seconds = ceil(left)
    rounded = seconds if seconds < 120 else -(-seconds // 60) * 60
    return format_duration(rounded)


def header(decision: Decision, hostname: str) -> Header:
    """Return the header that marks a message beyond a limit."""
    finding = decision.worst
    assert finding is not None
    limit = finding.limit
    said = f"{amount_text(limit.most, finding.rule.kind)}/{format_duration(limit.seconds)}" if limit else ""
    return Header("X-Rate-Limit", f"exceeded; rule={finding.rule.name}; limit={said}; by={hostname}")

