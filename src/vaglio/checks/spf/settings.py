"""The section ``[spf]``: which result leads to what, for whom, and who is left alone."""

from __future__ import annotations

import ipaddress
import re
from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vaglio.checks.replytext import checked
from vaglio.config.entries import AddressEntry, ClientEntry, Network
from vaglio.config.types import Duration, MilterSection, Section, SocketAddress, empty_table

Policy = Literal["accept", "defer", "reject", "quarantine"]
Milder = Literal["accept", "defer", "quarantine"]

CIRCUMSTANCES = 3
"""Seconds for what may speak for a client that failed: after time_limit, and before the deadline."""

_LABELS = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{1,63}", re.ASCII)


def _domain(text: str) -> str:
    if len(text) > 253 or not _LABELS.fullmatch(text):
        raise ValueError('a domain in lower case such as "example.org"')
    return text


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError('an address such as "192.0.2.25" or "2001:db8::25"') from None


DomainName = Annotated[
    str, AfterValidator(_domain), Field(description='a domain in lower case such as "example.org"')
]
Address = Annotated[
    str, AfterValidator(_address), Field(description='an address such as "192.0.2.25" or "2001:db8::25"')
]


class Policies(Section):
    """What each result leads to: "accept" (no more than the header), "defer" (451, the sender tries again), "reject"
    (550), "quarantine" (taken, and held back by the mail server until the admin looks)."""

    fail: Policy = "accept"
    """The domain says that the client must not send in its name."""
    softfail: Policy = "accept"
    """The domain says that the client probably must not."""
    neutral: Policy = "accept"
    """The domain says nothing of the client."""
    none: Policy = "accept"
    """The domain has no SPF record, or there is no domain."""
    permerror: Policy = "accept"
    """The domain's record can't be understood."""
    temperror: Milder = "accept"
    """The DNS failed. RFC 7208 8.6 knows no refusal for good here."""
    no_mail: Policy = "reject"
    """The domain's whole record is "v=spf1 -all": nobody ever sends in its name."""


class RulePolicies(Policies):
    """The same, for a rule: what it does not name is accepted."""

    no_mail: Policy = "accept"
    """The domain's whole record is "v=spf1 -all": nobody ever sends in its name."""


class Rule(Section):
    """The first rule that fits decides alone, in place of [spf.helo] and [spf.mail_from]; one with only a condition
    accepts all results."""

    recipients: list[AddressEntry] = []
    """Holds only for these recipient addresses or domains; the answer is then given to each RCPT."""
    senders: list[AddressEntry] = []
    """Holds only for these sender addresses or domains; "<>" is the null sender."""
    clients: list[ClientEntry] = []
    """Holds only for these client addresses, networks or verified names."""
    helo: RulePolicies = empty_table()
    """What the results of the HELO name lead to."""
    mail_from: RulePolicies = empty_table()
    """What the results of the sender's domain lead to."""


class Skip(Section):
    """Who is left alone."""

    authenticated: bool = True
    """Clients that have logged in."""
    local: list[Network] = ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7",
                            "fe80::/10"]  # fmt: skip
    """Networks of our own, as Postfix's mynetworks: their mail is ours, and so is mail that came by no network."""
    clients: list[ClientEntry] = []
    """Other clients: addresses, networks, or names (which count only if they lead back to the address)."""
    helo_names: list[DomainName] = []
    """HELO names, and all below them, that are believed where the name's own SPF record, or the client's verified name,
    bears them out."""
    senders: list[AddressEntry] = []
    """Sender addresses or domains. Anybody can write them: prefer clients."""
    forwarders: Annotated[list[DomainName], Field(max_length=20)] = []
    """Domains that forward mail to us: a client that their own SPF record allows is never refused."""


PLACEHOLDERS = frozenset({"ip", "domain", "identity", "allows", "advice", "problem", "result", "theirs", "help"})
"""What a reply text may name in braces."""

Template = Annotated[str, Field(max_length=300), AfterValidator(partial(checked, known=PLACEHOLDERS))]


class Text(Section):
    """Texts of replies, which may name the client {ip}; the {domain} and whether it is of "MAIL FROM" or "HELO",
    {identity}; what its record allows, {allows}; what its admin must do, {advice}; what is wrong, {problem}; the
    {result}; the domain's own explanation, {theirs}; and spf.help, {help}. "" takes the shipped text. The reference is
    put at the end."""

    fail: Template = ""
    """The client may not send for the domain: fail, softfail, neutral, none."""
    no_mail: Template = ""
    """Nobody may."""
    permerror: Template = ""
    """The record can't be understood."""
    temperror: Template = ""
    """The DNS failed."""


class SpfSettings(MilterSection):
    """SPF: may this client send in the name of this domain? Alone it refuses only in the name of domains that send no
    mail at all; what else it refuses, you say here."""

    listen: Annotated[list[SocketAddress], Field(min_length=1)] = ["unix:/run/vaglio/spf.sock"]
    """Sockets to listen on."""
    header: Literal["authentication-results", "received-spf", "both"] = "authentication-results"
    """Which header tells the result: Authentication-Results (RFC 8601), Received-SPF (RFC 7208 9.1), or both. A chain
    writes Authentication-Results in any case."""
    hide_recipient: bool = True
    """"receiver=" in Received-SPF is our host name; false has the recipient there, where there is only one."""
    helo: Policies = empty_table()
    """What the results of the HELO name lead to."""
    mail_from: Policies = empty_table()
    """What the results of the sender's domain lead to; for the null sender that is the HELO name (RFC 7208 2.4)."""
    rule: list[Rule] = []
    """Policies of their own for some recipients, senders or clients."""
    defer_to_dmarc: bool = True
    """A fail or softfail refuses nothing where the domain in From has a DMARC policy of quarantine or reject: DMARC
    decides then, and a good DKIM signature saves what was forwarded. Where the policy can't be looked up, the refusal
    is put off."""
    reject_unless_pass: list[DomainName] = []
    """Sender domains, and all below them, whose mail is refused unless the result is pass."""
    skip: Skip = empty_table()
    """Who is left alone."""
    relays: list[Network] = []
    """Our own backup MX, and other hosts that take mail for us: the client before them is judged, as their Received
    headers have it. Nobody else's are believed; where they can't be read, the result is none."""
    own_addresses: Annotated[list[Address], Field(max_length=20)] = []
    """Addresses from which our mail leaves: mail of our own users is judged as others will see it, never refused, and
    an alarm is raised once a day for each domain whose record would not let us send."""
    max_lookups: Annotated[int, Field(ge=1, le=20)] = 10
    """Terms of records that may look something up; beyond, the result is permerror (RFC 7208 4.6.4)."""
    max_void_lookups: Annotated[int, Field(ge=0, le=20)] = 2
    """Look-ups that may find nothing; beyond, the result is permerror."""
    time_limit: Annotated[Duration, Field(ge=1, le=200)] = 20
    """Longest time for the look-ups of a message; what is not known by then is temperror. It must leave 3 seconds of
    deadline."""
    help: Annotated[str, Field(max_length=120)] = ""
    """Where those who are refused find help: a URL or a sentence, put into the reply."""
    text: dict[Annotated[str, Field(pattern=r"^[a-z]{2}$", description='a language such as "it"')], Text] = {}
    """Reply texts by language, for example [spf.text.it]; identity.languages chooses by the recipient's domain."""
