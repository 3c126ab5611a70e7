"""Character sets of mail, and bytes in them as text. Pure.

Any bytes are read, without an exception and in linear time; whether they were as they should be is told.
"""

from __future__ import annotations

import codecs
import re

_UTF8 = ("", "us-ascii", "ascii", "utf-8", "utf8")
_WIDER = {"iso-8859-1": "cp1252", "iso8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252", "gb2312": "gb18030",
          "gbk": "gb18030", "iso-8859-8-i": "iso-8859-8", "ks_c_5601-1987": "cp949"}  # fmt: skip
"""What readers take in place of what is said, since so many who say the one write the other."""

_CODEPAGE = re.compile(r"(?:windows|cp)-?(?=\d)")
_CODECS = re.compile(r"(?:utf-?(?:7|8|16|32)(?:-?[lb]e)?|iso-?8859-?\d{1,2}|latin-?\d|koi8-?[rut]|big5(?:-?hkscs)?|"
                     r"cp(?:437|720|737|775|85[0-8]|86\d|874|932|949|950|1006|1125|125[0-8])|gb18030|"
                     r"euc-?(?:jp|kr|cn)|(?:shift_?jis|sjis)(?:_?2004|x0213)?|iso-?2022-?(?:jp|kr)(?:-?[123])?|"
                     r"tis-?620|hz(?:-gb-2312)?|(?:x-)?mac-?(?:roman|cyrillic|greek|turkish|iceland|croatian|latin2)|"
                     r"macintosh|ptcp154)")  # fmt: skip
"""Character sets of mail. Python has other codecs, some of which are none of text, and remembers every name that it was
ever asked for."""


def is_known(charset: str) -> bool:
    """Say whether bytes in this character set, in lower case, can be read."""
    return charset in _UTF8 or bool(_CODECS.fullmatch(_taken_for(charset)))


def _taken_for(charset: str) -> str:
    return _WIDER.get(charset) or _CODEPAGE.sub("cp", charset, count=1)


def in_charset(raw: bytes, charset: str) -> tuple[str, bool]:
    """Return bytes as text, as best can be, and whether that was without doubt; ``charset`` is in lower case, "" where
    none is said.
    """
    if charset in _UTF8:
        try:
            return raw.decode(), True
        except UnicodeDecodeError:
            return raw.decode("cp1252", "replace"), not charset
    name = _taken_for(charset)
    if _CODECS.fullmatch(name):
        try:
            codec = codecs.lookup(name.removeprefix("x-")).name
            text = raw.decode(codec)
            # The decoder of UTF-7 lets halves of surrogate pairs through, which are no text.
            return (text.encode("utf-8", "replace").decode(), True) if codec == "utf-7" else (text, True)
        except UnicodeDecodeError:
            return raw.decode(codec, "replace"), False
        except LookupError:
            pass
    return raw.decode("utf-8", "replace"), False
