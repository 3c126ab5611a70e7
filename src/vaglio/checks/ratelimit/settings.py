"""The section ``[ratelimit]``: who may send how much, and what happens beyond."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from vaglio.checks.ratelimit.limits import Kind, parse_limits
from vaglio.checks.replytext import checked
from vaglio.config.entries import AddressEntry, ClientEntry, Network
from vaglio.config.types import DaemonSection, Duration, Section, SocketAddress

ATTRIBUTES = (
    "sasl_username", "sender", "sender_domain", "client", "client_network", "client_country", "helo", "recipient",
    "recipient_domain",
)  # fmt: skip
"""What a key may be made of."""

PER_RECIPIENT = frozenset({"recipient", "recipient_domain"})
"""Attributes that only a request about a recipient has."""

Action = Literal["defer", "reject", "hold", "header", "log"]
CountKind = Literal[
    "messages", "recipients", "bytes", "distinct_recipients", "new_recipients", "distinct_networks",
    "distinct_countries", "refused_share",
]  # fmt: skip


def _key_part(text: str) -> str:
    if not all(part in ATTRIBUTES for part in text.split("|")):
        raise ValueError(f"one of {', '.join(ATTRIBUTES)}, or several with | between them: the first that is known")
    return text


_OVERRIDES = re.compile(r"(?:/[^\0]*\.(?:csv|toml)|sqlite:///[^\0]+|(?:postgresql|postgres|mysql)://[^\0]+)?")


def _override_source(text: str) -> str:
    if not _OVERRIDES.fullmatch(text):
        raise ValueError(
            'an absolute path that ends in .csv or .toml, or a URL that begins with "sqlite:///", "postgresql://" or '
            '"mysql://"'
        )
    return text


KeyPart = Annotated[str, AfterValidator(_key_part)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]


class Rule(Section):
    """A limit: what is counted, for whom, how much of it, and what happens beyond. All rules that fit a message count
    it; one that is refused counts in none."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", description='a short name such as "per-user"')] = (
        "per-user"
    )
    """Its name in replies, logs, overrides and commands."""
    key: Annotated[list[KeyPart], Field(min_length=1, max_length=4)] = ["sasl_username"]
    """What it counts by: "sasl_username", "sender", "sender_domain", "client", "client_network", "client_country",
    "helo", "recipient", "recipient_domain", or several together. "sasl_username|sender|client" is the first that is
    known. The rule does not hold for a message that lacks it."""
    count: CountKind = "recipients"
    """"messages", "recipients", "bytes"; "distinct_recipients", "distinct_networks", "distinct_countries" (how many
    different ones); "new_recipients" (never written to before); "refused_share" (per cent of recipients that were
    refused)."""
    limits: Annotated[list[str], Field(min_length=1, max_length=4, validate_default=True)] = ["200/1h", "1000/1d"]
    """One or several, all of which hold: ["30/1m", "200/1h", "1000/1d"]; for bytes ["500 MB/1d"], for a share
    ["30%/1h"]. A window slides: "1d" is the last 24 hours at any time."""
    action: Action = "defer"
    """What happens beyond a limit: "defer" (450, the sender may try again), "reject" (554), "hold" (Postfix keeps it
    until the admin looks), "header" (marks it; not at the end of the message), "log" (nothing but an alarm)."""
    per_message: Count = 0
    """Most that a single message may count, in recipients or bytes; 0: as much as the limits allow. Not for a rule
    about single recipients."""
    at_least: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """A refused_share is judged from so many recipients on."""
    applies_to: Literal["mail", "null_sender", "system"] = "mail"
    """Mail with the null sender (bounces, read receipts) and mail of ratelimit.system_clients have rules of their own:
    "mail" is all other."""
    clients: list[ClientEntry] = []
    """Holds only for these client addresses, networks or name suffixes; empty means any."""
    users: list[AddressEntry] = []
    """Holds only for these logins: "tizio@tizio.it"; "tizio.it" (all of that domain and below it); "tizio@" (this login
    in any domain, or without one)."""
    senders: list[AddressEntry] = []
    """Holds only for these sender addresses or domains."""
    recipients: list[AddressEntry] = []
    """Holds only for these recipient addresses or domains."""
    except_clients: list[ClientEntry] = []
    """Does not hold for these clients."""
    except_users: list[AddressEntry] = []
    """Does not hold for these logins."""
    except_senders: list[AddressEntry] = []
    """Does not hold for these senders."""
    except_recipients: list[AddressEntry] = []
    """Does not hold for these recipients: your own domains, so that mail within the house is free."""
    ramp_up: Duration = 0
    """A key that was first seen within this time has lower limits; "7d" is a new user's first week. Whoever is first
    seen within this time after the daemon's first start counts as an old one."""
    ramp_up_share: Annotated[int, Field(ge=1, le=100)] = 25
    """Per cent of the limits that hold during ramp_up."""
    alarm: bool = True
    """Tell the admin when a key is over its limit: log, metric, and mail or webhook of [alert]."""

    @property
    def per_recipient(self) -> bool:
        """True for a rule about single recipients: it is asked at RCPT, where one is named."""
        return self.why_per_recipient != ""

    @property
    def why_per_recipient(self) -> str:
        """Which of its settings makes it a rule about single recipients; "" for one about messages."""
        if any(part in PER_RECIPIENT for key in self.key for part in key.split("|")):
            return "key"
        if self.count in ("distinct_recipients", "new_recipients"):
            return "count"
        return "recipients" if self.recipients else "except_recipients" if self.except_recipients else ""

    @field_validator("limits")
    @classmethod
    def _limits_fit(cls, value: list[str], info: ValidationInfo) -> list[str]:
        if "count" in info.data:  # it is absent where it is itself in error
            parse_limits(value, Kind(info.data["count"]))
        return value


PLACEHOLDERS = frozenset({"who", "what", "limit", "window", "used", "units", "wait", "help"})
"""What a reply text may name in braces."""


Template = Annotated[str, Field(max_length=300), AfterValidator(partial(checked, known=PLACEHOLDERS))]


class Text(Section):
    """A text may name the key, {who}; the limit, as "{limit}{what} in {window}", such as "200 recipients in 1h" ({what}
    has a blank before it); what was counted before, {used}, and what this message counts, {units}; how long until there
    is room, {wait}, such as "42m" (nothing where that is not known); and ratelimit.help, {help}. The reference is put
    at the end."""

    over: Template = ""
    """Reply to a message beyond a limit; "" takes the shipped text."""


def _shipped() -> list[Rule]:
    return [
        Rule(),
        Rule(name="networks", count="distinct_networks", limits=["8/1h"], action="log"),
        Rule(name="bounces", key=["sasl_username|client"], limits=["100/1h"], applies_to="null_sender"),
    ]  # fmt: skip


class RatelimitSettings(DaemonSection):
    """Outbound limits: how much a user, a sender or a client may send, and the signs of an account in wrong hands."""

    listen: Annotated[list[SocketAddress], Field(min_length=1)] = ["inet:127.0.0.1:10026"]
    """Sockets to listen on."""
    stage: Literal["end-of-message", "data", "rcpt"] = "end-of-message"
    """Where messages are counted: "end-of-message" (smtpd_end_of_data_restrictions) knows the number of recipients and
    the true size; "data" and "rcpt" refuse earlier. Rules about single recipients are asked at RCPT whatever this says
    and need a line in smtpd_recipient_restrictions too."""
    rule: list[Rule] = Field(default_factory=_shipped)
    """The limits. A [[ratelimit.rule]] of your own replaces all that ship."""
    system_clients: list[Network] = ["127.0.0.0/8", "::1/128"]
    """Clients whose mail is the system's own where they have not logged in: only rules with applies_to = "system" hold
    for it."""
    ipv4_prefix: Annotated[int, Field(ge=8, le=32)] = 24
    """IPv4 network size of "client_network" and "distinct_networks"."""
    ipv6_prefix: Annotated[int, Field(ge=16, le=128)] = 48
    """The same for IPv6."""
    overrides: Annotated[str, AfterValidator(_override_source), Field(repr=False)] = ""
    """Limits of single keys, in place of their rule's: a file that ends in .toml or .csv, or a database:
    "sqlite:///path", "postgresql://user@host/database", "mysql://user@host/database". Read again when it changes, a
    database every 30 seconds. Since it may hold a password, no command shows it."""
    overrides_query: Annotated[
        str, Field(pattern=r"\S", description="a query of three columns, the rule, the key and its limits")
    ] = "SELECT rule, name, limits FROM ratelimit_overrides"
    """What is read from a database: three columns, the rule, the key and its limits."""
    sender_login: Literal["off", "log", "defer", "reject"] = "off"
    """What happens when a login uses a sender address that is not its own. Its own are the login itself and those that
    ratelimit.sender_logins gives to it."""
    sender_logins: list[str] = []
    """Files with lines "address login login ...", as Postfix's smtpd_sender_login_maps have them; "@domain login" for
    all addresses of a domain."""
    country_database: str = ""
    """A file such as GeoLite2-Country.mmdb, for "client_country" and "distinct_countries" (needs the extra "geo")."""
    alarm_every: Annotated[Duration, Field(ge=60)] = 86400
    """An alarm about one key and rule is raised at most once in this time."""
    forget_after: Annotated[Duration, Field(ge=86400)] = 90 * 86400
    """A key that sent nothing for so long is forgotten, and is a new one when it comes back."""
    reply_code: Literal[450, 451, 452] = 450
    """SMTP code of a "defer"."""
    enhanced_code: Annotated[
        str, Field(pattern=r"^4\.\d{1,3}\.\d{1,3}$", description='an enhanced status code such as "4.7.1"')
    ] = "4.7.1"
    """Enhanced status code of a "defer" (RFC 3463); a "reject" has 5 in place of 4."""
    help: Annotated[str, Field(max_length=120)] = ""
    """Where a user finds help: a URL or a sentence, put into the reply."""
    text: dict[Annotated[str, Field(pattern=r"^[a-z]{2}$", description='a language such as "it"')], Text] = {}
    """Reply texts by language, for example [ratelimit.text.it]; identity.languages chooses by the sender's domain,
    since the sender is who reads it."""
