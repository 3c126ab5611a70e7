"""List files that are read again when they change.

Knows files, not what stands in them: ``vaglio.lists`` parses. A file that is not there is an empty list, unless it is
needed; one that can't be read keeps what it said last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

from vaglio.lists import Problem

MAX_BYTES = 16 * 1024 * 1024
"""Largest list file in bytes."""


class Joinable(Protocol):
    """A list that can be put together with another of its kind."""

    def __add__(self, other: Self, /) -> Self:
        """Return the entries of both; those of the left one are found first."""


L = TypeVar("L", bound=Joinable)

State = tuple[int, ...] | str
"""What tells that a file changed; text where it can't be read."""

_ABSENT: State = "absent"
_UNSEEN: State = "not looked at yet"


@dataclass(frozen=True, slots=True)
class _Part(Generic[L]):
    state: State
    content: L


class ListFiles(Generic[L]):
    """The list that several files make together, in their order.

    ``parse`` is ``ClientList.parse`` or the like. ``warn`` hears each problem once for each change of a file. A file
    of more than ``most`` bytes is not read. Where files are ``needed``, one that is not there can't be read.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        parse: Callable[[Iterable[str], str], tuple[L, list[Problem]]],
        warn: Callable[[str], None],
        most: int = MAX_BYTES,
        needed: bool = False,
    ) -> None:
        self._parse = parse
        self._most, self._needed = most, needed
        self._warn = warn
        self._empty = parse((), "")[0]
        self._parts = {Path(path): _Part(_UNSEEN, self._empty) for path in paths}
        self.current: L = self._empty
        self.refresh()

    def refresh(self) -> bool:
        """Read again what changed; return whether anything did. Costs one stat a file when nothing did."""
        changed = [self._refresh_file(path) for path in self._parts]
        if any(changed):
            self.current = self._empty
            for part in self._parts.values():
                self.current = self.current + part.content
        return any(changed)

    def _refresh_file(self, path: Path) -> bool:
        old = self._parts[path]
        state = state_of(path)
        if state == old.state:
            return False
        content = old.content
        try:
            content = self._empty if state == _ABSENT and not self._needed else self._read(path)
        except (OSError, ValueError) as error:
            holds = "it counts as empty" if content is self._empty else "its last state stays"
            self._warn(f"{path}: can't be read, {holds}: {error}")
        self._parts[path] = _Part(state, content)
        return content is not old.content

    def _read(self, path: Path) -> L:
        with path.open("rb") as file:
            data = file.read(self._most + 1)
        if len(data) > self._most:
            raise ValueError(f"larger than {self._most} bytes")
        content, problems = self._parse(data.decode("utf-8-sig", "replace").splitlines(), str(path))
        for problem in problems:
            self._warn(f"{problem}; the line is left out")
        return content


def state_of(path: Path) -> State:
    """Return what changes when the file does. A reading error is a state too: it is told once, not every time."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return _ABSENT
    except (OSError, ValueError) as error:  # of a path with a zero byte
        return str(error)
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns  # the last: also its rights
