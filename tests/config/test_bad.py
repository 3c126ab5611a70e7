"""Golden cases: each file in bad/ is refused with exactly the messages beside it (bad/README.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from vaglio.config.load import ConfigError, load

CASES = sorted((Path(__file__).parent / "bad").glob("*.toml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_file_is_refused_with_the_expected_words(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    said = str(caught.value).replace(str(path), "FILE")
    assert said + "\n" == path.with_suffix(".want").read_text()


def test_there_are_cases_and_each_has_its_words() -> None:
    assert len(CASES) >= 16
    assert {path.stem for path in CASES} == {path.stem for path in CASES[0].parent.glob("*.want")}
