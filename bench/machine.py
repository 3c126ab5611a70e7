"""On what was measured: processor, kernel, versions."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path


def describe(packages: Iterable[str]) -> dict[str, str]:
    """Return what a reader needs to judge the figures, by name; with the versions of Debian ``packages``."""
    return {
        "Processor": f"{_processor()}, {os.cpu_count()} cores, {_memory() / 2**30:.0f} GiB of memory",
        "System": f"{_system()}, Linux {platform.release()}",
        "Vaglio": f"{metadata.version('vaglio')} on Python {platform.python_version()} ({_build()}), SQLite "
        f"{sqlite3.sqlite_version}, {_uvloop()}",
        **{name: _package(name) for name in packages},
    }


def _processor() -> str:
    """Return the model's name, which only some architectures tell."""
    return _value(Path("/proc/cpuinfo").read_text(), "model name", ":") or platform.machine()


def _system() -> str:
    return _value(Path("/etc/os-release").read_text(), "PRETTY_NAME", "=").strip('"') or "Linux"


def _value(text: str, name: str, mark: str) -> str:
    for line in text.splitlines():
        key, _, value = line.partition(mark)
        if key.strip() == name:
            return value.strip()
    return ""


def _memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _build() -> str:
    """Return whose Python it is: one that was built without its profile-guided optimisation is a third slower."""
    return "the system's own" if sys.base_prefix == "/usr" else "not the system's"


def _uvloop() -> str:
    try:
        return f"uvloop {metadata.version('uvloop')}"
    except metadata.PackageNotFoundError:
        return "no uvloop"


def _package(name: str) -> str:
    command = ["dpkg-query", "-W", "-f", "${Version}", name]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout or "not a Debian package"
