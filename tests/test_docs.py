"""What the documentation says of the programs is what they say of themselves."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

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
