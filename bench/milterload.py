"""A small load generator for milters: what a mail server does to them, as fast as one core can.

A closed loop: each connection has one message under way, and is made anew for the next, as for clients with one message
each. Options and the JSON that is printed are those of the C program ``milter_bench``, which is used in its place where
there is one; this one serves everybody else. It has no open loop, and knows UNIX sockets only.

    python -m bench.milterload -c 10 -d 5 unix:/path message.eml      or a directory with *.eml files
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

from bench.load import percentile
from bench.mailserver import FINAL, GOODBYE, NAMES, OFFER, flights
from vaglio.milter import wire
from vaglio.milter.wire import Answer, Garbled, Options, Packets

PATIENCE = 60.0
"""Seconds without any answer after which a run is given up."""


class Outcome:
    """What became of the messages; those before ``begin`` are the warm-up and do not count."""

    def __init__(self, begin: float) -> None:
        self.begin = self.last = begin
        self.seconds: list[float] = []
        self.finals: Counter[str] = Counter()
        self.edits: Counter[str] = Counter()
        self.errors = {"connect": 0, "closed": 0, "timeout": 0, "protocol": 0}


class Conversation:
    """A connection with one message, which is whole once ``final`` has the last answer."""

    def __init__(self, path: str, message: bytes) -> None:
        self.began = time.perf_counter()
        self.final = ""
        self.edits: list[str] = []
        self.said: list[bytes] = []
        self._message = message
        self._flights: Iterator[bytes] = iter(())
        self._left = -1  # flights to come; below zero until it is negotiated
        self._packets = Packets()
        self.sock = socket.socket(socket.AF_UNIX)
        with ExitStack() as undo:
            undo.callback(self.sock.close)
            self.sock.settimeout(PATIENCE)
            self.sock.connect(path)
            self.sock.sendall(OFFER)
            undo.pop_all()

    def go_on(self) -> None:
        """Take in what came, and send what is then due. Raises OSError, EOFError or Garbled."""
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        for command, rest in self._packets.feed(data):
            self._take(command, rest)

    def _take(self, command: int, data: bytes) -> None:
        if self._left < 0:
            if command != Answer.OPTIONS:
                raise Garbled("no negotiation")
            self._fly(_flights(self._message, _hashable(wire.read_options(data))))
        elif self._left and command == Answer.CONTINUE:
            self._next()
        elif command in FINAL:
            self.final = NAMES[command]
            self.sock.sendall(GOODBYE)
        else:
            self.edits.append(NAMES.get(command, chr(command)))
            self.said.append(data)

    def _fly(self, all_: Sequence[bytes]) -> None:
        self._flights = iter(all_)
        self._left = len(all_)
        self._next()

    def _next(self) -> None:
        self._left -= 1
        self.sock.sendall(next(self._flights))


Negotiated = tuple[int, int, int, tuple[tuple[int, str], ...]]


def _hashable(options: Options) -> Negotiated:
    return options.version, options.actions, options.steps, tuple(options.macros.items())


@cache
def _flights(message: bytes, negotiated: Negotiated) -> list[bytes]:
    return flights(message, Options(*negotiated[:3], dict(negotiated[3])))


def run(options: argparse.Namespace) -> Outcome:
    """Send messages as the options say. Raises OSError if there is no milter."""
    messages = cycle(_read(options.messages))
    begin = time.perf_counter() + options.warmup
    outcome = Outcome(begin)
    end = begin + options.duration if options.duration else float("inf")
    left = options.number or sys.maxsize
    poll, open_ = select.poll(), dict[int, Conversation]()

    def start() -> None:
        nonlocal left
        if left and time.perf_counter() < end:
            left -= 1
            conversation = Conversation(options.target, next(messages))
            open_[conversation.sock.fileno()] = conversation
            poll.register(conversation.sock, select.POLLIN)

    for _ in range(options.connections):
        start()
    while open_:
        ready = poll.poll(PATIENCE * 1000)
        if not ready:
            outcome.errors["timeout"] += len(open_)
            for conversation in open_.values():
                conversation.sock.close()
            break
        for number, _ in ready:
            conversation = open_[number]
            if trouble := _trouble(conversation):
                outcome.errors[trouble] += 1
            elif not conversation.final:
                continue
            del open_[number]
            poll.unregister(number)
            conversation.sock.close()
            if conversation.final:
                _note(outcome, conversation)
                start()
    return outcome


def _trouble(conversation: Conversation) -> str:
    try:
        conversation.go_on()
    except Garbled:
        return "protocol"
    except TimeoutError:
        return "timeout"
    except (OSError, EOFError):
        return "closed"
    return ""


def _note(outcome: Outcome, conversation: Conversation) -> None:
    now = time.perf_counter()
    if now >= outcome.begin:
        outcome.last = now
        outcome.seconds.append(now - conversation.began)
        outcome.finals[conversation.final] += 1
        outcome.edits.update(conversation.edits)


def _read(path: Path) -> list[bytes]:
    files = sorted(path.glob("*.eml")) if path.is_dir() else [path]
    return [file.read_bytes() for file in files]


def summary(outcome: Outcome, options: argparse.Namespace) -> Mapping[str, Any]:
    """Return the figures of a run; latencies in microseconds."""
    ordered, seconds = sorted(outcome.seconds), outcome.last - outcome.begin
    shares = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999), ("max", 1.0))
    return {
        "target": f"unix:{options.target}", "connections": options.connections, "per_connection": 1,
        "messages": len(ordered), "seconds": round(seconds, 3),
        "messages_per_s": round(len(ordered) / seconds, 1) if seconds > 0 else 0.0,
        "message_us": {name: round(percentile(ordered, share) * 1e6, 1) for name, share in shares},
        "final": dict(outcome.finals), "modifications": dict(outcome.edits), "errors": outcome.errors,
    }  # fmt: skip


def dump(options: argparse.Namespace) -> Iterator[str]:
    """Send one message; tell what the milter wants done with it."""
    conversation = Conversation(options.target, _read(options.messages)[0])
    with conversation.sock:
        while not conversation.final:
            conversation.go_on()
    for name, data in zip(conversation.edits, conversation.said, strict=True):
        yield f"{name}: {data.replace(bytes(1), b' ').decode('utf-8', 'replace')}"
    yield f"final: {conversation.final}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="milterload", description="Load generator for milters.")
    add = parser.add_argument
    add("target", type=_path, metavar="unix:/PATH")
    add("messages", type=Path, help="one message, or a directory whose *.eml files are sent in turn")
    add("-c", "--connections", type=int, default=1, help="one message under way on each")
    add("-n", "--number", type=int, default=0, help="stop after so many")
    add("-d", "--duration", type=float, default=0.0, help="stop after so many seconds")
    add("-w", "--warmup", type=float, default=0.0, help="leave the first seconds out of the figures")
    add("-j", "--json", action="store_true", help="print JSON")
    add("--dump", action="store_true", help="send one message, and print what the milter wants done with it")
    return parser


def _path(text: str) -> str:
    if not text.startswith("unix:/"):
        raise argparse.ArgumentTypeError(f"found {text}, wanted unix:/PATH")
    return text.removeprefix("unix:")


def main(arguments: Iterable[str] | None = None) -> int:
    """Run the generator; return 0 when every message was answered, 1 when not, 2 when there is no milter."""
    options = _parser().parse_args(None if arguments is None else list(arguments))
    if not options.number and not options.duration:
        options.number = 1000
    try:
        if options.dump:
            print("\n".join(dump(options)))
            return 0
        outcome = run(options)
    except OSError as error:
        sys.stderr.write(f"milterload: {error}\n")
        return 2
    print(json.dumps(summary(outcome, options), indent=None if options.json else 2))
    return 1 if any(outcome.errors.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
