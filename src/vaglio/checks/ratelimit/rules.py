"""The rules as the configuration has them, made ready: which hold for a request, and by which key they count.

Rules that share a key share a record of the store, so they are kept together in *groups*. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from vaglio.checks.ratelimit.limits import Kind, Limit, parse_limits
from vaglio.checks.ratelimit.settings import RatelimitSettings, Rule
from vaglio.checks.ratelimit.usage import rule_tag, usage_key
from vaglio.facts import Client, Facts, Stage, unpack_address
from vaglio.lists import AddressList, ClientList, NetworkSet

Countries = Callable[[str], str]
"""The country of an address as two capital letters; empty where it is not known."""

class Places(NamedTuple):
    """Where a client is: the country of an address, the network of a client."""

    country: Countries
    network: Callable[[Client], str]


Values = tuple[str, ...]
"""What the attributes of a key are in a request."""


class Case(NamedTuple):
    """A request with what the rules look at, in lower case where case does not matter."""

    facts: Facts
    user: str
    sender: str
    recipient: str
    applies_to: str


@dataclass(frozen=True, slots=True)
class ReadyRule:
    """A rule with its texts read. ``per_recipient`` rules are asked at RCPT, about one recipient each."""

    settings: Rule
    kind: Kind
    limits: tuple[Limit, ...]
    tag: int
    per_recipient: bool
    fits: Callable[[Case], bool]

    @property
    def name(self) -> str:
        """Its name."""
        return self.settings.name

    @property
    def longest(self) -> int:
        """Seconds of its longest window."""
        return self.limits[-1].seconds


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that count by the same key, all about messages or all about single recipients: each kind has records of its
    own, for what counts a recipient must not take the message for counted.
    """

    spec: str
    rules: tuple[ReadyRule, ...]
    values: Callable[[Case], Values | None]
    """The key of a request; None where it lacks a part of it."""
    tags: frozenset[int]
    """The tags of the rules."""


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules: those that are asked about messages, and those that are asked about single recipients."""

    message: tuple[Group, ...]
    recipient: tuple[Group, ...]
    system: NetworkSet
    network: Callable[[Client], str]
    """The network of a client."""

    @property
    def groups(self) -> tuple[Group, ...]:
        """All groups."""
        return (*self.message, *self.recipient)

    def asked_at(self, stage: Stage, counted_at: Stage) -> tuple[Group, ...]:
        """Return those that are asked at ``stage``, where messages are counted at ``counted_at``."""
        if stage is not counted_at:
            return self.recipient if stage is Stage.RCPT else ()
        return self.groups if stage is Stage.RCPT else self.message


class Applied(NamedTuple):
    """Rules of a group that hold for a request, and the key by which they count it."""

    group: Group
    rules: tuple[ReadyRule, ...]
    values: Values
    key: bytes


def applied(groups: Sequence[Group], case: Case, kind: Kind | None = None) -> list[Applied]:
    """Return what of the groups holds for a request; only rules of one ``kind`` if it is given."""
    found = []
    for group in groups:
        rules = tuple([rule for rule in group.rules if rule.fits(case) and kind in (None, rule.kind)])
        values = group.values(case) if rules else None
        if values is not None:
            found.append(Applied(group, rules, values, usage_key(group.spec, values)))
    return found


def ready(settings: RatelimitSettings, country: Countries) -> Rules:
    """Make the rules of validated settings ready."""
    network = partial(network_of, prefixes={4: settings.ipv4_prefix, 16: settings.ipv6_prefix})
    places = Places(country, network)
    rules = [_ready(rule) for rule in settings.rule]
    return Rules(
        _grouped([rule for rule in rules if not rule.per_recipient], "", places),
        _grouped([rule for rule in rules if rule.per_recipient], " (rcpt)", places),
        NetworkSet(settings.system_clients),
        network,
    )


def _ready(rule: Rule) -> ReadyRule:
    kind = Kind(rule.count)
    limits = parse_limits(rule.limits, kind)
    return ReadyRule(rule, kind, limits, rule_tag(rule.name, kind), rule.per_recipient, _condition(rule))


def _grouped(rules: Sequence[ReadyRule], mark: str, places: Places) -> tuple[Group, ...]:
    by_spec: dict[str, list[ReadyRule]] = {}
    for rule in rules:
        by_spec.setdefault(" ".join(rule.settings.key) + mark, []).append(rule)
    return tuple(
        Group(spec, tuple(some), _values(some[0].settings.key, places), frozenset(rule.tag for rule in some))
        for spec, some in by_spec.items()
    )


# --- which rules hold -------------------------------------------------------------------------------------------------


def _condition(rule: Rule) -> Callable[[Case], bool]:
    """Return what tells whether the rule holds for a request; quick where there are no conditions, as mostly."""
    applies_to = rule.applies_to
    wanted = _tests(rule.clients, rule.users, rule.senders, rule.recipients)
    unwanted = _tests(rule.except_clients, rule.except_users, rule.except_senders, rule.except_recipients)
    if not wanted and not unwanted:
        return lambda case: case.applies_to == applies_to
    return lambda case: (
        case.applies_to == applies_to
        and all(test(case) for test in wanted)
        and not any(test(case) for test in unwanted)
    )


def _tests(
    clients: Sequence[str], users: Sequence[str], senders: Sequence[str], recipients: Sequence[str]
) -> list[Callable[[Case], bool]]:
    tests: list[Callable[[Case], bool]] = []
    if clients:
        by_client = ClientList.parse(clients, "")[0]
        tests.append(lambda case: by_client.matches(case.facts.client) != "")
    if users:
        by_user = AddressList.parse(users, "")[0]
        tests.append(lambda case: case.user != "" and by_user.matches(case.user) != "")
    if senders:
        by_sender = AddressList.parse(senders, "")[0]
        tests.append(lambda case: by_sender.matches(case.sender) != "")
    if recipients:
        by_recipient = AddressList.parse(recipients, "")[0]
        tests.append(lambda case: by_recipient.matches(case.recipient) != "")
    return tests


def case_of(facts: Facts, rules: Rules) -> Case:
    """Return the request as the rules look at it."""
    user, sender = facts.session.sasl_username.lower(), facts.envelope.sender.lower()
    applies_to = "mail" if sender else "null_sender"
    if not user and facts.client.packed in rules.system:
        applies_to = "system"
    recipient = facts.envelope.recipient.lower()
    return Case(facts, user, sender, recipient, applies_to)


def network_of(client: Client, prefixes: Mapping[int, int]) -> str:
    """Return the client's network as ``192.0.2.0/24``; its address where that can't be read."""
    packed = client.packed
    if not packed:
        return client.address
    if len(packed) == 4 and prefixes[4] == 24:  # the usual one, at a quarter of the cost
        return client.address.rpartition(".")[0] + ".0/24"
    prefix = prefixes[len(packed)]
    shift = len(packed) * 8 - prefix
    number = int.from_bytes(packed) >> shift << shift
    return f"{unpack_address(number.to_bytes(len(packed)))}/{prefix}"


# --- by which key they count ----------------------------------------------------------------------------------------


def _values(key: Sequence[str], places: Places) -> Callable[[Case], Values | None]:
    if list(key) == ["sasl_username"]:
        return lambda case: (case.user,) if case.user else None
    parts = [_first_known([_attribute(name, places) for name in part.split("|")]) for part in key]

    def values(case: Case) -> Values | None:
        found = tuple(part(case) for part in parts)
        return found if all(found) else None

    return values


def _first_known(attributes: Sequence[Callable[[Case], str]]) -> Callable[[Case], str]:
    return lambda case: next(filter(None, (attribute(case) for attribute in attributes)), "")


def _attribute(name: str, places: Places) -> Callable[[Case], str]:
    getters: dict[str, Callable[[Case], str]] = {
        "sasl_username": lambda case: case.user,
        "sender": lambda case: case.sender,
        "sender_domain": lambda case: case.sender.rpartition("@")[2],
        "client": lambda case: case.facts.client.address,
        "client_network": lambda case: places.network(case.facts.client),
        "client_country": lambda case: places.country(case.facts.client.address),
        "helo": lambda case: case.facts.session.helo.lower(),
        "recipient": lambda case: case.recipient,
        "recipient_domain": lambda case: case.recipient.rpartition("@")[2],
    }
    return getters[name]
