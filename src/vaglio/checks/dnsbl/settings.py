"""The section ``[dnsbl]``: which lists, what a hit weighs, what a score leads to."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vaglio.config.types import DaemonSection, Duration, Section, SocketAddress
from vaglio.hints import LONGEST
from vaglio.lists import AddressList, NetworkSet

Subject = Literal["client", "client_name", "reverse_name", "helo", "sender", "sender_ns", "sender_mx"]
"""What a list is asked about: the client's address; its verified name; its name as PTR has it, verified or not; its
HELO name; the sender (the domain, in a list of hashes the address); the name servers or the mail servers of the
sender's domain (their names in a list of domains, their addresses in one of addresses).
"""

Weight = Annotated[float, Field(ge=-100, le=100)]
Score = Annotated[float, Field(ge=0, le=1000)]

KEY = "{key}"

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


def _network(text: str) -> str:
    for problem in NetworkSet.parse([text], "")[1]:
        raise ValueError(problem.wanted)
    return text


def _address(text: str) -> str:
    if "@" not in text and "." not in text:  # "postmaster" would be taken for a domain, and nobody would notice
        raise ValueError('an address, "user@" or a domain name')
    for problem in AddressList.parse([text], "")[1]:
        raise ValueError(problem.wanted)
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


class ListSettings(Section):
    """One list: a zone in the DNS, or a file. An entry with the name of a shipped list changes that list: what it does
    not say stays as shipped.
    """

    name: ListName = "private"
    """Stands in replies, logs, metrics and reports, in place of the zone (which may hold a key)."""
    zone: Annotated[
        str,
        AfterValidator(_zone),
        Field(description='a zone in lower case such as "zen.spamhaus.org" or "{key}.zen.dq.spamhaus.net"'),
    ] = ""
    """Zone to ask, with {key} where an access key belongs; "" where file names the list."""
    key: Annotated[
        str, Field(pattern=r"^[a-z0-9]{0,63}$", description="an access key of letters and digits", repr=False)
    ] = ""
    """Access key that takes the place of {key}; never shown, neither in replies nor in logs."""
    file: str = ""
    """Private list in a file, read again when it changes."""
    format: Literal["plain", "ip4set", "ip4trie", "ip6trie", "dnset"] = "plain"
    """Form of the file: "plain" has an address, a network, a domain or .domain for all below it a line, with a reason
    behind it; the others are those of rbldnsd."""
    enabled: bool = True
    """false keeps the list in the file and asks it nothing."""
    kind: Literal["address", "domain", "hash"] = "address"
    """What is in it: addresses, domain names, or hashes of mail addresses."""
    hash: Literal["md5", "sha1", "sha256"] = "sha1"
    """How a list of hashes makes them, of the sender's address in lower case."""
    subjects: list[Subject] = []
    """What to ask it about; none means the client for addresses, client_name, helo and sender for domains, and the
    sender for hashes."""
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
    text: bool = True
    """Ask the list for its reason (TXT) when it has a hit."""
    url: Url = ""
    """Where the listed find help; {ip} and {name} are filled in."""
    terms: Annotated[str, Field(max_length=300)] = ""
    """Under which terms it may be asked, for whoever reads this."""
    checked: Annotated[str, Field(pattern=r"^(\d{4}-\d{2}-\d{2})?$", description='a date such as "2026-11-22"')] = ""
    """When codes, terms and url were last compared with what the list says."""


class Rules(Section):
    """What a client does by itself, without any list; each weighs what is written here, 0 does not look."""

    no_ptr: Weight = 0.0
    """The client's address has no name in the DNS."""
    unverified_ptr: Weight = 0.0
    """It has one, and that does not lead back to the address."""
    generic_name: Weight = 0.0
    """Its name is made from the address, or says dsl, dyn, dhcp or the like."""
    helo_address: Weight = 0.0
    """HELO with a bare address (192.0.2.7), or with an address literal that is not the client's."""
    helo_unqualified: Weight = 0.0
    """HELO with a name without a dot, or one that can't be a name."""
    helo_ours: Weight = 0.0
    """HELO with our own name (identity.hostname)."""
    helo_unknown: Weight = 0.0
    """The HELO name has no address in the DNS."""
    helo_mismatch: Weight = 0.0
    """The HELO name has addresses, and the client's is not among them, nor is it below the same registered domain as
    the client's verified name."""
    sender_unknown: Weight = 0.0
    """The sender's domain has neither MX nor address: no answer could ever reach it."""
    sender_bogus_mx: Weight = 0.0
    """All its mail servers are at private, loopback or otherwise impossible addresses, or it says that it takes no mail
    (RFC 7505)."""


class DnsblSettings(DaemonSection):
    """Blocklists: what lists and a client's own manners say of it, added up."""

    listen: Annotated[list[SocketAddress], Field(min_length=1)] = ["inet:127.0.0.1:10024"]
    """Sockets to listen on."""
    reject: Score = 5.0
    """Refuse for good at this score; 0 never does."""
    defer: Score = 0.0
    """Refuse for now at this score; 0 never does."""
    greylist: Score = 1.0
    """At this score vaglio-greylist is told that the client is listed (greylist.scope); 0 never tells."""
    header: Score = 1.0
    """At this score a message that is let in gets the header X-DNSBL with the score; 0 never does."""
    trust: Annotated[float, Field(ge=-1000, le=0)] = -1.0
    """At this score or below, the client passes and vaglio-greylist is told that it is trusted (greylist.pass_trusted);
    0 trusts nobody."""
    use: list[ListName] = []
    """Shipped lists to ask besides those that are on by themselves: read their terms first, "vaglio dnsbl lists" prints
    them."""
    without: list[ListName] = []
    """Shipped lists not to ask."""
    lists: list[ListSettings] = []
    """Lists of your own, and changes to shipped ones."""
    rules: Rules = Field(default_factory=Rules)
    """Weights of what a client does by itself."""
    trusted_networks: list[Annotated[str, AfterValidator(_network)]] = []
    """Clients that are asked nothing about, as Postfix's mynetworks; loopback and private networks always are."""
    exempt_recipients: list[Annotated[str, AfterValidator(_address)]] = ["postmaster@", "abuse@"]
    """Recipients whose mail is never refused here (RFC 5321 4.5.1: they must be reachable by whoever is listed)."""
    lookup_timeout: Duration = 3
    """Longest wait for one list; what is not known by then counts as no hit. The words of the list that weighed most
    may take half as long again, so deadline must be one and a half times this, or more."""
    suspend_after: Annotated[int, Field(ge=1, le=1000)] = 10
    """A list that fails to answer this many times in a row is not asked for a while."""
    suspend_for: Annotated[Duration, Field(ge=60)] = 300
    """A suspended list is tried again this often, by a probe, and comes back when that goes well."""
    hint_for: Annotated[Duration, Field(ge=60, le=LONGEST)] = 3600
    """What vaglio-greylist is told of a client holds this long."""
    reply_code: Literal[550, 554] = 554
    """SMTP code of a refusal for good."""
    enhanced_code: Annotated[
        str, Field(pattern=r"^5\.\d{1,3}\.\d{1,3}$", description='an enhanced status code such as "5.7.1"')
    ] = "5.7.1"
    """Enhanced status code of the reply (RFC 3463)."""
    help_url: Url = ""
    """Page of ours that helps the refused; put into the reply when set."""
