"""Zone files: both forms, marks for look-ups that fail, and errors that say where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaglio.dns.zonefile import MAX_LINES, Record, Zone, ZoneError, load_zone, parse_json, parse_lines
from vaglio.ports import NODATA, NXDOMAIN, TEMPERROR, Answer, Outcome

LINES = r"""
# the zones of the story
; and another comment
caio.it    MX   10 Mail.Caio.IT.
caio.it    TXT  "v=spf1 " "mx -all"
caio.it    TXT  v=DKIM1; k=rsa; p=abc
caio.it    TXT  "a \"quote\", \\ and caf\195\169"
mail.caio.it. a  192.0.2.1
mail.caio.it  IN A  192.0.2.2
mail.caio.it  3600 IN AAAA  2001:db8::1
www.caio.it   CNAME mail.caio.it.
slow.caio.it  A  TIMEOUT
slow.caio.it  TXT "TIMEOUT"
broken.caio.it * SERVFAIL
half.caio.it  A 192.0.2.3
half.caio.it  * TIMEOUT
loop.caio.it  CNAME loop.caio.it
lost.caio.it  CNAME nowhere.it
"""

JSON = {
    "caio.it": [
        ["MX", [10, "Mail.Caio.IT."]],
        ["TXT", ["v=spf1 ", "mx -all"]],
        ["TXT", "v=DKIM1; k=rsa; p=abc"],
        ["TXT", 'a "quote", \\ and café'],
    ],
    "mail.caio.it.": [["a", "192.0.2.1"], ["A", "192.0.2.2"], ["AAAA", "2001:db8::1"]],
    "www.caio.it": [["CNAME", "mail.caio.it."]],
    "slow.caio.it": [["A", "TIMEOUT"], ["TXT", ["TIMEOUT"]]],
    "broken.caio.it": [["*", "SERVFAIL"]],
    "half.caio.it": [["A", "192.0.2.3"], ["*", "TIMEOUT"]],
    "loop.caio.it": [["CNAME", "loop.caio.it"]],
    "lost.caio.it": [["CNAME", "nowhere.it"]],
}


@pytest.fixture(params=["lines", "json"])
def zone(request: pytest.FixtureRequest, tmp_path: Path) -> Zone:
    path = tmp_path / ("zone.json" if request.param == "json" else "zone")
    path.write_text(json.dumps(JSON) if request.param == "json" else LINES, "utf-8")
    return load_zone(path)


@pytest.mark.parametrize(
    ("name", "rrtype", "answer"),
    [
        ("caio.it", "MX", Answer(Outcome.OK, ("10 mail.caio.it",))),
        (
            "CAIO.it.",
            "TXT",
            Answer(Outcome.OK, ("v=spf1 mx -all", "v=DKIM1; k=rsa; p=abc", 'a "quote", \\ and café')),
        ),
        ("mail.caio.it", "A", Answer(Outcome.OK, ("192.0.2.1", "192.0.2.2"))),
        ("mail.caio.it", "AAAA", Answer(Outcome.OK, ("2001:db8::1",))),
        ("mail.caio.it", "MX", NODATA),
        ("www.caio.it", "A", Answer(Outcome.OK, ("192.0.2.1", "192.0.2.2"))),
        ("www.caio.it", "CNAME", Answer(Outcome.OK, ("mail.caio.it",))),
        ("it", "A", NXDOMAIN),
        ("slow.caio.it", "A", TEMPERROR._replace(why="timeout")),
        ("slow.caio.it", "TXT", Answer(Outcome.OK, ("TIMEOUT",))),
        ("slow.caio.it", "AAAA", NODATA),
        ("broken.caio.it", "AAAA", TEMPERROR),
        ("half.caio.it", "A", Answer(Outcome.OK, ("192.0.2.3",))),
        ("half.caio.it", "TXT", TEMPERROR._replace(why="timeout")),
        ("loop.caio.it", "A", TEMPERROR._replace(why="loop")),
        ("lost.caio.it", "A", NXDOMAIN),
        ("", "A", NXDOMAIN),
    ],
)
def test_both_forms_give_the_same_answers(zone: Zone, name: str, rrtype: str, answer: Answer) -> None:
    assert zone(name, rrtype) == answer


@pytest.mark.parametrize(
    "text",
    [
        'caio.it. IN TXT (\n    "v=DKIM1; "\n    "p=abc"\n)',
        'caio.it. 300 IN TXT ("v=DKIM1; " "p=abc")',
        'caio.it TXT ( "v=DKIM1; "  ; the kind\n\n; the key\n "p=abc" ) ; its end',
        'caio.it TXT ("v=DKIM1; p=a"\n"bc")\n',
    ],
)
def test_a_record_in_parentheses_goes_on_over_lines(text: str) -> None:
    assert list(parse_lines(f"aulo.it A 192.0.2.1\n{text}\ntizio.it A 192.0.2.2")) == [
        Record("aulo.it", "A", "192.0.2.1"),
        Record(text.split()[0], "TXT", "v=DKIM1; p=abc"),
        Record("tizio.it", "A", "192.0.2.2"),
    ]


def test_parentheses_in_quotes_are_text_and_other_types_have_them_too() -> None:
    zone = Zone(parse_lines('caio.it TXT ( "a (b) ; \\"c" )\ncaio.it MX (\n10\n mail.caio.it )\ncaio.it TXT a (b)'))
    assert zone("caio.it", "TXT").values == ('a (b) ; "c', "a (b)")
    assert zone("caio.it", "MX").values == ("10 mail.caio.it",)


def test_records_of_the_longest_key_and_no_longer_ones_are_read() -> None:
    lines = '"a"\n' * (MAX_LINES - 2)
    [record] = parse_lines(f"caio.it TXT (\n{lines})")
    assert record.value == "a" * (MAX_LINES - 2)
    with pytest.raises(ZoneError, match=r'line 2: found "\(", and no "\)" within 100 lines'):
        list(parse_lines(f'aulo.it TXT a\ncaio.it TXT (\n{lines}\n"a")'))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('caio.it TXT ( "a"', 'found "(", and no ")"'),
        ('caio.it TXT (\n"a" ) "b"', "found '\"b\"' behind the closing parenthesis"),
        ('caio.it TXT (\n"a ) b', "found '\"a ) b' in parentheses, wanted words or quoted strings"),
        ('caio.it TXT ( ( "a" ) )', "in parentheses, wanted words"),
        ("caio.it A ( )", "wanted an address for A"),
        ("caio.it A", "line 2: found 'caio.it A', wanted NAME TYPE VALUE"),
        ("caio.it A 2001:db8::1", "line 2: found '2001:db8::1', wanted an address for A"),
        ("caio.it AAAA 192.0.2.1", "wanted an address for AAAA"),
        ("caio.it A 192.0.2.256", "wanted an address for A"),
        ("caio.it MX mail.caio.it", "wanted a preference and a host"),
        ('caio.it TXT "open', "where a quoted string ends"),
        ('caio.it TXT "a" b', "where a quoted string ends"),
        ('caio.it TXT "\\999"', "wanted a byte"),
        ("caio.it * 192.0.2.1", "wanted TIMEOUT or SERVFAIL"),
        ("caio.it TXTT v=spf1", "found 'TXTT', wanted a type of DNS records: A, AAAA, MX, TXT, ... or *"),
        ("caio.it TYPE99999 x", "found 'TYPE99999', wanted a type"),
        ("caio.it IN A", "found 'IN', wanted a type"),
        ("  IN TXT v=spf1", "found 'IN TXT v=spf1', wanted NAME TYPE VALUE"),
        ("  3600 IN TXT v=spf1", "wanted NAME TYPE VALUE"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "zone"
    path.write_text(f"# first\n{line}\n")
    with pytest.raises(ZoneError) as caught:
        load_zone(path)
    assert str(caught.value).startswith(f"{path}: line 2: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "wanted {"),
        ('{"caio.it": "A"}', "'caio.it': found 'A', wanted [TYPE, VALUE]"),
        ('{"caio.it": [["A"]]}', "wanted [TYPE, VALUE]"),
        ('{"caio.it": [["A", 1]]}', "wanted [TYPE, VALUE]"),
        ('{"caio.it": [["MX", ["10", "x"]]]}', "wanted [TYPE, VALUE]"),
        ('{"caio.it": [["TXT", ["a", 1]]]}', "wanted [TYPE, VALUE]"),
        ('{"caio.it": [["A", "x"]]}', "wanted an address for A"),
        ('{"caio.it": [["TXTT", "x"]]}', "'caio.it': found 'TXTT', wanted a type of DNS records"),
    ],
)
def test_wrong_json_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "zone.json"
    path.write_text(text)
    with pytest.raises(ZoneError) as caught:
        load_zone(path)
    assert said in str(caught.value)


def test_a_file_that_is_not_there_or_no_text_is_a_zone_error(tmp_path: Path) -> None:
    with pytest.raises(ZoneError, match="No such file"):
        load_zone(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ZoneError, match="utf-8"):
        load_zone(tmp_path / "binary")


@settings(deadline=None, max_examples=200)
@given(st.text() | st.text(alphabet='ab.* "\\\n19A', max_size=60))
def test_text_is_a_zone_or_a_zone_error(text: str) -> None:
    for parse in (parse_lines, parse_json):
        try:
            Zone(parse(text))
        except ZoneError:
            continue
