"""A client of Postfix's policy delegation protocol (SMTPD_POLICY_README), as small as it gets."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from types import TracebackType

REQUEST: Mapping[str, str] = {
    "request": "smtpd_access_policy",
    "protocol_state": "RCPT",
    "protocol_name": "ESMTP",
    "helo_name": "mail.tizio.it",
    "queue_id": "",
    "sender": "tizio@tizio.it",
    "recipient": "caio@caio.it",
    "recipient_count": "0",
    "client_address": "192.0.2.25",
    "client_name": "mail.tizio.it",
    "reverse_client_name": "mail.tizio.it",
    "instance": "1.1.1.0",
    "sasl_username": "",
    "size": "0",
}
"""What Postfix asks at RCPT; tests change what they are about."""


def encode(attributes: Mapping[str, str]) -> bytes:
    """Return a request as it goes over the wire: lines of name=value and an empty one."""
    return "".join(f"{name}={value}\n" for name, value in attributes.items()).encode() + b"\n"


class PolicyClient:
    """A connection to a policy daemon: any connected stream socket, which it then owns."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket, self._stream = connection, connection.makefile("rb")

    def __enter__(self) -> PolicyClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._stream.close()
        self._socket.close()

    def ask(self, **changes: str) -> str:
        """Ask about REQUEST with ``changes``; return the action. EOFError if the daemon hung up instead."""
        self._socket.sendall(encode({**REQUEST, **changes}))
        action = self._stream.readline()
        if not action.startswith(b"action=") or self._stream.readline() != b"\n":
            raise EOFError("the policy daemon closed the connection without an answer")
        return action[len(b"action=") : -1].decode()
