"""The Postfix policy delegation protocol, reading side, without any I/O (SMTPD_POLICY_README).

A request is ``name=value`` lines and an empty line. Bytes go in as they come, requests come out; whole or byte
by byte, the result is the same. What is out of bounds or malformed ends the conversation: the parser says so in
``error`` and takes nothing more, since nobody can know where the next request would begin.
"""

from __future__ import annotations

from vaglio.facts import Envelope, Facts, Session, Stage, client_of

MAX_REQUEST = 64 * 1024
"""Bytes of one request, its closing empty line left out."""

MAX_ATTRIBUTES = 100

Attributes = dict[str, str]

_NEEDED = frozenset({"protocol_state", "client_address", "client_name", "sender", "recipient", "instance"})
_STAGES = {str(stage): stage for stage in Stage}


class Parser:
    """Feed it bytes, get requests."""

    __slots__ = ("_buffer", "error")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.error = ""
        """Why nothing more is read; empty while all is well."""

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


def facts_of(attributes: Attributes) -> Facts:
    """Build facts from the attributes of a request; any attribute may be missing, unknown ones are ignored."""
    get = attributes.get
    return Facts(
        client_of(get("client_address", ""), get("client_name", ""), get("reverse_client_name", "")),
        Envelope(
            get("sender", ""),
            get("recipient", ""),
            _number(get("recipient_count", "0")),
            _number(get("size", "0")),
        ),
        Session(
            _STAGES.get(get("protocol_state", ""), Stage.UNKNOWN),
            get("helo_name", ""),
            get("instance", ""),
            get("queue_id", ""),
            get("sasl_username", ""),
            # ccert_subject is empty unless the certificate was verified; the fingerprints are not.
            get("ccert_pubkey_fingerprint", "") if get("ccert_subject") else "",
            () if attributes.keys() >= _NEEDED else tuple(sorted(_NEEDED - attributes.keys())),
        ),
    )


def _number(text: str) -> int:
    if text == "0":  # the usual one
        return 0
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
