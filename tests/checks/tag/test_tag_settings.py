"""The section [tag]: what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from vaglio.config.describe import defaults
from vaglio.config.load import ConfigError, load


def problems(folder: Path, text: str) -> str:
    path = folder / "vaglio.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as failed:
        load(path, {})
    return str(failed.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('[[tag.rule]]\nwhen = ["spma"]\ntag = "[SPAM]"', ('tag.rule[0].when[0]', '"spma"', '"external"')),
        ('[[tag.rule]]\nwhen = ["spam", "spf=bad"]', ("tag.rule[0].when[1]", '"spf=bad"', "softfail")),
        ('[[tag.rule]]\nwhen = []', ("tag.rule[0].when", "not empty")),
        ('[[tag.rule]]\ntag = "SPAM"', ("tag.rule[0].tag", '"SPAM"', '"[SPAM]"')),
        ('[[tag.rule]]\nrecipients = ["a b"]', ("tag.rule[0].recipients[0]", '"a b"')),
        ('[[tag.rule]]\ndomains = ["caio.it"]', ("tag.rule[0].domains",)),
        ('[tag]\nremove = ["***"]', ("tag.remove[0]", '"***"', "a letter")),
        ('[tag]\ntrusted_networks = ["caio.it"]', ("tag.trusted_networks[0]", '"caio.it"')),
    ],
)
def test_what_can_not_be_is_named_with_its_place_and_what_is_wanted(
    tmp_path: Path, text: str, found: tuple[str, ...]
) -> None:
    said = problems(tmp_path, text)
    assert all(one in said for one in found), said


RULES = '[[tag.rule]]\nwhen = ["external", "not spam", "dmarc=fail", "spf.domain"]\n'
CHAIN = '[chain.all]\nchecks = {checks}\n[chain.inbound]\nchecks = ["spf"]\n'


@pytest.mark.parametrize(
    ("text", "doubtful"),
    [
        (CHAIN.format(checks='["spf", "score", "tag"]'), {2: '"dmarc"'}),
        (CHAIN.format(checks='["spf", "tag", "score"]'), {1: "only tag.trust_spam_headers = true", 2: '"dmarc"'}),
        (CHAIN.format(checks='["tag"]'), {1: '"score"', 2: "only tag.remove_forged = false", 3: '"spf" before "tag"'}),
        ("[tag]\nremove_forged = false\ntrust_spam_headers = true\n" + CHAIN.format(checks="[]"), {3: '"spf"'}),
    ],
)
def test_conditions_of_which_nobody_tells_are_warned_of(tmp_path: Path, text: str, doubtful: dict[int, str]) -> None:
    path = tmp_path / "vaglio.toml"
    path.write_text(f'[identity]\nauthserv_id = "mail.caio.it"\n{text}{RULES}')
    said = [one for one in load(path, {}).warnings if "tag.rule" in one]
    assert len(said) == len(doubtful)
    for one, (place, words) in zip(said, doubtful.items(), strict=True):
        assert f"tag.rule[0].when[{place}]: " in one
        assert words in one


def test_the_shipped_rule_is_shown_among_the_defaults() -> None:
    shown = defaults()
    assert "#   [[tag.rule]]\n" in shown
    assert '#   when = ["spam"]' in shown
    assert '#   tag = "[SPAM]"' in shown
