"""The keys of a domain: what is written down, and how a life goes on."""

from __future__ import annotations

import json
import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaglio.checks.dkim.signing.ring import (
    Ring,
    RingKey,
    adopt,
    begin,
    fresh_selectors,
    read_ring,
    retire_due,
    revoke,
    ring_text,
    switch,
    unrevoked,
    without_revoked,
)

DAY = 86400
EMPTY = Ring("tizio.it")
KEY = {"selector": "a", "algorithm": "rsa", "file": "a.pem", "state": "new", "created": 1}


def states(ring: Ring) -> dict[str, str]:
    return {key.selector: key.state for key in ring.keys}


def test_a_ring_is_read_as_it_was_written() -> None:
    ring = begin(EMPTY, {"rsa": "1r", "ed25519": "1e"}, 100.5)
    ring = begin(switch(ring, 200), {"rsa": "2r"}, 300)
    assert sorted(read_ring(ring_text(ring)).keys) == sorted(ring.keys)
    assert ring_text(read_ring(ring_text(ring))) == ring_text(ring)


def test_keys_are_written_in_the_order_in_which_they_were_made() -> None:
    ring = Ring("tizio.it", (RingKey("b", "rsa", "b.pem", "new", 2), RingKey("a", "rsa", "a.pem", "new", 2),
                             RingKey("z", "rsa", "z.pem", "new", 1)))  # fmt: skip
    assert [key["selector"] for key in json.loads(ring_text(ring))["keys"]] == ["z", "a", "b"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"file": "../a.pem"}, 'key "a": file: found "../a.pem", wanted a plain file name such as "20261122r.pem"'),
        ({"file": "a/b"}, "wanted a plain file name"),
        ({"file": ".."}, "wanted a plain file name"),
        ({"file": "keys.json"}, "wanted a plain file name"),
        ({"file": "/etc/shadow"}, "wanted a plain file name"),
        ({"file": "a\u0000b"}, "wanted a plain file name"),
        ({"selector": "-a"}, 'key "-a": selector: found "-a", wanted a selector'),
        ({"selector": "a..b"}, "wanted a selector"),
        ({"selector": "a" * 64}, "wanted a selector"),
        ({"selector": "è"}, "wanted a selector"),
        ({"selector": 5}, "key 1: selector: found 5, wanted a selector"),
        ({"algorithm": "rsa-sha1"}, 'algorithm: found "rsa-sha1", wanted "rsa" or "ed25519"'),
        ({"state": "lost"}, 'state: found "lost", wanted "new", "signing" or "retired"'),
        ({"state": ["new"]}, 'state: found ["new"], wanted "new"'),
        ({"created": "yesterday"}, 'created: found "yesterday", wanted Unix seconds'),
        ({"created": True}, "created: found true, wanted Unix seconds"),
        ({"created": -1}, "created: found -1, wanted Unix seconds"),
        ({"created": None}, "created: found null, wanted the time when it became new"),
        ({"state": "signing"}, "switched: found nothing, wanted the time when it became signing"),
        ({"more": 1}, 'found "more", which is none of selector, algorithm'),
    ],
)
def test_what_is_wrong_with_a_key_is_said(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        read_ring(json.dumps({"domain": "tizio.it", "keys": [KEY | changes]}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ("[]", 'wanted {"domain"'),
        ('{"domain": "tizio.it"}', 'wanted {"domain"'),
        ('{"domain": "tizio.it", "keys": {}}', 'wanted {"domain"'),
        ('{"domain": "../it", "keys": []}', 'domain: found "../it"'),
        ('{"domain": "Tizio.it", "keys": []}', "in A-labels and lower case"),
        ('{"domain": "it", "keys": []}', 'domain: found "it"'),
        ('{"domain": 1, "keys": []}', "domain: found 1"),
        ('{"domain": "tizio.it", "keys": [3]}', "key 1: found 3, wanted {"),
    ],
)
def test_what_is_no_ring_is_said(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        read_ring(text)


WORDS = st.sampled_from(["a.pem", "new", "rsa"]) | st.text(max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(RingKey._fields), inner, max_size=9),
    max_leaves=12,
)


@given(JSON, st.lists(st.dictionaries(st.sampled_from(RingKey._fields), JSON), max_size=2))
def test_whatever_stands_there_is_a_ring_or_is_refused_in_words(domain: object, keys: list[dict[str, object]]) -> None:
    for text in (json.dumps(domain), json.dumps({"domain": "tizio.it", "keys": [KEY | key for key in keys]}),
                 json.dumps({"domain": domain, "keys": domain})):  # fmt: skip
        with suppress(ValueError):
            ring = read_ring(text)
            assert read_ring(ring_text(ring)).domain == ring.domain


def test_no_two_keys_have_one_selector_or_one_file() -> None:
    for other, words in (({"selector": "A", "file": "b"}, 'the selector "A"'), ({"selector": "b"}, 'file "a.pem"')):
        with pytest.raises(ValueError, match=f"two keys have the .*{words.split()[-1]}"):
            read_ring(json.dumps({"domain": "tizio.it", "keys": [KEY, KEY | other]}))


def test_selectors_are_of_the_day_and_unique() -> None:
    assert fresh_selectors(EMPTY, ("rsa", "ed25519"), "20261122") == {"rsa": "20261122r", "ed25519": "20261122e"}
    ring = begin(EMPTY, {"rsa": "20261122R"}, 1)
    assert fresh_selectors(ring, ("rsa",), "20261122", ["20261122r2"]) == {"rsa": "20261122r3"}


def test_a_selector_is_never_had_twice() -> None:
    ring = begin(EMPTY, {"rsa": "a"}, 1)
    with pytest.raises(ValueError, match=r"tizio\.it has a key with the selector A already"):
        begin(ring, {"ed25519": "A"}, 2)
    with pytest.raises(ValueError, match=r"tizio\.it has a key with the selector a already"):
        adopt(ring, "a", "rsa", 2)


def test_new_keys_sign_after_the_switch_and_the_old_ones_retire() -> None:
    ring = switch(begin(EMPTY, {"rsa": "1r", "ed25519": "1e"}, 1), 10)
    assert states(ring) == {"1r": "signing", "1e": "signing"}
    ring = switch(begin(ring, {"rsa": "2r", "ed25519": "2e"}, 20), 30)
    assert states(ring) == {"1r": "retired", "1e": "retired", "2r": "signing", "2e": "signing"}
    assert ring.keys[0] == RingKey("1r", "rsa", "1r.pem", "retired", 1, 10, 10, 30)
    assert [key.since for key in ring.keys] == [30, 30, 30, 30]


def test_a_key_whose_algorithm_no_new_one_has_signs_on() -> None:
    ring = switch(begin(EMPTY, {"rsa": "1r", "ed25519": "1e"}, 1), 10)
    ring = switch(begin(ring, {"rsa": "2r"}, 20), 30)
    assert states(ring) == {"1r": "retired", "1e": "signing", "2r": "signing"}


def test_without_new_keys_nothing_switches() -> None:
    ring = switch(begin(EMPTY, {"rsa": "1r"}, 1), 10)
    assert switch(ring, 20) == ring


def test_an_adopted_key_signs_and_takes_no_other_ones_place() -> None:
    ring = adopt(switch(begin(EMPTY, {"rsa": "1r"}, 1), 10), "mail", "rsa", 20)
    assert states(ring) == {"1r": "signing", "mail": "signing"}


def test_a_retired_key_is_revoked_after_its_days() -> None:
    ring = switch(begin(switch(begin(EMPTY, {"rsa": "1r"}, 1), 10), {"rsa": "2r"}, 20), 30)
    assert retire_due(ring, 30 + 14 * DAY - 1, 14) == ()
    assert [key.selector for key in retire_due(ring, 30 + 14 * DAY, 14)] == ["1r"]
    done = revoke(ring, ["1r", "2r"], 99)
    assert [(key.selector, key.state, key.revoked) for key in done.keys] == [("1r", "retired", 99),
                                                                            ("2r", "signing", None)]  # fmt: skip
    assert unrevoked(done) == retire_due(done, 1e12, 14) == ()
    rest, gone = without_revoked(done)
    assert states(rest) == {"2r": "signing"}
    assert [key.selector for key in gone] == ["1r"]
