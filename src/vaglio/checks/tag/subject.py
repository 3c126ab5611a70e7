"""Marks at the front of a subject: put there, found and taken away, with every other byte left as it is. Pure.

A subject is bytes as they came, folded or not, with encoded words (RFC 2047) or raw 8-bit text. A mark goes in front as
plain text, so that encoded words stay what they are; one that is not ASCII becomes an encoded word itself, unless the
subject is raw UTF-8 (RFC 6532). Marks are taken from the front wherever a reader would see them there: repeated, behind
"Re:" and its like, behind the mark of a mailing list, within encoded words, with odd blanks, accents, characters that
can't be seen, and letters of other scripts that look the same. Only an encoded word that holds a mark is written anew.

It does not decide which marks there are to be (``decide.py``), and it does not fold (whoever writes the field does).
"""

from __future__ import annotations

import binascii
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import compress
from typing import NamedTuple

from vaglio.checks.charsets import in_charset, is_known
from vaglio.text import one_line

MAX_READ = 16_000
"""Bytes of a subject that are looked at: whoever writes a longer one cuts it there."""

MAX_TAG = 40
"""Characters of a mark."""

SCORE = "{score}"
"""Stands for the score in a mark."""


def misfit(tag: str) -> str:
    """Return what is wanted in place of a mark that would do harm; "" for one that is fine.

    It is taken from the front of everybody's subjects again, so it must look like a mark.
    """
    seen = _visible(tag)
    plain = seen.replace(SCORE, "", 1)
    if not 0 < len(tag) <= MAX_TAG or not tag.isprintable() or tag != tag.strip() or "=?" in seen:
        return f'a mark such as "[SPAM]": 1 to {MAX_TAG} characters that can be seen, no blank at its ends, no "=?"'
    if "{" in plain or "}" in plain:
        return f"a mark in which nothing but {SCORE} stands in braces, once at most"
    if seen[:1].isalnum() and _ends_in_a_word(seen):
        return 'a mark that begins or ends with a bracket or the like, such as "[SPAM]": words begin honest subjects'
    if not any(one.isalpha() or not one.isascii() for one in plain):
        return "a mark with a letter in it: others begin their subjects with figures and signs"
    return ""


def _ends_in_a_word(tag: str) -> bool:
    return tag.endswith(SCORE) or tag[-1].isalnum()


def filled(tag: str, score: float | None) -> str:
    """Return a mark with the score in it; where none is known, nothing stands in its place."""
    if SCORE not in tag:
        return tag
    if score is not None:
        return tag.replace(SCORE, f"{score:.1f}")
    return re.sub(rf" *{re.escape(SCORE)}", "", tag)


# --- reading ----------------------------------------------------------------------------------------------------------


class _Piece(NamedTuple):
    """A part of a subject and what is seen of it: an encoded word, or what stands between such."""

    raw: bytes
    shown: str
    encoded: bool


_START = re.compile(rb"=\?([^?\s*]{1,40})(?:\*[^?\s]{0,20})?\?([BbQq])\?")  # RFC 2231 5: a language may follow


def _pieces(value: bytes) -> list[_Piece]:
    """Take a subject apart; encoded words count wherever they stand, since many programs read them so."""
    pieces = list(_taken_apart(value))
    for place in range(1, len(pieces) - 1):
        before, piece, after = pieces[place - 1 : place + 2]
        if before.encoded and after.encoded and not piece.raw.strip():
            pieces[place] = piece._replace(shown="")  # RFC 2047 6.2: blanks between two of them are not shown
    return pieces


def _taken_apart(value: bytes) -> Iterator[_Piece]:
    kept = place = 0
    while (start := _START.search(value, place)) and (end := value.find(b"?=", start.end())) >= 0:
        shown = _decoded(start[1].decode("latin-1").lower(), start[2] in b"Qq", value[start.end() : end])
        place = end + 2
        if shown is not None:  # else it stays what it is: text that nobody can read
            if kept < start.start():
                yield _plain(value[kept : start.start()])
            yield _Piece(value[start.start() : place], shown, True)
            kept = place
    if kept < len(value):
        yield _plain(value[kept:])


def _plain(raw: bytes) -> _Piece:
    return _Piece(raw, raw.decode("utf-8", "surrogateescape"), False)


def _decoded(charset: str, quoted: bool, text: bytes) -> str | None:
    if not is_known(charset):
        return None
    try:
        raw = binascii.a2b_qp(text, header=True) if quoted else binascii.a2b_base64(text + b"==")
    except binascii.Error:
        return None
    return in_charset(raw, charset)[0]


_WESTERN = {0xDC00 + byte: bytes([byte]).decode("cp1252", "replace") for byte in range(0x80, 0x100)}
"""How mail programs show bytes that are neither UTF-8 nor of a charset that is named."""


def shown(value: bytes, limit: int) -> str:
    """Return a subject as a reader sees it, on one line, in at most ``limit`` bytes."""
    return one_line("".join(piece.shown for piece in _pieces(value[:MAX_READ])).translate(_WESTERN), limit)


# --- what it looks like -----------------------------------------------------------------------------------------------

_NOTHING = "\u200b"
"""Stands for all that is not seen: it has no width, and is no word's."""
_FILLERS = frozenset("\u115f\u1160\u2800\u3164")
"""Letters and signs that look like a blank, or like nothing."""
_TAGS = range(0xE0000, 0xE1000)  # not all of them are assigned, and none is shown (Unicode 5.2: default ignorable)

_ALIKE = {
    ord(letter): like
    for like, letters in {
        "a": "аαꭺᴀɑ", "b": "вβꮟʙь", "c": "сᴄꮯ", "d": "ԁᴅꭰ", "e": "еεᴇꭼ",  # noqa: RUF001  # they are meant
        "f": "ꜰϝ", "g": "ɡɢԍ", "h": "нηһʜꮋ", "i": "іιıɪӏ", "j": "јᴊϳ",  # noqa: RUF001
        "k": "кκᴋꮶ", "l": "ʟꮮ", "m": "мμᴍꮇ", "n": "νɴո", "o": "оοᴏօ",  # noqa: RUF001
        "p": "рρᴘꮲ", "q": "ԛ", "r": "ʀꭱ", "s": "ѕꜱꮪտ", "t": "тτᴛꭲ",  # noqa: RUF001
        "u": "υᴜս", "v": "ѵᴠꮩ", "w": "ԝᴡꮃ", "x": "хχ", "y": "уүγʏ", "z": "ζᴢꮓ",  # noqa: RUF001
    }.items()
    for letter in letters
}  # fmt: skip
"""Letters of other scripts, in lower case, that look like Latin ones, if only as capitals, which forgers choose."""


def as_seen(text: str) -> str:
    """Return what a text looks like, with a character for each of its own: lower case without accents, plain letters
    and signs for wide ones and for those of other scripts that look the same, and a certain one for what is not seen.
    """
    return text if text.isascii() else "".join(map(_look, text))


def _visible(text: str) -> str:
    return as_seen(text).replace(_NOTHING, "")


@lru_cache(maxsize=4096)
def _look(letter: str) -> str:
    base = [one for one in unicodedata.normalize("NFKD", letter) if not _is_unseen(one)]
    if not base:
        return _NOTHING
    if len(base) > 1:  # a syllable, a fraction: nothing that marks have
        return letter
    lower = base[0].lower()
    return _ALIKE.get(ord(lower), lower) if len(lower) == 1 else base[0]


def _is_unseen(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cf", "Mn", "Me") or letter in _FILLERS or ord(letter) in _TAGS


# --- marks ------------------------------------------------------------------------------------------------------------

_UNSEEN = rf"\x00-\x08\x0e-\x1f\x7f{_NOTHING}"
_BLANKS = rf"[\s{_UNSEEN}]*+"
_SPACE = re.compile(_BLANKS)
_FOLD = re.compile(r"[ \t\r\n]*")
_ANSWERS = as_seen(
    "re|r|res|ref|rif|rv|fwd?|i|aw|antw|wg|sv|vs|vb|tr|enc|odp|pd|ynt|ilt|doorst|回复|答复|转发|回覆|轉寄|отв"
)
_AHEAD = re.compile(
    rf"(?:{_ANSWERS}){_BLANKS}(?>(?:[\[(][0-9]{{1,4}}[\])]|[0-9]{{1,4}})?){_BLANKS}:|\[[^\[\]]{{1,60}}\]", re.IGNORECASE
)
"""What may stand in front of a mark that counts: what answers and forwarded mail begin with, in the languages of mail
programs, and the mark of a mailing list."""


def _pattern(tag: str) -> str:
    """Return an expression for what a mark looks like, as strangers and mail programs may have changed it."""
    tag = _visible(tag)
    before, score, after = tag.partition(SCORE)
    points = rf"{_BLANKS}(?>(?:[-+]?[0-9]{{1,5}}(?:[.,][0-9]{{1,3}})?)?){_BLANKS}" if score else ""
    end = r"(?!\w)" if _ends_in_a_word(tag) else ""
    return _letters(before) + points + _letters(after) + end


def _letters(text: str) -> str:
    pattern, before = "", ""
    for letter in text:
        if _SPACE.fullmatch(letter):
            before = ""
            continue
        if pattern:  # within a word, only what is not seen may stand
            pattern += rf"[{_UNSEEN}]*+" if before.isalnum() and letter.isalnum() else _BLANKS
        pattern += re.escape(letter)
        before = letter
    return pattern


class Marked(NamedTuple):
    """A subject with its marks, and those that were taken from it. The value is the very same object where nothing is
    to be changed.
    """

    value: bytes
    removed: tuple[str, ...] = ()


class Marks:
    """All marks that are ours."""

    def __init__(self, tags: Iterable[str]) -> None:
        """Take marks that ``misfit`` has nothing against."""
        patterns = [_pattern(tag) for tag in sorted(set(tags), key=len, reverse=True)]
        self._any = re.compile("|".join(patterns) or r"(?!)", re.IGNORECASE)

    def marked(self, value: bytes, tags: Sequence[str]) -> Marked:
        """Return a subject that has these marks of ours in front, in this order, and no other ones."""
        bare, removed = self.without(value)
        new = put(bare, tags)
        # Signatures may rest on it: where the marks stand already, nothing is changed for the sake of a blank.
        return Marked(value) if new.split() == value.split() else Marked(new, removed)

    def without(self, value: bytes) -> Marked:
        """Return a subject without our marks at its front."""
        pieces = _pieces(value[:MAX_READ])
        text = "".join(piece.shown for piece in pieces)
        found = self._found(text)
        if not found:
            return Marked(value)
        left = b"".join(_left(pieces, _kept(text, found, pieces)))
        removed = dict.fromkeys(one_line(text[start:end], MAX_TAG) for start, end in found)
        return Marked(left + value[MAX_READ:], tuple(removed))

    def _found(self, text: str) -> list[tuple[int, int]]:
        """Return where marks stand: they are looked for up to the first thing that is neither a mark nor in front of
        one, and no place is looked at twice.
        """
        found: list[tuple[int, int]] = []
        text, place = as_seen(text), 0
        while True:
            place = _end(_SPACE, text, place)
            if mark := self._any.match(text, place):
                found.append(mark.span())
            elif not (mark := _AHEAD.match(text, place)):
                return found
            place = mark.end()


def _end(pattern: re.Pattern[str], text: str, place: int) -> int:
    """Return where what fits ends; the pattern fits the empty text, too."""
    fits = pattern.match(text, place)
    return fits.end() if fits else place


def _kept(text: str, found: Sequence[tuple[int, int]], pieces: Sequence[_Piece]) -> bytearray:
    """Return for each character whether it stays: marks go with the blanks behind them, which would begin the subject;
    but those at the beginning of an encoded word are its own.
    """
    keep = bytearray(b"\1" * len(text))
    words = iter(_word_starts(pieces))
    word, gone, glued = next(words, len(text)), 0, False
    for start, end in found:
        while word < end:
            word = next(words, len(text))
        if start > gone:
            glued = not text[start - 1].isspace()
        gone = min(_end(_FOLD, text, end), word)
        if gone > end and glued:
            gone -= 1  # "Re:[SPAM] offer" reads "Re: offer"
        keep[start:gone] = bytes(gone - start)
    return keep


def _word_starts(pieces: Iterable[_Piece]) -> Iterator[int]:
    place = 0
    for piece in pieces:
        if piece.encoded:
            yield place
        place += len(piece.shown)


def _left(pieces: Iterable[_Piece], keep: bytearray) -> Iterator[bytes]:
    """Yield the pieces without what does not stay; one that loses nothing is as it came."""
    place, dropped = 0, False
    for raw, text, encoded in pieces:
        stays = keep[place : place + len(text)]
        place += len(text)
        if all(stays):
            if not (dropped and not text and not encoded):  # blanks that parted two encoded words
                yield raw
            dropped = False
            continue
        rest = "".join(compress(text, stays))
        dropped = encoded and not rest
        if rest:
            yield encoded_words(rest) if encoded else rest.encode("utf-8", "surrogateescape")


# --- writing ----------------------------------------------------------------------------------------------------------

_ROOM = 45
"""Bytes of text in an encoded word: with all around it has 72, and RFC 2047 2 allows 75."""
# Whoever writes the field makes blanks of control characters.
_WORD_FIRST = re.compile(rb"(?>(?:[\x00-\x20\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9])*)" + _START.pattern)


def put(value: bytes, tags: Sequence[str]) -> bytes:
    """Return a subject with marks in front of all that it has."""
    if not tags:
        return value
    rest = value.lstrip(b" \t\r\n")
    lead = value[: len(value) - len(rest)]
    front = " ".join(tags)
    if front.isascii() or (not rest.isascii() and _is_utf8(rest)):
        mark = front.encode()
    else:
        # RFC 2047 6.2: the blank between two encoded words is not shown, so one must be within.
        mark = encoded_words(f"{front} " if _WORD_FIRST.match(rest) else front)
    return lead + mark + (b" " + rest if rest else b"")


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def encoded_words(text: str) -> bytes:
    """Return a text as encoded words in UTF-8, each of which holds whole characters (RFC 2047 5)."""
    words, room = [b""], _ROOM
    for letter in text:
        raw = letter.encode("utf-8", "replace")
        if len(raw) > room:
            words.append(b"")
            room = _ROOM
        words[-1] += raw
        room -= len(raw)
    return b" ".join(b"=?UTF-8?B?" + binascii.b2a_base64(word, newline=False) + b"?=" for word in words)
