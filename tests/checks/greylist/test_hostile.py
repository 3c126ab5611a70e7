"""Whatever stands in a request, greylisting judges it: nothing gets around the wait by being odd."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaglio.checks.greylist.check import Context, Greylist
from vaglio.checks.greylist.decide import SCHEMA
from vaglio.checks.greylist.settings import GreylistSettings
from vaglio.checks.greylist.whitelists import Whitelists
from vaglio.facts import Stage
from vaglio.hints import SCHEMA as HINTS
from vaglio.policy.parse import Parser, facts_of
from vaglio.policy.render import render
from vaglio.ports import Clock, Store
from vaglio.store import open_store
from vaglio.store.memory import MemoryStore
from vaglio.verdict import Verdict


class StandingClock:
    def now(self) -> float:
        return 1_700_000_000.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing to wait for")


def judge(store: Store, state: Path, raw: bytes) -> Verdict:
    clock: Clock = StandingClock()
    check_settings = GreylistSettings(whitelist_clients=[], whitelist_senders=[], whitelist_recipients=[])
    lists = Whitelists(check_settings, state, lambda _: None)
    context = Context(clock, store, lambda: "REFE-RENC", lists.current, lambda _: "en", "h", b"", lambda _: None,
                      lambda _: None, lambda: MemoryStore(HINTS))  # fmt: skip
    (request,) = Parser().feed(raw)
    verdict = asyncio.run(Greylist(check_settings, context).check(facts_of(request)))
    store.settle()
    return verdict


def request(sender: bytes, recipient: bytes, name: bytes = b"unknown") -> bytes:
    return (
        b"request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=198.51.100.7\ninstance=1\n"
        b"client_name=%b\nsender=%b\nrecipient=%b\n\n" % (name, sender, recipient)
    )


@pytest.mark.parametrize(
    ("sender", "recipient"),
    [
        (b"\xff\xfe@tizio.it", b"caio@caio.it"),
        (b"tizio@tizio.it", b"\xed\xa0\x80@caio.it"),
        (b"a" * 5000 + b"@tizio.it", b"caio@caio.it"),
        (b"@", b"@"),
        (b"tizio@tizio.it\0", b"caio@caio.it"),
        ("tizio@tizìo.it".encode(), "càio@caio.it".encode()),
        (b"prvs=" * 300 + b"@x", b"=" * 500),
    ],
)
def test_an_odd_address_waits_like_any_other_and_is_stored(tmp_path: Path, sender: bytes, recipient: bytes) -> None:
    store = open_store(f"sqlite://{tmp_path}", SCHEMA, warn=print, now=lambda: 0.0)
    try:
        raw = request(sender, recipient)
        assert judge(store, tmp_path, raw).reason == "first-contact"
        assert judge(store, tmp_path, raw).reason == "early-retry"
    finally:
        store.close()


_BYTES = st.binary(max_size=200).map(lambda raw: raw.replace(b"\n", b""))


@settings(max_examples=150, deadline=None)
@given(_BYTES, _BYTES.filter(bool), _BYTES)
def test_any_bytes_get_a_verdict_that_is_one_line(sender: bytes, recipient: bytes, name: bytes) -> None:
    store = open_store("memory:", SCHEMA, warn=print, now=lambda: 0.0)
    verdict = judge(store, Path("/nonexistent"), request(sender, recipient, name))
    assert verdict.action == "defer"
    answer = render(verdict, Stage.RCPT)
    assert answer.decode().count("\n") == 2
    assert len(answer) < 450
    assert "ref REFE-RENC" in answer.decode()
