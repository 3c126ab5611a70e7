"""What the benchmark of scoring runs: ours, and Debian's spamassassin, rspamd and bogofilter. See milterservers.py.

None of them has a network: servers start in a network namespace of their own, with no interface but a loopback that is
down, so that who asks a name server or a list by mistake gets no answer instead of a slow one. The peers get their
settings from files of ours; of the machine's own configuration nothing is touched, and nothing of it is used but what
their packages brought.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.corpora import LABELS, Label
from bench.milterservers import MilterServer, Ours
from bench.servers import BenchError, Server

PEERS = {
    "spamassassin": "/usr/bin/sa-learn", "spamd": "/usr/sbin/spamd", "rspamd": "/usr/bin/rspamd",
    "bogofilter": "/usr/bin/bogofilter",
}  # fmt: skip
"""Debian's packages, each with a program of it."""

_ALONE = ("unshare", "--net")
_STORE = "bayes.sqlite"
_NOBODY = "nobody"


def missing_peers() -> list[str]:
    """Return which packages of the peers are not installed."""
    return [name for name, program in PEERS.items() if not Path(program).exists()]


class Took(NamedTuple):
    """Seconds of a command, and of processors."""

    seconds: float
    processor: float


class Scored(NamedTuple):
    """What a program made of a message: points, the seconds that it took, and Bayes' probability that it is spam, below
    zero where it said nothing.
    """

    score: float
    seconds: float = 0.0
    probability: float = -1.0


Judged = Mapping[Label, Sequence[Scored]]
"""What was made of messages, by what they are."""


class Command:
    """A program that is run and waited for, on the processors it is given, with the directory where it keeps things."""

    name: str

    def __init__(self, directory: Path, cores: Sequence[int]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._pinned = ("taskset", "-c", ",".join(map(str, cores)))

    def run(self, *command: str, well: Collection[int] = (0,)) -> tuple[str, Took]:
        """Return what it wrote, and what it took. Raises BenchError unless its status is one of ``well``."""
        began, before = time.perf_counter(), os.times()
        done = subprocess.run([*self._pinned, *command], capture_output=True, text=True, errors="replace", check=False)
        seconds, after = time.perf_counter() - began, os.times()
        if done.returncode not in well:
            raise BenchError(f"{self.name} ended with status {done.returncode}:\n{(done.stdout + done.stderr)[-1000:]}")
        used = after.children_user + after.children_system - before.children_user - before.children_system
        return done.stdout, Took(seconds, used)

    def learn(self, mails: Path) -> Took:
        """Learn the messages below ``mails``."""
        took = [self.run(*self._learning(label, str(mails / label)))[1] for label in LABELS]
        return Took(sum(one.seconds for one in took), sum(one.processor for one in took))

    def _learning(self, label: str, folder: str) -> Sequence[str]:
        raise NotImplementedError

    def judge(self, mails: Path) -> Judged:
        """Return what it makes of the messages below ``mails``. Raises BenchError unless it judges all."""
        found = {label: self._judge(mails / label) for label in LABELS}
        for label, judged in found.items():
            if len(judged) != (count := sum(1 for _ in (mails / label).iterdir())):
                raise BenchError(f"{self.name} judged {len(judged)} of {count} messages of {label}")
        return found

    def _judge(self, folder: Path) -> Sequence[Scored]:
        raise NotImplementedError

    def disk(self) -> int:
        """Return the bytes of what it learned."""
        return sum(file.stat().st_size for file in self.directory.rglob(self._kept) if file.is_file())

    _kept: str


# --- ours ---


class Vaglio(Command):
    """The commands ``vaglio learn`` and ``vaglio score``, with a store of their own."""

    name = "vaglio"
    _kept = f"{_STORE}*"

    def __init__(self, directory: Path, cores: Sequence[int]) -> None:
        super().__init__(directory, cores)
        self._config = directory / "vaglio.toml"
        self._config.write_text(f'[state]\nurl = "sqlite://{directory}"\n')

    def _learning(self, label: str, folder: str) -> Sequence[str]:
        return (*self._vaglio("learn"), label, folder)

    def _vaglio(self, word: str) -> tuple[str, ...]:
        return str(Path(sys.executable).with_name("vaglio")), word, "--config", str(self._config)

    def _judge(self, folder: Path) -> Sequence[Scored]:
        said, _ = self.run(*self._vaglio("score"), "--json", "--corpus", str(folder))
        return [
            Scored(line["score"], line["ms"] / 1000, -1.0 if line["bayes"] is None else line["bayes"])
            for line in map(json.loads, said.splitlines())
        ]

    @property
    def store(self) -> Path:
        """The file with what was learned."""
        return self.directory / _STORE


class Score(Ours):
    """vaglio-score, which asks no list and lets everything through with its score; ``learned`` is a store to begin
    with.
    """

    program = "vaglio-score"
    section = "score"

    def __init__(self, directory: Path, cores: Sequence[int], learned: Path) -> None:
        super().__init__(directory, cores, settings="reject = 0\n[score.links]\nenabled = false\n")
        shutil.copy(learned, directory / _STORE)

    def command(self) -> list[str]:
        """Return the command and its arguments."""
        return [*_ALONE, *super().command()]


# --- SpamAssassin ---


def _hand_over(*files: Path) -> None:
    """Give files to the user that spamd runs as, which is never root."""
    if os.geteuid() == 0:
        for file in files:
            shutil.chown(file, _NOBODY)


RULES = "/usr/share/spamassassin"
SITE = Path("/etc/spamassassin")


class Spamassassin(Command):
    """Debian's sa-learn. ``directory`` holds the settings, too, which spamd shares: what the package has in its place,
    and a ``local.cf`` of ours in place of the machine's. It learns nothing by itself, so that what is judged first
    does not change what is judged next.
    """

    name = "sa-learn"
    _kept = "bayes_*"

    def __init__(self, directory: Path, cores: Sequence[int]) -> None:
        super().__init__(directory, cores)
        self.site = directory / "site"
        self.site.mkdir()
        for file in (*SITE.glob("*.pre"), SITE / "65_debian.cf"):
            shutil.copy(file, self.site)
        self._learned = directory / "learned"
        self._learned.mkdir()
        _hand_over(self._learned)
        (self.site / "local.cf").write_text(
            f"bayes_path {self._learned}/bayes\nbayes_auto_learn 0\nbayes_auto_expire 0\n"
        )

    def learn(self, mails: Path) -> Took:
        """Learn the messages below ``mails``."""
        took = super().learn(mails)
        _hand_over(*self._learned.iterdir())
        return took

    def options(self) -> list[str]:
        """Return where the settings are."""
        return [f"--configpath={RULES}", f"--siteconfigpath={self.site}"]

    def _learning(self, label: str, folder: str) -> Sequence[str]:
        return ("sa-learn", *self.options(), f"--{label}", folder)


class Spamd(Server):
    """Debian's spamd with local tests only and one child that judges. It logs to a file."""

    name = "spamd"

    def __init__(self, directory: Path, cores: Sequence[int], settings: Spamassassin) -> None:
        super().__init__(directory, cores)
        self._settings = settings
        _hand_over(directory)

    @property
    def path(self) -> Path:
        """Its socket."""
        return self.directory / "sock"

    def command(self) -> list[str]:
        """Return the command and its arguments."""
        who = [f"--username={_NOBODY}"] if os.geteuid() == 0 else []
        return [
            *_ALONE, PEERS["spamd"], "--local", "--nouser-config", "--max-children=1", "--syslog=stderr", *who,
            *self._settings.options(), f"--socketpath={self.path}", "--socketmode=0666",
            f"--helper-home-dir={self.directory}",
        ]  # fmt: skip

    def _knock(self) -> None:
        """Do nothing: it does not wait for that."""

    def _answers(self, _question: bytes) -> bool:
        try:
            self.judge(b"Subject: start\n\nHello\n")
        except OSError:
            return False
        return True

    def judge(self, message: bytes) -> Scored:
        """Have it judge a message, as spamc does. Raises OSError where nobody answers."""
        began = time.perf_counter()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(300)
            connection.connect(str(self.path))
            connection.sendall(b"SYMBOLS SPAMC/1.5\r\nContent-length: %d\r\n\r\n" % len(message) + message)
            connection.shutdown(socket.SHUT_WR)
            said = b"".join(iter(lambda: connection.recv(65536), b""))
        found = _SPAMD.search(said)
        if not found:
            raise BenchError(f"spamd said {said!r}:\n{self.log_end()}")
        return Scored(float(found[1]), time.perf_counter() - began)


_SPAMD = re.compile(rb"^Spam: (?:True|False) ; (-?[0-9.]+) /", re.MULTILINE)


# --- rspamd ---

_OF_THE_NETWORK = (
    "arc", "asn", "bimi", "dkim", "dkim_signing", "dmarc", "fuzzy_check", "greylist", "hfilter", "history_redis",
    "mx_check", "neural", "ratelimit", "rbl", "replies", "reputation", "rspamd_update", "spf", "surbl",
    "url_redirector",
)  # fmt: skip
"""Modules that ask somebody: name servers, other servers, or Redis."""

_RSPAMD = """\
.include "$CONFDIR/common.conf"
options {
    pidfile = "$RUNDIR/rspamd.pid";
    .include "$CONFDIR/options.inc"
    rrd = "";
}
logging {
    type = "file";
    filename = "$LOGDIR/rspamd.log";
    .include "$CONFDIR/logging.inc"
    log_re_cache = false;
}
worker "rspamd_proxy" {
    bind_socket = "$RUNDIR/sock mode=0666";
    milter = yes;
    count = 1;
    timeout = 120s;
    upstream "local" { default = yes; self_scan = yes; }
}
"""

COMPILE = 120.0
"""Seconds that rspamd may take to compile its patterns."""


class Rspamd(MilterServer):
    """Debian's rspamd as a milter, in one process that judges what it takes in (``self_scan``); as the package has it,
    but without what asks somebody, and so without its Bayes, which is kept in Redis. It puts in what ours puts in.
    """

    name = "rspamd"

    def __init__(self, directory: Path, cores: Sequence[int]) -> None:
        super().__init__(directory, cores)
        own = directory / "override.d"
        own.mkdir()
        for module in _OF_THE_NETWORK:
            (own / f"{module}.conf").write_text("enabled = false;\n")
        (own / "milter_headers.conf").write_text('use = ["x-spam-status", "x-spam-level", "x-spamd-bar"];\n')
        (directory / "config").write_text(_RSPAMD)
        self.compiled = True
        """Whether its patterns were compiled (by Hyperscan, which not every processor has) before it was measured."""

    def command(self) -> list[str]:
        """Return the command and its arguments."""
        places = dict.fromkeys(("DBDIR", "RUNDIR", "LOGDIR", "LOCAL_CONFDIR"), self.directory)
        who = ["--insecure", "--user=root", "--group=root"] if os.geteuid() == 0 else []
        return [
            *_ALONE, PEERS["rspamd"], "--no-fork", *who, f"--config={self.directory}/config",
            *(f"--var={name}={place}" for name, place in places.items()),
        ]  # fmt: skip

    def _first_answer(self, limit: float) -> None:
        """Wait for its patterns, too: until they are compiled it is several times slower."""
        super()._first_answer(limit + COMPILE)
        end = time.perf_counter() + COMPILE
        while "rspamd_worker_hyperscan_ready" not in (self.directory / "rspamd.log").read_text(errors="replace"):
            if time.perf_counter() > end:
                self.compiled = False
                return
            time.sleep(0.2)


# --- bogofilter ---


class Bogofilter(Command):
    """Debian's bogofilter, without the machine's configuration."""

    name = "bogofilter"
    _kept = "wordlist.db"

    def _learning(self, label: str, folder: str) -> Sequence[str]:
        return (*self._bogofilter(), "-s" if label == "spam" else "-n", "-B", folder)

    def _judge(self, folder: Path) -> Sequence[Scored]:
        # Status 0 is spam, 1 ham, 2 unsure.
        said, _ = self.run(*self._bogofilter(), "-TT", "-B", str(folder), well=(0, 1, 2))
        return [Scored(0.0, probability=float(line.split()[-1])) for line in said.splitlines()]

    def _bogofilter(self) -> Sequence[str]:
        return PEERS["bogofilter"], "-C", "-d", str(self.directory)
