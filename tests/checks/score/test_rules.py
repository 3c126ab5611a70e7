"""Rule files: what each kind of rule finds, how points add up, and that all that is wrong is told with its place."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaglio.checks.score.case import UNKNOWN, Case, Hit
from vaglio.checks.score.mime import Part
from vaglio.checks.score.reading import Mailbox, Page, Reading, Url
from vaglio.checks.score.rules import Judgement, RuleProblem, Ruleset, load
from vaglio.checks.score.settings import ScoreSettings

NOTHING = Reading((), {}, "", Mailbox("", ""), "", (), (), (), (), (), frozenset(), 0)


def rule(symbol: str, what: str, score: float = 1.0) -> str:
    return f'[[rule]]\nsymbol = "{symbol}"\nscore = {score}\nen = "It is {symbol}"\n{what}\n'


def read(*texts: str, facts: Any = None, **settings: Any) -> tuple[Ruleset, list[RuleProblem]]:
    sources = [(f"{number}.toml", text) for number, text in enumerate(texts)]
    return load(sources, ScoreSettings(**settings), facts)


def rules(*texts: str, **settings: Any) -> Ruleset:
    ruleset, problems = read(*texts, **settings)
    assert problems == []
    return ruleset


def case(facts: Mapping[str, str] | None = None, probability: float = UNKNOWN, listed: tuple[Hit, ...] = (),
         **reading: Any) -> Case:  # fmt: skip
    return Case(NOTHING._replace(**reading), facts or {}, probability, listed)


def details(judgement: Judgement) -> dict[str, str]:
    return {hit.symbol: hit.detail for hit in judgement.hits}


URLS = (Url("http://Bit.example/a", "http", "bit.example", "bit.example", "/a"),)
PAGES = (Page("shown", "unseen words", (), (), frozenset()),)
NAMED = (Part("application/zip", name="Invoice.pdf.exe"),)


@pytest.mark.parametrize(
    ("what", "message", "detail"),
    [
        ('fact = "no-subject"', case({"no-subject": ""}), ""),
        ('fact = "from-other"', case({"from-other": "x" * 300}), "x" * 100),
        ('header = {name = "X-Mailer", pattern = "^bulk"}', case(values={"x-mailer": ("", "Bulk 1")}), "Bulk"),
        ('header = {name = "Date", exists = false}', case(), ""),
        ('header = {name = "List-ID", exists = true}', case(values={"list-id": ("x",)}), ""),
        ('subject = "^re: a"', case(subject="RE: A b"), "RE: A"),
        ('subject = "RE"\ncase = true', case(subject="RE: A b"), "RE"),
        ('body = "m[o0]ney"', case(text="My m0ney"), "m0ney"),
        ('hidden = "unseen"', case(pages=PAGES), "unseen"),
        ('url = "/a$"', case(urls=URLS), "/a"),
        ('host = "^bit"', case(urls=URLS), "bit"),
        (r"attachment = '\.exe$'", case(attachments=NAMED), ".exe"),
        ('keywords = {en = ["free", "win"], it = ["gratis"]}\nat_least = 2', case(text="gratis, free"), "free, gratis"),
        ('keywords = {it = ["gratis"]}\nwhere = "subject"', case(subject="gratis"), "gratis"),
        ("bayes = [0.9, 1.0]", case(probability=1.0), "1.0000"),
        ("bayes = [0.9, 0.99]", case(probability=0.9), "0.9000"),
        ('not = ["LISTED_X"]', case(), ""),
        ('any = ["LISTED_X", "LISTED_Y"]', case(listed=(Hit("LISTED_Y", 1, "", "", "y.it"),)), "y.it"),
    ],
)
def test_a_rule_finds_what_it_looks_for_and_says_what(what: str, message: Case, detail: str) -> None:
    judgement = rules(rule("IT", what)).judge(message)
    assert [hit for hit in judgement.hits if hit.symbol == "IT"] == [Hit("IT", 1, "It is IT", "It is IT", detail)]


@pytest.mark.parametrize(
    "what",
    [
        'fact = "other"', 'header = {name = "Subject", pattern = "y"}', 'header = {name = "X", exists = true}',
        'header = {name = "subject", exists = false}', 'subject = "RE"\ncase = true', 'body = "x"', 'hidden = "x"',
        'url = "x"', 'host = "x"', 'attachment = "x"', 'keywords = {en = ["free"]}',
        'keywords = {de = ["re"]}\nwhere = "subject"',
        "bayes = [0.0, 1.0]", 'all = ["LISTED_X"]', 'any = ["LISTED_X"]',
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_found(what: str) -> None:
    message = case(subject="re: a", values={"subject": ("re: a",)}, listed=())
    assert rules(rule("IT", what)).judge(message) == Judgement(0, ())


def test_bayes_fits_from_the_first_to_below_the_second() -> None:
    ruleset = rules(rule("LOW", "bayes = [0.0, 0.5]") + rule("HIGH", "bayes = [0.5, 0.9]"))
    found = [[hit.symbol for hit in ruleset.judge(case(probability=p)).hits] for p in (0.0, 0.5, 0.9, UNKNOWN)]
    assert found == [["LOW"], ["HIGH"], [], []]


def test_keywords_are_those_of_the_languages_in_use() -> None:
    text = rule("IT", 'keywords = {en = ["free"], it = ["gratis"]}')
    message = case(text="gratis")
    assert details(rules(text, languages=["it"]).judge(message)) == {"IT": "gratis"}
    assert rules(text, languages=["en"]).judge(message).hits == ()


def test_the_rule_that_the_document_shows_is_a_sound_one() -> None:
    document = (Path(__file__).parents[3] / "docs/score.md").read_text()
    shown = re.search(r"```text\n(\[\[rule\]\].*?)```", document, re.DOTALL)
    assert shown is not None
    assert details(rules(shown[1]).judge(case(text="You\nhave won!"))) == {"OURS_PRIZE": "You\nhave won"}


# --- rules about rules ---

METAS = (
    rule("LAST", 'all = ["BOTH"]\nnot = ["C1"]')
    + rule("BOTH", 'all = ["A1", "B1"]', 0)
    + rule("TWO", 'any = ["A1", "B1", "C1"]\nat_least = 2')
    + "".join(rule(f"{name}1", f'fact = "{name.lower()}"', 0) for name in "ABC")
)


@pytest.mark.parametrize("facts", [set(s) for n in range(4) for s in itertools.combinations("abc", n)])
def test_metas_look_at_other_metas_wherever_these_stand(facts: set[str]) -> None:
    found = {hit.symbol for hit in rules(METAS).judge(case(dict.fromkeys(facts, ""))).hits}
    assert ("LAST" in found) is (facts == {"a", "b"})
    assert ("TWO" in found) is (len(facts) >= 2)
    assert not found - {"LAST", "TWO"}  # those with no points serve the others unseen


def test_a_rule_switched_off_never_fits_and_one_with_no_points_serves() -> None:
    text = rule("IT", 'fact = "a"') + rule("META", 'all = ["IT"]')
    assert details(rules(text).judge(case({"a": "x"}))) == {"IT": "x", "META": "x"}
    assert rules(text, scores={"IT": 0}).judge(case({"a": ""})) == Judgement(0, ())


# --- points ---


def hits(*points: float, group: str = "") -> tuple[Hit, ...]:
    return tuple(Hit(f"LISTED_{number}", score, "", "", group=group) for number, score in enumerate(points))


def test_points_add_up_and_the_weightiest_comes_first() -> None:
    judgement = rules("").judge(case(listed=hits(0.1, -2, 0.2, 3)))
    assert (judgement.score, [hit.score for hit in judgement.hits]) == (1.3, [3, 0.2, 0.1, -2])


def test_a_cap_cuts_what_rules_of_a_group_give_and_no_more() -> None:
    ruleset = rules("[group.links]\ncap = 2.5\n")
    judgement = ruleset.judge(case(listed=(*hits(2, 1.25, -1, group="links"), Hit("LISTED_Z", 4, "", ""))))
    assert (judgement.score, judgement.capped) == (4 + 2.5 - 1, (("links", 0.75),))
    assert ruleset.judge(case(listed=hits(2.5, group="links"))).capped == ()


def test_settings_change_points_also_of_lists() -> None:
    text = rule("IT", 'fact = "a"') + '[[rule]]\nsymbol = "HELPER"\nscore = 0\nfact = "a"\n'
    ruleset = rules(text, scores={"IT": -3, "HELPER": 2, "LISTED_0": 0, "LISTED_1": 7})
    judgement = ruleset.judge(case({"a": ""}, listed=hits(1, 1)))
    assert [(hit.symbol, hit.score, hit.en) for hit in judgement.hits] == [
        ("LISTED_1", 7, ""), ("HELPER", 2, "HELPER"), ("IT", -3, "It is IT"),
    ]  # fmt: skip


@given(st.lists(st.tuples(st.floats(-1000, 1000), st.sampled_from(["", "a", "b", "none"])), max_size=8))
def test_the_sum_is_explained_by_hits_and_caps(given_points: list[tuple[float, str]]) -> None:
    ruleset = rules("[group.a]\ncap = 3\n[group.b]\ncap = 0.1\n")
    listed = tuple(Hit(f"LISTED_{n}", score, "", "", group=group) for n, (score, group) in enumerate(given_points))
    judgement = ruleset.judge(case(listed=listed))
    explained = sum(hit.score for hit in judgement.hits) - sum(cut for _, cut in judgement.capped)
    assert abs(judgement.score - explained) < 0.011
    assert all(cut > 0 for _, cut in judgement.capped)


# --- several files ---


def test_a_later_rule_replaces_an_earlier_one() -> None:
    ruleset = rules(rule("IT", 'fact = "a"'), rule("IT", 'fact = "b"', 2))
    assert details(ruleset.judge(case({"a": ""}))) == {}
    assert ruleset.judge(case({"b": ""})).score == 2
    assert [(one.symbol, one.file, one.line) for one in ruleset.rules] == [("IT", "1.toml", 1)]


def test_a_bad_rule_leaves_the_one_that_it_would_replace_and_costs_nothing_else() -> None:
    ruleset, problems = read(rule("IT", 'fact = "a"'), rule("IT", 'subject = "("') + rule("NEXT", 'fact = "a"'))
    assert [problem.rule for problem in problems] == ["IT"]
    assert details(ruleset.judge(case({"a": ""}))) == {"IT": "", "NEXT": ""}


# --- all that is wrong ---

HEAD = '[[rule]]\nsymbol = "IT"\nscore = 1\nen = "x"\n'


@pytest.mark.parametrize(
    ("text", "line", "found", "wanted"),
    [
        (HEAD + 'fact = "a"\nscroe = 1', 6, "the key scroe", 'no such key; did you mean "score"?'),
        (HEAD + 'fact = "no-subjec"', 5, 'fact = "no-subjec"', 'did you mean "no-subject"?'),
        (HEAD + "fact = 1", 5, "fact = 1", "a fact"),
        (HEAD + 'subject = "(x"', 5, 'subject = "(x"', "a pattern that RE2 takes (missing ): (x)"),
        (HEAD + 'subject = ""', 5, 'subject = ""', "a pattern in quotes"),
        (HEAD + 'body = ".{900}"', 5, "body = ", "smaller pattern"),
        (HEAD + 'body = "x"\nsubject = "x"', 6, "body and subject", "one of fact, header"),
        (HEAD, 1, "nothing to look for", "one of fact, header"),
        (HEAD + 'header = {nme = "X", pattern = "y"}', 5, "nme, pattern", "a table such as"),
        (HEAD + 'header = "X"', 5, 'header = "X"', "a table such as"),
        (HEAD + 'header = {name = "X:", pattern = "y"}', 5, '"X:"', "name of a header field"),
        (HEAD + 'header = {name = "X", pattern = "("}', 5, '"("', "RE2"),
        (HEAD + 'header = {name = "X", exists = 1}', 5, "1", "exists = true or false"),
        (HEAD + "keywords = {en = []}", 5, "[]", "words in quotes"),
        (HEAD + 'keywords = {en = ["a", ""]}', 5, '""', "a letter or digit"),
        (HEAD + 'keywords = {en = [" a"]}', 5, '" a"', "no blank"),
        (HEAD + 'keywords = {en = ["!!"]}', 5, '"!!"', "a letter or digit"),
        (HEAD + 'keywords = {english = ["a"]}', 5, "{...}", "lists by language"),
        (HEAD + 'keywords = ["a"]', 5, '["a"]', "lists by language"),
        (HEAD + 'keywords = {en = ["a"]}\nat_least = 2', 6, "at_least = 2", "from 1 to 1"),
        (HEAD + 'keywords = {en = ["a"]}\nwhere = "here"', 6, 'where = "here"', '"subject" or "body"'),
        (HEAD + 'fact = "a"\nat_least = 2', 6, "at_least", "only beside"),
        (HEAD + 'fact = "a"\ncase = true', 6, "case", "only beside a pattern"),
        (HEAD + 'fact = "a"\nwhere = "body"', 6, "where", "only beside keywords"),
        (HEAD + 'body = "a"\ncase = 1', 6, "case = 1", "true or false"),
        (HEAD + "bayes = [0.9]", 5, "bayes = [0.9]", "two probabilities"),
        (HEAD + "bayes = [0.9, 0.1]", 5, "bayes", "two probabilities"),
        (HEAD + "bayes = [0.9, true]", 5, "bayes", "two probabilities"),
        (HEAD + "bayes = [nan, 1.0]", 5, "bayes", "two probabilities"),
        (HEAD + 'any = ["LISTED_A"]\nat_least = 2', 6, "at_least = 2", "there are 1 symbols"),
        (HEAD + "all = []", 5, "all = []", "a list of symbols"),
        (HEAD + 'all = ["x"]', 5, 'all = "x"', "a symbol in capitals"),
        (HEAD + 'all = ["ITT"]', 1, '"ITT"', 'the symbol of a rule; did you mean "IT"?'),
        (HEAD + 'all = ["IT"]', 1, "IT -> IT", "do not look at themselves"),
        (HEAD + 'fact = "a"\ngroup = "links"', 1, 'group = "links"', "[group.links]"),
        (HEAD + 'fact = "a"\ngroup = ""', 6, 'group = ""', "the name of a group"),
        ('[[rule]]\nscore = 1\nen = "x"\nfact = "a"', 1, "a rule without a symbol", "a symbol in capitals"),
        ('[[rule]]\nsymbol = "it"\nscore = 1\nen = "x"\nfact = "a"', 2, 'symbol = "it"', "a symbol in capitals"),
        ('[[rule]]\nsymbol = "LISTED_A"\nscore = 1\nen = "x"\nfact = "a"', 2, "LISTED_A", "score.scores"),
        ('[[rule]]\nsymbol = "IT"\nen = "x"\nfact = "a"', 1, "no score", "score = 1.5"),
        ('[[rule]]\nsymbol = "IT"\nscore = inf\nen = "x"\nfact = "a"', 3, "score = inf", "from -1000 to 1000"),
        ('[[rule]]\nsymbol = "IT"\nscore = true\nen = "x"\nfact = "a"', 3, "score = true", "a number"),
        ('[[rule]]\nsymbol = "IT"\nscore = 1\nfact = "a"', 1, "no sentence", 'en = "..."'),
        ('[[rule]]\nsymbol = "IT"\nscore = 1\nen = "a\\nb"\nfact = "a"', 4, 'en = "a\\nb"', "one line"),
        (HEAD + 'fact = "a"\n\n' + HEAD + 'fact = "a"', 8, "IT again", "line 1 has this one"),
        ("[rule]\nx = 1", 1, "rule", "tables in [[double brackets]]"),
        ("rules = 1", 1, "the key rules", 'did you mean "rule"?'),
        ("[group.x]\ncap = -1", 2, "cap = -1", "above 0"),
        ("[group.x]\ncup = 1", 1, "[group.x] with cup", "cap = 5.0"),
        ("[group.X]\ncap = 1", 1, "the group X", "lower case"),
        ("group = 1", 1, "group", "a table [group.NAME]"),
        ("a = 1\n[[rule]\n", 2, "[[rule]", "TOML"),
        ("a = '''\n" + "x" * 300, 2, "xxx", "TOML"),
        ("a = " + "[" * 5000, 0, "brackets in brackets", "at most a hundred levels"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(text: str, line: int, found: str, wanted: str) -> None:
    _, (problem,) = read(text, facts={"a", "no-subject"})
    assert (problem.file, problem.line) == ("0.toml", line)
    assert found in problem.found
    assert wanted in problem.wanted
    assert str(problem).isprintable()


def test_all_that_is_wrong_is_told_at_once() -> None:
    text = '[[rule]]\nsymbol = "IT"\nscore = "1"\nbody = "("\nfoo = 1\n[x]\n' + rule("NEXT", 'all = ["NONE1", "NONE2"]')
    assert [(one.line, one.rule) for one in read(text)[1]] == [(3, "IT"), (4, "IT"), (5, "IT"), (6, ""), (7, "NEXT"),
                                                              (7, "NEXT")]  # fmt: skip


def test_a_circle_is_told_once_and_the_rest_serves() -> None:
    text = rule("A1", 'all = ["B1"]') + rule("B1", 'any = ["C1"]') + rule("C1", 'not = ["A1"]')
    ruleset, (problem,) = read(text + rule("GOOD", 'fact = "a"') + rule("AFTER", 'not = ["B1"]'))
    assert problem.found in ("A1 -> C1 -> B1 -> A1", "A1 -> B1 -> C1 -> A1", "C1 -> B1 -> A1 -> C1",
                             "B1 -> A1 -> C1 -> B1", "B1 -> C1 -> A1 -> B1", "C1 -> A1 -> B1 -> C1")  # fmt: skip
    assert "GOOD" in details(ruleset.judge(case({"a": ""})))


def test_points_for_a_rule_that_there_is_not_are_told() -> None:
    _, (problem,) = read(rule("NO_SUBJECT", 'fact = "a"'), scores={"NO_SUBJEKT": 1, "LISTED_ANY": 2})
    assert str(problem) == 'score.scores: found NO_SUBJEKT, wanted the symbol of a rule; did you mean "NO_SUBJECT"?'


def test_patterns_that_are_too_much_together_are_told() -> None:
    text = "".join(rule(f"R{n}", 'body = "[^a].{100}"') for n in range(200))
    ruleset, problems = read(text)
    assert {problem.wanted for problem in problems} == {
        "fewer or simpler patterns for body: all of them together are too large"
    }
    assert len(ruleset.rules) + len(problems) == 200


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=5,
), st.sampled_from(["symbol", "score", "en", "it", "group", "fact", "header", "subject", "keywords", "bayes", "all",
                    "any", "not", "case", "where", "at_least"]))  # fmt: skip
def test_any_value_of_any_key_is_read_or_told(value: Any, key: str) -> None:
    def toml(one: Any) -> str:
        if isinstance(one, dict):
            return "{" + ", ".join(f"{json.dumps(name)} = {toml(inner)}" for name, inner in one.items()) + "}"
        if isinstance(one, list):
            return "[" + ", ".join(map(toml, one)) + "]"
        if isinstance(one, float):
            return str(one)
        return json.dumps(one) if one is not None else '""'

    _, problems = read(f"[[rule]]\n{key} = {toml(value)}\n")
    assert problems
    assert all(str(problem).isprintable() for problem in problems)


@given(st.text(max_size=200))
def test_any_text_is_read_or_told(text: str) -> None:
    read(text)


# --- time ---


def test_each_rule_is_timed_by_itself() -> None:
    text = rule("IT", 'body = "money"') + rule("KEY", 'keywords = {en = ["money"]}') + METAS
    ticks = itertools.count()
    judgement, seconds = rules(text).timed(case({"a": "", "b": ""}, text="money"), lambda: float(next(ticks)))
    assert judgement == rules(text).judge(case({"a": "", "b": ""}, text="money"))
    assert seconds == dict.fromkeys(("IT", "KEY", "LAST", "BOTH", "TWO", "A1", "B1", "C1"), 1)
