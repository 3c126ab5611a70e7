"""Runs a load generator against a server and reads what it measured.

There is one for policy servers (``POLICY``) and one for milters (``MILTER``), in C. ``$VAGLIO_POLICY_BENCH`` and
``$VAGLIO_MILTER_BENCH`` name the programs; else they are built from their sources, where these lie beside the checkout;
else the project's own (``load.py``, ``milterload.py``) serve. They take the same options and print the same JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.processes import busy_seconds, used_seconds
from bench.servers import BenchError, Server

SOURCES = Path("../shared/bench")
"""Seen from the root of the checkout."""

ANONYMOUS = ("--set", "client_name=unknown", "--set", "reverse_client_name=unknown")
"""Clients without a name: each is known by its network, to both servers."""


class Program(NamedTuple):
    """A generator in C: its name, the variable that may say where it is, and what serves in its place."""

    name: str
    variable: str
    module: str


POLICY = Program("policy_bench", "VAGLIO_POLICY_BENCH", "bench.load")
MILTER = Program("milter_bench", "VAGLIO_MILTER_BENCH", "bench.milterload")


class Measured(NamedTuple):
    """What one run gave. ``p50`` and ``p99`` in milliseconds; ``cpu`` is the server's processor time in microseconds a
    request, ``load`` that of the generator and the helper; ``helper`` is how many processors the helper took, ``other``
    those who had no part in it. ``answers`` says how many there were after the warm-up.
    """

    rate: float
    p50: float
    p99: float
    cpu: float
    other: float
    helper: float = 0.0
    answers: int = 0
    load: float = 0.0


class Generator(NamedTuple):
    """A load generator: how it is called, and what to call it in a report."""

    command: tuple[str, ...]
    title: str

    def run(
        self,
        server: Server,
        cores: Sequence[int],
        expect: str,
        *options: str,
        warmup: float = 0.0,
        helper: int = 0,
        messages: str = "",
    ) -> Measured:
        """Run it on ``cores`` against ``server``; the first ``warmup`` seconds don't count. ``helper`` is a process
        that the server needs; ``messages`` are what milters are sent, a file or a directory. Raises BenchError unless
        every answer's action is ``expect``, or one of its words.
        """
        pinned = ("taskset", "-c", ",".join(map(str, cores)))
        command = [*pinned, *self.command, "--json", "--warmup", str(warmup), *options, server.address]
        command += [messages] if messages else []
        pids = [server.pid, *([helper] if helper else [])]
        began, busy, used, ours = time.perf_counter(), busy_seconds(), [*map(used_seconds, pids)], _children()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
        served, *helped = (used_seconds(pid) - before for pid, before in zip(pids, used, strict=True))
        load = _children() - ours + sum(helped)
        other = (busy_seconds() - busy - served - load) / seconds
        if not done.stdout:
            raise BenchError(f"the generator failed: {done.stderr}")
        figures = alike(json.loads(done.stdout))
        complain(figures, expect, server.name)
        return measured(figures, warmup, served, other, load)._replace(helper=sum(helped) / seconds)


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def alike(figures: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a milter generator's figures under the names that the other has."""
    if "messages" not in figures:
        return figures
    names = {
        "messages": "requests", "messages_per_s": "requests_per_s", "message_us": "latency_us", "final": "actions",
    }  # fmt: skip
    return {names.get(key, key): value for key, value in figures.items()} | {"retries": 0}


def complain(figures: Mapping[str, Any], expect: str, name: str) -> None:
    """Raise BenchError if a request failed, or was answered by another action: the figures would mean nothing."""
    failed = sum(figures["errors"].values())
    actions = set(figures["actions"])
    if failed or figures["retries"] or not actions or not actions <= set(expect.split()):
        raise BenchError(
            f"{name}: wanted {expect} for all, got {figures['actions']}; {failed} failed, {figures['retries']} retried"
        )


def measured(figures: Mapping[str, Any], warmup: float, served: float, other: float, load: float) -> Measured:
    """Read the generator's ``figures`` of a run: ``served`` and ``load`` are the seconds of processor time that it took
    in the server, and in the generator and the helper.
    """
    rate, latency = figures["requests_per_s"], figures["latency_us"]
    answered = rate * (figures["seconds"] + warmup)  # those of the warm-up took the server's time too
    each = 1e6 / answered if answered else 0.0
    found = Measured(rate, latency["p50"] / 1000, latency["p99"] / 1000, served * each, max(other, 0.0))
    return found._replace(answers=figures["requests"], load=load * each)


def find(cache: Path, program: Program = POLICY) -> Generator:
    """Return the C generator if there is one, built into ``cache`` if need be; else our own."""
    given = os.environ.get(program.variable)
    if given:
        if not os.access(given, os.X_OK):
            raise BenchError(f"${program.variable}: {given} can't be run")
        return Generator((str(Path(given).resolve()),), f"{program.name} (C)")
    compiler, source = shutil.which("cc") or shutil.which("gcc"), SOURCES / f"{program.name}.c"
    if source.exists() and compiler:
        built = cache / program.name
        subprocess.run([compiler, "-O2", "-o", built, source, "-lm"], check=True)
        return Generator((str(built.resolve()),), f"{program.name} (C)")
    own = f"{program.module.replace('.', '/')}.py (the project's own, in Python)"
    return Generator((sys.executable, "-m", program.module), own)
