"""What a user hears whose message is beyond a limit, and the header of one that is only marked.

Italian is written without accents: a reply may go to clients that did not ask for SMTPUTF8 (RFC 6531 3.7.4.1).
"""

from __future__ import annotations

from math import ceil

from vaglio.checks.ratelimit.decide import Decision, Finding, Reason
from vaglio.checks.ratelimit.limits import Kind, amount_text
from vaglio.checks.ratelimit.rules import Case
from vaglio.checks.ratelimit.settings import RatelimitSettings
from vaglio.checks.replytext import filled
from vaglio.config.types import format_duration
from vaglio.verdict import Header

_WHAT = {
    "en": {
        Kind.MESSAGES: "messages", Kind.RECIPIENTS: "recipients", Kind.BYTES: "", Kind.NEW_RECIPIENTS: "new recipients",
        Kind.DISTINCT_RECIPIENTS: "different recipients", Kind.DISTINCT_NETWORKS: "different networks",
        Kind.DISTINCT_COUNTRIES: "different countries", Kind.REFUSED_SHARE: "refused recipients",
    },
    "it": {
        Kind.MESSAGES: "messaggi", Kind.RECIPIENTS: "destinatari", Kind.BYTES: "",
        Kind.NEW_RECIPIENTS: "destinatari nuovi", Kind.DISTINCT_RECIPIENTS: "destinatari diversi",
        Kind.DISTINCT_NETWORKS: "reti diverse", Kind.DISTINCT_COUNTRIES: "paesi diversi",
        Kind.REFUSED_SHARE: "destinatari rifiutati",
    },
}  # fmt: skip
_OVER = {
    "en": "Sending limit: {who} has reached {limit}{what} in {window}{wait}{help}",
    "it": "Limite di invio: {who} ha raggiunto {limit}{what} in {window}{wait}{help}",
}
_WAIT = {"en": "; there is room again in {time}", "it": "; ci sara' posto tra {time}"}
_TOO_MUCH = {
    "en": "Sending limit: this message is more than {who} may ever send at once ({limit}{what}){help}",
    "it": "Limite di invio: questo messaggio supera quanto {who} puo' inviare in una volta ({limit}{what}){help}",
}
_NOT_OWN = {
    "en": "The login {who} may not send as {sender}{help}",
    "it": "L'utente {who} non puo' scrivere come {sender}{help}",
}
_HELP = {"en": "; help: {help}", "it": "; aiuto: {help}"}
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
        template = (own.over if own else "") or _OVER[shipped]
    return filled(template, values, ref)


def _values(
    decision: Decision, case: Case, language: str, settings: RatelimitSettings, now: float
) -> dict[str, str]:
    help_text = _HELP[language].format(help=settings.help) if settings.help else ""
    values = {"who": case.user[:_PART], "sender": case.sender[:_PART], "help": help_text}
    finding = decision.worst
    if finding is None or finding.limit is None:
        return values
    kind, cap = finding.rule.kind, finding.rule.settings.per_message
    most = cap if decision.reason is Reason.TOO_MUCH and 0 < cap < finding.units else finding.limit.most
    word = _WHAT[language][kind]
    return values | {
        "who": decision.name[:_PART],
        "what": f" {word}" if word else "",
        "limit": amount_text(most, kind),
        "window": format_duration(finding.limit.seconds),
        "wait": _wait(finding, language, now),
    }


def _wait(finding: Finding, language: str, now: float) -> str:
    left = finding.free_at - now
    if not 0 < left < 10**9:
        return ""
    seconds = ceil(left)
    rounded = seconds if seconds < 120 else -(-seconds // 60) * 60
    return _WAIT[language].format(time=format_duration(rounded))


def header(decision: Decision, hostname: str) -> Header:
    """Return the header that marks a message beyond a limit."""
    finding = decision.worst
    assert finding is not None
    limit = finding.limit
    said = f"{amount_text(limit.most, finding.rule.kind)}/{format_duration(limit.seconds)}" if limit else ""
    return Header("X-Rate-Limit", f"exceeded; rule={finding.rule.name}; limit={said}; by={hostname}")

