"""Rows, targets, tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.report import Row, Target, as_json, cells, markdown_table, replace_section, section, text_table

FASTER = Row("new", "req/s", (2000.0, 1900.0, 2100.0), (16000.0, 17000.0, 1.0), Target("ratio", ">=", 8))
SMALL = Row("memory", "MiB", (), (61.0,), Target("ours", "<=", 60))
PLAIN = Row("rate", "req/s", (), (5.0,))


def test_the_median_of_the_runs_counts() -> None:
    assert (FASTER.peer_median, FASTER.our_median, FASTER.ratio) == (2000.0, 16000.0, 8.0)


@pytest.mark.parametrize(
    ("row", "met"),
    [
        (FASTER, True),
        (SMALL, False),
        (PLAIN, None),
        (Row("p99", "ms", (10.0,), (2.1,), Target("ratio", "<=", 0.2)), False),
        (Row("p99", "ms", (10.0,), (2.0,), Target("ratio", "<=", 0.2)), True),
        (Row("no peer", "s", (), (2.0,), Target("ratio", "<=", 0.2)), False),
    ],
)
def test_a_target_is_met_or_not(row: Row, met: bool | None) -> None:
    assert row.met is met


def test_cells_are_for_people() -> None:
    assert cells(FASTER) == ("new", "req/s", "2,000", "16,000", "8", "at least 8 times", "yes")
    assert cells(SMALL) == ("memory", "MiB", "-", "61", "-", "at most 60", "NO")
    assert cells(PLAIN)[-2:] == ("", "")


def test_the_text_table_is_aligned() -> None:
    lines = text_table([FASTER, SMALL]).splitlines()
    assert len(lines) == 4
    assert lines[2].index("2,000") + 5 == lines[0].index("postgrey") + 8


def test_the_markdown_table_has_a_line_for_each_row() -> None:
    assert markdown_table([FASTER, SMALL]).count("\n") == 3
    assert "| new | req/s | 2,000 | 16,000 | 8 | at least 8 times | yes |" in section("T", {}, [FASTER], [])


def test_the_figures_that_ours_are_compared_with_have_a_heading() -> None:
    assert text_table([FASTER], "the other").splitlines()[0].split() == (
        ["unit", "the", "other", "vaglio", "ratio", "target", "met"]
    )
    assert "| the other | vaglio |" in markdown_table([FASTER], "the other")
    assert as_json(FASTER, "the other")["the other_runs"] == [2000.0, 1900.0, 2100.0]


def test_json_has_every_run() -> None:
    found = json.loads(json.dumps(as_json(FASTER)))
    assert found["vaglio_runs"] == [16000.0, 17000.0, 1.0]
    assert (found["met"], found["target"]) == (True, "at least 8 times")


def test_a_section_of_the_docs_is_replaced_and_the_rest_stays() -> None:
    text = "before\n<!-- greylist: begin -->\nold\n<!-- greylist: end -->\nafter\n"
    new = replace_section(text, "greylist", r"new \1")
    assert new == "before\n<!-- greylist: begin -->\n\nnew \\1\n\n<!-- greylist: end -->\nafter\n"
    assert replace_section(new, "greylist", r"new \1") == new


def test_a_document_without_the_marks_is_left_alone() -> None:
    with pytest.raises(ValueError, match="begin"):
        replace_section("nothing", "greylist", "new")


@pytest.mark.parametrize("name", ["greylist", "dnsbl", "score"])
def test_the_page_for_the_figures_has_its_marks(name: str) -> None:
    page = Path(__file__).parents[2] / "docs/performance.md"
    assert "new figures" in replace_section(page.read_text(), name, "new figures")
