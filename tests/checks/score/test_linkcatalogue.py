"""The shipped lists of links' domains: each is sound, none has ended, and the page that names them is current."""

from __future__ import annotations

import configparser
import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

from vaglio.blocklists.answers import Trouble, compiled, read
from vaglio.blocklists.catalogue import ended
from vaglio.blocklists.settings import KEY
from vaglio.checks.score.linkcatalogue import common, doubts, effective, misfits, shipped
from vaglio.checks.score.settings import LinkListSettings, LinksSettings, ScoreSettings
from vaglio.ports import Answer, Outcome

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "score-lists.md"
LISTS = list(shipped().values())
ON = [one for one in LISTS if one.enabled]


def each(lists: list[LinkListSettings]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("one", lists, ids=lambda one: one.name)


@each(LISTS)
def test_a_list_says_all_that_an_admin_and_a_reader_must_know(one: LinkListSettings) -> None:
    assert one.zone
    assert one.terms
    assert one.checked
    assert one.url.startswith("https://")
    assert one.codes, "which codes count"
    assert one.reasons.keys() == one.reasons_it.keys()
    assert not one.shadow


@each(LISTS)
def test_each_code_that_counts_has_a_reason(one: LinkListSettings) -> None:
    ready = compiled(one)
    for code in one.codes:
        if code.startswith("bit"):
            assert code in one.reasons
        else:
            for end in ("-", None):  # the first and the last code of the pattern
                ends = [part.partition("-")[0] if end else part.rpartition("-")[2] for part in code.split(".")]
                assert ready.reason_of(".".join(ends)), code


@each(LISTS)
def test_what_says_that_a_list_does_not_answer_us_is_no_hit(one: LinkListSettings) -> None:
    for code in ("127.255.255.252", "127.255.255.254", "127.255.255.255", *one.blocked):
        assert read(compiled(one), Answer(Outcome.OK, (code,))) is Trouble.REFUSES_US, code
    if any(code.startswith("bit") for code in one.codes):
        assert "127.0.0.1" in one.blocked


def test_spamhaus_is_never_asked_about_addresses() -> None:
    assert all("address" not in one.asked_about for one in LISTS if "spamhaus" in one.name)


@each([one for one in LISTS if KEY in one.zone])
def test_a_list_with_a_key_is_off_until_it_has_one(one: LinkListSettings) -> None:
    assert not one.enabled
    mine = LinksSettings(lists=[LinkListSettings(name=one.name, key="abc123")])
    assert one.name in {asked.name for asked in effective(mine)}
    (misfit,) = misfits(LinksSettings(use=[one.name]))
    assert misfit.wanted == f'an entry of score.links.lists with name = "{one.name}" and its access key'


@each(ON)
def test_what_is_on_by_itself_asks_nothing_of_the_admin(one: LinkListSettings) -> None:
    assert re.search("free without registration", one.terms, re.IGNORECASE)


def test_without_the_admin_no_list_makes_spam_of_a_message_and_two_that_agree_do() -> None:
    worst = sorted(max(one.codes.values()) for one in ON)
    assert worst[-1] < ScoreSettings().tag <= worst[0] + worst[1]


@each(LISTS)
def test_no_list_has_ended(one: LinkListSettings) -> None:
    assert not any(one.zone == zone or one.zone.endswith(f".{zone}") for zone in ended())


def test_lists_that_can_not_be_are_named_with_their_place() -> None:
    mine = LinksSettings.model_validate(
        {"use": ["surbel"], "lists": [{"name": "empty"}, {"name": "m", "zone": "m.test", "kind": "address",
                                                          "subjects": ["link"]}]}
    )  # fmt: skip
    assert [(misfit.path, misfit.found) for misfit in misfits(mine)] == [
        (("use", 0), '"surbel"'),
        (("lists", 0), '"empty"'),
        (("lists", 1, "subjects", 0), '"link"'),
    ]


def test_a_list_that_has_ended_or_asks_the_same_twice_is_doubted() -> None:
    mine = LinksSettings.model_validate(
        {"lists": [{"name": "a", "zone": "rhsbl.ahbl.org"}, {"name": "b", "zone": "multi.uribl.com",
                                                              "codes": {"bit 2": 1}}]}
    )  # fmt: skip
    texts = [f"{'.'.join(map(str, doubt.path))}: {doubt.text}" for doubt in doubts(mine)]
    assert texts[0].startswith("lists.0.zone: rhsbl.ahbl.org has ended (AHBL")
    assert texts[1].startswith('lists.1.zone: asks the zone of "uribl" for the same once more')


def test_the_page_has_the_lists_as_they_are() -> None:
    spec = importlib.util.spec_from_file_location("score_lists", ROOT / "docs" / "score_lists.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = PAGE.read_text()
    assert module.page(text) == text, "run: python docs/score_lists.py"
    assert all(f"| `{one.name}` | `{one.zone}` |" in text for one in LISTS)
    assert all(f"`{name}`" in text for name in common())


def test_the_page_s_examples_are_settings() -> None:
    examples = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(examples) > 2
    for example in examples:
        settings = LinksSettings(**tomllib.loads(example)["score"]["links"])
        assert effective(settings)
        assert list(misfits(settings)) == []


def test_the_shipped_file_is_installed() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert "linkcatalogue.toml" in setup["options.package_data"]["vaglio.checks.score"].split()
