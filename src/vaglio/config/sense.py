"""Settings that are right by themselves and wrong together.

``clashes`` are errors: the daemon must not start. ``remarks`` are warnings: it may, but the admin has probably
meant something else. Neither knows where a key stands (``load`` does).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from vaglio.checks.dkim.signing.settings import DkimSignSettings
from vaglio.checks.dnsbl.settings import DnsblSettings
from vaglio.checks.greylist.settings import GreylistSettings
from vaglio.checks.ratelimit.settings import RatelimitSettings
from vaglio.checks.ratelimit.settings import Rule as LimitRule
from vaglio.checks.score.settings import Ladder, LinksSettings, ScoreSettings
from vaglio.checks.spf.settings import CIRCUMSTANCES, SpfSettings
from vaglio.checks.spf.settings import Rule as SpfRule
from vaglio.checks.tag.settings import TagSettings
from vaglio.config.chain import READY, ChainSettings, is_for_own_mail, shipped
from vaglio.config.model import VaglioConfig
from vaglio.config.places import Path
from vaglio.config.types import MilterSection, format_duration
from vaglio.config.words import dotted, meant, near

if TYPE_CHECKING:
    from vaglio.blocklists.catalogue import Misfit

SHIPPED_LANGUAGES = frozenset({"en", "it"})

WANT_PYMILTER = (
    "apt-get install libmilter-dev gcc python3-dev, then /opt/vaglio/bin/pip install '.[libmilter]' where Vaglio's "
    'source is; or let engine be "native"'
)
"""What to do where pymilter is missing."""


class Clash(NamedTuple):
    """Keys that can't stand together. ``paths[0]`` is the one to complain about, ``found`` its value in TOML."""

    paths: tuple[Path, ...]
    found: str
    wanted: str


class Remark(NamedTuple):
    """Something to tell the admin about the keys ``paths``."""

    paths: tuple[Path, ...]
    text: str


def clashes(config: VaglioConfig) -> Iterator[Clash]:
    """Yield what keeps the daemons from running with this configuration."""
    yield from _shared_sockets(config)
    yield from _late_delays(config.greylist)
    yield from _list_misfits(config)
    yield from _late_lookups(config.dnsbl)
    yield from _limit_misfits(config.ratelimit)
    yield from _late_spf(config)
    yield from _late_links(config)
    yield from _half_tables(config.dkim.sign)
    for name, section in config.daemons():
        if isinstance(section, GreylistSettings) and section.tarpit and section.tarpit >= section.deadline:
            yield Clash(
                ((name, "tarpit"), (name, "deadline")),
                f'"{format_duration(section.tarpit)}"',
                f'less than {name}.deadline, which is "{format_duration(section.deadline)}"',
            )
        if isinstance(section, MilterSection) and section.engine == "libmilter" and len(section.listen) > 1:
            path = tuple(name.split("."))
            wanted = f'one socket, since {name}.engine is "libmilter", which listens on no more'
            yield Clash(((*path, "listen"), (*path, "engine")), f"{len(section.listen)} sockets", wanted)


def _list_misfits(config: VaglioConfig) -> Iterator[Clash]:
    """Yield lists that can't be. The daemons start without reading the shipped lists unless one is named."""
    own, links = config.dnsbl, config.score.links
    if own.use or own.without or own.lists:
        from vaglio.checks.dnsbl.catalogue import misfits, names

        yield from _clashes(("dnsbl",), misfits(own), names)
    if links.use or links.without or links.lists:
        from vaglio.checks.score import linkcatalogue

        yield from _clashes(("score", "links"), linkcatalogue.misfits(links), linkcatalogue.names)


def _clashes(section: Path, misfits: Iterable[Misfit], names: Callable[[], Mapping[str, str]]) -> Iterator[Clash]:
    for misfit in misfits:
        wanted = misfit.wanted + (meant(like_list(misfit.unknown, names())) if misfit.unknown else "")
        yield Clash(((*section, *misfit.path),), misfit.found, wanted)


def like_list(name: str, names: Mapping[str, str]) -> str:
    """Return the shipped list that is probably meant by a name, or by a zone; "" for none."""
    return names.get(near(name, names, 0.7), "")  # "sorbs" is not "surbl"


def _late_lookups(settings: DnsblSettings) -> Iterator[Clash]:
    """Yield a wait for lists, and half of it for the words of one, that would not leave time to answer."""
    if settings.lookup_timeout * 3 > settings.deadline * 2:
        wanted = f'at most two thirds of dnsbl.deadline, which is "{format_duration(settings.deadline)}"'
        found = f'"{format_duration(settings.lookup_timeout)}"'
        yield Clash((("dnsbl", "lookup_timeout"), ("dnsbl", "deadline")), found, wanted)


def _late_spf(config: VaglioConfig) -> Iterator[Clash]:
    """Yield a time for look-ups that would not leave time to learn the circumstances of a fail, and to answer."""
    hosts: list[tuple[Path, MilterSection]] = [(("spf",), config.spf)]
    hosts += [(("chain", name), chain) for name, chain in config.chain.items() if "spf" in chain.checks]
    path, host = min(hosts, key=lambda one: one[1].deadline)
    if config.spf.time_limit + CIRCUMSTANCES >= host.deadline:
        deadline, shown = (*path, "deadline"), format_duration(host.deadline)
        wanted = f'more than {CIRCUMSTANCES}s less than {dotted(deadline)}, which is "{shown}"'
        yield Clash((("spf", "time_limit"), deadline), f'"{format_duration(config.spf.time_limit)}"', wanted)


def _late_links(config: VaglioConfig) -> Iterator[Clash]:
    """Yield a wait for lists that would not leave time to judge."""
    hosts: list[tuple[Path, MilterSection]] = [(("score",), config.score)]
    hosts += [(("chain", name), chain) for name, chain in config.chain.items() if "score" in chain.checks]
    path, host = min(hosts, key=lambda one: one[1].deadline)
    if config.score.links.lookup_timeout >= host.deadline:
        deadline, shown = (*path, "deadline"), format_duration(host.deadline)
        found = f'"{format_duration(config.score.links.lookup_timeout)}"'
        wanted = f'less than {dotted(deadline)}, which is "{shown}"'
        yield Clash((("score", "links", "lookup_timeout"), deadline), found, wanted)


def _half_tables(settings: DkimSignSettings) -> Iterator[Clash]:
    """Yield one of OpenDKIM's tables without the other: who signs, or by which keys, nobody would know."""
    if bool(settings.key_table) != bool(settings.signing_table):
        there, missing = ("key_table", "signing_table") if settings.key_table else ("signing_table", "key_table")
        paths: tuple[Path, ...] = (("dkim", "sign", there), ("dkim", "sign", missing))
        wanted = f"dkim.sign.{missing} beside it: OpenDKIM's tables are read together"
        yield Clash(paths, f'"{getattr(settings, there)}"', wanted)


def _limit_misfits(settings: RatelimitSettings) -> Iterator[Clash]:
    """Yield rules that could never be judged where messages are counted, or not without a file."""
    names: dict[str, Path] = {}
    for index, rule in enumerate(settings.rule):
        path: Path = ("ratelimit", "rule", index)
        first = names.setdefault(rule.name, path)
        if first != path:
            yield Clash(((*path, "name"), (*first, "name")), f'"{rule.name}"', "a name that no other rule has")
        if rule.action == "header" and settings.stage == "end-of-message" and not rule.per_recipient:
            wanted = 'another action: at the end of a message no header can be added (or ratelimit.stage = "data")'
            yield Clash(((*path, "action"), ("ratelimit", "stage")), '"header"', wanted)
        if rule.count == "refused_share" and (settings.stage == "rcpt" or rule.per_recipient):
            wanted = 'another count: which recipients were refused is known at "data" or "end-of-message" only'
            yield Clash(((*path, "count"), ("ratelimit", "stage")), '"refused_share"', wanted)
        yield from _at_rcpt(rule, path, settings.stage)
        if not settings.country_database:
            yield from _countries_wanted(rule, path)


def _at_rcpt(rule: LimitRule, path: Path, stage: str) -> Iterator[Clash]:
    """Yield what could not be seen where a rule is asked: at RCPT there is one recipient, and no size but a claimed."""
    reason = rule.why_per_recipient
    why: Path = (*path, reason) if reason else ("ratelimit", "stage")
    at_rcpt = reason != "" or stage == "rcpt"
    asked = f"{dotted(why)} has this rule asked about each recipient"
    if rule.count == "bytes" and at_rcpt:
        wanted = f"another count: {asked}, and the size is known at the end of the message only"
        yield Clash(((*path, "count"), why), '"bytes"', wanted)
    elif rule.per_message and rule.count not in ("recipients", "bytes"):
        wanted = f'0: a count of "{rule.count}" has no most for a single message'
        yield Clash(((*path, "per_message"), (*path, "count")), str(rule.per_message), wanted)
    elif rule.per_message and at_rcpt:
        wanted = f"0 (it is for rules that are asked about whole messages): {asked}"
        yield Clash(((*path, "per_message"), why), str(rule.per_message), wanted)


def _countries_wanted(rule: LimitRule, path: Path) -> Iterator[Clash]:
    """Yield what only a country database could tell."""
    wanted = "ratelimit.country_database to be set, since this asks for countries"
    if rule.count == "distinct_countries":
        yield Clash(((*path, "count"), ("ratelimit", "country_database")), f'"{rule.count}"', wanted)
    for index, part in enumerate(rule.key):
        if "client_country" in part:
            yield Clash(((*path, "key", index), ("ratelimit", "country_database")), f'"{part}"', wanted)


def _late_delays(settings: GreylistSettings) -> Iterator[Clash]:
    """Yield the delays that no retry could outlast in time: nobody would ever be let in."""
    window = ("greylist", "retry_window")
    delays: list[tuple[Path, int | None]] = [(("greylist", "delay"), settings.delay)]
    delays += [(("greylist", "rule", index, "delay"), rule.delay) for index, rule in enumerate(settings.rule)]
    for path, delay in delays:
        if delay is not None and delay >= settings.retry_window:
            wanted = f'less than {dotted(window)}, which is "{format_duration(settings.retry_window)}"'
            yield Clash((path, window), f'"{format_duration(delay)}"', wanted)


def _shared_sockets(config: VaglioConfig) -> Iterator[Clash]:
    users: dict[str, Path] = {}
    for path, address in _sockets(config):
        first = users.setdefault(address if address.startswith("unix:") else address.lower(), path)
        if first != path:
            yield Clash((path, first), f'"{address}"', f"a socket of its own; {dotted(first)} has this one")


def _sockets(config: VaglioConfig) -> Iterator[tuple[Path, str]]:
    for name, section in config.daemons():
        for index, address in enumerate(section.listen):
            if not address.endswith(":0"):  # port 0: the system gives each its own
                yield (*name.split("."), "listen", index), address
    for address in dict.fromkeys(config.metrics_of(name) for name, _ in config.daemons()):
        if address and not address.endswith(":0"):
            yield ("metrics", "listen"), address


def remarks(config: VaglioConfig) -> Iterator[Remark]:
    """Yield what an admin should look at once more."""
    yield from _state_remarks(config)
    yield from _language_remarks(config)
    yield from _dns_remarks(config)
    yield from _greylist_remarks(config.greylist)
    yield from _dnsbl_remarks(config.dnsbl)
    yield from _ladder_remarks(config.score)
    yield from _links_remarks(config.score.links)
    yield from _ratelimit_remarks(config.ratelimit)
    yield from _spf_remarks(config.spf)
    yield from _milter_remarks(config)
    yield from _chain_remarks(config.chain)
    yield from _order_remarks(config.chain)
    yield from _tag_remarks(config.tag, config.chain)


def doubtful_name(config: VaglioConfig) -> str:
    """Return what is wrong with our name in results, if it looks like no name for all the world."""
    name = config.identity.authserv_id
    if "." in name:
        return ""
    return (
        f'results are written under the name "{name}", and forged ones under the full name of this host stay: set it, '
        'for example to "mail.caio.it"'
    )


def _milter_remarks(config: VaglioConfig) -> Iterator[Remark]:
    milters = [(name, one) for name, one in config.daemons() if isinstance(one, MilterSection)]
    doubt = doubtful_name(config)
    if doubt and any(name.partition(".")[0] in config.model_fields_set for name, _ in milters):
        yield Remark((("identity", "authserv_id"),), doubt)
    for name, section in milters:
        if section.engine == "libmilter" and find_spec("milter") is None:
            yield Remark(((*name.split("."), "engine"),), f"pymilter is not installed: {WANT_PYMILTER}")


def _state_remarks(config: VaglioConfig) -> Iterator[Remark]:
    if config.state.url == "memory:":
        yield Remark((("state", "url"),), "each worker keeps a memory of its own and forgets it when it stops")


def _language_remarks(config: VaglioConfig) -> Iterator[Remark]:
    known = SHIPPED_LANGUAGES | config.greylist.text.keys() | config.ratelimit.text.keys() | config.spf.text.keys()
    for domain, language in config.identity.languages.items():
        if language not in known:
            text = (
                f'there are no reply texts in "{language}", and no [greylist.text.{language}], '
                f"[ratelimit.text.{language}] or [spf.text.{language}]: English is used"
            )
            yield Remark((("identity", "languages", domain),), text)


def _dns_remarks(config: VaglioConfig) -> Iterator[Remark]:
    if config.dns.zone_file:
        text = "all questions to the DNS are answered from this file, and none from the network: a rehearsal"
        yield Remark((("dns", "zone_file"),), text)


def _ratelimit_remarks(settings: RatelimitSettings) -> Iterator[Remark]:
    if settings.sender_logins and settings.sender_login == "off":
        yield Remark((("ratelimit", "sender_logins"),), 'has no effect while ratelimit.sender_login is "off"')
    if not settings.rule and settings.sender_login == "off":
        yield Remark((("ratelimit", "rule"),), "nothing is limited: without this line the rules that ship would hold")
    for index, rule in enumerate(settings.rule):
        if rule.count == "bytes" and settings.stage == "data":
            text = 'who announces no size has no limit; ratelimit.stage = "end-of-message" knows the true size'
            yield Remark((("ratelimit", "rule", index, "count"),), text)


def _spf_remarks(settings: SpfSettings) -> Iterator[Remark]:
    yield from _left_to_nobody(settings)
    for index, rule in enumerate(settings.rule):
        path: Path = ("spf", "rule", index)
        if not (rule.clients or rule.senders or rule.recipients) and index + 1 < len(settings.rule):
            yield Remark((path,), "this rule has no condition and holds for everybody: those after it are never read")
        refuses = any("accept" not in (one.fail, one.softfail) for one in (rule.helo, rule.mail_from))
        if rule.recipients and refuses and settings.defer_to_dmarc:
            text = (
                "these recipients are not refused one by one: before a fail is refused, the DMARC policy of the domain "
                "in From is asked for, so that waits for the end of the message, and holds only if all recipients want "
                "it; spf.defer_to_dmarc = false refuses each by itself"
            )
            yield Remark(((*path, "recipients"),), text)


def _left_to_nobody(settings: SpfSettings) -> Iterator[Remark]:
    """Yield one remark where a fail is to be refused, and DMARC has the last word unasked."""
    if "defer_to_dmarc" in settings.model_fields_set or not settings.defer_to_dmarc:
        return
    places: list[tuple[Path, SpfSettings | SpfRule]] = [(("spf",), settings)]
    places += [(("spf", "rule", index), rule) for index, rule in enumerate(settings.rule)]
    for path, policies in places:
        for identity, one in (("mail_from", policies.mail_from), ("helo", policies.helo)):
            for result in ("fail", "softfail"):
                if getattr(one, result) != "accept":
                    text = (
                        "refuses nothing in the name of domains whose DMARC policy is quarantine or reject: that is "
                        "left to DMARC, which nothing in Vaglio verifies yet. With no DMARC filter behind this, set "
                        "spf.defer_to_dmarc = false; with one, = true says so"
                    )
                    yield Remark(((*path, identity, result),), text)
                    return


def _chain_remarks(chains: Mapping[str, ChainSettings]) -> Iterator[Remark]:
    for name, chain in chains.items():
        if not chain.checks:
            probably = "" if name in READY else near(name, READY)
            yield Remark((("chain", name),), f"this chain checks nothing{meant(probably and f'chain.{probably}')}")
    outside = [
        name for name, chain in chains.items() if not is_for_own_mail(name, chain) and chain != shipped(name)
    ]
    for name in outside:
        if "dkim_sign" in chains[name].checks:
            text = (
                "a chain that signs and checks, too, is for port 25: mail from outside waits while it is down, since "
                "who signs defers then, and what a content filter hands back by 127.0.0.1 is signed. Sign in "
                'chain.outbound, or in a chain with checks = ["dkim_sign"], behind the submission ports'
            )
            yield Remark((("chain", name, "checks"),), text)
    for name in outside[1:]:
        if chains[name].remove_forged:
            text = (
                f"where the mail server asks both about a message, this one takes what chain.{outside[0]} has written "
                "for a forgery: set it to false in the one that stands behind the other"
            )
            yield Remark((("chain", name, "remove_forged"),), text)


def _order_remarks(chains: Mapping[str, ChainSettings]) -> Iterator[Remark]:
    """Yield checks that go by the results of others, and are asked before them."""
    for name, chain in chains.items():
        checks = list[str](chain.checks)
        for place, check in enumerate(checks):
            if late := [one for one in checks[place + 1 :] if one in _HEARS.get(check, ())]:
                names = " and ".join(f'"{one}"' for one in late)
                text = f'"{check}" goes by what is found by {names}, and is asked before: let it stand behind'
                yield Remark((("chain", name, "checks", place),), text)


_HEARS = {"score": ("spf", "dkim_verify"), "tag": ("spf", "dkim_verify", "score")}
"""Checks that go by the results of others."""


def _tag_remarks(settings: TagSettings, chains: Mapping[str, ChainSettings]) -> Iterator[Remark]:
    """Yield conditions of which nobody tells: no check that stands before in a chain, no header that is believed."""
    if "rule" not in settings.model_fields_set:
        return
    chained = [list[str](chain.checks) for chain in chains.values()]
    before = {check for checks in chained if "tag" in checks for check in checks[: checks.index("tag")]}
    for index, rule in enumerate(settings.rule):
        for place, source in enumerate(rule.sources()):
            if source and source.check not in before and not settings.believes(source):
                value = "true" if source.setting == "trust_spam_headers" else "false"
                header = f", and only tag.{source.setting} = {value} has headers believed" if source.setting else ""
                text = f'nobody tells of it: no chain has the check "{source.check}" before "tag"{header}'
                yield Remark((("tag", "rule", index, "when", place),), text)


def _dnsbl_remarks(settings: DnsblSettings) -> Iterator[Remark]:
    if settings.reject and settings.defer >= settings.reject:
        yield Remark((("dnsbl", "defer"),), "never happens: dnsbl.reject refuses for good at this score or below it")
    yield from _used_and_not(("dnsbl",), settings)
    if settings.lists:
        from vaglio.checks.dnsbl.catalogue import doubts

        for doubt in doubts(settings):
            yield Remark((("dnsbl", *doubt.path),), doubt.text)


_STEPS = (
    ("hold", "reject", "holds nothing: messages are refused from"),
    ("tag", "reject", "no message that arrives is called spam: they are refused from"),
    ("tag", "hold", "what is held, and released then, is not called spam: messages are held from"),
)
"""Thresholds, of which the first must be below the second (0 is never), with what comes of it otherwise."""


def _ladder_remarks(settings: ScoreSettings) -> Iterator[Remark]:
    """Yield thresholds that something stronger comes before, for all and for each domain that says otherwise."""
    common: _Said = {one: (("score", one), getattr(settings, one)) for one in Ladder.model_fields}
    yield from _steps(common, common)
    for domain, own in settings.domains.items():
        there: Path = ("score", "domains", domain)
        said: _Said = {one: ((*there, one), getattr(own, one)) for one in own.model_fields_set}
        yield from _steps({**common, **said}, said)


_Said = dict[str, tuple[Path, float]]
"""Thresholds by name: where each is said, and what it is."""


def _steps(ladder: _Said, said: _Said) -> Iterator[Remark]:
    """Yield what is wrong with a ladder, where one of two thresholds was ``said`` for it."""
    for below, above, comes in _STEPS:
        (path, low), (other, high) = ladder[below], ladder[above]
        never = low > high > 0 or (low == high > 0 and above == "reject")
        if never and (below in said or above in said):
            yield Remark((path, other), f"{comes} {dotted(other)}, which is {high:g}, and this is {low:g}")


def _links_remarks(settings: LinksSettings) -> Iterator[Remark]:
    yield from _used_and_not(("score", "links"), settings)
    if settings.lists:
        from vaglio.checks.score.linkcatalogue import doubts

        for doubt in doubts(settings):
            yield Remark((("score", "links", *doubt.path),), doubt.text)


def _used_and_not(section: Path, settings: DnsblSettings | LinksSettings) -> Iterator[Remark]:
    for index, name in enumerate(settings.without):
        if name in settings.use:
            text = f'"{name}" stands in {dotted(section)}.use too: it is not asked'
            yield Remark(((*section, "without", index),), text)


def _greylist_remarks(settings: GreylistSettings) -> Iterator[Remark]:
    if settings.scope == "listed":
        text = "greylists only whom vaglio-dnsbl tells of: it must run, and stand before vaglio-greylist in main.cf"
        yield Remark((("greylist", "scope"),), text)
    yield from _rule_remarks(settings)


def _rule_remarks(settings: GreylistSettings) -> Iterator[Remark]:
    for index, rule in enumerate(settings.rule):
        path: Path = ("greylist", "rule", index)
        if not rule.greylist and rule.delay is not None:
            yield Remark(((*path, "delay"),), "has no effect beside greylist = false")
        everybody = not (rule.clients or rule.senders or rule.recipients) and rule.reverse_dns == "any"
        if everybody and index + 1 < len(settings.rule):
            yield Remark((path,), "this rule has no condition and holds for everybody: those after it are never read")
