"""Listening sockets: the ones that the configuration names, or the ones that systemd hands over.

A UNIX socket has its mode, owner and group before anybody can see its name. A path that a dead daemon left behind
is taken over; one where somebody answers, or that is no socket, is left alone and is an error. Who is to take the place
of a daemon that lives listens under a hidden name until it can answer. Nothing is accepted here: workers do that.
Activation is sd_listen_fds(3); abstract UNIX sockets are not supported.
"""

from __future__ import annotations

import errno
import grp
import itertools
import os
import pwd
import socket
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BACKLOG = 1024
_FIRST_FD = 3  # sd_listen_fds(3): SD_LISTEN_FDS_START
_LONGEST_PATH = 107  # unix(7): sun_path has 108 bytes with the closing NUL
_NUMBERS = itertools.count()  # of hidden names
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class SocketError(Exception):
    """A socket can't be opened; the message names it and says why."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may connect to a UNIX socket: permissions; user and group by name or number, empty for ours."""

    mode: int = 0o660
    owner: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening, non-blocking socket.

    ``address`` is in Postfix's notation, with the port that was really taken. ``name`` is what systemd calls the
    socket, empty if it is not from there. ``inode`` tells whether the path of a UNIX socket is still ours; it is
    None for sockets that have no path or that somebody else made. ``hidden`` is the path under which a socket waits for
    its place.
    """

    address: str
    sock: socket.socket
    name: str = ""
    inode: tuple[int, int] | None = None
    hidden: Path | None = None

    @property
    def _path(self) -> Path:
        return Path(self.address.removeprefix("unix:"))

    def take_place(self) -> None:
        """Move a hidden socket to its path, which may be that of another daemon until then; raises SocketError."""
        if self.hidden is None:
            return
        try:
            self.hidden.rename(self._path)
        except OSError as error:
            raise SocketError(f"can't take the place of {self.address}: {error.strerror}") from error

    def close(self) -> None:
        """Stop listening; remove the path of a UNIX socket if it still leads to this one."""
        self.sock.close()
        for path in filter(None, (self.hidden, self._path)):
            if self.inode is not None and _inode(path) == self.inode:
                path.unlink(missing_ok=True)


def open_listeners(addresses: Sequence[str], access: Access, replace: bool = False) -> list[Listener]:
    """Open all of ``addresses`` or none; raises SocketError. With ``replace`` the path of a UNIX socket may be that of
    a daemon that lives. It stays so until ``Listener.take_place``; who had it keeps the connections that it has.
    """
    opened: list[Listener] = []
    try:
        for address in addresses:
            opened += _open(address, access, replace)
    except SocketError:
        close_all(opened)
        raise
    return opened


def close_all(listeners: Sequence[Listener]) -> None:
    """Close each of ``listeners``."""
    for listener in listeners:
        listener.close()


def _open(address: str, access: Access, replace: bool) -> list[Listener]:
    kind, _, rest = address.partition(":")
    try:
        if kind == "unix":
            return [_open_unix(Path(rest), access, replace)]
        return _open_inet(*split_inet(rest))
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or error
        if replace and getattr(error, "errno", 0) == errno.EADDRINUSE:
            problem = f"{problem}; --replace takes the place of UNIX sockets only"
        raise SocketError(f"can't listen on {address}: {problem}") from error


def split_inet(rest: str) -> tuple[str, int]:
    """Return host and port of ``host:port`` or ``[::1]:port``; raises ValueError."""
    host, colon, port = rest.rpartition(":")
    if not colon or not host or not port.isdecimal():
        raise ValueError("wanted inet:host:port, inet:[address]:port or unix:/path")
    return host.removeprefix("[").removesuffix("]"), int(port)


# --- TCP ---


def _open_inet(host: str, port: int) -> list[Listener]:
    """Listen on every address of ``host``; a family that this machine does not have is passed over."""
    opened: list[Listener] = []
    problem: OSError | None = None
    for family, _, _, _, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE):
        try:
            opened.append(_listen_inet(family, where))
        except OSError as error:
            if error.errno not in _NOT_HERE:  # "localhost" names ::1 even where there is no IPv6
                close_all(opened)
                raise
            problem = error
    if not opened:
        raise problem or OSError(errno.EADDRNOTAVAIL, "no address for this name")
    return opened


def _listen_inet(family: int, where: tuple[Any, ...]) -> Listener:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # for its connections, too; asyncio itself does not
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
        return _listening(sock)
    except OSError:
        sock.close()
        raise


def _listening(sock: socket.socket, name: str = "") -> Listener:
    sock.listen(BACKLOG)
    sock.setblocking(False)
    return Listener(address_of(sock), sock, name)


def address_of(sock: socket.socket) -> str:
    """Return where ``sock`` is bound, in Postfix's notation."""
    where = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{os.fsdecode(where)}"
    host, port = where[:2]
    return f"inet:[{host}]:{port}" if sock.family == socket.AF_INET6 else f"inet:{host}:{port}"


# --- UNIX ---


def _open_unix(path: Path, access: Access, replace: bool) -> Listener:
    """Bind under a name that nobody knows, set the rights, then move it into place, unless another may have that."""
    hidden = path.with_name(f".{os.getpid()}.{next(_NUMBERS)}")
    if max(len(os.fsencode(path)), len(os.fsencode(hidden))) > _LONGEST_PATH:
        raise ValueError(f"the path is longer than the {_LONGEST_PATH} bytes that the system allows")
    ids = _id_of(access.owner, _user), _id_of(access.group, _group)
    _be_vacant(path, replace)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        hidden.unlink(missing_ok=True)
        sock.bind(str(hidden))
        hidden.chmod(access.mode)
        os.chown(hidden, *ids)
        sock.listen(BACKLOG)
        sock.setblocking(False)
        if not replace:
            hidden.rename(path)
    except OSError:
        sock.close()
        hidden.unlink(missing_ok=True)
        raise
    return Listener(f"unix:{path}", sock, "", _inode(hidden if replace else path), hidden if replace else None)


def _be_vacant(path: Path, replace: bool) -> None:
    """Raise OSError unless ``path`` is free or leads to a socket where nobody answers, or anybody who is replaced."""
    if not path.parent.is_dir():
        raise OSError(errno.ENOENT, f"{path.parent} is not there: the unit makes it; without one, mkdir")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "there is a file of that name that is no socket; it was left alone")
    if replace:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except BlockingIOError:
            pass  # a full queue: somebody is there
    raise OSError(errno.EADDRINUSE, "another process listens there")


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _user(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


def _group(name: str) -> int:
    return grp.getgrnam(name).gr_gid


def _id_of(name: str, look_up: Callable[[str], int]) -> int:
    """Return the number of a user or group, -1 (leave it) for the empty name; raises ValueError."""
    if not name or name.isdecimal():
        return int(name or -1)
    try:
        return look_up(name)
    except KeyError:
        raise ValueError(f"there is no {look_up.__name__.strip('_')} {name!r}") from None


# --- systemd ---


def activated(environ: Mapping[str, str]) -> list[Listener]:
    """Return the sockets that systemd passed to this process; none if there are none. Raises SocketError."""
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal():
        return []
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    names += [""] * (int(count) - len(names))
    return [_adopt(_FIRST_FD + number, names[number]) for number in range(int(count))]


def _adopt(fd: int, name: str) -> Listener:
    try:
        os.set_inheritable(fd, False)
        sock = socket.socket(fileno=fd)
        if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise OSError(errno.EINVAL, "not a listening stream socket (the unit needs ListenStream= and Accept=no)")
        sock.setblocking(False)
        return Listener(address_of(sock), sock, name)
    except OSError as error:
        raise SocketError(f"can't use the socket that was passed as file descriptor {fd}: {error.strerror}") from error
