"""Is a name server fit for a mail server? Asks it questions whose answers are known, and says in plain words what is
wrong and whose move it is.

The names asked for are such that everybody may ask for: the top level ``org`` (signed), a name that is kept broken for
this purpose, the test entry that RFC 5782 prescribes for blocklists, and a random name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
from typing import NamedTuple

from vaglio.dns.resolver import NetworkResolver
from vaglio.dns.servers import Address
from vaglio.dns.transport import Counts, Server
from vaglio.dns.wire import question
from vaglio.ports import Answer, Outcome

SIGNED = "org"
BROKEN = "dnssec-failed.org"
"""Its signatures are wrong on purpose: who checks them answers SERVFAIL."""
TEST_ENTRY = "2.0.0.127.zen.spamhaus.org"
_REFUSED = "127.255.255."
_SLOW = 0.5

UNBOUND = 'Install a resolver of your own (apt install unbound) and set servers = ["127.0.0.1"] in [dns]'

PUBLIC = {
    address: operator
    for operator, addresses in {
        "Cloudflare": "1.1.1.1 1.0.0.1 1.1.1.2 1.0.0.2 1.1.1.3 1.0.0.3 2606:4700:4700::1111 2606:4700:4700::1001",
        "Google": "8.8.8.8 8.8.4.4 2001:4860:4860::8888 2001:4860:4860::8844",
        "Quad9": "9.9.9.9 9.9.9.10 9.9.9.11 149.112.112.112 149.112.112.10 149.112.112.11 2620:fe::fe 2620:fe::9",
        "OpenDNS": "208.67.222.222 208.67.220.220 2620:119:35::35 2620:119:53::53",
        "Level 3": "4.2.2.1 4.2.2.2 4.2.2.3 4.2.2.4",
        "AdGuard": "94.140.14.14 94.140.15.15 2a10:50c0::ad1:ff 2a10:50c0::ad2:ff",
        "CleanBrowsing": "185.228.168.9 185.228.169.9",
        "Verisign": "64.6.64.6 64.6.65.6",
        "Yandex": "77.88.8.8 77.88.8.1",
        "DNS4EU": "86.54.11.1 86.54.11.100 86.54.11.200",
    }.items()
    for address in addresses.split()
}
"""Resolvers that serve everybody: blocklists refuse them, since they can't tell who asks."""


class Finding(NamedTuple):
    """What one check found. ``text`` says what is wrong and what to do about it."""

    server: str
    check: str
    ok: bool
    text: str


async def examine(address: Address, patience: float) -> list[Finding]:
    """Ask one server; takes twice ``patience`` seconds at most. Of a mute one only ``answers`` and ``place``."""
    resolver = NetworkResolver([address], patience)
    try:
        loop = asyncio.get_running_loop()
        began = loop.time()
        first = await resolver.lookup(SIGNED, "SOA")
        findings = [answers(first, loop.time() - began), place(address.host)]
        if first.outcome is Outcome.OK:
            broken, listed, missing, large, tcp = await asyncio.gather(
                resolver.lookup(BROKEN, "A"),
                resolver.lookup(TEST_ENTRY, "A"),
                resolver.lookup(f"vaglio-{secrets.token_hex(10)}.org", "A"),
                resolver.lookup(SIGNED, "DNSKEY"),
                _speaks_tcp(address, patience),
            )
            findings += [dnssec(first, broken), blocklists(listed), honest(missing), sizes(large, tcp)]
    finally:
        resolver.close()
    return [Finding(str(address), *finding) for finding in findings]


async def _speaks_tcp(address: Address, patience: float) -> bool:
    server = Server(address, Counts(), asyncio.get_running_loop().time)
    try:
        async with asyncio.timeout(patience):
            return bool(await server.ask_over_tcp(question(SIGNED, "SOA") or b""))
    except (OSError, EOFError, TimeoutError):
        return False


# --- what the answers mean --------------------------------------------------------------------------------------

Judgement = tuple[str, bool, str]

_WHY = {
    "timeout": "it says nothing: is it running, and does a firewall let UDP and TCP port 53 through?",
    "network": "nothing listens there: is it running?",
    "refused": "it refuses to serve this host: allow this host's address in its configuration "
    "(unbound: access-control)",
    "servfail": "it can't reach the DNS: is its own way to the net open, and is this host's clock right?",
}


def answers(answer: Answer, seconds: float) -> Judgement:
    """Judge the first answer and the time it took."""
    if answer.outcome is not Outcome.OK:
        why = _WHY.get(answer.why, f'it knows no "{SIGNED}": is it a resolver, or a server for its own zones only?')
        return "answers", False, f"Does not answer: {why}"
    text = f"Answers, the first time in {seconds * 1000:.0f} ms."
    if seconds > _SLOW:
        text += " That is slow: blocklists ask several names per mail. One on this host would have it at hand."
    return "answers", True, text


def place(host: str) -> Judgement:
    """Judge where the server stands."""
    address = ipaddress.ip_address(host)
    if host in PUBLIC:
        return "place", False, (
            f"This is the public resolver of {PUBLIC[host]}: blocklists refuse to answer it. {UNBOUND}."
        )  # fmt: skip
    if host == "127.0.0.53":
        return "place", True, (
            "On this host, but systemd-resolved only hands questions on to other servers (resolvectl status lists "
            "them): what is found here is true of those."
        )  # fmt: skip
    if address.is_loopback:
        return "place", True, "On this host: nobody can forge its answers on the way."
    if not address.is_global:
        return "place", True, "In your own network: trust it as far as you trust that network."
    return "place", False, (
        "Far away: whoever sits on the way can forge its answers, and with other users it shares the "
        f"limits that blocklists set. {UNBOUND}."
    )  # fmt: skip


def dnssec(signed: Answer, broken: Answer) -> Judgement:
    """Judge whether signatures are checked, by a name whose signature is right and one whose is wrong."""
    if broken.outcome is not Outcome.TEMPERROR:
        claim = " though it says so (it repeats the AD bit of the question)" if signed.authentic else ""
        return "dnssec", False, (
            f"Does not check signatures (DNSSEC){claim}: a forged answer for a signed domain would be believed. Switch "
            f"it on (unbound: auto-trust-anchor-file). Or: {UNBOUND}."
        )  # fmt: skip
    if not signed.authentic:
        return "dnssec", False, (
            f'Does not vouch for signed names: no AD bit for "{SIGNED}". '
            "Something between drops it, or it does not check: ask a resolver that checks, directly. "
            f"{UNBOUND}."
        )  # fmt: skip
    if broken.why != "servfail":
        return "dnssec", True, f"Vouches for signed names; {BROKEN}, which must fail, got no answer ({broken.why})."
    return "dnssec", True, "Checks signatures (DNSSEC): forged answers for signed domains are refused."


_CODES = {
    "127.255.255.252": "the name was not understood: something changes names on the way",
    "127.255.255.254": "it is taken for a public or open resolver",
    "127.255.255.255": "too many questions came from it",
}


def blocklists(answer: Answer) -> Judgement:
    """Judge the answer for the entry that every blocklist has for tests."""
    code = next((value for value in answer.values if value.startswith(_REFUSED)), "")
    if code:
        return "blocklists", False, (
            f"Spamhaus refuses its questions ({code}: {_CODES.get(code, 'see spamhaus.org/returnc')}): blocklists "
            f"would find nothing, or everybody. {UNBOUND}; it must ask the root servers itself, not a forwarder."
        )  # fmt: skip
    if answer.outcome is Outcome.OK and all(value.startswith("127.0.0.") for value in answer.values):
        return "blocklists", True, "Spamhaus answers it: blocklists can be used."
    if answer.outcome is Outcome.TEMPERROR:
        return "blocklists", False, (
            f"Got no answer from Spamhaus ({answer.why}): try again; if it stays so, its address may be blocked "
            f"there. {UNBOUND}."
        )  # fmt: skip
    found = ", ".join(answer.values[:3]) or answer.outcome.value
    return "blocklists", False, (
        f"Does not give Spamhaus' own answer for its test entry, but {found}: something filters or rewrites answers. "
        f"{UNBOUND}."
    )  # fmt: skip


def honest(answer: Answer) -> Judgement:
    """Judge the answer for a name that there isn't."""
    if answer.outcome is Outcome.NXDOMAIN:
        return "honest", True, "Says so when a name does not exist."
    if answer.outcome is Outcome.TEMPERROR:
        return "honest", False, f"Got no answer for a name that does not exist ({answer.why}): try again."
    found = ", ".join(answer.values[:3]) or "an empty answer"
    return "honest", False, (
        f"Gives {found} for a name that does not exist: every domain would seem to exist, and blocklists to list "
        f"everybody. Have its operator switch that off. Or: {UNBOUND}."
    )  # fmt: skip


def sizes(large: Answer, tcp: bool) -> Judgement:
    """Judge whether answers come through that don't fit into 512 bytes, and TCP."""
    if large.outcome is not Outcome.OK:
        return "sizes", False, (
            f"Does not carry large answers ({large.why or large.outcome.value}): DKIM keys and SPF records would get "
            "lost. Let a firewall on the way pass UDP answers of 1,232 bytes (EDNS) and TCP port 53."
        )  # fmt: skip
    if not tcp:
        return "sizes", False, (
            "Does not answer over TCP: what does not fit into a datagram would get lost. Let TCP port 53 through, or "
            "switch it on (unbound: do-tcp)."
        )  # fmt: skip
    return "sizes", True, "Carries large answers, over TCP too."
