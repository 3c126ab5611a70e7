"""What an admin may type or paste as an argument: times, counts, addresses, clients as Postfix logs them.

Each function serves as argparse's ``type``: it returns the value or raises ArgumentTypeError with what was wanted.
"""

from __future__ import annotations

import math
import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from vaglio.config.types import parse_duration
from vaglio.facts import Client, client_of

When = Callable[[float], float]
"""From now to the moment meant, both Unix seconds."""

# "connect from mail.tizio.it[198.51.100.7]", "unknown[2001:db8::1]:25"
_LOGGED = re.compile(r"([^\s\[\]]*)\[([0-9A-Fa-f:.]+)\](?::\d+)?", re.ASCII)


def when(text: str) -> When:
    """Read a duration ago ("1h", "7d"), a date ("2026-11-22", "2026-11-22 14:30", local time) or Unix seconds."""
    if text.isascii() and text.isdigit() and len(text) > 6:
        return lambda _: float(text)
    try:
        seconds = parse_duration(text)
    except ValueError:
        stamp = _date(text)
        return lambda _: stamp
    return lambda now: now - seconds


def _date(text: str) -> float:
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        raise ArgumentTypeError(
            f'found {text!r}, wanted a time ago such as "1h" or "7d", a date such as "2026-11-22" or '
            '"2026-11-22 14:30", or Unix seconds'
        ) from None


def unix_time(text: str) -> float:
    """Read Unix seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < 1e11:  # a year of four digits
        raise ArgumentTypeError(f"found {text!r}, wanted a time in Unix seconds")
    return seconds


def count(text: str) -> int:
    """Read a whole number of at least 1."""
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text):
        return int(text)
    raise ArgumentTypeError(f"found {text!r}, wanted a whole number of at least 1")


def mailbox(text: str) -> str:
    """Read a mail address, as typed or as logged (``<tizio@tizio.it>``); "" and ``<>`` are the null sender."""
    text = text.strip()
    return text[1:-1] if text.startswith("<") and text.endswith(">") else text


_SENDER = re.compile(r'(?:"[^"]*"|[^\s"])*')


def sender(text: str) -> str:
    """Read a mail address as ``mailbox`` does, or a domain; a blank outside quotes is in neither."""
    address = mailbox(text)
    if not _SENDER.fullmatch(address):
        raise ArgumentTypeError(f'found {text!r}, wanted an address such as tizio@tizio.it, or "" for the null sender')
    return address


class Asked(NamedTuple):
    """A client, and whether its name was given: ``unknown`` is as good as one, it says that there is none."""

    client: Client
    named: bool


def client(text: str) -> Asked:
    """Read a client: an address, or name and address as Postfix logs them (``mail.tizio.it[198.51.100.7]``)."""
    logged = _LOGGED.fullmatch(text.strip())
    name, address = logged.groups() if logged else ("", text.strip())
    found = client_of(address, name, name)
    if not found.packed:
        raise ArgumentTypeError(f'found {text!r}, wanted "198.51.100.7" or "mail.tizio.it[198.51.100.7]"')
    return Asked(found, name != "")


def client_network(text: str) -> str:
    """Read a client as ``client`` does, or a network, which is returned as it stands."""
    logged = _LOGGED.fullmatch(text.strip())
    return str(logged[2]) if logged else text.strip()
