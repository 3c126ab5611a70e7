"""Facts about a message that rules are made of: what is missing, odd, or not what it says to be. Pure.

Each small function of the table looks at one thing, in linear time, and yields names of facts with what was found. A
fact is no verdict: much of it occurs in wanted mail, and what it is worth is for the rules to say.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from vaglio.checks.score.hops import Hop, border, hops_of, is_public, seconds_of
from vaglio.checks.score.known import (
    ARCHIVE,
    BRANDS,
    DISK_IMAGE,
    DOCUMENT,
    EXECUTABLE,
    FREE_HOSTING,
    FREE_MAIL,
    MACROS,
    OWN_HOSTS,
    PAGE,
    SHORTENERS,
)
from vaglio.checks.score.mime import Oddity, text_of
from vaglio.checks.score.reading import Reading, Url
from vaglio.facts import Client, Envelope, Session, pack_address
from vaglio.names import GENERIC_WORDS, a_labels, is_generic, registered_domain
from vaglio.verdict import AuthResult

MAX_DETAIL = 100
"""Characters of what was found."""

HOUR = 3600.0
DAY = 24 * HOUR


class Circumstances(NamedTuple):
    """How a message came in. ``recipients`` are those of the envelope, ``now`` is Unix time, ``hostname`` our own, and
    ``results`` what checks before this one found: never what a header of the message says. Of a message in a file
    little of it is known: the client has no address then, and the envelope is empty.
    """

    client: Client
    envelope: Envelope
    session: Session
    recipients: tuple[str, ...] = ()
    now: float = 0.0
    hostname: str = ""
    results: tuple[AuthResult, ...] = ()


FACTS: Mapping[str, str] = {
    # the header
    "no-subject": "There is no subject, or an empty one",
    "subject-capitals": "The subject is in capitals alone",
    "subject-encoded": "The subject is encoded though all of it is ASCII",
    "subject-raw": "The subject, From or To has bytes beyond ASCII that are no UTF-8 and are not encoded",
    "subject-disguised": "The subject has a word whose letters are set apart, or letters meant for formulas",
    "subject-tail": "The subject ends in a row of blanks and something that tells mails apart",
    "subject-reply": "The subject says that this is an answer, and no message is named that it answers to",
    "subject-recipient": "The subject has the recipient's address, or the part of it in front of the @",
    "mixed-scripts": "Words of subject, author's name or text are of letters of two scripts that look alike",
    "from-missing": "There is no From, or one without an address",
    "from-several": "There is more than one From field",
    "from-name-address": "The name of the author is an address, and of another domain than the true one",
    "from-brand": "The name of the author has that of a well-known firm or authority, whose domain it is not",
    "from-free": "The author writes from a free mail service",
    "from-digits": "The author's address has many digits",
    "from-nameless": "The author has no name beside the address",
    "from-own-domain": "The author is said to be of the recipient's domain, and it came from a host of another one",
    "from-is-to": "The author and the one who is written to have the same address",
    "from-null-domain": "The author's address has no domain that there can be",
    "reply-to-free": "Answers go to a free mail service though the author is not there",
    "reply-to-other": "Answers go to another registered domain than the author's",
    "sender-other": "The envelope's sender is of another registered domain than the author",
    "date-missing": "There was no Date until a mail server put one in",
    "date-odd": "The Date is not written as mail's dates are, or can't be read",
    "date-past": "The Date lies a month or more before the message was sent",
    "date-future": "The Date lies hours after the message was sent",
    "message-id-missing": "There was no Message-ID until a mail server put one in",
    "message-id-odd": "The Message-ID is none: no angle brackets, no @, no host, or blanks in it",
    "message-id-bare": "The Message-ID names a host without a domain",
    "message-id-late": "The Message-ID was put in by a mail server on the way",
    "to-missing": "Neither To nor Cc is there",
    "to-undisclosed": "The recipients are not disclosed",
    "to-many": "Many recipients whose addresses begin alike",
    "fields-doubled": "A field that may be there once is there more than once",
    "priority": "It says to be of high priority",
    "mailer-forged": "It does not look like mail of the program that it says to come from",
    # the way
    "no-received": "No mail server is named on its way: it came from whoever wrote it",
    "client-nameless": "The host that handed it in has no name that leads back to it",
    "client-generic": "The host that handed it in is named like a line of a home",
    "helo-address": "The host that handed it in greeted with an address",
    "helo-bare": "The host that handed it in greeted with a name without a dot",
    "helo-ours": "The host that handed it in greeted with our name, or with the recipient's domain",
    "helo-other": "The host that handed it in greeted with a name of another domain than its own",
    "received-provider": "A host on the way greeted as one of a well-known provider, and is none",
    "received-forged": "A Received field names an address that there can't be, or says to be ours",
    "received-order": "The dates of Received fields run backwards",
    "null-sender": "It has no sender, as messages of mail servers have",
    "bounce": "It is a report of a mail server about an earlier message",
    "bounce-foreign": "It is a report about a message that did not come from here",
    "list": "It came through a mailing list, and has its fields",
    "bulk": "It says to be for many",
    "unsubscribe": "It says in its header how to get off the list",
    "conversation": "It answers a message, and quotes it",
    # the body
    "empty-body": "There is no text",
    "image-only": "There are a picture and a link, and next to no text",
    "html-only": "There is HTML and no plain text",
    "html-script": "The HTML has a script",
    "html-form": "The HTML has a form",
    "html-password": "The HTML asks for a password",
    "html-frame": "The HTML has a frame of another page",
    "html-refresh": "The HTML leads on to another page by itself",
    "hidden-text": "Much of the text is not shown",
    "invisible": "Letters that can't be seen stand within words",
    "text-capitals": "Much of the text is in capitals",
    "text-short-link": "There is a link, and hardly any text",
    "base64-needless": "Plain ASCII text is encoded in base64",
    "gtube": "It has the test string for spam filters",
    "smuggling": "A script makes a file out of the message itself",
    # links
    "url-address": "A link leads to a bare address",
    "url-other-shown": "A link shows another host than it leads to",
    "url-punycode": "A link leads to a name in other letters than Latin ones",
    "url-scripts": "A link leads to a name whose letters look like others",
    "url-shortener": "A link hides where it leads to behind a shortener",
    "url-free-hosting": "A link leads to pages that anybody gets at once",
    "url-user": "A link has something in front of its host that looks like one",
    "url-port": "A link leads to an odd port",
    "url-hidden-host": "A link's host is written so that it can't be read",
    "url-recipient": "A link carries the recipient's address",
    "url-digits": "A link leads to a host whose name is of digits and letters mixed",
    "url-many-hosts": "Links lead to many hosts of one domain, and the author is not of it",
    # attachments
    "attachment-executable": "A file is attached that a double click runs",
    "attachment-double": "A file is attached that hides its ending behind another",
    "attachment-reversed": "The name of a file has marks that turn its letters round",
    "attachment-risky": "An image of a disk is attached, or a document that may hold programs",
    "attachment-page": "A web page is attached as a file",
    "attachment-locked": "An archive is attached, and its password stands in the text",
    "attachment-alone": "There is a file, and hardly any text",
    **{f"mime-{oddity}": "How the message is put together is odd: " + oddity.replace("-", " ") for oddity in Oddity},
    # authentication
    **{
        f"{method}={result}": f"{method.upper()} gives {result}"
        for method, words in {
            "spf": ("pass", "fail", "softfail", "neutral", "none", "permerror", "temperror"),
            "dkim": ("pass", "fail", "none", "neutral", "policy", "permerror", "temperror"),
            "dmarc": ("pass", "fail", "none", "permerror", "temperror"),
            "arc": ("pass", "fail", "none"),
        }.items()
        for result in words
    },
    "spf-aligned": "SPF passes for the author's domain",
    "dkim-aligned": "A DKIM signature of the author's domain passes",
}
"""All facts that there are: what each says."""


class _Seen(NamedTuple):
    """What several functions look at."""

    reading: Reading
    about: Circumstances
    hops: list[Hop]
    place: int
    """Of the border among the hops."""
    edge: Hop
    """The border: by which host it came to us."""
    domain: str
    """The author's registered domain."""
    own: frozenset[str]
    """Registered domains of the recipients, and of ours."""
    times: tuple[float | None, ...]
    """When each hop says that it was, of the newest."""
    to: tuple[str, ...]
    """Those it is for, in lower case: recipients of the envelope, or those in To where there is none."""


_Found = Iterator[tuple[str, str]]


def facts_of(reading: Reading, circumstances: Circumstances) -> dict[str, str]:
    """Return the facts that hold, by name, each with what was found ("" where there is nothing to show)."""
    hops = hops_of(reading.values.get("received", ()))
    place, edge = border(hops, circumstances.client, circumstances.session.helo)
    written = _ADDRESS.finditer(" ".join(reading.values.get("to", ()))[:500])
    to = tuple(one.lower() for one in circumstances.recipients[:20]) or tuple(one[0].lower() for one in written)
    own = {_registered(one) for one in circumstances.recipients[:20]}
    own.add(registered_domain(circumstances.hostname))
    domain = _registered(reading.author.address)
    times = tuple(seconds_of(hop.when) for hop in hops[:12])
    seen = _Seen(reading, circumstances, hops, place, edge, domain, frozenset(own - {""}), times, to)
    found: dict[str, str] = {}
    for look in _LOOKS:
        for name, detail in look(seen):
            if name not in found:
                found[name] = detail[:MAX_DETAIL]
    return found


def _domain(address: str) -> str:
    domain = address.rpartition("@")[2].strip(" <>.")
    try:
        return a_labels(domain).lower()
    except UnicodeError:
        return ""


def _registered(address: str) -> str:
    return registered_domain(_domain(address)) if "@" in address else ""


def _first(seen: _Seen, name: str) -> str:
    values = seen.reading.values.get(name)
    return values[0] if values else ""


# --- subject ---

_SPACED = re.compile(r"(?:(?<!\w)\w[ .*_-]){4,}\w(?!\w)")
_TAIL = re.compile(r"\s{5,}[\[(]?[\w-]{3,20}[\])]?$")
_REPLY = re.compile(r"(?:re|r|aw|sv|antw|rif)(?:\[\d+\])?:", re.IGNORECASE)
_LIKE = r"\u0370-\u0373\u0386-\u03ab\u03bf\u03bd\u03c1\u03c4\u03c5\u03b9\u03ba\u0400-\u052f"  # Greek, Cyrillic
_LATIN = r"A-Za-z\u00c0-\u024f"
_MIXED = re.compile(rf"[{_LATIN}][{_LIKE}]|[{_LIKE}][{_LATIN}]")
_STYLED = re.compile("[\U0001d400-\U0001d7ff\uff21-\uff3a\uff41-\uff5a]")


def _subject(seen: _Seen) -> _Found:
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
        if _MIXED.search(subject):
            yield "mixed-scripts", subject
        if len(_STYLED.findall(subject)) >= 3:
            yield "subject-disguised", subject


def _stands_in(word: str, text: str) -> bool:
    """Say whether a word stands in a text, the first time that its letters do."""
    start = text.find(word)
    end = start + len(word)
    return start >= 0 and not text[max(0, start - 1) : start].isalnum() and not text[end : end + 1].isalnum()


def _raw_subject(seen: _Seen) -> str:
    """Return the subject as it came: what is decoded may have lost its blanks."""
    for name, value in seen.reading.fields:
        if name[:1] in b"sS" and name.lower() == b"subject":
            return " ".join(line.strip(" \r") for line in value[:1000].decode("latin-1").split("\n"))
    return ""


_ENCODED = re.compile(rb"=\?(?:utf-8|us-ascii|iso-8859-\d+|windows-125\d)\?[bq]\?", re.IGNORECASE)


def _encoding(seen: _Seen) -> _Found:
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

_ADDRESS = re.compile(r"[\w.+-]{1,64}@([\w-]{1,63}(?:\.[\w-]{1,63}){1,5})")

_BRAND = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, BRANDS))})(?!\w)")


def _author(seen: _Seen) -> _Found:
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
    elif found := _ADDRESS.search(name[:300]):
        shown = registered_domain(found[1].lower())
        if shown and shown != seen.domain:
            yield "from-name-address", f"{found[0]} <{address}>"
    brand = _BRAND.search(name[:200].lower())
    if brand and seen.domain and seen.domain not in BRANDS[brand[0]]:
        yield "from-brand", f"{name} <{address}>"
    if not name.isascii() and _MIXED.search(name):
        yield "mixed-scripts", name
    if "." not in _domain(address).strip("."):
        yield "from-null-domain", address
    if seen.domain in FREE_MAIL:
        yield "from-free", seen.domain
    if sum(letter.isdigit() for letter in address.partition("@")[0][:64]) >= 4:
        yield "from-digits", address
    elsewhere = seen.edge.address and registered_domain(seen.edge.name) != seen.domain
    if seen.domain and elsewhere and seen.domain in {_registered(one) for one in seen.to[:5]}:
        yield "from-own-domain", address


def _answers(seen: _Seen) -> _Found:
    if (to := _first(seen, "reply-to")) and (found := _ADDRESS.search(to)):
        domain = registered_domain(found[1].lower())
        if domain and seen.domain and domain != seen.domain:
            yield "reply-to-other", found[0]
            if domain in FREE_MAIL and seen.domain not in FREE_MAIL:
                yield "reply-to-free", found[0]
    sender = seen.about.envelope.sender or _first(seen, "return-path")
    domain = _registered(sender)
    if domain and seen.domain and domain != seen.domain:
        yield "sender-other", domain


_UNDISCLOSED = re.compile(
    r"undisclosed|recipients?\s*(?:list)?\s*(?:not shown|suppressed)|destinatari nascosti|^\s*[^@<]*:\s*;",
    re.IGNORECASE,
)


def _recipients(seen: _Seen) -> _Found:
    values = seen.reading.values
    to = values.get("to", ())
    if not to and "cc" not in values:
        yield "to-missing", ""
        return
    text = " ".join(to)
    if to and "@" not in text and (not text.strip() or _UNDISCLOSED.search(text)):
        yield "to-undisclosed", text
    found = [one[0].lower() for one in _ADDRESS.finditer(text[:2000])]
    if seen.reading.author.address.lower() in found and len(found) == 1:
        yield "from-is-to", found[0]
    if len(found) >= 5:
        starts = [one[:3] for one in found]
        alike = max(starts.count(start) for start in set(starts))
        if alike >= 5 and alike * 2 >= len(found):
            yield "to-many", f"{len(found)} addresses"


_ONCE = ("from", "to", "subject", "date", "message-id", "reply-to", "cc", "sender")


def _doubled(seen: _Seen) -> _Found:
    values = seen.reading.values
    for name in _ONCE:
        if len(values.get(name, ())) > 1:
            yield "fields-doubled", name


# --- date, Message-ID ---

_PROPER_DATE = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),?\s+)?\d{1,2}\s+(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\s+"
    r"(?:19|20)\d\d\s+\d{1,2}:\d\d(?::\d\d)?\s+(?:[+-](?:0\d|1[0-4])[0-5]\d|[A-Z]{1,5})(?:\s|$)"
)


def _date(seen: _Seen) -> _Found:
    text = _first(seen, "date")
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


def _stands_above(seen: _Seen, wanted: bytes) -> bool:
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


def _message_id(seen: _Seen) -> _Found:
    text = _first(seen, "message-id")
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


def _mailer(seen: _Seen) -> _Found:
    values = seen.reading.values
    mailer = _first(seen, "x-mailer")
    high = _first(seen, "x-priority")[:1] in ("1", "2") or _first(seen, "importance").lower() == "high"
    if high or _first(seen, "priority").lower() == "urgent":
        yield "priority", ""
    written = _first(seen, "message-id").strip()
    is_outlooks = _OUTLOOK_ID.match(written)
    if is_outlooks and not _OUTLOOK_TIME.match(written):
        yield "mailer-forged", f"Message-ID {written} of no time"
    elif _OLD_OUTLOOK.match(mailer):
        if "Express" in mailer and "x-mimeole" not in values:
            yield "mailer-forged", f"{mailer} without X-MimeOLE"
        elif not is_outlooks and not _OTHER_ID.match(written):
            yield "mailer-forged", f"{mailer}, Message-ID {written}"


# --- the way ---


def _client(seen: _Seen) -> _Found:
    edge = seen.edge
    if not seen.hops and seen.about.client.packed and is_public(seen.about.client.address):
        yield "no-received", ""
    if not edge.address:
        return
    if edge.nameless:
        yield "client-nameless", edge.address
    if edge.name and is_generic(edge.name, pack_address(edge.address), GENERIC_WORDS):
        yield "client-generic", edge.name
    yield from _greeting(seen, edge.helo.lower().rstrip("."))


def _greeting(seen: _Seen, helo: str) -> _Found:
    if not helo:
        return
    bare = helo.strip("[]")
    if pack_address(bare):
        yield "helo-address", helo
        return
    if "." not in helo:
        yield "helo-bare", helo
        return
    taker = seen.hops[seen.place].by if 0 <= seen.place < len(seen.hops) else seen.about.hostname.lower()
    domain = registered_domain(helo)
    name = registered_domain(seen.edge.name)
    if domain != name and (helo == taker or (domain and domain in seen.own)):
        yield "helo-ours", helo
    elif domain and name and domain != name:
        yield "helo-other", f"{helo} ({seen.edge.name})"


def _hops(seen: _Seen) -> _Found:
    ours = seen.about.hostname.lower()
    of_ours = seen.domain in seen.own or "list-id" in seen.reading.values  # what we sent may come back
    for place, hop in enumerate(seen.hops):
        if place < seen.place:
            continue
        if hop.address:
            yield from _host(hop)
        if hop.by and seen.place < 0 and hop.by == ours and not of_ours:
            yield "received-forged", hop.by


def _host(hop: Hop) -> _Found:
    packed = pack_address(hop.address)
    if not packed or (len(packed) == 4 and (packed[0] in (0, 255) or packed[0] >= 240)):
        if ":" not in hop.address and hop.address.count(".") == 3:
            yield "received-forged", hop.address
        return
    if not is_public(hop.address):
        return
    domain = registered_domain(hop.helo.lower())
    homes = OWN_HOSTS.get(domain)
    if homes and (hop.name or hop.nameless) and registered_domain(hop.name) not in homes:
        yield "received-provider", f"{hop.helo} ({hop.name} [{hop.address}])"


def _order(seen: _Seen) -> _Found:
    """Each hop is later than those below it, but for clocks that are off."""
    later = None
    for hop, when in zip(seen.hops, seen.times, strict=False):
        if when is None:
            continue
        if later is not None and when > later + 6 * HOUR:
            yield "received-order", hop.when.strip()
            return
        later = when


# --- marks of lists, bounces ---

_BULK = frozenset({"bulk", "junk", "list"})
_WROTE = re.compile(r"^[ \t]*>[ \t]?\S", re.MULTILINE)


def _marks(seen: _Seen) -> _Found:
    values = seen.reading.values
    precedence = _first(seen, "precedence").strip().lower()
    if ("list-id" in values and ("list-post" in values or "list-unsubscribe" in values)) or (
        "x-beenthere" in values or "x-mailman-version" in values or (precedence == "list" and "errors-to" in values)
    ):
        yield "list", _first(seen, "list-id")
    if precedence in _BULK:
        yield "bulk", precedence
    if "list-unsubscribe" in values:
        yield "unsubscribe", ""
    if ("in-reply-to" in values or "references" in values) and _WROTE.search(seen.reading.text[:100_000]):
        yield "conversation", ""


_NAMED = re.compile(rb"^message-id:\s*<[^<>@\s]*@([^<>@\s]+)>|\sby\s+([A-Za-z0-9.-]+)", re.IGNORECASE | re.MULTILINE)
"""What a message from here names us by: its Message-ID, or the Received field of one of our hosts."""


def _bounce(seen: _Seen) -> _Found:
    about = seen.about
    if about.client.packed and about.recipients and not about.envelope.sender:
        yield "null-sender", ""
    kind = _first(seen, "content-type").lower()
    if not (kind.startswith("multipart/report") and "delivery-status" in kind):
        return
    yield "bounce", ""
    if not seen.reading.returned or not seen.own:
        return
    named = _NAMED.findall(seen.reading.returned)
    hosts = {registered_domain(one.decode("ascii", "replace").rstrip(".;")) for pair in named for one in pair if one}
    if hosts.isdisjoint(seen.own):
        yield "bounce-foreign", ", ".join(sorted(hosts - {""}))


# --- the body ---

_INVISIBLE = re.compile(rf"[{_LATIN}][\u200b-\u200d\u2060\ufeff][{_LATIN}]")
_FEW_LETTERS = 80
_CAPITALS = bytes(range(65, 91))
_SMALL = bytes(range(97, 123))


def _body(seen: _Seen) -> _Found:
    reading = seen.reading
    text = reading.text
    letters = len(text) - text.count(" ") - text.count("\n") if len(text) < 2000 else 2000
    images = any(part.kind.startswith("image/") for part in reading.parts) or any(page.images for page in reading.pages)
    if letters < 3 and not images and not reading.attachments:
        yield "empty-body", ""
    elif images and letters < _FEW_LETTERS and reading.urls:  # one without links is a photo that somebody sends
        yield "image-only", reading.urls[0].whole
    elif reading.attachments and letters < _FEW_LETTERS:
        yield "attachment-alone", ""
    elif reading.urls and letters < 2 * _FEW_LETTERS:
        yield "text-short-link", reading.urls[0].whole
    if letters >= 200:
        sample = text[:3000].encode("latin-1", "ignore")
        capitals = len(sample) - len(sample.translate(None, _CAPITALS))
        if capitals > 60 and capitals > len(sample) - len(sample.translate(None, _SMALL)):
            yield "text-capitals", ""
    if not text.isascii():
        if len(_INVISIBLE.findall(text)) >= 3:
            yield "invisible", ""
        if len(mixed := _MIXED.findall(text)) >= 3:
            yield "mixed-scripts", " ".join(mixed[:5])
    if _GTUBE in text or _GTUBE_RSPAMD in text:
        yield "gtube", ""


# Put together here, so that a filter does not take this file for the test.
_GTUBE = "-".join(("XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE", "STANDARD", "ANTI", "UBE", "TEST", "EMAIL*C.34X"))
_GTUBE_RSPAMD = "-".join(("YJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE", "STANDARD", "ANTI", "UBE", "TEST", "EMAIL*C.34X"))

_MARKS = {
    "script": "html-script", "script-link": "html-script", "svg-script": "html-script", "form": "html-form",
    "password": "html-password", "iframe": "html-frame", "meta-refresh": "html-refresh",
}  # fmt: skip


def _pages(seen: _Seen) -> _Found:
    reading = seen.reading
    if not reading.pages:
        return
    if all(not text or text.isspace() for text in reading.plain):
        yield "html-only", ""
    hidden = sum(len(page.hidden) for page in reading.pages)
    if hidden > 400 or (hidden > 60 and hidden > sum(len(page.shown) for page in reading.pages)):
        yield "hidden-text", next(page.hidden for page in reading.pages if page.hidden).strip()
    for page in reading.pages:
        for mark in page.marks:
            if mark in _MARKS:
                yield _MARKS[mark], ""


_MAKES = re.compile(r"\batob\s*\(|fromCharCode|Uint8Array|charCodeAt|unescape\s*\(|decodeURIComponent\s*\(")
_GIVES = re.compile(r"createObjectURL|msSave(?:OrOpen)?Blob|new\s+Blob|document\.write|location\s*(?:\.href)?\s*=|"
                    r"data:(?:application|text/html)")  # fmt: skip
MAX_PAGE = 300_000
"""Characters of a page in which scripts are looked at."""


def _smuggling(seen: _Seen) -> _Found:
    scripted = any("script" in page.marks for page in seen.reading.pages)
    for part in seen.reading.parts:
        page = (scripted and part.kind == "text/html") or part.kind == "image/svg+xml" or _ending(part.name) in PAGE
        if not page:
            continue
        text = text_of(part, MAX_PAGE).text
        if "<script" in text.lower() and _MAKES.search(text) and _GIVES.search(text):
            yield "smuggling", part.name


def _encoded_text(seen: _Seen) -> _Found:
    for part in seen.reading.parts:
        if part.encoding == "base64" and part.is_text and len(part.raw) < 100_000:
            data, _ = part.data()
            if data and data.isascii() and max(map(len, data.split(b"\n", 1000))) < 900:
                yield "base64-needless", part.kind


def _oddities(seen: _Seen) -> _Found:
    for oddity in seen.reading.oddities:
        yield f"mime-{oddity}", ""


# --- links ---

_SHOWN = re.compile(r"\s*(?:https?://)?((?:[a-z0-9-]{1,63}\.){1,5}[a-z]{2,24})(?:[/:?\s]|$)", re.IGNORECASE)
_DIGITS_MIXED = re.compile(r"[a-z]+\d+[a-z]+\d+|\d+[a-z]+\d+[a-z]")
_CYRILLIC_ALIKE = frozenset(
    "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0455\u0456\u0458\u04bb\u0501\u051b\u051d\u04cf0123456789-"
)
_USUAL_PORTS = ("", "80", "443", "8080", "8443")


def _links(seen: _Seen) -> _Found:
    hosts: dict[str, Url] = {}
    carried = [one for address in seen.to[:5] for one in (address, address.replace("@", "%40"))]
    for url in seen.reading.urls:
        hosts.setdefault(url.host, url)
        yield from _link(url)
        if "@" in url.rest or "%40" in url.rest:
            rest = url.rest.lower()
            if any(address in rest for address in carried):
                yield "url-recipient", url.whole
    for url in hosts.values():
        yield from _host_of(url)
    for domain, count in Counter(url.domain for url in hosts.values()).items():
        if count >= 4 and domain and domain != seen.domain:
            yield "url-many-hosts", f"{count} hosts of {domain}"


def _link(url: Url) -> _Found:
    authority = url.whole.partition("//")[2].partition("/")[0].partition("?")[0][:300]
    before, _, place = authority.rpartition("@")
    if before:
        yield "url-user", url.whole
    port = place.rpartition(":")[2] if ":" in place else ""
    if port.isdigit() and port not in _USUAL_PORTS:
        yield "url-port", url.whole
    if "%" in place or (not url.domain and url.host not in place.lower()):
        yield "url-hidden-host", url.whole
    if url.shown and url.domain and (found := _SHOWN.match(url.shown[:300])):
        host = found[1].lower()
        if host != url.host and registered_domain(host) not in ("", url.domain):
            yield "url-other-shown", f"{host} -> {url.host}"


def _host_of(url: Url) -> _Found:
    host, domain = url.host, url.domain
    if not domain:
        if pack_address(host.strip("[]")):
            yield "url-address", url.whole
        return
    parent = domain.partition(".")[2]
    if domain in SHORTENERS or host in SHORTENERS:
        yield "url-shortener", url.whole
    elif domain in FREE_HOSTING or parent in FREE_HOSTING:  # those on the Public Suffix List are no registered domains
        yield "url-free-hosting", url.whole
    if "xn--" in host:
        yield "url-punycode", url.whole
        if any(_looks_like_other(label) for label in host.split(".")):
            yield "url-scripts", url.whole
    elif _DIGITS_MIXED.search(host[: len(host) - len(parent)]):
        yield "url-digits", host


def _looks_like_other(label: str) -> bool:
    """Say whether a label in A-form has letters of two scripts, or is of nothing but letters that look Latin."""
    if not label.startswith("xn--"):
        return False
    try:
        text = label[4:].encode("ascii").decode("punycode")
    except UnicodeError:
        return False
    return bool(_MIXED.search(text)) or _CYRILLIC_ALIKE.issuperset(text)


# --- attachments ---

_TURNED = re.compile("[\u202a-\u202e\u2066-\u2069]")
_PASSWORD = re.compile(r"\b(?:password|passcode|pass\s?phrase|passwort|contrase\w+|mot de passe|pwd)\b", re.IGNORECASE)


def _ending(name: str) -> str:
    return name.rpartition(".")[2].strip().lower() if "." in name else ""


def _attachments(seen: _Seen) -> _Found:
    for part in seen.reading.attachments:
        name = part.name[:300]
        ending = _ending(name)
        if _TURNED.search(name):
            yield "attachment-reversed", unicodedata.normalize("NFKC", _TURNED.sub("?", name))
        if ending in EXECUTABLE:
            yield "attachment-executable", name
        if ending in EXECUTABLE | PAGE | ARCHIVE and _ending(name.rpartition(".")[0]) in DOCUMENT:
            yield "attachment-double", name
        if ending in DISK_IMAGE or ending in MACROS:
            yield "attachment-risky", name
        if ending in PAGE:
            yield "attachment-page", name
        if ending in ARCHIVE and _PASSWORD.search(seen.reading.text, 0, 20_000):
            yield "attachment-locked", name


# --- authentication ---


def _authentication(seen: _Seen) -> _Found:
    for result in seen.about.results:
        name = f"{result.method}={result.result}"
        if name in FACTS:
            yield name, next((value for _, value in result.properties), "")
        if result.result == "pass" and result.method in ("spf", "dkim") and seen.domain:
            wanted = ("smtp.mailfrom",) if result.method == "spf" else ("header.d", "header.i")
            for key, value in result.properties:
                if key in wanted and registered_domain(_domain(value)) == seen.domain:
                    yield f"{result.method}-aligned", value


_LOOKS: tuple[Callable[[_Seen], _Found], ...] = (
    _subject, _encoding, _author, _answers, _recipients, _doubled, _date, _message_id, _mailer, _client, _hops, _order,
    _marks, _bounce, _body, _pages, _smuggling, _encoded_text, _oddities, _links, _attachments, _authentication,
)  # fmt: skip
