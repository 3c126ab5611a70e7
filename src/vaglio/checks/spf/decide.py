"""What SPF results lead to: policies by result, identity, recipient; who is left alone; what holds a refusal back.

No I/O, no clock, no texts. RFC 7208 8 names results and leaves it to us what follows; by itself SPF breaks forwarding,
so nothing is refused unless the admin says so, but for domains that send no mail at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from vaglio.checks.spf.outcome import Evaluation, Identity, Result
from vaglio.checks.spf.record import allows, clean, is_no_mail, lets_all, term_for
from vaglio.checks.spf.settings import Policies, Rule, SpfSettings
from vaglio.facts import Client, Facts
from vaglio.lists import AddressList, ClientList, NetworkSet
from vaglio.verdict import BY_POLICY, STRENGTH, Action, Fact


class Reason(StrEnum):
    """Why: metric label, log key, journal key. The first seven are the results."""

    PASS = "pass"
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"
    PERMERROR = "permerror"
    TEMPERROR = "temperror"
    NO_MAIL = "no-mail"
    NOT_PASS = "not-pass"
    LEFT_TO_DMARC = "left-to-dmarc"
    BACKUP_MX = "backup-mx"
    FORWARDER = "known-forwarder"
    HELO_BORNE_OUT = "exempt-helo"
    UNREADABLE = "relay-unreadable"
    NO_CLIENT = "client-unreadable"
    AUTHENTICATED = "authenticated"
    LOCAL = "local-network"
    NO_ADDRESS = "no-address"
    CLIENT_EXEMPT = "exempt-client"
    SENDER_EXEMPT = "exempt-sender"
    OWN_MAIL = "own-mail"
    OWN_MAIL_FAILS = "own-mail-fails"


class Exempt(NamedTuple):
    """Who is left alone, and by which setting."""

    reason: Reason
    by: str = ""


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule with its lists read; ``number`` is its place, from 0 as in errors of the configuration."""

    number: int
    recipients: AddressList
    senders: AddressList
    clients: ClientList
    rule: Rule


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists of the settings, read once."""

    local: NetworkSet
    relays: NetworkSet
    loopback: NetworkSet
    clients: ClientList
    senders: AddressList
    rules: Sequence[CompiledRule]

    @classmethod
    def of(cls, settings: SpfSettings) -> Lists:
        """Read the lists, which were validated with the settings."""
        skip = settings.skip
        return cls(
            NetworkSet(skip.local),
            NetworkSet(settings.relays),
            NetworkSet(("127.0.0.0/8", "::1/128")),
            ClientList.parse(skip.clients, "spf.skip.clients")[0],
            AddressList.parse(skip.senders, "spf.skip.senders")[0],
            [
                CompiledRule(
                    number,
                    AddressList.parse(rule.recipients, "")[0],
                    AddressList.parse(rule.senders, "")[0],
                    ClientList.parse(rule.clients, "")[0],
                    rule,
                )
                for number, rule in enumerate(settings.rule)
            ],
        )

    @property
    def by_recipient(self) -> bool:
        """True where a rule is about recipients."""
        return any(rule.recipients for rule in self.rules)

    def wrote_next(self, packed: bytes) -> bool:
        """Say whether the host that a relay names wrote the next Received header for us: it is a relay, or the relay
        itself, whose filters hand mail back to it. Any other host of ours may have written there what it liked.
        """
        return packed in self.relays or packed in self.loopback


def screen(facts: Facts, lists: Lists, settings: SpfSettings) -> Exempt | None:
    """Return why this client is not judged at all; None if it is. A relay is judged by who is before it."""
    client = facts.client
    if settings.skip.authenticated and facts.session.sasl_username:
        return Exempt(Reason.AUTHENTICATED, "spf.skip.authenticated")
    if client.local:
        return Exempt(Reason.NO_ADDRESS)
    if client.packed not in lists.relays:
        if network := lists.local.find(client.packed):
            return Exempt(Reason.LOCAL, network)
        if entry := lists.clients.matches(client):
            return Exempt(Reason.CLIENT_EXEMPT, entry)
    if entry := lists.senders.matches(facts.envelope.sender):
        return Exempt(Reason.SENDER_EXEMPT, entry)
    return None


_OF_RULE = "spf.rule["


class Chosen(NamedTuple):
    """The policies that hold; ``by`` is the section that they come from."""

    helo: Policies
    mail_from: Policies
    by: str = "spf"


def policies_for(client: Client, sender: str, recipient: str | None, lists: Lists, settings: SpfSettings) -> Chosen:
    """Return the policies for a recipient; without one, those of the first rule that is not about recipients."""
    for rule in lists.rules:
        if rule.rule.recipients and (recipient is None or not rule.recipients.matches(recipient)):
            continue
        if rule.rule.senders and not rule.senders.matches(sender):
            continue
        if rule.rule.clients and not rule.clients.matches(client):
            continue
        return Chosen(rule.rule.helo, rule.rule.mail_from, f"{_OF_RULE}{rule.number}]")
    return Chosen(settings.helo, settings.mail_from)


class Found(NamedTuple):
    """What was evaluated of one message; ``relay`` is the host of ours that it came through, "" if it came directly."""

    mail_from: Evaluation
    helo: Evaluation
    is_null_sender: bool
    relay: str = ""

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """The identities that have a result of their own: the null sender has that of HELO."""
        return (self.helo,) if self.is_null_sender else (self.mail_from, self.helo)


class Decision(NamedTuple):
    """What is done, why, by which evaluation and which setting."""

    action: Action
    reason: Reason
    found: Evaluation
    by: str = ""


def _strength(decision: Decision) -> int:
    return STRENGTH.index(decision.action)


def decide(found: Found, chosen: Chosen, settings: SpfSettings) -> Decision:
    """Return what the results lead to: the stronger of both identities, MAIL FROM where they are equal."""
    if found.mail_from.result is found.helo.result is Result.PASS:  # mostly: 3 us less
        return Decision(Action.PASS, Reason.PASS, found.mail_from)
    decisions = [
        _must_pass(found, settings),
        _by_policy(found.mail_from, chosen.mail_from, f"{chosen.by}.mail_from"),
        _by_policy(found.helo, chosen.helo, f"{chosen.by}.helo"),
    ]
    return max(filter(None, decisions), key=_strength)


def _by_policy(found: Evaluation, policies: Policies, section: str) -> Decision:
    """Return what a result leads to."""
    key = found.result.value
    if found.result is Result.PASS:
        return Decision(Action.PASS, Reason.PASS, found)
    action, reason = BY_POLICY[getattr(policies, key)], Reason(key)
    if found.result is Result.FAIL and is_no_mail(found):
        stronger = BY_POLICY[policies.no_mail]
        if STRENGTH.index(stronger) >= STRENGTH.index(action):
            action, reason, key = stronger, Reason.NO_MAIL, "no_mail"
    return Decision(action, reason, found, f"{section}.{key}")


def _must_pass(found: Found, settings: SpfSettings) -> Decision | None:
    """Return a refusal of one of the domains that must pass; for now only, where the DNS failed. The null sender is in
    nobody's name: bounces come from HELO names that have no record.
    """
    mail_from = found.mail_from
    if not settings.reject_unless_pass or found.is_null_sender or mail_from.result is Result.PASS:
        return None
    if not is_below(mail_from.question.domain, settings.reject_unless_pass):
        return None
    action = Action.DEFER if mail_from.result is Result.TEMPERROR else Action.REJECT
    return Decision(action, Reason.NOT_PASS, mail_from, "spf.reject_unless_pass")


def is_below(name: str, domains: Iterable[str]) -> bool:
    """Say whether a name is one of these domains, or below one."""
    return any(name == domain or name.endswith(f".{domain}") for domain in domains)


def overruled(decisions: Sequence[Decision], taken: Decision) -> dict[str, Fact]:
    """Return as a fact which setting was more severe for some recipient, where there is one."""
    if len(decisions) == 1:
        return {}
    severest = max(decisions, key=_strength)
    return {"overruled": severest.by} if _strength(severest) > _strength(taken) else {}


def mildest(decisions: Sequence[Decision]) -> Decision:
    """Return the decision for a message to several recipients: who is let in must not lose it for another."""
    return min(decisions, key=_strength)


def is_helo_borne_out(found: Found, client: Client, settings: SpfSettings) -> bool:
    """Say whether the HELO name is one of those that are believed, and the client is who it says."""
    names, name = settings.skip.helo_names, found.helo.question.domain
    if not names or not is_below(name, names):
        return False
    return found.helo.result is Result.PASS or is_below(client.name.lower().removesuffix("."), names)


def heeds_dmarc(decision: Decision, settings: SpfSettings) -> bool:
    """Say whether DMARC is to be asked before this refusal."""
    is_refusal = decision.action is not Action.PASS and decision.reason in (Reason.FAIL, Reason.SOFTFAIL)
    return settings.defer_to_dmarc and is_refusal


def may_wait_for_dmarc(settings: SpfSettings) -> bool:
    """Say whether some refusal may depend on the From header."""
    rules = [policies for rule in settings.rule for policies in (rule.helo, rule.mail_from)]
    return settings.defer_to_dmarc and any(
        policies.fail != "accept" or policies.softfail != "accept"
        for policies in (settings.helo, settings.mail_from, *rules)
    )


def dmarc_policy(texts: Iterable[str], is_parent: bool) -> str:
    """Return the policy of DMARC records: that for subdomains, of the parent; "" for none, or several."""
    records = [text for text in texts if text.split(";")[0].replace(" ", "") == "v=DMARC1"]
    if len(records) != 1:
        return ""
    tags: dict[str, str] = {}
    for part in records[0].split(";"):
        name, _, value = part.partition("=")
        tags.setdefault(name.strip().lower(), value.strip().lower())
    return (tags.get("sp") if is_parent else None) or tags.get("p", "")


def own_mail_fails(found: Sequence[Evaluation]) -> Evaluation | None:
    """Return the first evaluation in which mail of ours would not be let in by somebody who heeds SPF."""
    bad = (Result.FAIL, Result.SOFTFAIL, Result.PERMERROR)
    return next((one for one in found if one.result in bad), None)


def basis(found: Found | None, decision: Decision, more: Mapping[str, Fact]) -> dict[str, Fact]:
    """Return what the decision rests on, for log and journal; all of it printable and bounded."""
    one = decision.found
    question = one.question
    rests_on: dict[str, Fact] = {
        "ip": question.address,
        "identity": question.identity.value,
        "domain": clean(question.domain, 253),
        "result": one.result.value,
    }
    optional = {
        "mechanism": one.mechanism and clean(one.mechanism, 120),
        "via": one.inner and clean(f"{one.inner} of {one.inner_domain}", 200),
        "record": clean(one.record_domain, 253) if one.record_domain != question.domain else "",
        "problem": one.problem and clean(one.problem, 200),
        "theirs": one.theirs and clean(one.theirs, 200),
        "by": decision.by if decision.action is not Action.PASS else "",
        "rule": decision.by if decision.action is Action.PASS and decision.by.startswith(_OF_RULE) else "",
        "relay": found.relay if found else "",
    }
    rests_on |= {name: text for name, text in optional.items() if text}
    if one.result in (Result.FAIL, Result.SOFTFAIL, Result.NEUTRAL):
        rests_on |= {"allows": allows(one.record), "add": term_for(question.address)}
    if found and question.identity is Identity.MAIL_FROM and not found.is_null_sender:
        rests_on |= {"helo": clean(found.helo.question.helo, 120), "helo_result": found.helo.result.value}
    elif found and not found.is_null_sender:
        sender = found.mail_from.question.domain
        rests_on |= {"mail_from": clean(sender, 253), "mail_from_result": found.mail_from.result.value}
    if one.lookups:
        rests_on["lookups"] = one.lookups
    if lets_all(one):
        rests_on["plus_all"] = True
    rests_on.update(more)
    return rests_on
