"""The whole configuration as one value: a section for each part of the house and for each check.

It says which keys there are, what they may hold and their defaults. It reads no file (``load``), compares no
keys with each other (``sense``) and prints nothing (``describe``). Every key has a default, so that an empty
file, or none, is a whole configuration. README: "Configuration".
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from vaglio.checks.dkim.settings import DkimSettings
from vaglio.checks.dnsbl.settings import DnsblSettings
from vaglio.checks.greylist.settings import GreylistSettings
from vaglio.checks.ratelimit.settings import RatelimitSettings
from vaglio.checks.score.settings import ScoreSettings
from vaglio.checks.spf.settings import SpfSettings
from vaglio.checks.tag.settings import TagSettings
from vaglio.config.chain import ChainSettings, with_ready_chains
from vaglio.config.types import DaemonSection, Duration, Section, Size, SocketAddress, empty_table

_STATE = re.compile(r"sqlite://(/[^\0?#]*)")
_HOST_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})", re.ASCII)
_SERVER = re.compile(r"\[([^\]]+)\](?::(\d{1,5}))?|([0-9.]+)(?::(\d{1,5}))?|([0-9A-Fa-f:.]+)", re.ASCII)


def parse_state(value: object) -> str:
    """Return ``sqlite:///directory`` (absolute) or ``memory:``; ValueError for anything else."""
    if isinstance(value, str) and (value == "memory:" or _STATE.fullmatch(value)):
        return value
    raise ValueError('"sqlite:///" and an absolute directory, such as "sqlite:///var/lib/vaglio", or "memory:"')


def parse_host_port(value: object) -> str:
    """Return ``host:port`` or ``[::1]:port``; ValueError for anything else."""
    if isinstance(value, str) and (match := _HOST_PORT.fullmatch(value)) and 0 < int(match[1]) < 65536:
        return value
    raise ValueError('a host and port such as "127.0.0.1:25" or "[::1]:25"')


def parse_name_server(value: object) -> str:
    """Return an IP address, with a port if need be: ``192.0.2.53:5353``, ``[2001:db8::53]:5353``; else ValueError."""
    if isinstance(value, str) and (match := _SERVER.fullmatch(value)):
        bracketed, port6, ipv4, port4, ipv6 = match.groups()
        family = socket.AF_INET if ipv4 else socket.AF_INET6
        if _is_address(family, bracketed or ipv4 or ipv6) and 0 < int(port6 or port4 or 53) < 65536:
            return value
    raise ValueError('an address such as "192.0.2.53", "192.0.2.53:5353" or "[2001:db8::53]:5353"')


def _is_address(family: int, text: str) -> bool:
    try:
        socket.inet_pton(family, text)
    except OSError:
        return False
    return True


Domain = Annotated[str, Field(pattern=r"^[^A-Z\s@]+$", description='a domain in lower case, or "default"')]
Language = Annotated[str, Field(pattern=r"^[a-z]{2}$", description='a language such as "en" or "it"')]
Mailbox = Annotated[
    str, Field(pattern=r"^([!-;=?-~]+)?$", description='one mail address such as "postmaster@example.org", or ""')
]
ChainName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$", description='a name such as "inbound"')]
MailName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*$", description='a host name such as "mail.example.org"')]


class Identity(Section):
    """Who we are, and which language our users read."""

    hostname: Annotated[MailName, Field(validate_default=True)] = ""
    """Name of this host in headers and mail to the admin; "" is the system's own name."""
    authserv_id: Annotated[MailName, Field(validate_default=True)] = ""
    """Our name in Authentication-Results (RFC 8601 2.5), the same on all hosts of a site; "" is the hostname."""
    languages: dict[Domain, Language] = {}
    """Language of the replies by a domain of yours, for example {"caio.it" = "it"}: the recipient's where strangers are
    refused, the sender's in rate limits, which your own users read. "default" stands for all other domains; without it
    they get English ("en")."""

    @field_validator("hostname")
    @classmethod
    def _or_the_systems_name(cls, value: str) -> str:
        return value or os.uname().nodename

    @field_validator("authserv_id")
    @classmethod
    def _or_the_hostname(cls, value: str, info: ValidationInfo) -> str:
        return value or str(info.data.get("hostname", ""))  # hostname is absent here when it is itself in error

    def language_for(self, domain: str) -> str:
        """Return the two-letter language (ISO 639-1) of this domain of ours, in any case of letters."""
        return self.languages.get(domain.lower()) or self.languages.get("default", "en")


class State(Section):
    """Where decisions and what they rest on are kept."""

    url: Annotated[str, BeforeValidator(parse_state)] = "sqlite:///var/lib/vaglio"
    """"sqlite://" and an absolute directory: one file per check and one for the journal. Under systemd the default
    is the unit's StateDirectory ($STATE_DIRECTORY). "memory:" forgets all at a restart: for tests only."""

    @property
    def directory(self) -> Path | None:
        """The directory of the files; None for "memory:"."""
        match = _STATE.fullmatch(self.url)
        return Path(match[1]) if match else None


class Dns(Section):
    """Look-ups in the DNS."""

    servers: list[Annotated[str, BeforeValidator(parse_name_server)]] = []
    """Name servers to ask, for example ["127.0.0.1", "[::1]:5353"]; none means those of /etc/resolv.conf."""
    timeout: Annotated[Duration, Field(ge=1)] = 5
    """Longest time one question may take, all tries and servers together."""
    zone_file: str = ""
    """Answer all questions from this file and none from the network: for tests and rehearsals. "" switches it off."""


class Log(Section):
    """The log, written to stderr: one line per decision."""

    format: Literal["text", "json"] = "text"
    """"text" is key=value; "json" one object per line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Leave out what is less important than this; decisions are "info"."""


class Metrics(Section):
    """Figures for Prometheus, with /healthz and /readyz."""

    listen: SocketAddress | Literal[""] = ""
    """Where to serve them, for example "unix:/run/vaglio/{daemon}-metrics.sock", where {daemon} becomes the daemon's
    name, or "inet:127.0.0.1:9187": that is greylist's, and dnsbl has the next port, each daemon in the order of this
    file. "" switches them off."""

    def listen_of(self, place: int, name: str) -> str:
        """Return the socket of the daemon ``name``, the ``place``-th (from 0) of all; "" where there is none."""
        if not self.listen.startswith("inet:") or self.listen.endswith(":0"):
            return self.listen.replace("{daemon}", name)
        host, _, port = self.listen.rpartition(":")
        return f"{host}:{int(port) + place}"


class Journal(Section):
    """Each decision that is not a plain pass, kept for "vaglio why"."""

    enabled: bool = True
    """false keeps none; replies then carry no reference."""
    keep: Annotated[Duration, Field(ge=3600)] = 30 * 86400
    """Decisions older than this are forgotten."""
    max_size: Annotated[Size, Field(ge=1000**2)] = 200 * 1000**2
    """The oldest are forgotten earlier when the file grows beyond this."""


class Alert(Section):
    """Word to the admin when a daemon can't do its work, or an account is beyond its limits: by mail, by webhook, or by
    both; at most once an hour for each subject."""

    mail: Mailbox = ""
    """Who gets mail; "" sends none."""
    smtp: Annotated[str, BeforeValidator(parse_host_port)] = "127.0.0.1:25"
    """The mail server that takes it: host:port."""
    sendmail: Annotated[
        str, Field(pattern=r"^(/[!-~]+)?$", description='the path of a command such as "/usr/sbin/sendmail", or ""')
    ] = ""
    """A sendmail command that takes the mail in place of alert.smtp, for example "/usr/sbin/sendmail". Postfix's needs
    the rights of a setgid program, which a unit with NoNewPrivileges, such as ours, can't have: prefer alert.smtp."""
    sender: Mailbox = ""
    """Sender address; "" is vaglio@ and the hostname."""
    webhook: Annotated[
        str,
        Field(
            pattern=r'^(https?://([!"$-.0->A-~]+@)?([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?([/?][!"$-?A-~]*)?)?$',
            description='a URL such as "https://chat.example.org/hooks/1" (a "@" or "#" within is %40, %23), or ""',
            repr=False,  # it may hold a token
        ),
    ] = ""
    """URL that gets each alarm by POST, as JSON with "host", "subject", "text" and "details". A login may stand in it:
    "https://user:password@host/path". It is shown nowhere; "" posts nothing."""


class VaglioConfig(Section):
    """All settings of all daemons. A duration is written "90s", "5m", "1h30m" or "35d", a size "200 MB"."""

    def daemons(self) -> list[tuple[str, DaemonSection]]:
        """Return the sections of the daemons by their dotted names, in their order."""
        return list(_daemons(self, ""))

    def metrics_of(self, daemon: str) -> str:
        """Return where a daemon serves its metrics; "" where it does not."""
        before = [name for name, _ in self.daemons()]
        return self.metrics.listen_of(before.index(daemon) if daemon in before else 0, daemon)

    identity: Identity = empty_table()
    state: State = empty_table()
    dns: Dns = empty_table()
    log: Log = empty_table()
    metrics: Metrics = empty_table()
    journal: Journal = empty_table()
    alert: Alert = empty_table()
    greylist: GreylistSettings = empty_table()
    dnsbl: DnsblSettings = empty_table()
    ratelimit: RatelimitSettings = empty_table()
    spf: SpfSettings = empty_table()
    dkim: DkimSettings = empty_table()
    score: ScoreSettings = empty_table()
    tag: TagSettings = empty_table()
    chain: Annotated[dict[ChainName, ChainSettings], BeforeValidator(with_ready_chains)] = Field(
        default_factory=dict, validate_default=True
    )
    """Chains of checks, by name."""


def _daemons(sections: Iterable[tuple[str, Any]], prefix: str) -> Iterator[tuple[str, DaemonSection]]:
    for name, section in sections:
        if isinstance(section, DaemonSection):
            yield prefix + name, section
        elif isinstance(section, Section):
            yield from _daemons(section, f"{prefix}{name}.")
        elif isinstance(section, dict):
            yield from _daemons(section.items(), f"{prefix}{name}.")
