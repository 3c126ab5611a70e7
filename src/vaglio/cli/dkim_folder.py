"""The folder of a domain's keys on disk: keys.json and the PEM files. Used by the commands that look after them.

Nothing is ever overwritten but keys.json, which is replaced whole; two commands don't meet, since each holds the lock
of the folder while it changes something (on the folder itself, which leaves no lock file behind). Who may read is set
as the daemon needs it.

Root works here in folders that may belong to the daemon's user, who could put links in its way: below the key directory
all is done in the folder that was opened, and no link is followed.
"""

from __future__ import annotations

import argparse
import fcntl
import grp
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from vaglio.checks.dkim.signing.ring import FILE_NAME, Ring, RingKey, read_ring, ring_text
from vaglio.checks.dkim.signing.sign import BadKey, PrivateKey, private_key
from vaglio.cli.common import CliError, said
from vaglio.config.load import Loaded
from vaglio.names import domain_of, is_domain, is_selector

GROUP = "vaglio"
"""The group of the daemon, which reads what root has written."""

_LARGEST = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO would keep us waiting


class Rights(NamedTuple):
    """Who owns what is made, and its modes; an id of -1 leaves it as it comes."""

    user: int
    group: int
    folder: int
    file: int


def rights(above: os.stat_result) -> Rights:
    """Return what root makes for the daemon: to be read by its group; where there is no such group, by whom the folder
    ``above`` belongs to. Anybody else makes it for himself.
    """
    if os.geteuid() != 0:
        return Rights(-1, -1, 0o700, 0o600)
    try:
        return Rights(0, grp.getgrnam(GROUP).gr_gid, 0o750, 0o640)
    except KeyError:
        return Rights(above.st_uid, above.st_gid, 0o700, 0o600)


def who_reads(above: Path) -> str:
    """Return a warning where only root can read what root makes; "" where the daemon can."""
    mine = rights(above.stat())
    if (mine.user, mine.group) != (0, 0):
        return ""
    return (f"there is no group {GROUP}: only root can read the keys; make it, then: "
            f"chgrp -R {GROUP} {above} && chmod -R g+rX {above}")  # fmt: skip


def domain(text: str) -> str:
    """Read a domain of an argument, in A-labels."""
    found = domain_of(text)
    if not found:
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
        with self._opened() as there:
            return there.load() if there else Ring(self.domain)

    def key(self, one: RingKey) -> PrivateKey:
        """Return a key. Raises CliError."""
        with self._opened() as there:
            if there is None:
                raise CliError(f"{self.path} is not there any more")
            return there.key(one)

    @contextmanager
    def _opened(self) -> Iterator[Opened | None]:
        try:
            above = os.open(self._above, _FOLDER)
            try:
                handle = os.open(self.domain, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
            finally:
                os.close(above)
        except FileNotFoundError:
            yield None
            return
        except OSError as error:
            raise self._trouble(error) from error
        try:
            yield Opened(self, handle)
        finally:
            os.close(handle)

    def _trouble(self, error: OSError, *, writes: bool = False) -> CliError:
        where = str(error.filename)  # that of a file below is its name alone
        if isinstance(error, NotADirectoryError) and where == self.domain:
            return CliError(f"{self.path}: found a link or a file, wanted a directory: no link is followed there")
        words = "Permission denied: run this as root" if writes and self._is_roots(error) else said(error)
        return CliError(f"{where if where.startswith('/') else self.path}: {words}")

    def _is_roots(self, error: OSError) -> bool:
        """Say whether permission was denied to make something where only root may."""
        there = next((one for one in (self.path, *self.path.parents) if os.access(one, os.F_OK)), Path("/"))
        return isinstance(error, PermissionError) and there.stat().st_uid == 0

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Make the folder if need be and hold its lock. Raises CliError."""
        with ExitStack() as handles:
            try:
                above = _kept(handles, _key_dir(self._above))
                handle = _kept(handles, _made(self.domain, above))
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield Change(self, handle, rights(os.fstat(above)))
            except OSError as error:
                raise self._trouble(error, writes=True) from error


def _kept(handles: ExitStack, handle: int) -> int:
    handles.callback(os.close, handle)
    return handle


def _key_dir(path: Path) -> int:
    """Return the key directory, opened, which is made if need be. It is the admin's to say where, by a link too."""
    with suppress(FileNotFoundError):
        return os.open(path, _FOLDER)
    path.parent.mkdir(parents=True, exist_ok=True)
    parent = os.open(path.parent, _FOLDER)
    try:
        return _made(path.name, parent)
    finally:
        os.close(parent)


def _made(name: str, above: int) -> int:
    """Return a folder, opened, which is made if need be."""
    is_new = True
    try:
        os.mkdir(name, 0o700, dir_fd=above)
    except FileExistsError:
        is_new = False
    handle = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
    if is_new:
        mine = rights(os.fstat(above))
        try:
            os.fchown(handle, mine.user, mine.group)
            os.fchmod(handle, mine.folder)
        except OSError:
            os.close(handle)
            raise
    return handle


class Opened:
    """A folder that is open. Methods raise CliError."""

    def __init__(self, folder: Folder, handle: int) -> None:
        self._folder, self._handle = folder, handle

    def load(self) -> Ring:
        """Return the keys; none where there is no list of them yet."""
        file, wanted = self._folder.path / FILE_NAME, self._folder.domain
        try:
            ring = read_ring(self._content(FILE_NAME).decode())
        except FileNotFoundError:
            return Ring(wanted)
        except OSError as error:
            raise CliError(f"{file}: {said(error)}") from error
        except ValueError as error:
            raise CliError(f"{file}: {error}") from error
        if ring.domain != wanted:
            raise CliError(f"{file}: found the keys of {ring.domain}, wanted those of {wanted}")
        return ring

    def key(self, one: RingKey) -> PrivateKey:
        """Return a key."""
        file = self._folder.path / one.file
        try:
            return private_key(self._content(one.file))
        except OSError as error:
            raise CliError(f"{file}: {said(error)}") from error
        except BadKey as error:
            raise CliError(f"{file}: {error}") from error

    def _content(self, name: str) -> bytes:
        with open(os.open(name, _FILE, dir_fd=self._handle), "rb") as file:
            return file.read(_LARGEST)


class Change(Opened):
    """A folder whose lock is held. What changes it raises OSError."""

    def __init__(self, folder: Folder, handle: int, mine: Rights) -> None:
        super().__init__(folder, handle)
        self._rights = mine

    def taken(self) -> list[str]:
        """Return selectors whose files are there, those of keys that keys.json does not have included."""
        return [name.removesuffix(".pem") for name in os.listdir(self._handle)  # noqa: PTH208
                if name.endswith(".pem")]

    def add(self, name: str, pem: bytes) -> None:
        """Put a private key there. Raises FileExistsError, too."""
        draft, here = self._draft(pem), self._handle
        try:  # unlike a rename it never takes another file's place
            os.link(draft, name, src_dir_fd=here, dst_dir_fd=here, follow_symlinks=False)
        finally:
            os.unlink(draft, dir_fd=here)
        os.fsync(here)

    def save(self, ring: Ring) -> None:
        """Replace keys.json."""
        draft, here = self._draft(ring_text(ring).encode()), self._handle
        try:
            os.rename(draft, FILE_NAME, src_dir_fd=here, dst_dir_fd=here)
        except OSError:
            os.unlink(draft, dir_fd=here)
            raise
        os.fsync(here)

    def delete(self, name: str) -> None:
        """Delete the file of a key that keys.json no longer has."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._handle)

    def _draft(self, data: bytes) -> str:
        """Return the name of a new file with these bytes, which are on the disk."""
        name = f".new-{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(name, flags, 0o600, dir_fd=self._handle)
        try:
            with open(handle, "wb") as file:
                os.fchown(handle, self._rights.user, self._rights.group)
                os.fchmod(handle, self._rights.file)
                file.write(data)
                file.flush()
                os.fsync(handle)
        except OSError:
            os.unlink(name, dir_fd=self._handle)
            raise
        return name
