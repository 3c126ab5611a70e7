"""The networks from which a domain sends, by its SPF record (RFC 7208), or by its MX and address records.

For a whitelist, not for a verdict on a message: only what can be written down as networks is taken (ip4, ip6, a, mx,
include, redirect). What depends on the message (exists, ptr, macros) or lets everybody in (+all, very wide networks)
is reported and left out: a domain can't talk itself, and with it the world, into a whitelist.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal, Protocol

from vaglio.ports import Answer, Outcome

MAX_LOOKUPS = 10  # RFC 7208 4.6.4: of terms that cause look-ups
MAX_VOID = 2  # RFC 7208 4.6.4: of look-ups that find nothing
MAX_MX = 10  # RFC 7208 4.6.4: of hosts of one mx
WIDEST = {4: 8, 6: 32}
"""The shortest prefix that one network may have: a /8 is the largest that one company owns."""
WIDEST_SUM = {4: 6, 6: 26}
"""The prefix whose size all networks together may have: many wide networks are as bad as one."""



class Lookup(Protocol):
    """Asks for the records of a name, by type (``A``, ``AAAA``, ``MX``, ``TXT``)."""

    def __call__(self, name: str, rrtype: str) -> Answer:
        """Return the answer; never raises: what can't be learned is TEMPERROR."""


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_VOID = (Outcome.NODATA, Outcome.NXDOMAIN)


@dataclass(frozen=True, slots=True)
class Expansion:
    """Networks in normal form (``192.0.2.0/24``), joined and sorted, and what was left out, in plain words.

    ``basis`` is what they rest on: ``spf``, ``mx`` (no SPF record: MX and address records) or ``none``.
    """

    basis: Literal["spf", "mx", "none"]
    networks: tuple[str, ...]
    problems: tuple[str, ...]


def networks_of(domain: str, lookup: Lookup) -> Expansion:
    """Return the networks from which ``domain`` sends. Never raises."""
    expander = _Expander(lookup)
    domain = domain.strip().lower().removesuffix(".")
    basis: Literal["spf", "mx"] = "spf"
    try:
        if not _DOMAIN.fullmatch(domain):
            expander.report(domain, "not a domain name")
        elif not expander.expand(domain):
            basis = "mx"
            expander.expand_mx(domain)
    except _Stop as stop:
        expander.report(domain, str(stop))
    networks = (*expander.joined(4), *expander.joined(6))
    return Expansion(basis if networks else "none", networks, tuple(dict.fromkeys(expander.problems)))


_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*", re.ASCII)
# RFC 7208 4.6.1 and 5.6: qualifier, mechanism, domain or network, prefix lengths
_TERM = re.compile(r"([+?~-]?)([a-z0-9_.-]+)(?:([:=])([^/]*))?(?:/(\d{1,3}))?(?://(\d{1,3}))?", re.ASCII)


class _Stop(Exception):
    """A limit of RFC 7208 4.6.4 is reached: what was found so far stays."""


class _Expander:
    """One expansion: what is left of the limits, what was found."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._lookups = MAX_LOOKUPS
        self._voids = MAX_VOID
        self._found: list[_Network] = []
        self.problems: list[str] = []

    def report(self, where: str, what: str) -> None:
        """Note what was left out; both texts become printable and short."""
        self.problems.append(f"{ascii(where[:255])[1:-1]}: {what}")

    def expand(self, domain: str) -> bool:
        """Take the SPF record of a domain; return whether there is one (a failed look-up counts as one)."""
        answer = self._lookup(domain, "TXT")
        if answer.outcome is Outcome.TEMPERROR:
            self.report(domain, "its SPF record could not be looked up; try again later")
            return True
        records = [text for text in answer.values if text.lower() == "v=spf1" or text[:7].lower() == "v=spf1 "]
        if len(records) > 1:  # RFC 7208 4.5
            self.report(domain, "more than one SPF record")
        elif records:
            self._terms(domain, records[0].lower().split()[1:])
        return bool(records)

    def expand_mx(self, domain: str) -> None:
        """Take the MX hosts and addresses of a domain without an SPF record."""
        self._addresses(domain, None, None)
        self._exchanges(domain, None, None)

    def joined(self, version: int) -> list[str]:
        """Return the networks of one IP version; none if they are too many addresses together."""
        networks = [network for network in self._found if network.version == version]
        joined = list(ipaddress.collapse_addresses(networks))  # type: ignore[type-var]
        bits = 32 if version == 4 else 128
        if sum(network.num_addresses for network in joined) > 1 << (bits - WIDEST_SUM[version]):
            self.report(f"IPv{version}", f"all networks together are wider than a /{WIDEST_SUM[version]}: refused")
            return []
        return [str(network) for network in joined]

    def _terms(self, domain: str, terms: list[str]) -> None:
        redirect = ""
        for term in terms:
            match = _TERM.fullmatch(term)
            if match is not None and match[3] == "=":  # exp and unknown modifiers name no networks
                redirect = match[4] if match[2] == "redirect" else redirect
            elif match is None or "%" in term:
                self.report(domain, f'"{_shown(term)}": {"a macro, not followed" if "%" in term else "not understood"}')
            elif match[2] == "all":
                self._all(domain, match[1])
                return  # RFC 7208 5.1: what stands behind "all" is not looked at, 6.1: nor is redirect
            elif match[1] not in ("", "+"):
                self.report(domain, f'"{_shown(term)}": not a pass, left out')
            else:
                self._mechanism(domain, term, match)
        if redirect:
            self._count()
            self._included(domain, redirect)

    def _all(self, domain: str, qualifier: str) -> None:
        if qualifier in ("", "+", "?"):
            self.report(domain, f'"{qualifier}all": anybody may send for it; left out')

    def _mechanism(self, domain: str, term: str, match: re.Match[str]) -> None:
        name, colon, target = match[2], match[3], match[4]
        if name in ("ip4", "ip6") and colon:
            self._network(domain, term, int(name[2]))
        elif name in ("a", "mx", "include") and (target or (not colon and name != "include")):
            self._count()
            if name == "include":
                self._included(domain, target)
            else:
                take = self._addresses if name == "a" else self._exchanges
                take(target or domain, match[5], match[6])
        elif name in ("exists", "ptr"):
            self._count()
            self.report(domain, f'"{_shown(term)}": depends on the message, not followed')
        else:
            self.report(domain, f'"{_shown(term)}": not understood')

    def _included(self, domain: str, target: str) -> None:
        # A look-up that failed is reported by expand().
        if not _DOMAIN.fullmatch(target.removesuffix(".")) or not self.expand(target.removesuffix(".")):
            self.report(domain, f'"{_shown(target)}": has no SPF record to take in')

    def _network(self, domain: str, term: str, version: int) -> None:
        kind = ipaddress.IPv4Network if version == 4 else ipaddress.IPv6Network
        try:
            self._add(domain, kind(term.partition(":")[2], strict=False))
        except ValueError:
            self.report(domain, f'"{_shown(term)}": not an IPv{version} network')

    def _add(self, domain: str, network: _Network) -> None:
        if network.prefixlen < WIDEST[network.version]:
            self.report(domain, f"{network} is wider than a /{WIDEST[network.version]}: refused")
        else:
            self._found.append(network)

    def _addresses(self, name: str, length4: str | None, length6: str | None) -> None:
        """Take the addresses of a host, with the prefix lengths of ``a/24//64``."""
        four, six = self._lookup(name, "A"), self._lookup(name, "AAAA")
        self._judge(name, four, six)
        for answer, length, longest in ((four, length4, "32"), (six, length6, "128")):
            for address in answer.values:
                try:
                    self._add(name, ipaddress.ip_network(f"{address}/{length or longest}", strict=False))
                except ValueError:
                    self.report(name, f"{_shown(address)}/{length}: not a network")

    def _exchanges(self, name: str, length4: str | None, length6: str | None) -> None:
        answer = self._lookup(name, "MX")
        self._judge(name, answer)
        hosts = [host for value in answer.values if (host := value.partition(" ")[2])]  # RFC 7505: "0 ." is none
        if len(hosts) > MAX_MX:
            raise _Stop(f"{name} has more than {MAX_MX} MX hosts (RFC 7208 4.6.4)")
        for host in hosts:
            self._addresses(host, length4, length6)

    def _judge(self, name: str, *answers: Answer) -> None:
        """Report failures; count a void look-up once, however many address types were asked."""
        if any(answer.outcome is Outcome.TEMPERROR for answer in answers):
            self.report(name, "could not be looked up; try again later")
        elif all(answer.outcome in _VOID for answer in answers):
            self._voids -= 1
            if self._voids < 0:
                raise _Stop(f"more than {MAX_VOID} look-ups found nothing (RFC 7208 4.6.4)")

    def _count(self) -> None:
        self._lookups -= 1
        if self._lookups < 0:
            raise _Stop(f"more than {MAX_LOOKUPS} look-ups (RFC 7208 4.6.4)")


def _shown(text: str) -> str:
    return ascii(text[:80])[1:-1]
