"""What a program leaves in the background ends with its keeper."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from bench.processes import family

ROOT = Path(__file__).parents[2]


def kept(script: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.keeper", "sh", "-c", script]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_an_orphan_in_a_session_of_its_own_is_kept_and_ended() -> None:
    with kept("setsid sh -c 'echo $$; exec sleep 600' &") as keeper:
        assert keeper.stdout is not None
        orphan = int(keeper.stdout.readline())
        assert orphan in family(keeper.pid)
        keeper.send_signal(signal.SIGTERM)
        assert keeper.wait(30) == 0
        assert not Path(f"/proc/{orphan}").exists()


def test_it_ends_with_the_last_process_and_tells_the_first_ones_status() -> None:
    with kept("sleep 0.01 & exit 7") as keeper:
        assert keeper.wait(30) == 7
