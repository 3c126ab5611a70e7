"""The units of DKIM at work: who verifies, who signs by keys of a directory or of systemd, and the timer's command."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from lab.containers import Container
from lab.smtp import letter
from lab.space import Space
from lab.waiting import until
from tests.milter.mta import KNOWN, POSTFIX, Fields, Mail, Mta, Outcome, edited, header_bytes
from tests.systemd.machine import CONFIG, EXAMPLES, Daemon, MilterMachine
from vaglio.checks.dkim.signing.make import new_key
from vaglio.checks.dkim.signing.record import record_name, record_text, zone_lines
from vaglio.checks.dkim.signing.sign import private_key
from vaglio.milter.wire import Peer

pytestmark = pytest.mark.root

AUTHOR = "caio@caio.it"
HEADER: Fields = ((b"From", b" caio@caio.it"), (b"To", b" tizio@tizio.it"), (b"Subject", b" Ciao"))
BODY = b"Ciao Tizio\r\n"
ZONE = "etc/vaglio/zone"
CREDENTIALS = (EXAMPLES / "dkim-sign-credentials.conf").read_text()
VAGLIO = "/opt/vaglio/bin/vaglio"

VERIFIER, SIGNER, CHAIN = (Daemon(name, 0, "", "", 0) for name in ("dkim-verify", "dkim-sign", "chain@outbound"))
BOTH_SIGNERS = pytest.mark.parametrize("machine", [SIGNER, CHAIN], indirect=True, ids=lambda daemon: daemon.name)


class DkimMachine(MilterMachine):
    """What a message of a local user becomes."""

    def outcome(self) -> Outcome:
        with Mta(f"unix:{self.place}", POSTFIX, KNOWN) as mta:
            mta.greet(Peer(b"localhost", b"4", 1, b"127.0.0.1"), b"localhost")
            return mta.send(Mail(b"<caio@caio.it>", headers=HEADER, body=BODY))

    def refused(self) -> bytes:
        """Await that the message is not taken; return what its sender is told."""
        return until(lambda: self.outcome().reply, "a refusal", 20, 0.5)

    def signed(self) -> bytes:
        """Await a signature; return the message with it."""
        edits = until(lambda: self.outcome().edits, "a signature", 20, 0.5)
        return header_bytes(edited(HEADER, edits)) + b"\n" + BODY.replace(b"\r\n", b"\n")

    def verified(self, message: bytes) -> list[str]:
        """Return what our own verifier says of a message, by the keys in the zone file."""
        self.write("tmp/letter.eml", message.decode())
        said = self.container.exec(VAGLIO, "dkim", "verify", "/tmp/letter.eml", "--zone", f"/{ZONE}", "--json")
        return [one["result"] for one in json.loads(said)["signatures"]]

    def rights(self, path: str) -> str:
        return self.container.exec("stat", "--format=%U %G %a", f"/{path}")

    def keys(self, *options: str) -> None:
        """Do what an admin does who wants keys, and publish them."""
        self.container.exec(VAGLIO, "dkim", "new", "caio.it", "--zone-file", f"/{ZONE}", *options)


@pytest.fixture(params=[SIGNER], ids=lambda daemon: daemon.name)
def machine(booted: tuple[Space, Container], request: pytest.FixtureRequest) -> Iterator[DkimMachine]:
    machine = DkimMachine(*booted, request.param)
    machine.systemctl("restart", machine.service)  # keys that are gone sign on, until then
    yield machine
    machine.container.exec("rm", "-rf", "/etc/vaglio/dkim", "/etc/vaglio/keys", f"/{ZONE}")
    machine.same_as_ever()


@pytest.mark.parametrize("machine", [VERIFIER, SIGNER], indirect=True, ids=lambda daemon: daemon.name)
def test_the_sandbox_is_in_force_and_only_postfix_and_vaglio_may_connect(machine: DkimMachine) -> None:
    assert machine.container.exec("systemd-analyze", "verify", "--man=no", machine.service, machine.socket) == ""
    assert machine.outcome().taken
    for pid in [machine.show("MainPID"), *machine.workers()]:
        status = machine.status(pid)
        assert (status["NoNewPrivs"], status["Seccomp"], int(status["CapBnd"], 16)) == ("1", "2", 0), status["Name"]
        assert "0" not in status["Uid"].split()
    assert machine.rights(machine.place[machine.place.index("var/spool") :]) == "vaglio postfix 660"


@pytest.mark.parametrize("machine", [VERIFIER], indirect=True, ids=["dkim-verify"])
def test_who_verifies_says_what_it_found(machine: DkimMachine) -> None:
    machine.write(CONFIG, '[dkim.verify.policies]\nnone = "reject"\n')
    machine.systemctl("reload", machine.service)
    assert machine.refused().startswith(b"550 5.7.20 ")


@BOTH_SIGNERS
def test_keys_that_an_admin_makes_are_roots_and_sign_by_both_kinds_within_seconds(machine: DkimMachine) -> None:
    assert machine.outcome().edits == ()
    machine.keys("--sign-now")
    assert machine.verified(machine.signed()) == ["pass", "pass"]
    files = machine.container.exec("sh", "-c", "ls -A /etc/vaglio/dkim/caio.it").split()
    assert {machine.rights(f"etc/vaglio/dkim/caio.it/{file}") for file in files} == {"root vaglio 640"}
    assert machine.rights("etc/vaglio/dkim/caio.it") == "root vaglio 750"


@BOTH_SIGNERS
def test_a_key_that_only_root_can_read_comes_by_systemds_credentials(machine: DkimMachine) -> None:
    """The shipped example, in a unit with PrivateUsers, as it is."""
    # Mounts that systemd makes for a unit are seen by it on a machine of its own; in a container not by themselves.
    machine.container.exec("mount", "--make-rshared", "/")
    (name, file), *more = re.findall(r"^LoadCredential=([^:]+):(\S+)$", CREDENTIALS, re.MULTILINE)
    assert more == []
    pem = new_key("rsa", 2048)
    machine.write(file.removeprefix("/"), pem.decode())
    machine.container.exec("chmod", "600", file)
    machine.write(ZONE, zone_lines(record_name("caio.it", "2026a"), record_text(private_key(pem))))
    machine.write(CONFIG, f'[[dkim.sign.keys]]\ndomain = "caio.it"\nselector = "2026a"\nfile = "credential:{name}"\n')
    machine.drop_in(CREDENTIALS)
    assert machine.show("PrivateUsers") == "yes"
    assert machine.rights(file.removeprefix("/")) == "root root 600"
    assert machine.verified(machine.signed()) == ["pass"]


def test_a_key_that_others_can_read_defers_what_it_should_sign(machine: DkimMachine) -> None:
    machine.keys("--sign-now", "--only", "rsa")
    machine.container.exec("sh", "-c", "chmod o+r /etc/vaglio/dkim/caio.it/*.pem")
    machine.systemctl("restart", machine.service)
    assert machine.refused().startswith(b"451 4.7.5 ")
    said = machine.container.exec("journalctl", "--unit", machine.service, "--output=cat")
    assert "with which everybody has rights, wanted 0400, 0600 or 0640: chmod o= /etc/vaglio/dkim/caio.it/" in said


@pytest.mark.parametrize("machine", [CHAIN], indirect=True, ids=["chain@outbound"])
def test_what_the_sendmail_command_takes_is_signed_by_way_of_cleanups_chroot(machine: DkimMachine) -> None:
    machine.keys("--sign-now")
    machine.signed()
    text = letter(AUTHOR, AUTHOR, "from cron").replace("'", "")
    machine.container.exec("sh", "-c", f"printf %s '{text}' | /usr/sbin/sendmail -f {AUTHOR} {AUTHOR}")
    folder = machine.container.root / "home/caio/Maildir/new"
    (message,) = until(lambda: [path for path in folder.glob("*") if "from cron" in path.read_text()], "the letter")
    assert machine.verified(message.read_bytes()) == ["pass", "pass"]
    message.unlink()


ROTATE = "vaglio-dkim-rotate.service"


def test_the_timers_command_lets_keys_sign_once_their_records_are_told(machine: DkimMachine) -> None:
    machine.systemctl("is-active", "vaglio-dkim-rotate.timer")
    machine.keys()
    machine.systemctl("start", ROTATE, check=False)
    assert machine.systemctl("show", "--value", "--property=ExecMainStatus", ROTATE) == "3"
    assert "IN TXT" in machine.container.exec("journalctl", "--unit", ROTATE, "--output=cat")
    assert machine.outcome().edits == ()

    machine.write(CONFIG, f'[dns]\nzone_file = "/{ZONE}"\n')
    machine.systemctl("start", ROTATE)
    assert machine.rights("etc/vaglio/dkim/caio.it/keys.json") == "root vaglio 640"
    assert machine.verified(machine.signed()) == ["pass", "pass"]
