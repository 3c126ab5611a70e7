"""The units at work: a systemd in a container starts, watches, reloads and stops the daemon, and Postfix asks it.

The image is the ``systemd`` target of ``examples/postfix/Containerfile``: Debian with Postfix, Vaglio in /opt/vaglio,
and the shipped unit files.
"""

import itertools
import socket
from collections.abc import Iterator

import pytest

from lab import containers
from lab.containers import Container
from lab.logs import decisions
from lab.policy import PolicyClient
from lab.smtp import Client
from lab.space import Space
from lab.waiting import until

pytestmark = pytest.mark.root

SERVICE = "vaglio-greylist.service"
SOCKET = "vaglio-greylist.socket"
CONFIG = "etc/vaglio/vaglio.toml"
EXAMPLES = containers.CONTAINERFILE.parent
CHROOT_SOCKET = "var/spool/postfix/vaglio/greylist.sock"
QUICK_WATCHDOG = "[Service]\nWatchdogSec=1s\nRestartSec=100ms\nTimeoutAbortSec=1s\n"

SAME_AS_EVER = f"""
rm -rf /run/systemd/system/{SERVICE}.d /{CONFIG}
systemctl stop {SERVICE} {SOCKET}
systemctl daemon-reload
systemctl reset-failed
systemctl start {SOCKET}
systemctl start {SERVICE}
"""


class Machine:
    """A booted container, and what an admin does on it."""

    def __init__(self, space: Space, container: Container) -> None:
        self.space, self.container = space, container
        self.numbers = itertools.count(1)

    def systemctl(self, *arguments: str, check: bool = True) -> str:
        return self.container.exec("systemctl", *arguments, check=check)

    def show(self, name: str) -> str:
        return self.systemctl("show", "--value", f"--property={name}", SERVICE)

    def write(self, path: str, text: str) -> None:
        file = self.container.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def drop_in(self, text: str) -> None:
        self.write(f"run/systemd/system/{SERVICE}.d/test.conf", text)
        self.systemctl("daemon-reload")
        self.systemctl("restart", SERVICE)

    def over_tcp(self) -> PolicyClient:
        with self.space.inside():
            return PolicyClient(socket.create_connection(("127.0.0.1", 10023), timeout=10))

    def over_unix(self) -> PolicyClient:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        connection.connect(str(self.container.root / CHROOT_SOCKET))
        return PolicyClient(connection)

    def first_contact(self, client: PolicyClient | None = None) -> str:
        """Ask about a sender that was never seen."""
        with client or self.over_tcp() as asking:
            return asking.ask(sender=f"nuovo{next(self.numbers)}@tizio.it")

    def workers(self) -> list[str]:
        main = self.show("MainPID")
        return self.container.exec("cat", f"/proc/{main}/task/{main}/children").split()

    def kill(self, name: str, *pids: str) -> None:
        # A small system has no kill command but the shell's.
        self.container.exec("sh", "-c", 'kill "$@"', "sh", f"-{name}", *pids)

    def status(self, pid: str) -> dict[str, str]:
        lines = (self.container.root / f"proc/{pid}/status").read_text().splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


@pytest.fixture(scope="module")
def booted() -> Iterator[Machine]:
    if reason := containers.skip_reason():
        pytest.skip(reason)
    image = containers.build("systemd")
    with Space() as space, containers.run_systemd(image, space, "--hostname=mail.caio.it") as container:
        yield Machine(space, container)


@pytest.fixture
def machine(booted: Machine) -> Machine:
    booted.container.exec("sh", "-euc", SAME_AS_EVER)
    return booted


def test_the_machine_boots_without_a_failed_unit(booted: Machine) -> None:
    assert booted.systemctl("is-system-running", check=False) == "running"
    assert booted.systemctl("is-active", SERVICE, SOCKET, "postfix@-.service").split() == ["active"] * 3


def test_systemd_finds_nothing_to_say_about_the_installed_units(machine: Machine) -> None:
    assert machine.container.exec("systemd-analyze", "verify", "--man=no", SERVICE, SOCKET) == ""


def test_the_sandbox_is_in_force(machine: Machine) -> None:
    machine.first_contact()
    for pid in [machine.show("MainPID"), *machine.workers()]:
        status = machine.status(pid)
        assert (status["NoNewPrivs"], status["Seccomp"], int(status["CapBnd"], 16)) == ("1", "2", 0), status["Name"]
        assert "0" not in status["Uid"].split()


def test_a_first_contact_is_deferred_over_each_socket(machine: Machine) -> None:
    assert machine.first_contact(machine.over_tcp()).startswith("DEFER_IF_PERMIT 4.")
    assert machine.first_contact(machine.over_unix()).startswith("DEFER_IF_PERMIT 4.")


def test_a_chrooted_postfix_asks_over_the_unix_socket(machine: Machine) -> None:
    with Client(machine.space, "127.0.0.1", "192.0.2.25") as client:
        answers = client.send("tizio@tizio.it", ["caio@caio.it"], "Subject: ciao\n\nciao\n")
    assert answers.last.code == 450
    assert answers.last.text.startswith("4.7.1 ")
    log = machine.container.exec("journalctl", "--unit", SERVICE, "--output=cat")
    assert any(found["verdict"] == "defer" and "tizio@tizio.it" in found.values() for found in decisions(log)), log


def test_the_state_directory_is_the_daemons_own(machine: Machine) -> None:
    machine.first_contact()
    found = machine.container.exec("stat", "--format=%U %a", "/var/lib/vaglio", "/var/lib/vaglio/greylist.sqlite")
    directory, file = found.splitlines()
    assert directory == "vaglio 700"
    assert file.startswith("vaglio 6")


def test_a_reload_takes_the_new_configuration_without_a_new_process(machine: Machine) -> None:
    before = machine.show("MainPID")
    machine.write(CONFIG, '[greylist]\nmode = "rehearse"\n')
    machine.systemctl("reload", SERVICE)
    until(lambda: machine.first_contact() == "DUNNO", "the new configuration")
    assert machine.show("MainPID") == before
    assert machine.show("ActiveState") == "active"


def test_the_shipped_configuration_serves_in_the_sandbox(machine: Machine) -> None:
    machine.write(CONFIG, (EXAMPLES / "vaglio.toml").read_text())
    machine.systemctl("restart", SERVICE)
    assert machine.first_contact() == "DUNNO"  # it rehearses
    with socket.socket(socket.AF_UNIX) as metrics:
        metrics.settimeout(10)
        metrics.connect(str(machine.container.root / "run/vaglio/greylist-metrics.sock"))
        metrics.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        with metrics.makefile("rb") as answer:
            said = answer.read()
    assert b" 200 " in said.partition(b"\r\n")[0]
    assert b"vaglio_" in said


def test_the_daemon_feeds_the_watchdog(machine: Machine) -> None:
    machine.drop_in(QUICK_WATCHDOG)
    first = machine.show("WatchdogTimestampMonotonic")
    until(lambda: machine.show("WatchdogTimestampMonotonic") != first, "a sign of life")
    assert machine.show("NRestarts") == "0"


def test_a_daemon_that_hangs_is_started_anew(machine: Machine) -> None:
    machine.drop_in(QUICK_WATCHDOG)
    hanging = machine.show("MainPID")
    machine.kill("STOP", hanging)
    until(lambda: machine.show("NRestarts") != "0", "the restart")
    assert machine.first_contact().startswith("DEFER_IF_PERMIT")
    assert machine.show("MainPID") != hanging


def test_a_killed_worker_comes_back(machine: Machine) -> None:
    main, workers = machine.show("MainPID"), machine.workers()
    machine.kill("KILL", *workers)
    until(lambda: {*machine.workers()} - {*workers}, "a new worker")
    assert machine.first_contact().startswith("DEFER_IF_PERMIT")
    assert machine.show("MainPID") == main


def test_a_stop_is_clean(machine: Machine) -> None:
    machine.first_contact()
    machine.systemctl("stop", SOCKET, SERVICE)
    assert machine.show("ActiveState") == "inactive"
    assert (machine.show("Result"), machine.show("ExecMainStatus")) == ("success", "0")


def test_the_first_question_starts_a_daemon_that_rests(machine: Machine) -> None:
    machine.systemctl("stop", SERVICE)
    assert machine.show("ActiveState") == "inactive"
    assert machine.first_contact(machine.over_unix()).startswith("DEFER_IF_PERMIT")
    assert machine.show("ActiveState") == "active"


def test_without_the_socket_unit_the_daemon_listens_by_itself(machine: Machine) -> None:
    machine.systemctl("stop", SOCKET, SERVICE)
    machine.systemctl("start", SERVICE)
    assert machine.first_contact().startswith("DEFER_IF_PERMIT")


def test_a_bad_configuration_is_not_tried_again(machine: Machine) -> None:
    machine.write(CONFIG, "[greylist]\ndelay = 5\n")
    machine.systemctl("restart", SERVICE, check=False)
    assert (machine.show("ActiveState"), machine.show("ExecMainStatus")) == ("failed", "78")
    assert machine.show("NRestarts") == "0"
