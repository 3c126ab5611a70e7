"""Bytes as mail writes them, and the text that they stand for: transfer encodings (RFC 2045 6), encoded words (RFC
2047), and with ``checks/charsets.py`` character sets. Pure.

Any bytes are read, without an exception and in linear time; whether they were as they should be is told. Python's
email.header raises on some character sets and takes the square of the time on some fields.
"""

from __future__ import annotations

import binascii
import re

from vaglio.checks.charsets import in_charset

__all__ = ["decoded", "in_charset", "undo_words"]

# --- transfer encodings ---

_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_UU = ("x-uuencode", "uuencode", "uue", "x-uue")
_PLAIN = ("", "7bit", "8bit", "binary")


def decoded(raw: bytes, encoding: str) -> tuple[bytes, bool]:
    """Undo a transfer encoding (in lower case), as best can be; the second value is whether it was sound."""
    if encoding in _PLAIN:
        return raw, True
    if encoding == "base64":
        return _from_base64(raw)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(raw), True  # takes anything, as readers do
    if encoding in _UU:
        return _from_uu(raw)
    return raw, False


def _from_uu(raw: bytes) -> tuple[bytes, bool]:
    """Decode what stands between "begin" and "end"."""
    lines = iter(raw.splitlines())
    if not any(line.startswith(b"begin ") for line in lines):
        return raw, False
    found: list[bytes] = []
    for line in lines:
        if line.strip() == b"end":
            return b"".join(found), True
        try:
            found.append(binascii.a2b_uu(line))
        except binascii.Error:  # some encoders write a byte too many
            size = ((line[0] - 32) & 63) if line else 0
            try:
                found.append(binascii.a2b_uu(line[: (size * 4 + 5) // 3]))
            except binascii.Error:
                break
    return b"".join(found), False


def _from_base64(raw: bytes) -> tuple[bytes, bool]:
    """Decode as readers do: what is no base64 is passed over, and a broken end is left out."""
    try:
        return binascii.a2b_base64(raw), True
    except binascii.Error:
        digits = _NOT_BASE64.sub(b"", raw)
        digits = digits[: len(digits) - (len(digits) % 4 == 1)]
        return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4)), False


# --- encoded words ---

_BEGIN = re.compile(r"=\?([^\s?*]{1,40})(?:\*[^\s?]{0,20})?\?([bBqQ])\?")  # with RFC 2231 5: *language


def undo_words(text: str) -> tuple[str, bool]:
    """Return a field with its encoded words decoded, wherever they stand, and whether all of them could be."""
    if "=?" not in text:
        return text, True
    found: list[str] = []
    charset, run = "", bytearray()  # of words next to each other, which may share a character
    well, place = True, 0
    for begin in _BEGIN.finditer(text):
        if begin.start() < place:  # what looks like a beginning is in a word
            continue
        end = text.find("?=", begin.end())
        if end < 0:
            break
        between, said = text[place : begin.start()], begin[1].lower()
        if between.strip(" \t") or said != charset:
            between = between if between.strip(" \t") or not charset else ""  # RFC 2047 6.2
            well = _put(found, run, charset) and well
            found.append(between)
            charset, run = said, bytearray()
        data, sound = _payload(text[begin.end() : end], begin[2])
        run += data
        well, place = well and sound, end + 2
    well = _put(found, run, charset) and well
    found.append(text[place:])
    return "".join(found), well


def _put(found: list[str], run: bytearray, charset: str) -> bool:
    text, well = in_charset(bytes(run), charset) if run else ("", True)
    found.append(text)
    return well


def _payload(text: str, encoding: str) -> tuple[bytes, bool]:
    raw = text.encode("utf-8", "replace")
    return _from_base64(raw) if encoding in "bB" else (binascii.a2b_qp(raw, header=True), True)
