"""The scanner gives each key its line, whatever stands in strings, comments, arrays and inline tables."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaglio.config.places import Path, line_of, places


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a = 1", ("a",), 1),
        ("\n\n  a = 1", ("a",), 3),
        ("# a = 0\na = 1", ("a",), 2),
        ("[t]\na = 1", ("t", "a"), 2),
        ("[t]\na = 1", ("t",), 1),
        (" [ t . u ] # [x]\na.b = 1", ("t", "u", "a", "b"), 2),
        ("t.u.a = 1\nt.u.b = 2", ("t", "u", "b"), 2),
        ("t.u.a = 1\nt.u.b = 2", ("t", "u"), 1),
        ("[t.u]\n[t]\na = 1", ("t",), 1),
        ('"a b" = 1\n"c.d".\'e f\' = 2', ("c.d", "e f"), 2),
        ('"\\u00e8\\"]" = 1', ('è"]',), 1),
        ("'[x]' = 1\n\"\" = 2", ("",), 2),
        ("[[r]]\na = 1\n[[r]]\na = 2", ("r", 0, "a"), 2),
        ("[[r]]\na = 1\n[[r]]\na = 2", ("r", 1, "a"), 4),
        ("[[r]]\na = 1\n[[r]]\na = 2", ("r", 1), 3),
        ("[[r]]\n[r.s]\na = 1\n[[r]]\n[r.s]\na = 2", ("r", 1, "s", "a"), 6),
        ("[[r]]\n[[r.s]]\n[[r.s]]\n[[r]]\n[[r.s]]\na = 1", ("r", 1, "s", 0, "a"), 6),
        ('a = """\nb = 1\n[x]\n"""\nb = 2', ("b",), 5),
        ('a = """\\"""\nb = 1"""""\nb = 2', ("b",), 3),
        ("a = '''\n'b = 1\n'''''\nb = 2", ("b",), 4),
        ('a = ""\nb = 1', ("b",), 2),
        ("a = [ # ]\n'#', \"]\", # b = 0\n[1],\n]\nb = 1", ("b",), 5),
        ("a = {b = 1, c = {d = '}'}} # {\nb = 1", ("b",), 2),
        ("a = {b = 1}", ("a", "b"), 1),
        ("a = [\n{b = 1},\n{b = 2}]", ("a", 1, "b"), 1),
        ("a = 1\n", ("nowhere", "to", "be", "found"), 0),
    ],
)
def test_a_key_has_the_line_where_it_stands(text: str, path: Path, line: int) -> None:
    tomllib.loads(text)
    assert line_of(places(text), path) == line


VALUES = [
    "1",
    "1979-05-27T07:32:00Z",
    '"# [x] = \\" \\\\"',
    "'\\'",
    '""',
    '"""\n[x]\nk0 = 1 \\"""\n"""""',
    "'''\n[[x]]\n\"\"\"k1 = 1\n''''",
    "[]",
    '[ # ] """\n  1, [2], # [\n\n  "]", \'[\',\n]',
    "{a = [1, '}'], \"b.c\" = {}}",
    "[{a = 1},\n{a = 2}]",
]
FILLERS = ["", "   ", "# [x]", "# k0 = '''", "\t# \"\"\""]


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[Path, int]]:
    """Return a text and the lines of its keys. Every key is ``k`` and a number, so none comes twice."""
    lines: list[str] = []
    keys: dict[Path, int] = {}
    table: Path = ()
    rules = 0
    for number in range(draw(st.integers(1, 12))):
        lines += draw(st.lists(st.sampled_from(FILLERS), max_size=2))
        kind = draw(st.sampled_from(["key", "key", "dotted", "quoted", "table", "rule"]))
        if kind == "table":
            table = (f"t{number}", "u.v")
            lines.append(f' [t{number} . "u.v"]  # end')
        elif kind == "rule":
            table, rules = ("rule", rules), rules + 1
            lines.append("[[ 'rule' ]]")
        else:
            own: Path = {"key": (f"k{number}",), "dotted": (f"d{number}", "x"), "quoted": (f"k.{number} =",)}[kind]
            name = {"key": f"k{number}", "dotted": f"  d{number} . 'x'", "quoted": f'"k.{number} ="'}[kind]
            keys[table + own] = sum(line.count("\n") + 1 for line in lines) + 1
            lines.append(f"{name} = {draw(st.sampled_from(VALUES))} # k{number} = 1")
    return "\n".join(lines) + draw(st.sampled_from(["", "\n"])), keys


@given(documents())
@settings(max_examples=200, deadline=None)
def test_no_value_or_comment_misleads_the_scanner(document: tuple[str, dict[Path, int]]) -> None:
    text, keys = document
    found = places(text)
    assert {path: found.get(path) for path in keys} == keys
    data: Any = tomllib.loads(text)
    assert set(found) == set(_tables_and_keys(data, keys))


def _tables_and_keys(data: Any, leaves: dict[Path, int], path: Path = ()) -> set[Path]:
    """Return the paths of all that has a line of its own: everything that is not inside a value."""
    paths = {path} if path else set()
    if path in leaves or not isinstance(data, dict | list):
        return paths
    inner = data.items() if isinstance(data, dict) else enumerate(data)
    return paths.union(*(_tables_and_keys(value, leaves, (*path, key)) for key, value in inner))
