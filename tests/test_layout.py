"""The checkout's layout: what is written is installed, what is installed runs, what stands in src/ has its tests."""

from __future__ import annotations

import configparser
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMANDS = {"spf_verify": "spf"}
"""Daemons whose files have another name: ``milters/spf.py``, run by itself, would import itself in place of pyspf."""

TREES = {"vaglio": ROOT / "src/vaglio", "vaglio_policyd": ROOT / "policyd", "vaglio_milters": ROOT / "milters"}
"""The packages, and where their files stand."""
LONGEST = 500


def setup() -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


def packages() -> Iterator[tuple[str, Path]]:
    """Yield name and folder of every package in the checkout."""
    for name, folder in TREES.items():
        for path in sorted(folder.rglob("*.py")):
            if path.name == "__init__.py":
                yield ".".join((name, *path.parent.relative_to(folder).parts)), path.parent


def sources() -> list[Path]:
    return [path for folder in TREES.values() for path in sorted(folder.rglob("*.py"))]


def test_every_package_is_installed_and_no_other() -> None:
    assert setup()["options"]["packages"].split() == [name for name, _ in packages()]


def test_every_folder_of_sources_is_a_package() -> None:
    assert {path.parent for path in sources()} == {folder for _, folder in packages()}


def test_the_folders_of_daemons_are_installed_under_our_name() -> None:
    names = dict(line.split(" = ") for line in setup()["options"]["package_dir"].strip().splitlines() if " = " in line)
    assert names.items() == {
        name: folder.name for name, folder in TREES.items() if name != "vaglio" and folder.exists()
    }.items()


def test_every_folder_that_is_installed_goes_into_images() -> None:
    lines = setup()["options"]["package_dir"].strip().splitlines()
    taken = (ROOT / ".dockerignore").read_text().splitlines()
    assert {f"!{line.rpartition('= ')[2]}" for line in lines} <= set(taken)


@pytest.mark.parametrize("line", setup()["options.entry_points"]["console_scripts"].strip().splitlines())
def test_every_command_leads_to_a_function(line: str) -> None:
    name, _, target = line.partition(" = ")
    module, _, function = target.partition(":")
    home = TREES.get(module.partition(".")[0])
    assert name.startswith("vaglio")
    if home and home.name == "policyd":  # from the checkout: installed it has another name
        module = f"policyd.{module.partition('.')[2]}"
    assert callable(getattr(importlib.import_module(module), function))


def test_every_daemon_has_its_command() -> None:
    commands = setup()["options.entry_points"]["console_scripts"]
    for folder in ("policyd", "milters"):
        for path in (ROOT / folder).glob("[!_]*.py"):
            daemon = COMMANDS.get(path.stem, path.stem.replace("_", "-"))
            assert f"vaglio-{daemon} = vaglio_{folder}.{path.stem}:main" in commands


@pytest.mark.parametrize(("name", "folder"), [(name, folder) for name, folder in packages() if "vaglio." in name])
def test_every_folder_is_mirrored_by_tests(name: str, folder: Path) -> None:
    mirror = ROOT / "tests" / folder.relative_to(TREES["vaglio"])
    assert list(mirror.glob("test_*.py")), f"{name} has no tests in {mirror.relative_to(ROOT)}"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_fits_in_the_head_and_says_what_it_does(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < LONGEST
    assert text.startswith('"""')


def test_tests_are_no_packages() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


@pytest.mark.parametrize("path", sorted((ROOT / "src").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_group_is_repeated_possessively(path: Path) -> None:
    """Python before 3.11.5, which Debian 12 has, matches ``(...)*+`` wrongly (gh-106052): ``(?>(...)*)`` does it right.
    Of single characters and classes, ``[a-z]*+``, it is sound.
    """
    assert re.findall(r"\)[*+?]\+[^+]{0,10}", path.read_text()) == []
