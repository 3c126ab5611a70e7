"""The units of the milters at work, as those of the policy daemons in test_running.py: a chrooted Postfix asks them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.containers import Container
from lab.smtp import Client, letter
from lab.space import Space
from lab.waiting import until
from tests.systemd.machine import CONFIG, EXAMPLES, QUICK_WATCHDOG, SENDER, Daemon, MilterMachine

pytestmark = pytest.mark.root

SAYS = "550 5.7.23 SPF fail: nomail.test (MAIL FROM) says in its SPF record that it sends no mail at all"
SPF, INBOUND = (Daemon(name, 0, "192.0.2.25", SAYS, 550) for name in ("spf", "chain@inbound"))
SCORE = Daemon("score", 0, "192.0.2.25", "550 5.7.1 This message looks like spam. It is the test message", 550)
TAG = Daemon("tag", 0, "192.0.2.25", "Ciao", 250)
EACH = pytest.mark.parametrize("machine", [SPF, SCORE, TAG, INBOUND], indirect=True, ids=lambda daemon: daemon.name)


@pytest.fixture(params=[SPF, INBOUND], ids=lambda daemon: daemon.name)
def machine(booted: tuple[Space, Container], request: pytest.FixtureRequest) -> Iterator[MilterMachine]:
    machine = MilterMachine(*booted, request.param)
    yield machine
    machine.same_as_ever()


@EACH
def test_systemd_finds_nothing_to_say_about_the_installed_units(machine: MilterMachine) -> None:
    assert machine.container.exec("systemd-analyze", "verify", "--man=no", machine.service, machine.socket) == ""


@EACH
def test_the_sandbox_is_in_force(machine: MilterMachine) -> None:
    machine.ask()
    for pid in [machine.show("MainPID"), *machine.workers()]:
        status = machine.status(pid)
        assert (status["NoNewPrivs"], status["Seccomp"], int(status["CapBnd"], 16)) == ("1", "2", 0), status["Name"]
        assert "0" not in status["Uid"].split()


@EACH
def test_each_says_what_it_has_to_say(machine: MilterMachine) -> None:
    assert machine.ask().startswith(machine.daemon.says)


@EACH
def test_nobody_but_postfix_and_vaglio_may_connect(machine: MilterMachine) -> None:
    path = machine.place[machine.place.index("/var/spool") :]
    assert machine.container.exec("stat", "--format=%U %G %a", path).strip() == "vaglio postfix 660"


@pytest.mark.parametrize("machine", [INBOUND], indirect=True, ids=["inbound"])
def test_a_chrooted_postfix_asks_over_the_unix_socket(machine: MilterMachine) -> None:
    machine.write(CONFIG, '[greylist]\nmode = "rehearse"\n')
    machine.systemctl("reload", "vaglio-greylist.service")
    answers = []

    def at_the_end() -> bool:  # greylisting reads its configuration
        with Client(machine.space, "127.0.0.1", machine.daemon.client) as client:
            done = client.send(SENDER, ["caio@caio.it"], letter(SENDER, "caio@caio.it", "hello"))
        answers.append(str(done.last))
        return done.data is not None

    try:
        until(at_the_end, "an answer to the message", step=0.2)
    finally:
        machine.same_as_ever("vaglio-greylist")
    assert answers[-1].startswith(SAYS)
    assert f"from={SENDER}" in machine.container.exec("journalctl", "--unit", machine.service, "--output=cat")


@pytest.mark.parametrize("machine", [SCORE], indirect=True, ids=["score"])
def test_what_root_teaches_is_the_daemons_own(machine: MilterMachine) -> None:
    machine.container.exec("sh", "-c", "printf 'Subject: x\n\nvinci\n' | /opt/vaglio/bin/vaglio learn spam -")
    machine.ask()
    files = [f"/var/lib/vaglio/{name}.sqlite" for name in ("bayes", "links")]
    assert {*machine.container.exec("stat", "--format=%U %a", *files).splitlines()} == {"vaglio 640"}
    assert machine.container.exec("stat", "--format=%U %a", "/var/lib/vaglio") == "vaglio 700"


@EACH
def test_a_reload_takes_the_new_configuration_without_a_new_process(machine: MilterMachine) -> None:
    before = machine.show("MainPID")
    machine.write(CONFIG, '[spf]\nmode = "rehearse"\n[score]\nmode = "rehearse"\n[tag]\nmode = "rehearse"\n')
    machine.systemctl("reload", machine.service)
    until(lambda: machine.ask() == "CONTINUE", "the new configuration")
    assert machine.show("MainPID") == before


@EACH
def test_the_shipped_configuration_serves_in_the_sandbox(machine: MilterMachine) -> None:
    machine.write(CONFIG, (EXAMPLES / "vaglio.toml").read_text())
    machine.systemctl("restart", machine.service)
    assert machine.ask() == "CONTINUE"  # it rehearses, or trusts the network that the client is in


def test_the_daemon_feeds_the_watchdog(machine: MilterMachine) -> None:
    machine.drop_in(QUICK_WATCHDOG)
    first = machine.show("WatchdogTimestampMonotonic")
    until(lambda: machine.show("WatchdogTimestampMonotonic") != first, "a sign of life")
    assert machine.show("NRestarts") == "0"


def test_a_killed_worker_comes_back(machine: MilterMachine) -> None:
    main, workers = machine.show("MainPID"), machine.workers()
    machine.kill("KILL", *workers)
    until(lambda: {*machine.workers()} - {*workers}, "a new worker")
    assert machine.ask().startswith(SAYS)
    assert machine.show("MainPID") == main


def test_a_restart_has_mail_servers_wait_and_refuses_none(machine: MilterMachine) -> None:
    machine.systemctl("restart", "--no-block", machine.service)
    for _ in range(5):
        assert machine.ask().startswith(SAYS)
    until(lambda: machine.show("ActiveState") == "active", "the new one")


@EACH
def test_a_stop_is_clean(machine: MilterMachine) -> None:
    machine.ask()
    machine.systemctl("stop", machine.socket, machine.service)
    assert machine.show("ActiveState") == "inactive"
    assert (machine.show("Result"), machine.show("ExecMainStatus")) == ("success", "0")


@EACH
def test_the_first_message_starts_a_daemon_that_rests(machine: MilterMachine) -> None:
    machine.systemctl("stop", machine.service)
    assert machine.ask().startswith(machine.daemon.says)
    assert machine.show("ActiveState") == "active"


def test_without_the_socket_unit_the_daemon_listens_by_itself(machine: MilterMachine) -> None:
    machine.systemctl("stop", machine.socket, machine.service)
    machine.systemctl("start", machine.service)
    name = machine.daemon.name.rpartition("@")[2]
    assert machine.ask_at(str(machine.container.root / f"run/vaglio/{name}.sock")).startswith(SAYS)


def test_a_bad_configuration_is_not_tried_again(machine: MilterMachine) -> None:
    machine.write(CONFIG, "[spf]\ndeadline = 5\n")
    machine.systemctl("restart", machine.service, check=False)
    assert (machine.show("ActiveState"), machine.show("ExecMainStatus")) == ("failed", "78")
    assert machine.show("NRestarts") == "0"
