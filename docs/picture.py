"""Makes docs/why.svg: a daemon is asked about a first contact, and ``vaglio why`` about the answer, for real.

``python docs/picture.py`` in the virtual environment, where vaglio-greylist and vaglio are installed.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tempfile
import textwrap
from html import escape
from pathlib import Path

from lab.policy import PolicyClient
from lab.waiting import end, until

BIN = Path(sys.executable).parent
_COMMAND = ' class="c"'
WIDTH, LINE, SIZE = 100, 19, 14
"""Characters a line, pixels a line, pixels of the font."""


def transcript() -> list[str]:
    """Return what an admin would see."""
    with tempfile.TemporaryDirectory() as state:
        config, path = Path(state) / "vaglio.toml", Path(state) / "greylist.sock"
        config.write_text(f'[state]\nurl = "sqlite://{state}"\n[greylist]\nlisten = ["unix:{path}"]\n')
        command = [str(BIN / "vaglio-greylist"), "--config", str(config)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as daemon:
            try:
                until(path.exists, "the daemon's socket", 10)
                answer = ask(path)
                reference = answer.rpartition("ref ")[2]
                until(lambda: said(config, reference) != "", "the journal", 10)
                return [f"{answer.replace('DEFER_IF_PERMIT', '450')}", "", f"$ vaglio why {reference}",
                        *said(config, reference).splitlines()]  # fmt: skip
            finally:
                end(daemon)


def ask(path: Path) -> str:
    """Return the daemon's answer to tizio's first message to caio."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    with PolicyClient(connection) as client:
        return client.ask()


def said(config: Path, reference: str) -> str:
    """Return what ``vaglio why`` prints; empty while the journal has nothing yet."""
    command = [str(BIN / "vaglio"), "why", reference, "--config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def wrapped(line: str) -> list[str]:
    """Return the line in pieces, the later ones under the first one's text."""
    indent = re.match(r" *\w*( \w+)?: ", line)
    return textwrap.wrap(line, WIDTH, subsequent_indent=" " * len(indent[0] if indent else "  ")) or [""]


def svg(lines: list[str]) -> str:
    """Return a terminal with these lines."""
    rows = [piece for line in lines for piece in wrapped(line)]
    width, height = WIDTH * SIZE * 0.61 + 40, len(rows) * LINE + 50
    texts = "\n".join(
        f'<text x="20" y="{42 + number * LINE}" xml:space="preserve"{_COMMAND if row.startswith("$") else ""}>'
        f"{escape(row)}</text>"
        for number, row in enumerate(rows)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" role="img">\n'
        f"<style>text{{font:{SIZE}px ui-monospace,Menlo,Consolas,monospace;fill:#d8dee9}} .c{{fill:#a3be8c}}</style>\n"
        f'<rect width="100%" height="100%" rx="8" fill="#2e3440"/>\n{texts}\n</svg>\n'
    )


if __name__ == "__main__":
    (Path(__file__).parent / "why.svg").write_text(svg(transcript()))
