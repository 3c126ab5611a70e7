"""The trivial milter as a process, with either engine, and what is expected of what it tells."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

from tests.daemon.processes import Process
from tests.milter.mta import KNOWN, POSTFIX, Mta, Outcome
from vaglio.milter.wire import Options

SCRIPT = Path(__file__).with_name("trivial_milter.py")
ALL = "one:headers+body+chunks"
"""The checks that there are unless others are named: one that wants all that needs no answer."""


class TrivialMilter(Process):
    """The trivial milter over a UNIX socket (``unix``) and, where that is asked for, a TCP port (``inet``)."""

    def __init__(
        self, folder: Path, engine: str, *args: str, checks: str = ALL, workers: int = 1, inet: bool = False,
        prefix: tuple[str, ...] = (), **settings: str,
    ) -> None:  # fmt: skip
        self.folder, self.engine, self.workers = folder, engine, workers
        self.unix = f"unix:{folder / 'x.sock'}"
        self.inet = "inet:127.0.0.1:0" if inet else ""
        self.config = folder / "vaglio.toml"
        (folder / "state").mkdir(exist_ok=True)
        self.configure(checks, **settings)
        super().__init__(str(SCRIPT), "--config", self.config, *args, prefix=prefix)

    def configure(self, checks: str = ALL, more: str = "", **settings: str) -> None:
        """Write the configuration; settings are those of the milter's section, in TOML."""
        listen = [self.inet, self.unix] if self.inet else [self.unix]
        section = {
            "listen": json.dumps(listen), "workers": str(self.workers), "engine": f'"{self.engine}"',
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
        self.inet = next(iter(re.findall(r"listening on (inet:.*)", self.seen)), "")
        return self

    def mta(self, offer: Options = POSTFIX, macros: dict[bytes, bytes] | None = None) -> Mta:
        """Connect to the UNIX socket."""
        return Mta(self.unix, offer, KNOWN if macros is None else macros)

    def go(self) -> None:
        """Let those go on that wait for it."""
        (self.folder / "state" / "go").touch()


def told(outcome: Outcome, check: str = "one") -> dict[str, Any]:
    """Return what a check has seen of a message whose sender said "tell"."""
    (value,) = [edit.value for edit in outcome.edits if edit.name == f"X-Told-{check}".encode()]
    story: dict[str, Any] = json.loads(b64decode(b"".join(value.split())))
    return story
