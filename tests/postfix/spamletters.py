"""Letters to be scored, rules that give a known number of points whatever the shipped ones say, and how to look at what
arrived.

Odd letters are not ours and not in this repository: they are where ``VAGLIO_DATA`` says, or in ``../shared/data``.
"""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

import pytest

from lab.smtp import Answer, Client
from lab.space import HOME

MAIL, FORGER = "192.0.2.25", "198.51.100.66"

RULE_FILE = f"{HOME}/vaglio/rules.toml"
RULES = """\
[[rule]]
symbol = "LAB_SIX"
score = 6
body = "sei punti"
en = "The lab gives it six points"
it = "Il laboratorio gli da' sei punti"

[[rule]]
symbol = "LAB_TWELVE"
score = 12
body = "dodici punti"
en = "The lab gives it twelve points"
it = "Il laboratorio gli da' dodici punti"

[[rule]]
symbol = "LAB_WANTED"
score = -20
body = "nessun punto"
en = "The lab wants it"
it = "Il laboratorio lo vuole"
"""
SECTION = f"""\
rules = ["{RULE_FILE}"]
[score.domains]
"severe.test" = {{ tag = 1, reject = 5.5 }}
"held.test" = {{ hold = 5.5 }}
"lax.test" = {{ tag = 0, reject = 0 }}
"""
DOMAINS = "caio.it severe.test held.test lax.test"

SIX, TWELVE, WANTED = "Vinci sei punti!", "Vinci dodici punti!", "Per questo nessun punto."
# Put together here, so that a filter does not take this file for the test.
GTUBE = "-".join(("XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE", "STANDARD", "ANTI", "UBE", "TEST", "EMAIL*C.34X"))

REFERENCE = r"(?:[0-9A-HJKMNP-TV-Z]{4}-?){2}"
SPAM_FIELDS = [b"X-Spam-Flag", b"X-Spam-Score", b"X-Spam-Level", b"X-Spam-Status"]

_numbers = itertools.count(1)


def message(text: str = WANTED, subject: bytes | None = b"Subject: Ciao Caio", head: bytes = b"") -> bytes:
    """Return an honest message but for what is said here; ``head`` are more lines of its header."""
    lines = [
        b"From: Tizio <tizio@tizio.it>", b"To: Caio <caio@caio.it>", *([] if subject is None else [subject]),
        b"Date: Sun, 22 Nov 2026 18:00:00 +0000", b"Message-ID: <%d.lab@tizio.it>" % next(_numbers),
    ]  # fmt: skip
    return b"\n".join(lines) + b"\n" + head + b"\n" + text.encode() + b"\n"


def sent(client: Client, recipient: str, letter: bytes, sender: str = "tizio@tizio.it") -> Answer:
    """Send a message; return what became of it."""
    return client.send(sender, [recipient], letter).last


def head_of(letter: bytes) -> bytes:
    """Return the header of a message as it was delivered, without what the delivery wrote, and unfolded."""
    head = letter.partition(b"\n\n")[0]
    head = re.sub(rb"\A(?:(?:Return-Path|X-Original-To|Delivered-To): .*\n)*", b"", head)
    return re.sub(rb"\n[ \t]+", b" ", head) + b"\n"


def fields(letter: bytes, name: bytes) -> list[bytes]:
    """Return the values of the fields of this name, whatever their case, or blanks behind it."""
    return re.findall(rb"(?im)^%s[ \t]*:[ \t]*(.*)$" % re.escape(name), head_of(letter))


def spam_fields(letter: bytes) -> list[bytes]:
    """Return the names of all X-Spam fields, as they stand there."""
    return re.findall(rb"(?im)^(x-spam[^:]*):", head_of(letter))


def symbols(letter: bytes) -> set[str]:
    """Return the symbols of X-Spam-Status."""
    (status,) = fields(letter, b"X-Spam-Status")
    return set(re.findall(r"([A-Z][A-Z0-9_]+)=", status.decode()))


# --- odd letters ----------------------------------------------------------------------------------------------------

_ODD = Path(os.environ.get("VAGLIO_DATA") or Path(__file__).parents[3] / "shared" / "data") / "mime"


def odd() -> list[bytes]:
    """Return messages that are malformed, or tortuous, with LF line ends; skips the test where they are not there."""
    if not _ODD.is_dir():
        pytest.skip(f"{_ODD} is not there: VAGLIO_DATA names the folder of the shared data")
    files = [file for file in sorted(_ODD.rglob("*")) if file.is_file() and file.suffix not in (".json", ".md")]
    return [file.read_bytes().replace(b"\r\n", b"\n") for file in files]


def as_it_came(delivered: bytes) -> bytes:
    """Return what stands below the Received field of the mail host that delivered it, without X-Spam fields."""
    found = re.search(rb"(?m)^Received: .*\n(?:[ \t].*\n)*", delivered)
    assert found
    head, blank, body = delivered[found.end() :].partition(b"\n\n")
    return re.sub(rb"(?im)^x-spam.*\n(?:[ \t].*\n)*", b"", head + b"\n") + blank + body
