"""The URLs of a message: found in text, and read as browsers read them (WHATWG URL, RFC 3986, UTS 46). Pure.

Who sends spam wants readers to get there and filters not to see where: with blanks in it, backslashes, escapes, a
number for an address, a name in front of an "@". Only where it leads counts here: to a host on the Internet, by http,
https or ftp. Nothing is asked for and nothing is fetched.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import AddressValueError, IPv6Address
from itertools import islice
from typing import NamedTuple
from urllib.parse import unquote

from vaglio.names import a_labels, registered_domain

MAX_URLS = 500
"""URLs of a message that are kept; of more the first and the last ones."""

MAX_URL = 2000
"""Characters of a URL; the rest of a longer one is left out."""

MAX_SHOWN = 200
"""Characters of the text of a link that are kept with its URL."""

_MAX_TRIED = 4 * MAX_URLS
"""Places of a message that are looked at, half of them from the end; not every one is a URL."""

_MAX_WITHIN = 3
"""URLs that are looked for within one, as those that redirect have them."""

_MAX_HOST = 768  # of 253 bytes, each escaped


class Url(NamedTuple):
    """A URL of the message, each once. ``whole`` is as written, but for what browsers drop, and with a scheme where
    none was. ``host`` is in lower case and A-labels, or an address, in usual notation whatever way it was written;
    ``domain`` the registered domain, "" for an address. ``rest`` is path and query. ``shown`` is the text of its link,
    "" where it stood in text.
    """

    whole: str
    scheme: str
    host: str
    domain: str
    rest: str
    shown: str = ""


class Found(NamedTuple):
    """The URLs of a message; ``all`` is false where there are more."""

    urls: tuple[Url, ...]
    all: bool


def urls_of(links: Sequence[tuple[str, str]], texts: Iterable[str], images: Iterable[str] = ()) -> Found:
    """Return the URLs of links (target and text), of texts and of images, each once, in this order. Of too many those
    in the middle are left out, where anybody would hide one, and images before others.
    """
    places: dict[str, str] = {}
    for written, shown in links:
        places.setdefault(written, shown)
    displayed = {written for _, shown in links for written in found_in(shown)}  # leads where the link does
    for text in texts:
        for written in found_in(text):
            if written not in displayed:
                places.setdefault(written, "")
    known: set[str] = set()
    found: list[Url] = []
    pictures = dict.fromkeys(image for image in images if image not in places)
    waiting = [deque(places.items()), deque((image, "") for image in pictures)]
    for some in waiting:
        first = _urls_in(some, some.popleft, known, (MAX_URLS - len(found)) // 2)
        last = _urls_in(some, some.pop, known, MAX_URLS - len(found) - len(first))
        found += [*first, *reversed(last)]
    return Found(tuple(found[:MAX_URLS]), len(found) <= MAX_URLS and not any(waiting))


_Place = tuple[str, str]
"""Where a URL may be: what is written there, and what is shown for it."""


def _urls_in(places: deque[_Place], take: Callable[[], _Place], known: set[str], most: int) -> list[Url]:
    """Take places, one by one, up to so many URLs that are not yet known; return these, and those within them."""
    found: list[Url] = []
    for _ in range(min(len(places), _MAX_TRIED // 2)):
        if len(found) >= most:
            break
        if url := url_of(*take()):
            new = {one.whole: one for one in (url, *_within(url)) if one.whole not in known}
            known.update(new)
            found += new.values()
    return found


# --- in text ---

_SLASHES = re.compile("://")
_WWW = re.compile(r"[wW][wW][wW]\.(?=\w)")
_SCHEMES = ("http", "https", "ftp")
_LONGEST = 5
_RUN = re.compile(r"[^\s\x00-\x1f\x7f<>\"«»“”‘’„，。、；：！？（）【】《》「」…]+")  # noqa: RUF001  # they are meant
_TRAILING = ".,;:!?'`*_~|\\)]}"


def found_in(text: str) -> Iterator[str]:
    """Yield what mail programs make a link of: what begins with a scheme or with www."""
    if "://" in text:
        end = 0
        for mark in _SLASHES.finditer(text):
            if (start := mark.start()) < end:  # within the last one
                continue
            before = text[max(0, start - _LONGEST) : start].lower()
            scheme = next((scheme for scheme in _SCHEMES if before.endswith(scheme)), "")
            if scheme and (run := _run(text, mark.end())):
                end = mark.end() + len(run)
                yield f"{scheme}://{run}"
    if "ww." in text or "WW." in text:
        for mark in _WWW.finditer(text):
            if (start := mark.start()) == 0 or not (text[start - 1].isalnum() or text[start - 1] in "/\\.@-_%"):
                yield _run(text, start)


def _run(text: str, start: int) -> str:
    """Return what stands there up to a blank or the like, without the punctuation of the sentence around it."""
    found = _RUN.match(text, start, start + MAX_URL)
    whole = found[0] if found else ""
    kept = whole.rstrip(_TRAILING)
    if whole[len(kept) : len(kept) + 1] == ")" and kept.count("(") > kept.count(")"):
        kept += ")"
    return kept


# --- one URL ---

_DROPPED = re.compile(r"[\t\r\n]+")
_ENDS = "".join(map(chr, range(0x21)))  # controls and the blank
_URL = re.compile(r"(?:(https?|ftp):)?([/\\]*)([^/\\?#]*)([^#]*)", re.IGNORECASE)
_PORT = re.compile(r":[0-9]*\Z")


def url_of(written: str, shown: str = "") -> Url | None:
    """Return where a link leads, as browsers read it; None where that is no host on the Internet."""
    text = _DROPPED.sub("", written.lstrip(_ENDS)[: 2 * MAX_URL])[:MAX_URL].rstrip(_ENDS)
    parts = _URL.match(text)
    if parts is None or not parts[3]:
        return None
    scheme, slashes = (parts[1] or "").lower(), parts[2]
    if not scheme:
        if len(slashes) < 2 and (slashes or text[:4].lower() != "www."):
            return None
        scheme, text = "http", "http://" + text[len(slashes) : MAX_URL]
    host, domain = _host(_PORT.sub("", parts[3].rpartition("@")[2])[: _MAX_HOST + 1])
    return Url(text, scheme, host, domain, parts[4], shown[:MAX_SHOWN]) if host else None


_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_BASE = re.compile(r"(?P<root>(?P<scheme>https?:|ftp:)[/\\]*[^/\\?#]*)(?P<folder>[^?#]*[/\\])?", re.IGNORECASE)


def joined(base: str, target: str) -> str:
    """Return where a link leads from a page with this base; as it is where the base is none of use."""
    target = target.lstrip(_ENDS)
    parts = _BASE.match(base.strip(_ENDS))
    if parts is None or _SCHEME.match(target):
        return target
    if target[:2].replace("\\", "/") == "//":
        return parts["scheme"] + target
    if target[:1] in ("/", "\\"):
        return parts["root"] + target
    return parts["root"] + (parts["folder"] or "/") + target


_INNER = re.compile(r"(?:https?|ftp)(?::|%3a|%253a)(?:/|%2f|%252f){2}[^&\s]*", re.IGNORECASE)
_LEADS_ON = re.compile(
    r"/(?:url|redirect|l\.php)\?(?:[^#\s]*&)?(?:q|u|url)=([^&#\s]+)|/(?:amp/(?:s/)?|c/s/)([^?#\s]+)",
    re.IGNORECASE,
)
_REDIRECTORS = frozenset(("google", "youtube", "facebook", "ampproject"))
"""Whose path or query says where to, also without a scheme: google.com/url?q=caio.it leads to caio.it."""


def _within(url: Url) -> Iterator[Url]:
    """Yield the URLs in the path or query of one, where those that redirect say where to."""
    if len(url.rest) < len("/c/a.b"):
        return
    for match in islice(_INNER.finditer(url.rest), _MAX_WITHIN):
        text = match[0]
        for _ in range(2):
            if "://" not in text[: _LONGEST + 3]:
                text = unquote(text, errors="replace")
        if inner := url_of(text):
            yield inner
    if url.domain.partition(".")[0] in _REDIRECTORS and (found := _LEADS_ON.match(url.rest)):
        inner = url_of("http://" + unquote(found[1] or found[2], errors="replace"))
        if inner and inner.domain:
            yield inner


# --- the host ---

_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z0-9-]{1,63}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_MAX_NAME = 253


@functools.lru_cache(maxsize=2048)
def _host(text: str) -> tuple[str, str]:
    """Return a host as it is usually written, and its registered domain; nothing for what can be none."""
    if len(text) > _MAX_HOST:
        return "", ""
    if "%" in text:
        text = unquote(text, errors="replace")
    if text.startswith("["):
        return _ipv6(text), ""
    name = _ascii(text).lower().removesuffix(".")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        return _ipv4(name), ""
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        return "", ""
    return name, registered_domain(name)


def _ascii(text: str) -> str:
    """Return a name in A-labels; browsers take some, such as emoji, that IDNA 2008 does not."""
    if text.isascii() or len(text) > _MAX_NAME:
        return text
    try:
        return a_labels(text)
    except UnicodeError:
        labels = unicodedata.normalize("NFKC", text).casefold().replace("\u3002", ".").split(".")
        return ".".join(label if label.isascii() else _punycode(label) for label in labels)


def _punycode(label: str) -> str:
    return "xn--" + label.encode("punycode").decode("ascii") if len(label) <= 63 else ""


def _ipv4(name: str) -> str:
    """Return an address that may be in one to four numbers, each decimal, octal or hexadecimal; "" for what is none."""
    labels = name.split(".")
    try:
        numbers = [_number(label) for label in labels]
    except ValueError:
        return ""
    *octets, last = numbers
    if len(numbers) > 4 or any(octet > 255 for octet in octets) or last >= 256 ** (5 - len(numbers)):
        return ""
    packed = bytes(octets) + last.to_bytes(5 - len(numbers), "big")
    return ".".join(map(str, packed))


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)


def _ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text[1:-1])) if text.endswith("]") and "%" not in text else ""
    except AddressValueError:
        return ""
