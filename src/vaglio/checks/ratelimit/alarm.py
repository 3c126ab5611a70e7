"""What the admin is told of a key that is beyond its limit: a line for the log, a mail, details for a webhook.

English: an admin reads it. Nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from shlex import quote
from typing import NamedTuple

from vaglio.checks.ratelimit.decide import Alarm, Finding
from vaglio.checks.ratelimit.limits import Kind, amount_text, counted, limit_text
from vaglio.verdict import Fact

_DONE = {
    "defer": "Further messages are deferred until there is room again.",
    "reject": "Further messages are refused until there is room again.",
    "hold": "Further messages are put on hold: see them with 'mailq', let them go with 'postsuper -H QUEUE_ID'.",
    "header": "Further messages are marked, and go on their way.",
    "log": "Nothing is held back: this rule only tells.",
}
_REFUSED = "Such a message is refused for good; smaller ones go on their way as long as there is room."
_TOO_MUCH = _DONE | {"defer": _REFUSED, "reject": _REFUSED}
"""Where a message is too much by itself, whatever was counted before."""
_REHEARSED = 'This is a rehearsal (ratelimit.mode = "rehearse"): nothing is held back. In earnest:'


class AlarmMail(NamedTuple):
    """An alarm in words. ``line`` is for the log; ``details`` the same as values."""

    line: str
    subject: str
    text: str
    details: Mapping[str, Fact]


def alarm_mail(alarm: Alarm, now: int, rehearse: bool = False) -> AlarmMail:
    """Return what to tell; ``rehearse`` where nothing is held back."""
    finding, usage = alarm
    rule, action = finding.rule, finding.rule.settings.action
    limit = limit_text(finding.limit, rule.kind) if finding.limit else ""
    mark, mode = ("in rehearsal, nothing is held back: ", "rehearse") if rehearse else ("", "enforce")
    found = _found(finding, limit)
    line = (
        f"{mark}{usage.name!a} is beyond its limit {rule.name}: {found}; "
        f"from {usage.clients or 'an unknown client'}, to {usage.domains or 'unknown domains'}"
    )
    pasted = quote(usage.name)  # a shell will read it, and a sender address may hold anything
    text = "\n".join(
        [
            f"{usage.name} is beyond its limit.",
            "",
            f"Rule:               {rule.name}, {limit} ({rule.kind.value})",
            f"Found:              {found}",
            f"First seen:         {_date(usage.first)}",
            f"Clients:            {usage.clients or 'unknown'}",
            f"Recipient domains:  {usage.domains or 'unknown'}",
            "",
            *([_REHEARSED] if rehearse else []),
            (_TOO_MUCH if finding.hopeless else _DONE)[action],
            "",
            "If this is not what its owner does, change the password first, then look at what is in the queue",
            "(mailq) and at its sessions in the mail log.",
            "",
            f"  vaglio ratelimit show {pasted}",
            f"  vaglio ratelimit reset {pasted}      once all is well again",
            f"  vaglio journal --since 1d --user {pasted}",
        ]
    )
    details: dict[str, Fact] = {
        "key": usage.name, "rule": rule.name, "count": rule.kind.value, "used": finding.used, "units": finding.units,
        "limit": limit, "action": action, "mode": mode, "clients": usage.clients, "recipient_domains": usage.domains,
        "first_seen": usage.first, "at": now,
    }  # fmt: skip
    subject = f"{usage.name} is beyond its sending limit ({rule.name}{', rehearsal' if rehearse else ''})"
    return AlarmMail(line, subject, text, details)


def _found(finding: Finding, limit: str) -> str:
    """Return what was counted and what is allowed: ``200 recipients counted, this message adds 3, 200/1h allowed``."""
    kind, cap = finding.rule.kind, finding.rule.settings.per_message
    if kind is Kind.REFUSED_SHARE:
        return f"{finding.used}% of its recipients were refused, {limit} allowed"
    units = amount_text(finding.units, kind)
    if finding.hopeless and 0 < cap < finding.units:
        return f"this message has {units}, at most {counted(cap, kind, 'en')} in one message"
    if finding.hopeless:
        return f"this message alone has {units}, {limit} allowed"
    return f"{counted(finding.used, kind, 'en')} counted, this message adds {units}, {limit} allowed"


def _date(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
