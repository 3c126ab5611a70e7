"""``vaglio config check``, ``show`` and ``defaults``."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from vaglio.checks.listfiles import MAX_BYTES
from vaglio.cli import config
from vaglio.config.load import load

Host = Any  # of conftest.py


def test_a_good_file_is_ok(host: Host) -> None:
    assert host.fine("config", "check") == f"{host.config}: ok\n"
    assert host.json("config", "check") == {"ok": True, "problems": [], "warnings": [], "lists": []}


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


# --- list files ---


def name_lists(host: Host, **lists: list[str]) -> None:
    """Write a configuration that names these list files."""
    lines = [f"whitelist_{kind} = {lists.get(kind, [])}" for kind in ("clients", "senders", "recipients")]
    host.config.write_text("[greylist]\n" + "\n".join(lines).replace("'", '"') + "\n")


def test_bad_lines_of_list_files_are_told_with_their_place_and_are_no_errors(host: Host) -> None:
    clients, senders = host.directory / "clients", host.directory / "senders"
    clients.write_text("192.0.2.0/24\n192.0.2.0/33  # a slip\n\n/un(closed/\n")
    senders.write_bytes(b"\xef\xbb\xbfgood@tizio.it\ntwo words\x1b[2J\n")
    name_lists(host, clients=[str(clients)], senders=[str(senders)])
    said = host.run("config", "check")
    assert (said.status, said.out) == (0, f"{host.config}: ok\n")
    lines = said.err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f'vaglio: warning: {clients}:2: found "192.0.2.0/33", wanted ')
    assert lines[0].endswith("; the line is left out (greylist.whitelist_clients)")
    assert f"{clients}:4: " in lines[1]
    assert f"{senders}:2: " in lines[2]
    assert "\x1b" not in said.err
    document = host.json("config", "check")
    assert document["ok"] is True
    one, other = document["lists"]
    assert (one["key"], one["file"], one["state"], one["entries"]) == (
        "greylist.whitelist_clients", str(clients), "read", 1,
    )  # fmt: skip
    assert (one["problems"][0]["file"], one["problems"][0]["line"]) == (str(clients), 2)
    assert set(one["problems"][0]) == {"file", "line", "found", "wanted"}
    assert (other["entries"], [problem["line"] for problem in other["problems"]]) == (1, [2])


def test_private_blocklists_are_read_in_their_own_form(host: Host) -> None:
    path = host.directory / "bad-hosts"
    path.write_text("192.0.2.7\n300.1.1.1\n")
    host.config.write_text(host.config.read_text() + f'[[dnsbl.lists]]\nname = "ours"\nfile = "{path}"\n')
    (found,) = host.json("config", "check")["lists"]
    assert (found["key"], found["entries"], [one["line"] for one in found["problems"]]) == (
        "dnsbl.lists[0].file", 1, [2],
    )  # fmt: skip
    path.unlink()
    assert f"{path}: there is no such file" in host.run("config", "check").err


def test_a_private_blocklist_may_be_as_large_as_the_daemon_takes_it(host: Host) -> None:
    path = host.directory / "many"
    path.write_text("192.0.2.7\n" + ("#" * 999 + "\n") * 17_000)  # beyond what other list files may have
    host.config.write_text(host.config.read_text() + f'[[dnsbl.lists]]\nname = "ours"\nfile = "{path}"\n')
    (found,) = host.json("config", "check")["lists"]
    assert (found["state"], found["entries"]) == ("read", 1)


def test_rule_files_are_read_and_each_problem_has_its_place(host: Host) -> None:
    folder, single = host.directory / "rules", host.directory / "one.toml"
    folder.mkdir()
    good = '[[rule]]\nsymbol = "OURS_{}"\nscore = 1\nen = "It is so"\nsubject = "{}"\n'
    (folder / "a.toml").write_text(good.format("GOOD", "x") + good.format("BAD", "(x"))
    (folder / "notes.txt").write_text("not read")
    single.write_text(good.format("ALONE", "y"))
    listed = f'rules = ["{folder}", "{single}", "/none.toml"]\nscores = {{OURS_GOD = 2}}'
    host.configure(f'[identity]\nauthserv_id = "mail.caio.it"\n[score]\n{listed}')
    said = host.run("config", "check")
    assert (said.status, said.out) == (1, f"{host.config}: ok, but not all that it names can be used\n")
    bad, missing, unknown = said.err.splitlines()
    assert bad.startswith(f'vaglio: {folder}/a.toml:10: found subject = "(x" in rule OURS_BAD, wanted ')
    assert bad.endswith("(missing ): (x); it is left out (score.rules)")
    assert missing == "vaglio: /none.toml: there is no such file, so it has no rules (score.rules)"
    assert 'score.scores: found OURS_GOD, wanted the symbol of a rule; did you mean "OURS_GOOD"?' in unknown
    document = json.loads(host.run("config", "check", "--json").out)
    assert document["ok"] is False
    assert [one["entries"] for one in document["lists"]] == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("score", "rules"),
    [
        ('rules = ["{file}"]', "[[rule]]\n"),
        ('rules = ["/none.toml"]', ""),
        ("scores = {{NO_SUCH_RULE = 0}}", ""),
        ("scores = {{LISTED_FOO = 0}}", ""),
        ('rules = ["{file}"]', 'symbol = "OURS"\nscore = 1\nen = "x"\nkeywords = {de = ["gewonnen"]}'),
        ('rules = ["{file}"]', 'symbol = "OURS"\nscore = 1\nen = "x"\nany = ["LISTED_FOO"]'),
    ],
)
def test_whatever_is_wrong_with_rules_shows_in_the_exit_status(host: Host, score: str, rules: str) -> None:
    """Else "config check && systemctl reload" would go on without the rules that an admin has just written."""
    file = host.directory / "rules.toml"
    good = '[[rule]]\nsymbol = "OURS_GOOD"\nscore = 1\nen = "It is so"\nsubject = "x"\n'
    file.write_text(good + (rules if rules.startswith("[[") else f"[[rule]]\n{rules}\n" if rules else ""))
    host.configure(f'[identity]\nauthserv_id = "mail.caio.it"\n[score]\n{score.format(file=file)}')
    said = host.run("config", "check")
    assert said.status == 1
    assert len(said.err.splitlines()) >= 1


def test_shipped_lists_and_rules_may_get_other_points(host: Host) -> None:
    host.configure('[identity]\nauthserv_id = "mail.caio.it"\n[score]\nlanguages = ["de"]\n'
                   "scores = {LISTED_SURBL = 0, LISTED_SPAMHAUS_DBL = 1, NO_SUBJECT = 0}")  # fmt: skip
    assert host.run("config", "check").err == ""


def test_a_mark_for_a_rule_that_there_is_not_is_warned_of(host: Host) -> None:
    rules = '[[tag.rule]]\nwhen = ["symbol NO_SUBJECT", "not symbol NO_SUBJEKT", "symbol LISTED_SURBL"]\ntag = "[X]"\n'
    chain = '[identity]\nauthserv_id = "mail.caio.it"\n[chain.inbound]\nchecks = ["score", "tag"]\n'
    host.configure(f"{chain}{rules}")
    said = host.run("config", "check")
    assert said.status == 0
    assert said.err == (
        "vaglio: warning: tag.rule[0].when[1]: found NO_SUBJEKT, wanted the symbol of a rule that gives points; did "
        'you mean "NO_SUBJECT"?; nothing ever has it (tag.rule[0].when[1])\n'
    )
    host.configure(f"{chain}[tag]\ntrust_spam_headers = true\n{rules}")  # another filter's may have any
    assert "NO_SUBJEKT" not in host.run("config", "check").err


def test_a_rule_file_of_which_nothing_can_be_used_is_an_error(host: Host) -> None:
    path = host.directory / "one.toml"
    path.write_text("[[rule]\n")
    host.configure(f'[identity]\nauthserv_id = "mail.caio.it"\n[score]\nrules = ["{path}"]')
    said = host.run("config", "check")
    assert said.status == 1
    assert said.err.startswith(f'vaglio: {path}:1: score.rules: found [[rule], wanted TOML (')


def test_what_rate_limits_name_is_read_too(host: Host) -> None:
    limits, logins = host.directory / "limits.csv", host.directory / "logins"
    limits.write_text("per-user,tizio@tizio.it,unlimited\nnobody,x,1/1h\n")
    logins.write_text("info@tizio.it tizio@tizio.it\njunk\n")
    host.config.write_text(
        f'[ratelimit]\noverrides = "{limits}"\nsender_logins = ["{logins}"]\nsender_login = "log"\n'
        f'country_database = "{host.directory}/none.mmdb"\n'
    )
    said = host.run("config", "check")
    assert said.status == 1
    assert f'{limits}:2: found "nobody,x,1/1h", wanted the name of a rule' in said.err
    assert f'{logins}:2: found "junk", wanted an address or @domain' in said.err
    assert f"{host.directory}/none.mmdb: ratelimit.country_database: found" in said.err


def test_a_missing_list_file_is_worth_a_word_only_if_it_was_named(host: Host) -> None:
    name_lists(host, recipients=[str(host.directory / "none")])
    said = host.run("config", "check")
    assert (said.status, said.out) == (0, f"{host.config}: ok\n")
    assert said.err == (f"vaglio: warning: {host.directory / 'none'}: there is no such file, so it is an empty list "
                        "(greylist.whitelist_recipients)\n")  # fmt: skip
    assert host.json("config", "check")["lists"][0]["state"] == "absent"


def test_the_list_files_of_the_defaults_may_be_missing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {f"whitelist_{kind}": [str(host.directory / kind)] for kind in ("clients", "senders", "recipients")}
    host.config.write_text("")
    loaded = load(host.config, {})
    greylist = loaded.config.greylist.model_copy(update=names)
    loaded = replace(loaded, config=loaded.config.model_copy(update={"greylist": greylist}))
    monkeypatch.setattr(config, "configuration", lambda _: loaded)
    assert host.fine("config", "check") == f"{host.config}: ok\n"
    assert {one["state"] for one in host.json("config", "check")["lists"]} == {"absent"}


@pytest.mark.parametrize(
    ("name", "found"),
    [("directory", "Is a directory"), ("large", "a larger file"), ("loop", "Too many levels of symbolic links")],
)
def test_a_list_file_that_can_not_be_read_is_an_error(host: Host, name: str, found: str) -> None:
    (host.directory / "directory").mkdir()
    (host.directory / "large").touch()
    os.truncate(host.directory / "large", MAX_BYTES + 1)
    (host.directory / "loop").symlink_to(host.directory / "loop")
    path = host.directory / name
    name_lists(host, clients=[str(path)])
    said = host.run("config", "check")
    assert (said.status, said.out) == (1, f"{host.config}: ok, but not all that it names can be used\n")
    assert said.err == (
        f"vaglio: {path}: greylist.whitelist_clients: found {found}, wanted a readable file of at most 16 MiB\n"
    )
    said = host.run("config", "check", "--json")
    document = json.loads(said.out)
    assert (said.status, document["ok"], document["lists"][0]["state"]) == (1, False, "unreadable")


def test_a_zone_file_that_is_not_there_or_none_is_an_error(host: Host) -> None:
    path = host.directory / "zone"
    host.config.write_text(f'[dns]\nzone_file = "{path}"\n')
    for text, found in ((None, "No such file or directory"), ("caio.it A nowhere\n", "line 1: found 'nowhere'")):
        if text is not None:
            path.write_text(text)
        said = host.run("config", "check")
        assert said.status == 1
        assert f"{path}: dns.zone_file: found {found}" in said.err
    path.write_text("caio.it A 192.0.2.1\n")
    assert host.run("config", "check").status == 0


def test_a_list_file_with_an_impossible_name_is_an_error(host: Host) -> None:
    host.config.write_text('[greylist]\nwhitelist_clients = ["a\\u0000b"]\n')
    said = host.run("config", "check")
    assert (said.status, "found no name of a file" in said.err) == (1, True)


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


# --- what signs ---


def test_tables_and_keys_that_are_named_and_not_there_are_told(host: Host) -> None:
    key, keys, signers, folder = (host.directory / name for name in ("no.pem", "KeyTable", "SigningTable", "dkim"))
    host.config.write_text(
        f'[identity]\nauthserv_id = "mail.caio.it"\n[dkim.sign]\n'
        f'key_table = "{keys}"\nsigning_table = "refile:{signers}"\nkey_dir = "{folder}"\n'
        f'[[dkim.sign.keys]]\ndomain = "tizio.it"\nselector = "uno"\nfile = "{key}"\n'
    )
    said = host.run("config", "check")
    assert (said.status, said.out) == (0, f"{host.config}: ok\n")
    assert said.err.splitlines() == [
        f"vaglio: warning: {file}: there is no such file, so {what} (dkim.sign.{where})"
        for file, what, where in (
            (keys, "mail that it is about can't be signed", "key_table"),
            (signers, "mail that it is about can't be signed", "signing_table"),
            (folder, "no key in it signs", "key_dir"),
            (key, "mail of tizio.it can't be signed by it", "keys[0].file"),
        )
    ]
    folder.mkdir()
    keys.write_text("uno tizio.it:uno:/keys/uno.pem\n")
    signers.write_text("*@tizio.it uno\n*@caio.it due\n")
    said = host.run("config", "check")
    assert f"{folder}: " not in said.err
    assert f"{signers}:2: found " in said.err
    assert "; mail that it is about can't be signed (dkim.sign.signing_table)" in said.err
    lists = host.json("config", "check")["lists"]
    assert [one["entries"] for one in lists if one["key"].startswith("dkim")] == [1, 2, 0, 0]


def test_a_key_that_the_daemon_would_not_use_is_an_error_and_told_in_its_words(host: Host) -> None:
    key = host.directory / "uno.pem"
    made = Ed25519PrivateKey.generate()
    key.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    named = f'[[dkim.sign.keys]]\ndomain = "tizio.it"\nselector = "uno"\nfile = "{key}"\n'
    unseen = '[[dkim.sign.keys]]\ndomain = "tizio.it"\nselector = "due"\nfile = "credential:due"\n'
    host.config.write_text('[identity]\nauthserv_id = "mail.caio.it"\n' + named + unseen)
    key.chmod(0o644)
    said = host.run("config", "check")
    assert (said.status, said.out) == (1, f"{host.config}: ok, but not all that it names can be used\n")
    found = "found mode 0644, with which everybody has rights, wanted 0400, 0600 or 0640: chmod o= "
    assert said.err.startswith(f"vaglio: {key}: dkim.sign.keys[0].file: {found}")
    key.chmod(0o600)
    assert host.fine("config", "check") == f"{host.config}: ok\n"
    key.write_text("no key\n")
    said = host.run("config", "check")
    assert said.status == 1
    assert said.err.startswith(f"vaglio: {key}: dkim.sign.keys[0].file: found it is n")
    assert said.err.endswith(", wanted a private key (PEM)\n")
