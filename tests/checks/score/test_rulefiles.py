"""Rule files on disk: which are read, and what becomes of the rules when they change for the better or the worse."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from vaglio.checks.score import rulefiles
from vaglio.checks.score.rulefiles import RuleFiles, load_rules, read_rules, shipped
from vaglio.checks.score.settings import ScoreSettings

GOOD = '[[rule]]\nsymbol = "{}"\nscore = 1\nen = "It is so"\nbody = "x"\n'
BAD = '[[rule]]\nsymbol = "{}"\nscore = 1\nen = "It is so"\nbody = "("\n'


def settings(*paths: Path) -> ScoreSettings:
    return ScoreSettings(rules=[str(path) for path in paths])


def own(files: RuleFiles) -> set[str]:
    return {rule.symbol for rule in files.current.rules if rule.symbol.startswith("OURS_")}


_seconds = itertools.count(1)


def change(path: Path, text: str) -> None:
    """Write a file so that its time differs, be the clock as coarse as it may."""
    path.write_text(text)
    os.utime(path, (0, next(_seconds)))


def test_the_rules_that_ship_have_nothing_wrong() -> None:
    rules, problems = load_rules(settings())
    assert problems == []
    assert (len(rules.rules) > 0) is bool(shipped())


def test_without_rules_that_ship_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rulefiles, "_SHIPPED", "nowhere.d")
    shipped.cache_clear()
    assert read_rules(settings()) == ([], [])
    monkeypatch.undo()
    shipped.cache_clear()


def test_of_a_folder_the_toml_files_are_read_in_their_order(tmp_path: Path) -> None:
    for name in ("b.toml", "a.toml", "a.toml~", ".c.toml", "readme"):
        (tmp_path / name).write_text("")
    sources, problems = read_rules(settings(tmp_path))
    assert [file for file, _ in sources[len(shipped()) :]] == [f"{tmp_path}/a.toml", f"{tmp_path}/b.toml"]
    assert problems == []


def test_what_can_not_be_read_is_told(tmp_path: Path) -> None:
    large, latin, folder = tmp_path / "large", tmp_path / "latin", tmp_path / "folder"
    large.write_bytes(b"#" * (rulefiles.MAX_BYTES + 1))
    latin.write_bytes(b"# one\n# \xe8\n")
    (folder / "x.toml").mkdir(parents=True)
    named = ScoreSettings(rules=[str(large), str(latin), str(folder), "/none", "/a\0b"])
    sources, problems = read_rules(named)
    assert len(sources) == len(shipped())
    wanted = "a readable file of at most 1 MB in UTF-8"
    assert {(problem.file, problem.found, problem.wanted) for problem in problems} == {
        ("/none", "no such file", "a rule file, or a folder of such files"),
        ("/a\0b", "no name of a file", wanted),
        (str(large), "a larger file", wanted),
        (str(latin), "bytes that are no UTF-8 in line 2", wanted),
        (f"{folder}/x.toml", "is a directory", wanted),
    }


def test_no_more_files_are_read_than_the_bound(tmp_path: Path) -> None:
    for number in range(rulefiles.MAX_FILES + 2):
        (tmp_path / f"{number:04}.toml").write_text("")
    sources, problems = read_rules(settings(tmp_path))
    assert len(sources) == len(shipped()) + rulefiles.MAX_FILES
    assert len(problems) == 2


def test_changed_files_are_read_again(tmp_path: Path) -> None:
    said: list[str] = []
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text(GOOD.format("OURS_ONE"))
    files = RuleFiles(settings(tmp_path), said.append)
    before = files.current
    assert (own(files), files.refresh()) == ({"OURS_ONE"}, False)
    assert files.current is before
    two.write_text(GOOD.format("OURS_TWO"))
    assert (files.refresh(), own(files)) == (True, {"OURS_ONE", "OURS_TWO"})
    change(one, GOOD.format("OURS_OTHER"))
    assert (files.refresh(), own(files)) == (True, {"OURS_OTHER", "OURS_TWO"})
    two.unlink()
    assert (files.refresh(), own(files), said) == (True, {"OURS_OTHER"}, [])


def test_a_file_that_became_wrong_keeps_its_last_state_and_is_told_once(tmp_path: Path) -> None:
    said: list[str] = []
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text(GOOD.format("OURS_ONE"))
    two.write_text(GOOD.format("OURS_TWO"))
    files = RuleFiles(settings(tmp_path), said.append)
    change(one, BAD.format("OURS_NEW"))
    assert (files.refresh(), own(files)) == (False, {"OURS_ONE", "OURS_TWO"})
    change(two, GOOD.format("OURS_OTHER"))
    assert (files.refresh(), own(files)) == (True, {"OURS_ONE", "OURS_OTHER"})
    (warning,) = said
    assert warning.startswith(f'{one}:5: rule OURS_NEW: found body = "(", wanted a pattern that RE2 takes')
    assert warning.endswith("; the file's last state stays")
    change(one, GOOD.format("OURS_NEW"))
    assert (files.refresh(), own(files), len(said)) == (True, {"OURS_NEW", "OURS_OTHER"}, 1)


def test_a_change_is_told_and_so_is_a_repair(tmp_path: Path) -> None:
    told: list[str] = []
    one = tmp_path / "one.toml"
    one.write_text(GOOD.format("OURS_ONE"))
    files = RuleFiles(settings(one), lambda _: None, told.append)
    files.refresh()
    change(one, BAD.format("OURS_ONE"))
    files.refresh()
    assert told == []
    change(one, GOOD.format("OURS_ONE"))  # as it was before
    assert files.refresh() is False
    change(one, GOOD.format("OURS_TWO"))
    assert files.refresh() is True
    rules = len(files.current.rules)
    assert told == [f"rule files: read again {one}; {rules} rules are in force"] * 2


def test_of_many_changed_files_a_few_are_named(tmp_path: Path) -> None:
    told: list[str] = []
    files = RuleFiles(settings(tmp_path), lambda _: None, told.append)
    for number in range(7):
        (tmp_path / f"{number}.toml").write_text(GOOD.format(f"OURS_{number}"))
    files.refresh()
    assert f"{tmp_path}/4.toml and 2 more; " in told[0]


def test_keywords_of_languages_that_are_not_looked_for_are_told(tmp_path: Path) -> None:
    file = tmp_path / "one.toml"
    rule = '[[rule]]\nsymbol = "OURS_{}"\nscore = 1\nen = "It is so"\nkeywords = {}\n'
    words = '{{{} = ["x"]}}'
    file.write_text(rule.format("A", words.format("de")) + rule.format("B", '{de = ["x"], it = ["x"]}'))
    _, (problem,) = load_rules(settings(file))
    assert str(problem) == (f"{file}:1: rule OURS_A: found keywords in de only, wanted some of a language in "
                            "score.languages, which are en, it")  # fmt: skip


def test_at_the_start_only_what_is_wrong_is_left_out(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "one.toml"
    path.write_text(GOOD.format("OURS_ONE") + BAD.format("OURS_BAD"))
    assert own(RuleFiles(settings(path), said.append)) == {"OURS_ONE"}
    (warning,) = said
    assert f"{path}:10: rule OURS_BAD" in warning
    assert warning.endswith("; it is left out")


def test_a_file_or_folder_that_is_gone_keeps_its_last_state(tmp_path: Path) -> None:
    said: list[str] = []
    single, folder = tmp_path / "single.toml", tmp_path / "folder"
    folder.mkdir()
    single.write_text(GOOD.format("OURS_ONE"))
    (folder / "x.toml").write_text(GOOD.format("OURS_TWO"))
    files = RuleFiles(settings(single, folder), said.append)
    single.unlink()
    folder.rename(tmp_path / "away")
    assert (files.refresh(), own(files)) == (False, {"OURS_ONE", "OURS_TWO"})
    assert [warning.partition(": ")[0] for warning in said] == [str(single), str(folder)]
    single.write_text(GOOD.format("OURS_NEW"))
    assert (files.refresh(), own(files)) == (True, {"OURS_NEW", "OURS_TWO"})


def test_of_many_problems_the_first_are_told(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "one.toml"
    path.write_text("".join(BAD.format(f"OURS_{n}") for n in range(50)))
    RuleFiles(settings(path), said.append)
    assert len(said) == rulefiles.MOST_TOLD + 1
    assert said[-1] == "rule files: 30 more problems like these (vaglio config check tells all)"
