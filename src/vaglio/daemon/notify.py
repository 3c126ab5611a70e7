"""Telling systemd how the daemon is: the protocol of sd_notify(3), as much of it as a daemon needs.

Nothing here raises: whoever can't be told is not told. Without NOTIFY_SOCKET all of it does nothing.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

from vaglio.daemon.clock import monotonic


class Notifier:
    """Sends states to the service manager that ``environ`` names."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")

    def ready(self) -> None:
        """Say that all workers answer; also the end of a reload."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Say that the configuration is being read again (with the time that Type=notify-reload asks for)."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={int(monotonic() * 1_000_000)}")

    def stopping(self) -> None:
        """Say that the daemon is on its way out."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """Say that all is well."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Give the line that ``systemctl status`` shows."""
        self._send(f"STATUS={' '.join(text.split())}")

    def _send(self, state: str) -> None:
        if not self._address.startswith(("/", "@")):
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(1)  # the manager may be busy; READY=1 must not get lost for that
            sock.sendto(state.encode(), address)


def watchdog_interval(environ: Mapping[str, str]) -> float | None:
    """Return every how many seconds ``watchdog`` is due, half of what systemd allows; None if it isn't."""
    allowed = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    if not (allowed.isascii() and allowed.isdecimal() and int(allowed)):
        return None
    return int(allowed) / 2_000_000
