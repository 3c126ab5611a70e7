"""The Postfix policy delegation protocol, reading side, without any I/O (SMTPD_POLICY_README).

A request is ``name=value`` lines and an empty line. Bytes go in as they come, requests come out; whole or byte
by byte, the result is the same. What is out of bounds or malformed ends the conversation: the parser says so in
``error`` and takes nothing more, since nobody can know where the next request would begin.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

from vaglio.facts import Envelope, Facts, Session, Stage, client_of

MAX_REQUEST = 64 * 1024
"""Bytes of one request, its closing empty line left out."""

MAX_ATTRIBUTES = 100

MAX_NAMES = 2000
"""Characters of all names of a request whose shape is learnt; those of Postfix's have 500."""

Attributes = dict[str, str]

_NEEDED = frozenset({"protocol_state", "client_address", "client_name", "sender", "recipient", "instance"})
_STAGES = {str(stage): stage for stage in Stage}


class Parser:
    """Feed it bytes, get requests."""

    __slots__ = ("_buffer", "_shape", "error")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._shape: Shape | None = None
        self.error = ""
        """Why nothing more is read; empty while all is well."""

    def facts(self, data: bytes) -> list[Facts]:
        """Take in ``data`` and return what the requests that are complete now say, in order."""
        shape = self._shape
        if shape is not None and len(data) <= MAX_REQUEST and not self._buffer and not self.error:
            match = shape.pattern.fullmatch(data.decode("utf-8", "surrogateescape"))
            if match is not None:
                return [_facts(match.group(*shape.places), ())]
        requests = self.feed(data)
        if shape is None and requests:
            self._shape = shape_of(tuple(requests[0]))
        return [facts_of(request) for request in requests]

    def feed(self, data: bytes) -> list[Attributes]:
        """Take in ``data`` and return the requests that are complete now, in order.

        Those before an error are returned with it.
        """
        if self.error:
            return []
        if not self._buffer and data.find(b"\n\n") == len(data) - 2 >= 0:  # Postfix sends one request and waits
            request = self._request(data[:-2])
            return [] if request is None else [request]
        return self._feed_slowly(data)

    def _feed_slowly(self, data: bytes) -> list[Attributes]:
        requests: list[Attributes] = []
        buffer = self._buffer
        searched = max(len(buffer) - 1, 0)  # never look twice at the same bytes: a byte at a time stays linear
        buffer += data
        begin = 0
        while (end := buffer.find(b"\n\n", max(begin, searched))) >= 0:
            request = self._request(bytes(buffer[begin:end]))
            if request is None:
                return requests
            requests.append(request)
            begin = end + 2
        del buffer[:begin]
        if len(buffer) > MAX_REQUEST + 1:  # + 1: its last line's newline
            self._fail(f"request of more than {MAX_REQUEST} bytes")
        return requests

    def _request(self, raw: bytes) -> Attributes | None:
        if len(raw) > MAX_REQUEST:
            self._fail(f"request of more than {MAX_REQUEST} bytes")
            return None
        lines = raw.decode("utf-8", "surrogateescape").split("\n")
        if len(lines) > MAX_ATTRIBUTES:
            self._fail(f"request of more than {MAX_ATTRIBUTES} attributes")
            return None
        try:
            request = dict([line.split("=", 1) for line in lines])  # the list is faster than a generator
        except ValueError:
            self._fail("line without '='")
            return None
        kind = request.get("request", "smtpd_access_policy")
        if kind != "smtpd_access_policy":
            self._fail(f"request of the unknown kind {kind[:40]!a}")
            return None
        return request

    def _fail(self, why: str) -> None:
        self.error = why
        self._buffer.clear()


_READ = ("client_address", "client_name", "reverse_client_name", "sender", "recipient", "recipient_count", "size",
         "protocol_state", "helo_name", "queue_id", "instance", "sasl_username", "ccert_subject",
         "ccert_pubkey_fingerprint")  # fmt: skip
"""The attributes that make facts, in the order in which ``_facts`` takes them."""


def facts_of(attributes: Attributes) -> Facts:
    """Build facts from the attributes of a request; any attribute may be missing, unknown ones are ignored."""
    missing = () if attributes.keys() >= _NEEDED else tuple(sorted(_NEEDED - attributes.keys()))
    get = attributes.get
    return _facts(tuple([get(name, "") for name in _READ]), missing)


def _facts(values: tuple[Any, ...], missing: tuple[str, ...]) -> Facts:
    (address, name, reverse_name, sender, recipient, recipient_count, size, stage, helo, queue_id, instance,
     sasl_username, certificate_subject, fingerprint) = values  # fmt: skip
    return Facts(
        client_of(address, name, reverse_name),
        Envelope(sender, recipient, _number(recipient_count), _number(size)),
        Session(
            _STAGES.get(stage, Stage.UNKNOWN),
            helo,
            instance,
            queue_id,
            sasl_username,
            # ccert_subject is empty unless the certificate was verified; the fingerprints are not.
            fingerprint if certificate_subject else "",
            missing,
            instance.partition(".")[0],  # the process number in "123.456.7" of SMTPD_POLICY_README
        ),
    )


class Shape(NamedTuple):
    """Requests whose attributes have the same names in the same order, as all of one Postfix have."""

    pattern: re.Pattern[str]
    places: tuple[int, ...]
    """The groups of ``_READ``."""


@lru_cache(maxsize=16)
def shape_of(names: tuple[str, ...]) -> Shape | None:
    """Return the shape of requests with these attributes, each of which has another name; None where one that we read
    is missing.

    One match of all lines takes 1.1 us; to split them, make a dict and look the values up takes 5 (measured), and that
    is a tenth of what a short answer costs. A shape takes a millisecond to compile, so it is learnt once a connection.
    """
    if not set(names) >= {*_READ, "request"} or sum(map(len, names)) > MAX_NAMES:
        return None
    values = {"request": "smtpd_access_policy"} | dict.fromkeys(_READ, "(.*+)")
    lines = [f"{re.escape(name)}={values.get(name, '.*+')}" for name in names]
    order = [name for name in names if name in _READ]
    return Shape(re.compile("\n".join(lines) + "\n\n"), tuple([order.index(name) + 1 for name in _READ]))


def _number(text: str) -> int:
    if text == "0":  # the usual one
        return 0
    if not text.isascii() or not text.isdigit():
        return 0
    return int(text) if len(text) < 19 else 10**18  # more than anybody counts, in 64 bits
