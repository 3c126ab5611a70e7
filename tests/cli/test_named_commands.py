"""Texts that send people to a command name one that there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from vaglio.cli.main import main

SOURCES = Path(__file__).parents[2] / "src" / "vaglio"
COMMAND = re.compile(r"\bvaglio (config|dkim|dns|dnsbl|greylist|ratelimit|spf) ([a-z-]+)\b")


def named() -> Iterator[tuple[str, str]]:
    """Yield the commands that explanations and replies name."""
    files = [*SOURCES.glob("checks/**/*.py"), *SOURCES.glob("daemon/*.py"), SOURCES / "cli" / "story.py"]
    for file in files:
        yield from COMMAND.findall(file.read_text())


@pytest.mark.parametrize("command", sorted(set(named())), ids=" ".join)
def test_every_command_that_a_text_names_is_there(command: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert " ".join(command) in capsys.readouterr().out
