"""What the admin is told of a key that is beyond its limit: a line for the log, a mail, details for a webhook.

English: an admin reads it. Nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from shlex import quote
from typing import NamedTuple

from vaglio.checks.ratelimit.decide import Alarm
from vaglio.checks.ratelimit.limits import limit_text
from vaglio.verdict import Fact

_SIGNS = {
    "distinct_networks": "different client networks",
    "distinct_countries": "different countries",
    "distinct_recipients": "different recipients",
    "new_recipients": "recipients never written to before",
    "refused_share": "per cent of its recipients refused",
}
_DONE = {
    "defer": "Further messages are deferred until there is room again.",
    "reject": "Further messages are refused until there is room again.",
    "hold": "Further messages are put on hold: see them with 'mailq', let them go with 'postsuper -H QUEUE_ID'.",
    "header": "Further messages are marked, and go on their way.",
    "log": "Nothing is held back: this rule only tells.",
}


class AlarmMail(NamedTuple):
    """An alarm in words. ``line`` is for the log; ``details`` the same as values."""

    line: str
    subject: str
    text: str
    details: Mapping[str, Fact]


def alarm_mail(alarm: Alarm, now: int) -> AlarmMail:
    """Return what to tell."""
    finding, usage = alarm
    rule = finding.rule
    limit = limit_text(finding.limit, rule.kind) if finding.limit else ""
    unit = _SIGNS.get(rule.kind, rule.kind.value)
    line = (
        f"{usage.name!a} is beyond its limit {rule.name}: {finding.used} {unit} counted, {limit} allowed; "
        f"from {usage.clients or 'an unknown client'}, to {usage.domains or 'unknown domains'}"
    )
    pasted = quote(usage.name)  # a shell will read it, and a sender address may hold anything
    text = "\n".join(
        [
            f"{usage.name} is beyond its limit.",
            "",
            f"Rule:               {rule.name}, {limit} ({unit})",
            f"Counted before:     {finding.used}",
            f"This message:       {finding.units}",
            f"First seen:         {_date(usage.first)}",
            f"Clients:            {usage.clients or 'unknown'}",
            f"Recipient domains:  {usage.domains or 'unknown'}",
            "",
            _DONE[rule.settings.action],
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
        "limit": limit, "action": rule.settings.action, "clients": usage.clients, "recipient_domains": usage.domains,
        "first_seen": usage.first, "at": now,
    }  # fmt: skip
    return AlarmMail(line, f"{usage.name} is beyond its sending limit ({rule.name})", text, details)


def _date(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
