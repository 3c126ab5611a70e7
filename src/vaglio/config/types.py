"""The building blocks of settings classes: strict sections, and values that admins write in words.

Every settings class derives from ``Section``, every daemon's section from ``DaemonSection``; the docstring
below a field is what ``vaglio config defaults`` prints above it. Defaults are the values as the program uses
them (a duration in seconds): ``vaglio config defaults`` writes them back as an admin would.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST = 36525 * 86400
_SIZES = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_DURATION = re.compile(r"(?:\d{1,9}[smhdw])+", re.ASCII)
_SIZE = re.compile(r"(\d{1,9}) ?([KMG]i?B|B)", re.ASCII)


def parse_duration(value: object) -> int:
    """Return the seconds of ``"90s"``, ``"5m"``, ``"1h30m"``, ``"35d"``, ``"2w"``; ValueError otherwise."""
    if isinstance(value, str) and _DURATION.fullmatch(value):
        seconds = sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)([smhdw])", value))
        if seconds > _LONGEST:  # a date that far ahead could not be shown
            raise ValueError("a duration of at most 100 years")
        return seconds
    raise ValueError('a duration in quotes such as "90s", "5m", "1h30m" or "35d"')


def format_duration(seconds: float) -> str:
    """Return the shortest text that ``parse_duration`` reads back as ``seconds`` (whole seconds)."""
    rest, parts = round(seconds), []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_size(value: object) -> int:
    """Return the bytes of ``"200 MB"`` or ``"64KiB"``; ValueError otherwise."""
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)):
        return int(match[1]) * _SIZES[match[2]]
    raise ValueError('a size in quotes such as "200 MB" or "64 KiB"')


def format_size(size: int) -> str:
    """Return the shortest text that ``parse_size`` reads back as ``size`` bytes."""
    fitting = [f"{size // unit} {name}" for name, unit in _SIZES.items() if size and size % unit == 0]
    return min(fitting, key=len, default="0 B")


_UNIX = re.compile(r"unix:(/\S{1,100})")
_INET = re.compile(r"inet:(?:(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):)(\d{1,5})", re.ASCII)


def parse_socket(value: object) -> str:
    """Return a socket address as Postfix writes it: ``unix:/path``, ``inet:host:port``, ``inet:[::1]:port``.

    Raises ValueError for anything else.
    """
    if isinstance(value, str) and (
        _UNIX.fullmatch(value) or ((match := _INET.fullmatch(value)) and int(match[2]) < 65536)
    ):
        return value
    raise ValueError('a socket such as "inet:127.0.0.1:10023", "inet:[::1]:10023" or "unix:/run/vaglio/x.sock"')


Duration = Annotated[int, BeforeValidator(parse_duration)]
"""Seconds, written as ``"5m"``."""

Size = Annotated[int, BeforeValidator(parse_size)]
"""Bytes, written as ``"200 MB"``."""

SocketAddress = Annotated[str, BeforeValidator(parse_socket)]
"""A listening or target address in Postfix's notation."""

Workers = Annotated[int, Field(ge=1, le=64)] | Literal["auto"]


class Section(BaseModel):
    """A table of the configuration file: unknown keys are errors, values are taken as written."""

    # defer_build: the root's validator holds those of all sections (``empty_table``), but for lists of tables.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


def empty_table() -> Any:
    """Return the default of a field that is a section: what an empty table gives. It is read by the validator of the
    whole; an instance as default would need one of its own, and two dozen of these take 0.02 s at each start.
    """
    return Field(default_factory=dict, validate_default=True)


class DaemonSection(Section):
    """What every daemon's section has."""

    listen: Annotated[list[SocketAddress], Field(min_length=1)]
    """Sockets to listen on: "inet:127.0.0.1:10023", "inet:[::1]:10023", "unix:/run/vaglio/name.sock"."""
    socket_mode: Annotated[str, Field(pattern=r"^0?[0-7]{3}$", description='octal permissions such as "0660"')] = "0660"
    """Permissions of a UNIX socket."""
    socket_owner: str = ""
    """Owner of a UNIX socket: a user name or number; "" leaves it to the system."""
    socket_group: str = ""
    """Group of a UNIX socket: a group name or number; "" leaves it to the system."""
    workers: Workers = 1
    """Worker processes on the same sockets; "auto" is one per CPU."""
    on_error: Literal["pass", "defer"] = "pass"
    """What the client hears when the check itself fails: let the mail through, or ask it to come back."""
    mode: Literal["enforce", "rehearse"] = "enforce"
    """"rehearse" lets everything through and records what would have been done."""
    deadline: Annotated[Duration, Field(ge=1)] = 5
    """Longest time one answer may take; then on_error decides. Stay below Postfix's timeout for the service."""


class MilterSection(DaemonSection):
    """What the section of a milter, or of a chain of them, has besides."""

    engine: Literal["native", "libmilter"] = "native"
    """Who speaks the milter protocol: "native" is our own, "libmilter" is Sendmail's, which needs pymilter (pip install
    '.[libmilter]') and listens on one socket only."""
    deadline: Annotated[Duration, Field(ge=1, le=240)] = 25
    """Longest time a check may take at the end of a message; then its result is "temperror", or what on_error says.
    Stay below milter_content_timeout of Postfix (300s), and in Sendmail below E of the filter's timeouts."""
    max_scan: Annotated[Size, Field(ge=1000)] = 1000**2
    """How much of a body is held in memory, for checks that read it; all of it goes to those that hash it."""
    max_connections: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Connections of one worker; further ones wait. Postfix has one for each SMTP session."""
    remove_forged: bool = True
    """Take out Authentication-Results in our name (identity.authserv_id) that came with the message. false is for a
    milter behind another of ours, whose results would be taken out too."""
