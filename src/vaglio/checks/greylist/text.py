"""What a greylisted sender is told, and the header of a message that was delayed.

Italian is written without accents: a reply may go to clients that did not ask for SMTPUTF8 (RFC 6531 3.7.4.1).
"""

from __future__ import annotations

from datetime import UTC, datetime

from vaglio.checks.greylist.decide import Decision, Reason
from vaglio.checks.greylist.settings import GreylistSettings
from vaglio.checks.replytext import filled
from vaglio.facts import Facts
from vaglio.verdict import Header

_SHIPPED = {
    "en": (
        "Greylisted: first contact with {recipient_domain} from here, please retry in {seconds} s "
        "(mail servers do this by themselves){help}",
        "Greylisted: too early, please retry in {seconds} s (mail servers do this by themselves){help}",
    ),
    "it": (
        "Greylisted: primo contatto con {recipient_domain} da qui, riprovare tra {seconds} s "
        "(i server di posta lo fanno da soli){help}",
        "Greylisted: troppo presto, riprovare tra {seconds} s (i server di posta lo fanno da soli){help}",
    ),
}
_HELP = {"en": "; see {url}", "it": "; vedi {url}"}


def reply_text(decision: Decision, facts: Facts, ref: str, language: str, settings: GreylistSettings) -> str:
    """Return the text of a deferral in ``language`` (``en`` where no text is at hand), the reference at its end."""
    shipped = _SHIPPED.get(language, _SHIPPED["en"])
    own = settings.text.get(language)
    if decision.reason is Reason.EARLY:
        template = (own.early if own else "") or shipped[1]
    else:
        template = (own.first if own else "") or shipped[0]
    values = {
        "seconds": str(decision.left),
        "minutes": str(-(-decision.left // 60)),
        "recipient_domain": facts.envelope.recipient.rpartition("@")[2][:100],
        "client": facts.client.address,
        "help": _HELP.get(language, _HELP["en"]).format(url=settings.help_url) if settings.help_url else "",
    }
    return filled(template, values, ref)


def header(decision: Decision, now: int, hostname: str, settings: GreylistSettings) -> Header | None:
    """Return the ``X-Greylist`` header for one who is let in, None where the settings want none."""
    if settings.header == "none" or (settings.header == "delayed" and decision.reason is not Reason.RETRIED):
        return None
    date = datetime.fromtimestamp(now, UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
    what = f"delayed {decision.waited} seconds" if decision.reason is Reason.RETRIED else "not delayed"
    return Header("X-Greylist", f"{what} ({decision.reason}) by vaglio at {hostname}; {date}")
