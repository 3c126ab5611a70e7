"""Authentication-Results (RFC 8601): the one writer for all our milters, and the scanner that knows forgeries. Pure.

Results are written as RFC 8601 2.2 has them, whatever strangers put into them. Fields of others are not parsed: it is
only asked whether one claims to be ours, and where that is in doubt, it does.
"""

from __future__ import annotations

import binascii
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from vaglio.milter.text import MAX_VALUE
from vaglio.text import CONTROLS, one_line
from vaglio.verdict import AuthResult

NAME = b"Authentication-Results"

MAX_PROPERTY = 640
"""Bytes of a property's value as it is written: twice what an address has (RFC 5321 4.5.3.1), and less than a line."""

MAX_PROSE = 256
"""Bytes of a reason, or of a comment."""


def names_it(name: bytes) -> bool:
    """Say whether a field of this name is an Authentication-Results; blanks before the colon do not count."""
    return name.strip(b" \t\r\n").lower() == b"authentication-results"


# --- writing ----------------------------------------------------------------------------------------------------------

_KEYWORD = r"[A-Za-z0-9-]{0,39}[A-Za-z0-9]"  # RFC 5321 4.1.2 Ldh-str
_METHOD = re.compile(rf"{_KEYWORD}(?:/[0-9]{{1,4}})?")
_RESULT = re.compile(_KEYWORD)
_PROPERTY = re.compile(rf"{_KEYWORD}\.{_KEYWORD}")
_TOKEN = re.compile(r"[!#$%&'*+.0-9A-Z^_`a-z{|}~-]+")  # RFC 2045 5.1
# [ [ local-part ] "@" ] domain-name, with UTF-8 (RFC 6531 3.3, RFC 6532 3.2) but for what is blank or can't be seen
_WIDE = r"\u00a1-\u167f\u1681-\u1fff\u2010-\u2027\u2030-\u205e\u2070-\u2fff\u3001-\ufefe\uff00-\U0010ffff"
_ATOM = rf"[!#$%&'*+/=?0-9A-Z^_`a-z{{|}}~{_WIDE}-]+"
_LETTER = rf"[0-9A-Za-z{_WIDE}]"
_LABEL = rf"{_LETTER}(?:(?:{_LETTER}|-)*{_LETTER})?"
_ADDRESS = re.compile(rf'(?:(?:{_ATOM}(?:\.{_ATOM})*|"(?:[^"\\]|\\.)*")?@)?{_LABEL}(?:\.{_LABEL})*')
_QUOTABLE = re.compile(r'["\\]|(?<==)\?')  # =? would begin an encoded word (RFC 2047), which some decode anywhere
_PROSE = str.maketrans('()\\";', "[]/',")


def authentication_results(authserv_id: str, results: Sequence[AuthResult]) -> str:
    """Return the value of a field that says these results, each on a line of its own.

    What can't be said is left out whole, since a part of a name may be somebody else's name: a result whose method or
    result is no word, a property whose name is none or whose value is too long, results beyond what a field holds.
    """
    lines = [_word(authserv_id)]
    room = MAX_VALUE - len(lines[0].encode())
    for line in filter(None, map(_resinfo, results)):
        size = len(line.encode()) + len(";\n\t")
        if size <= room:
            lines.append(line)
            room -= size
    return ";\n\t".join(lines) if len(lines) > 1 else f"{lines[0]}; none"


def _resinfo(one: AuthResult) -> str:
    if not _METHOD.fullmatch(one.method) or not _RESULT.fullmatch(one.result):
        return ""
    said = [f"{one.method}={one.result}"]
    if comment := _prose(one.comment):
        said.append(f"({comment})")
    if reason := _prose(one.reason):
        said.append(f'reason="{reason}"')
    for name, value in one.properties:
        written = _pvalue(value)
        if _PROPERTY.fullmatch(name) and len(written.encode()) <= MAX_PROPERTY:
            said.append(f"{name}={written}")
    return " ".join(said)


def _prose(text: str) -> str:
    """Return what is for people only, without anything that means something to a parser, be it a simple one."""
    return text and one_line(text.translate(_PROSE).replace("=?", "= ?"), MAX_PROSE)


def _pvalue(value: str) -> str:
    """Return a property's value. What can't be written is replaced, not left out: no name becomes another one by it."""
    value = CONTROLS.sub("\ufffd", value[: MAX_PROPERTY + 1])
    # RFC 8601 2.2: a mail address is written as one, not as a quoted string, if it is one
    return value if _ADDRESS.fullmatch(value) and "=?" not in value else _word(value)


def _word(value: str) -> str:
    """Return ``value`` of RFC 8601 2.2: a token, else a quoted string."""
    if _TOKEN.fullmatch(value):
        return value
    return '"' + _QUOTABLE.sub(r"\\\g<0>", value) + '"'


# --- whose field is it? -----------------------------------------------------------------------------------------------

_MARK = re.compile(r'\\.|[()"=;]', re.DOTALL)
_FLAT = str.maketrans('()"\\', "    ")
_BLANKS = re.compile(r"\s+")
_NAME = re.compile(r"[-.0-9A-Z_a-z\u00a1-\ud7ff\ue000-\U0010ffff]+")
_LONGEST = 300  # characters of a name that may be somebody's: RFC 1035 2.3.4 has 253
_ENCODED = re.compile(r"([^?]*)\?([bq])\?(.*)", re.IGNORECASE | re.DOTALL)  # an encoded word, behind its "=?"
_CHARSET = re.compile(
    r"(?:utf-?(?:7|8|16(?:[bl]e)?|32(?:[bl]e)?)|us-ascii|ascii|iso-8859-\d{1,2}|(?:windows-|cp)\d{3,4}|koi8-[ru]|gb2312|gbk"
    r"|gb18030|big5|shift_jis|euc-(?:jp|kr)|iso-2022-(?:jp|kr))"
)
"""Character sets whose decoders take linear time."""

MAX_READ = 8192
"""Bytes of a value: no result takes as much, and who reads on may do so for long. A longer one counts as ours."""


def claims(value: bytes, authserv_id: str) -> bool:
    """Say whether an Authentication-Results with this value, as it came, claims to be of ``authserv_id`` (RFC 8601 5).

    Ours is what names us before the first ``=`` of any part (parts end with ``;``): behind comments, with a version,
    after the ``i=1;`` of ARC, among other names, quoted, with blanks around its dots, in an encoded word, in U-labels.
    Comments do not count, unless one never ends or there is nothing else. What is too long to be read, or holds an
    encoded word that can't be, counts as ours, too.
    """
    ours = _ours(authserv_id)
    if not ours:
        return False
    if len(value) > MAX_READ:
        return True
    text = value.decode("utf-8", "surrogateescape")
    if _names(text, ours):
        return True
    if "=?" not in text:
        return False
    decoded = _decoded(text)
    return decoded is None or _names(decoded, ours)


def mentions(value: bytes, name: str) -> bool:
    """Say whether the name of a host stands anywhere in the value of a field, in any way that somebody might read so;
    what is too long to be read, or holds an encoded word that can't be, does too.
    """
    ours = _ours(name)
    if not ours:
        return False
    text = value.decode("utf-8", "surrogateescape") if len(value) <= MAX_READ else None
    read = _decoded(text) if text is not None else None
    return text is None or read is None or any(_holds(one, ours) for one in {text, read, read.replace("\\", "")})


def _decoded(text: str) -> str | None:
    """Return what the text is for those who decode encoded words wherever they stand (RFC 2047, as lenient as Python's
    own reader: blanks in them, and words that never end); None if one of them can't be decoded.
    """
    start, *words = text.split("=?")
    read = [start]
    for word in words:
        found = _ENCODED.match(word)
        if found is None:
            read += "=?", word
            continue
        inner, _, after = found[3].partition("?=")
        plain = _plain(found[1], found[2], inner)
        if plain is None:
            return None
        read += plain, after if after.strip() else ""  # blanks between two of them do not count
    return "".join(read)


def _plain(charset: str, encoding: str, inner: str) -> str | None:
    raw = inner.encode("utf-8", "surrogateescape")
    charset = charset.partition("*")[0].strip().lower()  # RFC 2231 5: a language may follow
    if not _CHARSET.fullmatch(charset):
        return None
    try:
        raw = binascii.a2b_qp(raw, header=True) if encoding in "qQ" else binascii.a2b_base64(raw + b"==")
        return raw.decode(charset, "replace")
    except (binascii.Error, LookupError):
        return None


def _names(text: str, ours: tuple[str, ...]) -> bool:
    heads, sound = _heads(text)
    if _holds(heads, ours):
        return True
    # Others may see comments end where we do not, or where there are none.
    doubtful = not sound or _NAME.search(heads) is None
    return doubtful and _holds(_heads(text.translate(_FLAT))[0], ours)


def _heads(text: str) -> tuple[str, bool]:
    """Return what stands before the first ``=`` of each part, without comments, and whether all that begins ends."""
    kept: list[str] = []
    depth, quoted, head, at = 0, False, True, 0
    for found in _MARK.finditer(text):
        mark = found[0]
        if head and not depth:
            kept += text[at : found.start()], mark[1:] or " "  # a quoted pair is its character; others part words
        at = found.end()
        if quoted:
            quoted = mark != '"'
        elif mark == "(":
            depth += 1
        elif mark == ")":
            depth = max(depth - 1, 0)
        elif not depth:
            quoted = mark == '"'
            head = mark == ";" or (head and mark != "=")
    if head and not depth:
        kept.append(text[at:])
    return "".join(kept), not depth and not quoted


def _holds(heads: str, ours: tuple[str, ...]) -> bool:
    """Say whether our name stands there; blanks around dots (RFC 5322 4.4 has them) are tried both ways."""
    joined = _BLANKS.sub(" ", heads).replace(" .", ".").replace(". ", ".")
    for text in {heads, joined}:
        names = _names_in(text)
        if any(names[at : at + len(ours)] == ours for at in range(len(names))):
            return True
    return False


@lru_cache(maxsize=16)
def _ours(authserv_id: str) -> tuple[str, ...]:
    return _names_in(authserv_id)


def _names_in(text: str) -> tuple[str, ...]:
    return tuple(map(_canonical, _NAME.findall(text)))


def _canonical(name: str) -> str:
    """Return a name in lower case, without a dot at its ends, in U-labels, without what can't be seen."""
    if len(name) > _LONGEST:
        return name
    if not name.isascii():
        name = unicodedata.normalize("NFKC", name).replace("\u3002", ".")  # RFC 3490 3.1: this is a dot, too
    name = name.lower().strip(".")
    if "xn--" in name:
        name = ".".join(map(_unicode, name.split(".")))
    if name.isascii():
        return name
    return "".join(letter for letter in name if letter in "-._" or unicodedata.category(letter)[0] in "LMN")


def _unicode(label: str) -> str:
    """Return a label as U-label, if it is an A-label (RFC 5890 2.3.2.1)."""
    if not label.startswith("xn--") or not label.isascii() or len(label) > 63:
        return label
    try:
        return label[4:].encode().decode("punycode")
    except UnicodeError:
        return label
