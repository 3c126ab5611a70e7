"""Authentication-Results: what is written reads back as it was meant, and no field that claims to be ours gets by.

Two readers judge the writer: a strict one after the grammar of RFC 8601 2.2, below, and the library ``authres``.
"""

from __future__ import annotations

import base64
import email
import email.policy
import json
import os
import re
import time
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import authres
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vaglio.milter.authres import MAX_PROPERTY, NAME, authentication_results, claims, names_it
from vaglio.milter.text import MAX_VALUE, header_value
from vaglio.text import CONTROLS
from vaglio.verdict import AuthResult

DATA = Path(os.environ.get("VAGLIO_DATA", Path(__file__).parents[3] / "shared" / "data")) / "authres" / "headers.jsonl"

ID = "mail.caio.it"
BREAK_OUT = "x\r\n\t) ; dkim=pass (y\\\" ; spf=pass \x85\u2028=?utf-8?q?=29=3B?= è \udcff\ud800"
ANYTHING = (
    st.text()
    | st.text("()\\\";=?@.a \n\r")
    | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape"))
)


# --- a strict reader --------------------------------------------------------------------------------------------------

_COMMENT = r"\((?:[^()\\]|\\.)*\)"  # we nest none
_KEYWORD = r"[A-Za-z0-9-]*[A-Za-z0-9]"
_TOKEN = r"[^\x00-\x20\x7f-\U0010ffff()<>@,;:\\\"/\[\]?=]+"
_STRING = r'"(?:[^"\\]|\\.)*"'
_ATOM = r"[^\x00-\x20\x7f()<>\[\]:;@\\,.\"]+"
_DOMAIN = r"[0-9A-Za-z\u0080-\U0010ffff][0-9A-Za-z\u0080-\U0010ffff.-]*"
_ADDRESS = rf"(?:(?:{_ATOM}(?:\.{_ATOM})*|{_STRING})?@)?{_DOMAIN}(?=[ ;]|$)"
_PVALUE = rf"(?P<address>{_ADDRESS})|(?P<token>{_TOKEN})|(?P<string>{_STRING})"
_ID = re.compile(rf"(?P<token>{_TOKEN})|(?P<string>{_STRING})")
_METHODSPEC = re.compile(
    rf"; *(?P<method>{_KEYWORD}(?:/\d+)?)=(?P<result>{_KEYWORD})"
    rf"(?: (?P<comment>{_COMMENT}))?(?: reason=(?P<reason>{_STRING}))?"
)
_PROPSPEC = re.compile(rf" (?P<name>{_KEYWORD}\.{_KEYWORD})=(?:{_PVALUE})")


def unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


def word_of(found: re.Match[str]) -> str:
    return unquoted(found["string"]) if found["string"] else found[found.lastgroup or 0]


class Said(NamedTuple):
    authserv_id: str
    results: list[AuthResult]


def read(value: str) -> Said:
    """Return what a field says. Raises AssertionError where it is not as RFC 8601 2.2 has it."""
    found = _ID.match(value)
    assert found, value
    said, at = Said(word_of(found), []), found.end()
    if value[at:] == "; none":
        return said
    assert at < len(value)
    while at < len(value):
        spec = _METHODSPEC.match(value, at)
        assert spec, value[at:]
        properties, at = [], spec.end()
        while prop := _PROPSPEC.match(value, at):
            properties.append((prop["name"], word_of(prop)))
            at = prop.end()
        comment, reason = (spec["comment"] or "  ")[1:-1], unquoted(spec["reason"] or "  ")
        said.results.append(AuthResult(spec["method"], spec["result"], tuple(properties), reason, comment))
    return said


def written(*results: AuthResult, authserv_id: str = ID) -> str:
    """Return a field's value as readers have it that unfold it first."""
    folded = header_value(authentication_results(authserv_id, results), NAME)
    return folded.replace(b"\n", b"").decode().replace("\t", " ")


# --- writing ----------------------------------------------------------------------------------------------------------


def test_each_result_has_its_line() -> None:
    value = authentication_results(
        ID,
        [
            AuthResult("spf", "pass", (("smtp.mailfrom", "a@tizio.it"), ("smtp.helo", "mx.tizio.it")), comment="ok"),
            AuthResult("dkim", "fail", (("header.d", "tizio.it"),), reason="the body was changed"),
        ],
    )
    assert value == (
        "mail.caio.it;\n\tspf=pass (ok) smtp.mailfrom=a@tizio.it smtp.helo=mx.tizio.it;"
        '\n\tdkim=fail reason="the body was changed" header.d=tizio.it'
    )


def test_where_nothing_was_done_it_says_none() -> None:
    assert authentication_results(ID, []) == "mail.caio.it; none"


@pytest.mark.parametrize(
    ("value", "as_written"),
    [
        ("tizio.it", "tizio.it"),
        ("tizio@tizio.it", "tizio@tizio.it"),
        ("@tizio.it", "@tizio.it"),
        ("bounces+caio=caio.it@tizio.it", "bounces+caio=caio.it@tizio.it"),
        ('"a; b"@tizio.it', '"a; b"@tizio.it'),
        ("tizio@città.example", "tizio@città.example"),
        ("città.example", "città.example"),
        ("_spf.tizio.it", "_spf.tizio.it"),
        ("rsa-sha256", "rsa-sha256"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::7", '"2001:db8::7"'),
        ("Qgi/FoC0", '"Qgi/FoC0"'),
        ("", '""'),
        ("<>", '"<>"'),
        ("a..b@tizio.it", '"a..b@tizio.it"'),
        ("a b@tizio.it", '"a b@tizio.it"'),
        ("tizio@[192.0.2.7]", '"tizio@[192.0.2.7]"'),
        ("tizio@tizio_it", '"tizio@tizio_it"'),
        ("tizio@-tizio.it", '"tizio@-tizio.it"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("x@tizio.it; dkim=pass", '"x@tizio.it; dkim=pass"'),
        ("x\u3000header.d=caio.it@tizio.it", '"x\u3000header.d=caio.it@tizio.it"'),
        ("=?utf-8?q?=3B?=@tizio.it", '"=\\?utf-8?q?=3B?=@tizio.it"'),
    ],
)
def test_values_are_tokens_addresses_or_quoted_strings(value: str, as_written: str) -> None:
    assert authentication_results(ID, [AuthResult("spf", "pass", (("smtp.helo", value),))]).endswith(
        f"smtp.helo={as_written}"
    )


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.builds(
            AuthResult,
            st.sampled_from(["spf", "dkim", "dmarc", "dkim/1", "sender-id", "iprev"]),
            st.sampled_from(["pass", "none", "temperror", "x-y"]),
            st.lists(st.tuples(st.sampled_from(["smtp.helo", "header.b", "dns.sec"]), ANYTHING), max_size=4).map(tuple),
            ANYTHING,
            ANYTHING,
        ),
        max_size=5,
    )
)
@example([AuthResult("spf", "fail", (("smtp.helo", BREAK_OUT),), BREAK_OUT, BREAK_OUT)])
def test_strangers_words_stay_what_they_are(results: list[AuthResult]) -> None:
    value = authentication_results(ID, results)
    assert CONTROLS.search(value.replace(";\n\t", "; ")) is None
    assert value.encode().count(b"\n") <= len(results)
    said = read(value.replace(";\n\t", "; "))
    assert said.authserv_id == ID
    assert [(one.method, one.result) for one in said.results] == [(one.method, one.result) for one in results]
    for one, meant in zip(said.results, results, strict=True):
        assert one.properties == tuple((name, CONTROLS.sub("\ufffd", text)) for name, text in meant.properties)
        for prose in (one.comment, one.reason):
            assert not set(prose) & set('()\\";')
            assert "=?" not in prose


@settings(max_examples=300, deadline=None)
@given(ANYTHING, ANYTHING, ANYTHING)
def test_folding_changes_nothing_but_blanks(sender: str, reason: str, comment: str) -> None:
    meant = AuthResult("spf", "pass", (("smtp.mailfrom", sender),), reason, comment)
    said = read(written(meant))
    assert said == read(authentication_results(ID, [meant]).replace("\n\t", " "))


WORDS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
DOMAINS = st.lists(WORDS, min_size=1, max_size=4).map(".".join)
LOCAL_PARTS = st.from_regex(r"[a-z!#$%&'*+/=?^_`{|}~-]{1,12}(\.[a-z]{1,3})?", fullmatch=True)
ADDRESSES = st.builds("{}@{}".format, LOCAL_PARTS, DOMAINS)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.builds(
            AuthResult,
            st.sampled_from(["spf", "dkim", "dmarc", "sender-id", "iprev", "auth", "arc", "x-own"]),
            st.sampled_from(["pass", "fail", "none", "temperror"]),
            # The library loses a quoted string that is not the last property.
            st.tuples(
                st.tuples(st.just("smtp.mailfrom"), ADDRESSES.filter(lambda text: "=?" not in text)),
                st.tuples(st.just("header.d"), DOMAINS),
                st.tuples(st.just("policy.own"), st.text(st.characters(min_codepoint=33, max_codepoint=126))),
            ),
            st.text(st.characters(min_codepoint=32, max_codepoint=126)),
            st.text(st.characters(min_codepoint=32, max_codepoint=126)),
        ),
        max_size=4,
    )
)
def test_the_library_reads_what_was_written(results: list[AuthResult]) -> None:
    header = authres.parse_value(written(*results))
    assert header.authserv_id == ID
    assert [(one.method, one.result) for one in header.results] == [(one.method, one.result) for one in results]
    for one, meant in zip(header.results, results, strict=True):
        found = [(f"{prop.type}.{prop.name}", re.sub(r"\\(.)", r"\1", prop.value)) for prop in one.properties]
        assert found == list(meant.properties)


def test_readers_who_decode_encoded_words_first_find_nothing_in_them() -> None:
    hidden = "=?utf-8?q?=22=29=3B_dkim=3Dpass?="
    one = AuthResult("spf", "fail", (("smtp.mailfrom", f"{hidden}@tizio.it"), ("smtp.helo", hidden)), hidden, hidden)
    field = NAME + b": " + header_value(authentication_results(ID, [one]), NAME) + b"\n\n"
    decoded = email.message_from_bytes(field, policy=email.policy.default)["Authentication-Results"]
    assert [result.method for result in read(decoded.replace("\t", " ")).results] == ["spf"]


def test_a_word_that_is_none_is_left_out_with_its_result() -> None:
    results = [AuthResult(method, "pass") for method in ("", "spf=pass; dkim", "sp f", "spf-", "sp\nf", "è", "x" * 41)]
    results += [AuthResult("spf", result) for result in ("", "pass; dkim=pass", "pass (", "p\r\nass", "p_ass")]
    assert authentication_results(ID, results) == f"{ID}; none"


def test_a_property_that_is_none_is_left_out() -> None:
    names = ("", "smtp", "smtp.", ".helo", "smtp.he lo", "smtp.a=b", "a.b.c", "a.b\n")
    properties = tuple((name, "x") for name in names)
    assert authentication_results(ID, [AuthResult("spf", "pass", properties)]) == f"{ID};\n\tspf=pass"


@pytest.mark.parametrize("long", ["a" * 628 + "@caio.it.evil.example", "é" * 330, '"' * 330, "a." * 1_000_000])
def test_a_value_too_long_is_left_out_since_a_part_of_it_may_be_a_name_of_others(long: str) -> None:
    results = [AuthResult("spf", "pass", (("smtp.mailfrom", long), ("smtp.helo", "mx.tizio.it")))]
    assert authentication_results(ID, results) == f"{ID};\n\tspf=pass smtp.helo=mx.tizio.it"


def test_a_control_never_makes_one_name_of_another() -> None:
    value = authentication_results(ID, [AuthResult("dkim", "pass", (("header.d", "caio.it\0"),))])
    assert value.endswith("header.d=caio.it\ufffd")


def test_results_beyond_what_a_field_holds_are_left_out_whole() -> None:
    wide = AuthResult("dkim", "pass", tuple(("header.d", f"{number:0600}.example") for number in range(20)))
    results = [wide, wide._replace(method="dmarc"), AuthResult("spf", "pass", (("smtp.helo", "mx.tizio.it"),))]
    value = written(*results)
    assert len(value) <= MAX_VALUE * 1.03
    assert [one.method for one in read(value).results] == ["dkim", "spf"]


def test_every_line_is_as_short_as_its_words_allow() -> None:
    one = AuthResult("dkim", "pass", (("header.d", "a" * 600), ("header.i", "@tizio.it")), BREAK_OUT * 9, BREAK_OUT * 9)
    for line in header_value(authentication_results(ID, [one] * 9), NAME).split(b"\n"):
        assert len(line) <= 78 or b" " not in line.strip()
        assert len(line) <= MAX_PROPERTY + 100


@pytest.mark.parametrize(("ours", "as_written"), [(ID, ID), ("città.it", '"città.it"'), ("a/b", '"a/b"')])
def test_our_own_name_is_quoted_where_it_is_no_token(ours: str, as_written: str) -> None:
    assert authentication_results(ours, []) == f"{as_written}; none"
    assert claims(as_written.encode(), ours)


@pytest.mark.parametrize("name", ["Authentication-Results", "AUTHENTICATION-results", "authentication-results \t"])
def test_the_fields_name_is_known_in_any_case(name: str) -> None:
    assert names_it(name.encode())


@pytest.mark.parametrize("name", ["ARC-Authentication-Results", "X-Authentication-Results", "Authentication", ""])
def test_other_fields_are_others(name: str) -> None:
    assert not names_it(name.encode())


# --- whose field is it? -----------------------------------------------------------------------------------------------

OURS = [
    "mail.caio.it; spf=pass",
    " mail.caio.it; none",
    "mail.caio.it",
    "\r\n\tmail.caio.it;\r\n\tspf=pass",
    "\n mail.caio.it\n ; spf=pass",
    "MAIL.Caio.IT; spf=pass",
    "mail.caio.it.; spf=pass",
    "mail.caio.it 1; spf=pass",
    "mail.caio.it. 1; spf=pass",
    "mail.caio.it\t1\t; spf=pass",
    "mail.caio.it spf=pass",
    "mail.caio.it dkim=pass header.d=tizio.it",
    "mail.caio.it:spf=pass",
    "mail.caio.it, other.example; spf=pass",
    "other.example, mail.caio.it; spf=pass",
    "other.example mail.caio.it; spf=pass",
    "other.example; mail.caio.it; spf=pass",
    "; mail.caio.it; spf=pass",
    ";;mail.caio.it;;;",
    "mail.caio.it;;; \0 (((",
    "mail.caio.it; spf=pass reason=\"never ends",
    "mail.caio.it(comment); spf=pass",
    "(comment) mail.caio.it; spf=pass",
    "(a (nested (comment) of) three)(and) (another)\r\n mail.caio.it (one) 1 (more); spf=pass",
    "(a \\) quoted pair) mail.caio.it; spf=pass",
    "(\\\\) mail.caio.it; spf=pass",
    "() mail.caio.it; spf=pass",
    "(never ends mail.caio.it; spf=pass",
    "(((( mail.caio.it; spf=pass",
    "other.example (never ends; mail.caio.it; spf=pass",
    'other.example; spf=fail reason="never ends; mail.caio.it; spf=pass',
    ")) mail.caio.it; spf=pass",
    '(")") mail.caio.it; spf=pass',
    '("(") mail.caio.it; spf=pass',
    "(a (b) mail.caio.it; spf=pass)",
    "(mail.caio.it)",
    '"mail.caio.it"; spf=pass',
    '"MAIL.caio.it." 1; spf=pass',
    '"mail.c\\aio.it"; spf=pass',
    '"\\m\\a\\i\\l\\.\\c\\a\\i\\o\\.\\i\\t"; spf=pass',
    '" mail.caio.it "; spf=pass',
    '"mail.caio.it; spf=pass',
    '"mail".caio.it; spf=pass',
    '"mail" . "caio" . "it"; spf=pass',
    "mail . caio . it; spf=pass",
    "mail.\r\n\tcaio.\r\n\tit; spf=pass",
    "mail(x).(y)caio(z).it; spf=pass",
    "<mail.caio.it>; spf=pass",
    "[mail.caio.it]; spf=pass",
    "'mail.caio.it'; spf=pass",
    "mail.caio.it/4Zx1Y2; spf=pass",
    "Authentication-Results: mail.caio.it; spf=pass",
    "i=1; mail.caio.it; spf=pass",
    "i = 12 ; mail.caio.it; spf=pass",
    "v=1; mail.caio.it 1; spf=pass",
    "\0mail.caio.it\0; spf=pass",
    "\x01\x02 mail.caio.it\x7f; spf=pass",
    "\udcffmail.caio.it\udcfe; spf=pass",
    "\ufeffmail.caio.it; spf=pass",
    "mail.caio.it\xa0; spf=pass",
    "mail.caio\u200b.it; spf=pass",
    "mail\uff0ecaio\u3002it; spf=pass",
    "\uff4d\uff41\uff49\uff4c.caio.it; spf=pass",
    "=?utf-8?q?mail.caio.it?=; spf=pass",
    "=?UTF-8?Q?mail=2Ecaio=2Eit?=; spf=pass",
    "=?utf-8?b?bWFpbC5jYWlvLml0?=; spf=pass",
    "=?us-ascii?B?bWFpbC5jYWlvLml0OyBzcGY9cGFzcw?=",
    "=?us-ascii?Q?ma?= =?us-ascii?Q?il.caio.it?=; spf=pass",
]  # fmt: skip

OTHERS = [
    "",
    " \r\n\t",
    ";",
    "1;",
    "notmail.caio.it; spf=pass",
    "not-mail.caio.it; spf=pass",
    "not_mail.caio.it; spf=pass",
    "mail.caio.it.evil.example; spf=pass",
    "mail.caio.it-2; spf=pass",
    "mail.caio.it2; spf=pass",
    "sub.mail.caio.it; spf=pass",
    "caio.it; spf=pass",
    "mail-caio.it; spf=pass",
    "mailxcaioxit; spf=pass",
    "m\u0430il.caio.it; spf=pass",
    "other.example; spf=pass smtp.helo=mail.caio.it",
    "other.example; spf=pass smtp.helo = mail.caio.it",
    'other.example; spf=pass smtp.helo="mail.caio.it"; dkim=none',
    "other.example; spf=pass smtp.mailfrom=x@mail.caio.it smtp.helo=mail.caio.it; dkim=pass",
    "other.example (mail.caio.it); spf=pass",
    "(mail.caio.it) other.example; spf=pass",
    "(a (mail.caio.it; b) ; mail.caio.it;) other.example; spf=pass (x; mail.caio.it; y)",
    'other.example; spf=fail reason="; mail.caio.it; spf=pass"',
    'other.example; spf=fail reason="\\"; mail.caio.it; spf=pass"',
    "spf=pass (sender IP is 192.0.2.7)\r\n smtp.mailfrom=mail.caio.it; dkim=none header.d=none;dmarc=none",
    "i=1; other.example; spf=pass",
    "=?utf-8?q?other.example?=; spf=pass",
    "=?utf-8?b?!!!?=; spf=pass",
]


UTF16 = base64.b64encode(ID.encode("utf-16")).decode()


@pytest.mark.parametrize(
    "value",
    [
        "=?utf-8?q?mail.caio.it; dkim=pass header.d=bank.it?=",
        "=?utf-8?q?mail.caio.it ?=; spf=pass",
        "=?utf-8?q?mail.caio.it; spf=pass smtp.mailfrom=a@x?y?=",
        f"=?utf-16?b?{UTF16}?=; spf=pass",
        "=?utf-7?q?mail+AC4-caio.it?=; spf=pass",
        "=?UTF-8*en?Q?mail.caio?= =?utf-8?q?.it?=; spf=pass",
        "=?utf-8?q?mail.caio.it; spf=pass",
        f"=?cp037?b?{base64.b64encode(ID.encode('cp037')).decode()}?=; spf=pass",
    ],
)
def test_encoded_words_are_read_as_leniently_as_anybody_does(value: str) -> None:
    assert claims(value.encode(), ID)
    assert not claims(value.encode(), "our.example")


@pytest.mark.parametrize(
    "value", ["=?utf-8?b?x?= other; spf=pass", "=?x-klingon?q?a?=; spf=pass", f"{'x' * 9000}; spf=pass"]
)
def test_what_nobody_can_read_counts_as_ours(value: str) -> None:
    assert claims(value.encode(), ID)


@pytest.mark.parametrize("value", OURS)
def test_what_may_pass_for_ours_is_ours(value: str) -> None:
    assert claims(value.encode("utf-8", "surrogateescape"), ID)
    assert claims(value.encode("utf-8", "surrogateescape"), "Mail.Caio.IT.")
    assert not claims(value.encode("utf-8", "surrogateescape"), "our.example")


@pytest.mark.parametrize("value", OTHERS)
def test_what_others_say_is_theirs(value: str) -> None:
    assert not claims(value.encode("utf-8", "surrogateescape"), ID)


@pytest.mark.parametrize("ours", ["città.example", "xn--citt-3na.example", "CITTÀ.example"])
@pytest.mark.parametrize("theirs", ["città.example", "XN--CITT-3NA.example.", '"citta\u0300.example"', "CITTÀ.Example"])
def test_u_labels_and_a_labels_are_one_name(ours: str, theirs: str) -> None:
    assert claims(f"{theirs}; spf=pass".encode(), ours)
    assert not claims(f"{theirs}; spf=pass".encode(), "citta.example")


def test_labels_that_are_no_a_labels_are_taken_as_they_are() -> None:
    assert claims(b"xn--\xc3\xa0.example; spf=pass", "xn--à.example")
    assert claims(b"xn--99999999.example; spf=pass", "xn--99999999.example")
    assert not claims(b"xn--99999999.example; spf=pass", ID)


def test_a_name_of_several_words_is_ours_as_a_whole_only() -> None:
    assert claims(b'"mail.caio.it/inbound"; spf=pass', "mail.caio.it/inbound")
    assert not claims(b"mail.caio.it; spf=pass", "mail.caio.it/inbound")
    assert not claims(b'"mail.caio.it/outbound"; spf=pass', "mail.caio.it/inbound")


def test_a_name_without_letters_is_nobodys() -> None:
    assert not claims(b"mail.caio.it; spf=pass", "!")
    assert not claims(b"!; spf=pass", "!")


@settings(max_examples=300, deadline=None)
@given(st.text("()\\\";=?.a \r\n\0è") | st.text(), st.binary())
def test_whatever_surrounds_it_our_name_before_all_else_is_ours(rest: str, garbage: bytes) -> None:
    assert claims(f"{ID}; {rest}".encode("utf-8", "surrogatepass"), ID)
    assert claims(f"{ID};".encode() + garbage, ID)
    claims(garbage, ID)


@settings(max_examples=300, deadline=None)
@given(ANYTHING, ANYTHING, ANYTHING)
def test_what_we_write_is_known_as_ours_and_as_nobody_elses(sender: str, reason: str, comment: str) -> None:
    value = header_value(
        authentication_results(ID, [AuthResult("spf", "pass", (("smtp.mailfrom", sender),), reason, comment)]), NAME
    )
    assert claims(value, ID)
    assert not claims(value, "other.example")


@pytest.mark.parametrize("hostile", ["other.example", f"x; {ID}; spf=pass", f'"; {ID};', f"(; {ID};", f"=?; {ID};"])
def test_what_strangers_say_in_a_field_of_others_does_not_make_it_ours(hostile: str) -> None:
    result = AuthResult("spf", "pass", (("smtp.mailfrom", hostile), ("smtp.helo", hostile)), hostile, hostile)
    value = header_value(authentication_results("other.example", [result]), NAME)
    assert claims(value, "other.example")
    assert not claims(value, ID)


def test_a_thousand_nested_comments_hide_nothing() -> None:
    nested = "(" * 1000 + ")" * 1000
    assert claims(f"{nested} {ID}; spf=pass".encode(), ID)
    assert claims(f"{'(' * 1000} {ID}; spf=pass".encode(), ID)
    assert not claims(f"{nested} other.example; spf=pass".encode(), ID)


@pytest.mark.parametrize(
    "piece",
    ["(", ")", "(a)", '"', '\\"', "\\", ";", "=", ".", ". ", " .", " ", "\r\n\t", "a ", "a", "a.", "xn--a ", "è ", "è",
     "\0", "a\u0301\u0316", "=?", "?= ", "=?u?b?", "=?u?q?a?= ", "=?u?b?YQ", "\ufdfa"],
)  # fmt: skip
def test_hostile_values_take_time_in_proportion_at_most(piece: str) -> None:
    value = (piece * 100_000).encode()[:100_000]
    before = time.process_time()
    claims(value, ID)
    assert claims(f"{ID}; ".encode() + value, ID)
    assert time.process_time() - before < 1


# --- fields from the wild ---------------------------------------------------------------------------------------------


@cache
def fields() -> list[dict[str, Any]]:
    if not DATA.exists():
        pytest.skip(f"{DATA} is not there: VAGLIO_DATA names the folder of the shared data")
    return [json.loads(line) for line in DATA.read_text().splitlines()]


def value_of(field: dict[str, Any]) -> bytes:
    return str(field["header"]).partition(":")[2].encode("utf-8", "surrogateescape")


def test_fields_of_the_wild_are_known_by_their_names() -> None:
    known = [(value_of(one), one["expect"]["authserv_id"]) for one in fields() if one["expect"].get("authserv_id")]
    assert len(known) >= 15
    for value, authserv_id in known:
        assert claims(value, authserv_id), value
        assert claims(value.swapcase(), authserv_id), value
        assert not claims(value, "other.example"), value


def test_no_field_of_the_wild_is_taken_for_ours() -> None:
    assert len(fields()) == 422
    for one in fields():
        assert not claims(value_of(one), ID)


def test_first_words_of_the_wild_are_names() -> None:
    named = 0
    for one in fields():
        found = re.match(rb"\s*(?:i=\d+;\s*)?([a-z0-9-]+(?:\.[a-z0-9-]+)+)(?: 1)?;", value_of(one))
        if found:
            named += 1
            assert claims(value_of(one), found[1].decode())
    assert named > 100


def test_results_of_the_wild_are_written_as_they_were_read() -> None:
    suite = [one["expect"] for one in fields() if one["suite"] == "authres" and "error" not in one["expect"]]
    assert len(suite) >= 8
    for meant in suite:
        results = [result_of(one) for one in meant["results"]]
        value = written(*results, authserv_id=meant["authserv_id"])
        assert read(value) == Said(meant["authserv_id"], results)
        header = authres.parse_value(value)
        assert header.authserv_id == meant["authserv_id"]
        for one, wanted in zip(header.results, meant["results"], strict=True):
            assert (one.method, one.result) == (wanted["method"], wanted["result"])
            assert [[prop.type, prop.name, prop.value] for prop in one.properties] == wanted["properties"]


def result_of(one: dict[str, Any]) -> AuthResult:
    properties = tuple((f"{kind}.{name}", text) for kind, name, text in one["properties"])
    return AuthResult(one["method"], one["result"], properties)
