"""Who came before our own relays, as their Received headers have it (RFC 5321 4.4).

Only what a relay of ours wrote is read: the newest header first, on to the next as long as the host it names is a relay
too. A header that has none of the known forms (Postfix, Sendmail, Exim, Exchange, qmail) ends the search. Pure.

A HELO is whatever a stranger likes, of any length, and must neither hide the address nor put another in its place. What
it can't have is a parenthesis: these servers refuse it, or write "?". So the first one opens the relay's own words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from vaglio.facts import pack_address, unpack_address

MAX_HOPS = 20
MAX_HEADER = 20_000
"""Bytes of a header that are looked at: more than any of these servers takes in a line of SMTP."""

_IP = r"(?:IPv6:)?(?P<ip>[0-9A-Fa-f:.]{2,45})"
_EXIM = r"(?:port|ident|helo)=[^\s()]+"
_FORMS = tuple(
    re.compile(form, re.ASCII)
    for form in (
        # Postfix, Sendmail: from HELO (NAME [IP]); Sendmail may add its doubts, or an ident answer before the name.
        # Postfix takes blanks in HELO: first in this list, or "[IP] by x" would be read as Exim's. A "=" is Exim's.
        rf"from (?P<helo>[^()]+) \((?:[^\s()\[\]=]+ )?\[{_IP}\](?: \(may be forged\))?\)",
        # Exim: from NAME ([IP] helo=HELO), from NAME ([IP]:PORT ...); without helo= it is NAME.
        rf"from (?P<helo>[^\s()]+) \(\[{_IP}\](?::\d+)?(?P<more>(?: {_EXIM})*)\)",
        # Exim, without a name: from [IP] (helo=HELO)
        rf"from \[{_IP}\](?::\d+)?(?: \((?P<more>{_EXIM}(?: {_EXIM})*)\))?(?= by )",
        # Exchange, and qmail where HELO is the name: from HELO (IP) by
        rf"from (?P<helo>[^()]+) \((?:[^\s()]+@)?{_IP}\)(?= by )",
        # qmail: from NAME (HELO HELO) (IP)
        rf"from [^()]+ \(HELO (?P<helo>[^()]+)\) \((?:[^\s()]+@)?\[?{_IP}\]?\)",
    )
)
_HELO = re.compile(r"(?:^| )helo=(\S+)", re.ASCII)


class Hop(NamedTuple):
    """A client, as a relay of ours saw it."""

    address: str
    packed: bytes
    helo: str


def read(value: bytes) -> Hop | None:
    """Return the client that a Received header names; None where it has none of the forms."""
    text = b" ".join(value[:MAX_HEADER].split()).decode("utf-8", "surrogateescape")
    for form in _FORMS:
        match = form.match(text)
        if match and (packed := pack_address(match["ip"])):
            named = match.groupdict()
            helo = _HELO.search(named.get("more") or "")
            return Hop(unpack_address(packed), packed, helo[1] if helo else named.get("helo") or "")
    return None


def last_outside(received: Iterable[bytes], is_relay: Callable[[bytes], bool]) -> Hop | str:
    """Return the first client that is no relay, from the newest header on; or why there is none, in words."""
    number = 0
    for number, value in enumerate(received, 1):
        if number > MAX_HOPS:
            return f"the first {MAX_HOPS} Received headers name only relays of ours"
        hop = read(value)
        if hop is None:
            return f"the Received header number {number} has none of the known forms"
        if not is_relay(hop.packed):
            return hop
    return "no Received header names a host outside of our relays" if number else "the relay wrote no Received header"
