"""A Vaglio daemon in the lab, as an admin starts it: a command, a configuration file, a log on stderr."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from lab.logs import decisions
from lab.policy import PolicyClient
from lab.space import HOME, Space
from lab.waiting import LabError, until

CONFIG = f"{HOME}/vaglio/vaglio.toml"


def command(name: str) -> str:
    """Return the path of one of our commands in the environment we run in; $VAGLIO_BIN names another directory."""
    return str(Path(os.environ.get("VAGLIO_BIN") or Path(sys.executable).parent) / name)


def configure(space: Space, text: str, config: str = CONFIG) -> None:
    """Write the configuration file that the daemons of a mail host share."""
    file = space.path(config)
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, "utf-8")


_READY = re.compile(r"^(?:INFO ready|\{.*\bready\b.*)$", re.MULTILINE)


class Daemon:
    """A running daemon, asked on ``where``: a port of 127.0.0.1, or the path of a UNIX socket. ``name`` is its command,
    as in "vaglio-greylist" or "vaglio-chain inbound"; its log is beside its configuration file.

    LabError if it does not answer in time.
    """

    def __init__(self, space: Space, name: str, where: int | str, config: str = CONFIG) -> None:
        self._space, self.name, self._where, self.config = space, name, where, config
        self._log = str(Path(config).with_name(f"{name.replace(' ', '-')}.log"))
        self.start()

    def start(self, *options: str) -> None:
        """Start it, again after an end, or beside the one that it replaces; it has its old state and log."""
        program, *words = self.name.split()
        if not Path(command(program)).exists():
            raise LabError(f"there is no {command(program)}")
        self._begun = len(_READY.findall(self.log()))
        self.process = self._space.start([command(program), *words, "--config", self.config, *options], self._log)
        try:
            until(self._answers, f"{self.name} to listen")
        except LabError as error:
            raise LabError(f"{error}; its log: {self.log()}") from None

    @property
    def is_milter(self) -> bool:
        """True if it is asked about messages."""
        return isinstance(self._where, str)

    def reload(self) -> None:
        """Have it read its configuration again (SIGHUP)."""
        self.process.signal(signal.SIGHUP)

    def log(self) -> str:
        """Return what it logged since the beginning."""
        path = self._space.path(self._log)
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def decisions(self, **wanted: str) -> list[dict[str, str]]:
        """Return its decisions so far whose log lines have these values; ``from_`` stands for the key ``from``."""
        wanted = {key.rstrip("_"): value for key, value in wanted.items()}
        return [found for found in decisions(self.log()) if wanted.items() <= found.items()]

    def client(self) -> PolicyClient:
        """Connect to it as Postfix does."""
        return PolicyClient(self._connection())

    def _connection(self) -> socket.socket:
        if isinstance(self._where, int):
            with self._space.inside():
                return socket.create_connection(("127.0.0.1", self._where), timeout=10)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        try:
            connection.connect(str(self._space.path(self._where)))
        except OSError:
            connection.close()
            raise
        return connection

    def _answers(self) -> bool:
        if self.process.returncode is not None:
            raise LabError(f"{self.name} ended with exit status {self.process.returncode}")
        if len(_READY.findall(self.log())) == self._begun:  # it may listen before it can be told to stop
            return False
        try:
            self._connection().close()
        except OSError:
            return False
        return True


class Told(NamedTuple):
    """What ``vaglio why`` and ``vaglio try`` say: the reason in plain words, and a message's story, "" where it is not
    about one.
    """

    why: str = ""
    story: str = ""


def told(space: Space, refs: Sequence[str], config: str = CONFIG, seconds: float = 5) -> dict[str, Told]:
    """Return what ``vaglio why`` says of each reference; those are missing that it does not know within ``seconds``.

    Daemons write their journal in batches, so a reference may be known only a moment after it was given out.
    """
    found: dict[str, Told] = {}

    def all_known() -> bool:
        found.update(_explanations(space, refs, config))
        return found.keys() >= set(refs)

    with suppress(LabError):
        until(all_known, f"an explanation of {' '.join(refs)}", seconds, step=0.2)
    return found


def why(space: Space, ref: str, config: str = CONFIG, seconds: float = 5) -> str:
    """Return the reason in plain words that ``vaglio why REF`` gives, empty if there is none: see ``told``."""
    return told(space, [ref], config, seconds).get(ref, Told()).why


def said(space: Space, *arguments: str, config: str = CONFIG) -> str:
    """Return what the command ``vaglio`` says."""
    return space.run(command("vaglio"), *arguments, "--config", config, check=False)


def do(space: Space, *arguments: str, config: str = CONFIG) -> str:
    """Have the command ``vaglio`` do something; return what it says. LabError if it fails."""
    return space.run(command("vaglio"), *arguments, "--config", config)


def tried(space: Space, file: str, *arguments: str, config: str = CONFIG) -> Told:
    """Return what ``vaglio try`` says of the message in a file; nothing if it fails."""
    found = said(space, "try", file, *arguments, "--json", config=config)
    with suppress(ValueError):  # it said in words what is wrong
        return _told(json.loads(found))
    return Told()


def _explanations(space: Space, refs: Sequence[str], config: str) -> dict[str, Told]:
    found = said(space, "why", *refs, "--limit", str(len(refs)), "--json", config=config)
    try:
        return {entry["ref"]: _told(entry) for entry in json.loads(found)}
    except ValueError:  # it said in words that it found nothing
        return {}


def _told(found: dict[str, Any]) -> Told:
    return Told(found["why"], found["story"])
