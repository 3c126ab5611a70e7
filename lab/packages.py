"""Programs of Debian packages that can't be installed here, since they would remove others (Sendmail beside Postfix).

They are fetched from the machine's own apt sources and unpacked into ``.cache/packages``, together with what this
machine lacks of their dependencies; nothing is installed, no maintainer script runs, and no root is needed. What is
unpacked stays for the next run, until the machine's own packages change.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lab.waiting import Unavailable

HOME = Path(__file__).resolve().parents[1] / ".cache" / "packages"

_MACHINE = (Path("/etc/os-release"), Path("/var/lib/dpkg/status"))
"""What the machine is, and what it has: after a change, something else may be missing."""

_INSTALLED = re.compile(r"^Inst (\S+)", re.MULTILINE)


def unpacked(*names: str) -> Path:
    """Return the directory with these packages, fetched (5 s) if they are not there. Unavailable where they can't be
    had.
    """
    place = HOME / f"{'+'.join(names)}.{_fingerprint()}"
    if not place.exists():
        HOME.mkdir(parents=True, exist_ok=True)
        outdated = list(HOME.glob(f"{'+'.join(names)}.*"))
        fresh = Path(tempfile.mkdtemp(prefix="new-", dir=HOME))
        try:
            _fetch(names, fresh)
            (fresh / "root").rename(place)
        except OSError:
            if not place.exists():  # where it does, another process was faster
                raise
        finally:
            for directory in (fresh, *outdated):
                shutil.rmtree(directory, ignore_errors=True)
    return place


def libraries(root: Path) -> str:
    """Return what LD_LIBRARY_PATH must be for the programs of an unpacked directory."""
    folders = {file.parent for place in ("lib", "usr/lib") for file in (root / place).rglob("*.so.*")}
    return ":".join(sorted(map(str, folders)))


def _fingerprint() -> str:
    try:
        return hashlib.sha256(b"".join(file.read_bytes() for file in _MACHINE)).hexdigest()[:12]
    except OSError as error:
        raise Unavailable(f"packages are fetched on Debian and Ubuntu only ({error})") from None


def _fetch(names: Sequence[str], into: Path) -> None:
    into.chmod(0o755)  # the programs run as other users too
    # A rehearsal, which takes neither root nor room, tells what is missing here; what is installed is not listed.
    missing = _INSTALLED.findall(_run("apt-get", "--simulate", "install", "--no-install-recommends", *names))
    _run("apt-get", "download", *sorted({*names, *missing}), cwd=into)
    for file in into.glob("*.deb"):
        _run("dpkg-deb", "--extract", str(file), str(into / "root"))
    for file in (into / "root").rglob("*"):
        if not file.is_symlink() and file.stat().st_mode & 0o6000:
            # Such a program would ignore LD_LIBRARY_PATH, and we need no one's rights but our own.
            file.chmod(file.stat().st_mode & 0o777)


def _run(*argv: str, cwd: Path | None = None) -> str:
    environment = os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, cwd=cwd, timeout=300,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise Unavailable(f"{' '.join(argv[:2])}: {done.stderr.strip() or done.returncode} (`apt-get update` may help)")
    return done.stdout
