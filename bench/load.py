"""A small load generator for policy servers: what Postfix's smtpd processes do, as fast as one core can.

A closed loop: each connection has one request outstanding, as each smtpd has. A triplet is a function of its index, so
that what one run made known the next can repeat, and a store can be filled without asking anybody. Options, triplets
and the JSON that is printed are those of the C program ``policy_bench``, which is used in its place where there is
one; this one serves everybody else. It has no open loop and no UNIX sockets.

    python -m bench.load -c 10 -d 5 inet:127.0.0.1:10023                  every triplet is new
    python -m bench.load -c 10 -T 5000 --fill inet:127.0.0.1:10023        each of 5,000 triplets once
    python -m bench.load -c 10 -d 5 -T 5000 -R 1 inet:127.0.0.1:10023     nothing but these 5,000
    python -m bench.load -c 10 -d 5 --sasl 1 --users 1000 --state END-OF-MESSAGE inet:127.0.0.1:10026     mail of users
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

PATIENCE = 30.0
"""Seconds without any answer after which a run is given up."""

RECIPIENTS = 200
"""Different recipients that all requests share."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_64 = (1 << 64) - 1


class Triplet(NamedTuple):
    """Who writes to whom, and from where."""

    address: str
    name: str
    sender: str
    recipient: str


def scramble(number: int) -> int:
    """Return 64 bits that look random and depend on ``number`` only (the SplitMix64 step of Steele, Lea and Flood)."""
    number = (number + 0x9E3779B97F4A7C15) & _64
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _64
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _64
    return number ^ (number >> 31)


def letters(number: int) -> str:
    """Return ``number`` in base 26, in letters only: greylisters fold digits, and all names would be one."""
    text = ""
    while True:
        number, digit = divmod(number, 26)
        text = _LETTERS[digit] + text
        if not number:
            return text


def triplet(index: int) -> Triplet:
    """Return triplet number ``index``: a client in a /24 of its own (the first 6.5 million), a sender of its own."""
    network = f"{11 + (index >> 16) % 100}.{index >> 8 & 255}.{index & 255}"
    return Triplet(
        f"{network}.{1 + scramble(index) % 254}",
        f"mail-{letters(index)}.example.net",
        f"{letters(index)}@{letters(index % 5000)}.example.org",
        f"{letters(scramble(index ^ 0xACC0) % RECIPIENTS)}@example.com",
    )


# --- requests ---------------------------------------------------------------------------------------------------

_ATTRIBUTES = (
    ("request", "smtpd_access_policy"), ("protocol_state", "RCPT"), ("protocol_name", "ESMTP"),
    ("client_address", "%(address)s"), ("client_name", "%(name)s"), ("client_port", "40025"),
    ("reverse_client_name", "%(name)s"), ("server_address", "192.0.2.1"), ("server_port", "25"),
    ("helo_name", "%(name)s"), ("sender", "%(sender)s"), ("recipient", "%(recipient)s"), ("recipient_count", "0"),
    ("queue_id", ""), ("instance", "\0"), ("size", "%(size)d"), ("etrn_domain", ""), ("stress", ""),
    ("sasl_method", ""), ("sasl_username", "\1"), ("sasl_sender", ""), ("ccert_subject", ""), ("ccert_issuer", ""),
    ("ccert_fingerprint", ""), ("ccert_pubkey_fingerprint", ""), ("encryption_protocol", ""),
    ("encryption_cipher", ""), ("encryption_keysize", "0"), ("policy_context", ""),
)  # fmt: skip
"""What Postfix 3.7 sends at RCPT, in its order (SMTPD_POLICY_README). "\\0" and "\\1" are another thing each time."""

LATER = {"recipient_count": "1", "queue_id": "4C2F1B0A9D"}
"""What it knows when the recipients are over."""

_LOGGED_IN = {"server_port": "587", "sasl_method": "PLAIN"}


class Requests:
    """Makes requests; ``fixed`` gives attributes the same value in all of them, and may add some. ``user`` gives the
    login of each.
    """

    def __init__(self, fixed: Mapping[str, str], user: Callable[[], str] = str) -> None:
        values = {**dict(_ATTRIBUTES), **{name: value.replace("%", "%%") for name, value in fixed.items()}}
        self._template = "".join(f"{name}={value}\n" for name, value in values.items()) + "\n"
        self._serial = count()
        self._session = f"{os.getpid() & 0xFFFF:x}.{int(time.time()):x}"
        self._user = user
        # All but instance and login is made once for each triplet that is repeated.
        self._most = functools.lru_cache(maxsize=20_000)(self._rendered)

    def request(self, index: int) -> bytes:
        """Return a request about triplet ``index``: a message of its own, as its ``instance`` says."""
        instance = f"{self._session}.{next(self._serial):x}.0"
        return self._most(index).replace(b"\0", instance.encode()).replace(b"\1", self._user().encode())

    def _rendered(self, index: int) -> bytes:
        fields = {**triplet(index)._asdict(), "size": 1500 + scramble(index ^ 0x512E) % 60000}
        return (self._template % fields).encode()


def login(number: int) -> str:
    """Return the login of user ``number``."""
    return f"user{number}@example.com"


def requests_of(options: argparse.Namespace) -> Requests:
    """Return what makes the requests that are wanted."""
    fixed = {"protocol_state": options.state, **({} if options.state == "RCPT" else LATER)}
    if not options.sasl:
        return Requests({**fixed, **dict(options.set)})
    rng = random.Random(options.seed + 1)  # not in step with the triplets
    return Requests({**fixed, **_LOGGED_IN, **dict(options.set)}, lambda: login(rng.randrange(options.users)))


def indices(options: argparse.Namespace) -> Iterator[int]:
    """Yield the triplets to ask about: the pool in order, new ones, or a mixture of old and new by chance."""
    if options.fill:
        yield from (number % options.pool for number in count())
    rng, new = random.Random(options.seed), count(options.pool if options.first_new is None else options.first_new)
    while True:
        old = options.repeat >= 1 or rng.random() < options.repeat
        yield rng.randrange(options.pool) if old else next(new)


# --- the loop ---------------------------------------------------------------------------------------------------


class Outcome:
    """What is counted, from ``begin`` (a time of ``time.perf_counter``) on."""

    def __init__(self, begin: float) -> None:
        self.begin = begin
        self.last = begin
        self.seconds: list[float] = []
        self.actions: Counter[str] = Counter()
        self.errors = {"connect": 0, "closed": 0, "timeout": 0, "malformed": 0}

    def answered(self, sent: float, now: float, answer: bytes) -> None:
        """Count an answer to a request of ``sent``."""
        action = action_of(answer)
        if not action:
            self.errors["malformed"] += 1
        elif sent >= self.begin:
            self.seconds.append(now - sent)
            self.actions[action] += 1
            self.last = now


def action_of(answer: bytes) -> str:
    """Return the first word of an answer's action, "" if it has none."""
    for line in answer.split(b"\n"):
        if line.startswith(b"action="):
            return next(iter(line[7:].decode("utf-8", "replace").split()), "")
    return ""


class _Connection:
    """One connection to the server; ``sent`` is when the outstanding request went out."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = socket.create_connection(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent = 0.0
        self._read = b""

    def ask(self, request: bytes) -> None:
        """Send a request."""
        self.sent = time.perf_counter()
        self.sock.sendall(request)

    def answer(self) -> bytes:
        """Return the answer, empty while it is not complete. Raises ConnectionError when there will be none."""
        data = self.sock.recv(8192)
        if not data:
            raise ConnectionResetError
        self._read += data
        if not self._read.endswith(b"\n\n"):
            return b""
        answer, self._read = self._read, b""
        return answer


class Run:
    """One run: ``connections`` connections, until ``requests`` are asked or ``duration`` seconds are over."""

    def __init__(self, options: argparse.Namespace, requests: Callable[[], bytes]) -> None:
        self._left = options.requests or sys.maxsize
        self._request = requests
        self._poll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        for _ in range(options.connections):
            connection = _Connection(options.target)
            self._connections[connection.sock.fileno()] = connection
            self._poll.register(connection.sock, select.EPOLLIN)
        begin = time.perf_counter() + options.warmup  # now: a server with a short queue takes its time to accept
        self.outcome = Outcome(begin)
        self._end = begin + options.duration if options.duration else float("inf")

    def go(self) -> Outcome:
        """Do it."""
        asking = sum(map(self._next, list(self._connections.values())))
        while asking:
            ready = self._poll.poll(PATIENCE)
            if not ready:
                self.outcome.errors["timeout"] += asking
                break
            for descriptor, _ in ready:
                asking -= not self._go_on(self._connections[descriptor])
        for connection in self._connections.values():
            connection.sock.close()
        self._poll.close()
        return self.outcome

    def _next(self, connection: _Connection) -> bool:
        """Ask the next question; False when there is none any more."""
        if self._left <= 0 or time.perf_counter() >= self._end:
            return False
        self._left -= 1
        connection.ask(self._request())
        return True

    def _go_on(self, connection: _Connection) -> bool:
        """Take in what came; False when this connection is done."""
        try:
            answer = connection.answer()
            if not answer:
                return True
            self.outcome.answered(connection.sent, time.perf_counter(), answer)
            return self._next(connection)
        except ConnectionError:
            self.outcome.errors["closed"] += 1
            self._poll.unregister(connection.sock)
            return False


# --- the report -------------------------------------------------------------------------------------------------


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least ``share`` (0 to 1) of the sorted values do not exceed; 0 for none."""
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else 0.0


def summary(outcome: Outcome, target: str, connections: int) -> dict[str, Any]:
    """Return the figures of a run; latencies in microseconds."""
    ordered = sorted(outcome.seconds)
    seconds = outcome.last - outcome.begin

    def micro(value: float) -> float:
        return round(value * 1e6, 1)

    return {
        "target": target,
        "connections": connections,
        "requests": len(ordered),
        "seconds": round(seconds, 3),
        "requests_per_s": round(len(ordered) / seconds, 1) if seconds > 0 else 0.0,
        "rate": 0.0,
        "latency_us": {
            "mean": micro(sum(ordered) / len(ordered)) if ordered else 0.0,
            **{name: micro(percentile(ordered, share)) for name, share in
               (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999), ("max", 1.0))},
        },
        "actions": dict(outcome.actions),
        "errors": outcome.errors,
        "retries": 0,
        "reconnects": 0,
    }  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="load", description="Load generator for Postfix policy servers.")
    add = parser.add_argument
    add("target", type=_address, metavar="inet:HOST:PORT")
    add("-c", "--connections", type=int, default=1, help="one request outstanding on each")
    add("-n", "--requests", type=int, default=0, help="stop after so many")
    add("-d", "--duration", type=float, default=0.0, help="stop after so many seconds")
    add("-w", "--warmup", type=float, default=0.0, help="leave the first seconds out of the figures")
    add("-R", "--repeat", type=float, default=0.0, help="fraction of requests about triplets of the pool")
    add("-T", "--pool", type=int, default=10_000, help="triplets in the pool")
    add("--fill", action="store_true", help="ask about each triplet of the pool once, in order")
    add("--first-new", type=int, help="index of the first new triplet (default: the first beyond the pool)")
    add("--sasl", type=float, default=0.0, choices=(0.0, 1.0), help="1: all requests are of users that have logged in")
    add("--users", type=int, default=100, help="how many users there are")
    add("--state", default="RCPT", help="protocol_state: RCPT, DATA, END-OF-MESSAGE")
    add("--set", action="append", default=[], type=_setting, metavar="NAME=VALUE", help="fix an attribute")
    add("--seed", type=int, default=1)
    add("-j", "--json", action="store_true", help="print JSON")
    return parser


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.removeprefix("inet:").rpartition(":")
    if not colon or not port.isdigit():
        raise argparse.ArgumentTypeError(f"found {text}, wanted inet:HOST:PORT")
    return host, int(port)


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals or "\n" in text:
        raise argparse.ArgumentTypeError(f"found {text!r}, wanted NAME=VALUE")
    return name, value


def main(arguments: Iterable[str] | None = None) -> int:
    """Run the generator; return 0 when every request was answered, 1 when not, 2 when there is no server."""
    options = _parser().parse_args(None if arguments is None else list(arguments))
    if not options.requests and not options.duration:
        options.requests = options.pool if options.fill else 10_000
    requests, wanted = requests_of(options), indices(options)
    try:
        outcome = Run(options, lambda: requests.request(next(wanted))).go()
    except OSError as error:
        sys.stderr.write(f"load: {error}\n")
        return 2
    figures = summary(outcome, "inet:{}:{}".format(*options.target), options.connections)
    print(json.dumps(figures) if options.json else json.dumps(figures, indent=2))
    return 1 if any(outcome.errors.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
