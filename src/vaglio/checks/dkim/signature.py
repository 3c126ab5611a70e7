"""A DKIM-Signature as it stands in the header: read, and held against RFC 6376 3.5 and 6.1.1, 8301, 8463 and 8616.

What needs a key, the clock or the message is not looked at here (``verify`` does). Any bytes may come in; what is wrong
becomes a flaw, not an exception.
"""

from __future__ import annotations

import binascii
import re
from functools import lru_cache
from typing import NamedTuple

from vaglio.checks.dkim.canonical import Form
from vaglio.checks.dkim.outcome import Flaw, Flawed, Reason, shown
from vaglio.checks.dkim.tags import BLANKS, BadTags, parse_tags, unfolded
from vaglio.examination import Field
from vaglio.names import a_labels, is_domain, is_selector

MAX_FIELD = 16 * 1024
"""Bytes of a signature: it may have a copy of the header in it (z=)."""

MAX_ITEMS = 500
"""Names in h=."""

MAX_NAME = 253
ALGORITHMS = ("rsa-sha256", "ed25519-sha256")

_REQUIRED = ("v", "a", "b", "bh", "d", "h", "s")  # RFC 6376 3.5
_MARK = re.compile(r"[A-Za-z0-9+/=]{8,}")
_LENGTH = re.compile(r"[0-9]{1,76}")
_TIME = re.compile(r"[0-9]{1,12}")
_FORMS = {form.value: form for form in Form}


class Signature(NamedTuple):
    """A signature. Where there is a flaw, only ``algorithm`` (as written, shortened), ``domain``, ``selector`` and
    ``mark`` are there, "" where they can't be what they should be.

    ``domain`` and ``selector`` are in lower case and A-labels; ``identity`` is i= as written; ``mark`` is b= without
    blanks. ``signed`` are the names
    in h=, in lower case; ``length`` is l=, ``stamped`` t= and ``expires`` x= in Unix seconds, None where they are not
    there.
    """

    field: Field
    algorithm: str = ""
    domain: str = ""
    selector: str = ""
    identity: str = ""
    header_form: Form = Form.SIMPLE
    body_form: Form = Form.SIMPLE
    signed: tuple[bytes, ...] = ()
    body_hash: bytes = b""
    value: bytes = b""
    """b=, decoded."""
    length: int | None = None
    stamped: int | None = None
    expires: int | None = None
    mark: str = ""
    copied: str = ""
    """z=: fields as the signer had them."""
    flaw: Flaw | None = None

    @property
    def key_name(self) -> str:
        """Where the key is in the DNS (RFC 6376 3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"


def read(field: Field) -> Signature:
    """Return the signature of a field named DKIM-Signature."""
    if len(field.value) > MAX_FIELD:
        return Signature(field, flaw=Flaw(Reason.TOO_LARGE, f"the signature has more than {MAX_FIELD} bytes"))
    try:
        tags = parse_tags(field.value.decode("utf-8", "surrogateescape"))
    except BadTags as error:
        return Signature(field, flaw=Flaw(Reason.MALFORMED, str(error)))
    try:
        return _signature(field, tags)
    except Flawed as error:
        return _remains(field, tags, error.flaw)


def _remains(field: Field, tags: dict[str, str], flaw: Flaw) -> Signature:
    """Return what there is to say of a signature with a flaw."""
    domain, selector = ascii_name(tags.get("d", "")), ascii_name(tags.get("s", ""))
    mark = unfolded(tags.get("b", ""))
    return Signature(
        field,
        shown(tags.get("a", ""), 30),
        domain if is_domain(domain) else "",
        selector if is_selector(selector) else "",
        mark=mark if _MARK.fullmatch(mark) else "",
        flaw=flaw,
    )


def _signature(field: Field, tags: dict[str, str]) -> Signature:
    """Raises Flawed for the first thing that is wrong."""
    for name in _REQUIRED:
        if not tags.get(name):
            raise Flawed(Reason.MALFORMED, f"{name}= is missing")
    if tags["v"] != "1":
        raise Flawed(Reason.UNSUPPORTED, f"v={shown(tags['v'])} is not 1")
    if "dns/txt" not in [method.strip(BLANKS) for method in tags.get("q", "dns/txt").split(":")]:
        raise Flawed(Reason.UNSUPPORTED, f"q={shown(tags['q'])} does not name dns/txt")
    header_form, body_form = _forms(tags.get("c", ""))
    domain, selector = _names(tags["d"], tags["s"])
    signed = _signed(tags["h"])
    stamped, expires = _number(tags, "t", _TIME), _number(tags, "x", _TIME)
    if stamped is not None and expires is not None and expires <= stamped:
        raise Flawed(Reason.MALFORMED, "x= is not later than t=")
    found = Signature(
        field, _algorithm(tags["a"]), domain, selector, _identity(tags.get("i", ""), domain), header_form, body_form,
        signed, _base64(tags, "bh"), _base64(tags, "b"), _number(tags, "l", _LENGTH), stamped, expires,
        unfolded(tags["b"]), unfolded(tags.get("z", "")),
    )  # fmt: skip
    if b"from" not in signed:
        raise Flawed(Reason.FROM_NOT_SIGNED, "h= does not name From")
    return found


def _algorithm(text: str) -> str:
    if text in ALGORITHMS:
        return text
    if text == "rsa-sha1":
        raise Flawed(Reason.SHA1, "rsa-sha1 is no longer valid (RFC 8301)")
    raise Flawed(Reason.UNSUPPORTED, f"a={shown(text)} is not known")


def _forms(text: str) -> tuple[Form, Form]:
    if not text:
        return Form.SIMPLE, Form.SIMPLE
    ours, slash, theirs = text.partition("/")
    header, body = _FORMS.get(ours), _FORMS.get(theirs) if slash else Form.SIMPLE
    if header is None or body is None:
        raise Flawed(Reason.UNSUPPORTED, f"c={shown(text)} is not known")
    return header, body


def _names(domain: str, selector: str) -> tuple[str, str]:
    ours, ours_selector = ascii_name(domain), ascii_name(selector)
    if not is_domain(ours):
        raise Flawed(Reason.MALFORMED, f"d={shown(domain)} is no domain")
    if not is_selector(ours_selector):
        raise Flawed(Reason.MALFORMED, f"s={shown(selector)} is no selector")
    if not is_selector(ours_selector, ours):
        raise Flawed(Reason.MALFORMED, "d= and s= are too long together")
    return ours, ours_selector


@lru_cache(maxsize=1024)
def ascii_name(name: str) -> str:
    """Return a name in lower case and A-labels (RFC 8616 3); "" where it can't be one."""
    if len(name) > MAX_NAME:
        return ""
    try:
        return a_labels(name).lower()
    except UnicodeError:
        return ""


def _signed(text: str) -> tuple[bytes, ...]:
    items = text.split(":", MAX_ITEMS)
    if len(items) > MAX_ITEMS:
        raise Flawed(Reason.TOO_LARGE, f"h= has more than {MAX_ITEMS} names")
    return tuple(item.strip(BLANKS).lower().encode() for item in items)


def _identity(text: str, domain: str) -> str:
    if not text:
        return f"@{domain}"
    _, at, theirs = text.rpartition("@")
    name = ascii_name(theirs)
    if not at or (name != domain and not name.endswith(f".{domain}")):
        raise Flawed(Reason.FOREIGN_IDENTITY, f"i={shown(text)} is not within d={shown(domain)}")
    return text


def _number(tags: dict[str, str], name: str, form: re.Pattern[str]) -> int | None:
    if name not in tags:
        return None
    if not form.fullmatch(tags[name]):
        raise Flawed(Reason.MALFORMED, f"{name}={shown(tags[name])} is no number that may stand there")
    return int(tags[name])


def _base64(tags: dict[str, str], name: str) -> bytes:
    try:
        return binascii.a2b_base64(unfolded(tags[name]), strict_mode=True)
    except ValueError:  # binascii.Error, or a character beyond ASCII
        raise Flawed(Reason.MALFORMED, f"{name}= is no base64") from None


def without_value(value: bytes) -> bytes:
    """Return a signature's field as it was signed: with nothing between "b=" and the next ";" (RFC 6376 3.7)."""
    parts = value.split(b";")
    for place, part in enumerate(parts):
        name, equals, _ = part.partition(b"=")
        if equals and name.strip(b" \t\r\n") == b"b":
            parts[place] = name + b"="
    return b";".join(parts)
