"""The units at work: a systemd in a container starts, watches, reloads and stops each daemon, and Postfix asks it.

The image is the ``systemd`` target of ``examples/postfix/Containerfile``: Debian with Postfix, Vaglio in /opt/vaglio,
and the shipped unit files. The daemons have no configuration: the blocklists that are on by themselves are in the lab's
name server.
"""

import socket
from collections.abc import Iterator

import pytest

from lab import submission
from lab.containers import Container
from lab.logs import decisions
from lab.smtp import Client, letter
from lab.space import Space
from lab.waiting import until
from tests.systemd.machine import CONFIG, EXAMPLES, NUMBERS, QUICK_WATCHDOG, UNITS, Daemon, Machine

pytestmark = pytest.mark.root

GREYLIST = Daemon("greylist", 10023, "192.0.2.25", "DEFER_IF_PERMIT 4.7.1 Greylisted", 450)
DNSBL = Daemon("dnsbl", 10024, "198.51.100.77", "554 5.7.1 Service unavailable; client [198.51.100.77] listed by ", 554)
RATELIMIT = Daemon(
    "ratelimit", 10026, "192.0.2.77", "554 5.7.1 Sending limit: this message is more than caio@caio.it may", 554,
    {"protocol_state": "END-OF-MESSAGE", "sasl_username": "caio@caio.it", "recipient_count": "201"},
)  # fmt: skip


@pytest.fixture(params=[DNSBL, GREYLIST, RATELIMIT], ids=lambda daemon: daemon.name)
def machine(booted: tuple[Space, Container], request: pytest.FixtureRequest) -> Iterator[Machine]:
    machine = Machine(*booted, request.param)
    yield machine
    machine.same_as_ever()


def test_the_machine_boots_and_no_unit_of_a_mail_server_fails(booted: tuple[Space, Container]) -> None:
    _, container = booted
    # A unit of the system's own that can't do its work in a container on this machine is no affair of ours.
    assert container.exec("systemctl", "is-system-running", check=False) in ("running", "degraded")
    failed = container.exec("systemctl", "list-units", "--failed", "--full", "--plain", "--no-legend").split("\n")
    assert [line for line in failed if line.startswith(("vaglio", "postfix", "systemd-sysusers"))] == []
    wanted = (*UNITS, "postfix@-.service", "postfix.service")
    states = container.exec("systemctl", "is-active", *wanted, check=False).split()
    assert dict(zip(wanted, states, strict=True)) == dict.fromkeys(wanted, "active")


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
    sender = f"nuovo{next(NUMBERS)}@tizio.it"
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
