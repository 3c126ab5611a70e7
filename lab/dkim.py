"""DKIM in the lab: keys, and the milters of others that sign and verify, OpenDKIM and dkimpy-milter.

They come from Debian's packages, are configured by files of the lab alone, and listen on UNIX sockets, for libmilter
waits 40 ms over TCP. Unavailable without the packages.
"""

from __future__ import annotations

import base64
import shutil
import socket
from dataclasses import dataclass
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from lab.space import HOME, Space
from lab.waiting import LabError, Unavailable, until

FOLDER = f"{HOME}/dkim"
"""Where sockets, configurations and logs are."""

KEYS = f"{HOME}/dkim-keys"
"""Where private keys are, readable by root alone."""

Algorithm = Literal["rsa", "ed25519"]


@dataclass(frozen=True, slots=True)
class Key:
    """A key that signs the mail of a domain: the private part as ``pem``, and as dkimpy has those of Ed25519."""

    domain: str
    selector: str
    algorithm: Algorithm
    pem: str
    seed: str
    public: str

    @property
    def zone(self) -> str:
        """The record, as a line of a master file."""
        record = f"v=DKIM1; k={self.algorithm}; p={self.public}"
        parts = " ".join(f'"{record[start : start + 255]}"' for start in range(0, len(record), 255))
        return f"{self.selector}._domainkey.{self.domain}. 60 IN TXT {parts}\n"

    def file(self, space: Space) -> str:
        """Write the private key; return its path in the lab."""
        return _secret(space, f"{self.selector}.pem", self.pem)

    def toml(self, space: Space) -> str:
        """Write it, and return the table of our signer that names it."""
        lines = f'domain = "{self.domain}"\nselector = "{self.selector}"\nfile = "{self.file(space)}"\n'
        return f"[[dkim.sign.keys]]\n{lines}"


def new_key(domain: str, selector: str, algorithm: Algorithm) -> Key:
    """Make a key: RSA of 2048 bits, or Ed25519."""
    if algorithm == "rsa":
        rsa = generate_private_key(65537, 2048)
        public = rsa.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        pem = rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        seed = b""
    else:
        edwards = Ed25519PrivateKey.generate()
        public = edwards.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)  # RFC 8463 4.2
        pem = edwards.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        seed = edwards.private_bytes_raw()
    return Key(domain, selector, algorithm, pem.decode(), *(base64.b64encode(raw).decode() for raw in (seed, public)))


def make_folders(space: Space) -> None:
    """Make the places for sockets and keys."""
    for path in (FOLDER, KEYS):
        space.path(path).mkdir()
    space.path(FOLDER).chmod(0o1777)  # dkimpy-milter makes its socket as a user of its own


def opendkim_signs(space: Space, name: str, key: Key, form: str = "relaxed/relaxed") -> str:
    """Start an OpenDKIM that signs for those who have logged in; return where Postfix finds it."""
    return _opendkim(space, name, {
        "Mode": "s", "Domain": key.domain, "Selector": key.selector, "KeyFile": key.file(space),
        "SignatureAlgorithm": f"{key.algorithm}-sha256", "Canonicalization": form, "OversignHeaders": "From",
        "RequireSafeKeys": "no",
    })  # fmt: skip


def opendkim_verifies(space: Space, name: str, authserv_id: str) -> str:
    """Start an OpenDKIM that writes results; return where Postfix finds it."""
    return _opendkim(space, name, {
        "Mode": "v", "AuthservID": authserv_id, "AlwaysAddARHeader": "yes", "Nameservers": "127.0.0.1",
    })  # fmt: skip


def dkimpy_signs(space: Space, name: str, rsa: Key, ed25519: Key) -> str:
    """Start a dkimpy-milter that signs by both keys; return where Postfix finds it."""
    return _dkimpy(space, name, {
        "Mode": "s", "Domain": rsa.domain, "Selector": rsa.selector, "KeyFile": rsa.file(space),
        "SelectorEd25519": ed25519.selector, "KeyFileEd25519": _secret(space, f"{ed25519.selector}.seed", ed25519.seed),
    })  # fmt: skip


def dkimpy_verifies(space: Space, name: str, authserv_id: str) -> str:
    """Start a dkimpy-milter that writes results; return where Postfix finds it."""
    return _dkimpy(space, name, {"Mode": "v", "AuthservID": authserv_id, "DNSTimeout": "5"})


def _opendkim(space: Space, name: str, settings: dict[str, str]) -> str:
    program = _program("opendkim", "opendkim")
    return _start(space, name, [program, "-f", "-x"], {"Syslog": "no", **settings})


def _dkimpy(space: Space, name: str, settings: dict[str, str]) -> str:
    program = _program("dkimpy-milter", "dkimpy-milter")
    return _start(space, name, [program], {"Syslog": "no", "PidFile": f"{FOLDER}/{name}.pid", **settings})


def _secret(space: Space, name: str, text: str) -> str:
    file = space.path(f"{KEYS}/{name}")
    file.touch(0o600)
    file.write_text(text)
    return f"{KEYS}/{name}"


def _program(name: str, package: str) -> str:
    if found := shutil.which(name, path="/usr/sbin:/usr/bin"):
        return found
    raise Unavailable(f"{name} is not installed (Debian package {package})")


def _start(space: Space, name: str, argv: list[str], settings: dict[str, str]) -> str:
    path, log = f"{FOLDER}/{name}.sock", f"{FOLDER}/{name}.log"
    config = f"{FOLDER}/{name}.conf"
    lines = {"Socket": f"local:{path}", "UMask": "000", **settings}
    space.path(config).write_text("".join(f"{key} {value}\n" for key, value in lines.items()))
    process = space.start([*argv, config], log)

    def answers() -> bool:
        if process.returncode is not None:
            said = space.path(log).read_text("utf-8", "replace").strip()
            raise LabError(f"{name} ended with exit status {process.returncode}: {said}")
        with socket.socket(socket.AF_UNIX) as connection:
            return connection.connect_ex(str(space.path(path))) == 0

    until(answers, f"{name} to listen")
    return f"unix:{path}"
