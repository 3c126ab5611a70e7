"""The messages of the benchmark of milters: about 2 kB, 50 kB and 1 MB, always the same bytes.

They look like the three kinds that there are: a few lines of text, a newsletter in HTML, and a letter with a file. The
same header is on all of them, some fifteen fields, as behind one more mail server.
"""

from __future__ import annotations

import base64
import quopri
import random
from collections.abc import Iterator
from pathlib import Path

SENDER, RECIPIENT = "alice@sender.example", "bob@rcpt.example"
CLIENT, HELO = "192.0.2.25", "out.sender.example"

_HEADER = f"""\
Received: from desk.sender.example (desk.sender.example [192.0.2.77])
\tby {HELO} (Postfix) with ESMTPSA id 4F1B2C3D4E
\tfor <{RECIPIENT}>; Mon, 16 Nov 2026 09:30:00 +0100 (CET)
Return-Path: <{SENDER}>
Date: Mon, 16 Nov 2026 09:30:00 +0100
From: "Alice of the Office" <{SENDER}>
To: "Bob" <{RECIPIENT}>
Cc: office@sender.example
Subject: Minutes of the meeting, and what is left to do
Message-ID: <20261116083000.4F1B2C3D4E@sender.example>
In-Reply-To: <20261113141500.1A2B3C4D5E@rcpt.example>
References: <20261112101500.9F8E7D6C5B@rcpt.example>
 <20261113141500.1A2B3C4D5E@rcpt.example>
Reply-To: <{SENDER}>
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Thunderbird
Organization: Sender of Examples
MIME-Version: 1.0
"""
_TEXT = 'Content-Type: text/plain; charset="utf-8"\nContent-Transfer-Encoding: 8bit\n\n'
_HTML = 'Content-Type: text/html; charset="utf-8"\nContent-Transfer-Encoding: quoted-printable\n\n'
_FILE = 'Content-Type: application/pdf; name="minutes.pdf"\nContent-Transfer-Encoding: base64\n\n'
_MIXED = 'Content-Type: multipart/mixed; boundary="part-of-it"\n\n'
_SENTENCE = """the minutes of our meeting are below please say so if anything is missing or wrong we agreed on the plan
for the next month and on who does what until then the budget is as it was perché no one asked for more"""


def small() -> bytes:
    """Return a message of some 2 kB: text."""
    return (_HEADER + _TEXT + _lines(1000)).encode()


def medium() -> bytes:
    """Return one of some 50 kB: text and HTML."""
    paragraphs = "".join(f'<p style=3D"margin: 0">{line}</p>\n' for line in _lines(30_000).splitlines())
    return (_HEADER + _parts(_TEXT + _lines(6000), f"{_HTML}<html><body>\n{paragraphs}</body></html>\n")).encode()


def newsletter() -> bytes:
    """Return one of some 50 kB that is nearly all HTML, as newsletters are: tables, styles, pictures, links."""
    articles = "".join(map(_article, range(48)))
    head = f"<head><style>{_STYLE * 6}</style></head>\n"
    page = f"<html>{head}<body><table width=600>\n{articles}</table></body></html>\n"
    escaped = quopri.encodestring(page.encode()).decode()
    return (_HEADER + _alternatives(_TEXT + _lines(3000), _HTML + escaped)).encode()


_STYLE = "td.text { font-family: Arial, sans-serif; font-size: 14px; line-height: 20px; color: #333333 }\n"


def _article(number: int) -> str:
    link = f"https://news.sender.example/go/{number:04}?utm_source=letter"
    return (
        f'<tr><td class="image" style="padding: 10px 0 0 0" width="200">\n<a href="{link}&amp;utm_content=image">\n'
        f'<img src="https://img.sender.example/{number:04}.jpg" width="200" height="150" alt="Picture {number}">\n'
        f'</a></td>\n<td class="text" style="padding: 10px 20px; color: #333333; font-size: 14px">\n'
        f'<h2 style="margin: 0; font-size: 18px">The {_line(number)}</h2>\n'
        f'<p style="margin: 0 0 8px 0">{_line(number + 100)} <b>{_line(number + 200)}</b></p>\n'
        f'<a href="{link}" style="color: #ffffff; background: #0066cc">Read more</a>\n</td></tr>\n'
        f'<tr><td colspan="2" style="height: 1px; background: #eeeeee; font-size: 1px">&nbsp;</td></tr>\n'
    )


def _line(number: int) -> str:
    return next(_some_lines(number + 1))


def large() -> bytes:
    """Return one of some 1 MB: text and a file."""
    file = base64.encodebytes(random.Random(3).randbytes(740_000)).decode()
    return (_HEADER + _parts(_TEXT + _lines(1000), _FILE + file)).encode()


def long_text() -> bytes:
    """Return one of some 1 MB of nothing but words, which takes a verifier longer than a file does."""
    return (_HEADER + _TEXT + _lines(1_000_000)).encode()


SIZES = {"2 kB": small, "50 kB": medium, "1 MB": large}

_MIX = [small] * 7 + [medium] * 2 + [small] * 7 + [medium] * 2 + [large] + [small]
"""Twenty messages as they come: many are small, one is large."""


def write(directory: Path) -> dict[str, Path]:
    """Write the messages into files; return them by size, and as "mixed" a directory with twenty of all sizes."""
    mixed = directory / "mixed"
    mixed.mkdir(parents=True)
    found = {"mixed": mixed}
    for number, make in enumerate(_MIX):
        (mixed / f"{number:02}.eml").write_bytes(make())
    for size, make in SIZES.items():
        found[size] = directory / f"{size.replace(' ', '-')}.eml"
        found[size].write_bytes(make())
    return found


def _alternatives(*parts: str) -> str:
    return _parts(*parts).replace("multipart/mixed", "multipart/alternative", 1)


def _parts(*parts: str) -> str:
    return _MIXED + "".join(f"--part-of-it\n{part}\n" for part in parts) + "--part-of-it--\n"


def _lines(size: int) -> str:
    """Return lines of words, about ``size`` characters."""
    return "\n".join(_some_lines(size)) + "\n"


def _some_lines(size: int) -> Iterator[str]:
    dice, words = random.Random(size), _SENTENCE.split()
    while size > 0:
        line = " ".join(dice.choice(words) for _ in range(12))
        size -= len(line) + 1
        yield line
