"""A PostgreSQL server of the tests' own: a new cluster in a temporary directory, on a UNIX socket only."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import pytest

PASSWORD = "s3cret/of@the:cluster"


@dataclass(frozen=True)
class Postgres:
    """A server. ``start`` and ``stop`` return when it is done."""

    binaries: Path
    directory: Path
    user: int | None
    """Who runs it, since it refuses to run as root; None is who runs the tests."""

    def initialise(self) -> None:
        password = self.directory / "password"
        password.write_text(PASSWORD)
        self._run("initdb", "--auth=scram-sha-256", "--username=tizio", f"--pwfile={password}", "--encoding=UTF8",
                  "--locale=C", "--no-sync")  # fmt: skip

    def start(self) -> None:
        options = f"-c listen_addresses= -c fsync=off -c unix_socket_directories={self.directory}"
        self._run("pg_ctl", "start", "--wait", f"--log={self.directory}/log", f"--options={options}")

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "--wait", "--mode=immediate")

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self.binaries / program, f"--pgdata={self.directory}/data", *arguments],
            cwd=self.directory, user=self.user, env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{program}: {done.stdout}"


def _binaries() -> Path | None:
    """Return where PostgreSQL's programs are; Debian keeps them off the PATH, by version."""
    folders = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name, reverse=True)
    return next((path for path in folders if (path / "initdb").exists() and (path / "pg_ctl").exists()), None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running server with a user "tizio", whose password is ``PASSWORD`` and whom the database "postgres" belongs to;
    the socket is in its ``directory``. A test that stops it starts it again.
    """
    binaries = _binaries()
    if binaries is None:
        pytest.skip("there is no PostgreSQL server (Debian's package postgresql)")
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    directory = Path(mkdtemp(prefix="vaglio-postgresql-"))  # not below pytest's, which only its user may enter
    try:
        if user is not None:
            os.chown(directory, user, -1)
        server = Postgres(binaries, directory, user)
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
