"""``vaglio config check``, ``show`` and ``defaults``."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from vaglio.config.load import load

Host = Any  # of conftest.py


def test_a_good_file_is_ok(host: Host) -> None:
    assert host.fine("config", "check") == f"{host.config}: ok\n"
    assert host.json("config", "check") == {"ok": True, "problems": [], "warnings": []}


def test_the_file_may_be_named_without_an_option(host: Host) -> None:
    bad = host.directory / "bad.toml"
    bad.write_text("[greylist]\ndelay = 5\n")
    assert host.run("config", "check", str(bad)).status == 78


def test_all_problems_are_told_at_once_with_their_place(host: Host) -> None:
    host.config.write_text('[greylist]\ndelay = 5\nkey = "host"\n[logging]\nformat = "json"\n')
    said = host.run("config", "check")
    assert (said.status, said.out) == (78, "")
    lines = said.err.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f"{host.config}:{number}" for number in (2, 3, 4)]
    assert 'greylist.delay: found 5, wanted a duration in quotes such as "90s"' in lines[0]
    said = host.run("config", "check", "--json")
    assert said.status == 78
    document = json.loads(said.out)
    assert document["ok"] is False
    assert [problem["line"] for problem in document["problems"]] == [2, 3, 4]
    assert set(document["problems"][0]) == {"file", "line", "key", "found", "wanted"}


def test_every_command_refuses_a_bad_configuration(host: Host) -> None:
    host.config.write_text("[greylist]\ndelay = 5\n")
    changing = (("greylist", "allow"), ("greylist", "forget", "--pool", "tizio.it"))
    for words in (*changing, ("postconf",), ("config", "show")):
        said = host.run(*words)
        assert (said.status, said.out) == (78, "")
        assert said.err.count("\n") == 1


READING = (("journal",), ("why", "--to", "caio@caio.it"), ("greylist", "list"), ("greylist", "pools"),
           ("greylist", "stats"), ("greylist", "report"), *(("greylist", name, "--client", "198.51.100.7", "--from",
           "tizio@tizio.it", "--to", "caio@caio.it") for name in ("check", "why")))  # fmt: skip


@pytest.mark.parametrize("words", READING, ids=lambda words: "-".join(words[:2]))
def test_a_command_that_reads_can_do_without_a_good_configuration(host: Host, words: tuple[str, ...]) -> None:
    host.daemon().ask()
    fine = host.fine(*words)
    host.config.write_text("[greylist]\ndelay = 5\n")
    said = host.run(*words)
    assert (said.status, said.out) == (78, "")
    assert "greylist.delay: found 5" in said.err
    assert "--state /var/lib/vaglio" in said.err
    said = host.run(*words, "--state", str(host.state))
    assert (said.status, said.out, said.err.count("\n")) == (0, fine, 1)
    assert "greylist.delay: found 5" in said.err
    assert "all settings are taken as the defaults have them" in said.err


def test_another_state_is_looked_into_with_the_settings_in_force(host: Host) -> None:
    host.configure('delay = "10m"')
    host.daemon().ask(after=60)
    host.config.write_text(host.config.read_text().replace(str(host.state), "/nonexistent"))
    (pool,) = host.json("greylist", "pools", "--state", str(host.state))
    assert pool["pool"] == "tizio.it"
    found = host.json("greylist", "check", "--client", "mail.tizio.it[198.51.100.7]", "--from", "tizio@tizio.it",
                      "--to", "caio@caio.it", "--state", str(host.state))  # fmt: skip
    assert (found["reason"], found["delay"]) == ("early-retry", 600)


@pytest.mark.parametrize("bad", ["a?b", "a#b", "a\0b"])
def test_a_state_that_can_be_no_directory_is_wrong_usage(host: Host, bad: str) -> None:
    said = host.run("greylist", "list", "--state", bad)
    assert said.status == 2
    assert "wanted a directory such as /var/lib/vaglio" in said.err


def test_a_file_that_is_not_there_is_told(host: Host) -> None:
    host.config.unlink()
    said = host.run("config", "check")
    assert said.status == 78
    assert f"{host.config}: found no such file or directory" in said.err


def test_warnings_are_told_and_are_no_errors(host: Host) -> None:
    host.configure('scope = "listed"')
    for command in ("check", "show"):
        said = host.run("config", command)
        assert said.status == 0
        assert "warning: " in said.err
        assert "greylist.scope" in said.err
    assert len(host.json("config", "check")["warnings"]) == 1


def test_show_tells_what_is_in_force_and_where_it_comes_from(host: Host) -> None:
    host.configure('delay = "2m"')
    rows = {line.split()[0]: line.split()[1:] for line in host.fine("config", "show").splitlines()}
    assert rows["greylist.delay"] == ['"2m"', f"{host.config}:7"]
    assert rows["greylist.lifetime"] == ['"35d"', "default"]
    settings = {one["key"]: one for one in host.json("config", "show")["settings"]}
    assert settings["greylist.delay"] == {"key": "greylist.delay", "value": 120, "origin": f"{host.config}:7"}


def test_the_defaults_are_a_file_that_is_accepted(host: Host) -> None:
    from vaglio.cli.main import main

    host._capsys.readouterr()
    assert main(["config", "defaults"]) == 0
    text = host._capsys.readouterr().out
    assert tomllib.loads(text)["greylist"] == {}
    assert '#delay = "5m"' in text
    path = host.directory / "defaults.toml"
    path.write_text(text)
    assert load(path, {}).config == load(None, {}, host.directory / "none").config
