"""Greylisting as plain functions: who is asked to come back, and what is remembered of it.

``screen`` says who is not asked at all, from the facts alone; ``decide`` judges the others by what the store
remembers. No I/O, no clock (``now`` is Unix seconds, whole), no texts.

The word *triplet* is Harris's (The Next Step in the Spam Control War: Greylisting, 2003): client network, sender,
recipient. The network part here is the *pool* (see ``pool.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from vaglio.checks.greylist.pool import Pool, fold_recipient, fold_sender, network_of, pool_of
from vaglio.checks.greylist.settings import GreylistSettings, Rule
from vaglio.facts import Facts, Stage, Standing
from vaglio.lists import AddressList, ClientList, NetworkSet
from vaglio.names import name_state
from vaglio.ports import Schema, Table
from vaglio.verdict import Fact

COUNTED_EVERY = 3600
"""A pool's deliveries count once in this many seconds: a burst is no proof of good conduct."""

REFRESH_EVERY = 3600
"""Seen again within this many seconds of the last time (or a tenth of the lifetime), a record is not written anew."""

PENALTY_LIMIT = 4
"""Early retries can make the delay grow to this many times its value, no more: nobody is locked out."""

HABITS = 15
"""Times to first retry that are kept of each pool; their median is its habit."""


class Reason(StrEnum):
    """Why: metric label, log key, journal key."""

    WRONG_STAGE = "wrong-stage"
    INCOMPLETE = "incomplete"
    AUTHENTICATED = "authenticated"
    CERTIFICATE = "certificate"
    LOCAL = "local-network"
    CLIENT_LISTED = "client-whitelisted"
    SENDER_LISTED = "sender-whitelisted"
    RECIPIENT_LISTED = "recipient-whitelisted"
    NULL_SENDER = "null-sender"
    TRUSTED = "allow-listed"
    NOT_LISTED = "not-blocklisted"
    RULE = "exempt-by-rule"
    AUTO_POOL = "auto-whitelisted"
    AUTO_DOMAIN = "auto-whitelisted-domain"
    KNOWN = "known"
    RETRIED = "retried"
    FIRST = "first-contact"
    EARLY = "early-retry"
    TOO_MANY = "too-many-pending"


DEFERRED = frozenset({Reason.FIRST, Reason.EARLY, Reason.TOO_MANY})


class Triplet(NamedTuple):
    """A pool, a sender and a recipient; all times in Unix seconds."""

    first: int = 0
    last: int = 0
    passed: int = 0
    """When it was let in first; 0: never yet."""
    attempts: int = 0
    """Contacts until it was let in."""
    pool: str = ""
    sender: str = ""
    recipient: str = ""


class PoolRecord(NamedTuple):
    """What is remembered of a pool, or of one sender domain from a pool. A first contact alone makes none: most come
    from places that are never seen again.
    """

    name: str = ""
    last: int = 0
    delivered: int = 0
    """Deliveries, at most one in COUNTED_EVERY seconds; also the length of its good record."""
    counted: int = 0
    """When the last of them was counted."""
    retried: int = 0
    """Triplets that came back and were let in."""
    lost: int = 0
    """Triplets that never came back within the retry window."""
    early: int = 0
    habits: str = ""
    """The latest times to first retry in seconds, such as ``312,305``."""


class Day(NamedTuple):
    """What happened on one day (UTC), for reports."""

    day: int = 0
    """Days since 1970-01-01."""
    contacts: int = 0
    early: int = 0
    retried: int = 0
    waited: int = 0
    """Seconds between first contact and being let in, summed over ``retried``."""
    lost: int = 0
    crowded: int = 0
    """First contacts that were not stored, since their pool had too many pending."""
    rehearsed: int = 0
    """First contacts that were let through at once, since it was a rehearsal; they count in ``contacts`` too."""


TRIPLETS = Table("triplets", Triplet)
POOLS = Table("pools", PoolRecord)
DAYS = Table("days", Day)
SCHEMA = Schema("greylist", (TRIPLETS, POOLS, DAYS))


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule of the settings with its lists read."""

    rule: Rule
    clients: ClientList | None
    senders: AddressList | None
    recipients: AddressList | None
    number: int


@dataclass(frozen=True, slots=True)
class Lists:
    """Who is not asked: networks and rules of the settings, and the lists of the moment."""

    local: NetworkSet
    rules: tuple[CompiledRule, ...]
    clients: ClientList
    senders: AddressList
    recipients: AddressList


class Exempt(NamedTuple):
    """Not greylisted, and by which setting or list entry."""

    reason: Reason
    by: str


class Case(NamedTuple):
    """To be judged by what is remembered. ``delay`` in seconds, ``by`` the setting that gives it."""

    pool: Pool
    sender: str
    recipient: str
    delay: int
    by: str
    network: str
    """Name of the client's network: what is remembered under it serves where the pool has nothing (a name that
    could not be verified at the first contact, or records of a greylister that knows no names)."""


class Decision(NamedTuple):
    """The judgement, and what is to be remembered; None leaves a record as it is.

    ``lost`` is 1 where a triplet that was never retried is replaced by a new one.

    ``left`` is the seconds until a retry is let in (0 when passed), ``waited`` the seconds that one who came back
    had waited since the first contact.
    """

    reason: Reason
    triplet: Triplet | None = None
    pool: PoolRecord | None = None
    domain: PoolRecord | None = None
    left: int = 0
    waited: int = 0
    attempts: int = 1
    lost: int = 0


def screen(facts: Facts, settings: GreylistSettings, lists: Lists) -> Exempt | Case:
    """Say who passes unasked; for the rest, which triplet it is and how long its delay."""
    return (
        _by_stage(facts, settings)
        or _by_login(facts)
        or _by_lists(facts, settings, lists)
        or _by_rules(facts, settings, lists)
    )


def _by_stage(facts: Facts, settings: GreylistSettings) -> Exempt | None:
    stage, sender = facts.session.stage, facts.envelope.sender
    if stage is not Stage.RCPT and not (stage is Stage.DATA and not sender and settings.null_sender == "data"):
        return Exempt(Reason.WRONG_STAGE, "protocol_state")
    # At DATA Postfix names the recipient only when there is just one (SMTPD_POLICY_README).
    if not sender and (settings.null_sender == "never" or (settings.null_sender == "data") != (stage is Stage.DATA)):
        return Exempt(Reason.NULL_SENDER, "greylist.null_sender")
    if facts.session.missing or not facts.client.packed or not facts.envelope.recipient:
        return Exempt(Reason.INCOMPLETE, ", ".join(facts.session.missing) or "empty client_address or recipient")
    return None


def _by_login(facts: Facts) -> Exempt | None:
    if facts.session.sasl_username:
        return Exempt(Reason.AUTHENTICATED, "sasl_username")
    if facts.session.certificate:
        return Exempt(Reason.CERTIFICATE, "ccert_subject")
    return None


def _by_lists(facts: Facts, settings: GreylistSettings, lists: Lists) -> Exempt | None:
    if facts.client.packed in lists.local:
        return Exempt(Reason.LOCAL, "greylist.trusted_networks")
    if entry := lists.clients.matches(facts.client):
        return Exempt(Reason.CLIENT_LISTED, f"{entry} at {lists.clients.where(entry)}")
    if entry := lists.recipients.matches(facts.envelope.recipient):
        return Exempt(Reason.RECIPIENT_LISTED, f"{entry} at {lists.recipients.where(entry)}")
    if entry := lists.senders.matches(facts.envelope.sender):
        return Exempt(Reason.SENDER_LISTED, f"{entry} at {lists.senders.where(entry)}")
    if settings.pass_trusted and facts.client.standing is Standing.TRUSTED:
        return Exempt(Reason.TRUSTED, "greylist.pass_trusted")
    if settings.scope == "listed" and facts.client.standing is not Standing.LISTED:
        return Exempt(Reason.NOT_LISTED, "greylist.scope")
    return None


def _by_rules(facts: Facts, settings: GreylistSettings, lists: Lists) -> Exempt | Case:
    delay, by = settings.delay, "greylist.delay"
    for compiled in lists.rules:
        if _applies(compiled, facts, settings):
            by = f"greylist.rule[{compiled.number}]"
            if not compiled.rule.greylist:
                return Exempt(Reason.RULE, by)
            if compiled.rule.delay is not None:
                delay = compiled.rule.delay
            break
    pool, packed = pool_of(facts.client, settings), facts.client.packed
    network = pool.name if pool.kind == "network" else network_of(packed, settings.ipv4_prefix, settings.ipv6_prefix)
    sender, recipient = fold_sender(facts.envelope.sender), fold_recipient(facts.envelope.recipient)
    return Case(pool, sender, recipient, delay, by, network)


def _applies(compiled: CompiledRule, facts: Facts, settings: GreylistSettings) -> bool:
    wanted = compiled.rule.reverse_dns
    return (
        (compiled.clients is None or bool(compiled.clients.matches(facts.client)))
        and (compiled.senders is None or bool(compiled.senders.matches(facts.envelope.sender)))
        and (compiled.recipients is None or bool(compiled.recipients.matches(facts.envelope.recipient)))
        and (wanted == "any" or name_state(facts.client, settings.generic_words) == wanted)
    )


def decide(
    case: Case,
    pool: PoolRecord | None,
    domain: PoolRecord | None,
    triplet: Triplet | None,
    pending: int,
    now: int,
    settings: GreylistSettings,
) -> Decision:
    """Judge ``case`` by the records at hand (None where there is none) and its pool's number of pending triplets.

    ``domain`` is the record of the sender's domain from this pool; it plays a part only where
    ``auto_whitelist_domain`` is set.
    """
    if good := by_good_record(case, pool, domain, now, settings):
        return good
    pool = pool or PoolRecord(name=case.pool.name)
    if settings.auto_whitelist_domain:
        domain = domain or PoolRecord(name=domain_name(case))
    if triplet is None or expired(triplet, now, settings):
        if settings.max_pending and pending >= settings.max_pending:
            return Decision(Reason.TOO_MANY, left=case.delay)
        return _first_contact(case, pool, triplet, now)
    if triplet.pool != case.pool.name:  # it was found under another name, or stands in the store as hashes
        triplet = triplet._replace(pool=case.pool.name, sender=case.sender, recipient=case.recipient)
    if triplet.passed:
        return _known(pool, domain, triplet, now, settings)
    if triplet.first > now:  # the clock was set back: begin anew, so that the wait is never longer than the delay
        triplet = triplet._replace(first=now, last=now)
    return _retry(case, pool, domain, triplet, now, settings)


def by_good_record(
    case: Case, pool: PoolRecord | None, domain: PoolRecord | None, now: int, settings: GreylistSettings
) -> Decision | None:
    """Let pass who has delivered often enough, whatever the triplet; None for everybody else."""
    if pool and settings.auto_whitelist and pool.delivered >= settings.auto_whitelist:
        return Decision(Reason.AUTO_POOL, pool=_seen(pool._replace(name=case.pool.name), now, settings))
    if domain and settings.auto_whitelist_domain and domain.delivered >= settings.auto_whitelist_domain:
        return Decision(Reason.AUTO_DOMAIN, domain=_seen(domain._replace(name=domain_name(case)), now, settings))
    return None


def by_network(network: PoolRecord | None, settings: GreylistSettings) -> Decision | None:
    """Let pass a client whose pool has no record, by the good record of its network. Nothing is written: the network's
    merit must not become that of a domain, which may send from anywhere.
    """
    if network and settings.auto_whitelist and network.delivered >= settings.auto_whitelist:
        return Decision(Reason.AUTO_POOL)
    return None


def _first_contact(case: Case, pool: PoolRecord, stale: Triplet | None, now: int) -> Decision:
    lost = stale is not None and not stale.passed  # its sender never came back for it; that count is closed
    return Decision(
        Reason.FIRST,
        triplet=Triplet(now, now, 0, 1, pool.name, case.sender, case.recipient),
        pool=pool._replace(last=now, lost=pool.lost + 1) if lost else None,
        left=case.delay,
        lost=int(lost),
    )


def _retry(
    case: Case, pool: PoolRecord, domain: PoolRecord | None, triplet: Triplet, now: int, settings: GreylistSettings
) -> Decision:
    waited = now - triplet.first
    if triplet.attempts == 1:
        pool = pool._replace(habits=_with_habit(pool.habits, waited))
    left = _delay(case, triplet.attempts, settings) - waited
    attempts = triplet.attempts + 1
    if left > 0:
        penalised = _delay(case, attempts, settings) - waited
        return Decision(
            Reason.EARLY,
            triplet=triplet._replace(last=now, attempts=attempts),
            pool=pool._replace(last=now, early=pool.early + 1),
            left=penalised,
            waited=waited,
            attempts=attempts,
        )
    pool = pool._replace(retried=pool.retried + 1)
    return Decision(
        Reason.RETRIED,
        triplet=triplet._replace(last=now, passed=now, attempts=attempts),
        pool=_delivered(pool, now),
        domain=_delivered(domain, now) if domain else None,
        waited=waited,
        attempts=attempts,
    )


def known_lately(triplet: Triplet, now: int, settings: GreylistSettings) -> Decision | None:
    """Pass who was let in before and was written down lately: that takes no write, and no look at the pool."""
    if not triplet.passed or expired(triplet, now, settings) or _stale(triplet.last, now, settings):
        return None
    return Decision(Reason.KNOWN, waited=triplet.passed - triplet.first, attempts=triplet.attempts)


def _known(
    pool: PoolRecord, domain: PoolRecord | None, triplet: Triplet, now: int, settings: GreylistSettings
) -> Decision:
    """Pass who was let in before; count the delivery to the pool's good record."""
    return Decision(
        Reason.KNOWN,
        triplet=triplet._replace(last=now) if _stale(triplet.last, now, settings) else None,
        pool=_delivered(pool, now) if _counts(pool, now) else None,
        domain=_delivered(domain, now) if domain and _counts(domain, now) else None,
        waited=triplet.passed - triplet.first,
        attempts=triplet.attempts,
    )


def _stale(last: int, now: int, settings: GreylistSettings) -> bool:
    """True when it is time to write down that something was seen again: well before it would be forgotten."""
    return now - last >= min(REFRESH_EVERY, settings.lifetime // 10)


_SETTINGS = {Reason.AUTO_POOL: "greylist.auto_whitelist", Reason.AUTO_DOMAIN: "greylist.auto_whitelist_domain"}
"""The setting that decides, where that is not the one that gives the delay."""


def basis(decision: Decision, case: Case) -> dict[str, Fact]:
    """Return what a decision rests on, for the journal and for explanations."""
    return {
        "pool": case.pool.name,
        "pool_kind": case.pool.kind,
        "delay": case.delay,
        "by": _SETTINGS.get(decision.reason, case.by),
        "left": decision.left,
        "waited": decision.waited,
        "attempts": decision.attempts,
    }


def domain_name(case: Case) -> str:
    """Return the name of the record of one sender domain from one pool."""
    return f"{case.pool.name} @{case.sender.rpartition('@')[2]}"


def expired(triplet: Triplet, now: int, settings: GreylistSettings) -> bool:
    """True when the triplet is to be forgotten: not retried in the window, or not seen for its lifetime."""
    if triplet.passed:
        return now - triplet.last > settings.lifetime
    return now - triplet.first > settings.retry_window


def forgettable(pool: PoolRecord, now: int, settings: GreylistSettings) -> bool:
    """True when nothing keeps a pool's record any more."""
    return now - pool.last > settings.lifetime


def median_habit(pool: PoolRecord) -> int | None:
    """Return the pool's median time to first retry in seconds; None when it never came back."""
    times = sorted(int(time) for time in pool.habits.split(",") if time)
    return times[len(times) // 2] if times else None


def _delay(case: Case, attempts: int, settings: GreylistSettings) -> int:
    """Return the delay after so many contacts; a penalty leaves half of the retry window for coming back."""
    most = max(case.delay, min(case.delay * PENALTY_LIMIT, settings.retry_window // 2))
    return min(case.delay + settings.early_retry_penalty * (attempts - 1), most)


def _with_habit(habits: str, seconds: int) -> str:
    return ",".join([*habits.split(","), str(seconds)][-HABITS:]).lstrip(",")


def _seen(record: PoolRecord, now: int, settings: GreylistSettings) -> PoolRecord | None:
    return record._replace(last=now) if _stale(record.last, now, settings) else None


def _counts(record: PoolRecord, now: int) -> bool:
    return not record.counted <= now < record.counted + COUNTED_EVERY  # a clock set back must not stop the count


def _delivered(record: PoolRecord, now: int) -> PoolRecord:
    if not _counts(record, now):
        return record._replace(last=now)
    return record._replace(last=now, delivered=record.delivered + 1, counted=now)
