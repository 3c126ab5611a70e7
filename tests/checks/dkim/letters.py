"""Messages of others (the examples of RFC 6376 and 8463 among them), some of our own, and what may be done to them.

The files are not ours and not in this repository: they are where ``VAGLIO_DATA`` says, or in ``../shared/data``.
Nothing is judged here.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.checks.dkim.samples import BODY, HEADER, ed25519, record, rsa, sign
from vaglio.checks.dkim.verify import is_signature
from vaglio.examination import Field
from vaglio.milter.replay import read

DATA = Path(os.environ.get("VAGLIO_DATA") or Path(__file__).parents[4] / "shared" / "data") / "dkim"
FLANKER = sorted((DATA / "canonicalization-flanker").glob("email.*"))


class Letter(NamedTuple):
    """A message; ``keys`` are records by name, ``expected`` is what becomes of it: see ``best``."""

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


def best(results: Sequence[str]) -> str:
    """Return how the corpus calls what became of a message with these results."""
    if "pass" in results or not results:
        return "pass" if results else "none"
    return "fail" if results[0] == "fail" else "invalid"


CASES = list(cases())
absent = pytest.mark.skipif(not CASES, reason=f"the corpus is not there: {DATA} (VAGLIO_DATA says where)")


def own_letters(now: int, valid: int) -> Iterator[Letter]:
    """Yield letters with two signatures each, of which the first is good for so many seconds, since ten."""
    keys = {"uno._domainkey.tizio.it": record(rsa()), "due._domainkey.tizio.it": record(ed25519())}
    for c in ("simple/simple", "relaxed/relaxed", "simple/relaxed", "relaxed/simple"):
        first = sign(c=c, t=str(now - 10), x=str(now + valid), q="dns/txt", i="a@tizio.it")
        second = sign(HEADER, BODY, ed25519(), c=c, s="due", h="from:to:subject:cc:date", l="20")
        yield Letter(f"own {c}", (first, second, *HEADER), BODY, keys)


def letters(now: int, valid: int = 10) -> list[Letter]:
    """Return those that are signed, of others and of our own."""
    return [*(case for case in CASES if case.expected != "none"), *own_letters(now, valid)]


# --- tampered with ---

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
