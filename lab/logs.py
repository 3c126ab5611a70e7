"""Reading logs: what Postfix says of its deliveries, and Vaglio's key=value lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_DELIVERY = re.compile(
    r"/(?:smtp|virtual)\[\d+\]: (?P<queue>\w+): to=<(?P<recipient>[^>]*)>,.* delay=(?P<delay>[\d.]+),"
    r".* dsn=(?P<dsn>[\d.]+), status=(?P<status>\w+) \((?P<said>.*)\)$"
)
_HOST_SAID = re.compile(r"^host \S+ said: (.*?)(?: \(in reply to .*\))?$")
_PAIR = re.compile(r'([A-Za-z_][\w.-]*)=("(?:[^"\\]|\\.)*"|\S*)')
_ESCAPE = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt of a Postfix to hand a message over: ``seconds`` after its arrival, and the answer it got."""

    queue_id: str
    recipient: str
    seconds: float
    status: str
    answer: str


def deliveries(log: str) -> list[Delivery]:
    """Return the delivery attempts of a Postfix log, in order."""
    found = filter(None, map(_DELIVERY.search, log.splitlines()))
    return [Delivery(m["queue"], m["recipient"], float(m["delay"]), m["status"], _answer(m["said"])) for m in found]


def pairs(line: str) -> dict[str, str]:
    """Return the pairs of a key=value line; a value may stand in double quotes with backslash escapes."""
    return {key: _unquote(value) for key, value in _PAIR.findall(line)}


def decisions(log: str) -> Iterator[dict[str, str]]:
    """Yield the decisions of a Vaglio log: the lines with a verdict."""
    return (found for found in map(pairs, log.splitlines()) if "verdict" in found)


def _answer(said: str) -> str:
    """Return the remote server's own words."""
    return match[1] if (match := _HOST_SAID.match(said)) else said


def _unquote(value: str) -> str:
    return _ESCAPE.sub(r"\1", value[1:-1]) if value.startswith('"') else value
