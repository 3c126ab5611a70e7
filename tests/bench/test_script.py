"""``scripts/bench``: what it says to whoever asks, before it touches anything."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench"


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["ratelimit", "--quick", "--help"]])
def test_help_is_printed_and_nothing_done(words: list[str]) -> None:
    done = subprocess.run(["sh", str(SCRIPT), *words], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    usage = "usage: scripts/bench greylist|dnsbl|ratelimit|milters|dkim|score [--quick] [--json] [--write]\n"
    assert done.stdout.startswith(usage)
    peers = ("postgrey", "policyd-weight", "policyd-rate-limit", "pyspf-milter", "opendkim", "dkimpy-milter", "rspamd")
    for word in (*peers, "--quick", "--json", "--write", "docs/performance.md"):
        assert word in done.stdout
