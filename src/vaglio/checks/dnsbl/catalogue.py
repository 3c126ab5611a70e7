"""The lists that ship with Vaglio (``catalogue.toml``), and what the configuration makes of them.

A shipped list is asked when it is on by itself or named in ``dnsbl.use``; an entry of ``dnsbl.lists`` with its name
changes what it says and leaves the rest. Reads the shipped file, asks nobody.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import NamedTuple

from vaglio.checks.dnsbl.settings import KEY, DnsblSettings, ListSettings, Subject


@functools.cache
def shipped() -> Mapping[str, ListSettings]:
    """Return the shipped lists by name, in the order of the file."""
    text = files("vaglio.checks.dnsbl").joinpath("catalogue.toml").read_text("utf-8")
    lists = [ListSettings(**entry) for entry in tomllib.loads(text)["list"]]
    return {one.name: one for one in lists}


class Misfit(NamedTuple):
    """An entry of ``dnsbl.use``, ``dnsbl.without`` or ``dnsbl.lists``, or a key of it, that can't be: ``path`` leads to
    it from ``dnsbl``, ``found`` is in TOML's notation.
    """

    path: tuple[str | int, ...]
    found: str
    wanted: str


def misfits(settings: DnsblSettings) -> Iterator[Misfit]:
    """Yield names that no shipped list has, own lists that can't be, and keys that lack."""
    known = shipped()
    for key in ("use", "without"):
        for index, name in enumerate(getattr(settings, key)):
            if name not in known:
                yield Misfit((key, index), f'"{name}"', "the name of a list that ships (vaglio dnsbl lists)")
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
