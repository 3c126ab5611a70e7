"""The section ``[greylist]``: how long, for whom, in which words."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vaglio.checks.replytext import checked
from vaglio.config.entries import AddressEntry, ClientEntry, Network
from vaglio.config.types import DaemonSection, Duration, Section, SocketAddress
from vaglio.names import GENERIC_WORDS

KeyBy = Literal["pool", "network", "address"]
Count = Annotated[int, Field(ge=0, le=1_000_000)]



class Rule(Section):
    """An exception: the first ``[[greylist.rule]]`` whose conditions all hold decides for that client."""

    clients: list[ClientEntry] = []
    """Client addresses, networks or name suffixes, as in a whitelist file; empty means any."""
    senders: list[AddressEntry] = []
    """Sender addresses or domains; empty means any."""
    recipients: list[AddressEntry] = []
    """Recipient addresses or domains; empty means any."""
    reverse_dns: Literal["any", "none", "unverified", "generic", "proper"] = "any"
    """State of the client name: no PTR; a PTR that does not lead back; a generic or dynamic name; a proper one."""
    delay: Duration | None = None
    """Delay for these clients in place of greylist.delay."""
    greylist: bool = True
    """false lets them pass unasked."""


PLACEHOLDERS = frozenset({"seconds", "minutes", "recipient_domain", "client", "help"})
"""What a reply text may name in braces."""


Template = Annotated[str, Field(max_length=300), AfterValidator(partial(checked, known=PLACEHOLDERS))]


class Text(Section):
    """{seconds} and {minutes} left, {recipient_domain}, {client} and {help} (the sentence
    with greylist.help_url, or nothing) are filled in; the reference is put at the end."""

    first: Template = ""
    """Reply to a first contact; "" takes the shipped text."""
    early: Template = ""
    """Reply to a retry that comes too early; "" takes the shipped text."""


class GreylistSettings(DaemonSection):
    """Greylisting: a first contact is asked to come back; who retries is let in and remembered."""

    listen: Annotated[list[SocketAddress], Field(min_length=1)] = ["inet:127.0.0.1:10023"]
    """Sockets to listen on."""
    delay: Duration = 300
    """A first contact is deferred this long."""
    retry_window: Duration = 2 * 86400
    """A triplet that was not retried within this time is forgotten."""
    lifetime: Duration = 35 * 86400
    """A triplet that passed is remembered this long after it was last seen: a monthly newsletter stays known."""
    key: KeyBy = "pool"
    """Network part of the triplet: "pool" is the registered domain of a verified, not generic client name, so that
    a retry from another host of the same provider passes (else the network); "network"; or the single "address"."""
    ipv4_prefix: Annotated[int, Field(ge=8, le=32)] = 24
    """IPv4 network size of the key."""
    ipv6_prefix: Annotated[int, Field(ge=16, le=128)] = 64
    """IPv6 network size of the key."""
    auto_whitelist: Count = 5
    """A pool that delivered this many messages (at most one an hour counts) passes unasked; 0 switches it off."""
    auto_whitelist_domain: Count = 0
    """The same for one sender domain from one pool; 0 switches it off."""
    max_pending: Count = 1000
    """First contacts of one pool that may go unretried within the retry window, as each worker counts them; further
    ones are deferred but not stored, so that a flood does not fill the disk. 0: no limit."""
    early_retry_penalty: Duration = 0
    """Each retry that comes too early adds this to the delay, which grows to four times its value at most."""
    tarpit: Annotated[Duration, Field(le=30)] = 0
    """Answer a first contact only after this time. Stay below greylist.deadline and Postfix's timeout. A rehearsal does
    not wait."""
    first_action: Literal["defer_if_permit", "defer"] = "defer_if_permit"
    """Deferral of a first contact: "defer_if_permit" lets later restrictions refuse for good; "defer" answers now."""
    early_action: Literal["defer_if_permit", "defer"] = "defer_if_permit"
    """The same for a retry that comes too early."""
    reply_code: Literal[450, 451] = 450
    """SMTP code of a "defer"; with "defer_if_permit" Postfix takes its access_map_defer_code."""
    enhanced_code: Annotated[
        str, Field(pattern=r"^4\.\d{1,3}\.\d{1,3}$", description='an enhanced status code such as "4.7.1"')
    ] = "4.7.1"
    """Enhanced status code of the reply (RFC 3463)."""
    null_sender: Literal["rcpt", "data", "never"] = "rcpt"
    """When a message with the null sender is greylisted: "data" lets sender call-outs through; this daemon must then
    stand in smtpd_data_restrictions too."""
    header: Literal["none", "delayed", "all"] = "delayed"
    """Put an X-Greylist header on messages that were delayed, on all that passed, or on none."""
    help_url: Annotated[
        str, Field(pattern=r"^[!-~]{0,120}$", description="a URL of at most 120 ASCII characters without blanks")
    ] = ""
    """Page that explains the delay; put into the reply when set."""
    whitelist_clients: list[str] = ["/etc/vaglio/whitelist_clients", "/etc/vaglio/whitelist_clients.local"]
    """Files of clients that pass unasked: address, network, name suffix or /regular expression/ a line. Files that
    are not there are skipped; changed ones are read again."""
    whitelist_senders: list[str] = ["/etc/vaglio/whitelist_senders", "/etc/vaglio/whitelist_senders.local"]
    """Files of senders that pass unasked: address, domain, .domain for subdomains, local-part@, /expression/."""
    whitelist_recipients: list[str] = ["/etc/vaglio/whitelist_recipients", "/etc/vaglio/whitelist_recipients.local"]
    """Files of recipients that pass unasked, written like those of senders."""
    trusted_networks: list[Network] = []
    """Networks that are never greylisted, as Postfix's mynetworks; loopback is always one of them."""
    scope: Literal["all", "listed"] = "all"
    """"listed" greylists only clients that a blocklist names; it needs vaglio-dnsbl to say so."""
    pass_trusted: bool = True
    """Clients that an allow list (such as dnswl.org) names pass unasked, where vaglio-dnsbl says so."""
    privacy: bool = False
    """Store only keyed hashes of triplets, no addresses; "vaglio greylist list" can then show none. The log and the
    journal still name those who were deferred: see journal.enabled and log.level."""
    generic_words: list[str] = list(GENERIC_WORDS)
    """Words that mark a client name as generic or dynamic, so that it does not stand for a pool."""
    rule: list[Rule] = []
    """Exceptions, in order."""
    text: dict[Annotated[str, Field(pattern=r"^[a-z]{2}$", description='a language such as "it"')], Text] = {}
    """Reply texts by language, for example [greylist.text.it]; the language is chosen by identity.languages."""
