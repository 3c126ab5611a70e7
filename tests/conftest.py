"""What holds for all tests: the real network is denied, the order, and the marker of those that need root."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

_NETWORK = Path("/proc/thread-self/ns/net")
_HOME = _NETWORK.readlink()

# How long an example takes says more about the machine than about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


class NetworkDenied(Exception):
    """A test tried to reach the real network. Not an OSError, so that nothing takes it for a network error."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "root: needs root (namespaces, containers); skips itself where that is missing")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the files with mail servers come first: they take longest, and no process is to end with one alone."""
    items.sort(key=lambda item: not _has_mail_servers(item))


def _has_mail_servers(item: pytest.Item) -> bool:
    file = item.getparent(pytest.Module)
    return file is not None and file.get_closest_marker("root") is not None


@pytest.fixture(autouse=True, scope="session")
def no_real_network() -> Iterator[None]:
    """Refuse every address but the loopback's, and every look-up of a name."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "getnameinfo"):
            patch.setattr(socket, name, _guarded_lookup(getattr(socket, name)))
        yield


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, *args: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _refuse_unless_near(args[-1][0], method.__name__)  # the address is the last argument of all three
        return method(self, *args)

    return guarded


def _guarded_lookup(function: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host[0] if isinstance(host, tuple) else host
        _refuse_unless_near(name, function.__name__)
        return function(host, *args, **kwargs)

    return guarded


def _refuse_unless_near(host: object, what: str) -> None:
    text = host.decode() if isinstance(host, bytes) else host
    if text in (None, "", "localhost") or _NETWORK.readlink() != _HOME:  # a namespace of the lab leads nowhere
        return
    try:
        near = ipaddress.ip_address(str(text)).is_loopback or str(text) in ("0.0.0.0", "::")
    except ValueError:
        near = False
    if not near:
        raise NetworkDenied(f"{what}({text!r}): tests must not reach the real network")
