"""Private lists: what each form lists, what a wrong line costs, and that no file can hurt.

``files/NN-name.FORM`` is a list, ``files/NN-name.want`` what it says: ``subject -> code | text | entry | line``,
``subject -> -`` where it is not listed, and ``problem LINE`` for each line that is left out, in order. What rbldnsd's
forms say was compared with the answers of rbldnsd 1.0 itself; it differs in three things on purpose: codes outside
127/8, what stands behind ``$DATASET``, and names with letters beyond ASCII. A new case needs two files and no code.
"""

from __future__ import annotations

import array
import ipaddress
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaglio.checks.dnsbl import localzone
from vaglio.checks.dnsbl.localzone import MAX_FILLED, MAX_TEXT, Listing, LocalZone, filled, reader
from vaglio.checks.listfiles import ListFiles
from vaglio.facts import pack_address
from vaglio.lists import MAX_LINE, MAX_PROBLEMS, Problem

FILES = Path(__file__).parent / "files"
FORMS = ("plain", "ip4set", "ip4trie", "ip6trie", "dnset")


def read(form: str, *lines: str) -> LocalZone:
    zone, problems = reader(form)(lines, "list")
    assert problems == []
    return zone


def problems_of(form: str, lines: Iterable[str]) -> list[Problem]:
    return reader(form)(lines, "list")[1]


def ask(zone: LocalZone, subject: str) -> Listing | None:
    packed = pack_address(subject)
    return zone.find_address(packed) if packed else zone.find_name(subject)


def said(zone: LocalZone, subject: str) -> str:
    """Return what a zone says of a subject, as a ``.want`` file has it."""
    found = ask(zone, subject)
    if found is None:
        return f"{subject} -> -"
    line = found.where.rpartition(":")[2]
    return f"{subject} -> {found.code} | {filled(found.text, subject)} | {found.entry} | {line}"


@pytest.mark.parametrize("name", sorted(path.name for path in FILES.iterdir() if path.suffix != ".want"))
def test_a_list_says_what_stands_in_it(name: str) -> None:
    path = FILES / name
    zone, problems = reader(path.suffix[1:])(path.read_text().splitlines(), path.name)
    want = path.with_suffix(".want").read_text().splitlines()
    subjects = [line.partition(" -> ")[0] for line in want if " -> " in line]
    got = [said(zone, subject) for subject in subjects]
    got += [f"problem {problem.line}" for problem in problems]
    assert got == want


# --- single rules -----------------------------------------------------------------------------------------------


def test_a_problem_names_place_found_and_wanted() -> None:
    (problem,) = problems_of("ip4set", ["192.0.2.1", "192.0.2.1/24"])
    assert str(problem) == (
        'list:2: found "192.0.2.1/24", wanted a network without bits behind its prefix, such as 192.0.2.0/24'
    )


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_list_lists_nobody(form: str) -> None:
    zone = read(form, "", "   ", "# nothing", "; nothing")
    assert len(zone) == 0
    assert zone.find_address(pack_address("192.0.2.1")) is None
    assert zone.find_address(pack_address("::1")) is None
    assert zone.find_address(b"") is None
    assert zone.find_name("example.com") is None


def test_an_unknown_form_is_an_error() -> None:
    with pytest.raises(KeyError):
        reader("ip4tset")


def test_an_ip4_list_says_nothing_of_the_same_bits_as_ip6_address() -> None:
    assert read("ip4set", "0.0.0.1").find_address(pack_address("::1")) is None


def test_a_name_that_cannot_be_is_not_listed() -> None:
    zone = read("dnset", ".example.com")
    for name in ("", ".", "..", ".example.com", "a..example.com", "a b.example.com", "x" * 300 + ".example.com",
                 "a." * 127 + "example.com", "\ud800.example.com", "é" * 400):  # fmt: skip
        assert zone.find_name(name) is None, name


def test_a_name_is_found_in_any_writing() -> None:
    zone = read("dnset", "bücher.example", "EXAMPLE.com")
    assert zone.find_name("xn--bcher-kva.example")
    assert zone.find_name("BÜCHER.example.")
    assert zone.find_name("Example.COM.")


def test_a_joined_list_has_the_entries_of_both_and_the_narrowest_of_either_decides() -> None:
    first, _ = reader("plain")(["192.0.2.0/24 wide", "spam.example", "*.example.org one"], "a")
    second, _ = reader("plain")(["!192.0.2.7", "192.0.2.0/24 again", "spam.example two", "x.example.org"], "b")
    both = first + second
    assert len(both) == 7
    assert ask(both, "192.0.2.8") == Listing("127.0.0.2", "wide", "a:1", "192.0.2.0/24")
    assert ask(both, "192.0.2.7") is None
    assert ask(both, "spam.example") == Listing("127.0.0.2", "", "a:2", "spam.example")
    assert ask(both, "x.example.org") == Listing("127.0.0.2", "", "b:4", "x.example.org")


def test_a_list_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path, warnings = tmp_path / "list", list[str]()
    path.write_text("192.0.2.1\nnot.an.address/24\n")
    files = ListFiles([path], reader("ip4set"), warnings.append)
    assert ask(files.current, "192.0.2.1") == Listing("127.0.0.2", "", f"{path}:1", "192.0.2.1")
    assert [warning.startswith(f"{path}:2: found") for warning in warnings] == [True]
    path.write_text("192.0.2.22\n")
    assert files.refresh()
    assert ask(files.current, "192.0.2.1") is None


def test_the_subject_takes_the_place_of_the_dollar_sign() -> None:
    assert filled("see https://x.example/?$", "192.0.2.1") == "see https://x.example/?192.0.2.1"
    assert filled("$$5 for $, $$$", "it") == "$5 for it, $it"


def test_a_text_is_one_bounded_line() -> None:
    listing = ask(read("dnset", "a.example " + "x" * 900), "a.example")
    assert listing is not None
    assert listing.text == "x" * MAX_TEXT
    assert len(filled("$ " * 100, "x" * 253)) == MAX_FILLED
    listing = ask(read("dnset", "a.example one\ttwo\x00\x1b[31m\u2028three\x7f"), "a.example")
    assert listing is not None
    assert listing.text == "one two  [31m three"


# --- bounds -----------------------------------------------------------------------------------------------------


def test_a_line_that_is_too_long_is_named_and_left_out() -> None:
    (problem,) = problems_of("dnset", ["example.com " + "x" * MAX_LINE])
    assert problem.wanted == f"a line of at most {MAX_LINE} characters"


def test_problems_are_named_up_to_a_number_and_then_counted() -> None:
    problems = problems_of("ip4set", ["wrong"] * (MAX_PROBLEMS + 50))
    assert len(problems) == MAX_PROBLEMS + 1
    assert str(problems[-1]) == f"list:{MAX_PROBLEMS + 1}: found 50 more lines like these, wanted a list"


def test_entries_beyond_the_bound_are_left_out_with_all_behind_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(localzone, "MAX_ENTRIES", 10)
    lines = iter([f"192.0.2.{n}" for n in range(9)] + ["10.0.0.1-6", "192.0.2.200"])
    zone, problems = reader("ip4set")(lines, "list")
    assert [str(problem) for problem in problems] == [
        'list:10: found "10.0.0.1-6", wanted at most 10 entries; the rest is left out'
    ]
    assert len(zone) == 9
    assert list(lines) == ["192.0.2.200"]  # nobody read on


def test_values_beyond_the_bound_lose_their_texts_and_not_their_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(localzone, "MAX_VALUES", 4)
    zone = read("ip4set", *(f"192.0.2.{n} :{n}:text {n}" for n in range(1, 9)))
    assert ask(zone, "192.0.2.3") == Listing("127.0.0.3", "text 3", "list:3", "192.0.2.3")
    assert ask(zone, "192.0.2.8") == Listing("127.0.0.8", "", "list:8", "192.0.2.8")


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("ip4set", "0.0.0.1-255.255.255.254"),
        ("plain", "!" * 1000),
        ("plain", "! " * 500),
        ("plain", "a " + "# " * 500),
        ("plain", "a " + " " * 1000),
        ("plain", "$" * 1000),
        ("plain", "a " + "$1" * 500),
        ("ip4set", "1." * 500),
        ("ip6trie", ":" * 1000),
        ("ip6trie", "1:" * 500),
        ("dnset", "a." * 500),
        ("dnset", "ü" * 250 + ".example"),
    ],
)
def test_a_hostile_line_costs_little(form: str, line: str) -> None:
    lines = ["$1 " + "$" * 1000] + [line] * 500
    began = time.perf_counter()
    reader(form)(lines, "list")
    assert time.perf_counter() - began < 2


def test_an_entry_takes_sixteen_bytes() -> None:
    rows = [localzone._row(key, 1, 1) for key in range(50_000)]
    table = localzone._Table(rows, "list", [])
    held = [getattr(table, name) for name in table.__slots__]
    assert sum(len(part) * part.itemsize for part in held if isinstance(part, array.array)) == 16 * 50_000


# --- for all lists ----------------------------------------------------------------------------------------------

TEXTS = st.text(max_size=60) | st.text("0123456789./-:!#;$* abcdef", max_size=40)


@given(st.sampled_from(FORMS), st.lists(TEXTS, max_size=20), TEXTS, st.binary(max_size=20))
@settings(deadline=None)
def test_no_file_and_no_question_raises(form: str, lines: list[str], name: str, packed: bytes) -> None:
    zone, problems = reader(form)(lines, "list")
    assert len(zone) + len(problems) <= len(lines)
    for found in (zone.find_name(name), zone.find_address(packed)):
        if found is not None:
            assert found.text.isprintable()
            assert filled(found.text, name) is not None


ADDRESSES = st.integers(0, 4095).map(lambda low: ipaddress.IPv4Address(0xC0000000 + low))
NETWORKS = st.tuples(ADDRESSES, st.integers(18, 32)).map(
    lambda both: ipaddress.IPv4Network((both[0], both[1]), strict=False)
)


@given(st.lists(st.tuples(st.booleans(), NETWORKS), max_size=20), ADDRESSES)
@settings(deadline=None)
def test_the_narrowest_network_decides(
    entries: list[tuple[bool, ipaddress.IPv4Network]], asked: ipaddress.IPv4Address
) -> None:
    zone = read("ip4trie", *(f"{'!' if excluded else ''}{network}" for excluded, network in entries))
    # An exclusion before an equal entry, so False sorts behind True.
    fitting = sorted((-network.prefixlen, not excluded) for excluded, network in entries if asked in network)
    assert (zone.find_address(asked.packed) is not None) == bool(fitting and fitting[0][1])


@given(ADDRESSES, ADDRESSES, ADDRESSES)
@settings(deadline=None)
def test_a_range_has_its_ends_and_all_between(
    one: ipaddress.IPv4Address, other: ipaddress.IPv4Address, asked: ipaddress.IPv4Address
) -> None:
    first, last = min(one, other), max(one, other)
    zone = read("ip4set", f"{first}-{last}")
    for address in (asked, first, last):
        assert (zone.find_address(address.packed) is not None) == (first <= address <= last)
