"""What may speak for a client that failed: it is an MX of ours, a known forwarder, or DMARC will judge the message.

Looked up only for those that fail, so that nobody else waits for it. Bounded in questions and, by whoever calls, in
time; what can't be learned speaks for nobody, and a DMARC policy that can't be looked up has a name of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from vaglio.checks.spf.decide import dmarc_policy
from vaglio.checks.spf.domain import domain_of
from vaglio.checks.spf.evaluate import Limits, evaluate
from vaglio.checks.spf.outcome import Identity, Question, Result
from vaglio.eager import Rest, rest, start
from vaglio.examination import Field
from vaglio.facts import pack_address
from vaglio.mailboxes import mailboxes
from vaglio.names import registered_domain
from vaglio.ports import Outcome, Resolver

_DOMAINS = 3
"""Domains of recipients whose MX are looked up."""
_HOSTS = 10
UNKNOWN = "unknown"
"""In place of a DMARC policy: it can't be looked up."""

T = TypeVar("T")


async def within(work: Coroutine[Any, Any, T], seconds: float | None, default: T) -> T:
    """Return what ``work`` returns; ``default`` where that takes longer than so many seconds (None: as long as it may).
    """
    begun = start(work)
    if not isinstance(begun, Rest):
        return begun
    task = asyncio.get_running_loop().create_task(rest(begun))
    try:
        await asyncio.wait([task], timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
    return task.result() if task.done() and not task.cancelled() else default


async def backup_mx(address: str, recipients: Iterable[str], resolver: Resolver) -> str:
    """Return the MX of a recipient's domain that the client is; "" if it is none."""
    packed = pack_address(address)
    rrtype = "A" if len(packed) == 4 else "AAAA"
    domains = dict.fromkeys(domain_of(recipient.rpartition("@")[2])[0] for recipient in recipients)
    for domain in [domain for domain in domains if domain][:_DOMAINS]:
        servers = await resolver.lookup(domain, "MX")
        for server in servers.values[:_HOSTS]:
            host = server.partition(" ")[2]
            if host:
                addresses = await resolver.lookup(host, rrtype)
                if any(pack_address(one) == packed for one in addresses.values):
                    return host
    return ""


async def forwarder(
    address: str, domains: Sequence[str], resolver: Resolver, limits: Limits, receiver: str, now: float
) -> str:
    """Return the first of the forwarders' domains whose own record allows the client; "" if none does."""
    questions = [Question(Identity.MAIL_FROM, address, "postmaster", domain, domain) for domain in domains]
    found = await evaluate(questions, resolver, limits, receiver, now)
    return next((one.question.domain for one in found if one.result is Result.PASS), "")


def author_domain(headers: Iterable[Field]) -> str:
    """Return the domain of the address in From; "" where there is not exactly one."""
    values = [field.value for field in headers if field.name.lower() == b"from"]
    authors = mailboxes(values[0]) if len(values) == 1 else []
    return domain_of(authors[0].domain)[0] if len(authors) == 1 else ""


async def dmarc_of(domain: str, resolver: Resolver) -> str:
    """Return the DMARC policy that holds for a domain: its own, or its organization's (the registered domain's); "" for
    none, UNKNOWN where it can't be looked up.
    """
    names = dict.fromkeys(filter(None, (domain, registered_domain(domain))))
    for name in names:
        answer = await resolver.lookup(f"_dmarc.{name}", "TXT")
        if answer.outcome is Outcome.TEMPERROR:
            return UNKNOWN
        if policy := dmarc_policy(answer.values, is_parent=name != domain):
            return policy
    return ""
