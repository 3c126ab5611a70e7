"""What the configuration says of one list in the DNS, whoever asks it: zone, codes, weights, how it is tested."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vaglio.config.types import Section

Weight = Annotated[float, Field(ge=-100, le=100)]

KEY = "{key}"
"""Where in a zone the access key belongs."""

_PART = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?", re.ASCII)
_ZONE = re.compile(r"(?:(?:\{key\}|[a-z0-9_-]{1,63})\.)+[a-z0-9-]{1,63}", re.ASCII)


def parse_codes(pattern: str) -> tuple[tuple[int, int], ...]:
    """Return the range of each octet of ``127.0.0.2-11``, or of ``127.0.0.2`` alone; ValueError otherwise."""
    parts = [_PART.fullmatch(part) for part in pattern.split(".")]
    ranges = [(int(part[1]), int(part[2] or part[1])) for part in parts if part]
    if len(parts) == len(ranges) == 4 and all(low <= high < 256 for low, high in ranges) and ranges[0] == (127, 127):
        return tuple(ranges)
    raise ValueError('return codes such as "127.0.0.2", "127.0.0.2-11" or "127.0.0-255.3"')


def parse_bit(pattern: str) -> int:
    """Return the value of a bit written ``"bit 4"`` (1 to 128, of the last octet); ValueError otherwise."""
    match = re.fullmatch(r"bit (1|2|4|8|16|32|64|128)", pattern)
    if match:
        return int(match[1])
    raise ValueError('a bit of the last octet: "bit 1", "bit 2", "bit 4" ... "bit 128"')


def _code(pattern: str) -> str:
    if pattern.startswith("bit"):
        parse_bit(pattern)
    else:
        parse_codes(pattern)
    return pattern


def _zone(text: str) -> str:
    if text and not (len(text) <= 180 and _ZONE.fullmatch(text)):
        raise ValueError('a zone in lower case such as "zen.spamhaus.org" or "{key}.zen.dq.spamhaus.net"')
    return text


Code = Annotated[
    str,
    AfterValidator(_code),
    Field(description='return codes such as "127.0.0.2", "127.0.0.2-11" or "127.0.0-255.3", or a bit such as "bit 4"'),
]
Url = Annotated[str, Field(pattern=r"^[!-~]{0,160}$", description="a URL of at most 160 ASCII characters, no blanks")]
ListName = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,39}$", description='a short name in lower case such as "spamhaus-zen"')
]


class DnsListSettings(Section):
    """One list. An entry with the name of a shipped list changes that list: what it does not say stays as shipped."""

    name: ListName = "private"
    """Stands in replies, logs, metrics and reports, in place of the zone (which may hold a key)."""
    zone: Annotated[
        str,
        AfterValidator(_zone),
        Field(description='a zone in lower case such as "zen.spamhaus.org" or "{key}.zen.dq.spamhaus.net"'),
    ] = ""
    """Zone to ask, with {key} where an access key belongs."""
    key: Annotated[
        str, Field(pattern=r"^[a-z0-9]{0,63}$", description="an access key of letters and digits", repr=False)
    ] = ""
    """Access key that takes the place of {key}; never shown, neither in replies nor in logs."""
    enabled: bool = True
    """false keeps the list in the file and asks it nothing."""
    kind: Literal["address", "domain", "hash"] = "address"
    """What is in it: addresses, domain names, or hashes of mail addresses."""
    hash: Literal["md5", "sha1", "sha256"] = "sha1"
    """How a list of hashes makes them, of an address in lower case."""
    weight: Weight = 1.0
    """What a hit adds to the score; below 0 for an allow list. Of a shipped list it takes the place of the weights of
    all its codes."""
    codes: dict[Code, Weight] = {}
    """Weight by return code, for example {"127.0.0.2-3"=5.0, "127.0.0.10-11"=2.0}, or by bit of the last octet,
    {"bit 2"=3.0}: only these count then. Bits count in 127.0.0.2 to 127.0.0.255. Without any codes, each from 127.0.0.2
    to 127.0.255.255 weighs "weight"."""
    reasons: dict[Code, Annotated[str, Field(max_length=120)]] = {}
    """What a return code means, in a few words, for replies and explanations."""
    blocked: list[Code] = []
    """Codes by which the list says that it does not answer us, besides 127.255.255.0-255: they suspend it."""
    ipv4: bool = True
    """Ask it about IPv4 addresses."""
    ipv6: bool = False
    """Ask it about IPv6 addresses: many lists have none."""
    shadow: bool = False
    """Ask and count it, and let it weigh nothing: to see what it would do."""
    probe: bool = True
    """Test the list at start and every hour by the entries that each must and must not have (RFC 5782 5)."""
    probe_listed: str = ""
    """What the list must have: an address for lists of addresses, a domain for the others; "" means what RFC 5782 5
    says, 127.0.0.2 and "test"."""
    probe_unlisted: str = ""
    """What it must not have; "" means 127.0.0.1 and "invalid"."""
    url: Url = ""
    """Where the listed find help; {ip} and {name} are filled in."""
    terms: Annotated[str, Field(max_length=300)] = ""
    """Under which terms it may be asked, for whoever reads this."""
    checked: Annotated[str, Field(pattern=r"^(\d{4}-\d{2}-\d{2})?$", description='a date such as "2026-11-22"')] = ""
    """When codes, terms and url were last compared with what the list says."""

    @property
    def asked_about(self) -> Sequence[str]:
        """What it is asked about, in the words of whoever asks."""
        raise NotImplementedError
