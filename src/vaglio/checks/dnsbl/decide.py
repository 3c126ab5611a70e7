"""Blocklists as plain functions: what all that they say adds up to, and what that leads to.

No I/O, no clock, no texts. RFC 5321 4.5.1 for whom nobody may block; what a single answer says is read in
vaglio.blocklists.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from vaglio.blocklists.answers import PRIVATE, Trouble, octets_of, reversed_address
from vaglio.checks.dnsbl.settings import DnsblSettings
from vaglio.facts import Facts, Stage, Standing
from vaglio.lists import AddressList, NetworkSet
from vaglio.names import GENERIC_WORDS, name_state
from vaglio.verdict import Action, Fact


class Reason(StrEnum):
    """Why: metric label, log key, journal key."""

    WRONG_STAGE = "wrong-stage"
    INCOMPLETE = "incomplete"
    AUTHENTICATED = "authenticated"
    CERTIFICATE = "certificate"
    LOCAL = "local-network"
    RECIPIENT_EXEMPT = "exempt-recipient"
    CLEAN = "not-listed"
    SUSPICIOUS = "suspicious"
    TRUSTED = "allow-listed"
    LISTED = "listed"
    MANNERS = "bad-manners"


class Exempt(NamedTuple):
    """Nothing is asked about it, and by which setting."""

    reason: Reason
    by: str


@dataclass(frozen=True, slots=True)
class Exemptions:
    """Whom nobody asks about."""

    networks: NetworkSet
    recipients: AddressList

    @classmethod
    def of(cls, settings: DnsblSettings) -> Exemptions:
        """Read them from the settings."""
        networks = NetworkSet([*PRIVATE, *settings.trusted_networks])
        return cls(networks, AddressList.parse(settings.exempt_recipients, "dnsbl.exempt_recipients")[0])


_STAGES = frozenset({Stage.CONNECT, Stage.EHLO, Stage.HELO, Stage.MAIL, Stage.RCPT, Stage.DATA})


def screen(facts: Facts, exemptions: Exemptions) -> Exempt | None:
    """Say who passes unasked."""
    session = facts.session
    if session.stage not in _STAGES:
        return Exempt(Reason.WRONG_STAGE, "protocol_state")
    if session.sasl_username:
        return Exempt(Reason.AUTHENTICATED, "sasl_username")
    if session.certificate:
        return Exempt(Reason.CERTIFICATE, "ccert_subject")
    if not facts.client.packed:
        return Exempt(Reason.INCOMPLETE, "empty client_address")
    if facts.client.packed in exemptions.networks:
        return Exempt(Reason.LOCAL, "dnsbl.trusted_networks")
    if entry := exemptions.recipients.matches(facts.envelope.recipient) if facts.envelope.recipient else "":
        return Exempt(Reason.RECIPIENT_EXEMPT, f"{entry} of dnsbl.exempt_recipients")
    return None


class Hit(NamedTuple):
    """One thing that counts: a list's entry, or a rule of ``dnsbl.rules`` (then ``code`` is empty).

    ``subject`` is what it is about (``client``, ``helo`` ...), ``about`` the address or name; ``text`` the list's own
    words where they are at hand.
    """

    name: str
    subject: str
    about: str
    code: str
    weight: float
    text: str = ""
    url: str = ""
    shadow: bool = False
    question: str = ""
    """The name that was asked for it, to ask for its text; it may hold a key, so it is never shown."""


class Band(NamedTuple):
    """What a score leads to."""

    action: Action
    standing: Standing
    header: bool


def band(score: float, settings: DnsblSettings) -> Band:
    """Return what ``score`` leads to. Trust is looked at first: who is trusted is never refused."""
    if settings.trust and score <= settings.trust:
        return Band(Action.PASS, Standing.TRUSTED, header=False)
    if settings.reject and score >= settings.reject:
        return Band(Action.REJECT, Standing.LISTED, header=False)
    if settings.defer and score >= settings.defer:
        return Band(Action.DEFER, Standing.LISTED, header=False)
    listed = settings.greylist and score >= settings.greylist
    return Band(
        Action.PASS, Standing.LISTED if listed else Standing.CLEAN, bool(settings.header and score >= settings.header)
    )


def weights_of(hits: Iterable[Hit]) -> dict[str, float]:
    """Return what each list or rule adds. A list counts once, however many things it names: by its weightiest entry."""
    weights: dict[str, float] = {}
    for hit in hits:
        if not hit.shadow and abs(hit.weight) > abs(weights.get(hit.name, 0.0)):
            weights[hit.name] = hit.weight
    return weights


def score_of(hits: Iterable[Hit]) -> float:
    """Add up what counts."""
    return round(sum(weights_of(hits).values()), 3)


def settled(hits: Collection[Hit], outstanding: Mapping[str, tuple[float, float]], settings: DnsblSettings) -> bool:
    """True when nothing that is outstanding can change what the score leads to: by name, the least and the most that
    it can weigh in place of what it weighs now.
    """
    weights = weights_of(hits) if hits else {}
    least = most = sum(weights.values())
    for name, (low, high) in outstanding.items():
        now = weights.get(name, 0.0)
        least += min(0.0, low - now)
        most += max(0.0, high - now)
    return band(round(least, 3), settings) == band(round(most, 3), settings)


class Decision(NamedTuple):
    """The judgement and what it rests on. ``hits``: the weightiest first; ``silent``: lists that did not answer;
    ``trouble``: lists whose answer is not to be believed.
    """

    reason: Reason
    band: Band
    score: float
    hits: tuple[Hit, ...] = ()
    silent: tuple[str, ...] = ()
    trouble: tuple[tuple[str, Trouble], ...] = ()


def decide(hits: Sequence[Hit], trouble: Mapping[str, Trouble], settings: DnsblSettings) -> Decision:
    """Judge by everything that is known; ``trouble`` by list, ``Trouble.SILENT`` too."""
    score = score_of(hits)
    to = band(score, settings)
    ordered = tuple(sorted(hits, key=lambda hit: (hit.shadow, -hit.weight, hit.name)))
    if to.action is not Action.PASS:
        reason = Reason.LISTED if ordered[0].code else Reason.MANNERS
    elif to.standing is Standing.TRUSTED:
        reason = Reason.TRUSTED
    else:
        reason = Reason.SUSPICIOUS if any(hit.weight > 0 and not hit.shadow for hit in hits) else Reason.CLEAN
    if not trouble:
        return Decision(reason, to, score, ordered)
    silent = tuple(sorted(name for name, what in trouble.items() if what is Trouble.SILENT))
    others = tuple(sorted((name, what) for name, what in trouble.items() if what is not Trouble.SILENT))
    return Decision(reason, to, score, ordered, silent, others)


def basis(decision: Decision, settings: DnsblSettings) -> Mapping[str, Fact]:
    """Return what a decision rests on, for the log, the journal and explanations."""
    facts: dict[str, Fact] = {"score": decision.score}
    if decision.hits:
        saved_by = _outweighing(decision, settings)
        first = saved_by or decision.hits[0]
        facts |= {"list": first.name, "code": first.code, "subject": first.subject, "about": first.about[:200]}
        facts |= {"text": first.text, "url": first.url}
        if saved_by:
            against = dict.fromkeys(hit.name for hit in decision.hits if hit.weight > 0 and not hit.shadow)
            facts["outweighed"] = ", ".join(list(against)[:20])
        facts["hits"] = ", ".join(_shown(hit) for hit in decision.hits[:20])
    if decision.band.action is not Action.PASS:
        facts["by"] = f"dnsbl.{decision.band.action}"
        facts["threshold"] = settings.reject if decision.band.action is Action.REJECT else settings.defer
    if decision.silent:
        facts["silent"] = ", ".join(decision.silent[:20])
    if decision.trouble:
        facts["trouble"] = ", ".join(f"{name} {what}" for name, what in decision.trouble[:20])
    return {name: fact for name, fact in facts.items() if fact != ""}


def _outweighing(decision: Decision, settings: DnsblSettings) -> Hit | None:
    """Return the weightiest entry of an allow list that the client passes by, None where it needed none."""
    if decision.band.action is not Action.PASS:
        return None
    against = [hit for hit in decision.hits if hit.weight > 0]
    if decision.reason is not Reason.TRUSTED and band(score_of(against), settings).action is Action.PASS:
        return None
    return min((hit for hit in decision.hits if not hit.shadow), key=lambda hit: hit.weight)


def _shown(hit: Hit) -> str:
    what = f"{hit.name} {hit.weight:+g}" + (f" {hit.code}" if hit.code else "")
    about = "" if hit.subject == "client" else f" for {hit.subject} {hit.about[:80]}"
    return what + about + (" (shadow)" if hit.shadow else "")


# --- names and addresses that lists are asked about -----------------------------------------------------------------

def reverse_name(packed: bytes) -> str:
    """Return the name that an address's PTR record is at (RFC 1035 3.5, RFC 3596 2.5)."""
    return f"{reversed_address(packed)}.{'in-addr' if len(packed) == 4 else 'ip6'}.arpa"


# --- what a client does by itself -----------------------------------------------------------------------------------


def manners(facts: Facts, settings: DnsblSettings, hostname: str) -> list[Hit]:
    """Return the rules that a client breaks, as far as they can be seen without asking anybody."""
    rules, client, helo = settings.rules, facts.client, facts.session.helo
    broken: list[tuple[str, float, str, str]] = []
    if rules.generic_name and name_state(client, GENERIC_WORDS) == "generic":
        broken.append(("generic_name", rules.generic_name, "client_name", client.name))
    if facts.session.stage is not Stage.CONNECT:
        kind = helo_kind(helo, client.address)
        if kind == "address":
            broken.append(("helo_address", rules.helo_address, "helo", helo))
        elif kind == "unqualified":
            broken.append(("helo_unqualified", rules.helo_unqualified, "helo", helo))
        elif helo.lower().removesuffix(".") == hostname.lower():
            broken.append(("helo_ours", rules.helo_ours, "helo", helo))
    return [Hit(f"rule {name}", subject, about[:200], "", weight) for name, weight, subject, about in broken if weight]


def helo_kind(helo: str, address: str) -> str:
    """Say of a HELO argument: ``name``, ``literal`` (of the client's own address), ``address`` (a bare one, or the
    literal of another) or ``unqualified``.
    """
    if helo.startswith("[") and helo.endswith("]"):
        inside = helo[1:-1]
        return "literal" if (inside[5:] if inside[:5].lower() == "ipv6:" else inside) == address else "address"
    name = helo.lower().removesuffix(".")
    if octets_of(name) or ":" in name:
        return "address"
    return "name" if "." in name and len(name) <= 253 and name.isascii() else "unqualified"
