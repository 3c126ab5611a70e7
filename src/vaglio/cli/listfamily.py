"""The two families of lists that an admin looks at by the same commands: those of [dnsbl] and those of [score.links].

Also says in words what a list is asked about and what it weighs. Asks nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, get_args

from vaglio.blocklists.catalogue import Catalogue
from vaglio.blocklists.settings import DnsListSettings
from vaglio.checks.dnsbl import catalogue
from vaglio.checks.dnsbl.privatelists import PrivateLists
from vaglio.checks.dnsbl.settings import DnsblSettings, ListSettings
from vaglio.checks.dnsbl.settings import Subject as ClientSubject
from vaglio.checks.dnsbl.sweep import SCHEMA as DNSBL_SCHEMA
from vaglio.checks.score import linkcatalogue
from vaglio.checks.score.links import SCHEMA as LINKS_SCHEMA
from vaglio.checks.score.settings import LinksSettings
from vaglio.checks.score.settings import Subject as LinkSubject
from vaglio.cli.common import warn
from vaglio.config.model import VaglioConfig
from vaglio.ports import Schema

_OF_ADDRESSES = ("client", "address")


class Family(NamedTuple):
    """The lists of one section. ``command`` begins all commands about them, ``watcher`` is who probes them;
    ``defaults`` makes the section as it is without a configuration; ``example`` names two lists; ``entries`` counts
    those of private files, by list.
    """

    command: str
    section: str
    watcher: str
    catalogue: Catalogue[Any]
    settings: Callable[[VaglioConfig], Any]
    defaults: Callable[[], Any]
    subjects: Sequence[str]
    schema: Schema
    example: str
    entries: Callable[[Iterable[Any]], Mapping[str, int]]


def _entries(lists: Iterable[ListSettings]) -> Mapping[str, int]:
    files = PrivateLists([one for one in lists if one.file], warn).read()
    return {one.name: len(zone) for one, zone in files.current()}


DNSBL = Family(
    "vaglio dnsbl", "dnsbl", "vaglio-dnsbl", catalogue.CATALOGUE, lambda config: config.dnsbl, DnsblSettings,
    get_args(ClientSubject), DNSBL_SCHEMA, "spamhaus-zen barracuda", _entries,
)  # fmt: skip
LINKS = Family(
    "vaglio links", "score.links", "vaglio-score, or a chain with it,", linkcatalogue.CATALOGUE,
    lambda config: config.score.links, LinksSettings, get_args(LinkSubject), LINKS_SCHEMA,
    "surbl spamhaus-dbl", lambda _: {},
)  # fmt: skip


def state_of(one: DnsListSettings) -> str:
    """Return ``on``, ``shadow`` or ``off``."""
    return "off" if not one.enabled else "shadow" if one.shadow else "on"


def weighs(one: DnsListSettings) -> str:
    """Return what a hit weighs: ``2.5``, or ``1 to 3`` where that depends on the code."""
    weights = sorted(one.codes.values() or [one.weight], key=abs)
    low, high = weights[0], weights[-1]
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def file_of(one: DnsListSettings) -> str:
    """Return the file of a private list, "" for one in the DNS."""
    return one.file if isinstance(one, ListSettings) else ""


def asked_about(one: DnsListSettings) -> str:
    """Return what it is asked about: ``client (IPv4)``, ``client_name, helo, sender``."""
    has = (("IPv4", one.ipv4), ("IPv6", one.ipv6))
    families = " and ".join(name for name, takes in has if takes or file_of(one))
    known = dict.fromkeys((*get_args(ClientSubject), *get_args(LinkSubject)))
    return ", ".join(
        f"{subject} ({families})" if subject in _OF_ADDRESSES else subject
        for subject in known
        if subject in one.asked_about
    )
