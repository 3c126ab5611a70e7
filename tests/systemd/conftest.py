"""One booted mail server for all tests of the units."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import containers
from lab.containers import Container
from lab.dns import NameServer, Zones
from lab.space import Space
from tests.systemd.machine import LISTS


@pytest.fixture(scope="session")
def booted() -> Iterator[tuple[Space, Container]]:
    if reason := containers.skip_reason():
        pytest.skip(reason)
    image = containers.build("systemd")
    with Space() as space:
        names = NameServer(space, Zones([LISTS]))
        try:
            with containers.run_systemd(image, space, "--hostname=mail.caio.it", "--dns=127.0.0.1") as container:
                yield space, container
        finally:
            names.close()
