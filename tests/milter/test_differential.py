"""The same random sessions, played to both engines: the same edits and answers. What differs has a name below, and its
own tests.

- bytes that are no UTF-8 in host names, HELO and names of header fields (libmilter cannot tell them)
- addresses that are none, and packets of more than 64 KiB (libmilter ends the connection)
- events out of order, and packets that are none (libmilter is laxer, or waits): it heeds no QUIT_NC, and no CONNECT
  behind it, but after a message that was taken
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.milter.conftest import needs_engine
from tests.milter.daemons import TrivialMilter, told, told_by
from tests.milter.mta import CHUNK, CLIENT, KNOWN, OLD, POSTFIX, Mail, Mta, events
from vaglio.milter import wire
from vaglio.milter.wire import Actions, Command, Options, Peer, Steps

CHECKS = ("one:headers+body+chunks", "one:recipients+headers,two:chunks")

OFFERS = (
    POSTFIX,
    OLD,
    POSTFIX._replace(steps=POSTFIX.steps & ~Steps.LEADING_SPACE),
    POSTFIX._replace(actions=POSTFIX.actions & ~Actions.SET_MACROS),
    Options(4, 0x3F, 0x3FF),
)
PEERS = (CLIENT, Peer(b"[2001:db8::1]", b"6", 25, b"IPv6:2001:db8::1"), Peer(b"localhost", b"L", 0, b"/x"), Peer(b"?"))
WORDS = ("pass", "reject", "two/defer", "hold", "discard", "header", "hostile", "results", "one/change", "remove",
         "tell", "nap", "one/raise-eoh", "raise-body",
         "two/raise-verdict", "raise-close", "raise-examine")  # fmt: skip

BYTES = st.binary(max_size=30).map(lambda raw: raw.replace(b"\0", b"?"))
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12).map(str.encode)
NAMES = st.sampled_from([b"Subject", b"subject", b"Authentication-Results", b"AUTHENTICATION-RESULTS", b"X-\xc3\xa8"])
VALUES = st.one_of(
    BYTES, st.sampled_from([b" mx.caio.it; spf=pass", b" mx.example; spf=pass", b"mx.caio.it", b" \t\n x", b""])
)
RECIPIENTS = st.one_of(
    TEXT, st.sampled_from([b"<anna@caio.it>", b"<reject-x@caio.it>", b"<defer-y@caio.it>", b"<nap-z@caio.it>"])
)
SENDERS = st.builds(
    lambda words, domain: b"<" + "+".join(words).encode() + b"@" + domain + b">",
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=4), BYTES,
)  # fmt: skip
MAILS = st.builds(
    Mail, SENDERS, st.lists(RECIPIENTS, min_size=1, max_size=3), st.lists(st.tuples(NAMES, VALUES), max_size=6),
    st.sampled_from([b"", b"x\r\n", b"x" * CHUNK, b"y" * (CHUNK + 1), b"\xff\r\n" * 400_000]),
    st.lists(st.sampled_from([b"SIZE=12", b"BODY=8BITMIME", b"SIZE=x"]), max_size=2),
)  # fmt: skip


class Turn(NamedTuple):
    """A message, given up after so many events if it has as many; before it, maybe another client."""

    mail: Mail
    given_up: int | None
    client: Peer | None


TURNS = st.builds(Turn, MAILS, st.none() | st.integers(0, 9), st.none() | st.sampled_from(PEERS))


def play(mta: Mta, peer: Peer, helo: bytes, turns: Sequence[Turn]) -> Iterator[object]:
    """Yield what becomes of the messages of a session."""
    mta.greet(peer, helo)
    ended = False  # the last message, and was taken
    for mail, given_up, client in turns:
        if client and ended and mta.offer.version == 6:
            mta.raw(wire.packet(Command.QUIT_NEW_CONNECTION))
            mta.client(client, helo)
        if given_up is None:
            outcome = mta.send(mail)
            ended = outcome.taken
            yield {check: told(outcome, check) for check in told_by(outcome)}  # for whoever has to read a failure
            yield outcome._replace(quarantine=re.sub(rb"; ref \S+", b"", outcome.quarantine))  # never twice the same
            continue
        steps = list(events(mail, bool(mta.agreed.steps & Steps.LEADING_SPACE)))[:-1]
        for command, packet in steps[:given_up]:
            yield mta.event(command, packet)
        mta.abort()
        ended = False
    assert mta.quit() == []


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[TrivialMilter, TrivialMilter]]]:
    """Give both engines with each set of checks."""
    needs_engine("libmilter")
    started: list[tuple[TrivialMilter, TrivialMilter]] = []
    try:
        for checks in CHECKS:
            native, libmilter = (
                TrivialMilter(tmp_path_factory.mktemp(engine), engine, checks=checks).ready()
                for engine in ("native", "libmilter")
            )
            started.append((native, libmilter))
        yield started
    finally:
        for daemon in [one for pair in started for one in pair]:
            daemon.__exit__(None, None, None)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 1), st.sampled_from(OFFERS), st.sampled_from(PEERS), TEXT, st.booleans(),
       st.lists(TURNS, min_size=1, max_size=4))  # fmt: skip
def test_both_engines_say_the_same_of_any_session(
    pairs: list[tuple[TrivialMilter, TrivialMilter]],
    which: int, offer: Options, peer: Peer, helo: bytes, named: bool, turns: list[Turn],
) -> None:  # fmt: skip
    macros = {**KNOWN, b"{auth_authen}": "pé".encode()} if named else {}
    played = []
    for daemon in pairs[which]:
        with daemon.mta(offer, macros) as mta:
            played.append([*play(mta, peer, helo, turns), mta.agreed])
    native, libmilter = played
    assert native == libmilter
