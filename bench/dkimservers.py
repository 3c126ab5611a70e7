"""The servers of the benchmark of DKIM: ours, and Debian's opendkim and dkimpy-milter. See milterservers.py."""

from __future__ import annotations

import getpass
import grp
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.messages import CLIENT
from bench.milterservers import MilterServer, Ours
from bench.signed import DOMAIN

OPENDKIM, DKIMPY = "/usr/sbin/opendkim", "/usr/bin/dkimpy-milter"
ALGORITHMS = {"rsa": "rsa-sha256", "ed25519": "ed25519-sha256"}
"""What OpenDKIM calls the kinds of keys."""


class DkimVerify(Ours):
    """vaglio-dkim-verify."""

    program = "vaglio-dkim-verify"
    section = "dkim.verify"

    def __init__(self, directory: Path, cores: Sequence[int], nameserver: str, workers: int = 1) -> None:
        super().__init__(directory, cores, "native", workers, nameserver)


class DkimSign(Ours):
    """vaglio-dkim-sign, for the client that the messages come from; ``keys`` are the files by selector."""

    program = "vaglio-dkim-sign"
    section = "dkim.sign"

    def __init__(
        self, directory: Path, cores: Sequence[int], nameserver: str, keys: Mapping[str, Path], workers: int = 1
    ) -> None:
        tables = (
            f'[[dkim.sign.keys]]\ndomain = "{DOMAIN}"\nselector = "{selector}"\nfile = "{file}"\n'
            for selector, file in keys.items()
        )
        settings = f'key_dir = ""\nnetworks = ["{CLIENT}"]\n' + "".join(tables)
        super().__init__(directory, cores, "native", workers, nameserver, settings)


class _Opendkim(MilterServer):
    """Debian's opendkim, which has a thread for each connection. It logs nothing, which is in its favour."""

    name = "opendkim"

    def __init__(self, directory: Path, cores: Sequence[int], settings: str) -> None:
        super().__init__(directory, cores)
        (directory / "config").write_text(
            f"Syslog no\nSocket local:{self.path}\nPidFile {directory}/pid\nUMask 000\n"
            f"AuthservID mx.example.com\nCanonicalization relaxed/relaxed\nOversignHeaders From\n{settings}"
        )

    def command(self) -> list[str]:
        """Return the command and its arguments."""
        return [OPENDKIM, "-f", "-x", str(self.directory / "config")]


class OpendkimVerify(_Opendkim):
    """It, verifying. It remembers keys for as long as their records are valid (libunbound does), as ours does."""

    def __init__(self, directory: Path, cores: Sequence[int], nameserver: str) -> None:
        super().__init__(directory, cores, f"Mode v\nNameservers {nameserver}\n")


class OpendkimSign(_Opendkim):
    """It, signing what comes from the client that the messages come from, by one key."""

    def __init__(self, directory: Path, cores: Sequence[int], selector: str, key: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        inside = directory / "internal"
        inside.write_text(f"{CLIENT}\n")
        super().__init__(
            directory,
            cores,
            f"Mode s\nInternalHosts {inside}\nDomain {DOMAIN}\nSelector {selector}\nKeyFile {key}\n"
            "RequireSafeKeys no\n"  # the clone may lie in a directory that everybody can write, as /tmp is
            f"SignatureAlgorithm {ALGORITHMS[selector]}\n",
        )


class DkimpySign(MilterServer):
    """Debian's dkimpy-milter, signing by an RSA key what comes from that client. It logs nothing either."""

    name = "dkimpy-milter"

    def __init__(self, directory: Path, cores: Sequence[int], selector: str, key: Path) -> None:
        super().__init__(directory, cores)
        group = grp.getgrgid(os.getgid()).gr_name
        (directory / "config").write_text(
            f"Syslog no\nSocket local:{self.path}\nPidFile {directory}/pid\nUMask 000\n"
            f"UserID {getpass.getuser()}:{group}\nAuthservID mx.example.com\nCanonicalization relaxed/relaxed\n"
            f"Mode s\nInternalHosts {CLIENT}\nDomain {DOMAIN}\nSelector {selector}\nKeyFile {key}\n"
        )

    def command(self) -> list[str]:
        """Return the command and its arguments."""
        return [DKIMPY, str(self.directory / "config")]
