"""One connection of a mail server: its events, put together to messages, and what is answered. Sans-IO.

An engine calls a method for each event, in order and on the event loop; it knows the wire and nothing of messages, and
this knows no wire. Events that come in an order that makes no sense raise ``Garbled``: the connection is then closed.

What a stranger may send is bounded: recipients, header fields and bytes of the body beyond the limits below are counted
and not kept. Text is decoded with surrogate escapes, so that no byte is lost and none raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vaglio.examination import MAX_FIELDS, MAX_HEADER, Examination, Field, Message
from vaglio.facts import Client, Envelope, Facts, Stage, client_of
from vaglio.facts import Session as Smtp
from vaglio.milter.authres import claims, mentions, names_it
from vaglio.milter.host import Host
from vaglio.milter.plan import Plan, refusal
from vaglio.milter.wire import Garbled, Peer
from vaglio.verdict import FORGED, Action, Reply, Verdict

MAX_RECIPIENTS = 1000
"""Recipients of a message that are kept; Postfix's smtpd_recipient_limit is the same."""

MAX_FORGED = 100
"""Fields in our name that are taken out. A message with more of them is refused: to take out thousands would keep
Postfix busy for minutes (16,000 of them killed its cleanup)."""

MAX_RESULTS = 32_768
"""Bytes of all results that came with a message that are read; those beyond count as forged."""

MAX_TOLD = 20
"""Recipients of a message of which log and journal tell."""

_NOBODY = Client("", b"")

TOO_MANY_FORGED = Verdict(
    Action.REJECT, "forged", "too-many-forged", Reply(550, "5.7.1", "Too many Authentication-Results in our name")
)
"""What a message gets that has more forged fields than are taken out (RFC 3463 3.8)."""


class Session:
    """The state of a connection. ``host`` gives the host of the moment, which a message keeps to its end; ``timer`` is
    a clock in seconds.
    """

    __slots__ = ("_client", "_daemon_name", "_helo", "_host", "_message", "_timer", "skims")

    def __init__(self, host: Callable[[], Host], timer: Callable[[], float]) -> None:
        self._host, self._timer = host, timer
        self._client, self._helo, self._daemon_name = _NOBODY, "", ""
        self._message: _Message | None = None
        self.skims = False
        """True while a message is under way of whose header nobody wants to hear but fields that begin with A."""

    @property
    def busy(self) -> bool:
        """True from MAIL to the end of the message."""
        return self._message is not None

    def connect(self, peer: Peer, macros: Mapping[bytes, bytes]) -> None:
        """Take note of the client, and forget all of another one."""
        self.close()
        self._helo = ""
        address = text(peer.address) if peer.family in b"46" else ""
        if address[:5].lower() == "ipv6:":
            address = address[5:]
        name = text(peer.name)
        reverse = text(macros.get(b"{client_ptr}", b""))
        self._daemon_name = text(macros.get(b"{daemon_name}", b""))
        # An address in brackets stands for a client without a name, or with one that does not lead back to it.
        client = client_of(address, _unless_literal(name), _unless_literal(reverse))
        self._client = client._replace(local=True) if _is_local(peer) else client

    def helo(self, name: bytes) -> None:
        """Take note of HELO or EHLO."""
        self._helo = text(name)

    def mail(self, arguments: Sequence[bytes], macros: Mapping[bytes, bytes]) -> None:
        """Begin with a message; ``arguments`` are the address and the parameters of ESMTP."""
        self.close()
        host = self._host()
        login = text(macros.get(b"{auth_authen}", b""))
        envelope = Envelope(_address(arguments), "", 0, _size(arguments))
        queue_id = text(macros.get(b"i", b""))
        session = Smtp(
            Stage.MAIL, self._helo, queue_id=queue_id, sasl_username=login, daemon_name=self._daemon_name
        )
        facts = Facts(self._client, envelope, session)
        self._message = _Message(host, facts)
        self.skims = host.skims

    async def recipient(self, arguments: Sequence[bytes]) -> str:
        """Take note of a recipient; return the reply that refuses it, "" if it is let in. Never waits unless a check
        wants to judge recipients.
        """
        message = self._begun("RCPT")
        address = _address(arguments)
        if message.host.asks_recipients:
            began, host = self._timer(), message.host
            facts = message.facts_of(address)
            verdict = await host.judge_recipient(message.examinations, facts)
            if verdict.journalled:
                host.record(facts, verdict, self._timer() - began)
            if verdict.action in (Action.REJECT, Action.DEFER):
                return refusal(verdict)
        message.count += 1
        if len(message.recipients) < MAX_RECIPIENTS:
            message.recipients.append(address)
        return ""

    def header(self, name: bytes, value: bytes) -> None:
        """Take in a header field."""
        (self._message or self._begun("a header")).header(name, value)

    def end_of_headers(self) -> None:
        """Take note that the header is complete."""
        self._begun("the end of the header").end_of_headers()

    def body(self, chunk: bytes) -> None:
        """Take in a piece of the body."""
        self._begun("a body").body(chunk)

    async def end_of_message(self, macros: Mapping[bytes, bytes]) -> Plan:
        """Judge the message; return what is done with it."""
        message = self._begun("the end of a message")
        began, host = self._timer(), message.host
        whole = message.whole(text(macros.get(b"i", b"")))
        try:
            if len(message.forged) > MAX_FORGED:
                verdict = host.refusal(TOO_MANY_FORGED)
            else:
                verdict = await host.judge(message.examinations, whole)
        finally:
            if self._message is message:
                self.close()
        if message.forged:
            verdict = verdict._replace(facts={**verdict.facts, FORGED: len(message.forged)})
        plan = host.plan(verdict, message.forged)
        host.record(_told(whole), verdict, self._timer() - began)
        return plan

    def close(self) -> None:
        """Forget the message under way, if there is one: it was given up, or another one begins."""
        message, self._message, self.skims = self._message, None, False
        if message:
            for examination in message.examinations:
                examination.close()

    def _begun(self, what: str) -> _Message:
        if self._message is None:
            raise Garbled(f"{what} without MAIL")
        return self._message


class _Message:
    """What is known so far of a message under way."""

    __slots__ = ("_facts", "_hear_body", "_named", "_results", "_room", "_scanned", "_size", "_suspect", "count",
                 "examinations", "forged", "headers", "host", "recipients")  # fmt: skip

    def __init__(self, host: Host, facts: Facts) -> None:
        self.host, self._facts = host, facts
        self.examinations: Sequence[Examination] = host.examine(facts)
        self._hear_body = [self.examinations[place] for place in host.of_body]
        self.recipients: list[str] = []
        self.count = 0  # of recipients, also those that are not kept
        self.headers: list[Field] = []
        self.forged: list[tuple[bytes, int]] = []
        self._room = MAX_HEADER if host.of_header else 0  # bytes
        self._suspect = host.suspect
        self._results = 0  # bytes of those that came along
        self._named: dict[bytes, int] = {}
        self._scanned: list[bytes] = []
        self._size = 0

    def header(self, name: bytes, value: bytes) -> None:
        """Keep a field, if there is room; this may be called thousands of times for a message."""
        if name[:1] in self._suspect:
            self._note_results(name, value)
        if self._room > 0 and len(self.headers) < MAX_FIELDS:
            self._room -= len(name) + len(value)
            if self._room < 0:
                value = value[: self._room]  # cut, so that who adds up what was kept sees that more was there
            self.headers.append(Field(name, value))

    def _note_results(self, name: bytes, value: bytes) -> None:
        manner = self.host.manner
        if names_it(name) or _plain(name) in manner.own:
            # Counted by the name as the mail server gave it: that is how it counts when a field is taken out.
            index = self._named[name.lower()] = self._named.get(name.lower(), 0) + 1
            if manner.forged and len(self.forged) <= MAX_FORGED and self._is_forged(name, value):
                self.forged.append((name, index))

    def _is_forged(self, name: bytes, value: bytes) -> bool:
        manner = self.host.manner
        ours = manner.own.get(_plain(name))
        self._results += len(value)
        if self._results > MAX_RESULTS:
            return True
        return claims(value, manner.authserv_id) if ours is None else mentions(value, ours)

    def end_of_headers(self) -> None:
        for place in self.host.of_header:
            self.examinations[place].end_of_headers(self.headers)

    def body(self, chunk: bytes) -> None:
        room = self.host.manner.max_scan - self._size
        self._size += len(chunk)
        if room > 0 and self.host.scans:
            self._scanned.append(chunk[:room])
        for examination in self._hear_body:
            examination.body(chunk)

    def facts_of(self, recipient: str) -> Facts:
        """Return the facts about one recipient."""
        client, envelope, session = self._facts
        return Facts(client, envelope._replace(recipient=recipient), session._replace(stage=Stage.RCPT))

    def whole(self, queue_id: str) -> Message:
        """Return the message, at its end."""
        client, envelope, session = self._facts
        first = self.recipients[0] if self.recipients else ""
        facts = Facts(
            client,
            Envelope(envelope.sender, first, self.count, self._size or envelope.size),
            session._replace(stage=Stage.END_OF_MESSAGE, queue_id=queue_id or session.queue_id),
        )
        return Message(facts, tuple(self.recipients), self.headers, b"".join(self._scanned), self._size)


def _plain(name: bytes) -> bytes:
    """Return the name of a field for comparison; blanks before the colon do not count."""
    return name.strip(b" \t\r\n").lower()


def _told(message: Message) -> Facts:
    """Return the facts for log and journal, which tell of all recipients, and not only of the first."""
    facts = message.facts
    if len(message.recipients) < 2:
        return facts
    return facts._replace(envelope=facts.envelope._replace(recipient=",".join(message.recipients[:MAX_TOLD])))


def text(raw: bytes) -> str:
    """Return what a stranger said as text; bytes that are no UTF-8 become surrogates."""
    return raw.decode("utf-8", "surrogateescape")


def _is_local(peer: Peer) -> bool:
    """Say whether a client came by no network: over a UNIX socket, or, as Sendmail and Postfix tell of "sendmail -bs",
    from nowhere with this name. One whose address can't be read comes from somewhere.
    """
    return peer.family == b"L" or (peer.family == b"U" and peer.name == b"localhost")


def _unless_literal(name: str) -> str:
    return "" if name.startswith("[") else name


def _address(arguments: Sequence[bytes]) -> str:
    """Return the address of MAIL or RCPT: without brackets, and without a route (RFC 5321 appendix C)."""
    raw = arguments[0] if arguments else b""
    if raw.startswith(b"<") and raw.endswith(b">"):
        raw = raw[1:-1]
    if raw.startswith(b"@"):
        route, colon, rest = raw.partition(b":")
        raw = rest if colon else route
    return text(raw)


def _size(arguments: Sequence[bytes]) -> int:
    """Return the announced size in bytes (RFC 1870), 0 if there is none."""
    for argument in arguments[1:]:
        if argument[:5].upper() == b"SIZE=" and argument[5:].isdigit():
            return int(argument[5:][:18])
    return 0
