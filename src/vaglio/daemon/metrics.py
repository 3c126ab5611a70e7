"""Figures for Prometheus, of all workers together, and two questions a load balancer or a container asks.

Each worker counts into files that all share (prometheus_client's multiprocess mode), so any of them can answer
``GET /metrics`` for all; ``/healthz`` says that a worker runs, ``/readyz`` that it wants work. A request costs plain
integers, which are passed on once a second: a worker that is killed loses the counts of its last second.

Without ``metrics.listen`` nothing of the library is imported. Opens no socket (``sockets.py`` does), keeps no
connection open, speaks only as much HTTP as a scrape needs (RFC 9110, RFC 9112).
"""

from __future__ import annotations

import asyncio
import math
import os
import platform
import shutil
import tempfile
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from vaglio.daemon.service import Gauges
from vaglio.verdict import Action

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)
"""Upper bounds of the latency histogram, in seconds."""

PASS_ON = 1.0
"""Seconds between two times that counts are passed on to the files."""

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # where the library looks for the directory, when it is first imported


class SharedFiles:
    """The directory of the workers' counts: made by the supervisor before the first fork, removed at the end."""

    def __init__(self, listen: str) -> None:
        """Make an empty directory below ``$RUNTIME_DIRECTORY`` (or where temporary files go), if ``listen`` is not."""
        self._path: str | None = None
        self._owner = os.getpid()
        if listen:
            base = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0] or None  # systemd.exec(5): may be a list
            self._path = os.environ[_VARIABLE] = tempfile.mkdtemp(prefix="vaglio-metrics-", dir=base)

    def forget(self, pid: int) -> None:
        """Drop what only a living worker may claim; its counts stay, since counters must not go back."""
        if self._path:
            for file in Path(self._path).glob(f"gauge_live*_{pid}.db"):
                file.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the directory; does nothing in a forked worker."""
        if self._path and os.getpid() == self._owner:
            shutil.rmtree(self._path, ignore_errors=True)
            self._path = None


GAUGES: Mapping[str, tuple[str, str]] = {
    "rows": ("table", "Rows in a table of the store, as of the last sweep."),
    "list_suspended": ("list", "1 where a blocklist is not asked at the moment, since it is in trouble."),
    "list_hits_today": ("list", "Requests of this day (UTC) in which a blocklist had a hit."),
    "keys_over_limit": ("rule", "Keys (logins, senders, clients) that were over a limit within the last day."),
}
"""What services may report, as ``vaglio_NAME``: the label, and what it is."""

class Meter:
    """Counts nothing: stands in where metrics are off."""

    content_type = "text/plain; charset=utf-8"

    def request(self, action: Action, reason: str, seconds: float) -> None:
        """Count an answer that took ``seconds``."""

    def store_error(self) -> None:
        """Count a failure of the store."""

    def alarm(self) -> None:
        """Count an alarm, whether the admin is told of it or not."""

    def forged(self, count: int) -> None:
        """Count results in our name that a message brought along."""

    def journal_dropped(self, total: int) -> None:
        """Take note of how many journal entries this process has lost so far."""

    def gauges(self, figures: Gauges) -> None:
        """Take note of figures, by one of ``GAUGES`` and then by what its label says.

        A label that is missing now is 0; a name that is missing is not known yet.
        """

    def push(self) -> None:
        """Pass the counts on to the other workers; to be called before the process ends."""

    def exposition(self) -> bytes:
        """Return the figures of all workers in Prometheus' text format."""
        return b""


class PrometheusMeter(Meter):
    """Counts one worker's answers; to be made after the fork, where ``SharedFiles`` were made before it."""

    def __init__(self, daemon: str, version: str) -> None:
        import prometheus_client as library  # only where it is wanted: it takes 0.1 s and 5 MB
        from prometheus_client import multiprocess

        self.content_type = library.CONTENT_TYPE_LATEST
        self._write = library.generate_latest
        self._everybody = library.CollectorRegistry()
        multiprocess.MultiProcessCollector(self._everybody)  # type: ignore[no-untyped-call]
        own = library.CollectorRegistry()
        self._daemon = daemon
        self._counts: defaultdict[tuple[Action, str], int] = defaultdict(int)
        self._requests = library.Counter(
            "vaglio_requests", "Answers given.", ["daemon", "verdict", "reason"], registry=own
        )
        self._latency = _Latency(daemon)
        self._store_errors = library.Counter(
            "vaglio_store_errors", "Requests that the failure policy answered since the store failed.", ["daemon"],
            registry=own,
        ).labels(daemon)  # fmt: skip
        self._alarms = library.Counter(
            "vaglio_alarms", "Alarms raised for the admin.", ["daemon"], registry=own
        ).labels(daemon)
        self._forged = library.Counter(
            "vaglio_forged_results", "Results in our name that messages brought along.", ["daemon"], registry=own
        ).labels(daemon)
        self._dropped = library.Counter(
            "vaglio_journal_dropped", "Journal entries lost since the journal could not be written.", ["daemon"],
            registry=own,
        ).labels(daemon)  # fmt: skip
        self._dropped_so_far = 0
        self._gauges = {
            name: library.Gauge(
                f"vaglio_{name}", text, ["daemon", label], registry=own, multiprocess_mode="mostrecent"
            )
            for name, (label, text) in GAUGES.items()
        }
        library.Gauge(
            "vaglio_workers", "Worker processes at work.", ["daemon"], registry=own, multiprocess_mode="livesum"
        ).labels(daemon).set(1)
        library.Gauge(
            "vaglio_build_info", "Always 1.", ["version", "python"], registry=own, multiprocess_mode="max"
        ).labels(version, platform.python_version()).set(1)
        self._labels: defaultdict[str, set[str]] = defaultdict(set)
        self._scheduled = False

    def request(self, action: Action, reason: str, seconds: float) -> None:
        """Count an answer that took ``seconds``."""
        self._counts[action, reason] += 1
        self._latency.observe(seconds)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(PASS_ON, self.push)

    def store_error(self) -> None:
        """Count a failure of the store."""
        self._store_errors.inc()

    def alarm(self) -> None:
        """Count an alarm, whether the admin is told of it or not."""
        self._alarms.inc()

    def forged(self, count: int) -> None:
        """Count results in our name that a message brought along."""
        self._forged.inc(count)

    def journal_dropped(self, total: int) -> None:
        """Take note of how many journal entries this process has lost so far; less than before is a new journal."""
        self._dropped.inc(total - self._dropped_so_far if total >= self._dropped_so_far else total)
        self._dropped_so_far = total

    def gauges(self, figures: Gauges) -> None:
        """Take note of figures, by one of ``GAUGES`` and then by what its label says."""
        for name, by_label in figures.items():
            seen = self._labels[name]
            seen.update(by_label)
            for label in seen:  # what is gone becomes 0: the library can't take it out of files that all share
                self._gauges[name].labels(self._daemon, label).set(by_label.get(label, 0))

    def push(self) -> None:
        """Pass the counts on to the other workers; to be called before the process ends."""
        self._scheduled = False
        for (action, reason), count in self._counts.items():
            self._requests.labels(self._daemon, action, reason).inc(count)
        self._counts.clear()
        self._latency.push()

    def exposition(self) -> bytes:
        """Return the figures of all workers in Prometheus' text format."""
        self.push()
        return self._write(self._everybody)


class _Latency:
    """The histogram ``vaglio_request_seconds``, counted in plain integers.

    The library's own takes 2 us for a value and has no way to add many at once, so this writes to the shared files
    what it would write.
    """

    def __init__(self, daemon: str) -> None:
        from prometheus_client.utils import floatToGoString
        from prometheus_client.values import ValueClass

        name, text = "vaglio_request_seconds", "Time from reading a request to its answer."
        self._counts = [0] * (len(BUCKETS) + 1)
        self._sum = 0.0
        self._shared_sum = ValueClass("histogram", name, f"{name}_sum", ("daemon",), (daemon,), text)
        self._shared = [
            ValueClass("histogram", name, f"{name}_bucket", ("daemon", "le"), (daemon, bound), text)
            for bound in [floatToGoString(bound) for bound in (*BUCKETS, math.inf)]  # type: ignore[no-untyped-call]
        ]

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(BUCKETS, seconds)] += 1
        self._sum += seconds

    def push(self) -> None:
        for shared, count in zip(self._shared, self._counts, strict=True):
            if count:
                shared.inc(count)
        self._shared_sum.inc(self._sum)
        self._counts = [0] * len(self._counts)
        self._sum = 0.0


def open_meter(listen: str, daemon: str, version: str) -> Meter:
    """Return this worker's meter; one that counts nothing where ``metrics.listen`` is empty."""
    return PrometheusMeter(daemon, version) if listen else Meter()


# --- HTTP -----------------------------------------------------------------------------------------------------------

MOST_REQUEST = 8192
"""Bytes of a request."""

PATIENCE = 5.0
"""Seconds that a connection may last."""

MOST_CONNECTIONS = 32
"""Connections of one worker at a time."""


class Endpoint:
    """Makes protocol objects for connections to the metrics socket; call it to get one.

    ``ready`` says whether this worker wants requests: its store answers and it is not about to stop.
    """

    def __init__(self, meter: Meter, ready: Callable[[], bool]) -> None:
        self._meter = meter
        self._ready = ready
        self.open: set[asyncio.BaseTransport] = set()

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        return _Connection(self)

    def answer(self, header: bytes) -> bytes:
        """Return the whole response to a request with this header."""
        words = header.split(b"\n", 1)[0].split()
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _response("400 Bad Request", "bad request\n")
        if words[0] != b"GET":
            return _response("405 Method Not Allowed", "only GET\n", "Allow: GET\r\n")
        path = words[1].partition(b"?")[0]
        if path == b"/metrics":
            return _response("200 OK", self._meter.exposition(), kind=self._meter.content_type)
        if path == b"/healthz":
            return _response("200 OK", "ok\n")
        if path == b"/readyz":
            return _READY if self._ready() else _NOT_READY
        return _response("404 Not Found", "try /metrics, /healthz or /readyz\n")


def _response(status: str, body: str | bytes, more: str = "", kind: str = Meter.content_type) -> bytes:
    body = body.encode() if isinstance(body, str) else body
    head = f"HTTP/1.1 {status}\r\n{more}Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


_READY = _response("200 OK", "ready\n")
_NOT_READY = _response("503 Service Unavailable", "not ready\n")


class _Connection(asyncio.Protocol):
    """One request, one response."""

    _transport: asyncio.Transport

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._read = b""
        self._limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has the methods, not the class
        self._endpoint.open.add(self._transport)
        self._limit = asyncio.get_running_loop().call_later(PATIENCE, self._transport.abort)
        if len(self._endpoint.open) > MOST_CONNECTIONS:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self._endpoint.open.discard(self._transport)
        if self._limit:
            self._limit.cancel()

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        self._read += data
        header, end, _ = self._read.replace(b"\r\n", b"\n").partition(b"\n\n")
        too_long = len(self._read) > MOST_REQUEST
        if end or too_long:
            self._transport.write(self._endpoint.answer(b"" if too_long else header))
            self._transport.close()
