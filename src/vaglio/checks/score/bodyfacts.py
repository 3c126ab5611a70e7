"""Facts of what is in the message: text, pages, links, attachments. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable

from vaglio.checks.score.known import ARCHIVE, DISK_IMAGE, DOCUMENT, EXECUTABLE, FREE_HOSTING, MACROS, PAGE, SHORTENERS
from vaglio.checks.score.mime import text_of
from vaglio.checks.score.reading import Url
from vaglio.checks.score.seen import LATIN, MIXED, Found, Seen, has_like
from vaglio.facts import pack_address
from vaglio.names import registered_domain

# --- the body ---

_UNSEEN = "\u200b\u200c\u200d\u2060\ufeff"
_INVISIBLE = re.compile(rf"[{LATIN}][{_UNSEEN}][{LATIN}]")
_FEW_LETTERS = 80
_CAPITALS = bytes(range(65, 91))
_SMALL = bytes(range(97, 123))


def _body(seen: Seen) -> Found:
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
        if any(sign in text for sign in _UNSEEN) and len(_INVISIBLE.findall(text)) >= 3:
            yield "invisible", ""
        if has_like(text) and len(mixed := MIXED.findall(text)) >= 3:
            yield "mixed-scripts", " ".join(mixed[:5])
    if not reading.whole:
        yield "cut-off", f"{reading.size} bytes"
        if not any(part.is_text for part in reading.parts):
            yield "cut-before-text", ""
    if _GTUBE in text or _GTUBE_RSPAMD in text:
        yield "gtube", ""


# Put together here, so that a filter does not take this file for the test.
_GTUBE = "-".join(("XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE", "STANDARD", "ANTI", "UBE", "TEST", "EMAIL*C.34X"))
_GTUBE_RSPAMD = "-".join(("YJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE", "STANDARD", "ANTI", "UBE", "TEST", "EMAIL*C.34X"))

_MARKS = {
    "script": "html-script", "script-link": "html-script", "svg-script": "html-script", "form": "html-form",
    "password": "html-password", "iframe": "html-frame", "meta-refresh": "html-refresh", "handler": "html-handler",
    "object": "html-plugin", "data-link": "html-data-link", "data-image": "html-data-image", "base": "html-base",
    "image-map": "html-image-map", "long": "page-long", "deep": "page-deep",
}  # fmt: skip


def _pages(seen: Seen) -> Found:
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


_SAMPLE = 2000
_FEW_WORDS = 30
_IN_BOTH = 0.15


def _alternative(seen: Seen) -> Found:
    """Compare a plain text with the page behind it, which is what most readers are shown. A few words that send them
    to the page are usual; much text that is not there is for filters.
    """
    reading = seen.reading
    if len(reading.parts) < 2 or not reading.plain or not reading.pages or reading.pages[0].attached:
        return
    first = [(part.kind, part.depth) for part in reading.parts if part.is_text][:2]
    if [kind for kind, _ in first] != ["text/plain", "text/html"] or first[0][1] != first[1][1]:
        return
    words = set(reading.plain[0][:_SAMPLE].lower().split())
    shown = set(reading.pages[0].shown[: 2 * _SAMPLE].lower().split())
    if len(words) >= _FEW_WORDS and shown and len(words & shown) < _IN_BOTH * len(words):
        yield "alternative-differs", ""


_MAKES = re.compile(r"\batob\s*\(|fromCharCode|Uint8Array|charCodeAt|unescape\s*\(|decodeURIComponent\s*\(")
_GIVES = re.compile(r"createObjectURL|msSave(?:OrOpen)?Blob|new\s+Blob|document\.write|"
                    r"location\s*+(?>(?:\.href\s*+)?)=|data:(?:application|text/html)")  # fmt: skip
MAX_PAGE = 300_000
"""Characters of a page in which scripts are looked at."""


def _smuggling(seen: Seen) -> Found:
    scripted = any("script" in page.marks for page in seen.reading.pages)
    for part in seen.reading.parts:
        page = (scripted and part.kind == "text/html") or part.kind == "image/svg+xml" or _ending(part.name) in PAGE
        if not page:
            continue
        text = text_of(part, MAX_PAGE).text
        if "<script" in text.lower() and _MAKES.search(text) and _GIVES.search(text):
            yield "smuggling", part.name


def _encoded_text(seen: Seen) -> Found:
    for part in seen.reading.parts:
        if part.encoding == "base64" and part.is_text and len(part.raw) < 100_000:
            data, _ = part.data()
            if data and data.isascii() and max(map(len, data.split(b"\n", 1000))) < 900:
                yield "base64-needless", part.kind


def _oddities(seen: Seen) -> Found:
    for oddity in seen.reading.oddities:
        yield f"mime-{oddity}", ""


# --- links ---

_SHOWN = re.compile(r"\s*(?:https?://)?((?:[a-z0-9-]{1,63}\.){1,5}[a-z]{2,24})(?:[/:?\s]|$)", re.IGNORECASE)
_DIGITS_MIXED = re.compile(r"(?<![a-z])[a-z]++\d++[a-z]++\d|(?<!\d)\d++[a-z]++\d++[a-z]", re.ASCII)
_CYRILLIC_ALIKE = frozenset(
    "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0455\u0456\u0458\u04bb\u0501\u051b\u051d\u04cf0123456789-"
)
_USUAL_PORTS = ("", "80", "443", "8080", "8443")
_MANY_DOMAINS = 50


def _links(seen: Seen) -> Found:
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
    domains = Counter(url.domain for url in hosts.values())
    if len(domains) >= _MANY_DOMAINS:
        yield "url-many-domains", f"{len(domains)} domains"
    for domain, count in domains.items():
        if count >= 4 and domain and domain != seen.domain:
            yield "url-many-hosts", f"{count} hosts of {domain}"


def _link(url: Url) -> Found:
    authority = url.whole.partition("//")[2].partition("/")[0].partition("?")[0][:300]
    before, _, place = authority.rpartition("@")
    if before:
        yield "url-user", url.whole
    port = place.rpartition(":")[2] if ":" in place else ""
    if port.isdigit() and port not in _USUAL_PORTS:
        yield "url-port", url.whole
    if "%" in place or (not url.domain and url.host not in place.lower()):
        yield "url-hidden-host", url.whole
    if url.shown and (found := _SHOWN.match(url.shown[:300])):
        host = found[1].lower()
        if host != url.host and registered_domain(host) not in ("", url.domain):
            yield "url-other-shown", f"{host} -> {url.host}"


def _host_of(url: Url) -> Found:
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
    return bool(MIXED.search(text)) or _CYRILLIC_ALIKE.issuperset(text)


# --- attachments ---

_TURNED = re.compile("[\u202a-\u202e\u2066-\u2069]")
_PASSWORD = re.compile(r"\b(?:password|passcode|pass\s?phrase|passwort|contrase\w+|mot de passe|pwd)\b", re.IGNORECASE)


def _ending(name: str) -> str:
    return name.rpartition(".")[2].strip().lower() if "." in name else ""


def _attachments(seen: Seen) -> Found:
    password = _PASSWORD.search(seen.reading.text, 0, 20_000) if seen.reading.attachments else None
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
        if ending in ARCHIVE and password:
            yield "attachment-locked", name


LOOKS: tuple[Callable[[Seen], Found], ...] = (
    _body, _pages, _alternative, _smuggling, _encoded_text, _oddities, _links, _attachments,
)  # fmt: skip
