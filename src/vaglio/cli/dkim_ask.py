"""Asking for records: the resolver that the daemons ask, and each name server of a zone by itself."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar

from vaglio.checks.dkim.signing.published import Finding
from vaglio.checks.dkim.signing.survey import RESOLVER, Judge, Survey, View, survey
from vaglio.cli.given import resolver_of
from vaglio.config.load import Loaded
from vaglio.dns.open import OpenResolver, open_resolver

T = TypeVar("T")

_AT_ONCE = 20
"""Records that are asked for at the same time: each takes some questions to each of its servers."""


def asking_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--zone`` and ``--ignore``."""
    parser.add_argument("--zone", default="", metavar="FILE",
                        help="answer from this zone file, ask nobody: a list of answers, in which named-checkzone sees "
                             "mistakes that this does not")  # fmt: skip
    parser.add_argument("--ignore", action="append", default=[], metavar="SERVER", type=_server,
                        help="don't mind what this name server, name or address, tells; "
                             f'"{RESOLVER}" for the one that the daemons ask')  # fmt: skip


def _server(text: str) -> str:
    return text.lower().removesuffix(".")


class Asker:
    """Lives as long as one loop."""

    def __init__(self, args: argparse.Namespace, loaded: Loaded) -> None:
        self.resolver = resolver_of(args.zone, loaded)
        self.ignored: Collection[str] = args.ignore
        self.is_offline = bool(args.zone or loaded.config.dns.zone_file)
        self._timeout = loaded.config.dns.timeout
        self._at: dict[str, OpenResolver] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def survey(self, name: str, judge: Judge) -> Survey:
        """Ask all for a record. A zone file need not name any servers."""
        async with self._turns:
            found = await survey(name, judge, self.resolver, self._there)
        return found._replace(trouble="") if self.is_offline else found

    def lacking(self, found: Survey) -> Sequence[View]:
        """Return who does not tell what they should."""
        return found.lacking(self.ignored)

    def minded(self, found: Survey) -> Sequence[View]:
        """Return what those tell who are not ignored."""
        return [view for view in found.views if not view.is_one_of(self.ignored)]

    def is_seen(self, found: Survey) -> bool:
        """Say whether all tell what they should, as far as it can be known."""
        return not self.lacking(found) and not found.trouble

    def _there(self, address: str) -> OpenResolver:
        if self.is_offline:
            return self.resolver
        if address not in self._at:
            self._at[address] = open_at(address, self._timeout)
        return self._at[address]

    def close(self) -> None:
        """Let go of the sockets."""
        for one in (self.resolver, *self._at.values()):
            one.close()


def open_at(address: str, timeout: float) -> OpenResolver:
    """Return a resolver that asks one address alone."""
    return open_resolver([address], timeout)


def asked(args: argparse.Namespace, loaded: Loaded, work: Callable[[Asker], Awaitable[T]]) -> T:
    """Run ``work`` with an asker."""

    async def whole() -> T:
        asker = Asker(args, loaded)
        try:
            return await work(asker)
        finally:
            asker.close()

    return asyncio.run(whole())


def told(view: View) -> str:
    """Return who tells what, in words."""
    where = f" ({view.address})" if view.address else ""
    return f"{view.server}{where}: {view.found.words}"


def explained(found: Survey) -> list[str]:
    """Return what is to be known beside what each tells."""
    lines = []
    if found.aliases:
        lines.append(f"it is an alias (CNAME) of {' -> '.join(found.aliases)}")
    if found.trouble:
        lines.append(found.trouble)
    if found.is_stale and not found.resolver.fits:
        is_no = found.resolver.finding is Finding.MISSING and found.negative_ttl
        until = f" for up to {found.negative_ttl} s" if is_no else ""
        lines.append(f"the resolver remembers an old answer{until}: all name servers of the zone tell another one")
    elif found.is_stale:
        lines.append("the resolver still tells an old answer: the name servers of the zone do not have it any more")
    return lines
