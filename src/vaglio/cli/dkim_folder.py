"""The folder of a domain's keys on disk: keys.json and the PEM files. Used by the commands that look after them.

Nothing is ever overwritten but keys.json, which is replaced whole; two commands don't meet, since each holds the lock
of the folder while it changes something (on the folder itself, which leaves no lock file behind). Who may read is set
as the daemon needs it.
"""

from __future__ import annotations

import argparse
import fcntl
import grp
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from vaglio.checks.dkim.signature import ascii_name
from vaglio.checks.dkim.signing.ring import FILE_NAME, Ring, RingKey, is_domain, is_selector, read_ring, ring_text
from vaglio.checks.dkim.signing.sign import BadKey, PrivateKey, private_key
from vaglio.cli.common import CliError, said
from vaglio.config.load import Loaded

GROUP = "vaglio"
"""The group of the daemon, which reads what root has written."""

_LARGEST = 1 << 20


class Rights(NamedTuple):
    """Who owns what is made, and its modes; an id of -1 leaves it as it comes."""

    user: int
    group: int
    folder: int
    file: int


def rights(above: Path) -> Rights:
    """Return what root makes for the daemon: to be read by its group; where there is no such group, by whom ``above``
    belongs to. Anybody else makes it for himself.
    """
    if os.geteuid() != 0:
        return Rights(-1, -1, 0o700, 0o600)
    try:
        return Rights(0, grp.getgrnam(GROUP).gr_gid, 0o750, 0o640)
    except KeyError:
        owner = above.stat()
        return Rights(owner.st_uid, owner.st_gid, 0o700, 0o600)


def who_reads(above: Path) -> str:
    """Return a warning where only root can read what root makes; "" where the daemon can."""
    mine = rights(above)
    if (mine.user, mine.group) != (0, 0):
        return ""
    return (f"there is no group {GROUP}: only root can read the keys; make it, then: "
            f"chgrp -R {GROUP} {above} && chmod -R g+rX {above}")  # fmt: skip


def domain(text: str) -> str:
    """Read a domain of an argument, in A-labels."""
    found = ascii_name(text.removesuffix("."))
    if not is_domain(found):
        raise argparse.ArgumentTypeError(f"found {text!r}, wanted a domain such as tizio.it")
    return found


def selector(text: str) -> str:
    """Read a selector of an argument."""
    if not is_selector(text):
        raise argparse.ArgumentTypeError(f"found {text!r}, wanted a selector such as 20261122r: letters, digits and -")
    return text


def key_directory(loaded: Loaded) -> Path:
    """Return where keys are kept. Raises CliError."""
    found = loaded.config.dkim.sign.key_dir
    if not found:
        raise CliError('key_dir of [dkim.sign] is "": set a directory, such as "/etc/vaglio/dkim"')
    return Path(found)


def folders(above: Path) -> list[Folder]:
    """Return the folders that hold keys, by name; none where the directory is not there yet. Raises CliError."""
    try:
        names = sorted(entry.name for entry in os.scandir(above) if is_domain(entry.name) and entry.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CliError(f"{above}: {said(error)}") from error
    return [Folder(above, name) for name in names if (above / name / FILE_NAME).exists()]


class Folder:
    """The keys of one domain."""

    def __init__(self, above: Path, name: str) -> None:
        self.domain = name
        self.path = above / name
        self._above = above

    def load(self) -> Ring:
        """Return the keys; none where the folder is not there yet. Raises CliError."""
        file = self.path / FILE_NAME
        try:
            ring = read_ring(_content(file).decode())
        except FileNotFoundError:
            return Ring(self.domain)
        except OSError as error:
            raise CliError(f"{file}: {said(error)}") from error
        except ValueError as error:
            raise CliError(f"{file}: {error}") from error
        if ring.domain != self.domain:
            raise CliError(f"{file}: found the keys of {ring.domain}, wanted those of {self.domain}")
        return ring

    def key(self, one: RingKey) -> PrivateKey:
        """Return a key. Raises CliError."""
        file = self.path / one.file
        try:
            return private_key(_content(file))
        except OSError as error:
            raise CliError(f"{file}: {said(error)}") from error
        except BadKey as error:
            raise CliError(f"{file}: {error}") from error

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Make the folder if need be and hold its lock. Raises CliError."""
        try:
            self._make()
            handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise CliError(f"{error.filename or self.path}: {said(error)}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield Change(self, handle, rights(self._above))
        except OSError as error:
            raise CliError(f"{error.filename or self.path}: {said(error)}") from error
        finally:
            os.close(handle)

    def _make(self) -> None:
        self._above.parent.mkdir(parents=True, exist_ok=True)
        for path in (self._above, self.path):
            with suppress(FileExistsError):
                mine = rights(path.parent)
                path.mkdir(mode=0o700)
                os.chown(path, mine.user, mine.group)
                path.chmod(mine.folder)


class Change:
    """A folder whose lock is held. Methods raise OSError."""

    def __init__(self, folder: Folder, handle: int, mine: Rights) -> None:
        self._folder, self._handle, self._rights = folder, handle, mine

    def taken(self) -> list[str]:
        """Return selectors whose files are there, those of keys that keys.json does not have included."""
        return [path.stem for path in self._folder.path.glob("*.pem")]

    def add(self, name: str, pem: bytes) -> None:
        """Put a private key there. Raises FileExistsError, too."""
        path = self._folder.path / name
        draft = self._draft(pem)
        try:
            os.link(draft, path)  # unlike a rename it never takes another file's place
        finally:
            draft.unlink()
        os.fsync(self._handle)

    def save(self, ring: Ring) -> None:
        """Replace keys.json."""
        draft = self._draft(ring_text(ring).encode())
        try:
            draft.rename(self._folder.path / FILE_NAME)
        except OSError:
            draft.unlink()
            raise
        os.fsync(self._handle)

    def delete(self, name: str) -> None:
        """Delete the file of a key that keys.json no longer has."""
        (self._folder.path / name).unlink(missing_ok=True)

    def _draft(self, data: bytes) -> Path:
        """Return a new file with these bytes, which are on the disk."""
        path = self._folder.path / f".new-{secrets.token_hex(8)}"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(handle, "wb") as file:
                os.fchown(handle, self._rights.user, self._rights.group)
                os.fchmod(handle, self._rights.file)
                file.write(data)
                file.flush()
                os.fsync(handle)
        except OSError:
            path.unlink()
            raise
        return path


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LARGEST)
