"""Namespaces of one's own: network, mounts and processes that vanish with the program that made them.

A holder process keeps the namespaces. It dies with us, whatever kills us; the kernel then ends every process in
there, and with the last one go the addresses, the mounts and the files (a tmpfs). So there is no clean-up code
to forget. Our own process stays outside: it starts programs in there by nsenter(1), reads their files through
/proc/HOLDER/root, and opens sockets in there by visiting the network namespace for a moment (a socket belongs
to the namespace it was created in, whoever uses it later).

Not a container: programs in there see the machine's own file system, but for /var/spool (empty) and the files
that say how names are resolved.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from lab.waiting import LabError, Unavailable, until

HOME = "/var/spool"
"""Directory for files in the lab. Every Debian has it, no checkout lies in it; in there it starts empty."""

NETWORKS = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
"""The documentation networks (RFC 5737): any address of theirs can be bound in the lab."""

# A SIGCHLD that is ignored makes the kernel reap orphans, which `sleep` would never do.
_HOLDER = f"""
set -eu
mount -t tmpfs -o mode=755 vaglio-lab {HOME}
printf 'nameserver 127.0.0.1\\noptions timeout:1 attempts:2\\n' >{HOME}/resolv.conf
printf '127.0.0.1 localhost\\n' >{HOME}/hosts
printf 'passwd: files\\ngroup: files\\nhosts: files dns\\n' >{HOME}/nsswitch.conf
for file in resolv.conf hosts nsswitch.conf; do
    [ ! -e /etc/$file ] || mount --bind {HOME}/$file /etc/$file
done
ip link set lo up
for network in {" ".join(NETWORKS)}; do ip route add local $network dev lo; done
trap '' CHLD
echo ready
exec sleep infinity
"""
_TOOLS = ("unshare", "nsenter", "setpriv", "ip", "mount", "setsid")
_PRIVILEGES = "it takes root with the capabilities SYS_ADMIN and NET_ADMIN (in a container: start it with --privileged)"
_CLONE_NEWNET = 0x40000000
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


class Space:
    """The namespaces; a context manager. Make it in the main thread: the holder dies with the thread that made it.

    Raises Unavailable where the tools or the privileges are missing.
    """

    def __init__(self) -> None:
        if missing := [tool for tool in _TOOLS if not shutil.which(tool, path=_ENVIRONMENT["PATH"])]:
            raise Unavailable(f"missing commands: {', '.join(missing)} (Debian packages util-linux and iproute2)")
        if os.geteuid() != 0:
            raise Unavailable(f"no namespaces without privileges: {_PRIVILEGES}")
        holder = ("setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child",
                  "--mount-proc", "sh", "-c", _HOLDER)  # fmt: skip
        self._holder = subprocess.Popen(
            holder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=_ENVIRONMENT, start_new_session=True,
        )  # fmt: skip
        assert self._holder.stdout is not None
        if (said := self._holder.stdout.readline()) != "ready\n":
            said += self._holder.communicate()[0]
            raise Unavailable(f"no namespaces ({said.strip()}): {_PRIVILEGES}")
        self.pid = self._holder.pid
        self._network = os.open(self.network, os.O_RDONLY)
        self._started: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Space:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End everything in the namespaces, and them."""
        os.close(self._network)
        self._holder.kill()
        self._holder.communicate()
        for popen in self._started:
            popen.kill()  # an nsenter stops together with its program, and then would never see the end of it
            popen.wait()

    @property
    def network(self) -> str:
        """Path of the network namespace, as ``podman --network=ns:PATH`` wants it."""
        return f"/proc/{self.pid}/ns/net"

    def path(self, inside: str | Path) -> Path:
        """Return where our process finds a file of the lab."""
        return Path(f"/proc/{self.pid}/root{inside}")

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Sockets that this thread creates in the block belong to the lab. Keep the block short."""
        outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _set_network(self._network)
            yield
        finally:
            _set_network(outside)
            os.close(outside)

    def add_address(self, address: str) -> None:
        """Give the lab's interface an address; Postfix listens on no others."""
        self.run("ip", "address", "replace", f"{address}/32", "dev", "lo")

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs ``argv`` in the lab."""
        of = f"/proc/{self.pid}/ns"
        return ["nsenter", f"--net={of}/net", f"--mount={of}/mnt", f"--pid={of}/pid_for_children", "--", *argv]

    def run(self, *argv: str, check: bool = True) -> str:
        """Run a command to its end; return what it printed. LabError if it failed and ``check`` is set."""
        done = subprocess.run(
            self.command(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=_ENVIRONMENT, check=False, timeout=120,
        )  # fmt: skip
        if check and done.returncode:
            raise LabError(f"{' '.join(argv)}: exit {done.returncode}: {done.stdout.strip()}")
        return done.stdout

    def start(self, argv: Sequence[str], log: str, environment: Mapping[str, str] | None = None) -> Process:
        """Start a program in a session of its own; its output is appended to ``log``, a path in the lab."""
        # $$ is the program's number in the lab, which nobody outside can know.
        shell = ("setsid", "sh", "-c", 'echo $$; exec "$@" >>"$0" 2>&1', log, *argv)
        popen = subprocess.Popen(
            self.command(shell), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
            env=_ENVIRONMENT | dict(environment or {}),
        )  # fmt: skip
        self._started.append(popen)
        assert popen.stdout is not None
        with popen.stdout:
            return Process(self, popen, int(popen.stdout.readline()))


class Process:
    """A program in the lab. Process numbers are those of the lab."""

    def __init__(self, space: Space, popen: subprocess.Popen[str], pid: int) -> None:
        self._space, self._popen, self.pid = space, popen, pid

    @property
    def returncode(self) -> int | None:
        """Exit status once it ended (128 + N, or -N, after signal N), else None."""
        return self._popen.poll()

    def signal(self, number: signal.Signals, *pids: int) -> None:
        """Send a signal to the program, or to those ``pids``."""
        self._space.run("sh", "-c", 'kill -s "$@"', "sh", number.name.removeprefix("SIG"),
                        *map(str, pids or (self.pid,)), check=False)  # fmt: skip

    def family(self) -> list[int]:
        """Return the numbers of the program's living processes: its session, itself first."""
        stats = (_stat(entry) for entry in self._space.path("/proc").glob("[0-9]*/stat"))
        return sorted(pid for pid, state, session in stats if session == self.pid and state != "Z")

    def wait(self, seconds: float = 20) -> int:
        """Return the exit status, once ended; LabError after ``seconds``."""
        until(lambda: self.returncode is not None, f"the end of process {self.pid}", seconds)
        return self._popen.wait()

    def stop(self, seconds: float = 20) -> int:
        """Ask it to end (SIGTERM) and return its exit status."""
        if self.returncode is None:
            self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self) -> None:
        """End all its processes at once, unasked (SIGKILL)."""
        if family := self.family():
            self.signal(signal.SIGKILL, *family)
        self.wait()


def _stat(entry: Path) -> tuple[int, str, int]:
    """Return number, state and session of the process with this /proc stat file (proc(5)); zeros once it is gone."""
    try:
        pid, rest = entry.read_text().split(" ", 1)
    except OSError:  # ended meanwhile
        return 0, "Z", 0
    state, _parent, _group, session = rest.rpartition(") ")[2].split()[:4]
    return int(pid), state, int(session)


_libc = ctypes.CDLL(None, use_errno=True)


def _set_network(descriptor: int) -> None:
    # os.setns came with Python 3.12 only.
    if _libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
