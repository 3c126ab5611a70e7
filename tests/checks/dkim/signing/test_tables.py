"""OpenDKIM's tables: what they say of an author is what opendkim makes of them; lines that can't be used are told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checks.dkim.opendkim import Signed, opendkim, signed
from vaglio.checks.dkim.signing import tables as under_test
from vaglio.checks.dkim.signing.tables import Entry, Pattern, Source, Tables, Unusable, is_identity
from vaglio.names import is_domain

PEM = generate_private_key(65537, 1024).private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
TIZIO = "tizio tizio.it:2026a:/keys/tizio.pem\n"


def tables(keys: str, signers: str, patterns: bool = False, key_patterns: bool = False) -> Tables:
    found, problems = Tables.parse(Source(keys, "KeyTable", key_patterns), Source(signers, "SigningTable", patterns))
    assert problems == []
    return found


def problems(keys: str, signers: str, patterns: bool = False) -> list[str]:
    return [str(one) for one in Tables.parse(Source(keys, "KeyTable"), Source(signers, "SigningTable", patterns))[1]]


# --- equal to opendkim ---

AUTHORS = ("pass@tizio.it", "other@tizio.it", "PASS@Sub.Tizio.IT", "other@sub.tizio.it", "pass@a.b.tizio.it",
           "pass@caio.it", "x@sub.caio.it", "x@tizio.it.evil.com", "p.ss@tizio.it", "a+pass@sempronio.it",
           "aapass@sempronio.it", "news@list.sempronio.it")  # fmt: skip
NAMED = "".join(f"{name} tizio.it:{name}:KEY\n" for name in "abcdefghij")

PLAIN = """\
# whose key, in an order that should not matter
* a
pass@* b
.it c
pass@.it d
.tizio.it e   # all below it
pass@.tizio.it\tf
sub.tizio.it g
pass@sub.tizio.it  h

pass@sub.tizio.it i
tizio.it j
"""
NO_STAR = "caio.it a\n.tizio.it b\npass@.tizio.it c\nnews@.it d\n"
PATTERNS = """\
 *@tizio.it a
pass@sub.tizio.it b
*p*a*s*s*@*sub* c
*+pass@* d
p.ss@tizio.it e
*PASS@TIZIO.IT f
*@*.tizio.it g
*@caio.it h # Caio
*@list.* i
*a*@* j
"""
PERCENT = """\
*@tizio.it pc:@%
*@sub.tizio.it pb:%@%
*@a.b.tizio.it pb:@caio.it
*@caio.it %
*@sub.caio.it fixed:x@sub.tizio.it
*@tizio.it.evil.com pc:
*@sempronio.it ours:staff@sempronio.it
"""
KEYS = """\
pc %:s1:KEY
pb tizio.it:s2:KEY
caio.it caio.it:s3:KEY
fixed tizio.it:s4:KEY
ours sempronio.it:s5:FOLDER/%.pem
"""


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize(
    ("keys", "signers", "patterns", "key_patterns"),
    [
        (NAMED, PLAIN, False, False),
        (NAMED, NO_STAR, False, False),
        (NAMED, PATTERNS, True, False),
        (KEYS, PERCENT, True, False),
        ("t*o tizio.it:one:KEY\ntizio tizio.it:two:KEY\nTIZIO tizio.it:three:KEY\n", "* tizio\n", False, True),
        ("TIZIO tizio.it:three:KEY\ntizio tizio.it:two:KEY\ntizio tizio.it:one:KEY\n", "* tizio\n", False, False),
    ],
    ids=["plain", "plain-without-star", "patterns", "percent", "patterns-of-names", "case-of-names"],
)
def test_an_author_has_the_keys_that_opendkim_signs_by(
    tmp_path: Path, keys: str, signers: str, patterns: bool, key_patterns: bool, every: bool
) -> None:
    for name in ("key.pem", "sempronio.it.pem"):
        (tmp_path / name).write_bytes(PEM)
    told = keys.replace("KEY", str(tmp_path / "key.pem")).replace("FOLDER", str(tmp_path))
    (tmp_path / "keys").write_text(told)
    (tmp_path / "signers").write_text(signers)
    ours, _ = Tables.parse(Source(told, "keys", key_patterns), Source(signers, "signers", patterns))
    files = [("refile:" if kind else "file:") + str(tmp_path / name)
             for name, kind in (("keys", key_patterns), ("signers", patterns))]  # fmt: skip
    with opendkim(tmp_path, files[0], files[1], every) as theirs:
        for author in AUTHORS:
            local, _, domain = author.partition("@")
            found = [Signed(*one[:2], one.identity) for one in ours.find(local, domain.lower(), every)]
            if every:
                # opendkim 2.11 forgets those between the first and the last: it hangs each behind the first.
                found = found[:1] + found[1:][-1:]
            assert signed(theirs, author.encode()) == found, author


# --- by itself ---


def test_what_is_looked_up_in_a_plain_table_comes_in_this_order() -> None:
    order = ["pass@a.tizio.it", "a.tizio.it", "pass@.tizio.it", ".tizio.it", "pass@.it", ".it", "pass@*", "*"]
    keys = "".join(f"{number} tizio.it:s{number}:/k\n" for number in range(8))
    signers = "".join(f"{key} {number}\n" for number, key in reversed(list(enumerate(order))))
    found = tables(keys, signers).find("PASS", "a.tizio.it", every=True)
    assert [one.selector for one in found] == [f"s{number}" for number in range(8)]


def test_a_percent_is_the_domain_of_the_author_and_in_a_path_that_of_the_signature() -> None:
    found = tables("k %:2026a:/keys/%/%.pem\nf tizio.it:s:/keys/%.pem\n", "*@caio.it k:@%\n*@* f\n", True)
    assert found.find("x", "caio.it") == (Entry("caio.it", "2026a", "/keys/caio.it/caio.it.pem", "@caio.it"),)
    assert found.find("x", "sempronio.it") == (Entry("tizio.it", "s", "/keys/tizio.it.pem"),)
    assert found.entries() == [Entry("caio.it", "2026a", "/keys/caio.it/caio.it.pem", "@caio.it"),
                               Entry("tizio.it", "s", "/keys/tizio.it.pem")]  # fmt: skip


@pytest.mark.parametrize("domain", ["../../x.it", "a/b.it", "[192.0.2.1]", "it", "..", "a..it", "-.it\n", "\udcff.it"])
def test_no_author_leads_a_path_elsewhere(domain: str) -> None:
    with pytest.raises(Unusable, match="can't stand where there is a %"):
        tables("k %:2026a:/keys/%.pem\n", "*@* k\n", True).find("x", domain)


def test_names_beyond_ascii_are_compared_in_a_labels() -> None:
    found = tables("k caffè.it:s:/k\n", "anna@CAFFÈ.it k\n*@*.caffè.it k\n", True)
    assert [one.domain for one in found.find("anna", "xn--caff-8oa.it")] == ["xn--caff-8oa.it"]
    assert len(found.find("x", "a.xn--caff-8oa.it")) == 1


def test_an_identity_that_is_not_of_the_signing_domain_is_left_out() -> None:
    found = tables(TIZIO, "a@x.it tizio:@caio.it\nb@x.it tizio:@nottizio.it\nc@x.it tizio:@a.TIZIO.it\n")
    assert [found.find(local, "x.it")[0].identity for local in "abc"] == ["", "", "@a.TIZIO.it"]


def test_every_problem_is_told_with_its_line() -> None:
    keys = (
        "one\ntwo tizio.it:s\nthree tizio.it:s:keys/k\nfour it:s:/k\nfive tizio.it:s s:/k\nsix tizio.it : s : /k\n"
        f"{'x' * 1100} tizio.it:s:/k\n{TIZIO}"
    )
    form = "wanted NAME DOMAIN:SELECTOR:FILE, without blanks around the colons"
    signers = "a@x.it\nb@x.it none\nc@x.it tizio other\nd@x.it tizio:staff\ne@x.it tizio:a;b@tizio.it\n"
    assert problems(keys, signers) == [
        "KeyTable:1: found a single word, wanted two words, with blanks between them",
        f"KeyTable:2: found a line for 'two', {form}",
        "KeyTable:3: found a line for 'three', wanted the absolute path of a key file behind the second colon: a key "
        "that stands in the table is not read",
        f"KeyTable:4: found a line for 'four', {form}",
        "KeyTable:5: found a line for 'five', wanted a selector such as \"2026a\" behind the first colon",
        f"KeyTable:6: found a line for 'six', {form}",
        f"KeyTable:7: found a line for '{'x' * 80}', wanted a line of at most 1024 characters",
        "SigningTable:1: found a single word, wanted two words, with blanks between them",
        "SigningTable:3: found a line for 'c@x.it', wanted ADDRESS NAME, or ADDRESS NAME:IDENTITY",
        'SigningTable:4: found a line for \'d@x.it\', wanted an identity such as "@tizio.it", "@%" or '
        '"staff@tizio.it" behind the colon',
        'SigningTable:5: found a line for \'e@x.it\', wanted an identity such as "@tizio.it", "@%" or '
        '"staff@tizio.it" behind the colon',
        "SigningTable:2: found 'none', wanted the NAME of a line of KeyTable",
    ]


def test_an_author_whose_line_is_no_good_gets_no_other() -> None:
    keys = Source(f"bad tizio.it:s\n{TIZIO}", "KeyTable")
    found, _ = Tables.parse(keys, Source("a@x.it\nb@x.it bad\nc@x.it none\nx.it tizio\n", "SigningTable"))
    for local, place in (("a", "SigningTable:1"), ("b", "KeyTable:1"), ("c", "SigningTable:3")):
        with pytest.raises(Unusable, match=place):
            found.find(local, "x.it")
    assert [one.selector for one in found.find("d", "x.it")] == ["2026a"]
    assert found.entries() == [Entry("tizio.it", "2026a", "/keys/tizio.pem")]


def test_a_key_in_the_table_is_never_shown() -> None:
    secret = "MIICXAIBAAKBgQC7vbqajDw4o6gJy8UtmIbkcpnkO3Kwc4qsEnSZp"
    told = problems(f"k tizio.it:s:{secret}\n{secret}\n", "* k\n")
    assert len(told) == 2
    assert not any(secret[:10] in one for one in told)


def test_a_pattern_behind_a_blank_is_skipped_and_told() -> None:
    assert "found a blank" in problems(TIZIO, " *@tizio.it tizio\n", True)[0]


def test_what_opendkim_takes_for_an_expression_is_told_and_means_itself() -> None:
    signers = "[ab]@tizio.it tizio\n"
    found, _ = Tables.parse(Source(TIZIO, "k"), Source(signers, "s", True))
    assert found.find("a", "tizio.it") == ()
    assert len(found.find("[ab]", "tizio.it")) == 1
    assert 'no special character but "*"' in problems(TIZIO, signers, True)[0]


def test_a_table_may_have_many_lines_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "MAX_ENTRIES", 3)
    told = problems(TIZIO, "a@x.it tizio\n" * 8)
    assert told == ["SigningTable:4: found more lines, wanted at most 3; the rest is not read"]


def test_patterns_that_are_tried_one_by_one_are_few_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "MAX_PATTERNS", 3)
    told = problems(TIZIO, "*@x.it tizio\n" * 8 + "a*@x.it tizio\n" * 8, True)
    wanted = "wanted at most 3 patterns other than *@DOMAIN; the rest is not read"
    assert told == [f"SigningTable:12: found more lines, {wanted}"]


def test_names_are_held_against_patterns_of_the_key_table_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = 0
    matches = Pattern.matches

    def counted(self: Pattern, text: str) -> bool:
        nonlocal tried
        tried += 1
        return matches(self, text)

    monkeypatch.setattr(Pattern, "matches", counted)
    monkeypatch.setattr(under_test, "MAX_TRIED", 5000)
    keys = "".join(f"k{one}* tizio.it:a:/k/a.pem\n" for one in range(1000))
    signers = "".join(f"u{one}@tizio.it x{one % 500}\n" for one in range(3000))
    _, found = Tables.parse(Source(keys, "KeyTable", True), Source(signers, "SigningTable"))
    assert found
    assert tried <= 6000


@pytest.mark.parametrize("line", [
    "t tizio.it.:..:/k", "t -a.it:a:/k", "t a/../b.it:a:/k", "t ti\u200dzio.it:a:/k", "t it:a:/k", "t 192.0.2.1:a:/k",
    "t tizio.it:a..b:/k", "t tizio.it:a.:/k", "t tizio.it:-a:/k", f"t tizio.it:{'a' * 64}:/k",
    f"t tizio.it:{'.'.join(['a' * 60] * 4)}:/k",
])  # fmt: skip
def test_what_can_be_no_name_in_the_dns_signs_nothing(line: str) -> None:
    (told,) = problems(f"{line}\n", "")
    assert told.startswith("KeyTable:1: found a line for 't'")


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("staff@tizio.it", True), ("@a.tizio.it", True), ("a+b@Tizio.it", True), ("tizio.it", False),
        ("a b@tizio.it", False), ("a;b@tizio.it", False), ("a=b@tizio.it", False), ('"a"@tizio.it', True),
        ("è@tizio.it", False), ("a@nottizio.it", False), ("a@tizio.it\r\nX: y", False), (f"{'a' * 65}@tizio.it", False),
    ],
)  # fmt: skip
def test_an_identity_is_safe_in_a_list_of_tags(text: str, fits: bool) -> None:
    assert is_identity(text, "tizio.it") is fits


def as_expression(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


@settings(max_examples=500, deadline=None)
@given(pattern=st.text("ab@.*", max_size=8), text=st.text("ab@.", max_size=10))
def test_a_pattern_matches_what_the_expression_would(pattern: str, text: str) -> None:
    assert Pattern(pattern).matches(text) == bool(as_expression(pattern).fullmatch(text))


def test_a_pattern_of_many_stars_takes_no_longer_than_its_text() -> None:
    pattern = Pattern("*a" * 500 + "*b")
    assert not pattern.matches("a" * 5000)
    assert pattern.matches("a" * 5000 + "b")


SURELY = Tables.parse(
    Source("k %:s:/keys/%\nf tizio.it:s:/k\n", "k"), Source("pass@tizio.it f\n*@*.it k:%@%\n*a*b*c*@* f\n", "s", True)
)[0]
FOR_HOSTS = Tables.parse(Source("k %:s:/keys/%\n", "k"), Source("pass@.it k\n.it k\n* k\n", "s"))[0]
LONG = ["." * 5000, "a." * 500, "x" * 5000, "../" * 90, "tizio.it"]
ANY = st.text(st.characters(), max_size=50) | st.sampled_from(LONG)
LINES = st.text(st.characters() | st.sampled_from(":% \n/"), max_size=80)


@settings(max_examples=300, deadline=None)
@given(local=ANY, domain=ANY, every=st.booleans(), which=st.sampled_from([SURELY, FOR_HOSTS]))
def test_any_author_has_keys_or_none_and_all_of_them_are_sound(
    local: str, domain: str, every: bool, which: Tables
) -> None:
    try:
        found = which.find(local, domain, every)
    except Unusable:
        return
    for one in found:
        assert is_domain(one.domain)
        assert ".." not in one.file
        assert not one.identity or is_identity(one.identity, one.domain)


@settings(max_examples=300, deadline=None)
@given(keys=LINES, signers=LINES, patterns=st.booleans())
def test_any_text_is_a_table(keys: str, signers: str, patterns: bool) -> None:
    found, _ = Tables.parse(Source(keys, "k", patterns), Source(signers, "s", patterns))
    found.entries()
