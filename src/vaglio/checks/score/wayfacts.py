"""Facts of the way: who handed the message in, Received fields, lists, reports, and results of authentication. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice

from vaglio.checks.score.hops import Hop, is_public
from vaglio.checks.score.known import OWN_HOSTS
from vaglio.checks.score.seen import Found, Seen, domain_in, first
from vaglio.facts import pack_address
from vaglio.names import GENERIC_WORDS, is_generic, registered_domain

HOUR = 3600.0
DAY = 24 * HOUR

# --- the way ---


def _client(seen: Seen) -> Found:
    edge = seen.edge
    if not seen.hops and seen.about.client.packed and is_public(seen.about.client.address):
        yield "no-received", ""
    if not edge.address:
        return
    if edge.nameless:
        yield "client-nameless", edge.address
    if edge.name and is_generic(edge.name, pack_address(edge.address), GENERIC_WORDS):
        yield "client-generic", edge.name
    yield from _greeting(seen, edge.helo.lower().rstrip("."))


def _greeting(seen: Seen, helo: str) -> Found:
    if not helo:
        return
    bare = helo.strip("[]")
    if pack_address(bare):
        yield "helo-address", helo
        return
    if "." not in helo:
        yield "helo-bare", helo
        return
    taker = seen.hops[seen.place].by if 0 <= seen.place < len(seen.hops) else seen.about.hostname.lower()
    domain = registered_domain(helo)
    name = registered_domain(seen.edge.name)
    if domain != name and (helo == taker or (domain and domain in seen.own)):
        yield "helo-ours", helo
    elif domain and name and domain != name:
        yield "helo-other", f"{helo} ({seen.edge.name})"


def _hops(seen: Seen) -> Found:
    ours = seen.about.hostname.lower()
    of_ours = seen.domain in seen.own or "list-id" in seen.reading.values  # what we sent may come back
    for place, hop in enumerate(seen.hops):
        if place < seen.place:
            continue
        if hop.address:
            yield from _host(hop)
        if hop.by and seen.place < 0 and hop.by == ours and not of_ours:
            yield "received-forged", hop.by


def _host(hop: Hop) -> Found:
    packed = pack_address(hop.address)
    if not packed or (len(packed) == 4 and (packed[0] in (0, 255) or packed[0] >= 240)):
        if ":" not in hop.address and hop.address.count(".") == 3:
            yield "received-forged", hop.address
        return
    if not is_public(hop.address):
        return
    domain = registered_domain(hop.helo.lower())
    homes = OWN_HOSTS.get(domain)
    if homes and (hop.name or hop.nameless) and registered_domain(hop.name) not in homes:
        yield "received-provider", f"{hop.helo} ({hop.name} [{hop.address}])"


def _order(seen: Seen) -> Found:
    """Each hop is later than those below it, but for clocks that are off."""
    later = None
    for hop, when in zip(seen.hops, seen.times, strict=False):
        if when is None:
            continue
        if later is not None and when > later + 6 * HOUR:
            yield "received-order", hop.when.strip()
            return
        later = when


# --- marks of lists, bounces ---

_BULK = frozenset({"bulk", "junk", "list"})
_WROTE = re.compile(r"\n[ \t]*+>[ \t]?\S")  # with ^ each place of the text would be tried


def _marks(seen: Seen) -> Found:
    values = seen.reading.values
    precedence = first(seen, "precedence").strip().lower()
    if ("list-id" in values and ("list-post" in values or "list-unsubscribe" in values)) or (
        "x-beenthere" in values or "x-mailman-version" in values or (precedence == "list" and "errors-to" in values)
    ):
        yield "list", first(seen, "list-id")
    if precedence in _BULK:
        yield "bulk", precedence
    if "list-unsubscribe" in values:
        yield "unsubscribe", ""
    if ("in-reply-to" in values or "references" in values) and _WROTE.search("\n" + seen.reading.text[:100_000]):
        yield "conversation", ""


_NAMED = re.compile(rb"^message-id:\s*<[^<>@\s]*@([^<>@\s]+)>|\sby\s+([A-Za-z0-9.-]+)", re.IGNORECASE | re.MULTILINE)
"""What a message from here names us by: its Message-ID, or the Received field of one of our hosts."""
_MAX_NAMED = 100


def _bounce(seen: Seen) -> Found:
    about = seen.about
    if about.client.packed and about.recipients and not about.envelope.sender:
        yield "null-sender", ""
    kind = first(seen, "content-type").lower()
    if not (kind.startswith("multipart/report") and "delivery-status" in kind):
        return
    yield "bounce", ""
    if not seen.reading.returned or not seen.own:
        return
    named = (found[1] or found[2] for found in islice(_NAMED.finditer(seen.reading.returned), _MAX_NAMED))
    hosts = {registered_domain(one.decode("ascii", "replace").rstrip(".;")) for one in named}
    if hosts.isdisjoint(seen.own):
        yield "bounce-foreign", ", ".join(sorted(hosts - {""}))


# --- authentication ---


def _authentication(seen: Seen) -> Found:
    for result in seen.about.results:
        yield f"{result.method}={result.result}", next((value for _, value in result.properties), "")
        if result.result == "pass" and result.method in ("spf", "dkim") and seen.domain:
            wanted = ("smtp.mailfrom",) if result.method == "spf" else ("header.d", "header.i")
            for key, value in result.properties:
                if key in wanted and registered_domain(domain_in(value)) == seen.domain:
                    yield f"{result.method}-aligned", value


LOOKS: tuple[Callable[[Seen], Found], ...] = (
    _client, _hops, _order, _marks, _bounce, _authentication,
)  # fmt: skip
