"""The section ``[dnsbl]``: which lists, what a hit weighs, what a score leads to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vaglio.blocklists.settings import DnsListSettings, ListName, Url, Weight
from vaglio.config.types import DaemonSection, Duration, Section, SocketAddress, empty_table
from vaglio.hints import LONGEST
from vaglio.lists import AddressList, NetworkSet

Subject = Literal["client", "client_name", "reverse_name", "helo", "sender", "sender_ns", "sender_mx"]
"""What a list is asked about: the client's address; its verified name; its name as PTR has it, verified or not; its
HELO name; the sender (the domain, in a list of hashes the address); the name servers or the mail servers of the
sender's domain (their names in a list of domains, their addresses in one of addresses).
"""

Score = Annotated[float, Field(ge=0, le=1000)]


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


class ListSettings(DnsListSettings):
    """One list: a zone in the DNS, or a file. An entry with the name of a shipped list changes that list: what it does
    not say stays as shipped.
    """

    file: str = ""
    """Private list in a file, in place of a zone; read again when it changes."""
    format: Literal["plain", "ip4set", "ip4trie", "ip6trie", "dnset"] = "plain"
    """Form of the file: "plain" has an address, a network, a domain or .domain for all below it a line, with a reason
    behind it; the others are those of rbldnsd."""
    subjects: list[Subject] = []
    """What to ask it about; none means the client for addresses, client_name, helo and sender for domains, and the
    sender for hashes."""
    text: bool = True
    """Ask the list for its reason (TXT) when it has a hit."""

    @property
    def asked_about(self) -> Sequence[str]:
        """What it is asked about, also where that is not said."""
        return self.subjects or _SUBJECTS[self.kind]


_SUBJECTS: Mapping[str, Sequence[str]] = {
    "address": ("client",),
    "domain": ("client_name", "helo", "sender"),
    "hash": ("sender",),
}


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
    rules: Rules = empty_table()
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
