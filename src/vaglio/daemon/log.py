"""Lines on stderr: one for each decision, and events for the admin. RFC 5424 6.2.1 severities as journald reads them.

WARNING means that the admin should act, ERROR that we have a bug. Decisions take a path of their own, since a logging
record costs more than the decision itself. Nothing that a client says can begin a line or add a key to one.

Decisions are written together every 20 ms (a write of its own costs each line 7 us, more than the line), events at once
with all that came before them. stderr may be a pipe whose reader stopped: then lines wait (1,000 at most), further ones
are dropped and counted, and the daemon goes on answering. It does not rotate files and speaks no syslog.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import re
import select
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Literal, TextIO

from vaglio.facts import Facts
from vaglio.verdict import SENTENCES, Fact, Verdict

VALUE = 256
"""Most characters of one value in a line, as written."""

LINE = 2000
"""Most characters of a line."""

ATOMIC = 4096
"""Bytes that a writable pipe takes at once and whole (PIPE_BUF of pipe(7)), so that lines of workers never mix."""

TOGETHER = 0.02
"""Seconds that a decision waits for others to be written with. A worker that is killed loses these lines."""

WAITING = 1000
"""Lines that wait for a reader that does not read."""

Format = Literal["text", "json"]
Level = Literal["debug", "info", "warning", "error"]

_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_STANDARD = frozenset({"queue", "client", "name", "from", "to", "verdict", "rehearsed", "reason", "ref", "ms", "time",
                       "level", "message"})  # fmt: skip

_log = logging.getLogger("vaglio.log")


class Throttle:
    """Lets one event of a kind through in ``seconds`` and counts the others."""

    MOST = 1000

    def __init__(self, seconds: float, monotonic: Callable[[], float]) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._kinds: dict[Hashable, tuple[float, int]] = {}

    def __call__(self, kind: Hashable) -> int | None:
        """Return how many of this ``kind`` were held back before this one; None if this one is to be held back."""
        now = self._monotonic()
        last, held = self._kinds.get(kind, (-math.inf, 0))
        if now - last < self._seconds:
            self._kinds[kind] = last, held + 1
            return None
        if len(self._kinds) >= self.MOST:
            self._kinds.clear()
        self._kinds[kind] = now, 0
        return held


# --- values ---------------------------------------------------------------------------------------------------------

_quote = json.encoder.encode_basestring_ascii
_plain = re.compile(r"[!#-&(-<>-\[\]-~]*").fullmatch  # printable ASCII but blank, quotes, equals sign and backslash

_blank = re.compile(r"[ !#-\[\]-~]*").fullmatch  # the same, and what needs quotes but no escapes


def _escape(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if " " <= char <= "~":
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8, as "surrogateescape" has it
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _value(text: str) -> str:
    """Return ``text`` as a value of a key=value line: quoted and escaped where it must be, cut where it is long."""
    if len(text) <= VALUE and _plain(text):
        return text
    if len(text) <= VALUE and _blank(text):
        return f'"{text}"'
    pieces = [_escape(char) for char in text[:VALUE]]
    length = sum(map(len, pieces))
    cut = len(text) > VALUE or length > VALUE
    while cut and length > VALUE - 3:
        length -= len(pieces.pop())
    return '"' + "".join(pieces) + ("..." if cut else "") + '"'


_EVERYDAY_TYPES = frozenset({str, int})
_EVERYDAY = 10**15  # numbers that need no look at how many digits they have


def _fact(value: Fact) -> str:
    if isinstance(value, str):
        return value if len(value) <= VALUE and _plain(value) else _value(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and -_EVERYDAY < value < _EVERYDAY:
        return str(value)
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    try:
        return _value(str(value))
    except ValueError:  # an integer of more digits than Python writes
        return "?"


def decision_line(facts: Facts, verdict: Verdict, ms: float) -> str:
    """Return the key=value line of a decision, all ASCII; ``ms`` is the time it took, in milliseconds.

    What is empty is left out, but for the null sender: ``from=<>``. The verdict's facts follow as far as they fit.
    """
    client, envelope, queue = facts.client, facts.envelope, facts.session.queue_id
    address, name, sender, recipient = client.address, client.name, envelope.sender, envelope.recipient
    said = f"{queue}{address}{name}{sender}{recipient}"
    if len(said) > VALUE or not _plain(said):  # all that a client may have made up is looked at at once
        queue, address, name = _value(queue), _value(address), _value(name)
        sender, recipient = _value(sender), _value(recipient)
    line = (
        f"{f'queue={queue} ' if queue else ''}client={address}{f' name={name}' if name else ''}"
        f" from={sender or '<>'} to={recipient} verdict={verdict.action}"
        f"{f' rehearsed={verdict.rehearsed}' if verdict.rehearsed else ''} reason={verdict.reason}"
        f"{f' ref={verdict.ref}' if verdict.ref else ''} ms={ms:.2f}"
    )
    return line + _more(verdict.facts, LINE - len(line)) if verdict.facts else line


def _more_plain(facts: Mapping[str, Fact]) -> str:
    """Return all of the facts where they are short and need no quotes, as nearly always, in half of the time that it
    takes to look at each; "" otherwise.
    """
    if not _EVERYDAY_TYPES.issuperset(map(type, facts.values())) or not _STANDARD.isdisjoint(facts):
        return ""
    try:
        text = "".join([f" {key}={value}" for key, value in facts.items()])
    except ValueError:  # an integer of more digits than Python writes
        return ""
    said = "".join([value for value in facts.values() if type(value) is str])
    return text if len(text) <= VALUE and _plain(said) else ""


def _more(facts: Mapping[str, Fact], room: int) -> str:
    text = _more_plain(facts)
    if text and len(text) <= room:
        return text
    return _fitting([f" {key}={_fact(value)}" for key, value in facts.items() if _is_logged(key)], room)


def _is_logged(key: str) -> bool:
    return key not in _STANDARD and not key.endswith(SENTENCES)


def _fitting(pieces: list[str], room: int) -> str:
    """Return the first pieces, as many as fit into ``room`` characters."""
    text = "".join(pieces)
    while len(text) > room:
        text = text[: -len(pieces.pop())]
    return text


def decision_json(facts: Facts, verdict: Verdict, ms: float, now: float) -> str:
    """Return the decision as one JSON object, all ASCII; ``now`` is the Unix time in seconds."""
    client, envelope = facts.client, facts.envelope
    rehearsed = f',"rehearsed":"{verdict.rehearsed}"' if verdict.rehearsed else ""
    line = (
        f'{{"time":{now:.3f},"level":"info","message":"decision","queue":{_json(facts.session.queue_id)}'
        f',"client":{_json(client.address)},"name":{_json(client.name)},"from":{_json(envelope.sender)}'
        f',"to":{_json(envelope.recipient)},"verdict":"{verdict.action}"'
        f'{rehearsed},"reason":"{verdict.reason}","ref":"{verdict.ref}","ms":{ms:.2f}'
    )
    return line + (_more_json(verdict.facts, LINE - 1 - len(line)) if verdict.facts else "") + "}"


def _more_json(facts: Mapping[str, Fact], room: int) -> str:
    members = [
        f',"{key}":{_json(value) if isinstance(value, str) else _json_number(value)}'
        for key, value in facts.items() if _is_logged(key)
    ]  # fmt: skip
    return _fitting(members, room)


def _json(text: str) -> str:
    """Return as much of ``text`` in JSON as takes about ``VALUE`` characters."""
    written = _quote(text[:VALUE])
    while len(written) > VALUE + 2:
        text = text[: min(len(text), VALUE) * VALUE // len(written)]
        written = _quote(text)
    return written


def _json_number(value: float) -> str:
    text = _fact(value).strip('"')
    return text if text[-1].isdigit() or isinstance(value, bool) else f'"{text}"'


# --- writing --------------------------------------------------------------------------------------------------------


class Outlet:
    """Lines on their way to a file descriptor, written a few at a time and never waited for.

    A write happens only where poll(2) says that ``ATOMIC`` bytes fit. (Another worker on the same pipe may be
    faster by a microsecond; then the write lasts until the reader reads again.)
    """

    def __init__(self, descriptor: int) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._lock = threading.Lock()  # events may come from a thread
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._scheduled = False

    @property
    def idle(self) -> bool:
        """True if no line waits."""
        return not self._lines

    def soon(self, line: bytes) -> None:
        """Write ``line``, which ends in a newline, within ``TOGETHER`` seconds; at once where no event loop runs."""
        self._append(line)
        if not self._scheduled:
            try:
                asyncio.get_running_loop().call_later(TOGETHER, self._in_time)
                self._scheduled = True
            except RuntimeError:
                self.flush()

    def now(self, line: bytes) -> None:
        """Write ``line`` and all that wait before it."""
        self._append(line)
        self.flush()

    def _append(self, line: bytes) -> None:
        if len(self._lines) >= WAITING:
            self.flush()
            if len(self._lines) >= WAITING:
                self.dropped += 1
                return
        self._lines.append(line)

    def _in_time(self) -> None:
        self._scheduled = False
        self.flush()

    def flush(self, patience: float = 0.0) -> None:
        """Write what waits, as far as the reader takes it within ``patience`` seconds for each 4 KiB."""
        with self._lock:
            while self._lines and self._poll.poll(patience * 1000):
                batch = self._batch()
                try:
                    written = os.write(self._descriptor, batch)
                except BlockingIOError:  # somebody else made the descriptor non-blocking
                    written = 0
                except OSError:  # nobody will ever read this: the other end is closed, or the disk is full
                    self.dropped += batch.count(b"\n")
                    continue
                if written < len(batch):
                    self._lines.appendleft(batch[written:])
                    break

    def _batch(self) -> bytes:
        lines = [self._lines.popleft()]
        size = len(lines[0])
        while self._lines and size + len(self._lines[0]) <= ATOMIC:
            lines.append(self._lines.popleft())
            size += len(lines[-1])
        return b"".join(lines)


class Log:
    """The decisions' way to stderr."""

    def __init__(self, outlet: Outlet, form: Format, journald: bool, decisions: bool) -> None:
        self._outlet = outlet
        self._json = form == "json"
        self._prefix = "<6>" if journald else "" if self._json else "INFO "
        self._decisions = decisions

    def decision(self, facts: Facts, verdict: Verdict, seconds: float, now: float) -> None:
        """Log a decision that took ``seconds``, at ``now`` (Unix time)."""
        if self._decisions:
            if self._json:
                text = decision_json(facts, verdict, seconds * 1000, now)
            else:
                text = decision_line(facts, verdict, seconds * 1000)
            self._outlet.soon(f"{self._prefix}{text}\n".encode("ascii", "backslashreplace"))

    def flush(self, patience: float = 0.0) -> None:
        """Write what waits, as far as the reader takes it within ``patience`` seconds for each 4 KiB.

        To be called every few seconds, and with some patience before the process ends.
        """
        self._outlet.flush(patience)
        if self._outlet.dropped and self._outlet.idle:
            dropped, self._outlet.dropped = self._outlet.dropped, 0
            _log.warning("%d log lines were lost: whoever reads stderr was too slow", dropped)


class _Handler(logging.Handler):
    """Sends the records of the logging library, which are for the rare and important, the same way."""

    def __init__(self, outlet: Outlet, form: Format, journald: bool) -> None:
        super().__init__()
        self._outlet = outlet
        self._json = form == "json"
        self._journald = journald

    def emit(self, record: logging.LogRecord) -> None:
        """Write the lines of ``record``."""
        prefix = f"<{_PRIORITY.get(record.levelno, 5)}>" if self._journald else ""
        for line in self._json_lines(record) if self._json else self._text_lines(record):
            self._outlet.now(f"{prefix}{line}\n".encode("ascii", "backslashreplace"))

    def flush(self) -> None:
        """Write what waits; the logging library calls this when the process ends in good order."""
        self._outlet.flush()

    def _text_lines(self, record: logging.LogRecord) -> Iterator[str]:
        level = "" if self._journald else f"{record.levelname} "
        yield level + _shown(_message(record))
        for line in _traceback(record):
            yield f"{level}| {_shown(line)}"  # so that no text in an exception looks like a line of its own

    def _json_lines(self, record: logging.LogRecord) -> Iterator[str]:
        fields = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "message": _message(record)[:LINE],
        }
        if record.exc_info:
            fields["traceback"] = "\n".join(_traceback(record))
        yield json.dumps(fields)


def _message(record: logging.LogRecord) -> str:
    ours = record.name.partition(".")[0] == "vaglio"
    return record.getMessage() if ours else f"{record.name}: {record.getMessage()}"


def _traceback(record: logging.LogRecord) -> list[str]:
    """Return the last 50 lines of the record's traceback."""
    if not record.exc_info or not record.exc_info[1]:
        return []
    lines = "".join(traceback.format_exception(record.exc_info[1])).split("\n")
    return [line for line in lines if line][-50:]


def _shown(text: str) -> str:
    """Return ``text`` without anything that could end its line or play with a terminal."""
    return "".join(char if char in '"\\' else _escape(char) for char in text[:LINE])


def setup(form: Format, level: Level, stream: TextIO | None = None) -> Log:
    """Send this process's log to ``stream`` (default: stderr); may be called again with other settings.

    Where the stream leads to journald (sd-daemon(3): JOURNAL_STREAM names it) each line begins with its priority.
    """
    descriptor = (stream or sys.stderr).fileno()
    outlet, journald = Outlet(descriptor), _leads_to_journald(descriptor)
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, _Handler):
            root.removeHandler(handler)
            handler.flush()
    root.addHandler(_Handler(outlet, form, journald))
    root.setLevel(level.upper())
    return Log(outlet, form, journald, decisions=root.isEnabledFor(logging.INFO))


def _leads_to_journald(descriptor: int) -> bool:
    status = os.fstat(descriptor)
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
