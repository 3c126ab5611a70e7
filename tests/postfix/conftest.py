"""A mail world for the tests with a real Postfix: set up once, each test brings addresses of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from lab.space import HOME
from lab.waiting import Unavailable
from lab.world import World


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """Vaglio with two workers and a delay of a second; clients may say who they are (XCLIENT)."""
    greylist = {
        "delay": '"1s"',
        "workers": "2",
        "auto_whitelist": "0",
        "whitelist_clients": f'["{HOME}/vaglio/whitelist_clients"]',
    }
    try:
        world = World(greylist, {"smtpd_authorized_xclient_hosts": "0.0.0.0/0"})
    except Unavailable as error:
        pytest.skip(f"no real Postfix here: {error}")
    with world:
        yield world


_numbers = itertools.count()


@pytest.fixture
def sender() -> str:
    """An address that nobody has seen before."""
    return f"s{next(_numbers)}x@tizio.it"


@pytest.fixture
def recipient() -> str:
    """An address that nobody has written to before."""
    return f"r{next(_numbers)}x@caio.it"
