"""Database servers of the tests' own: each new and empty in a temporary directory, on a UNIX socket only."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import pytest

PASSWORD = "s3cret/of@the:server"
"""Of the user "tizio"."""

USER = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
"""Who runs the servers, since PostgreSQL's refuses to run as root; None is who runs the tests."""


@contextmanager
def _directory(name: str) -> Iterator[Path]:
    path = Path(mkdtemp(prefix=f"vaglio-{name}-"))  # not below pytest's, which only its user may enter
    try:
        if USER is not None:
            os.chown(path, USER, -1)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _run(directory: Path, *command: Path | str) -> None:
    done = subprocess.run(
        command, cwd=directory, user=USER, env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command[0]}: {done.stdout}"


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL server; its socket is in ``directory``. ``start`` and ``stop`` return when it is done."""

    binaries: Path
    directory: Path

    def initialise(self) -> None:
        password = self.directory / "password"
        password.write_text(PASSWORD)
        _run(self.directory, self.binaries / "initdb", f"--pgdata={self.directory}/data", "--auth=scram-sha-256",
             "--username=tizio", f"--pwfile={password}", "--encoding=UTF8", "--locale=C", "--no-sync")  # fmt: skip

    def start(self) -> None:
        options = f"-c listen_addresses= -c fsync=off -c unix_socket_directories={self.directory}"
        self._control("start", f"--log={self.directory}/log", f"--options={options}")

    def stop(self) -> None:
        self._control("stop", "--mode=immediate")

    def _control(self, *arguments: str) -> None:
        _run(self.directory, self.binaries / "pg_ctl", f"--pgdata={self.directory}/data", "--wait", *arguments)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL; the database "postgres" is tizio's. A test that stops it starts it again."""
    folders = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"))  # Debian keeps them off the PATH
    binaries = next((path for path in folders if (path / "initdb").exists() and (path / "pg_ctl").exists()), None)
    if binaries is None:
        pytest.skip("there is no PostgreSQL server (Debian's package postgresql)")
    with _directory("postgresql") as directory:
        server = Postgres(binaries, directory)
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Path]:
    """A running MariaDB; the path of its socket. The database "mail" is tizio's."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    programs = [shutil.which(name, path=path) for name in ("mariadb-install-db", "mariadbd", "my_print_defaults")]
    if not all(programs):
        pytest.skip("there is no MariaDB server (Debian's packages mariadb-server-core and mariadb-client-core)")
    install, serve, _ = map(str, programs)
    with _directory("mariadb") as directory:
        _run(directory, install, "--no-defaults", f"--datadir={directory}/data", "--skip-test-db",
             "--auth-root-authentication-method=normal")  # fmt: skip
        (directory / "init.sql").write_text(
            "CREATE DATABASE mail;\n"
            f"CREATE USER tizio@localhost IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON mail.* TO tizio@localhost;\n"
        )
        command = [serve, "--no-defaults", f"--datadir={directory}/data", f"--socket={directory}/socket",
                   f"--init-file={directory}/init.sql", "--skip-networking"]  # fmt: skip
        with subprocess.Popen(command, cwd=directory, user=USER, stderr=subprocess.PIPE, text=True) as server:
            assert server.stderr
            said = []
            for line in server.stderr:
                said.append(line)
                if "ready for connections" in line:
                    break
            else:
                pytest.fail("".join(said))
            try:
                yield directory / "socket"
            finally:
                server.kill()
