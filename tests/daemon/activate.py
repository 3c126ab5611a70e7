"""Run a command with listening sockets handed over as systemd does: activate.py NAME=PATH... -- COMMAND..."""

from __future__ import annotations

import os
import socket
import sys

split = sys.argv.index("--")
names = []
for fd, word in enumerate(sys.argv[1:split], start=3):
    name, _, path = word.partition("=")
    names.append(name)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen()
    if sock.fileno() == fd:
        sock.set_inheritable(True)
    else:
        os.dup2(sock.fileno(), fd)
    sock.detach()
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=":".join(names))
os.execv(sys.argv[split + 1], sys.argv[split + 1 :])
