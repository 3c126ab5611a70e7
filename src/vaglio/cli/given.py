"""What commands that judge without a mail server are given: a message from a file, the DNS from a file, the time."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from vaglio.cli.common import CliError, said
from vaglio.config.load import Loaded
from vaglio.dns.open import OpenResolver, open_resolver

LARGEST = 200 * 1000**2
"""Bytes of a message."""


class Still:
    """A clock that stands."""

    def __init__(self, unix: float) -> None:
        self._unix = unix

    def now(self) -> float:
        """Return the time that it was given."""
        return self._unix

    async def sleep(self, seconds: float) -> None:
        """Wait all the same."""
        await asyncio.sleep(seconds)


def content(name: str) -> bytes:
    """Return what is in a file, or on standard input for "-"."""
    try:
        if name == "-":
            found = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with Path(name).open("rb") as file:
                found = file.read(LARGEST + 1)
    except OSError as error:
        raise CliError(f"{name}: {said(error)}") from error
    if len(found) > LARGEST:
        raise CliError(f"{name}: more than {LARGEST // 1000**2} MB: that is no message")
    return found


def resolver_of(zone: str, loaded: Loaded) -> OpenResolver:
    """Return the DNS: of the file ``zone``, if one is named, else as the configuration has it."""
    dns = loaded.config.dns
    try:
        return open_resolver(dns.servers, dns.timeout, zone or dns.zone_file)
    except (ValueError, OSError) as error:  # ZoneError is a ValueError
        raise CliError(str(error)) from error
