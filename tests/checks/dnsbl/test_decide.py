from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaglio.blocklists.answers import Trouble
from vaglio.checks.dnsbl.decide import Hit, band, basis, decide, helo_kind, score_of, settled
from vaglio.checks.dnsbl.settings import DnsblSettings

SETTINGS = DnsblSettings()


def hit(name: str, weight: float, shadow: bool = False) -> Hit:
    return Hit(name, "client", "192.0.2.7", "127.0.0.2", weight, shadow=shadow)


def test_a_list_counts_once_by_its_weightiest_entry() -> None:
    assert score_of([hit("a", 1), hit("a", 3), hit("b", -2), hit("b", -1)]) == 1


WEIGHTS = st.floats(-10, 10)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), WEIGHTS), max_size=6),
    st.dictionaries(st.sampled_from("abcde"), st.tuples(st.floats(-10, 0), st.floats(0, 10)), max_size=4),
    st.data(),
)
def test_a_settled_verdict_is_what_all_answers_would_have_given(
    known: list[tuple[str, float]], outstanding: dict[str, tuple[float, float]], data: st.DataObject
) -> None:
    hits = [hit(name, weight) for name, weight in known]
    if settled(hits, outstanding, SETTINGS):
        late = [hit(name, data.draw(st.floats(low, high))) for name, (low, high) in outstanding.items()]
        assert band(score_of(hits + late), SETTINGS) == band(score_of(hits), SETTINGS)


def test_a_list_that_may_still_turn_to_the_other_side_is_waited_for() -> None:
    known = [hit("both", 3), hit("other", 7)]
    assert not settled(known, {"both": (-5, 3)}, SETTINGS)
    assert settled(known, {"third": (-4.9, 3)}, SETTINGS)


def test_thresholds_of_zero_never_act() -> None:
    idle = DnsblSettings(reject=0, defer=0, greylist=0, header=0, trust=0)
    assert {band(score, idle) for score in (-100.0, 0.0, 100.0)} == {band(0.0, idle)}


def test_a_decision_without_hits_is_clean() -> None:
    assert decide([], {}, SETTINGS).reason == "not-listed"


def test_a_list_that_refused_us_was_not_silent() -> None:
    trouble = {"b": Trouble.REFUSES_US, "c": Trouble.SILENT, "a": Trouble.NO_ADDRESS_LIST}
    facts = basis(decide([], trouble, SETTINGS), SETTINGS)
    assert (facts["silent"], facts["trouble"]) == ("c", "a answers-outside-127, b refuses-us")


@pytest.mark.parametrize(
    ("hits", "named", "outweighed"),
    [
        ([hit("bl", 5), hit("wl", -10)], "wl", "bl"),
        ([hit("bl", 5), hit("wl", -1)], "wl", "bl"),  # suspicious still, and not refused
        ([hit("low", 1), hit("wl", -4)], "wl", "low"),
        ([hit("wl", -1), hit("friends", -4)], "friends", ""),
        ([hit("low", 2), hit("wl", -1)], "low", None),  # it would have passed anyhow
        ([hit("low", 2)], "low", None),
        ([hit("bl", 9), hit("wl", -1)], "bl", None),
        ([hit("bl", 5), hit("shadow", 9, True), hit("wl", -1), hit("idle", -9, True)], "wl", "bl"),
        ([hit("shadow", 9, True)], "shadow", None),
    ],
)
def test_the_list_that_is_named_is_the_one_that_decided(
    hits: list[Hit], named: str, outweighed: str | None
) -> None:
    facts = basis(decide(hits, {}, SETTINGS), SETTINGS)
    assert (facts["list"], facts.get("outweighed")) == (named, outweighed or None)


@given(st.lists(st.builds(hit, st.sampled_from("abcd"), st.floats(-10, 10), st.booleans()), max_size=6))
def test_every_decision_has_a_basis(hits: list[Hit]) -> None:
    facts = basis(decide(hits, {}, SETTINGS), SETTINGS)
    assert ("list" in facts) == bool(hits)


@pytest.mark.parametrize(
    ("helo", "kind"),
    [
        ("mail.tizio.it", "name"), ("mail.tizio.it.", "name"), ("[192.0.2.7]", "literal"), ("[192.0.2.8]", "address"),
        ("[IPv6:2001:db8::1]", "address"), ("192.0.2.7", "address"), ("2001:db8::1", "address"),
        ("friend", "unqualified"), ("", "unqualified"), ("x" * 300 + ".it", "unqualified"), ("tìzio.it", "unqualified"),
    ],
)  # fmt: skip
def test_kinds_of_helo(helo: str, kind: str) -> None:
    assert helo_kind(helo, "192.0.2.7") == kind
