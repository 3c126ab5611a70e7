"""The trivial milter as a process, with either engine, and what is expected of what it tells."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.daemon.processes import Process
from tests.milter.mta import KNOWN, POSTFIX, Mta, Outcome
from vaglio.milter.wire import Options

SCRIPT = Path(__file__).with_name("trivial_milter.py")
ALL = "one:headers+body+chunks"
"""The checks that there are unless others are named: one that wants all that needs no answer."""


class TrivialMilter(Process):
    """The trivial milter, which listens at ``address``: a UNIX socket, or a TCP port where that is asked for. libmilter
    listens on no more than one.
    """

    def __init__(
        self, folder: Path, engine: str, *args: str, checks: str = ALL, workers: int = 1, inet: bool = False,
        prefix: tuple[str, ...] = (), environ: Mapping[str, str] | None = None, **settings: str,
    ) -> None:  # fmt: skip
        self.folder, self.engine, self.workers = folder, engine, workers
        self.address = "inet:127.0.0.1:0" if inet else f"unix:{folder / 'x.sock'}"
        self.config = folder / "vaglio.toml"
        self.configure(checks, **settings)
        super().__init__(str(SCRIPT), "--config", self.config, *args, environ=environ, prefix=prefix)

    def configure(self, checks: str = ALL, more: str = "", **settings: str) -> None:
        """Write the configuration; settings are those of the milter's section, in TOML."""
        section = {
            "listen": json.dumps([self.address]), "workers": str(self.workers), "engine": f'"{self.engine}"',
            "deadline": '"2m"', **settings,
        }  # fmt: skip
        lines = [f"{key} = {value}" for key, value in section.items()]
        self.config.write_text(
            "\n".join([
                f'[state]\nurl = "sqlite://{self.folder}/state"',
                '[identity]\nauthserv_id = "mx.caio.it"', more,
                f'[greylist]\nhelp_url = "{checks}"', "[chain.trivial]", *lines, "",
            ])
        )  # fmt: skip

    def ready(self) -> TrivialMilter:
        """Await that all workers answer."""
        try:
            self.line("^INFO ready$")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        (self.address,) = re.findall(r"listening on (.*)", self.seen)
        return self

    def mta(self, offer: Options = POSTFIX, macros: dict[bytes, bytes] | None = None) -> Mta:
        """Connect."""
        return Mta(self.address, offer, KNOWN if macros is None else macros)

    def go(self) -> None:
        """Let those go on that wait for it."""
        (self.folder / "state" / "go").touch()


_TOLD = b"X-Told-"


def told_by(outcome: Outcome) -> list[str]:
    """Return which checks told what they have seen, from the top of the message down."""
    names = [edit.name.removeprefix(_TOLD).decode() for edit in outcome.edits if edit.name.startswith(_TOLD)]
    return names[::-1]


def told(outcome: Outcome, check: str = "one") -> dict[str, Any]:
    """Return what a check has seen of a message whose sender said "tell"."""
    (value,) = [edit.value for edit in outcome.edits if edit.name == _TOLD + check.encode()]
    story: dict[str, Any] = json.loads(b64decode(b"".join(value.split())))
    return story
