"""Makes the man pages in docs/man from what the programs say of themselves: ``python docs/manpages.py``.

A daemon's page is the docstring of its file in policyd/ or milters/; vaglio(1) comes from the command line parser. A
test fails when a page is not what this makes.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from vaglio import __version__
from vaglio.cli.main import parser

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "man"

_ITEM = re.compile(r"(\S.*?)(?: {2,}(\S.*)|$)")


def _escape(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def _head(name: str, section: int) -> str:
    return f'.TH "{name.upper()}" "{section}" "" "Vaglio {__version__}" "Mail administration"\n'


def from_docstring(text: str) -> str:
    """Return the body of a page: headings stand at the margin, text below them, lists in two columns."""
    out: list[str] = []
    for block in re.split(r"\n(?=[A-Z])", text.strip()):
        heading, _, body = block.partition("\n")
        out.append(f'.SH "{heading}"')
        for number, paragraph in enumerate(textwrap.dedent(body).strip("\n").split("\n\n")):
            out += [] if number == 0 else [".PP"]
            out += _paragraph(paragraph.splitlines(), heading)
    return "\n".join(out) + "\n"


def _paragraph(lines: list[str], heading: str) -> Iterator[str]:
    for line in lines:
        match = _ITEM.fullmatch(line.rstrip())
        if heading in ("OPTIONS", "SIGNALS") and match and match[2] and not line.startswith(" "):
            yield ".TP"
            yield f"\\fB{_escape(match[1])}\\fR"
            yield _escape(match[2])
        else:
            yield _escape(line.strip())


def daemon_pages() -> dict[str, str]:
    """Return file name and text of each daemon's page."""
    pages = {}
    for folder in ("policyd", "milters"):
        for path in sorted((ROOT / folder).glob("[a-z]*.py")):
            text = ast.get_docstring(ast.parse(path.read_text())) or ""
            name = text.split()[1]  # it begins with NAME
            pages[f"{name}.8"] = _head(name, 8) + from_docstring(text)
    return pages


def _commands(whole: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield the parsers of all commands that do something, in order."""
    groups = [action for action in whole._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield whole
    for group in groups:
        for inner in group.choices.values():
            yield from _commands(inner)


def command_page() -> str:
    """Return vaglio(1)."""
    whole = parser()
    out = [
        _head("vaglio", 1).strip(),
        '.SH "NAME"',
        "vaglio \\- ask the Vaglio daemons what they decided, and why",
        '.SH "SYNOPSIS"',
        "\\fBvaglio\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]...",
        '.SH "DESCRIPTION"',
        _escape(whole.description or ""),
        "Exit status: 0 when there is a result, 1 when there is none or something failed, 2 for wrong usage,",
        "78 for a bad configuration.",
        '.SH "COMMANDS"',
    ]
    for command in _commands(whole):
        out += [".TP", f"\\fB{_escape(command.prog)}\\fR", _escape(" ".join((command.description or "").split()))]
        for action in command._actions:
            if action.help and action.dest not in ("help", "config", "json", "state"):
                name = ", ".join(action.option_strings) or str(action.metavar or action.dest)
                metavar = f" {action.metavar}" if action.option_strings and isinstance(action.metavar, str) else ""
                out += [".br", f"\\fI{_escape(name + metavar)}\\fR: {_escape(action.help)}"]
    out += [
        ".PP",
        "Every command takes \\fB\\-\\-config\\fR \\fIFILE\\fR, \\fB\\-\\-json\\fR and \\fB\\-\\-help\\fR.",
        "Those that only read take \\fB\\-\\-state\\fR \\fIDIR\\fR too: they look there, whatever the configuration",
        "says, and also when it has errors.",
        '.SH "EXAMPLES"',
        ".nf",
        *map(_escape, (whole.epilog or "").strip().splitlines()[1:]),
        ".fi",
        '.SH "FILES"',
        "/etc/vaglio/vaglio.toml, /var/lib/vaglio",
        '.SH "SEE ALSO"',
        "vaglio\\-greylist(8), vaglio\\-dnsbl(8), vaglio\\-ratelimit(8), vaglio\\-spf(8), vaglio\\-dkim\\-verify(8),",
        "vaglio\\-dkim\\-sign(8), vaglio\\-chain(8)",
    ]
    return "\n".join(out) + "\n"


def pages() -> dict[str, str]:
    """Return file name and text of all pages."""
    return {"vaglio.1": command_page(), **daemon_pages()}


def main() -> int:
    """Write the pages."""
    PAGES.mkdir(exist_ok=True)
    for name, text in pages().items():
        (PAGES / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
