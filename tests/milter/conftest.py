"""Both engines, and a milter of each that tests share which need no other configuration."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.milter.daemons import TrivialMilter

ENGINES = ("native", "libmilter")


def needs_engine(name: str) -> None:
    """Skip a test whose engine is not installed."""
    if name == "libmilter" and find_spec("milter") is None:
        pytest.skip("pymilter is not installed: pip install 'vaglio[libmilter]', for which libmilter-dev is needed")


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Give the name of an engine."""
    name: str = request.param
    needs_engine(name)
    return name


@pytest.fixture(scope="session")
def milter(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrivialMilter]:
    """Give a trivial milter that nobody may stop or configure."""
    with TrivialMilter(tmp_path_factory.mktemp(engine), engine).ready() as daemon:
        yield daemon


@pytest.fixture(scope="session")
def asking(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrivialMilter]:
    """Give one with two checks, one of which judges recipients, and which defers what it can't judge."""
    checks = "one:recipients+headers,two:headers+chunks"
    with TrivialMilter(tmp_path_factory.mktemp(engine), engine, checks=checks, on_error='"defer"').ready() as daemon:
        yield daemon
