"""The scripts, up to where they would set anything up."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.mark.parametrize(
    ("word", "status", "said"), [("--help", 0, "Plays a story for real"), ("x", 2, "found x, wanted")]
)
def test_the_story_tells_what_it_does_before_it_does_it(word: str, status: int, said: str) -> None:
    done = subprocess.run([SCRIPTS / "run", word], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == status
    assert said in done.stdout + done.stderr
