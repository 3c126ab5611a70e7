"""Milters that stop, reload, take over and run out of room, with either engine, while mail comes in."""

from __future__ import annotations

import os
import re
import select
import signal
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from vaglio_milters import chain

from tests.daemon.processes import Process
from tests.milter.daemons import TrivialMilter, told, told_by
from tests.milter.mta import Mail, Mta, Outcome, events
from vaglio.daemon.clock import monotonic
from vaglio.milter import wire
from vaglio.milter.agreed import LINGER
from vaglio.milter.wire import Answer, Command

PASSED = Outcome(Answer.CONTINUE)
TELL = Mail(sender=b"<tell@tizio.it>")
WAIT = Mail(sender=b"<wait+header@tizio.it>")


def begin(mta: Mta, message: Mail) -> None:
    """Send all of a message but the end."""
    for command, packet in events(message):
        if command is not Command.END_OF_MESSAGE:
            mta.event(command, packet)


def end(mta: Mta) -> None:
    mta.raw(wire.packet(Command.END_OF_MESSAGE))


def stop(daemon: TrivialMilter) -> None:
    os.kill(daemon.pid, signal.SIGTERM)


def reload(daemon: TrivialMilter, checks: str, **settings: str) -> None:
    """Have it read another configuration; await that all of its workers have."""
    daemon.configure(checks, **settings)
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.line("^INFO the configuration was read again")
    daemon.line("^INFO ready$")


def test_all_is_as_well_without_uvloop(engine: str, tmp_path: Path) -> None:
    daemon = TrivialMilter(tmp_path, engine, checks="one:recipients+body+chunks", environ={"WITHOUT_UVLOOP": "1"})
    with daemon.ready(), daemon.mta() as mta:
        mta.greet()
        message = Mail(b"<tell+nap@tizio.it>", (b"<nap-a@caio.it>", b"<reject-b@caio.it>"), body=b"x" * 1_500_000)
        for _ in range(3):
            outcome = mta.send(message)
            assert list(outcome.refused) == [b"<reject-b@caio.it>"]
            assert told(outcome)["size"] == 1_500_000
        assert mta.quit() == []
        stop(daemon)
        assert daemon.status() == 0


# --- the end ---


def test_a_stop_lets_a_message_under_way_end_and_closes_idle_connections_soon(engine: str, tmp_path: Path) -> None:
    with TrivialMilter(tmp_path, engine).ready() as daemon, ExitStack() as stack:
        idle, judged, sending = (stack.enter_context(daemon.mta()).greet() for _ in range(3))
        begin(judged, WAIT)
        end(judged)
        daemon.line("WARNING waiting")
        begin(sending, TELL)
        stop(daemon)
        daemon.line("INFO stopping")
        began = monotonic()
        if engine == "native":  # libmilter closes them when the last message is done
            assert idle.rest() == []
            assert monotonic() - began < LINGER + 1
        end(sending)
        assert told(sending.outcome())["sender"] == "tell@tizio.it"
        daemon.go()
        assert judged.outcome().edits[0].name == b"X-Trivial"
        for mta in (idle, judged, sending):
            assert mta.rest() == []
        assert daemon.status() == 0
        assert "ERROR" not in daemon.seen


def test_a_stop_with_nothing_under_way_is_soon_over(engine: str, tmp_path: Path) -> None:
    with TrivialMilter(tmp_path, engine, workers=2).ready() as daemon, daemon.mta() as mta, daemon.mta():
        assert mta.greet().send() == PASSED
        began = monotonic()
        stop(daemon)
        assert daemon.status() == 0
        assert monotonic() - began < LINGER + 2
        assert mta.rest() == []


def test_a_stop_does_not_wait_for_a_mail_server_that_takes_its_connection_away(engine: str, tmp_path: Path) -> None:
    with TrivialMilter(tmp_path, engine).ready() as daemon:
        with daemon.mta() as mta:
            mta.greet()
            begin(mta, TELL)
        with daemon.mta() as mta:
            mta.greet().quit()
        began = monotonic()
        stop(daemon)
        assert daemon.status() == 0
        assert monotonic() - began < 2


def test_a_message_whose_mail_server_is_gone_is_judged_no_further(tmp_path: Path) -> None:
    with TrivialMilter(tmp_path, "native").ready() as daemon:
        with daemon.mta() as mta:
            mta.greet()
            begin(mta, Mail(sender=b"<slow@tizio.it>"))
            end(mta)
            daemon.line("WARNING judging slowly")
        began = monotonic()
        stop(daemon)
        assert daemon.status() == 0
        assert monotonic() - began < 2


# --- reload ---


def test_a_message_keeps_the_configuration_it_began_with(engine: str, tmp_path: Path) -> None:
    with TrivialMilter(tmp_path, engine, checks="one:headers").ready() as daemon, daemon.mta() as mta:
        mta.greet()
        begin(mta, TELL)
        reload(daemon, "two:headers")
        end(mta)
        assert told_by(mta.outcome()) == ["one"]
        assert told_by(mta.send(TELL)) == ["two"]


def test_a_connection_keeps_checks_whose_events_were_agreed_on(engine: str, tmp_path: Path) -> None:
    with TrivialMilter(tmp_path, engine, checks="one:headers").ready() as daemon, daemon.mta() as mta:
        mta.greet()
        reload(daemon, "two:recipients+headers+body")
        assert told_by(mta.send(TELL)) == ["one"]
        with daemon.mta() as other:
            outcome = other.greet().send(TELL._replace(recipients=(b"<a@caio.it>", b"<reject-b@caio.it>")))
            assert told_by(outcome) == ["two"]
            assert outcome.refused
            assert told(outcome, "two")["kept"]
        reload(daemon, "three:headers")
        assert told_by(mta.send(TELL)) == ["three"]
        assert mta.quit() == []


def test_a_message_that_is_judged_while_the_configuration_changes_is_answered(engine: str, tmp_path: Path) -> None:
    with TrivialMilter(tmp_path, engine).ready() as daemon, daemon.mta() as mta:
        mta.greet()
        begin(mta, WAIT)
        end(mta)
        daemon.line("WARNING waiting")
        reload(daemon, "two:headers", mode='"rehearse"')
        daemon.go()
        assert mta.outcome().edits[0].name == b"X-Trivial"
        with daemon.mta() as other:
            assert other.greet().send(Mail(sender=b"<reject+header@tizio.it>")) == PASSED, "a rehearsal"


# --- one after the other ---


def test_a_new_daemon_takes_over_and_no_message_is_lost(engine: str, tmp_path: Path) -> None:
    """Mail comes in all the time, over a connection for each message, as short SMTP sessions have it."""
    with ExitStack() as stack:
        old = stack.enter_context(TrivialMilter(tmp_path, engine)).ready()
        long = stack.enter_context(old.mta()).greet()
        begin(long, WAIT)
        end(long)
        old.line("WARNING waiting")

        def goes_well(*daemons: TrivialMilter) -> None:
            with Mta(old.address) as mta:
                assert mta.greet().send() == PASSED
            for daemon in daemons:
                assert daemon.child.stderr
                if select.select([daemon.child.stderr], [], [], 0)[0]:
                    daemon.line(".")  # lest its pipe is full

        new = stack.enter_context(TrivialMilter(tmp_path, engine, "--replace"))
        while "INFO ready" not in new.seen:
            goes_well(old, new)
        stop(old)
        while "INFO stopping" not in old.seen:
            goes_well(old, new)
        new.go()
        assert long.outcome().taken
        while old.child.poll() is None:
            goes_well(new)
        assert old.status() == 0
        for _ in range(10):
            goes_well(new)


# --- many ---


def test_workers_share_the_connections(engine: str, tmp_path: Path) -> None:
    with TrivialMilter(tmp_path, engine, workers=2).ready() as daemon, ExitStack() as stack:
        mtas = [stack.enter_context(daemon.mta()) for _ in range(20)]
        for mta in mtas:
            mta.greet()
        for mta in mtas:
            assert mta.send() == PASSED


def test_beyond_the_limit_connections_wait_until_others_end(engine: str, tmp_path: Path) -> None:
    with TrivialMilter(tmp_path, engine, max_connections="2").ready() as daemon, ExitStack() as stack:
        first, second = (stack.enter_context(daemon.mta()).greet() for _ in range(2))
        if engine == "native":
            third = stack.enter_context(daemon.mta())
        daemon.line("WARNING 2 connections are open, which is the limit of a worker")
        if engine == "libmilter":  # it may take one more before it hears of the limit
            third = stack.enter_context(daemon.mta())
        third.raw(wire.options(third.offer))
        assert first.send() == PASSED
        assert not select.select([third.sock], [], [], 0)[0]
        first.quit()
        assert third.packet()[0] == Answer.OPTIONS
        assert second.send() == PASSED


def test_a_worker_that_is_killed_is_replaced(engine: str, tmp_path: Path) -> None:
    with TrivialMilter(tmp_path, engine).ready() as daemon, daemon.mta() as mta:
        mta.greet()
        children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        with suppress(ConnectionError):
            assert mta.rest() == []
        daemon.line("was killed by SIGKILL")
        with daemon.mta() as other:
            assert other.greet().send() == PASSED


def test_the_first_line_tells_in_whose_name_results_are_written(engine: str, tmp_path: Path) -> None:
    with TrivialMilter(tmp_path, engine).ready() as daemon:
        assert re.search(r"^INFO .*: configuration .*, mode enforce, .*, results as mx\.caio\.it$", daemon.seen, re.M)


@pytest.mark.parametrize("section", ["", "[spf]\n"])
def test_a_short_name_is_warned_of_once(tmp_path: Path, section: str) -> None:
    config = tmp_path / "vaglio.toml"
    config.write_text(
        f'[state]\nurl = "memory:"\n[identity]\nauthserv_id = "mx"\n{section}[chain.inbound]\n'
        f'listen = ["unix:{tmp_path}/x"]\n'
    )
    with Process(chain.__file__, "inbound", "--config", config) as daemon:
        daemon.line("^INFO ready$")
        assert daemon.seen.count('under the name "mx"') == 1


def test_the_first_line_tells_which_checks_of_a_chain_rehearse(tmp_path: Path) -> None:
    config = tmp_path / "vaglio.toml"
    config.write_text(
        f'[state]\nurl = "memory:"\n[spf]\nmode = "rehearse"\n[chain.inbound]\nlisten = ["unix:{tmp_path}/x"]\n'
    )
    with Process(chain.__file__, "inbound", "--config", config) as daemon:
        daemon.line("mode enforce; spf rehearses, 1 worker")


def test_rehearsal_lets_all_pass_untouched_and_tells_what_would_have_been_done(engine: str, tmp_path: Path) -> None:
    message = Mail(
        b"<reject+header+results+change@tizio.it>",
        headers=((b"Authentication-Results", b" mx.caio.it; spf=pass"), (b"Subject", b" x")),
    )
    with TrivialMilter(tmp_path, engine, mode='"rehearse"').ready() as daemon:
        with daemon.mta() as mta:
            assert mta.greet().send(message) == PASSED
        stop(daemon)
        assert "verdict=pass rehearsed=reject" in daemon.end()
