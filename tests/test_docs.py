"""What the documentation says of the programs is what they say of themselves."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from vaglio.checks.ratelimit.limits import Kind
from vaglio.checks.ratelimit.overrides import parse_csv, parse_toml
from vaglio.config.load import load

ROOT = Path(__file__).parents[1]


def manpages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("manpages", ROOT / "docs" / "manpages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_man_pages_are_those_that_the_programs_make() -> None:
    made: dict[str, str] = manpages().pages()
    there = {path.name: path.read_text() for path in (ROOT / "docs" / "man").iterdir()}
    assert there == made, "run: python docs/manpages.py"


@pytest.mark.skipif(not shutil.which("man"), reason="man is not installed")
@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs" / "man").iterdir()))
def test_a_man_page_is_shown_without_a_complaint(page: str) -> None:
    done = subprocess.run(
        ["man", "--warnings", "-l", str(ROOT / "docs" / "man" / page)],
        capture_output=True, text=True, check=True, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stderr == ""
    assert "NAME" in done.stdout


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", *map(str, (ROOT / "docs").glob("*.md"))])
def test_a_document_names_only_files_that_are_there(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


# --- examples ---

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OVERRIDES = re.compile(r"^\[per-user\]$", re.MULTILINE)
"""A block that is no configuration but a file of ratelimit.overrides."""
KINDS = {"per-user": Kind.RECIPIENTS, "volume": Kind.BYTES}


def blocks(path: Path, language: str) -> list[str]:
    """Return what stands between fences of a language, "" for those that name none."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
    return [text for named, text in fences if named == language]


CONFIGURATIONS = [
    pytest.param(text, id=f"{path.name}-{number}")
    for path in DOCUMENTS for number, text in enumerate(blocks(path, "toml"), 1) if not OVERRIDES.search(text)
]  # fmt: skip


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_a_configuration_that_is_shown_is_a_sound_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "vaglio.toml"
    path.write_text(text)
    elsewhere = ("greylist.scope: ", "identity.authserv_id: ")  # what goes with these, their pages say
    assert [one for one in load(path, {}).warnings if not any(key in one for key in elsewhere)] == []


def test_overrides_that_are_shown_can_be_read() -> None:
    document = ROOT / "docs" / "ratelimit.md"
    (rows,) = [text for text in blocks(document, "") if text.startswith("rule,name,limits")]
    (tables,) = [text for text in blocks(document, "toml") if OVERRIDES.search(text)]
    for parse, text in ((parse_csv, rows), (parse_toml, tables)):
        found, problems = parse(text.splitlines(), "shown", KINDS)
        assert problems == []
        assert found.find("per-user", ("boss@tizio.it",)) == ()


def test_the_submission_lines_that_are_shown_are_those_of_the_example() -> None:
    (shown,) = [text for text in blocks(ROOT / "docs" / "ratelimit.md", "") if text.startswith("submission ")]
    assert shown in (ROOT / "examples" / "postfix" / "master.cf.ratelimit").read_text()


def test_the_milter_lines_that_are_shown_are_those_of_the_example() -> None:
    (shown,) = [text for text in blocks(ROOT / "docs" / "milters.md", "") if text.startswith("vaglio_inbound ")]
    example = (ROOT / "examples" / "postfix" / "main.cf.milters").read_text().splitlines()
    assert [line for line in example if line and not line.startswith("#")] == shown.splitlines()
