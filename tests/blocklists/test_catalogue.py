"""What is known of lists that have ended, whoever asks. The shipped lists of each check are tested beside it."""

from __future__ import annotations

import configparser
from pathlib import Path

from vaglio.blocklists.catalogue import ended
from vaglio.checks.dnsbl import catalogue
from vaglio.checks.dnsbl.settings import DnsblSettings
from vaglio.checks.score import linkcatalogue
from vaglio.checks.score.settings import LinksSettings

ROOT = Path(__file__).parents[2]


def test_each_section_hears_of_zones_that_have_ended() -> None:
    assert "list.dsbl.org" in ended()
    entry = [{"name": "old", "zone": "key.list.dsbl.org"}]
    for doubts in (
        list(catalogue.doubts(DnsblSettings.model_validate({"lists": entry}))),
        list(linkcatalogue.doubts(LinksSettings.model_validate({"lists": entry}))),
    ):
        (doubt,) = doubts
        assert doubt.path == ("lists", 0, "zone")
        assert doubt.text.startswith("list.dsbl.org has ended (DSBL")


def test_a_list_of_one_section_is_none_of_the_other() -> None:
    assert "surbl" in catalogue.shipped()
    assert "surbl" in linkcatalogue.shipped()
    assert not catalogue.shipped()["surbl"].enabled
    assert linkcatalogue.shipped()["surbl"].enabled


def test_the_zones_that_have_ended_are_installed() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert "vaglio.blocklists" in setup["options"]["packages"].split()
    assert setup["options.package_data"]["vaglio.blocklists"] == "ended.toml"
