"""The way a message says to have come: its Received fields (RFC 5321 4.4) and dates, read as far as they can be. Pure.

What the last mail server wrote is true; all below may be forged. Nothing is judged here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from vaglio.facts import Client, pack_address

MAX_HOPS = 25
"""Received fields that are read, from the newest."""


class Hop(NamedTuple):
    """A Received field: who gave the message (``helo``, verified ``name``, ``address``), who took it (``by``),
    under which ``number``, and ``when`` as it is written. What is not there, or can't be read, is empty; ``nameless``
    is true where a server says that it looked for a name and found none.
    """

    helo: str = ""
    name: str = ""
    address: str = ""
    by: str = ""
    number: str = ""
    when: str = ""
    nameless: bool = False


_NAME = re.compile(r"\(\s*(?:[^\s()@\[\]]*@)?([A-Za-z0-9_.-]+\.[A-Za-z]{2,})\.?\s*(?:[\[(]|\))")
_BRACKETS = re.compile(r"\[(?:IPv6:)?([0-9A-Fa-f.:]{2,45})\]|\(((?:\d{1,3}\.){3}\d{1,3})\)")
_HELO = re.compile(r"\b(?:helo|HELO|EHLO)[= ]\s*([^\s()]+)")
_SENDMAIL = re.compile(r"\S+ \(8\.\d+\.\d")
"""sendmail looks for a name in any case; others that write none may not have looked."""


def hop_of(value: str) -> Hop:
    """Return what an unfolded Received field says."""
    text, _, when = " ".join(value.split()).rpartition(";")
    if not text:
        text, when = when, ""
    giver, _, taker = text[3:].partition("by ") if text.startswith("by ") else text.partition(" by ")
    by = _word(taker).lower()
    place = taker.find(" id ")
    number = _word(taker[place + 4 :]).lower() if place >= 0 else ""
    if text[:5].lower() != "from ":
        return Hop("", "", "", by or _word(text[3:]).lower(), number, when)
    helo, _, behind = giver[5:].partition(" ")
    address = ""
    if found := _BRACKETS.search(behind):
        address = found[1] or found[2]
    elif bare := _BRACKETS.match(helo):
        address = bare[1] or bare[2]
    greeted = "helo" in behind or "HELO" in behind or "EHLO" in behind  # in a tenth of the time of the search
    if greeted and (said := _HELO.search(behind)):
        # qmail, Exim: the name stands in front, and the greeting in the comment
        name = "" if helo.lower() == "unknown" or helo[:1] == "[" else helo.lower()
        return Hop(said[1], name, address, by, number, when)
    forged = "may be forged" in behind
    found = None if forged else _NAME.search(behind)
    nameless = forged or "(unknown [" in behind or (found is None and "([" in behind and bool(_SENDMAIL.match(taker)))
    return Hop(helo, found[1].lower() if found else "", address, by, number, when, nameless)


def _word(text: str) -> str:
    """Return the first word, without what comments and lists put behind it."""
    return text.partition(" ")[0].rstrip(";,()")


def hops_of(values: Sequence[str]) -> list[Hop]:
    """Return the hops, newest first."""
    return [hop_of(value) for value in values[:MAX_HOPS]]


_PRIVATE = ("10.", "127.", "192.168.", "169.254.", "0.", "fe80:", "fc", "fd", "::1")


def is_public(address: str) -> bool:
    """Say whether an address is one of the Internet's, and no private or local one."""
    if not address or address.lower().startswith(_PRIVATE):
        return False
    packed = pack_address(address)
    return bool(packed) and not (
        len(packed) == 4
        and ((packed[0] == 172 and 16 <= packed[1] < 32) or (packed[0] == 100 and 64 <= packed[1] < 128))
    )


def border(hops: Sequence[Hop], client: Client, helo: str) -> tuple[int, Hop]:
    """Return the hop by which the message came to us, and its place: the client where it is one of the Internet's (-1);
    else, behind a gateway of ours or in a file, the newest hop that is. An empty hop where there is none.
    """
    if client.packed and not client.local and is_public(client.address):
        return -1, Hop(helo, client.name.lower(), client.address, nameless=not client.name)
    for place, hop in enumerate(hops):
        if is_public(hop.address):
            return place, hop
    return len(hops), Hop()


_MONTHS = {name: number for number, name in enumerate(
    ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
)}  # fmt: skip
_EPOCH = date(1970, 1, 1).toordinal()
_DATE = re.compile(
    r"(?:[a-z]{3,9}\.?,?\s*)?(\d{1,2})[ -]+([a-z]{3})[a-z]*\.?,?[ -]+(\d{2,4})\s+(\d{1,2}):(\d{2})(?::(\d{2}))?"
    r"(?:\s*([+-]\d{4})|\s+([a-z]{1,5})\b)?",
    re.IGNORECASE,
)
_ASCTIME = re.compile(r"[a-z]{3}\s+([a-z]{3})\s+(\d{1,2})\s+(\d{1,2}):(\d{2}):(\d{2})\s+(?:[a-z]{3,5}\s+)?(\d{4})",
                      re.IGNORECASE)  # fmt: skip
_ZONES = {"edt": -4, "est": -5, "cdt": -5, "cst": -6, "mdt": -6, "mst": -7, "pdt": -7, "pst": -8, "cet": 1, "cest": 2,
          "met": 1, "mest": 2, "bst": 1, "eet": 2, "eest": 3, "msk": 3, "jst": 9}  # fmt: skip


def seconds_of(text: str) -> float | None:
    """Return a date of mail as Unix seconds; None where it is none."""
    text = text.strip()[:100]
    if found := _DATE.match(text):
        day, month, year, hour, minute, second, offset, zone = found.groups()
    elif found := _ASCTIME.match(text):
        (month, day, hour, minute, second, year), offset, zone = found.groups(), None, None
    else:
        return None
    number = _MONTHS.get(month.lower())
    if not number or not 1 <= int(day) <= 31 or int(hour) > 24 or int(minute) > 59:
        return None
    full = int(year)
    if full < 100:  # RFC 5322 4.3
        full += 2000 if full < 50 else 1900
    days = date(full, number, 1).toordinal() + int(day) - 1 - _EPOCH  # 31 April is 1 May
    when = days * 86400 + int(hour) * 3600 + int(minute) * 60 + int(second or 0)
    if offset:
        return float(when - (int(offset[:3]) * 3600 + int(offset[0] + offset[3:]) * 60))
    return float(when - _ZONES.get((zone or "").lower(), 0) * 3600)
