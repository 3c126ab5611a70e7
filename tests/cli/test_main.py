"""The command as a whole: help, exit status, broken pipes, terminals, stores in trouble."""

from __future__ import annotations

import argparse
import itertools
import os
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from vaglio.cli import greylist_look
from vaglio.cli.main import COMMANDS as MODULES
from vaglio.cli.main import main, parser
from vaglio.journal.entry import Entry

Host = Any  # of conftest.py
NOBODY = 65534


def commands(whole: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    groups = [action for action in whole._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield words
    for group in groups:
        for name, inner in group.choices.items():
            yield from commands(inner, (*words, name))


COMMANDS = tuple(commands(parser()))


def vaglio(host: Host, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vaglio.cli.main", *words, "--config", str(host.config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, **options)


# --- help ---


def test_all_commands_are_there() -> None:
    assert {" ".join(words) for words in COMMANDS} == {
        "why", "journal", "try", "postconf", "dns check", "spf check", "spf report", "config check",
        "config show", "config defaults", *(f"dkim {name}" for name in
            ("verify", "new", "check", "rotate", "list", "import")), *(
            f"greylist {name}" for name in
            ("check", "why", "list", "pools", "stats", "report", "allow", "forget", "import")
        ), *(f"dnsbl {name}" for name in ("check", "status", "lists", "report")),
            *(f"ratelimit {name}" for name in ("show", "top", "report", "quota", "test", "reset")),
            "score", *(f"links {name}" for name in ("lists", "status", "check")),
            "learn", *(f"bayes {name}" for name in ("status", "export", "import", "reset")),
    }  # fmt: skip


def test_each_command_is_found_when_it_alone_is_loaded() -> None:
    assert {words for name in MODULES for words in commands(parser(name)) if words[0] == name} == {*COMMANDS}
    assert {*commands(parser("no-such"))} == {*commands(parser(""))} == {*COMMANDS}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_helps_with_examples_that_parse(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([*words, "--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert f"usage: vaglio {' '.join(words)}" in said
    examples = [line.strip() for line in said.partition("examples:\n")[2].splitlines()]
    assert examples
    for example in examples:
        line = example.partition("   ")[0]  # what follows explains
        typed = list(itertools.takewhile(lambda word: word not in ("|", "<", ">", "&&"), shlex.split(line)))
        assert tuple(typed[: len(words) + 1]) == ("vaglio", *words)
        parser().parse_args(typed[1:])


@pytest.mark.parametrize("words", [(), ("greylist",), ("dnsbl",), ("config",)])
def test_a_command_without_its_subcommand_lists_them(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "commands:" in said.err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("vaglio ")


# --- processes ---


def test_the_command_runs_as_a_process(host: Host) -> None:
    ref = host.daemon().ask().ref
    done = vaglio(host, "why", ref)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"ref {ref}" in done.stdout


def test_options_may_stand_before_the_reference(host: Host) -> None:
    ref = host.daemon().ask().ref
    assert f"ref {ref}" in host.fine("why", "--language", "en", ref)
    assert main(["why", "--config", str(host.config), ref]) == 0


def test_a_reader_that_has_enough_is_no_error(host: Host) -> None:
    daemon = host.daemon()
    for number in range(300):
        daemon.journal.record(_entry(number))
    daemon.settle()
    line = f"{sys.executable} -m vaglio.cli.main journal --limit 300 --json --config {host.config}"
    line = f'({line}; echo "status $?" >&2) | head -n 1'
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=30, check=True)
    assert (done.stdout, done.stderr) == ("[\n", "status 0\n")


def _entry(number: int) -> Entry:
    return Entry(f"{number:04}-0000", 1_790_000_000.0 + number, "greylist", "greylist", "defer", reason="first-contact",
                 sender="x" * 500)  # fmt: skip


def test_a_terminal_without_utf8_shows_what_it_can(host: Host) -> None:
    ref = host.daemon().ask(helo="\x1b[2J").ref
    done = vaglio(host, "why", ref, "--language", "it", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "HELO ?[2J" in done.stdout


def test_an_interrupted_command_ends_without_a_traceback(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(greylist_look, "read", interrupted)
    said = host.run("greylist", "list")
    assert (said.status, said.out, said.err) == (130, "", "")


# --- stores in trouble ---

ASKED = ("--client", "198.51.100.7", "--from", "a@b.it", "--to", "caio@caio.it")
LOOKING = (("list",), ("pools",), ("stats",), ("report",), ("check", *ASKED), ("why", *ASKED))
CHANGING = (("forget", "--pool", "tizio.it"),)
NO_STORE = b"no database at all, and longer than a page header is" * 40


@pytest.mark.parametrize("words", LOOKING + CHANGING, ids=lambda words: words[0])
def test_a_store_that_is_not_there_is_told_and_not_made(host: Host, words: tuple[str, ...]) -> None:
    said = host.run("greylist", *words)
    assert (said.status, said.out) == (1, "")
    assert f"there is no store at {host.state / 'greylist.sqlite'} yet: has the daemon run" in said.err
    assert list(host.state.iterdir()) == []


@pytest.mark.parametrize("words", CHANGING, ids=lambda words: words[0])
def test_a_damaged_store_that_is_to_be_changed_is_told_and_set_aside(host: Host, words: tuple[str, ...]) -> None:
    (host.state / "greylist.sqlite").write_bytes(NO_STORE)
    said = host.run("greylist", *words)
    assert (said.status, said.out) == (1, "")
    assert "was set aside as greylist.sqlite.corrupt-" in said.err
    assert f"vaglio: {host.state / 'greylist.sqlite'} was damaged: nothing is remembered any more" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("words", LOOKING, ids=lambda words: words[0])
def test_a_damaged_store_that_is_only_looked_at_is_told_and_left_alone(host: Host, words: tuple[str, ...]) -> None:
    store = host.state / "greylist.sqlite"
    store.write_bytes(NO_STORE)
    said = host.run("greylist", *words)
    assert (said.status, said.out, said.err.count("\n")) == (1, "", 1)
    assert f"vaglio: {store}: damaged (" in said.err
    assert "a daemon that meets the damage sets the file aside" in said.err
    assert (list(host.state.iterdir()), store.read_bytes()) == ([store], NO_STORE)


READING = (("journal",), ("why", "--to", "caio.it"), *(("greylist", *words) for words in LOOKING))


@pytest.mark.parametrize("words", READING, ids=lambda words: "-".join(words[:2]))
def test_a_command_that_reads_changes_no_file(host: Host, words: tuple[str, ...]) -> None:
    host.daemon().ask()
    host.stop()
    before = {path.name: path.read_bytes() for path in host.state.iterdir() if path.stat().st_size}
    host.fine(*words)
    after = {path.name: path.read_bytes() for path in host.state.iterdir()}
    assert {name: after.get(name) for name in before} == before
    assert {name for name in after.keys() - before.keys() if after[name] and not name.endswith("-shm")} == set()


def test_a_store_of_a_newer_version_is_told(host: Host) -> None:
    host.daemon().ask()
    with closing(sqlite3.connect(host.state / "greylist.sqlite")) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute(f"PRAGMA user_version = {version + 1}")
    said = host.run("greylist", "list")
    assert (said.status, said.out) == (1, "")
    assert "install the newer Vaglio again" in said.err


AS_NOBODY = f"""\
import os, sys
from vaglio.cli.main import main, parser
from vaglio.config.load import load
parser(), load(None, {{}})  # all that is imported late: the interpreter's own files may be out of reach later on
"".encode("utf-8-sig")
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody without rights")
def test_who_has_no_rights_is_told_whose_are_needed() -> None:
    with TemporaryDirectory() as home:
        config, state = Path(home, "vaglio.toml"), Path(home, "state")
        config.write_text(f'[state]\nurl = "sqlite://{state}"\n')
        state.mkdir(mode=0o750)
        Path(home).chmod(0o755)
        (state / "greylist.sqlite").touch(mode=0o640)
        for mode in (0o750, 0o755):
            state.chmod(mode)
            for words in (("journal",), ("greylist", "list"), ("greylist", "allow", "192.0.2.1")):
                command = [sys.executable, "-c", AS_NOBODY, *words, "--config", str(config)]
                done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
                assert (done.returncode, done.stdout) == (1, "")
                assert "Traceback" not in done.stderr
                if (words, mode) == (("journal",), 0o755):
                    assert "there is no journal" in done.stderr
                else:
                    assert "Permission denied: run this as root or as the daemon's user" in done.stderr
