"""When the daemon dies, is reloaded or is not there: Postfix always has an answer, and nothing is forgotten."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from lab.smtp import Answer, letter
from lab.waiting import until
from lab.world import TIZIO, World

pytestmark = pytest.mark.root

MAIL = TIZIO.address
CLIENTS = 4
RECIPIENTS = 5
READ_AGAIN = "the configuration was read again"


class Traffic:
    """Clients that ask and ask again about their recipients; all answers are kept."""

    def __init__(self, world: World, name: str, pool: ThreadPoolExecutor) -> None:
        self._world, self._name = world, name
        self._stop = threading.Event()
        self.answers: list[Answer] = []
        self._clients = [pool.submit(self._run, number) for number in range(CLIENTS)]

    def _run(self, client_number: int) -> None:
        with self._world.connect(MAIL) as client:
            for round_ in itertools.count():
                # Each group of recipients is asked about in many rounds, so that its triplets pass in the end.
                group = f"{self._name}-{client_number}-{round_ // 100}"
                self.answers += client.ask(f"{group}x@tizio.it", *(f"{group}-{n}x@caio.it" for n in range(RECIPIENTS)))
                if self._stop.is_set():
                    return

    def more(self, count: int) -> None:
        """Wait until so many further answers came; raise what ended a client."""
        wanted = len(self.answers) + count
        until(lambda: len(self.answers) >= wanted or any(client.done() for client in self._clients), "answers", 60)
        for client in self._clients:
            if client.done():
                client.result()

    def stop(self) -> None:
        """Let the clients finish; raise what ended one before."""
        self._stop.set()
        for client in self._clients:
            client.result()


@contextmanager
def traffic(world: World, name: str) -> Iterator[Traffic]:
    with ThreadPoolExecutor(CLIENTS) as pool:
        made = Traffic(world, name, pool)
        try:
            made.more(100)
            yield made
        finally:
            made.stop()


def only_proper_answers(made: Traffic) -> bool:
    """True when each was Vaglio's deferral, a pass, or the default action: never an error of Postfix's own."""
    return all(answer.code == 250 or (answer.code == 450 and "Greylisted" in answer.text) for answer in made.answers)


def passed(world: World, name: str) -> set[tuple[str, str]]:
    """Return sender and recipient of all triplets of this traffic that Vaglio let in."""
    found = world.greylist.decisions(verdict="pass", reason="retried")
    return {(one["from"], one["to"]) for one in found if one["from"].startswith(name)}


def decided(world: World, name: str) -> int:
    """Return how many decisions Vaglio made about this traffic."""
    return sum(one["from"].startswith(name) for one in world.greylist.decisions())


def all_are_known(world: World, triplets: set[tuple[str, str]]) -> None:
    with world.connect(MAIL) as client:
        for sender, recipient in sorted(triplets):
            before = len(world.greylist.decisions(to=recipient))
            assert client.ask(sender, recipient)[0].code == 250
            latest = until(lambda to=recipient, old=before: world.greylist.decisions(to=to)[old:], "it")  # type: ignore[misc]
            assert latest[-1]["reason"] == "known", recipient


def warnings(world: World) -> int:
    """Return how often Postfix had trouble with the policy service."""
    return world.caio.log().count("problem talking to server")


def workers(world: World) -> list[int]:
    return [pid for pid in world.greylist.process.family() if pid != world.greylist.process.pid]


def test_a_killed_worker_is_replaced_and_no_passed_triplet_is_forgotten(world: World) -> None:
    with traffic(world, "worker") as made:
        until(lambda: passed(world, "worker"), "a triplet to pass")
        old = set(workers(world))
        assert len(old) == 2
        world.greylist.process.signal(signal.SIGKILL, *old)
        until(lambda: len(now := set(workers(world))) == 2 and not now & old, "two new workers")
        made.more(100)
    assert only_proper_answers(made)
    all_are_known(world, passed(world, "worker"))


def test_all_processes_killed_in_traffic_leave_postfix_with_its_default_and_the_triplets_on_disk(world: World) -> None:
    with traffic(world, "all") as made:
        until(lambda: passed(world, "all"), "a triplet to pass")
        world.greylist.process.kill()
        made.more(10)
        world.greylist.start()
        made.more(100)
    assert only_proper_answers(made)
    all_are_known(world, passed(world, "all"))


def test_a_reload_under_load_loses_no_request(world: World) -> None:
    before = warnings(world)
    with traffic(world, "reload") as made:
        for _ in range(5):
            said = world.greylist.log().count(READ_AGAIN)
            world.greylist.reload()
            until(lambda said=said: world.greylist.log().count(READ_AGAIN) > said, "the reload")  # type: ignore[misc]
            made.more(50)
    assert only_proper_answers(made)
    assert warnings(world) == before
    until(lambda: decided(world, "reload") >= len(made.answers), "all decisions")
    assert decided(world, "reload") == len(made.answers)


def test_a_stop_under_load_answers_what_was_read(world: World) -> None:
    with traffic(world, "stop") as made:
        assert world.greylist.process.stop() == 0
        world.greylist.start()
        made.more(100)
    assert only_proper_answers(made)
    # An answer that was judged and then lost would be asked for again: more decisions than answers.
    assert 0 < decided(world, "stop") <= len(made.answers)


def test_without_the_daemon_postfix_takes_its_default_action(world: World, sender: str, recipient: str) -> None:
    assert world.greylist.process.stop() == 0
    try:
        with world.connect(MAIL) as client:
            assert client.ask(sender, recipient)[0].code == 250
    finally:
        world.greylist.start()
    with world.connect(MAIL) as client:
        assert client.ask(sender, recipient)[0].code == 450
        client.insist(sender, [recipient], letter(sender, recipient, "patience"))
    assert until(lambda: world.caio.mailbox(recipient), "the message")
