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
        ("Domain tizio.it\nSelector ../a\nKeyFile /etc/hostname", "the DNS has no such names"),
    ],
)
def test_what_can_not_be_read_or_copied_is_said(admin: Admin, text: str, words: str) -> None:
    conf = admin.directory / "opendkim.conf"
    conf.write_text(text)
    said = admin.run("import", str(conf), "--copy-keys")
    assert said.status == 1
    assert words in said.err
    assert not admin.keys.exists()


def test_a_file_that_is_not_there(admin: Admin) -> None:
    assert "No such file or directory" in admin.run("import", "/nowhere/opendkim.conf").err
