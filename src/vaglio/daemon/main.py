"""What a daemon's command does: read options and configuration, open the sockets, start the workers.

It stays in the foreground and logs to stderr. Exit status (sysexits.h): 0 after a clean stop, 78 for a configuration
that can't be used, 69 for a socket or store that can't be opened, 70 for workers that had to be killed.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from vaglio import __version__
from vaglio.config.chain import ChainSettings
from vaglio.config.load import ConfigError, Loaded, load
from vaglio.config.model import VaglioConfig
from vaglio.config.sense import doubtful_name
from vaglio.config.types import DaemonSection, MilterSection, parse_socket
from vaglio.daemon import log
from vaglio.daemon.accept import Shares
from vaglio.daemon.front import front_for, obstacle
from vaglio.daemon.lifeline import Lifeline
from vaglio.daemon.metrics import SharedFiles
from vaglio.daemon.notify import Notifier, watchdog_interval
from vaglio.daemon.prefork import Limits, Supervisor
from vaglio.daemon.service import Daemon
from vaglio.daemon.sockets import Access, Listener, SocketError, activated, open_listeners, split_inet
from vaglio.daemon.worker import Job, work

_PASSWORD = re.compile(r"(://[^:/?@]*):.*@")  # up to the last @: a password should not, but may, hold others
_EXAMPLES = re.compile(r"^EXAMPLES\n((?:[ ].*\n|\n)+)", re.MULTILINE)
_OF_SECTION = ("listen", "workers", "engine")
"""Settings of the daemon's own section that hold until a restart."""
_METRICS = "metrics"  # FileDescriptorName= of the socket unit that is for Prometheus


def run(daemon: Daemon, argv: Sequence[str] | None = None) -> int:
    """Run ``daemon`` with these arguments (default: those of the process); return the exit status."""
    options = _parser(daemon).parse_args(argv)
    try:
        loaded = load(options.config, os.environ)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return os.EX_CONFIG
    try:
        process = _Process(daemon, _Options(options.config, options.listen, options.workers, options.replace), loaded)
    except LookupError as error:
        sys.stderr.write(f"{loaded.path or 'the defaults'}: {error.args[0]}\n")
        return os.EX_CONFIG
    try:
        return process.run()
    except SocketError as error:
        process.logger.error("%s", error)
        return os.EX_UNAVAILABLE


def _parser(daemon: Daemon) -> argparse.ArgumentParser:
    command = daemon.called
    parser = argparse.ArgumentParser(
        prog=command,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=next((line.strip() for line in daemon.manual.splitlines() if " - " in line), command),
        epilog=f"{_examples(daemon.manual)}The manual has the rest: man {command.partition(' ')[0]}",
    )
    parser.add_argument(
        "--config", metavar="FILE", type=Path,
        help="configuration (default: $VAGLIO_CONFIG, else /etc/vaglio/vaglio.toml if it is there, else none)",
    )  # fmt: skip
    parser.add_argument(
        "--listen", metavar="SOCKET", type=_socket, action="append",
        help="listen here, not where the configuration says; may be repeated: inet:HOST:PORT or unix:/PATH",
    )  # fmt: skip
    parser.add_argument("--workers", metavar="N", type=_workers, help='worker processes; "auto" is one per CPU')
    parser.add_argument(
        "--replace", action="store_true",
        help="take the place of a daemon that listens on the same UNIX sockets; then end it by SIGTERM",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"{command.partition(' ')[0]} {__version__}")
    return parser


def _examples(manual: str) -> str:
    """Return the command lines below EXAMPLES in a manual, as --help shows them; "" where there are none."""
    found = _EXAMPLES.search(manual)
    lines = [f"  {line.strip()}\n" for line in found[1].splitlines() if line.strip()] if found else []
    return f"examples:\n{''.join(lines)}\n" if lines else ""


def _socket(text: str) -> str:
    try:
        return parse_socket(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"found {text}, wanted {error}") from None


def _workers(text: str) -> int | str:
    if text == "auto" or (text.isascii() and text.isdecimal() and 1 <= int(text) <= 64):
        return text if text == "auto" else int(text)
    raise argparse.ArgumentTypeError(f'found {text}, wanted a number from 1 to 64 or "auto"')


@dataclass(frozen=True, slots=True)
class _Options:
    config: Path | None
    listen: list[str] | None
    workers: int | str | None
    replace: bool


class _Process:
    """The daemon's first process, until it hands over to the supervisor, and its part in a reload."""

    def __init__(self, daemon: Daemon, options: _Options, loaded: Loaded) -> None:
        self.logger = logging.getLogger(f"vaglio.{daemon.name}")
        self._daemon, self._options = daemon, options
        self._use(loaded)
        self._fixed = self._what_needs_a_restart(loaded.config)

    def run(self) -> int:
        """Open the sockets and supervise the workers; raises SocketError."""
        workers = _count(self._fixed["workers"])
        self._introduce(workers)
        with ExitStack() as stack:
            listeners, metrics = self._sockets(stack)
            section = self._daemon.settings(self._config)
            if problem := obstacle(section, listeners):
                raise SocketError(f"can't begin: {problem}")
            front_for(section)  # loads it, once for all workers
            files = SharedFiles("on" if metrics else "")
            stack.callback(files.close)
            state = self._config.state.directory
            if state is None:  # memory: what is written to files is forgotten too
                state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vaglio-")))
            for listener in [*listeners, *metrics]:
                self._info(f"listening on {listener.address}")
            for listener in metrics:
                if _is_open_to_others(listener.address):
                    self._warn(
                        f"anybody who can reach {listener.address} can read the metrics: let metrics.listen be "
                        "inet:127.0.0.1:PORT or unix:/PATH, or see that a firewall guards the port"
                    )
            supervisor = Supervisor(
                workers,
                partial(self._work, listeners, metrics, state, Shares(workers)),
                self._reload,
                files.forget,
                Notifier(os.environ),
                self._info,
                self._warn,
                Limits(watchdog=watchdog_interval(os.environ)),
                partial(self._take_places, [*listeners, *metrics]),
            )
            gc.enable()  # vaglio_policyd switched it off
            return supervisor.run()

    def _introduce(self, workers: int) -> None:
        """Say in one line what runs here, and on which settings."""
        section, name = self._daemon.settings(self._config), self._config.identity.authserv_id
        self._info(
            f"{self._daemon.called} {__version__}: configuration {self._path or 'defaults'}, "
            f"mode {section.mode}{_rehearsing(section, self._config)}, {workers} worker{'s' * (workers > 1)}, "
            f"store {without_secrets(self._config.state.url)}"
            f"{f', results as {name}' if isinstance(section, MilterSection) else ''}"
        )
        doubt = doubtful_name(self._config) if isinstance(section, MilterSection) else ""
        if doubt and not any(doubt in one for one in self._warnings):
            self._warn(f"identity.authserv_id: {doubt}")

    def _work(
        self,
        listeners: list[Listener],
        metrics: list[Listener],
        state: Path,
        shares: Shares,
        number: int,
        lifeline: Lifeline,
    ) -> int:
        job = Job(self._daemon, self._config, self._load, listeners, metrics, state, shares)
        return work(job, number, lifeline)

    # --- sockets ---

    def _sockets(self, stack: ExitStack) -> tuple[list[Listener], list[Listener]]:
        """Return the sockets for requests and for metrics: those that systemd passed, else the configured ones."""
        passed = activated(os.environ)
        metrics = [one for one in passed if one.name == _METRICS]
        listeners = [one for one in passed if one.name != _METRICS]
        _close_later(stack, passed)
        if not listeners:
            section = self._daemon.settings(self._config)
            access = Access(int(section.socket_mode, 8), section.socket_owner, section.socket_group)
            listeners = _close_later(stack, open_listeners(self._fixed["listen"], access, self._options.replace))
        if not metrics and self._fixed["metrics.listen"]:
            where = [self._fixed["metrics.listen"]]
            metrics = _close_later(stack, open_listeners(where, Access(), self._options.replace))
        return listeners, metrics

    def _take_places(self, listeners: Sequence[Listener]) -> bool:
        try:
            for listener in listeners:
                listener.take_place()
        except SocketError as error:
            self.logger.error("%s", error)
            return False
        return True

    def _what_needs_a_restart(self, config: VaglioConfig) -> Mapping[str, Any]:
        section = self._daemon.settings(config)
        return {
            "listen": self._options.listen or section.listen,
            "workers": self._options.workers or section.workers,
            "state.url": config.state.url,
            "metrics.listen": config.metrics_of(self._daemon.name),
            **({"engine": section.engine} if isinstance(section, MilterSection) else {}),
        }

    # --- configuration ---

    def _load(self) -> Loaded:
        return load(self._options.config, os.environ)

    def _use(self, loaded: Loaded) -> None:
        self._config, self._path = loaded.config, loaded.path
        log.setup(loaded.config.log.format, loaded.config.log.level)
        self._warnings = loaded.warnings
        for warning in loaded.warnings:
            self._warn(warning)

    def _reload(self) -> bool:
        try:
            loaded = self._load()
        except ConfigError as error:
            for problem in error.problems:
                self._warn(f"the configuration stays as it was: {problem}")
            return False
        if self._path is not None and loaded.path is None:
            self._warn(f"the configuration stays as it was: {self._path} is gone; restart to run on the defaults")
            return False
        try:
            self._daemon.settings(loaded.config)
        except LookupError as error:
            self._warn(f"the configuration stays as it was: {error.args[0]}")
            return False
        self._use(loaded)
        self._info(f"the configuration was read again: {loaded.path or 'defaults'}")
        wanted = self._what_needs_a_restart(loaded.config)
        for key, value in self._fixed.items():
            if wanted[key] != value:
                whose = f"{self._daemon.name}." if key in _OF_SECTION else ""
                self._warn(f"{whose}{key} has changed: that needs a restart")
        return True

    def _info(self, text: str) -> None:
        self.logger.info("%s", text)

    def _warn(self, text: str) -> None:
        self.logger.warning("%s", text)


def _close_later(stack: ExitStack, listeners: list[Listener]) -> list[Listener]:
    for listener in listeners:
        stack.callback(listener.close)
    return listeners


def without_secrets(url: str) -> str:
    """Return ``url`` for the log: no password, and no parameters, which may hold one."""
    return _PASSWORD.sub(r"\1:***@", url.partition("?")[0])


def _rehearsing(section: DaemonSection, config: VaglioConfig) -> str:
    """Return which checks of a chain that is in earnest rehearse, as what goes on after its mode."""
    if not isinstance(section, ChainSettings) or section.mode == "rehearse":
        return ""
    sections = dict(config.daemons())
    names = [check for check in section.checks if sections[check.replace("_", ".")].mode == "rehearse"]
    return f"; {' and '.join(names)} rehearse{'s' * (len(names) == 1)}" if names else ""


def _is_open_to_others(address: str) -> bool:
    """Tell whether other hosts may reach a listener with this address."""
    kind, _, rest = address.partition(":")
    return kind == "inet" and not ip_address(split_inet(rest)[0]).is_loopback


def _count(workers: int | str) -> int:
    return len(os.sched_getaffinity(0)) if workers == "auto" else int(workers)
