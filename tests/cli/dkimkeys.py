"""An admin who looks after keys: a key directory, a zone that is edited by hand, a clock that moves when told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from vaglio.checks.dkim.signing.ring import Ring, read_ring
from vaglio.cli import common, dkim_reader
from vaglio.cli.main import main

NOW = 1_795_305_600  # 2026-11-22 00:00:00 UTC
DAY = 86400


class Said(NamedTuple):
    status: int
    out: str
    err: str


class Admin:
    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory, self._capsys = directory, capsys
        self.keys = directory / "dkim"
        self.config = directory / "vaglio.toml"
        self.zone = directory / "tizio.zone"
        self.time = float(NOW)
        self.records: dict[str, str] = {}
        self.configure("")
        self.write()
        monkeypatch.setattr(common, "wall", lambda: self.time)
        monkeypatch.setattr(dkim_reader, "USER", "nobody-has-this")

    def configure(self, text: str) -> None:
        state = f'[state]\nurl = "sqlite://{self.directory}/state"\n'
        self.config.write_text(f'{state}[dkim.sign]\nkey_dir = "{self.keys}"\n{text}\n')

    def run(self, *words: str) -> Said:
        """Run ``vaglio dkim WORDS``."""
        self._capsys.readouterr()
        try:
            status = main(["dkim", *words, "--config", str(self.config)])
        except SystemExit as end:
            status = int(end.code or 0)
        out, err = self._capsys.readouterr()
        return Said(status, out, err)

    def ask(self, *words: str) -> Said:
        """Run a command that looks into the zone."""
        return self.run(*words, "--zone", str(self.zone))

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").out)

    def publish(self, printed: str) -> None:
        """Copy the lines for a zone file from what was printed, in place of those of the same names."""
        for name, text in re.findall(r'^(\S+)\. IN TXT ((?:"[^"]*")|\((?:\s+"[^"]*")+\s+\))$', printed, re.MULTILINE):
            self.records[name] = " ".join(re.findall(r'"[^"]*"', text))
        self.write()

    def write(self) -> None:
        self.zone.write_text("".join(f"{name} TXT {text}\n" for name, text in self.records.items()))

    def ring(self, domain: str = "tizio.it") -> Ring:
        return read_ring((self.keys / domain / "keys.json").read_text())

    def states(self, domain: str = "tizio.it") -> dict[str, str]:
        return {key.selector: key.state for key in self.ring(domain).keys}


@pytest.fixture
def admin(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Admin:
    return Admin(tmp_path, capsys, monkeypatch)
