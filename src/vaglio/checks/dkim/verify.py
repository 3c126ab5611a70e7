"""Verifies signatures (RFC 6376 6.1): which of them, over which header fields and bytes of the body, with which result.

Pure: key records and the time are handed in, the body comes as its hash. What a signature may cost is bounded here:
how many are read and verified, and how much of a header each may sign. One never spoils another.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import NamedTuple

from vaglio.checks.dkim import canonical
from vaglio.checks.dkim.canonical import BodyHash, Digest, Form
from vaglio.checks.dkim.key import LEAST_BITS, Key, key_of
from vaglio.checks.dkim.outcome import RESULTS, Flaw, Flawed, Reason, Result, shown
from vaglio.checks.dkim.signature import Signature, ascii_name, read, without_value
from vaglio.examination import Field
from vaglio.mailboxes import mailboxes
from vaglio.names import registered_domain
from vaglio.ports import Answer

MAX_READ = 15
"""Signatures of a message that are read."""

MAX_SIGNED = 256 * 1024
"""Bytes of header fields that a signature may be about."""

_COPIES, _ALIKE = 100, 10
"""Fields of z= that are looked at, and fields of one name."""


class Manner(NamedTuple):
    """What is asked of signatures. ``most`` are verified; ``slack`` is how many seconds clocks may differ;
    ``partial_body`` lets pass what signs the beginning of the body only, ``testing`` what is signed in test mode.
    """

    most: int = 5
    slack: float = 300
    least_bits: int = LEAST_BITS
    partial_body: bool = False
    testing: bool = False


class Judged(NamedTuple):
    """What became of a signature. ``words`` say what was found, "" for a pass; ``beyond`` are bytes of the body that it
    does not cover; ``bits`` are those of the key, 0 where there is none.
    """

    signature: Signature
    reason: Reason
    words: str = ""
    beyond: int = 0
    bits: int = 0

    @property
    def result(self) -> Result:
        """The result."""
        return RESULTS[self.reason]


def is_signature(name: bytes) -> bool:
    """Say whether a header field of this name is a signature."""
    return name == b"DKIM-Signature" or (len(name) >= 14 and name.rstrip(b" \t").lower() == b"dkim-signature")


class Header:
    """The header of a message, from which signatures choose what they are about."""

    __slots__ = ("_canonical", "_fields", "_places")

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = fields
        self._places: dict[bytes, list[int]] = {}
        spelt: dict[bytes, list[int]] = {}  # by the name as written: most of many fields have one spelling
        for place, (name, _) in enumerate(fields):
            places = spelt.get(name)
            if places is None:
                places = spelt[name] = self._places.setdefault(name.rstrip(b" \t").lower(), [])
            places.append(place)
        self._canonical: dict[tuple[int, Form], bytes] = {}

    def signatures(self) -> list[tuple[int, Signature]]:
        """Return those that are read, each with its place among the fields."""
        places = self._places.get(b"dkim-signature", [])[:MAX_READ]
        return [(place, read(self._fields[place])) for place in places]

    def count(self, name: bytes) -> int:
        """Return how many fields there are of a name in lower case."""
        return len(self._places.get(name, ()))

    def counts(self, names: Container[bytes]) -> tuple[tuple[bytes, int], ...]:
        """Return which of these names there are, in lower case, and how many fields of each."""
        return tuple([(name, len(places)) for name, places in self._places.items() if name in names])

    def author(self) -> str:
        """Return the domain of the address in From, in A-labels; "" where there is not exactly one field
        with one address.
        """
        places = self._places.get(b"from", ())
        if len(places) != 1:
            return ""
        authors = mailboxes(self._fields[places[0]].value)
        return ascii_name(authors[0].domain) if len(authors) == 1 else ""

    def signed(self, signature: Signature, own: int) -> bytes:
        """Return the bytes that a signature signs; ``own`` is its own place. Raises Flawed if they are too many."""
        form, size, lines = signature.header_form, 0, []
        for place in self.select(signature.signed, own):
            line = self._in_form(place, form)
            size += len(line)
            if size > MAX_SIGNED:
                raise Flawed(Reason.TOO_LARGE, f"it signs more than {MAX_SIGNED} bytes of header")
            lines.append(line)
        name, value = signature.field
        lines.append(canonical.header(name, without_value(value), form))
        return b"\r\n".join(lines)

    def changed(self, copied: str) -> list[str]:
        """Return the names of fields that are not as z= has them (RFC 6376 3.5), which is for people only."""
        found: list[str] = []
        for part in copied.split("|", _COPIES)[:_COPIES]:
            name, colon, value = part.partition(":")
            places = self._places.get(name.lower().encode(), [])[-_ALIKE:]
            now = {self._in_form(place, Form.RELAXED).partition(b":")[2] for place in places}
            if colon and canonical.relaxed(binascii.a2b_qp(value.encode())) not in now:
                found.append(name)
        return found

    def select(self, names: Iterable[bytes], own: int = -1) -> Iterator[int]:
        """Yield the places of the fields that h= names, from the last one of a name up; a name that is there more often
        than its fields stands for nothing (RFC 6376 5.4.2). A signature never signs itself (3.5).
        """
        left: dict[bytes, list[int]] = {}
        for name in names:
            places = left.get(name)
            if places is None:
                places = left[name] = [place for place in self._places.get(name, ()) if place != own]
            if places:
                yield places.pop()

    def _in_form(self, place: int, form: Form) -> bytes:
        line = self._canonical.get((place, form))
        if line is None:
            line = self._canonical[place, form] = canonical.header(*self._fields[place], form)
        return line


def screened(signature: Signature, now: float, manner: Manner) -> Flaw | None:
    """Return why a signature is no longer looked at, before anything is asked for it."""
    if signature.flaw:
        return signature.flaw
    if signature.expires is not None and signature.expires + manner.slack < now:
        return Flaw(Reason.EXPIRED, f"it expired {_ago(now - signature.expires)} ago")
    if signature.stamped is not None and signature.stamped - manner.slack > now:
        return Flaw(Reason.FROM_FUTURE, f"it is of a time {_ago(signature.stamped - now)} ahead")
    return None


def _ago(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def choose(signatures: Sequence[tuple[int, Signature]], author: str, most: int) -> list[tuple[int, Signature]]:
    """Return the signatures that are verified, in their order: those of the author's domain first (RFC 7489 3.1.1)."""
    if len(signatures) <= most:
        return list(signatures)
    ranked = sorted(signatures, key=lambda one: distance(one[1].domain, author))
    return sorted(ranked[:most], key=lambda one: one[0])


def distance(domain: str, author: str) -> int:
    """Return 0 for the author's own domain, 1 for one of the same organization, 2 for any other."""
    if domain == author:
        return 0
    registered = registered_domain(author)
    return 1 if registered and registered_domain(domain) == registered else 2


Bodies = dict[Form, Callable[[int | None], Digest]]
"""By form: the digest of the first bytes of a body; of all of it, for None."""


class Hashes:
    """Hashes a body once in each form that signatures want, whatever their number."""

    __slots__ = ("_hashes",)

    def __init__(self, signatures: Iterable[Signature]) -> None:
        lengths: dict[Form, list[int]] = {}
        for one in signatures:
            marks = lengths.setdefault(one.body_form, [])
            if one.length is not None:
                marks.append(one.length)
        self._hashes = {form: BodyHash(form, marks) for form, marks in lengths.items()}

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of the body."""
        for one in self._hashes.values():
            one.feed(chunk)

    def finish(self) -> Bodies:
        """Return the digests."""
        return {form: one.finish() for form, one in self._hashes.items()}


def judge(own: int, signature: Signature, header: Header, bodies: Bodies, answer: Answer, manner: Manner) -> Judged:
    """Verify a signature without a flaw, whose place among the fields is ``own``, with what the DNS says of its key."""
    try:
        key = key_of(answer, signature.key_name, signature.algorithm, manner.least_bits)
    except Flawed as error:
        return Judged(signature, *error.flaw)
    judged = _judge(own, signature, header, bodies[signature.body_form], key, manner)
    if key.testing and not manner.testing:
        what = "it would pass" if judged.reason is Reason.PASS else judged.words
        return judged._replace(reason=Reason.TESTING, words=f"{what}; but the key is one for tests (t=y)")
    return judged


def _judge(
    own: int, signature: Signature, header: Header, body: Callable[[int | None], Digest], key: Key, manner: Manner
) -> Judged:
    digest = body(signature.length)
    beyond = 0 if signature.length is None else max(0, digest.size - signature.length)
    try:
        _check_terms(signature, header, digest, key)
        is_header_right = key.verifies(signature.value, header.signed(signature, own))
        changed = [] if is_header_right else header.changed(signature.copied)
        reason, words = _compare(signature, digest, is_header_right, changed)
    except Flawed as error:
        reason, words = error.flaw
    if reason is Reason.PASS and beyond and not manner.partial_body:
        reason, words = Reason.PARTIAL_BODY, f"it does not cover the last {beyond} bytes of the body (l=)"
    return Judged(signature, reason, words, beyond, key.bits)


def _check_terms(signature: Signature, header: Header, digest: Digest, key: Key) -> None:
    """Raises Flawed for what would make it worthless, even if it were right."""
    if key.strict and ascii_name(signature.identity.rpartition("@")[2]) != signature.domain:
        raise Flawed(Reason.FOREIGN_IDENTITY, "i= has a subdomain, which the key does not allow (t=s)")
    if digest.value is None:
        raise Flawed(Reason.BODY_TOO_SHORT, f"the body has {digest.size} bytes, fewer than l= says")
    count = header.count(b"from")
    if not count:  # RFC 6376 5.4: From must be signed, so it must be there
        raise Flawed(Reason.FROM_NOT_SIGNED, "the message has no From")
    if count > signature.signed.count(b"from"):  # RFC 6376 8.15: which of them a reader is shown, nobody knows
        raise Flawed(Reason.UNSIGNED_FROM, "the message has a From that it does not sign")


def _compare(signature: Signature, digest: Digest, is_header_right: bool, changed: Sequence[str]) -> Flaw:
    if is_header_right:
        if digest.value == signature.body_hash:
            return Flaw(Reason.PASS, "")
        return Flaw(Reason.BODY_CHANGED, "the body was changed on the way; the header was not")
    what = f" ({', '.join(shown(name, 30) for name in changed[:3])})" if changed else ""
    other = "" if changed else ", or another key signed it"
    if digest.value == signature.body_hash:
        return Flaw(Reason.HEADER_CHANGED, f"the header was changed on the way{what}{other}")
    return Flaw(Reason.BODY_CHANGED, f"the body was changed on the way; and so was the header{what}{other}")
