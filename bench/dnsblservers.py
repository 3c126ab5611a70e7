"""The servers of the benchmark of blocklists: ours, and Debian's postfwd2 and policyd-weight, all with the same lists.

The peers find the name server and their log file through their own files of settings, which are Perl: so nothing of the
machine's own configuration is touched, and they have no syslog to wait for.
"""

from __future__ import annotations

import shutil
import sys
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType

from bench.nameserver import SILENT, ZONES
from bench.servers import Daemon, Server
from vaglio.checks.dnsbl.catalogue import shipped

WEIGHT = 2
"""What a hit weighs, for ours and for policyd-weight; three of them are too much."""


def _list(zone: str) -> str:
    # A new list is asked nothing before its first probe has told; without a probe the silent one is met by requests.
    probe = "false" if zone == SILENT else "true"
    return f'[[dnsbl.lists]]\nname = "{zone}"\nzone = "{zone}"\nweight = {WEIGHT}\nprobe = {probe}\n'


class Dnsbl(Daemon):
    """Our daemon, as it is by default but for its lists, which are ``zones``."""

    program = "vaglio-dnsbl"

    def __init__(self, directory: Path, cores: Sequence[int], nameserver: str, zones: Sequence[str] = ZONES) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        without = ", ".join(f'"{name}"' for name in shipped())
        lists = "".join(_list(zone) for zone in zones)
        config = f'[dns]\nservers = ["{nameserver}"]\n[dnsbl]\nwithout = [{without}]\n{lists}'
        super().__init__(directory, cores, config)


class Peer(Server):
    """One that goes into the background and gives up its privileges: its directory lies where its ``user`` may go."""

    user: str

    def __init__(self, cores: Sequence[int], nameserver: str) -> None:
        super().__init__(Path(mkdtemp(prefix="vaglio-bench-")), cores)
        self.directory.chmod(0o755)
        self._nameserver = nameserver

    def command(self) -> list[str]:
        """Return the command and its arguments."""
        shutil.chown(self.directory, self.user, self.user)
        shutil.chown(self.directory / "log", self.user, self.user)
        return [sys.executable, "-m", "bench.keeper", *self._program()]

    @abstractmethod
    def _program(self) -> list[str]:
        """Return the program that goes into the background, and its arguments."""

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), "PYTHONPATH": str(Path.cwd())}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        shutil.rmtree(self.directory, ignore_errors=True)


class Postfwd(Peer):
    """Debian's postfwd2: one rule asks all lists at once, the others judge by their number."""

    name = "postfwd2"
    user = "postfw"

    def _program(self) -> list[str]:
        plugin = self.directory / "plugin.pl"
        plugin.write_text(_PLUGIN.format(nameserver=self._nameserver, directory=self.directory))
        return [
            "/usr/sbin/postfwd2",
            "--daemon",
            f"--user={self.user}",
            f"--group={self.user}",
            f"--pidfile={self.directory}/pid",
            f"--cache_socket=unix::{self.directory}/cache",
            f"--plugins={plugin}",
            "--interface=127.0.0.1",
            f"--port={self.port}",
            "--cache-rdomain-only",  # this one and the next as Debian has them
            "--cache-no-size",
            f"--rule=id=LISTS; rbl={','.join(ZONES)}; rblcount=all; action=set(HITS=$$rblcount)",
            "--rule=id=REFUSE; HITS=>3; action=554 5.7.1 listed",
            "--rule=id=PASS; action=DUNNO",  # it remembers only what a rule decided
        ]


_PLUGIN = """\
use strict; use warnings; use Net::DNS::Resolver;
Net::DNS::Resolver->new;
Net::DNS::Resolver->nameservers('{nameserver}');
open(my $log, '>>', '{directory}/log') or die "log: $!";
select((select($log), $| = 1)[0]);
$postfwd2::basic::postfwd_settings{{syslog}}{{logger}} = sub {{ print $log time, " $_[0]: $_[1]\\n" }};
1;
"""


class PolicydWeight(Peer):
    """Debian's policyd-weight. ``lists_only``: it does nothing but ask the lists; else also its checks of HELO, MX and
    sender, which are the better part of it, and only then it remembers clean clients.
    """

    name = "policyd-weight"
    user = "polw"

    def __init__(self, cores: Sequence[int], nameserver: str, lists_only: bool) -> None:
        super().__init__(cores, nameserver)
        self._lists_only = lists_only

    def _program(self) -> list[str]:
        lists = ", ".join(f"'{zone}', {WEIGHT}, 0, '{zone}'" for zone in ZONES)
        config = self.directory / "config"
        config.write_text(
            _CONFIG.format(
                directory=self.directory,
                port=self.port,
                nameserver=self._nameserver,
                lists=lists,
                only=int(self._lists_only),
            )
        )
        return ["/usr/sbin/policyd-weight", "-f", str(config), "-D", "start"]


# Everybody passes (REJECTLEVEL): the names of the generator are in no DNS. Who passed once is remembered at once
# (TEMP_PTIME), not after a day.
_CONFIG = """\
$LOCKPATH = '{directory}/'; $SPATH = '{directory}/cache'; $PIDFILE = '{directory}/pid'; $TCP_PORT = {port};
$NS = '{nameserver}';
@dnsbl_score = ({lists}); @rhsbl_score = (); $dnsbl_checks_only = {only};
$REJECTLEVEL = 1000; $TEMP_PTIME = '0s'; $ADD_X_HEADER = 0;
$syslog_socktype = 'native'; no warnings; *mylog = sub {{ print STDERR time, " @_\\n" }};
"""
