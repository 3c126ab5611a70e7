"""Messages of others (the examples of RFC 6376 and 8463 among them), as they are and tampered with.

The files are not ours and not in this repository: they are where ``VAGLIO_DATA`` says, or in ``../shared/data``. What
dkimpy says of the same message is compared; where we say something else, the RFC says why (``OURS``, ``THEIRS``).
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.checks.dkim import theirs
from tests.checks.dkim.letters import CASES, FLANKER, Letter, absent, best, letters, tampered
from tests.checks.dkim.samples import NOW, judge
from vaglio.checks.dkim import canonical
from vaglio.checks.dkim.canonical import Body, Form, RelaxedBody
from vaglio.checks.dkim.outcome import Reason, Result
from vaglio.checks.dkim.verify import Judged, is_signature
from vaglio.examination import Field
from vaglio.milter.replay import read

OURS = {
    Reason.SHA1: "RFC 8301 3.1: rsa-sha1 must not verify",
    Reason.TESTING: "RFC 6376 3.6.1: a test counts as unsigned",
    Reason.PARTIAL_BODY: "RFC 6376 8.2: what is beyond l= may be anybody's",
    Reason.BODY_TOO_SHORT: "RFC 6376 3.5: l= must not be larger than the body",
    Reason.EXPIRED: "RFC 6376 3.5: dkimpy lets pass what expired up to 10 hours ago",
    Reason.FROM_FUTURE: "RFC 6376 3.5: dkimpy lets clocks be 10 hours wrong",
    Reason.WRONG_KEY: "RFC 6376 3.6.1 and 6.1.2: h=, s= and k= of the key bind",
    Reason.FOREIGN_IDENTITY: "RFC 6376 3.6.1: t=s allows no subdomain",
    Reason.LONG_KEY: "RFC 8301 3.2: more than 4096 bits need not be verified",
    Reason.BAD_KEY: "RFC 6376 3.2 and 6.1.2: what can't be read is no key",
    Reason.NO_KEY: "RFC 6376 3.6.1: v= comes first, or the record is none",
    Reason.MALFORMED: "RFC 6376 3.2 and 3.5: names, numbers, base64 and domains have a syntax",
    Reason.UNSUPPORTED: "RFC 6376 3.5",
    Reason.TOO_LARGE: "bounds of ours",
    Reason.PASSED_OVER: "bounds of ours",
    Reason.UNSIGNED_FROM: "RFC 6376 8.15: of two From a reader may be shown the wrong one",
    Reason.FROM_NOT_SIGNED: "RFC 6376 5.4: From must be there and signed",
}
"""Why we let fail what dkimpy lets pass."""


def read_otherwise(header: Sequence[Field], place: int) -> str:
    """Return why dkimpy signs other bytes than we do; "" if it does not."""
    value = header[place].value
    if re.search(rb"[\x0b\x0c\r]", b"".join(one.value for one in header)):
        return "RFC 6376 2.8: only blank and tab are white space; dkimpy strips others"
    if re.search(rb"b\s*=[^;]*\s;", value):
        return "RFC 6376 3.7: blanks behind b= go as well; dkimpy leaves them"
    if value != value.rstrip():
        return "RFC 6376 3.4.1: the simple form keeps blanks at the end; dkimpy strips them from the signature"
    if re.search(rb"h\s*=[^;]*dkim-signature", value, re.IGNORECASE):
        return "RFC 6376 3.5: a signature does not sign itself"
    return ""


def may_pass(header: Sequence[Field], place: int) -> str:
    """Return why we let pass what dkimpy does not; "" if there is no reason to."""
    if any(re.search(rb"[^!-9;-~]", name) for name, _ in header):
        return "RFC 5322 4.5.8 has blanks before the colon: dkimpy reads no such message at all"
    if re.search(rb"q\s*=", header[place].value):
        return "RFC 6376 3.5: q= is a list"
    return read_otherwise(header, place)


@pytest.fixture(autouse=True)
def their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs.set_time(monkeypatch, NOW)


@absent
def test_the_corpus_is_whole() -> None:
    assert len(CASES) == 12


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Letter) -> None:
    found = judge(case.header, case.body, case.keys, NOW)
    assert best([one.result for one in found]) == case.expected
    compare(case, found)


def compare(letter: Letter, found: Sequence[Judged]) -> int:
    """Hold what we found against dkimpy; return how many passed with both."""
    places = [place for place, field in enumerate(letter.header) if is_signature(field.name)]
    passed = 0
    for one in found:
        place = next(place for place in places if letter.header[place] is one.signature.field)
        theirs_pass = theirs.verifies(letter.header, letter.body, letter.keys, places.index(place))
        if theirs_pass and one.result is not Result.PASS:
            assert one.reason in OURS or read_otherwise(letter.header, place), [letter, one]
        elif not theirs_pass and one.result is Result.PASS:
            assert may_pass(letter.header, place), [letter, one]
        passed += theirs_pass and one.result is Result.PASS
    return passed


# --- tampered with ---


@pytest.mark.parametrize("letter", letters(NOW), ids=lambda letter: letter.name)
def test_whatever_is_done_to_a_message_nothing_raises_and_differences_have_a_reason(letter: Letter) -> None:
    dice = random.Random(letter.name)
    passed = 0
    for _ in range(400):
        one = tampered(letter, dice)
        found = judge(one.header, one.body, one.keys, NOW)
        assert all(len(judged.words) < 400 and judged.words.isprintable() for judged in found)
        if representable(one):
            passed += compare(one, found)
    if "pass" in letter.expected:
        assert passed > 10  # so that something was compared


def representable(letter: Letter) -> bool:
    """Say whether a message says the same to dkimpy, which reads it as text: no field ends where we have none end."""
    for name, value in letter.header:
        if not name or b":" in name or re.search(rb"[\s]", name) or re.search(rb"\n(?![ \t])|\n\s*\Z", value):
            return False
    return not re.search(rb"(?<!\r)\n", letter.body)


# --- canonical forms ---


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("path", FLANKER, ids=lambda path: path.suffix[1:])
def test_canonical_forms(path: Path, form: Form) -> None:
    expected = path.with_name(f"{form}.expected{path.suffix}").read_bytes()
    header, body = read(path.read_bytes())
    found = [canonical.header(name, value, form) + b"\r\n" for name, value in header]
    found.append(b"\r\n")
    hasher = (RelaxedBody if form is Form.RELAXED else Body)(found.append)
    hasher.feed(body)
    hasher.finish()
    assert b"".join(found) == expected
