"""The words of a message, as Bayes learns and judges them. Pure; strangers write all of it.

A word of the text stands for itself; one from elsewhere says where it stood, by a mark of four letters:

- of text: each word in lower case, and each with its neighbour ("click_here"); of much text, words of each part that is
  shown, from its beginning, end and middle;
- ``subj:`` words of the subject, pairs of them, the signs in it, and how it is encoded;
- ``head:`` what else the header tells: which field follows which, addresses and their domains, hosts and networks of
  the newest Received wherever they stand, the shape of Message-ID and Date, how all other fields begin;
- ``link:`` hosts, registered domains and words of the paths of URLs;
- ``part:`` kinds, character sets and encodings of parts, names of attachments, oddities.

What is new in every message says nothing, and fills the store: digits become "#", of long words there is only the
beginning, of ids only the shape. HTML tags are no words: those of newsletters and of spam are the same.

Who wants a message to be read as another one adds words to it. So each place has room of its own, that no other can
take: nor can many fields take it from those that tell most, nor many links from their hosts, nor one text from another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise, zip_longest
from typing import Final, TypeVar

from vaglio.checks.score.reading import Reading
from vaglio.names import registered_domain

VERSION: Final = 1
"""Of the way words are made: what was learned with another one does not fit."""

_T = TypeVar("_T")

MAX_TEXT = 6000
"""Characters of the text in which words are looked for: some 1,000 words."""

MAX_PAIRS = 500
"""Of the words, that count together with their neighbours too: of each piece as many as it has of the words."""

_MAX_HEADER = 500
_MAX_SUBJECT = 130
_MAX_LINKS = 200
_MAX_OF_PARTS = 90
MAX_TOKENS = _MAX_HEADER + _MAX_SUBJECT + _MAX_LINKS + _MAX_OF_PARTS + MAX_TEXT // 4
"""Of one message."""

_TEXTS = (20, 20)  # the first and the last
_URLS = (45, 15)
_MAX_FIELDS = 150
_MAX_VALUE = 500  # characters of a field
_MAX_OF_FIELD = 20  # words or addresses of one field
_MAX_PARTS = 20


def tokens_of(reading: Reading) -> list[str]:
    """Return the words of a message, each once, at most ``MAX_TOKENS``; those of the text come last."""
    found = chain(
        islice(_header(reading), _MAX_HEADER),
        islice(_subject(reading), _MAX_SUBJECT),
        islice(_links(reading), _MAX_LINKS),
        islice(_parts(reading), _MAX_OF_PARTS),
        _text(reading),
    )
    return list(islice(dict.fromkeys(found), MAX_TOKENS))


# --- words ---

_WORD = re.compile(r"[^\W_](?:[\w'.,$€£%&@-]*[^\W_])?[!$€£%]*|[$€£][0-9][0-9.,]*|!{2,}")
_DIGITS = re.compile(r"[0-9]+")
_LONG = 20


class _Words(dict[str, tuple[str, ...]]):
    """The words in what stands between two blanks; those of one sign only if they are words. What was found out is
    kept, up to a bound: "the", "please," come again and again.
    """

    def __missing__(self, run: str) -> tuple[str, ...]:
        if run.isalpha() and 1 < len(run) <= _LONG:  # as three in four are
            words: tuple[str, ...] = (run,)
        else:
            words = tuple([_plain(word) for word in _WORD.findall(run) if len(word) > 1 or word in "IiAa"])
        if len(run) <= _LONG:
            if len(self) >= _MOST_KEPT:
                self.clear()
            self[run] = words
        return words


_MOST_KEPT = 20_000
_words_in = _Words()


def _words(text: str) -> Iterator[str]:
    """Yield the words of a text."""
    return chain.from_iterable(map(_words_in.__getitem__, text.split()))


def _plain(word: str) -> str:
    """Return a word without what makes it the only one of its kind: its number, its length."""
    if len(word) > _LONG:
        word = f"{word[:5]}~"
    return word if word.isalpha() else _DIGITS.sub(_number, word)


def _number(digits: re.Match[str]) -> str:
    return "####"[: len(digits[0])]


# --- text ---


def _text(reading: Reading) -> Iterator[str]:
    texts = [*(page.shown for page in reading.pages if not page.attached), *reading.plain]
    pieces = [[*_words(piece.lower())] for piece in _pieces(texts)]
    total = max(sum(map(len, pieces)), MAX_PAIRS)
    yield from chain.from_iterable(pieces)
    for words in pieces:
        yield from map("_".join, pairwise(words[: MAX_PAIRS * len(words) // total + 1]))


def _pieces(texts: Sequence[str]) -> Iterable[str]:
    """Return ``MAX_TEXT`` characters of all texts, in turn, pages before their plain alternatives."""
    if sum(map(len, texts)) <= MAX_TEXT:
        return texts
    texts = _ends(texts, *_TEXTS)
    share = _share([*map(len, texts)])
    return chain.from_iterable(zip_longest(*(_spans(text, share) for text in texts), fillvalue=""))


def _share(sizes: Sequence[int]) -> int:
    """Return how much there may be of each text; what short ones leave is for longer ones."""
    room, left = MAX_TEXT, len(sizes)
    for size in sorted(sizes):
        if size * left > room:
            break
        room -= size
        left -= 1
    return room // max(left, 1)


def _spans(text: str, share: int) -> Sequence[str]:
    """Return as much of a text: its beginning, its end and what is in its middle: half of it, and a quarter each."""
    if len(text) <= share:
        return (text,)
    quarter = share // 4
    middle = (len(text) - quarter) // 2
    return text[: 2 * quarter], text[-quarter:], text[middle : middle + quarter]


def _ends(found: Sequence[_T], first: int, last: int) -> Sequence[_T]:
    """Return the first and the last of many."""
    return found if len(found) <= first + last else (*found[:first], *found[-last:])


# --- subject ---

_ENCODED = re.compile(rb"=\?([^?]{1,30})\?(.)")
_SIGNS = re.compile(r"[^\w\s]")
_TAIL = re.compile(r"\s{5}\S+\Z")


def _subject(reading: Reading) -> Iterator[str]:
    subject = reading.subject[:500]
    words = ["^", *islice(_words(subject.lower()), 60)]
    for before, word in pairwise(words):
        yield f"subj:{word}"
        yield f"subj:{before} {word}"
    yield f"subj:signs {''.join(sorted({*_SIGNS.findall(subject)}))[:10]}"
    if subject.isupper():
        yield "subj:capitals"
    if _TAIL.search(subject):
        yield "subj:tail"
    raw = next((value for name, value in reading.fields if name.lower() == b"subject"), b"")
    if encoded := _ENCODED.search(raw[:500]):
        yield f"subj:{encoded[1].decode('latin-1').lower()} {encoded[2].decode('latin-1')}"


# --- header ---

_ADDRESSES = frozenset({"from", "to", "cc", "reply-to", "sender", "errors-to", "x-sender", "list-id", "list-post",
                        "x-beenthere"})  # fmt: skip
_REFERENCES = frozenset({"in-reply-to", "references"})
_ADDRESS = re.compile(r"(?<![^\s<>\"(),;:@])([^\s<>\"(),;:@]{1,64}+)@([\w.-]{1,255})")
_HOST = re.compile(r"(?<![\w.@-])(?:[a-z0-9_-]{1,63}\.){1,10}[a-z]{2,24}(?![\w-])", re.IGNORECASE)
_IPV4 = re.compile(r"(?<![\w.])(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?![\w.])", re.ASCII)
_LOWER, _UPPER = re.compile(r"[a-z]+"), re.compile(r"[A-Z]+")
_HEX = re.compile(r"[0-9a-fA-F]+")
_ZONE = re.compile(r"([+-][0-9]{4}|\b[A-Z]{2,4})(?: *\(([^()]{1,30})\))?\Z")
_BOUNDARY = re.compile(r"boundary=\"?[^\";]*", re.IGNORECASE)

_ROOM = {
    "received": 100, "from": 40, "to": 40, "message-id": 20, "date": 10, "content-type": 20, "reply-to": 30,
    "x-mailer": 5, "user-agent": 5, "in-reply-to": 10, "references": 20, "list-id": 20, "list-post": 20, "sender": 20,
    "cc": 30,
}  # fmt: skip
"""Words of the fields that tell most; they come first. Of all other names there are ``_ROOM_OF_OTHERS``."""
_ROOM_OF_OTHERS = 20
_NEWEST = 6  # fields of one name; of Received, those that were written last


def _shape(text: str) -> str:
    """Return what kinds of letters follow each other: 9a9A for 2002abc77X."""
    return _LOWER.sub("a", _UPPER.sub("A", _DIGITS.sub("9", text)))


def _header(reading: Reading) -> Iterator[str]:
    return (f"head:{token}" for token in _of_header(reading))


def _of_header(reading: Reading) -> Iterator[str]:
    for name in chain(_ROOM, islice((name for name in reading.values if name not in _ROOM), _MAX_FIELDS)):
        if values := reading.values.get(name):
            words = chain.from_iterable(_of_field(name[:20], value[:_MAX_VALUE]) for value in values[:_NEWEST])
            yield from islice(words, _ROOM.get(name, _ROOM_OF_OTHERS))
    names = [name.decode("latin-1").strip().lower()[:40] for name, _ in reading.fields[:_MAX_FIELDS]]
    yield "fields " + " ".join(name for name in dict.fromkeys(names) if not name.startswith("x-"))[:200]
    yield from (f"{before}, {name}" for before, name in pairwise(names) if before != name)


def _of_field(name: str, value: str) -> Iterator[str]:
    """Yield the words of a field, by what it holds."""
    if name == "received":
        yield from _of_received(value)
    elif name in _ADDRESSES:
        yield from _of_addresses(name, value)
    elif name == "message-id":
        yield from _of_message_id(value)
    elif name == "date":
        yield from _of_date(value)
    elif name in _REFERENCES:
        yield from (f"reference @{domain.lower()}" for _, domain in _ADDRESS.findall(value)[:_MAX_OF_FIELD])
        yield f"{name} {min(value.count('@'), 5)}"
    elif name == "content-type":
        yield f"type {_BOUNDARY.sub('boundary', value).lower()[:60]}"
        yield from (f"type {word.lower()[:40]}" for word in value.split()[:12] if "oundary" not in word)
    elif name != "subject":
        yield f"{name}: {_DIGITS.sub(_number, value[:50])}"


def _of_received(value: str) -> Iterator[str]:
    trace = value.partition(";")[0]
    for host in islice(_HOST.findall(trace), _MAX_OF_FIELD):
        yield from _of_domain("host ", host.lower())
    for address in islice(_IPV4.findall(trace), _MAX_OF_FIELD):
        yield from (f"net {'.'.join(address[:length])}" for length in (1, 2, 3, 4))


def _of_domain(mark: str, name: str) -> Iterator[str]:
    """Yield a name, the registered domain that it belongs to, and its last label."""
    yield f"{mark}{name[:60]}"
    yield f"{mark}{registered_domain(name)}"
    yield f"{mark}.{name.rpartition('.')[2][:24]}"


def _of_addresses(name: str, value: str) -> Iterator[str]:
    addresses = _ADDRESS.findall(value)[:_MAX_OF_FIELD] if "@" in value else []
    for local, domain in addresses:
        yield f"{name} {local.lower()}@{domain.lower()[:60]}"
        yield f"{name} {_plain(local.lower())}@"
        yield f"{name} {_shape(local)}@"
        yield from _of_domain(f"{name} @", domain.lower())
    names = _ADDRESS.sub("", value) if addresses else value
    yield from (f"{name} {word}" for word in islice(_words(names), _MAX_OF_FIELD))
    yield f"{name} of {min(len(addresses), 10)}"


def _of_message_id(value: str) -> Iterator[str]:
    local, _, domain = value.strip("<> ").partition("@")
    yield from _of_domain("id @", domain.lower())
    yield f"id {_shape(local)[:40]}"
    yield f"id {_HEX.sub(lambda run: f'h{len(run[0])}', local)[:40]}"


def _of_date(value: str) -> Iterator[str]:
    if zone := _ZONE.search(value):
        yield f"zone {zone[1]} {zone[2] or ''}"
    else:
        yield "zone none"
    yield "date " + re.sub(r"[A-Za-z]+", "a", re.sub(r"[0-9]", "9", value.partition("+")[0]))[:50]


# --- links and parts ---

_PATH_WORDS = re.compile(r"[^\W_]{2,20}")


def _links(reading: Reading) -> Iterator[str]:
    urls = _ends(reading.urls, *_URLS)
    for url in {url.host: url for url in urls}.values():
        yield f"link:{url.host[:60]}"
        yield f"link:@{url.domain or url.host[:60]}"
        if url.domain and url.host != url.domain:
            yield f"link:{_plain(url.host.removesuffix(url.domain))}"
    for url in urls:
        yield f"link:/{_LOWER.sub('a', _DIGITS.sub('9', url.rest[:60].lower()))[:30]}"
        yield from (f"link:/{_plain(word)}" for word in _PATH_WORDS.findall(url.rest[:200])[:12])


def _parts(reading: Reading) -> Iterator[str]:
    parts: Sequence[tuple[str, str, str]] = [(part.kind, part.charset, part.encoding) for part in reading.parts]
    yield f"part:{' '.join(kind for kind, _, _ in parts[:8])[:200]}"
    yield from (f"part:{kind[:40]}; {charset[:20]}; {encoding[:20]}" for kind, charset, encoding in parts[:_MAX_PARTS])
    for part in reading.attachments[:_MAX_PARTS]:
        yield f"part:name {_plain(part.name.lower())}"
        yield f"part:name .{part.name.lower().rpartition('.')[2][:8]}"
    yield from (f"part:{oddity}" for oddity in sorted(reading.oddities))
    yield f"part:text {len(reading.text).bit_length()}"
    yield f"part:images {sum(len(page.images) for page in reading.pages).bit_length()}"
