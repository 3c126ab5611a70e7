"""When the store is in trouble: mail is answered as ``on_error`` says, the log tells what to do, and greylisting goes
on by itself when the trouble is over. A real daemon on a disk of its own; behind a real Postfix where that matters.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.disk import BrittleDisk, Disk
from lab.dns import NameServer, Zones
from lab.policy import PolicyClient
from lab.postfix import Postfix
from lab.smtp import Answer, Client, letter
from lab.space import HOME, Space
from lab.vaglio import CONFIG, Daemon, command, configure
from lab.waiting import Unavailable, until
from lab.world import CAIO, GREYLIST_PORT, TIZIO, vaglio_toml

pytestmark = pytest.mark.root

DISK = f"{HOME}/disk"
STATE = f"{DISK}/state"
DEFERRED = "DEFER_IF_PERMIT 4.7.1 Greylisted"
FAILURE = {"pass": "DUNNO", "defer": "DEFER_IF_PERMIT 4.3.0 Temporary problem on our side"}
"""What a client of the policy protocol hears when ``on_error`` decides."""

CHECKPOINT = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchall()"

_numbers = itertools.count()


class Site:
    """A lab with a disk for the daemon's state."""

    daemon: Daemon

    def __init__(self, space: Space, disk: Disk) -> None:
        self.space, self.disk = space, disk

    def configure(self, on_error: str = "pass") -> None:
        """Have one worker, and a delay of a second."""
        configure(self.space, vaglio_toml({"delay": '"1s"', "on_error": f'"{on_error}"'}, STATE))

    def start(self, on_error: str = "pass") -> Daemon:
        """Start the daemon."""
        self.configure(on_error)
        self.daemon = Daemon(self.space, "vaglio-greylist", GREYLIST_PORT)
        return self.daemon

    @property
    def state(self) -> Path:
        """The state directory as our process finds it."""
        return self.space.path(STATE)

    @property
    def file(self) -> Path:
        """The store's file."""
        return self.state / "greylist.sqlite"

    def workers(self) -> list[int]:
        """Return the numbers of the worker processes."""
        return [pid for pid in self.daemon.process.family() if pid != self.daemon.process.pid]

    def ask(self) -> str:
        """Ask, on a connection of its own, about somebody whom nobody knows yet; empty if nobody answered."""
        try:
            with self.daemon.client() as client:
                return first_contact(client)
        except (OSError, EOFError):
            return ""

    def logged(self, *words: str) -> str:
        """Await a line in the log with all of ``words``; return it."""
        found = lambda: [line for line in self.daemon.log().splitlines() if all(word in line for word in words)]  # noqa: E731
        return until(found, f"a line with {words} in {self.daemon.log()}")[0]


@pytest.fixture
def space() -> Iterator[Space]:
    try:
        made = Space()
    except Unavailable as error:
        pytest.skip(f"no disk of one's own here: {error}")
    with made:
        yield made


@pytest.fixture
def site(space: Space) -> Site:
    return Site(space, Disk(space, DISK))


@pytest.fixture
def postfix(site: Site) -> Iterator[Postfix]:
    """caio's Postfix; it asks the daemon, and would refuse for good if there were no answer."""
    names = NameServer(site.space, Zones.read())
    try:
        policy = CAIO.settings["smtpd_recipient_restrictions"].replace("=DUNNO", "=REJECT")
        yield Postfix(site.space, replace(CAIO, settings={"smtpd_recipient_restrictions": policy}))
    except Unavailable as error:
        pytest.skip(f"no real Postfix here: {error}")
    finally:
        names.close()


def first_contact(client: PolicyClient) -> str:
    return client.ask(recipient=f"r{next(_numbers)}x@caio.it")


def rcpt(client: Client) -> Answer:
    """Return Postfix's answer to a recipient whom nobody knows yet."""
    return client.ask("tizio@tizio.it", f"r{next(_numbers)}x@caio.it")[0]


@pytest.mark.parametrize(
    ("on_error", "answer"),
    [("pass", "250 2.1.5 Ok"), ("defer", "450 4.3.0 ")],  # 450, not 451: the code is Postfix's access_map_defer_code
)
def test_mail_is_answered_while_the_disk_is_full_and_greylisted_when_it_is_not(
    site: Site, postfix: Postfix, on_error: str, answer: str
) -> None:
    daemon = site.start(on_error)
    before, during = f"before-{on_error}@caio.it", f"during-{on_error}@caio.it"
    with Client(site.space, CAIO.address, TIZIO.address) as client:
        assert client.ask("tizio@tizio.it", before)[0].code == 450
        processes = daemon.process.family()
        site.disk.fill()
        until(lambda: str(rcpt(client)).startswith(answer), f"{answer}; log: {daemon.log()}")
        sent = client.send("tizio@tizio.it", [during], letter("tizio@tizio.it", during, "full"))
        assert str(sent.recipients[0]).startswith(answer)
        assert ("Temporary problem on our side" in str(sent.recipients[0])) == (on_error == "defer")
        site.logged("WARNING", f"disk is full: free some space in {STATE}", f'on_error = "{on_error}" decides')
        site.disk.free()
        until(lambda: "Greylisted" in rcpt(client).text, "greylisting to go on")
        client.insist("tizio@tizio.it", [before], letter("tizio@tizio.it", before, "free"))
    assert until(lambda: postfix.mailbox(before), "the message")
    if on_error == "pass":
        assert until(lambda: postfix.mailbox(during), "the message")
    assert until(lambda: daemon.decisions(to=before, verdict="pass"), "the retry")[0]["reason"] == "retried"
    assert daemon.process.family() == processes


def fill_store(site: Site) -> None:
    """Have many triplets in the file itself, not in the log beside it."""
    with site.daemon.client() as client:
        for _ in range(300):
            assert first_contact(client).startswith(DEFERRED)
    # SQLite goes by the file's real path, so this takes a process of the lab.
    site.space.run(sys.executable, "-c", CHECKPOINT, f"{STATE}/greylist.sqlite")


def damage(site: Site, start: float) -> bytes:
    """Overwrite the file from that part of it on, up to three quarters; return what it is now."""
    size = site.file.stat().st_size
    with site.file.open("r+b") as file:
        file.seek(first := int(start * size))
        file.write(b"\xee" * (size * 3 // 4 - first))
    return site.file.read_bytes()


def meet_damage(site: Site, client: PolicyClient) -> None:
    """Ask until a request has met the damage: it alone is answered as ``on_error`` says."""
    answers: list[str] = []

    def met() -> bool:
        answers.append(first_contact(client))
        return any(site.state.glob("*.corrupt-*"))

    until(met, "the damage to be met")
    answers.append(first_contact(client))
    assert answers[-1].startswith(DEFERRED)
    assert sum(not answer.startswith(DEFERRED) for answer in answers) <= 1
    assert {answer for answer in answers if not answer.startswith(DEFERRED)} <= {FAILURE["pass"]}


def is_set_aside(site: Site, damaged: bytes) -> bool:
    """Tell whether the damaged file, as it was left, lies beside the new one, and the log names it."""
    (aside,) = site.state.glob("greylist.sqlite.corrupt-*[0-9]")
    site.logged("WARNING", f"{STATE}/greylist.sqlite is damaged", aside.name, ".recover")
    kept = aside.read_bytes()
    return len(kept) >= len(damaged) and b"\xee" * 4096 in kept


def test_a_store_damaged_while_in_use_is_set_aside_and_greylisting_goes_on(site: Site) -> None:
    daemon = site.start()
    fill_store(site)
    processes = daemon.process.family()
    damaged = damage(site, 0.25)
    with daemon.client() as client:
        meet_damage(site, client)
        assert client.ask(sender="again@tizio.it").startswith(DEFERRED)
        retry = lambda: client.ask(sender="again@tizio.it").startswith("PREPEND X-Greylist")  # noqa: E731
        until(retry, "the retry to pass", step=0.2)
    assert is_set_aside(site, damaged)
    assert daemon.process.family() == processes


@pytest.mark.parametrize("start", [0.0, 0.25])
def test_a_store_damaged_before_the_start_is_set_aside_and_greylisting_goes_on(site: Site, start: float) -> None:
    daemon = site.start()
    fill_store(site)
    assert daemon.process.stop() == 0
    damaged = damage(site, start)
    daemon.start()
    with daemon.client() as client:
        meet_damage(site, client)
    assert is_set_aside(site, damaged)


@pytest.mark.parametrize("on_error", ["pass", "defer"])
def test_a_disk_that_became_read_only_is_named_and_greylisting_goes_on_when_it_is_writable(
    site: Site, on_error: str
) -> None:
    daemon = site.start(on_error)
    assert site.ask().startswith(DEFERRED)
    # A disk can't be made read-only while the store is open, so nobody may have it open for a moment.
    daemon.process.signal(signal.SIGSTOP)
    (worker,) = site.workers()
    daemon.process.signal(signal.SIGKILL, worker)
    until(lambda: not site.workers(), "the end of the worker")
    site.disk.read_only()
    daemon.process.signal(signal.SIGCONT)
    assert until(site.ask, "an answer").startswith(FAILURE[on_error])
    site.logged("ERROR", f"can't open the store: {STATE}/greylist.sqlite: ", "not mounted read-only")
    site.logged("WARNING", f"{STATE}/greylist.sqlite: ", "not mounted read-only", f'on_error = "{on_error}" decides')
    (worker,) = site.workers()
    site.disk.writable()
    until(lambda: site.ask().startswith(DEFERRED), "greylisting to go on")
    assert site.workers() == [worker]


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("read-only", "not mounted read-only"),
        ("full", "free some space"),
        ("no directory", "File exists"),
    ],
)
def test_a_store_that_can_not_be_opened_at_the_start_is_status_69(site: Site, trouble: str, words: str) -> None:
    if trouble == "read-only":
        site.disk.read_only()
    elif trouble == "full":
        site.disk.fill()
    else:
        site.state.touch()
    site.configure()
    log = f"{HOME}/start.log"
    process = site.space.start([command("vaglio-greylist"), "--config", CONFIG], log)
    assert process.wait() == os.EX_UNAVAILABLE
    said = site.space.path(log).read_text()
    assert f"ERROR can't open the store: {STATE}" in said
    assert words in said


@pytest.mark.parametrize("on_error", ["pass", "defer"])
def test_a_worker_born_while_the_store_can_not_be_opened_answers_and_finds_it_when_it_is_back(
    site: Site, on_error: str
) -> None:
    daemon = site.start(on_error)
    assert site.ask().startswith(DEFERRED)
    with daemon.client() as client:
        assert client.ask(sender="known@tizio.it").startswith(DEFERRED)
    hidden = site.disk.root / "hidden"
    site.state.rename(hidden)
    site.state.touch()
    (old,) = site.workers()
    daemon.process.signal(signal.SIGKILL, old)
    assert until(site.ask, "an answer").startswith(FAILURE[on_error])
    site.logged("ERROR", f"can't open the store: {STATE}/greylist.sqlite: ")
    (new,) = site.workers()
    assert new != old
    site.state.unlink()
    hidden.rename(site.state)
    until(lambda: site.ask().startswith(DEFERRED), "greylisting to go on")
    with daemon.client() as client:
        until(lambda: client.ask(sender="known@tizio.it").startswith("PREPEND X-Greylist"), "the old triplet to pass")
    assert site.workers() == [new]


def test_a_disk_that_breaks_down_under_the_open_store_costs_no_answer_and_no_triplet(space: Space) -> None:
    try:
        disk = BrittleDisk(space, DISK)
    except Unavailable as error:
        pytest.skip(f"no disk that breaks down here: {error}")
    site = Site(space, disk)
    daemon = site.start()
    with daemon.client() as client:
        assert client.ask(sender="known@tizio.it").startswith(DEFERRED)
        disk.fail()
        assert [first_contact(client) for _ in range(3)] == [FAILURE["pass"]] * 3
    site.logged("WARNING", f"{STATE}/greylist.sqlite: ", 'on_error = "pass" decides')
    assert daemon.process.stop() == 0
    disk.mend()
    daemon.start()
    with daemon.client() as client:
        until(lambda: client.ask(sender="known@tizio.it").startswith("PREPEND X-Greylist"), "the triplet to pass")
