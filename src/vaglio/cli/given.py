"""What commands that judge without a mail server are given: a message from a file, the DNS from a file, the time."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vaglio.checks.score.learning import comes_later
from vaglio.checks.score.links import SCHEMA, Context, Links
from vaglio.cli.common import CliError, is_there, said
from vaglio.config.load import Loaded
from vaglio.dns.open import OpenResolver, open_resolver
from vaglio.examination import Field
from vaglio.ports import Clock, StoreError
from vaglio.store.memory import MemoryStore
from vaglio.store.tokens import FILE_NAME, LookTokens, MemoryTokens, Tokens

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


_HOSTS = re.compile(rb"(?:^|\s)(?:from|by)\s+([^\s;()]+)", re.IGNORECASE)


def as_it_came(fields: Sequence[Field], hostname: str) -> list[Field]:
    """Return the header of a message out of a mailbox of this host without what this host has put on top of it: as it
    would come to a milter. One that this host has put nothing on top of stays as it is.
    """
    came = 0
    for place, (name, value) in enumerate(fields, 1):
        if name.lower() == b"received":
            # Who files it, such as Dovecot, may call himself otherwise: then this host is whom he has it from.
            if hostname.lower().encode() not in map(bytes.lower, _HOSTS.findall(value)[:2]):
                break
            came = place
        elif not comes_later(name):
            break
    return list(fields[came:])


def resolver_of(zone: str, loaded: Loaded) -> OpenResolver:
    """Return the DNS: of the file ``zone``, if one is named, else as the configuration has it."""
    dns = loaded.config.dns
    try:
        return open_resolver(dns.servers, dns.timeout, zone or dns.zone_file)
    except (ValueError, OSError) as error:  # ZoneError is a ValueError
        raise CliError(str(error)) from error


def learned_of(loaded: Loaded) -> Tokens:
    """Return what Bayes has learned, for looking only; nothing where there is no state directory, or nothing in it."""
    directory = loaded.config.state.directory
    path = directory / FILE_NAME if directory else None
    if path is None or not is_there(path):
        return MemoryTokens()
    try:
        return LookTokens(path)
    except StoreError as error:
        raise CliError(str(error)) from error


@contextmanager
def links_of(zone: str, loaded: Loaded, clock: Clock, ask: bool) -> Iterator[Links | None]:
    """Give the lists of links' domains, of which none is suspended; None where none is to be asked. On an event loop's
    thread only.
    """
    settings = loaded.config.score.links
    if not ask or not settings.enabled:
        yield None
        return
    resolver = resolver_of(zone, loaded)
    try:
        yield Links(settings, Context(clock, MemoryStore(SCHEMA), resolver, lambda _: None))
    finally:
        resolver.close()
