"""Who is one and the same to greylisting: the pool a client belongs to, and the sender behind changing tags.

A retry often comes from another host of the same provider. If the client's name is verified and does not look like
that of a dial-up line, its registered domain (Public Suffix List, private suffixes included, so that the tenants of a
cloud are not one pool) stands for all of them; else its network does. Senders that carry a tag for each message
(VERP, BATV, SRS) are folded to what stays the same.

Pure: no I/O. All work is linear in bounded text.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vaglio.names import is_generic, registered_domain

if TYPE_CHECKING:
    from vaglio.checks.greylist.settings import GreylistSettings
    from vaglio.facts import Client


@dataclass(frozen=True, slots=True)
class Pool:
    """The network part of a triplet: ``caio.it``, ``198.51.100.0/24`` or ``198.51.100.7``."""

    kind: Literal["pool", "network", "address"]
    name: str


def _masks(bits: int) -> tuple[int, ...]:
    """Return the netmask for each prefix length."""
    return tuple((1 << bits) - (1 << (bits - length)) for length in range(bits + 1))


_MASKS4, _MASKS6 = _masks(32), _masks(128)


def pool_of(client: Client, settings: GreylistSettings) -> Pool:
    """Return the pool of a client by ``greylist.key``; one without a readable address stands for itself."""
    if settings.key == "pool" and client.name:
        domain = registered_domain(client.name)
        if domain and not is_generic(client.name, client.packed, settings.generic_words):
            return Pool("pool", domain)
    if settings.key == "address" or not client.packed:
        return Pool("address", client.address)
    return Pool("network", network_of(client.packed, settings.ipv4_prefix, settings.ipv6_prefix))


def network_of(packed: bytes, ipv4_prefix: int, ipv6_prefix: int) -> str:
    """Return the network of a 4- or 16-byte address as text: ``2001:db8:1:2::/64``."""
    if len(packed) == 4:
        masked = int.from_bytes(packed) & _MASKS4[ipv4_prefix]
        return f"{socket.inet_ntop(socket.AF_INET, masked.to_bytes(4))}/{ipv4_prefix}"
    masked = int.from_bytes(packed) & _MASKS6[ipv6_prefix]
    return f"{socket.inet_ntop(socket.AF_INET6, masked.to_bytes(16))}/{ipv6_prefix}"


# --- senders and recipients -------------------------------------------------------------------------------------

MAX_LOCAL = 256
"""Characters of a local part that count (RFC 5321 4.5.3.1.1 has 64)."""
MAX_DOMAIN = 255

# draft-levine-smtp-batv: a tag is a key digit, three digits of the day and six hex digits. It is also met at the wrong
# end; btv1 is Barracuda's form, msprvs1 SparkPost's.
_BATV = re.compile(
    r"prvs=[0-9]{4}[0-9a-f]{6}=(.+)|prvs=([^=/]+)[=/][0-9]{4}[0-9a-f]{6}"
    r"|(?:btv1==[0-9a-z]{1,20}=|msprvs1=[^=]{1,40})=(.+)",
    re.ASCII | re.DOTALL,
)
# SRS0=hash=timestamp=domain=user, SRS1=hash=forwarder==hash=timestamp=domain=user
_SRS = re.compile(r"srs(?:0|1[=+-][^=]*=([^=+]+)=)[=+-][^=]*=[^=]*=([^=+]+)=(.+)", re.ASCII | re.DOTALL)
_EMBEDDED = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2}[a-z0-9.-]*", re.ASCII)
_HEX = re.compile(r"[0-9a-f]+", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_TOKEN = re.compile(r"[a-z0-9]+", re.ASCII)
_CHAIN = re.compile(r"#(?:-[a-f#]{1,4})*-#", re.ASCII)  # what is left of a UUID


def fold_sender(address: str) -> str:
    """Return the form of a sender address that stays the same from message to message; "" is the null sender.

    Lower case; the domain without a dot at its end; BATV tags and extensions (``+...``) dropped; of SRS the domain and
    user it rewrote; an embedded recipient, numbers and random identifiers become ``#``. Folding twice changes
    nothing, and postgrey's own substitutions before it change nothing, so that its database can be imported.
    """
    local, at, domain = _split(address)
    return _fold_local(local) + at + domain


def fold_recipient(address: str) -> str:
    """Return a recipient address in lower case, its domain without a dot at its end. Extensions stay: they may be
    different mailboxes.
    """
    return "".join(_split(address))


def _split(address: str) -> tuple[str, str, str]:
    """Return local part, "@" and domain in lower case, of bounded length, and valid UTF-8: a store takes nothing else,
    and bytes that it refused would be a way around greylisting.
    """
    if not address.isascii():
        address = address.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    local, at, domain = address[: 8 * (MAX_LOCAL + MAX_DOMAIN)].lower().rpartition("@")
    if not at:
        return domain[:MAX_LOCAL], "", ""
    return local[:MAX_LOCAL], at, domain[:MAX_DOMAIN].rstrip(".")


def _fold_local(local: str) -> str:
    while match := _BATV.fullmatch(local):
        local = match[1] or match[2] or match[3]
    if match := _SRS.fullmatch(local):
        forwarder, domain, user = match.groups()
        return _fold_tokens("#".join(["srs", *filter(None, (forwarder, domain)), _stripped(user)]))
    return _fold_tokens(_stripped(local))


def _stripped(local: str) -> str:
    """Drop the extension; an embedded recipient (``list-caio=caio.it``) becomes "#"."""
    local = local.partition("+")[0]
    before, equals, domain = local.rpartition("=")
    if equals and _EMBEDDED.fullmatch(domain):
        return before[: before.rfind("-") + 1] + "#"
    return local


def _fold_tokens(text: str) -> str:
    return _CHAIN.sub("#", _TOKEN.sub(_fold_token, text))


def _fold_token(match: re.Match[str]) -> str:
    """Random-looking (8 or more hex digits, or digits and letters in turns) is "#" whole, else each number is."""
    token = match[0]
    runs = len(_DIGITS.findall(token))
    if runs and len(token) >= 8 and (runs >= 2 or _HEX.fullmatch(token)):
        return "#"
    return _DIGITS.sub("#", token) if runs else token
