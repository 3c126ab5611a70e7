"""``vaglio dkim import``."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.cli.dkimkeys import Admin
from tests.cli.dkimkeys import admin as admin  # a fixture
from vaglio.checks.dkim.signing.make import new_key
from vaglio.config.load import load

CONF = """
Canonicalization  relaxed/simple
Mode              s
SubDomains        yes
Domain            tizio.it
Selector          mail
KeyFile           {keys}/mail.private
InternalHosts     192.0.2.0/24
DontSignMailTo    *@caio.it
SignatureTTL      864000
On-KeyNotFound    tempfail
Syslog            yes
"""


@pytest.fixture
def conf(admin: Admin) -> Path:
    (admin.directory / "mail.private").write_bytes(new_key("rsa"))
    file = admin.directory / "opendkim.conf"
    file.write_text(CONF.format(keys=admin.directory))
    return file


def test_what_is_printed_is_a_configuration(admin: Admin, conf: Path) -> None:
    said = admin.run("import", str(conf))
    assert (said.status, said.err) == (0, "")
    file = admin.directory / "printed.toml"
    file.write_text(said.out)
    dkim = load(file, {}).config.dkim
    [key] = dkim.sign.keys
    assert (key.domain, key.selector, key.file) == ("tizio.it", "mail", str(admin.directory / "mail.private"))
    assert (dkim.sign.networks, dkim.sign.valid, dkim.sign.body_form) == (["192.0.2.0/24"], 864000, "simple")
    assert dkim.sign.exempt_recipients == ["@caio.it"]
    assert dkim.verify.policies.permerror == "defer"
    assert "# Syslog yes: the log goes to stderr" in said.out
    assert not admin.keys.exists()


def test_keys_are_copied_when_asked_and_once_only(admin: Admin, conf: Path) -> None:
    for _ in range(2):
        said = admin.run("import", str(conf), "--copy-keys")
        assert said.status == 0
        assert f"# signs from now on: {admin.keys}/tizio.it/mail.pem" in said.out
        assert "[[dkim.sign.keys]]" not in said.out
        assert admin.states() == {"mail": "signing"}
    file = admin.keys / "tizio.it" / "mail.pem"
    assert file.read_bytes() == (admin.directory / "mail.private").read_bytes()
    assert file.stat().st_mode & 0o137 == 0


def test_another_key_of_that_selector_is_not_replaced(admin: Admin, conf: Path) -> None:
    admin.run("import", str(conf), "--copy-keys")
    (admin.directory / "mail.private").write_bytes(new_key("rsa"))
    said = admin.run("import", str(conf), "--copy-keys")
    assert (said.status, "has another key with the selector mail" in said.err) == (1, True)


def test_a_file_that_is_in_the_way_is_left_alone(admin: Admin, conf: Path) -> None:
    file = admin.keys / "tizio.it" / "mail.pem"
    file.parent.mkdir(parents=True)
    file.write_text("precious")
    said = admin.run("import", str(conf), "--copy-keys")
    assert (said.status, "is there already: nothing is overwritten" in said.err) == (1, True)
    assert file.read_text() == "precious"


def test_an_ed25519_key_of_dkimpy_milter_is_a_seed(admin: Admin) -> None:
    (admin.directory / "seed").write_bytes(base64.b64encode(bytes(range(32))) + b"\n")
    conf = admin.directory / "dkimpy-milter.conf"
    conf.write_text(f"Domain tizio.it\nSelectorEd25519 e\nKeyFileEd25519 {admin.directory}/seed\n")
    assert admin.run("import", str(conf), "--copy-keys").status == 0
    assert admin.states() == {"e": "signing"}
    assert admin.ring().keys[0].algorithm == "ed25519"


def test_a_program_is_told_the_same(admin: Admin, conf: Path) -> None:
    found = json.loads(admin.run("import", str(conf), "--json").out)
    assert found["settings"]["dkim.sign"]["subdomains"] is True
    assert found["keys"] == [{"domain": "tizio.it", "selector": "mail", "file": f"{admin.directory}/mail.private"}]
    assert found["not_taken_over"] == [{"option": "Syslog", "value": "yes",
                                        "why": "the log goes to stderr, which systemd keeps"}]  # fmt: skip
    assert found["toml"].startswith("[dkim.sign]\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Domain", "opendkim.conf: line 1: found 'Domain' without a value"),
        ("Domain tizio.it\nSelector a\nKeyFile /nowhere/key", "/nowhere/key: No such file or directory"),
        ("Domain tizio.it\nSelector a\nKeyFile /etc/hostname", "/etc/hostname: it is no private key in PEM"),
    ],
)
def test_what_can_not_be_read_or_copied_is_said(admin: Admin, text: str, words: str) -> None:
    conf = admin.directory / "opendkim.conf"
    conf.write_text(text)
    said = admin.run("import", str(conf), "--copy-keys")
    assert said.status == 1
    assert words in said.err
    assert not admin.keys.exists()


SIGNS = "Domain tizio.it\nSelector a\nKeyFile /a.key\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (SIGNS, ""),
        ("Domain *\nSelector a\nKeyFile /a.key", "# Domain *: no key for it, by selector a and file /a.key: wanted "),
        ("Domain .tizio.it, caio.it\nSelector a\nKeyFile /a.key", "# Domain .tizio.it: "),
        ("Domain tizio.it\nSelector ../a\nKeyFile /a.key", "# Domain tizio.it: no key for it, by selector ../a"),
        ("Domain tizio.it\nSelector a\nKeyFile /a key\x7f\u200b", ""),
        (f"{SIGNS}Mode v", "# to know: it signs nothing"),
        (f"{SIGNS}SignatureTTL x", "# SignatureTTL x: found 'x', wanted a whole number"),
        (f"{SIGNS}SignatureTTL -5", "# SignatureTTL -5: a year is the most"),
        ("KeyTable /etc/key table\nSigningTable refile:/s", "# KeyTable /etc/key table: key_table in [dkim.sign]"),
        ("KeyTable refile:/k\nSigningTable file:/s\nMultipleSignatures yes", 'key_table = "refile:/k"'),
        ("Canonicalization /relaxed\nMode sv", ""),
        ("AuthservID two words\nMode v", "# AuthservID two words: authserv_id in [identity] takes no such value"),
        ("Nameservers 127.0.0.1,dns.tizio.it", "# Nameservers 127.0.0.1,dns.tizio.it: dns.tizio.it: wanted "),
        ("ClockDrift -60", "# ClockDrift -60: clock_slack in [dkim.verify] takes no such value"),
        ("InternalHosts 192.0.2.0/24,!192.0.2.1,host.it", "!192.0.2.1, host.it: networks has addresses only"),
        ("DontSignMailTo a@b@c,*,*@caio.it\nExemptDomains *.it,-", "# DontSignMailTo a@b@c,*,*@caio.it: "),
        ("SignHeaders *,+X;Y,+Received,-Sender,-From\nOversignHeaders Keywords,X-Mine", "# SignHeaders "),
        ("OmitHeaders Subject,Sender,X-Mine", ""),
        ("MacroList {daemon_name}|MSA|\"x\"\nMTA a\\b", ""),
        ("On-Default reject\nOn-InternalError tempfail\nMinimumKeyBits 99999", "becomes 4096"),
    ],
)
def test_what_is_printed_is_always_a_configuration(admin: Admin, text: str, named: str) -> None:
    conf, file = admin.directory / "opendkim.conf", admin.directory / "printed.toml"
    conf.write_text(text)
    said = admin.run("import", str(conf))
    file.write_text(said.out)
    config = load(file, {}).config
    assert (said.status, said.err) == (0, "")
    assert named in said.out
    if text == SIGNS:
        assert config.dkim.sign.login_mismatch == "sign"


def test_who_only_verified_gets_no_keys_that_sign(admin: Admin, conf: Path) -> None:
    conf.write_text(conf.read_text().replace("Mode              s", "Mode v"))
    said = admin.run("import", str(conf), "--copy-keys")
    assert (said.status, "dkim.sign" in said.out, admin.keys.exists()) == (0, False, False)


def test_a_file_that_is_not_there(admin: Admin) -> None:
    assert admin.run("import", "/nowhere/a.conf").err == "vaglio: /nowhere/a.conf: No such file or directory\n"


def test_a_file_of_another_kind_is_named_as_such(admin: Admin) -> None:
    table = admin.directory / "KeyTable"
    table.write_text("one tizio.it:mail:/etc/dkimkeys/mail.private\n")
    said = admin.run("import", str(table))
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith(f"vaglio: {table}: this does not look like opendkim.conf: found 'one'")


def test_the_steps_to_be_done_come_last(admin: Admin, conf: Path) -> None:
    conf.write_text(conf.read_text() + "Socket local:/run/opendkim.sock\n")
    said = admin.run("import", str(conf))
    assert "# Socket local:/run/opendkim.sock: for the lines of Postfix see: vaglio postconf dkim.sign\n" in said.out
    steps = [line.partition(": ")[2] for line in said.out.splitlines() if line.startswith("# step ")]
    assert [one.split()[0] for one in steps] == ["let", "stop", "wire", "see"]
    steps = [line for line in admin.run("import", str(conf), "--copy-keys").out.splitlines() if "# step " in line]
    assert steps[0] == "# step 1: stop opendkim, and start vaglio-dkim-sign"


def test_keys_of_tables_that_sign_for_their_own_domain_are_copied(admin: Admin) -> None:
    home, keys = admin.directory, {}
    for name in ("tizio", "caio", "staff", "identity", "mevio.it"):
        keys[name] = new_key("ed25519")
        (home / name).write_bytes(keys[name])
    (home / "KeyTable").write_text(
        f"tizio tizio.it:mail:{home}/tizio\ncaio caio.it:mail:{home}/caio\nstaff caio.it:staff:{home}/staff\n"
        f"named sempronio.it:mail:{home}/identity\nany %:mail:{home}/%\nunused tizio.it:old:{home}/nowhere\n"
    )
    (home / "SigningTable").write_text(
        "boss@caio.it staff\n*@tizio.it tizio\n*@sub.tizio.it tizio\n*@caio.it caio\n"
        "*@sempronio.it named:@sempronio.it\n*@mevio.it any\n* broken\n"
    )
    conf = home / "opendkim.conf"
    conf.write_text(f"Mode s\nKeyTable {home}/KeyTable\nSigningTable refile:{home}/SigningTable\n")
    said = admin.run("import", str(conf), "--copy-keys")
    assert (said.status, said.err) == (0, "")
    for domain, name in (("tizio.it", "tizio"), ("caio.it", "caio"), ("mevio.it", "mevio.it")):
        assert f"# signs from now on: {admin.keys}/{domain}/mail.pem" in said.out
        assert (admin.keys / domain / "mail.pem").read_bytes() == keys[name]
        assert admin.states(domain) == {"mail": "signing"}
    assert f"{home}/staff is not copied, since its line of the SigningTable is not for all authors of caio" in said.out
    assert f"{home}/identity is not copied, since its line of the SigningTable has an identity (i=)" in said.out
    assert "no key is copied of a line that can't be used: " in said.out
    assert 'with "%" for the domain are copied' in said.out
    assert f'key_table = "{home}/KeyTable"' in said.out
    assert not (admin.keys / "sempronio.it").exists()
