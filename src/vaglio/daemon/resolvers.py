"""The resolvers of a worker: one for the settings of the moment, and those that somebody still asks after a reload.

Messages are judged to their end by the configuration they began with, and that may be long after the next one came: a
resolver is closed when the last service that was lent it is gone, and not by the clock.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from vaglio.config.model import Dns
from vaglio.daemon.service import Service

if TYPE_CHECKING:
    from vaglio.dns.open import OpenResolver


def opened(settings: Dns) -> OpenResolver:
    """Return a new resolver; raises OSError."""
    from vaglio.dns.open import open_resolver  # for the daemons that ask the DNS

    try:
        return open_resolver(settings.servers, settings.timeout, settings.zone_file)
    except ValueError as error:
        raise OSError(f"[dns]: {error}") from None


class _Lent:
    """A resolver, its settings, and the services that ask it."""

    def __init__(self, settings: Dns, resolver: OpenResolver) -> None:
        self.settings, self.resolver = settings, resolver
        self.users: weakref.WeakSet[Service] = weakref.WeakSet()


class Resolvers:
    """Lends resolvers to services, on ``loop``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, opener: Callable[[Dns], OpenResolver] = opened) -> None:
        self._loop, self._opener = loop, opener
        self._lent: list[_Lent] = []  # the last one is that of the moment

    def lend(self, settings: Dns) -> OpenResolver:
        """Return the resolver for these settings; where they are as before, with all that it knows. A zone file is read
        again. Raises OSError.
        """
        if not self._lent or self._lent[-1].settings != settings or settings.zone_file:
            self._lent.append(_Lent(settings, self._opener(settings)))
        return self._lent[-1].resolver

    def used_by(self, service: Service) -> None:
        """Take note that a service may have been lent the one of the moment."""
        if self._lent:
            self._lent[-1].users.add(service)
            weakref.finalize(service, self._soon)

    def _soon(self) -> None:
        if not self._loop.is_closed():  # the last to have it may be a thread of libmilter's
            self._loop.call_soon_threadsafe(self._retire)

    def _retire(self) -> None:
        """Close what no service has any more, once the last answers are given."""
        for lent in [one for one in self._lent[:-1] if not one.users]:
            self._lent.remove(lent)
            self._loop.call_later(lent.settings.timeout, lent.resolver.close)

    def close(self) -> None:
        """Close all of them."""
        for lent in self._lent:
            lent.resolver.close()
