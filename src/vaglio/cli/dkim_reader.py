"""As whom the daemon reads its keys. Root can read anything, and so must not judge for itself whether a daemon can."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from vaglio.config.load import Loaded

USER = "vaglio"
"""The user of the daemons, as the units have it."""


class Reader(NamedTuple):
    """A user and its groups."""

    name: str
    user: int
    group: int
    groups: tuple[int, ...]


def reader(loaded: Loaded) -> Reader | None:
    """Return the user of the daemons where root asks: that of the units, else whom the state directory belongs to. None
    for whoever is not root, who judges for himself, and where nobody but root is known.
    """
    if os.geteuid() != 0:
        return None
    try:
        return _of(pwd.getpwnam(USER))
    except KeyError:
        pass
    try:
        status = loaded.config.state.directory.stat() if loaded.config.state.directory else None
    except OSError:
        status = None
    if status is None or status.st_uid == 0:
        return None
    try:
        return _of(pwd.getpwuid(status.st_uid))
    except KeyError:
        return Reader(str(status.st_uid), status.st_uid, status.st_gid, (status.st_gid,))


def _of(entry: pwd.struct_passwd) -> Reader:
    return Reader(entry.pw_name, entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)))


@contextmanager
def acting_as(one: Reader | None) -> Iterator[None]:
    """Have the system judge what this process does as if that user did it."""
    if one is None:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    os.setgroups(one.groups)
    try:
        os.setegid(one.group)
        os.seteuid(one.user)
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)
