"""Submission as users' programs have it: ports 587 and 465 of a Postfix in the lab, with TLS and logins.

The services are the shipped ones, ``examples/postfix/master.cf.*``, but for the chroot. Cyrus SASL within smtpd
looks passwords up in a file, so there is no daemon for them. The certificate signs itself.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from lab.space import Space
from lab.waiting import Unavailable

_EXAMPLES = Path(__file__).resolve().parents[1] / "examples/postfix"
EXAMPLE = _EXAMPLES / "master.cf.ratelimit"
_SIGNING = _EXAMPLES / "master.cf.milters"

_RECIPIENTS = re.compile(r"^#(  -o \{ smtpd_recipient_restrictions = .*\n)#(  .*\n)", re.MULTILINE)
_MILTERS = re.compile(r"^  -o smtpd_milters=.*\n", re.MULTILINE)
_LAST_LINE = re.compile(r"^(  .*\n)(?=\n|\Z)", re.MULTILINE)
_NONE = "  -o smtpd_recipient_restrictions=\n"
_SASL = "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN\nsasldb_path: {home}/etc/sasl/passwords\n"
SET_PASSWORD = 'printf %s "$4" | saslpasswd2 -p -c -f "$1" -u "$3" "$2" && chgrp postfix "$1"'
"""For the shell: file, user, domain, password."""


def services(about_recipients: bool = False, example: Path = EXAMPLE, signing: bool = False) -> str:
    """Return the shipped lines of master.cf, without the chroot; on demand those that ask about recipients, and those
    that hand messages to the outbound chain, too.
    """
    text = example.read_text()
    if about_recipients:
        text = asking_about_recipients(text)
    if signing:
        text = _LAST_LINE.sub(rf"\1{_MILTERS.findall(_SIGNING.read_text())[0]}", text)
    return re.sub(r"^(\w+ +inet +n +- +)y", r"\1n", text, flags=re.MULTILINE)


def asking_about_recipients(example: str) -> str:
    """Return the example with its alternative: the lines that are commented out in the place of the empty list."""
    found = _RECIPIENTS.search(example)
    assert found
    return example.replace(_NONE, found[1] + found[2])


def settings(home: str) -> dict[str, str]:
    """Return what main.cf says about TLS and logins of a Postfix that lives in ``home``."""
    # Debian's Postfix looks for the SASL configuration beside main.cf, whatever cyrus_sasl_config_path says.
    return {
        "smtpd_tls_cert_file": _certificate(home),
        "smtpd_tls_key_file": f"{home}/tls/key.pem",
        "smtpd_sasl_type": "cyrus",
        "cyrus_sasl_config_path": f"{home}/etc/sasl",
    }


def furnish(space: Space, home: str, name: str, address: str) -> None:
    """Make the certificate, and the place for passwords. Unavailable without the packages."""
    if not shutil.which("saslpasswd2", path="/usr/sbin:/usr/bin"):
        raise Unavailable("no logins without saslpasswd2 (Debian packages sasl2-bin and libsasl2-modules)")
    for folder in ("tls", "etc/sasl"):
        space.path(f"{home}/{folder}").mkdir()
    space.path(f"{home}/etc/sasl/smtpd.conf").write_text(_SASL.format(home=home))
    space.run(*certificate_command(name, address, _certificate(home), f"{home}/tls/key.pem"))


def certificate_command(name: str, address: str, certificate: str, key: str) -> list[str]:
    """Return the command that makes a certificate for a host, signed by itself, and its key."""
    return [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:{address}",
        "-addext", "keyUsage=critical,digitalSignature,keyCertSign", "-keyout", key, "-out", certificate,
    ]  # fmt: skip


def certificate(space: Space, home: str) -> Path:
    """Return where our process finds the certificate that a client is to trust."""
    return space.path(_certificate(home))


def add_login(space: Space, home: str, login: str, password: str) -> None:
    """Let ``login``, which is user@domain, in by this password."""
    user, _, domain = login.rpartition("@")
    space.run("sh", "-c", SET_PASSWORD, "sh", f"{home}/etc/sasl/passwords", user, domain, password)


def _certificate(home: str) -> str:
    return f"{home}/tls/certificate.pem"
