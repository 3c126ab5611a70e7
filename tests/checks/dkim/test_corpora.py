"""Messages of others (the examples of RFC 6376 and 8463 among them), as they are and tampered with.

The files are not ours and not in this repository: they are where ``VAGLIO_DATA`` says, or in ``../shared/data``. What
dkimpy says of the same message is compared; where we say something else, the RFC says why (``OURS``, ``THEIRS``).
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.checks.dkim import theirs
from tests.checks.dkim.signing import BODY, ed25519, judge, record, rsa, sign
from tests.checks.dkim.signing import HEADER as OWN
from vaglio.checks.dkim import canonical
from vaglio.checks.dkim.canonical import Body, Form, RelaxedBody
from vaglio.checks.dkim.outcome import Reason, Result
from vaglio.checks.dkim.verify import Judged, is_signature
from vaglio.examination import Field
from vaglio.milter.replay import read

DATA = Path(os.environ.get("VAGLIO_DATA") or Path(__file__).parents[4] / "shared" / "data") / "dkim"
NOW = 1_700_000_000

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


class Letter(NamedTuple):
    name: str
    header: tuple[Field, ...]
    body: bytes
    keys: Mapping[str, str]
    expected: str = ""


def cases() -> Iterator[Letter]:
    path = DATA / "cases.jsonl"
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        case: dict[str, Any] = json.loads(line)
        header, body = read((DATA / case["file"]).read_bytes())
        yield Letter(case["file"], tuple(header), body, case["keys"], case["expected"])


CASES = list(cases())
absent = pytest.mark.skipif(not CASES, reason=f"the corpus is not there: {DATA} (VAGLIO_DATA says where)")


@pytest.fixture(autouse=True)
def their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs.set_time(monkeypatch, NOW)


def best(found: Sequence[Judged]) -> str:
    if any(one.result is Result.PASS for one in found):
        return "pass"
    if not found:
        return "none"
    return "fail" if found[0].result is Result.FAIL else "invalid"


@absent
def test_the_corpus_is_whole() -> None:
    assert len(CASES) == 12


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Letter) -> None:
    found = judge(case.header, case.body, case.keys, NOW)
    assert best(found) == case.expected
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


def own_letters() -> Iterator[Letter]:
    keys = {"uno._domainkey.tizio.it": record(rsa()), "due._domainkey.tizio.it": record(ed25519())}
    for c in ("simple/simple", "relaxed/relaxed", "simple/relaxed", "relaxed/simple"):
        first = sign(c=c, t=str(NOW - 10), x=str(NOW + 10), q="dns/txt", i="a@tizio.it")
        second = sign(OWN, BODY, ed25519(), c=c, s="due", h="from:to:subject:cc:date", l="20")
        yield Letter(f"own {c}", (first, second, *OWN), BODY, keys)


LETTERS = [*(case for case in CASES if case.expected in ("pass", "fail", "invalid")), *own_letters()]
PIECES = [
    b" ", b"\t", b"\r", b"\n ", b"\r\n\t", b";", b"=", b":", b"b=", b";b=", b" ; ", b"l=1;", b"t=1;", b"x=9;", b"q=x;",
    b"v=1", b"\x0b", b"\x7f", b"\xff", b"\xc3\xa8", b"@", b".", b"a", b"A", b"0", b"/", b"(", b"relaxed", b"simple",
    b"sha1", b"y", b"dkim-signature:", b"From", b"i=@x", b"h=from;", b"99999999999999999999", b"AAAA",
]  # fmt: skip


def tampered(letter: Letter, dice: random.Random) -> Letter:
    """Return a letter with a few changes, most of them to signatures and keys."""
    header, body, keys = list(letter.header), letter.body, dict(letter.keys)
    places = [place for place, field in enumerate(header) if is_signature(field.name)]
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        match dice.randrange(10):
            case 0 | 1 | 2 | 3:
                place = dice.choice(places)
                header[place] = Field(header[place].name, changed(header[place].value, dice))
            case 4 | 5:
                place = dice.randrange(len(header))
                header[place] = Field(header[place].name, changed(header[place].value, dice))
            case 6:
                place = dice.randrange(len(header))
                header[place] = Field(changed(header[place].name, dice) or b"X", header[place].value)
            case 7:
                body = changed(body, dice)
            case 8:
                name = dice.choice(list(keys))
                keys[name] = changed(keys[name].encode(), dice).decode("latin-1")
            case _:
                field = dice.choice(header)
                header.insert(dice.randrange(len(header) + 1), Field(field.name, field.value))
                places = [place for place, field in enumerate(header) if is_signature(field.name)] or [0]
    return Letter(letter.name, tuple(header), body, keys)


def changed(raw: bytes, dice: random.Random) -> bytes:
    at, size = dice.randrange(len(raw) + 1), dice.choice((0, 0, 1, 2, 20))
    piece = dice.choice([b"", *PIECES, raw[:10], raw[-10:]])
    return (raw[:at] + piece + raw[at + size :]).replace(b"\0", b"")


@pytest.mark.parametrize("letter", LETTERS, ids=lambda letter: letter.name)
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

FLANKER = sorted((DATA / "canonicalization-flanker").glob("email.*"))


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
