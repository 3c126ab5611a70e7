"""Reads private keys from files, and only those that nobody else can read or replace.

A key that others can read signs for others too. Rights are judged before anything is read: those of the file, and those
of every directory above it. Who signs by which key is not known here, and no key is ever made or shown.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Collection
from pathlib import Path
from shlex import quote

from vaglio.checks.dkim.signing.sign import BadKey, PrivateKey, private_key

MAX_BYTES = 64 * 1024
"""Most bytes of a key file: one of 4,096 bits takes 3,300."""

_CREDENTIAL = "credential:"


class KeyTrouble(ValueError):
    """A key can't be used. The message tells an admin which file, what was found, what was wanted; never any of it."""


def read_key(file: str) -> PrivateKey:
    """Return the key in a file: an absolute path, or "credential:NAME" for one that systemd hands over. Raises
    KeyTrouble.
    """
    path = key_path(file)
    if "\0" in path:
        raise KeyTrouble(f"{path!a}: the key can't be read: a path can't have a zero byte")
    try:
        return private_key(_read(path))
    except BadKey as error:
        raise KeyTrouble(f"{path}: the key can't be used: {error}") from None
    except PermissionError:
        raise KeyTrouble(f"{path}: the key can't be read: {_barrier(path)}") from None
    except OSError as error:
        raise KeyTrouble(f"{path}: the key can't be read: {error.strerror}") from None


def key_path(file: str) -> str:
    """Return the path of a file, or of a credential. Raises KeyTrouble."""
    if not file.startswith(_CREDENTIAL):
        return file
    folder, name = os.environ.get("CREDENTIALS_DIRECTORY", ""), file.removeprefix(_CREDENTIAL)
    if not folder:
        raise KeyTrouble(
            f"{file}: the key can't be read: systemd has handed over no credentials; wanted "
            f"LoadCredential={name}:/path in the unit, or the path of a file"
        )
    return f"{folder}/{name}"


def _barrier(path: str) -> str:
    """Say what keeps this process from a file: the first folder on the way that it may not pass, or the file itself."""
    who = f"user {_named(os.geteuid())}, as whom the daemon runs,"
    for folder in _folders(path):
        if not os.access(folder, os.X_OK, effective_ids=True):
            return (f"{who} may not pass the folder {folder} ({_rights(folder)}): "
                    f"chown root:vaglio {quote(str(folder))} && chmod 0750 {quote(str(folder))}")  # fmt: skip
    return f"{who} may not read it ({_rights(Path(path))}): chown root:vaglio {quote(path)} && chmod 0640 {quote(path)}"


def _folders(path: str) -> list[Path]:
    """Return the directories above a file from the root on, on the way that is written and on the one that links make
    of it.
    """
    ways = (Path(path), Path(os.path.realpath(path)))
    return list(dict.fromkeys(folder for way in ways for folder in reversed(way.parents)))


def _rights(path: Path) -> str:
    try:
        status = path.stat()
    except OSError as error:
        return str(error.strerror)
    return f"mode {stat.S_IMODE(status.st_mode):04o}, of {_named(status.st_uid)}"


def _named(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        return str(uid)


def _read(path: str) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO would keep us waiting
    try:
        uid, groups = os.geteuid(), {os.getegid(), *os.getgroups()}
        if flaw := file_flaw(path, os.fstat(handle), uid, groups) or _above(path, uid, groups):
            raise KeyTrouble(f"{path}: the key is not used: {flaw}")
        data = os.read(handle, MAX_BYTES + 1)
    finally:
        os.close(handle)
    if len(data) > MAX_BYTES:
        raise KeyTrouble(f"{path}: the key is not used: found more than {MAX_BYTES} bytes, wanted a key in PEM")
    return data


def file_flaw(path: str, status: os.stat_result, uid: int, groups: Collection[int]) -> str:
    """Return what is wrong with the rights of a key file for a process of this user and these groups; "" for nothing.

    Root reads the keys of any daemon, as ``vaglio dkim check`` does. Group root is nobody but root; credentials come
    with it where systemd names their reader in an ACL, whose mask then shows as the rights of the group.
    """
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        return "found no regular file, wanted one"
    if mode & 0o007:
        wanted = f"wanted 0400, 0600 or 0640: chmod o= {quote(path)}"
        return f"found mode {mode:04o}, with which everybody has rights, {wanted}"
    if mode & 0o020:
        wanted = f"wanted 0400, 0600 or 0640: chmod g-w {quote(path)}"
        return f"found mode {mode:04o}, with which its group may write, {wanted}"
    if uid and status.st_uid not in (0, uid):
        owner, wanted = _named(status.st_uid), f"wanted root or the user of this daemon, {_named(uid)}"
        remedy = f"chown root:vaglio {quote(path)} && chmod 0640 {quote(path)}"
        return f"found the owner {owner}, who is somebody else, {wanted}: {remedy}"
    if uid and mode & 0o070 and status.st_gid not in (0, *groups):
        return (
            f"found mode {mode:04o}, with which group {status.st_gid} has rights, wanted a group of this daemon's own, "
            f"or none: chmod g= {quote(path)}"
        )
    return ""


def _above(path: str, uid: int, groups: Collection[int]) -> str:
    """Return what is wrong with the directories above a file, on the way that is written and on the one that links make
    of it; "" for nothing.
    """
    flaws = (folder_flaw(folder, folder.stat(), uid, groups) for folder in reversed(_folders(path)))
    return next(filter(None, flaws), "")


def folder_flaw(folder: Path, status: os.stat_result, uid: int, groups: Collection[int]) -> str:
    """Return what is wrong with a directory above a key; "" for nothing. A group that is the daemon's own, or root's,
    may write there, as the owner may.
    """
    mode = stat.S_IMODE(status.st_mode)
    sticky = mode & stat.S_ISVTX and status.st_uid == 0  # others can put files there, and replace none
    if mode & 0o002 and not sticky:
        remedy = f"chmod o-w {quote(str(folder))}"
        return f"found that everybody may write in {folder} (mode {mode:04o}), wanted nobody else: {remedy}"
    if mode & 0o020 and not sticky and status.st_gid not in (0, *groups):
        return (
            f"found that group {status.st_gid} may write in {folder} (mode {mode:04o}), wanted nobody else: "
            f"chmod g-w {quote(str(folder))}"
        )
    if uid and status.st_uid not in (0, uid):
        owner, wanted = _named(status.st_uid), f"wanted root or the user of this daemon, {_named(uid)}"
        return f"found {folder} owned by {owner}, {wanted}: chown root {quote(str(folder))}"
    return ""
