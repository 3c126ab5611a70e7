"""Reads private keys from files, and only those that nobody else can read or replace.

A key that others can read signs for others too. Rights are judged before anything is read: those of the file, and those
of every directory above it. Who signs by which key is not known here, and no key is ever made or shown.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path

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
        wanted = f"wanted one that user {os.geteuid()}, as whom the daemon runs, may read, and no others"
        raise KeyTrouble(f"{path}: the key can't be read: found no permission, {wanted}") from None
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


def _read(path: str) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO would keep us waiting
    try:
        uid, groups = os.geteuid(), {os.getegid(), *os.getgroups()}
        if flaw := file_flaw(os.fstat(handle), uid, groups) or _above(path, uid, groups):
            raise KeyTrouble(f"{path}: the key is not used: {flaw}")
        data = os.read(handle, MAX_BYTES + 1)
    finally:
        os.close(handle)
    if len(data) > MAX_BYTES:
        raise KeyTrouble(f"{path}: the key is not used: found more than {MAX_BYTES} bytes, wanted a key in PEM")
    return data


def file_flaw(status: os.stat_result, uid: int, groups: Collection[int]) -> str:
    """Return what is wrong with the rights of a key file for a process of this user and these groups; "" for nothing.

    Root reads the keys of any daemon, as ``vaglio dkim check`` does. Group root is nobody but root; credentials come
    with it where systemd names their reader in an ACL, whose mask then shows as the rights of the group.
    """
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        return "found no regular file, wanted one"
    if mode & 0o007:
        return f"found mode {mode:04o}, with which everybody has rights, wanted 0400, 0600 or 0640: chmod o= FILE"
    if mode & 0o020:
        return f"found mode {mode:04o}, with which its group may write, wanted 0400, 0600 or 0640: chmod g-w FILE"
    if uid and status.st_uid not in (0, uid):
        return f"found the owner {status.st_uid}, who is somebody else, wanted root or the user of this daemon ({uid})"
    if uid and mode & 0o070 and status.st_gid not in (0, *groups):
        return (
            f"found mode {mode:04o}, with which group {status.st_gid} has rights, wanted a group of this daemon's own, "
            "or none: chmod g= FILE"
        )
    return ""


def _above(path: str, uid: int, groups: Collection[int]) -> str:
    """Return what is wrong with the directories above a file, on the way that is written and on the one that links make
    of it; "" for nothing.
    """
    folders = dict.fromkeys([*Path(path).parents, *Path(os.path.realpath(path)).parents])
    return next(filter(None, (folder_flaw(folder, folder.stat(), uid, groups) for folder in folders)), "")


def folder_flaw(folder: Path, status: os.stat_result, uid: int, groups: Collection[int]) -> str:
    """Return what is wrong with a directory above a key; "" for nothing. A group that is the daemon's own, or root's,
    may write there, as the owner may.
    """
    mode = stat.S_IMODE(status.st_mode)
    sticky = mode & stat.S_ISVTX and status.st_uid == 0  # others can put files there, and replace none
    if mode & 0o002 and not sticky:
        return f"found that everybody may write in {folder} (mode {mode:04o}), wanted nobody else: chmod o-w {folder}"
    if mode & 0o020 and not sticky and status.st_gid not in (0, *groups):
        return (
            f"found that group {status.st_gid} may write in {folder} (mode {mode:04o}), wanted nobody else: "
            f"chmod g-w {folder}"
        )
    if uid and status.st_uid not in (0, uid):
        return f"found {folder} owned by {status.st_uid}, wanted root or the user of this daemon ({uid})"
    return ""
