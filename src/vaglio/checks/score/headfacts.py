"""Facts of the header: subject, author, recipients, date, Message-ID, and the program that wrote it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from vaglio.checks.score.hops import seconds_of
from vaglio.checks.score.known import BRANDS, FREE_MAIL
from vaglio.checks.score.seen import ADDRESS, MIXED, Found, Seen, domain_in, first, registered
from vaglio.names import registered_domain

HOUR = 3600.0
DAY = 24 * HOUR

# --- subject ---

_SPACED = re.compile(r"(?:(?<!\w)\w[ .*_-]){4,}\w(?!\w)")
_TAIL = re.compile(r"(?<!\s)\s{5,}+[\[(]?[\w-]{3,20}[\])]?$")
_REPLY = re.compile(r"(?:re|r|aw|sv|antw|rif)(?:\[\d+\])?:", re.IGNORECASE)
_STYLED = re.compile("[\U0001d400-\U0001d7ff\uff21-\uff3a\uff41-\uff5a]")


def _subject(seen: Seen) -> Found:
    subject = seen.reading.subject
    if not subject.strip():
        yield "no-subject", ""
        return
    if subject.isupper() and " " in subject and sum(map(str.isalpha, subject[:200])) >= 10:
        yield "subject-capitals", subject
    if found := _SPACED.search(subject[:300]):
        yield "subject-disguised", found[0]
    if found := _TAIL.search(_raw_subject(seen)):
        yield "subject-tail", found[0].strip()
    values = seen.reading.values
    if _REPLY.match(subject) and "in-reply-to" not in values and "references" not in values:
        yield "subject-reply", subject
    lowered = subject.lower()
    for address in seen.to[:3]:
        local = address.partition("@")[0]
        if len(local) >= 4 and _stands_in(local, lowered):
            yield "subject-recipient", local
    if not subject.isascii():
        if MIXED.search(subject):
            yield "mixed-scripts", subject
        if len(_STYLED.findall(subject)) >= 3:
            yield "subject-disguised", subject


def _stands_in(word: str, text: str) -> bool:
    """Say whether a word stands in a text, the first time that its letters do."""
    start = text.find(word)
    end = start + len(word)
    return start >= 0 and not text[max(0, start - 1) : start].isalnum() and not text[end : end + 1].isalnum()


def _raw_subject(seen: Seen) -> str:
    """Return the subject as it came: what is decoded may have lost its blanks."""
    for name, value in seen.reading.fields:
        if len(name) == 7 and name.lower() == b"subject":
            return " ".join(line.strip(" \r") for line in value[:1000].decode("latin-1").split("\n"))
    return ""


_ENCODED = re.compile(rb"=\?(?:utf-8|us-ascii|iso-8859-\d+|windows-125\d)\?[bq]\?", re.IGNORECASE)


def _encoding(seen: Seen) -> Found:
    for name, value in seen.reading.fields:
        if len(name) not in (2, 4, 7) or (plain := name.lower()) not in (b"subject", b"from", b"to"):
            continue
        if not value.isascii():
            try:
                value.decode("utf-8")
            except UnicodeDecodeError:
                yield "subject-raw", value[:60].decode("latin-1")
        elif plain == b"subject" and _ENCODED.search(value) and seen.reading.subject.isascii():
            yield "subject-encoded", seen.reading.subject


# --- author and recipients ---


_BRAND = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, BRANDS))})(?!\w)")


def _author(seen: Seen) -> Found:
    reading = seen.reading
    fields = reading.values.get("from", ())
    name, address = reading.author
    if not fields or "@" not in address:
        yield "from-missing", fields[0] if fields else ""
        return
    if len(fields) > 1:
        yield "from-several", fields[1]
    if not name:
        yield "from-nameless", ""
    elif found := ADDRESS.search(name[:300]):
        shown = registered_domain(found[1].lower())
        if shown and shown != seen.domain:
            yield "from-name-address", f"{found[0]} <{address}>"
    brand = _BRAND.search(name[:200].lower())
    if brand and seen.domain and seen.domain not in BRANDS[brand[0]]:
        yield "from-brand", f"{name} <{address}>"
    if not name.isascii() and MIXED.search(name):
        yield "mixed-scripts", name
    if "." not in domain_in(address).strip("."):
        yield "from-null-domain", address
    if seen.domain in FREE_MAIL:
        yield "from-free", seen.domain
    if sum(letter.isdigit() for letter in address.partition("@")[0][:64]) >= 4:
        yield "from-digits", address
    elsewhere = seen.edge.address and registered_domain(seen.edge.name) != seen.domain
    if seen.domain and elsewhere and seen.domain in {registered(one) for one in seen.to[:5]}:
        yield "from-own-domain", address


def _answers(seen: Seen) -> Found:
    if (to := first(seen, "reply-to")) and (found := ADDRESS.search(to)):
        domain = registered_domain(found[1].lower())
        if domain and seen.domain and domain != seen.domain:
            yield "reply-to-other", found[0]
            if domain in FREE_MAIL and seen.domain not in FREE_MAIL:
                yield "reply-to-free", found[0]
    sender = seen.about.envelope.sender or first(seen, "return-path")
    domain = registered(sender)
    if domain and seen.domain and domain != seen.domain:
        yield "sender-other", domain


_UNDISCLOSED = re.compile(
    r"undisclosed|recipients? ?(?:list)? ?(?:not shown|suppressed)|destinatari nascosti|^[^@<]*: ?;", re.IGNORECASE
)
_MAX_LIST = 2000
"""Characters of all fields of a name together in which addresses are looked for."""


def _recipients(seen: Seen) -> Found:
    values = seen.reading.values
    to = values.get("to", ())
    if not to and "cc" not in values:
        yield "to-missing", ""
        return
    text = " ".join(" ".join(to)[:_MAX_LIST].split())
    if to and "@" not in text and (not text or _UNDISCLOSED.search(text)):
        yield "to-undisclosed", text
    found = [one[0].lower() for one in ADDRESS.finditer(text)]
    if seen.reading.author.address.lower() in found and len(found) == 1:
        yield "from-is-to", found[0]
    if len(found) >= 5:
        starts = [one[:3] for one in found]
        alike = max(starts.count(start) for start in set(starts))
        if alike >= 5 and alike * 2 >= len(found):
            yield "to-many", f"{len(found)} addresses"


_ONCE = ("from", "to", "subject", "date", "message-id", "reply-to", "cc", "sender")


def _doubled(seen: Seen) -> Found:
    values = seen.reading.values
    for name in _ONCE:
        if len(values.get(name, ())) > 1:
            yield "fields-doubled", name


# --- date, Message-ID ---

_PROPER_DATE = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),?\s+)?\d{1,2}\s+(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\s+"
    r"(?:19|20)\d\d\s+\d{1,2}:\d\d(?::\d\d)?\s+(?:[+-](?:0\d|1[0-4])[0-5]\d|[A-Z]{1,5})(?:\s|$)"
)


def _date(seen: Seen) -> Found:
    text = first(seen, "date")
    if not text or _stands_above(seen, b"date"):
        yield "date-missing", ""
        return
    written = seconds_of(text)
    if written is None:
        yield "date-odd", text
        return
    if not _PROPER_DATE.match(text.strip()):
        yield "date-odd", text
    sent = [when for when in seen.times if when is not None]
    if not sent:  # of one in a file nobody knows when it came
        sent = [seen.about.now if seen.about.client.packed else written]
    ahead = min((written - when for when in sent), key=abs)
    if ahead < -30 * DAY:
        yield "date-past", text
    elif ahead > 4 * HOUR:
        yield "date-future", text


def _stands_above(seen: Seen, wanted: bytes) -> bool:
    """Say whether a field was put in on the way: mail servers write on top, so it stands above a Received field, and
    the author below.
    """
    above = False
    for name, _ in seen.reading.fields:
        if len(name) == 8 and name.lower() == b"received":
            if above:
                return True
        elif len(name) == 4 and name.lower() == b"from":
            return False
        elif len(name) == len(wanted) and name.lower() == wanted:
            above = True
    return False


_ID = re.compile(r"\s*<[^\s<>@]+@([^\s<>@]+)>\s*(?:\(.*\))?\s*", re.DOTALL)


def _message_id(seen: Seen) -> Found:
    text = first(seen, "message-id")
    if not text.strip() or _stands_above(seen, b"message-id"):
        yield "message-id-missing", text
        return
    if not (found := _ID.fullmatch(text[:500])):
        yield "message-id-odd", text
    elif "." not in found[1] and "[" not in found[1]:
        yield "message-id-bare", text
    lowered = text.lower()
    for place, hop in enumerate(seen.hops):
        if len(hop.number) >= 5 and hop.number in lowered:
            yield ("message-id-missing" if place <= seen.place else "message-id-late"), text
            return


# --- what wrote it ---

_OUTLOOK_ID = re.compile(r"<[0-9a-f]{12}\$[0-9a-f]{8}\$[0-9a-f]{8}\$?@", re.IGNORECASE)
_OUTLOOK_TIME = re.compile(r"<[0-9a-f]{4}01[bcde]", re.IGNORECASE)
"""The upper half of Windows' time: 1998 to 2059."""
_OLD_OUTLOOK = re.compile(r"Microsoft Outlook (?:Express (?!Macintosh)|IMO|CWS)|Microsoft Outlook,? Build")
"""What later ones write depends on the server."""
_OTHER_ID = re.compile(r"<[A-Z]{28}\.\S+@|<[A-Za-z0-9+/!=]{20,100}@|<(?:BAY|BLU|SNT|COL|DUB|OE)\S+@|<[0-9A-F]{32}@")
"""Those that Outlook writes for Exchange and Hotmail."""


def _mailer(seen: Seen) -> Found:
    values = seen.reading.values
    mailer = first(seen, "x-mailer")
    high = first(seen, "x-priority")[:1] in ("1", "2") or first(seen, "importance").lower() == "high"
    if high or first(seen, "priority").lower() == "urgent":
        yield "priority", ""
    written = first(seen, "message-id").strip()
    is_outlooks = _OUTLOOK_ID.match(written)
    if is_outlooks and not _OUTLOOK_TIME.match(written):
        yield "mailer-forged", f"Message-ID {written} of no time"
    elif _OLD_OUTLOOK.match(mailer):
        if "Express" in mailer and "x-mimeole" not in values:
            yield "mailer-forged", f"{mailer} without X-MimeOLE"
        elif not is_outlooks and not _OTHER_ID.match(written):
            yield "mailer-forged", f"{mailer}, Message-ID {written}"


LOOKS: tuple[Callable[[Seen], Found], ...] = (
    _subject, _encoding, _author, _answers, _recipients, _doubled, _date, _message_id, _mailer,
)  # fmt: skip
