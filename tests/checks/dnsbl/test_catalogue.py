"""The shipped lists: each is sound, none is dead, and the page that names them is current."""

from __future__ import annotations

import configparser
import importlib.util
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from vaglio.blocklists.answers import Trouble, compiled, read
from vaglio.blocklists.catalogue import ended
from vaglio.blocklists.settings import KEY
from vaglio.checks.dnsbl.catalogue import doubts, effective, names, shipped
from vaglio.checks.dnsbl.settings import DnsblSettings, ListSettings
from vaglio.ports import Answer, Outcome

ROOT = Path(__file__).parents[3]
CATALOGUE = ROOT / "src" / "vaglio" / "checks" / "dnsbl" / "catalogue.toml"
PAGE = ROOT / "docs" / "dnsbl-lists.md"
LISTS = list(shipped().values())
ON = [one for one in LISTS if one.enabled]


def each(lists: list[ListSettings]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("one", lists, ids=lambda one: one.name)


def test_a_name_and_a_zone_stand_for_one_list() -> None:
    entries = tomllib.loads(CATALOGUE.read_text())["list"]
    assert len({entry["name"] for entry in entries}) == len({entry["zone"] for entry in entries}) == len(entries)


@each(LISTS)
def test_a_list_says_all_that_an_admin_and_a_refused_sender_must_know(one: ListSettings) -> None:
    assert one.zone
    assert one.terms
    assert one.url.startswith("https://")
    assert one.codes, "which codes count"
    assert not one.shadow
    if one.checked:
        assert date(2026, 1, 1) <= date.fromisoformat(one.checked)


@each(LISTS)
def test_each_code_that_counts_has_a_reason(one: ListSettings) -> None:
    ready = compiled(one)
    for code in one.codes:
        if code.startswith("bit"):
            assert code in one.reasons
        else:
            for end in ("-", None):  # the first and the last code of the pattern
                ends = [part.partition("-")[0] if end else part.rpartition("-")[2] for part in code.split(".")]
                assert ready.reason_of(".".join(ends)), code


@each(LISTS)
def test_what_says_that_a_list_does_not_answer_us_is_no_hit(one: ListSettings) -> None:
    for code in ("127.255.255.252", "127.255.255.254", "127.255.255.255", *one.blocked):
        assert read(compiled(one), Answer(Outcome.OK, (code,))) is Trouble.REFUSES_US, code


def test_the_lists_with_other_marks_of_refusal_have_them() -> None:
    marks = {one.name: set(one.blocked) for one in LISTS if one.blocked}
    assert marks == {"dnswl": {"127.0.0.255", "127.0.10.3"}, "surbl": {"127.0.0.1"}, "uribl": {"127.0.0.1"}}


@each(LISTS)
def test_127_0_0_1_is_never_a_hit(one: ListSettings) -> None:
    reading = read(compiled(one), Answer(Outcome.OK, ("127.0.0.1",)))
    assert reading is (Trouble.REFUSES_US if "127.0.0.1" in one.blocked else None)


@pytest.mark.parametrize(
    ("zone", "blocked"),
    [
        ("list.dnswl.org", ["127.0.0.255", "127.0.10.3"]),
        ("multi.uribl.com", ["127.0.0.1"]),
        ("site.multi.uribl.com", ["127.0.0.1"]),
        ("notmulti.uribl.com", []),
    ],
)
def test_an_own_list_in_the_zone_of_a_shipped_one_knows_how_that_refuses(zone: str, blocked: list[str]) -> None:
    mine = DnsblSettings(lists=[ListSettings(name="mine", zone=zone)])
    assert effective(mine)[-1].blocked == blocked


def test_an_own_list_that_says_how_it_refuses_is_believed() -> None:
    mine = DnsblSettings(lists=[ListSettings(name="mine", zone="multi.uribl.com", blocked=[])])
    assert effective(mine)[-1].blocked == []


@each([one for one in LISTS if KEY in one.zone])
def test_a_list_with_a_key_is_off_until_it_has_one(one: ListSettings) -> None:
    assert not one.enabled
    assert not one.key
    mine = DnsblSettings(lists=[ListSettings(name=one.name, key="abc123")])
    assert one.name in {asked.name for asked in effective(mine)}


@each(ON)
def test_what_is_on_by_itself_was_checked_and_asks_nothing_of_the_admin(one: ListSettings) -> None:
    assert one.checked
    assert re.search("free.*without registration|free for anybody", one.terms, re.IGNORECASE)


def test_without_the_admin_no_list_refuses_alone_and_two_that_agree_do() -> None:
    worst = sorted(max(one.codes.values()) for one in ON if one.weight > 0)
    reject = DnsblSettings().reject
    assert worst[-1] < reject <= worst[0] + worst[1]


def test_an_allow_list_is_one_by_all_its_codes() -> None:
    for one in LISTS:
        assert len({weight > 0 for weight in (one.weight, *one.codes.values())}) == 1, one.name


@each(LISTS)
def test_no_list_is_dead(one: ListSettings) -> None:
    assert not any(one.zone == zone or one.zone.endswith(f".{zone}") for zone in ended())


def test_lists_that_have_ended_are_known() -> None:
    known = {"dnsbl.sorbs.net", "sorbs.net", "dnsbl.njabl.org", "dnsbl.ahbl.org", "ix.dnsbl.manitu.net"}
    assert known <= ended().keys()
    assert all(ended().values())
    assert set(re.findall(r"`([a-z0-9.-]+)`", PAGE.read_text())) >= ended().keys()


def doubted(*lists: Mapping[str, object], **settings: object) -> list[str]:
    named = [{"name": f"l{n}", **one} for n, one in enumerate(lists)]
    mine = DnsblSettings.model_validate({"lists": named, **settings})
    return [f"{'.'.join(map(str, doubt.path))}: {doubt.text}" for doubt in doubts(mine)]


@pytest.mark.parametrize("zone", ["dnsbl.sorbs.net", "web.dnsbl.sorbs.net", "key.list.dsbl.org"])
def test_a_list_that_has_ended_is_doubted(zone: str) -> None:
    (doubt,) = doubted({"zone": "bl.test"}, {"zone": zone})
    assert re.fullmatch(r"lists\.1\.zone: \S+ has ended \((SORBS|DSBL), .*\): take this list out", doubt)
    assert "key" not in doubt
    assert doubted({"zone": zone, "enabled": False}) == doubted({"zone": zone}, without=["l0"]) == []


def test_a_zone_that_only_looks_like_one_that_has_ended_is_not_doubted() -> None:
    assert doubted({"zone": "notsorbs.net"}, {"zone": "dnsbl.ahbl.org.test"}, {"zone": "spamhaus.org"}) == []


SAME = [
    ({}, {}),
    ({"codes": {"127.0.0.2-5": 1}}, {"codes": {"127.0.0.5-9": 2}}),
    ({"codes": {"127.0.0.2": 1}}, {}),
    ({"codes": {"127.0.7.0": 1}}, {}),
    ({"codes": {"bit 2": 1, "bit 4": 1}}, {"codes": {"bit 4": 1}}),
    ({"codes": {"bit 2": 1}}, {"codes": {"127.0.0.3": 1}}),
    ({"kind": "domain"}, {"kind": "domain", "subjects": ["sender"]}),
    ({"ipv6": True}, {"ipv4": False, "ipv6": True}),
]
APART = [
    ({"codes": {"127.0.0.2-4": 1}}, {"codes": {"127.0.0.5-9": 2}}),
    ({"codes": {"127.0.0.2": 1, "127.0.0.3": 0}}, {"codes": {"127.0.0.3": 1}}),
    ({"codes": {"127.1.0.2": 1}}, {}),
    ({"codes": {"bit 2": 1}}, {"codes": {"bit 4": 1}}),
    ({"codes": {"bit 2": 1}}, {"codes": {"127.0.0.4": 1}}),
    ({"kind": "domain"}, {"kind": "address"}),
    ({"kind": "domain", "subjects": ["helo"]}, {"kind": "domain", "subjects": ["sender"]}),
    ({"kind": "hash"}, {"kind": "hash", "hash": "md5"}),
    ({}, {"ipv4": False, "ipv6": True}),
    ({}, {"shadow": True}),
    ({}, {"enabled": False}),
    ({}, {"weight": 0}),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_a_zone_that_is_asked_twice_for_the_same_is_doubted(
    first: dict[str, object], second: dict[str, object]
) -> None:
    wanted = ['lists.1.zone: asks the zone of "l0" for the same once more: what it says counts twice']
    assert doubted({"zone": "bl.test", **first}, {"zone": "bl.test", **second}) == wanted


@pytest.mark.parametrize(("first", "second"), APART)
def test_a_zone_that_is_asked_for_different_things_is_not_doubted(
    first: dict[str, object], second: dict[str, object]
) -> None:
    assert doubted({"zone": "bl.test", **first}, {"zone": "bl.test", **second}) == []


def test_a_shipped_zone_under_a_name_of_ones_own_is_doubted_where_both_are_asked() -> None:
    own = {"zone": "zen.spamhaus.org"}
    assert doubted(own) == []
    assert doubted(own, use=["spamhaus-zen"]) == [
        'lists.0.zone: asks the zone of "spamhaus-zen" for the same once more: what it says counts twice'
    ]
    assert doubted({"zone": "bl.spamcop.net", "codes": {"127.0.0.9": 1}}) == []


def test_a_key_is_not_shown_by_a_doubt() -> None:
    zone = {"zone": "{key}.bl.test", "key": "topsecret"}
    (doubt,) = doubted(zone, {"zone": "topsecret.bl.test"})
    assert "topsecret" not in doubt
    assert doubted(zone, {**zone, "key": "another"}) == []


def test_a_shipped_list_is_known_by_its_name_and_its_zone() -> None:
    assert (names()["psbl"], names()["psbl.surriel.com"]) == ("psbl", "psbl")
    assert names()["zen.dq.spamhaus.net"] == "spamhaus-zen-dqs"


def test_the_page_has_the_lists_as_they_are() -> None:
    spec = importlib.util.spec_from_file_location("dnsbl_lists", ROOT / "docs" / "dnsbl_lists.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = PAGE.read_text()
    assert module.page(text) == text, "run: python docs/dnsbl_lists.py"
    assert all(f"| `{one.name}` | `{one.zone}` |" in text for one in LISTS)


def test_the_page_s_examples_are_settings() -> None:
    examples = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(examples) > 4
    for example in examples:
        assert effective(DnsblSettings(**tomllib.loads(example)["dnsbl"]))


def test_the_shipped_file_is_installed() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert "vaglio.checks.dnsbl" in setup["options"]["packages"].split()
    assert setup["options.package_data"]["vaglio.checks.dnsbl"] == "catalogue.toml"
