"""Resolvers that are lent: each lives as long as somebody may ask it, and a while for its last answers."""

from __future__ import annotations

import asyncio
import gc
from typing import Any, cast

from vaglio.config.model import Dns
from vaglio.daemon.resolvers import Resolvers
from vaglio.daemon.service import Milter, Service
from vaglio.dns.open import OpenResolver


class Resolver:
    closed = False

    def close(self) -> None:
        self.closed = True


class Loop:
    """``turn`` does what is to be done soon; ``later`` is what is to be done later, with the seconds."""

    def __init__(self) -> None:
        self._soon: list[Any] = []
        self.later: list[tuple[float, Any]] = []

    def is_closed(self) -> bool:
        return False

    def call_soon_threadsafe(self, call: Any) -> None:
        self._soon.append(call)

    def turn(self) -> None:
        gc.collect()
        while self._soon:
            self._soon.pop(0)()

    def call_later(self, seconds: float, call: Any) -> None:
        self.later.append((seconds, call))


def service() -> Service:
    return Service(Milter([]))


class Bench:
    def __init__(self) -> None:
        self.loop = Loop()
        self.resolvers = Resolvers(
            cast(asyncio.AbstractEventLoop, self.loop), lambda _: cast(OpenResolver, Resolver())
        )

    def reload(self, **settings: Any) -> tuple[Service, Resolver]:
        resolver = self.resolvers.lend(Dns.model_validate(settings))
        new = service()
        self.resolvers.used_by(new)
        return new, cast(Resolver, resolver)


def test_the_same_settings_have_the_same_resolver_with_all_that_it_knows() -> None:
    bench = Bench()
    assert bench.reload(timeout="4s")[1] is bench.reload(timeout="4s")[1]
    bench.loop.turn()
    assert bench.loop.later == []


def test_a_zone_file_is_read_again() -> None:
    bench = Bench()
    assert bench.reload(zone_file="/x")[1] is not bench.reload(zone_file="/x")[1]


def test_an_old_one_is_closed_when_its_last_user_is_gone_and_its_last_answers_are_given() -> None:
    bench = Bench()
    first, resolver = bench.reload(timeout="4s")
    second, same = bench.reload(timeout="4s")
    assert same is resolver
    bench.reload(timeout="5s")
    del first
    bench.loop.turn()
    assert bench.loop.later == [], "another service has it still"
    del second
    bench.loop.turn()
    [(seconds, close)] = bench.loop.later
    close()
    assert (seconds, resolver.closed) == (4, True)


def test_that_of_the_moment_is_closed_with_the_worker_only() -> None:
    bench = Bench()
    last, resolver = bench.reload()
    del last
    bench.loop.turn()
    assert (bench.loop.later, resolver.closed) == ([], False)
    bench.resolvers.close()
    assert resolver.closed
