"""The units at work: a systemd in a container starts, watches, reloads and stops each daemon, and Postfix asks it.

The image is the ``systemd`` target of ``examples/postfix/Containerfile``: Debian with Postfix, Vaglio in /opt/vaglio,
and the shipped unit files. The daemons have no configuration: the blocklists that are on by themselves are in the lab's
name server.
"""

import itertools
import socket
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest

from lab import containers, submission
from lab.containers import Container
from lab.dns import NameServer, Zones
from lab.logs import decisions
from lab.policy import PolicyClient
from lab.smtp import Client, letter
from lab.space import Space
from lab.waiting import until

pytestmark = pytest.mark.root

CONFIG = "etc/vaglio/vaglio.toml"
EXAMPLES = containers.CONTAINERFILE.parent
QUICK_WATCHDOG = "[Service]\nWatchdogSec=1s\nRestartSec=100ms\nTimeoutAbortSec=1s\n"

UNITS = tuple(
    f"vaglio-{name}.{kind}" for kind in ("socket", "service") for name in ("dnsbl", "greylist", "ratelimit")
)
SAME_AS_EVER = f"""
rm -rf /run/systemd/system/vaglio-*.service.d /{CONFIG}
systemctl stop {" ".join(UNITS)}
systemctl daemon-reload
systemctl reset-failed
systemctl start {" ".join(UNITS)}
"""
LISTS = """\
$TTL 60
2.0.0.127.psbl.surriel.com.     IN A 127.0.0.2
77.100.51.198.psbl.surriel.com. IN A 127.0.0.2
2.0.0.127.bl.spamcop.net.       IN A 127.0.0.2
77.100.51.198.bl.spamcop.net.   IN A 127.0.0.2
"""


class Daemon(NamedTuple):
    """A daemon, its port, a client that it does not let in, what it says then, and what else it is asked about it."""

    name: str
    port: int
    client: str
    says: str
    code: int
    about: Mapping[str, str] = {}


GREYLIST = Daemon("greylist", 10023, "192.0.2.25", "DEFER_IF_PERMIT 4.7.1 Greylisted", 450)
DNSBL = Daemon("dnsbl", 10024, "198.51.100.77", "554 5.7.1 Service unavailable; client [198.51.100.77] listed by ", 554)
RATELIMIT = Daemon(
    "ratelimit", 10026, "192.0.2.77", "554 5.7.1 Sending limit: this message is more than caio@caio.it may", 554,
    {"protocol_state": "END-OF-MESSAGE", "sasl_username": "caio@caio.it", "recipient_count": "201"},
)  # fmt: skip


class Machine:
    """A booted container, and what an admin does on it with one of the daemons."""

    def __init__(self, space: Space, container: Container, daemon: Daemon) -> None:
        self.space, self.container, self.daemon = space, container, daemon
        self.service, self.socket = f"vaglio-{daemon.name}.service", f"vaglio-{daemon.name}.socket"

    def systemctl(self, *arguments: str, check: bool = True) -> str:
        return self.container.exec("systemctl", *arguments, check=check)

    def show(self, name: str) -> str:
        return self.systemctl("show", "--value", f"--property={name}", self.service)

    def write(self, path: str, text: str) -> None:
        file = self.container.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def drop_in(self, text: str) -> None:
        self.write(f"run/systemd/system/{self.service}.d/test.conf", text)
        self.systemctl("daemon-reload")
        self.systemctl("restart", self.service)

    def over_tcp(self) -> PolicyClient:
        with self.space.inside():
            return PolicyClient(socket.create_connection(("127.0.0.1", self.daemon.port), timeout=10))

    def over_unix(self) -> PolicyClient:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        connection.connect(str(self.container.root / f"var/spool/postfix/vaglio/{self.daemon.name}.sock"))
        return PolicyClient(connection)

    def ask(self, client: PolicyClient | None = None) -> str:
        """Ask about a client that is not let in: one from a list, or for a sender that was never seen."""
        with client or self.over_tcp() as asking:
            number = next(_numbers)
            return asking.ask(client_address=self.daemon.client, sender=f"nuovo{number}@tizio.it",
                              instance=f"1.1.{number}.0", **self.daemon.about)  # fmt: skip

    def workers(self) -> list[str]:
        main = self.show("MainPID")
        return self.container.exec("cat", f"/proc/{main}/task/{main}/children").split()

    def kill(self, name: str, *pids: str) -> None:
        # A small system has no kill command but the shell's.
        self.container.exec("sh", "-c", 'kill "$@"', "sh", f"-{name}", *pids)

    def status(self, pid: str) -> dict[str, str]:
        lines = (self.container.root / f"proc/{pid}/status").read_text().splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def booted() -> Iterator[tuple[Space, Container]]:
    if reason := containers.skip_reason():
        pytest.skip(reason)
    image = containers.build("systemd")
    with Space() as space:
        names = NameServer(space, Zones([LISTS]))
        try:
            with containers.run_systemd(image, space, "--hostname=mail.caio.it", "--dns=127.0.0.1") as container:
                yield space, container
        finally:
            names.close()


@pytest.fixture(params=[DNSBL, GREYLIST, RATELIMIT], ids=lambda daemon: daemon.name)
def machine(booted: tuple[Space, Container], request: pytest.FixtureRequest) -> Machine:
    machine = Machine(*booted, request.param)
    machine.container.exec("sh", "-euc", SAME_AS_EVER)
    return machine


def test_the_machine_boots_without_a_failed_unit(booted: tuple[Space, Container]) -> None:
    _, container = booted
    assert container.exec("systemctl", "is-system-running", check=False) == "running"
    assert set(container.exec("systemctl", "is-active", *UNITS, "postfix@-.service").split()) == {"active"}


def test_systemd_finds_nothing_to_say_about_the_installed_units(machine: Machine) -> None:
    assert machine.container.exec("systemd-analyze", "verify", "--man=no", machine.service, machine.socket) == ""


def test_the_sandbox_is_in_force(machine: Machine) -> None:
    machine.ask()
    for pid in [machine.show("MainPID"), *machine.workers()]:
        status = machine.status(pid)
        assert (status["NoNewPrivs"], status["Seccomp"], int(status["CapBnd"], 16)) == ("1", "2", 0), status["Name"]
        assert "0" not in status["Uid"].split()


def test_who_is_not_let_in_hears_so_over_each_socket(machine: Machine) -> None:
    assert machine.ask(machine.over_tcp()).startswith(machine.daemon.says)
    assert machine.ask(machine.over_unix()).startswith(machine.daemon.says)


@pytest.mark.parametrize("machine", [DNSBL, GREYLIST], indirect=True, ids=lambda daemon: daemon.name)
def test_a_chrooted_postfix_asks_over_the_unix_socket(machine: Machine) -> None:
    sender = f"nuovo{next(_numbers)}@tizio.it"
    with Client(machine.space, "127.0.0.1", machine.daemon.client) as client:
        (answer,) = client.ask(sender, "caio@caio.it")
    assert (answer.code, answer.text[:6]) == (machine.daemon.code, f"{answer.code // 100}.7.1 ")
    log = machine.container.exec("journalctl", "--unit", machine.service, "--output=cat")
    assert any(found["verdict"] != "pass" and sender in found.values() for found in decisions(log)), log


@pytest.mark.parametrize("machine", [RATELIMIT], indirect=True, ids=["ratelimit"])
def test_a_chrooted_submission_asks_over_the_unix_socket(machine: Machine) -> None:
    host, certificate, key = machine.container, "/etc/postfix/own.pem", "/etc/postfix/own.key"
    host.exec(*submission.certificate_command("mail.caio.it", "127.0.0.1", certificate, key))
    host.exec("postconf", "-e", f"smtpd_tls_cert_file={certificate}", f"smtpd_tls_key_file={key}")
    passwords = "/var/spool/postfix/etc/sasldb2"
    host.exec("sh", "-c", submission.SET_PASSWORD, "sh", passwords, "caio", "caio.it", "parola d'ordine")
    machine.write(CONFIG, '[[ratelimit.rule]]\nname = "one"\nlimits = ["1/1h"]\n')
    machine.systemctl("restart", machine.service)
    machine.systemctl("restart", "postfix@-.service")
    trusted = host.root / certificate[1:]
    with Client(machine.space, "127.0.0.1", machine.daemon.client, port=587, certificate=trusted) as client:
        assert client.log_in("caio@caio.it", "parola d'ordine").code == 235
        text = letter("caio@caio.it", "caio@caio.it", "note to self")
        answers = [client.send("caio@caio.it", ["caio@caio.it"], text).last for _ in range(2)]
    assert [answer.code for answer in answers] == [250, 450]
    assert "Sending limit: caio@caio.it would exceed 1 recipient in 1h" in answers[1].text


def test_the_state_directory_is_the_daemons_own(machine: Machine) -> None:
    machine.ask()
    found = machine.container.exec("stat", "--format=%U %a", "/var/lib/vaglio",
                                   f"/var/lib/vaglio/{machine.daemon.name}.sqlite")  # fmt: skip
    directory, file = found.splitlines()
    assert directory == "vaglio 700"
    assert file.startswith("vaglio 6")


def test_a_reload_takes_the_new_configuration_without_a_new_process(machine: Machine) -> None:
    before = machine.show("MainPID")
    machine.write(CONFIG, f'[{machine.daemon.name}]\nmode = "rehearse"\n')
    machine.systemctl("reload", machine.service)
    until(lambda: machine.ask() == "DUNNO", "the new configuration")
    assert machine.show("MainPID") == before
    assert machine.show("ActiveState") == "active"


def test_the_shipped_configuration_serves_in_the_sandbox(machine: Machine) -> None:
    machine.write(CONFIG, (EXAMPLES / "vaglio.toml").read_text())
    machine.systemctl("restart", machine.service)
    assert machine.ask() == "DUNNO"  # it rehearses
    with socket.socket(socket.AF_UNIX) as metrics:
        metrics.settimeout(10)
        metrics.connect(str(machine.container.root / f"run/vaglio/{machine.daemon.name}-metrics.sock"))
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
    assert machine.ask().startswith(machine.daemon.says)
    assert machine.show("MainPID") != hanging


def test_a_killed_worker_comes_back(machine: Machine) -> None:
    main, workers = machine.show("MainPID"), machine.workers()
    machine.kill("KILL", *workers)
    until(lambda: {*machine.workers()} - {*workers}, "a new worker")
    assert machine.ask().startswith(machine.daemon.says)
    assert machine.show("MainPID") == main


def test_a_stop_is_clean(machine: Machine) -> None:
    machine.ask()
    machine.systemctl("stop", machine.socket, machine.service)
    assert machine.show("ActiveState") == "inactive"
    assert (machine.show("Result"), machine.show("ExecMainStatus")) == ("success", "0")


def test_the_first_question_starts_a_daemon_that_rests(machine: Machine) -> None:
    machine.systemctl("stop", machine.service)
    assert machine.show("ActiveState") == "inactive"
    assert machine.ask(machine.over_unix()).startswith(machine.daemon.says)
    assert machine.show("ActiveState") == "active"


def test_without_the_socket_unit_the_daemon_listens_by_itself(machine: Machine) -> None:
    machine.systemctl("stop", machine.socket, machine.service)
    machine.systemctl("start", machine.service)
    assert machine.ask().startswith(machine.daemon.says)


def test_a_bad_configuration_is_not_tried_again(machine: Machine) -> None:
    machine.write(CONFIG, f"[{machine.daemon.name}]\ndeadline = 5\n")
    machine.systemctl("restart", machine.service, check=False)
    assert (machine.show("ActiveState"), machine.show("ExecMainStatus")) == ("failed", "78")
    assert machine.show("NRestarts") == "0"
