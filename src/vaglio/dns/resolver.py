"""Look-ups over the network, by dnspython: absolute names, no search list, EDNS with 1232 bytes, one deadline.

No cache and one question at a time: this serves the admin's commands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.rdtypes.ANY.MX
import dns.rdtypes.ANY.TXT
import dns.resolver

from vaglio.facts import pack_address, unpack_address
from vaglio.ports import NODATA, NXDOMAIN, TEMPERROR, Answer, Outcome

_SERVER = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::(\d{1,5}))?|([0-9.]+):(\d{1,5})|([0-9A-Fa-f:.]+)", re.ASCII)


class Resolver:
    """A ``Lookup`` that asks DNS servers."""

    def __init__(self, servers: Sequence[str] = (), timeout: float = 5.0) -> None:
        """Ask ``servers`` (``192.0.2.53``, ``192.0.2.53:5353``, ``[2001:db8::53]:5353``), else the system's.

        ``timeout`` is the total time of a look-up in seconds. Raises ValueError for a server that is none, or if the
        system has none.
        """
        try:
            self._resolver = dns.resolver.Resolver(configure=not servers)
        except dns.resolver.NoResolverConfiguration as error:
            raise ValueError(f"no DNS servers: {error}") from None
        if servers:
            self._resolver.nameservers = [_nameserver(server) for server in servers]
        self._resolver.lifetime = timeout
        # RFC 9715: larger datagrams would be fragmented.
        self._resolver.use_edns(0, 0, 1232)

    def __call__(self, name: str, rrtype: str) -> Answer:
        """Return the answer; a name that can't exist (a label too long, an empty one) is NXDOMAIN."""
        try:
            absolute = dns.name.from_text(name.removesuffix(".") + ".")
        except (dns.exception.DNSException, UnicodeError):
            return NXDOMAIN
        try:
            found = self._resolver.resolve(absolute, rrtype, search=False, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return NXDOMAIN
        except dns.exception.DNSException:  # SERVFAIL, REFUSED, no answer in time, garbage
            return TEMPERROR
        if found.rrset is None:
            return NODATA
        return Answer(Outcome.OK, tuple(_text(record) for record in found.rrset))


def _nameserver(server: str) -> dns.nameserver.Nameserver:
    match = _SERVER.fullmatch(server)
    address = unpack_address(pack_address(match[1] or match[3] or match[5])) if match else ""
    port = int(match[2] or match[4] or 53) if match else 0
    if not address or not 0 < port < 65536:
        raise ValueError(f'DNS server {server!r}: wanted "192.0.2.53", "192.0.2.53:5353" or "[2001:db8::53]:5353"')
    return dns.nameserver.Do53Nameserver(address, port)


def _text(record: dns.rdata.Rdata) -> str:
    """Return a record's value as ``Answer`` has it."""
    if isinstance(record, dns.rdtypes.ANY.TXT.TXT):
        return b"".join(record.strings).decode("utf-8", "surrogateescape")
    if isinstance(record, dns.rdtypes.ANY.MX.MX):
        return f"{record.preference} {_host(record.exchange)}"
    target = getattr(record, "target", None)
    return _host(target) if isinstance(target, dns.name.Name) else record.to_text()


def _host(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()
