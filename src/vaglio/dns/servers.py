"""Which name servers to ask: as the admin writes them, or as the system has them in /etc/resolv.conf."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from vaglio.facts import pack_address, unpack_address

RESOLV_CONF = Path("/etc/resolv.conf")
PORT = 53

_SERVER = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::(\d{1,5}))?|([0-9.]+):(\d{1,5})|([0-9A-Fa-f:.]+)", re.ASCII)
_NAMESERVER = re.compile(r"\s*nameserver\s+([0-9A-Fa-f:.]+)(%[\w.-]+)?", re.ASCII)


class Address(NamedTuple):
    """Where a name server listens; the host is an address in text form, if need be with its zone (``fe80::1%eth0``)."""

    host: str
    port: int = PORT

    def __str__(self) -> str:
        """Return it as the configuration has it."""
        if self.port == PORT:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_server(text: str) -> Address:
    """Read ``192.0.2.53``, ``192.0.2.53:5353``, ``2001:db8::53`` or ``[2001:db8::53]:5353``. Raises ValueError."""
    match = _SERVER.fullmatch(text)
    host = unpack_address(pack_address(match[1] or match[3] or match[5])) if match else ""
    port = int(match[2] or match[4] or PORT) if match else 0
    if not host or not 0 < port < 65536:
        raise ValueError(f'DNS server {text!r}: wanted "192.0.2.53", "192.0.2.53:5353" or "[2001:db8::53]:5353"')
    return Address(host, port)


def system_servers(path: Path = RESOLV_CONF) -> list[Address]:
    """Return the servers that the system's file names, in its order. Raises ValueError if there are none."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError as error:
        raise ValueError(f"no DNS servers: {path}: {error.strerror}; set servers in [dns]") from None
    found = [match for line in lines if (match := _NAMESERVER.match(line)) and pack_address(match[1])]
    if not found:
        raise ValueError(f"no DNS servers: {path} has no line such as nameserver 127.0.0.1; set servers in [dns]")
    return [Address(unpack_address(pack_address(match[1])) + (match[2] or "")) for match in found]
