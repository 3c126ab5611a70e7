"""``vaglio config defaults`` and ``vaglio config show``: the printed configuration is the one in force."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, Field

from vaglio.checks.greylist.settings import GreylistSettings, Rule
from vaglio.checks.ratelimit.settings import RatelimitSettings
from vaglio.config.chain import READY
from vaglio.config.describe import defaults, field_texts, show, show_json
from vaglio.config.load import Loaded, load
from vaglio.config.model import VaglioConfig
from vaglio.config.types import DaemonSection, Duration, Section
from vaglio.config.words import as_toml, is_section, kind_of

KEY_LINE = re.compile(r"^#(?=[a-z])", re.MULTILINE)


def sections(model: type[BaseModel]) -> set[type[BaseModel]]:
    """Return a settings class and all those in it."""
    kinds = [kind_of(field).type for field in model.model_fields.values()]
    inner = {kind for outer in kinds for kind in (outer, *get_args(outer)) if is_section(kind)}
    return {model}.union(*map(sections, inner))


@pytest.mark.parametrize("section", sorted(sections(VaglioConfig), key=str), ids=lambda section: section.__name__)
def test_every_key_has_a_default_or_an_example_and_every_key_and_section_its_words(section: type[BaseModel]) -> None:
    section(**{name: field.examples[0] for name, field in section.model_fields.items() if field.examples})
    assert section.__doc__
    if section is not VaglioConfig:
        assert field_texts(section).keys() == section.model_fields.keys()


def test_the_defaults_as_printed_are_a_file_that_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "vaglio.toml"
    path.write_text(defaults())
    loaded = load(path, {})
    assert loaded.config == VaglioConfig()
    sections = dict.fromkeys(key.partition(".")[0] for key in loaded.origins)  # [dnsbl] and [dnsbl.rules] are one
    assert sections.keys() == VaglioConfig.model_fields.keys() - {"chain"}  # which stands in comments
    assert all("authserv_id" in one for one in loaded.warnings)  # the name of the host that runs this test may be short


def test_the_defaults_without_comment_signs_are_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "vaglio.toml"
    path.write_text(KEY_LINE.sub("", defaults()))
    loaded = load(path, {})
    assert loaded.config == VaglioConfig()
    tables = {"greylist.rule", "greylist.text", "dnsbl.lists", "ratelimit.text", "spf.rule", "spf.text",
              "dkim.sign.keys", "score.domains", "score.links.lists"}  # fmt: skip
    plain = {setting.key for setting in show(Loaded(VaglioConfig()))} - tables
    commented = ("ratelimit.rule[", "tag.rule[", "chain.")
    plain = {key for key in plain if not key.startswith(commented)}
    assert loaded.origins.keys() == plain


def test_the_examples_in_the_defaults_are_valid_too(tmp_path: Path) -> None:
    examples = [line[4:].removeprefix("# ") for line in defaults().splitlines() if line.startswith("#   ")]
    text = "\n".join(line for line in examples if line.startswith("[") or " = " in line)
    path = tmp_path / "vaglio.toml"
    text = text.replace(".NAME]", ".it]").replace('file = ""', 'file = "/etc/vaglio/private"')
    before, links, behind = text.partition("[[score.links.lists]]")
    path.write_text(before + links + behind.replace('zone = ""', 'zone = "links.test"'))
    config = load(path, {}).config
    assert config.greylist.rule[0].delay == 300
    assert config.greylist.text.keys() == {"it"}
    assert [rule.model_copy(update={"ramp_up": 0}) for rule in config.ratelimit.rule] == RatelimitSettings().rule


def test_the_text_of_chains_says_what_those_that_ship_check() -> None:
    text = " ".join(line.strip("# ") for line in defaults().splitlines())
    for name, table in READY.items():
        assert re.search(rf'"{name}" (?:is )?for [^"]* and has {re.escape(as_toml(table["checks"]))}', text)


def test_the_defaults_are_written_as_an_admin_would_and_explained() -> None:
    lines = defaults().splitlines()
    for line in ('#delay = "5m"', '#lifetime = "35d"', '#max_size = "200 MB"', "#workers = 1", "#pass_trusted = true"):
        assert lines[lines.index(line) - 1].startswith("# ")
    assert "# A first contact is deferred this long." in lines
    assert "# Worker processes on the same sockets; \"auto\" is one per CPU." in lines  # from the base class
    assert all(len(line) <= 100 for line in lines if line.startswith("# ") and line[1:4] != "   ")


class First(DaemonSection):
    """The first daemon."""

    listen: list[str] = Field(default=["inet:127.0.0.1:1"])
    """Sockets to listen on."""
    own: int = 1
    """Something of its own."""
    rule: list[Rule] = Field(default=[])
    """Exceptions, in order."""


class Second(First):
    """The second daemon."""

    listen: list[str] = Field(default=["inet:127.0.0.1:2"])
    """Sockets to listen on."""
    deadline: Duration = 60
    """Other words than those of the base class."""
    own: int = 2
    """Something quite different."""


class Both(Section):
    """All settings."""

    first: First = Field(default_factory=First)
    second: Second = Field(default_factory=Second)


def test_what_two_sections_have_in_common_is_explained_at_the_first() -> None:
    first, _, second = defaults(Both).partition("[second]")
    assert "# Sockets to listen on." in first
    assert second == """

# Other words than those of the base class.
#deadline = "1m"

# Something quite different.
#own = 2

# As explained in [first]:
#listen = ["inet:127.0.0.1:2"]
#socket_mode = "0660"
#socket_owner = ""
#socket_group = ""
#workers = 1
#on_error = "pass"
#mode = "enforce"

# Exceptions, in order. An exception: the first [[greylist.rule]] whose conditions all hold
# decides for that client.
#   [[second.rule]]
#
#   # As explained in [first.rule]:
#   clients = []
#   senders = []
#   recipients = []
#   reverse_dns = "any"
#   # delay = "5m"
#   greylist = true
"""


def test_what_is_not_explained_again_is_printed_whole() -> None:
    told = tomllib.loads(KEY_LINE.sub("", defaults(Both)))
    assert {name: set(section) for name, section in told.items()} == {
        name: set(section.model_fields) - {"rule"} for name, section in (("first", First), ("second", Second))
    }
    assert told["second"]["listen"] == Second().listen


CHANGED = """\
[greylist]
delay = "90m"
workers = "auto"
[[greylist.rule]]
clients = ["192.0.2.0/24"]
delay = "1h"
[greylist.text.it]
first = "Riprova"
[identity]
languages = {"caio.it" = "it"}
"""


@pytest.fixture
def changed(tmp_path: Path) -> Loaded:
    path = tmp_path / "vaglio.toml"
    path.write_text(CHANGED)
    return load(path, {"STATE_DIRECTORY": "/srv/vaglio"})


def test_show_names_the_value_and_origin_of_each_setting(changed: Loaded) -> None:
    rows = {row.key: (row.value, row.origin) for row in show(changed)}
    file = str(changed.path)
    assert rows["greylist.delay"] == ('"1h30m"', f"{file}:2")
    assert rows["greylist.workers"] == ('"auto"', f"{file}:3")
    assert rows["greylist.rule[0].clients"] == ('["192.0.2.0/24"]', f"{file}:5")
    assert rows["greylist.rule[0].delay"] == ('"1h"', f"{file}:6")
    assert rows["greylist.rule[0].greylist"] == ("true", "default")
    assert rows["greylist.text.it.first"] == ('"Riprova"', f"{file}:8")
    assert rows['identity.languages."caio.it"'] == ('"it"', f"{file}:10")
    assert rows["state.url"] == ('"sqlite:///srv/vaglio"', "environment STATE_DIRECTORY")
    assert rows["journal.max_size"] == ('"200 MB"', "default")


def test_what_show_prints_can_be_loaded_again(changed: Loaded, tmp_path: Path) -> None:
    rows = [row for row in show(changed) if "[" not in row.key]
    again = tmp_path / "again.toml"
    again.write_text("\n".join(f"{row.key} = {row.value}" for row in rows))
    assert load(again, {}).config == changed.config.model_copy(
        update={"greylist": changed.config.greylist.model_copy(update={"rule": []})}
    )


def test_json_has_durations_in_seconds_and_survives_a_round_trip(changed: Loaded) -> None:
    told: dict[str, Any] = json.loads(json.dumps(show_json(changed)))
    assert told["file"] == str(changed.path)
    assert told["warnings"] == []
    assert {"key": "greylist.delay", "value": 5400, "origin": f"{changed.path}:2"} in told["settings"]


def test_without_a_file_json_says_so_and_every_origin_is_the_default() -> None:
    told = show_json(Loaded(VaglioConfig()))
    assert told["file"] is None
    assert {setting["origin"] for setting in told["settings"]} == {"default"}
    assert {"key": "greylist.key", "value": GreylistSettings().key, "origin": "default"} in told["settings"]


def test_a_value_with_odd_characters_is_shown_as_valid_toml(tmp_path: Path) -> None:
    path = tmp_path / "vaglio.toml"
    path.write_text(r'''greylist.socket_owner = "\u202e \"owner\" \\ \u007f\n\U000e0001"''')
    loaded = load(path, {})
    row = next(row for row in show(loaded) if row.key == "greylist.socket_owner")
    assert row.value.isprintable()
    assert tomllib.loads(f"x = {row.value}")["x"] == loaded.config.greylist.socket_owner


def test_an_access_key_is_shown_to_nobody(tmp_path: Path) -> None:
    path = tmp_path / "vaglio.toml"
    path.write_text('[[dnsbl.lists]]\nname = "spamhaus-zen-dqs"\nkey = "topsecret"\n[[dnsbl.lists]]\nfile = "/f"\n')
    loaded = load(path, {})
    rows = {row.key: (row.value, row.plain) for row in show(loaded)}
    assert rows["dnsbl.lists[0].key"] == ('"***"', "***")
    assert rows["dnsbl.lists[1].key"] == ('""', "")
    assert "topsecret" not in f"{show(loaded)}{show_json(loaded)}{loaded.config!r}"
