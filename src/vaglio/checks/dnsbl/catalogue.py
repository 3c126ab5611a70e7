"""The lists that ship with Vaglio (``catalogue.toml``), and what the configuration makes of them.

A shipped list is asked when it is on by itself or named in ``dnsbl.use``; an entry of ``dnsbl.lists`` with its name
changes what it says and leaves the rest. The file also names lists that have ended. Reads it, asks nobody.
"""

from __future__ import annotations

import functools
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from importlib.resources import files
from typing import Any, NamedTuple

from vaglio.checks.dnsbl.decide import subjects_of
from vaglio.checks.dnsbl.settings import KEY, DnsblSettings, ListSettings, Subject, parse_bit, parse_codes


@functools.cache
def _file() -> Mapping[str, Any]:
    return tomllib.loads(files("vaglio.checks.dnsbl").joinpath("catalogue.toml").read_text("utf-8"))


@functools.cache
def shipped() -> Mapping[str, ListSettings]:
    """Return the shipped lists by name, in the order of the file."""
    lists = [ListSettings(**entry) for entry in _file()["list"]]
    return {one.name: one for one in lists}


@functools.cache
def ended() -> Mapping[str, str]:
    """Return zones of lists that have ended, with all below them, and what became of each."""
    return {zone: entry["what"] for entry in _file()["dead"] for zone in entry["zones"]}


@functools.cache
def names() -> Mapping[str, str]:
    """Return the names of the shipped lists by what an admin may write for them: the name, or the zone."""
    return {**{_tail(one): name for name, one in shipped().items()}, **{name: name for name in shipped()}}


class Misfit(NamedTuple):
    """An entry of ``dnsbl.use``, ``dnsbl.without`` or ``dnsbl.lists``, or a key of it, that can't be: ``path`` leads to
    it from ``dnsbl``, ``found`` is in TOML's notation; ``unknown`` is the name of a list that there is not.
    """

    path: tuple[str | int, ...]
    found: str
    wanted: str
    unknown: str = ""


def misfits(settings: DnsblSettings) -> Iterator[Misfit]:
    """Yield names that no shipped list has, own lists that can't be, and keys that lack."""
    known = shipped()
    for key in ("use", "without"):
        for index, name in enumerate(getattr(settings, key)):
            if name not in known:
                wanted = "the name of a list that ships (vaglio dnsbl lists --all)"
                yield Misfit((key, index), f'"{name}"', wanted, name)
    first: dict[str, int] = {}
    for index, one in enumerate(settings.lists):
        if first.setdefault(one.name, index) != index:
            yield Misfit(("lists", index), *_same_name(one, first[one.name]))
        yield from _misfits_of(one, ("lists", index))
    yield from _keyless(settings)


def _same_name(one: ListSettings, first: int) -> tuple[str, str]:
    """Return what was found and what is wanted of a list whose name another has."""
    unnamed = "" if "name" in one.model_fields_set else "a list without a name, which is "
    return f'{unnamed}"{one.name}"', f'a name of its own; dnsbl.lists[{first}] is "{one.name}" already'


def _misfits_of(one: ListSettings, path: tuple[str | int, ...]) -> Iterator[Misfit]:
    known = shipped()
    if one.name not in known and bool(one.zone) == bool(one.file):
        wanted = "a zone, or else a file, for a list that does not ship (vaglio dnsbl lists)"
        yield Misfit(path, f'"{one.name}"', wanted)
    if one.file and one.kind == "hash":
        yield Misfit((*path, "kind"), '"hash"', 'a zone: a file holds addresses ("address") or names ("domain")')
    if not one.file:  # a plain file may hold both
        yield from _subjects_in_vain(one, known.get(one.name, one).kind, path)
    paid = next((ours for ours in known.values() if KEY in ours.zone and _is_below(one.zone, ours)), None)
    if paid and one.zone != paid.zone:
        wanted = f'no zone and key = "..." in an entry with name = "{paid.name}"; a key within a zone would be shown'
        yield Misfit((*path, "zone"), "a value that is not shown", wanted)


_SUBJECTS: Mapping[str, Sequence[Subject]] = {
    "address": ("client", "sender_ns", "sender_mx"),
    "domain": ("client_name", "reverse_name", "helo", "sender", "sender_ns", "sender_mx"),
    "hash": ("sender",),
}
"""What a list in the DNS can be asked about, by its kind."""


def _subjects_in_vain(one: ListSettings, shipped_kind: str, path: tuple[str | int, ...]) -> Iterator[Misfit]:
    kind = one.kind if "kind" in one.model_fields_set else shipped_kind
    for index, subject in enumerate(one.subjects):
        if subject not in _SUBJECTS[kind]:
            able = ", ".join(f'"{able}"' for able in _SUBJECTS[kind])
            yield Misfit((*path, "subjects", index), f'"{subject}"', f'for a list of kind "{kind}": {able}')


def _tail(ours: ListSettings) -> str:
    return ours.zone.removeprefix(f"{KEY}.")


def _is_below(zone: str, ours: ListSettings) -> bool:
    """Return whether a zone is that of a shipped list with something (mostly a key) before it."""
    return zone.endswith(f".{_tail(ours)}")


def _keyless(settings: DnsblSettings) -> Iterator[Misfit]:
    """Yield the entries that ask a list which wants a key that nobody gave."""
    asked = {one.name for one in effective(settings) if KEY in one.zone and not one.key}
    for key in ("use", "lists"):
        for index, entry in enumerate(getattr(settings, key)):
            name = entry if key == "use" else entry.name
            if name in asked:
                asked.remove(name)
                wanted = f'an entry of dnsbl.lists with name = "{name}" and its access key'
                yield Misfit((key, index), f'"{name}"', wanted)


class Doubt(NamedTuple):
    """Something at ``path`` (from ``dnsbl``) that can be, and is probably not meant."""

    path: tuple[str | int, ...]
    text: str


def doubts(settings: DnsblSettings) -> Iterator[Doubt]:
    """Yield the entries that ask a list which has ended, or a zone that another list asks for the same."""
    own = {one.name: ("lists", index, "zone") for index, one in enumerate(settings.lists)}
    others: defaultdict[str, list[ListSettings]] = defaultdict(list)
    for one in effective(settings):
        if not one.zone:
            continue
        dead = next((zone for zone in ended() if f".{one.zone}".endswith(f".{zone}")), "")
        if dead and one.name in own:
            yield Doubt(own[one.name], f"{dead} has ended ({ended()[dead]}): take this list out")
        alike = others[one.zone.replace(KEY, one.key)]
        if other := next((other for other in alike if _say_the_same(one, other)), None):
            here, there = (one, other) if one.name in own else (other, one)
            text = f'asks the zone of "{there.name}" for the same once more: what it says counts twice'
            yield Doubt(own[here.name], text)
        alike.append(one)


def _say_the_same(one: ListSettings, other: ListSettings) -> bool:
    """Return whether an entry of a zone may count for both lists. Each may have codes or subjects of its own."""
    if one.kind != other.kind or one.shadow or other.shadow or (one.kind == "hash" and one.hash != other.hash):
        return False
    families = (one.ipv4 and other.ipv4) or (one.ipv6 and other.ipv6) or one.kind != "address"
    subjects = set(subjects_of(one)).intersection(subjects_of(other))
    return bool(families and subjects) and any(_overlap(code, its) for code in _counted(one) for its in _counted(other))


_ANY = ("127.0.0.2-255", "127.0.1-255.0-255")
"""What counts of a list without codes."""


def _counted(one: ListSettings) -> list[str]:
    return [code for code, weight in (one.codes or dict.fromkeys(_ANY, one.weight)).items() if weight]


def _overlap(code: str, other: str) -> bool:
    """Return whether two patterns have a code in common; two bits have not, though one code may have both."""
    if code.startswith("bit") and other.startswith("bit"):
        return code == other
    return all(mine & its for mine, its in zip(_octets(code), _octets(other), strict=True))


def _octets(code: str) -> Sequence[Set[int]]:
    """Return what each octet may be."""
    if code.startswith("bit"):
        return {127}, {0}, {0}, {octet for octet in range(2, 256) if octet & parse_bit(code)}
    return [set(range(low, high + 1)) for low, high in parse_codes(code)]


def effective(settings: DnsblSettings) -> tuple[ListSettings, ...]:
    """Return the lists to be asked: shipped ones first, in their order, then the admin's own."""
    return tuple(one for one in everything(settings) if one.enabled)


def everything(settings: DnsblSettings) -> tuple[ListSettings, ...]:
    """Return all lists, those too that are not to be asked: ``enabled`` tells."""
    known, own = dict(shipped()), {one.name: one for one in settings.lists}
    merged = [_changed(known[name], own.get(name), name in settings.use) for name in known]
    merged += [_warned(one) for name, one in own.items() if name not in known]
    return tuple(one.model_copy(update={"enabled": False}) if one.name in settings.without else one for one in merged)


def _warned(one: ListSettings) -> ListSettings:
    """Let a list of the admin's in the zone of a shipped one know the codes by which that refuses."""
    ours = next((ours for ours in shipped().values() if one.zone == _tail(ours) or _is_below(one.zone, ours)), None)
    if ours is None or "blocked" in one.model_fields_set:
        return one
    return one.model_copy(update={"blocked": ours.blocked})


def _changed(ours: ListSettings, change: ListSettings | None, used: bool) -> ListSettings:
    said = {name: getattr(change, name) for name in change.model_fields_set} if change else {}
    if "weight" in said and "codes" not in said:
        said["codes"] = dict.fromkeys(ours.codes, said["weight"])
    # To give a list a key, or to change its weight, is to want it.
    enabled = bool(said.get("enabled", used or change is not None or ours.enabled))
    return ours.model_copy(update={**said, "enabled": enabled})
