"""The lists that ship with Vaglio (``catalogue.toml``), and what the configuration makes of them.

A shipped list is asked when it is on by itself or named in ``dnsbl.use``; an entry of ``dnsbl.lists`` with its name
changes what it says and leaves the rest. Reads the shipped file, asks nobody.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import NamedTuple

from vaglio.checks.dnsbl.settings import KEY, DnsblSettings, ListSettings


@functools.cache
def shipped() -> Mapping[str, ListSettings]:
    """Return the shipped lists by name, in the order of the file."""
    text = files("vaglio.checks.dnsbl").joinpath("catalogue.toml").read_text("utf-8")
    lists = [ListSettings(**entry) for entry in tomllib.loads(text)["list"]]
    return {one.name: one for one in lists}


class Misfit(NamedTuple):
    """An entry of ``dnsbl.use``, ``dnsbl.without`` or ``dnsbl.lists`` (``key``) that can't be, at ``place`` from 0."""

    key: str
    place: int
    found: str
    wanted: str


def misfits(settings: DnsblSettings) -> Iterator[Misfit]:
    """Yield names that no shipped list has, lists that are neither in the DNS nor in a file, and keys that lack."""
    known = shipped()
    for key in ("use", "without"):
        for index, name in enumerate(getattr(settings, key)):
            if name not in known:
                yield Misfit(key, index, name, "the name of a list that ships (vaglio dnsbl lists)")
    for index, one in enumerate(settings.lists):
        if one.name not in known and bool(one.zone) == bool(one.file):
            wanted = "a zone, or else a file, for a list that does not ship (vaglio dnsbl lists)"
            yield Misfit("lists", index, one.name, wanted)
    asked = {one.name for one in effective(settings) if KEY in one.zone and not one.key}
    for key in ("use", "lists"):
        for index, entry in enumerate(getattr(settings, key)):
            name = entry if key == "use" else entry.name
            if name in asked:
                asked.remove(name)
                yield Misfit(key, index, name, f'an entry of dnsbl.lists with name = "{name}" and its access key')


def effective(settings: DnsblSettings) -> tuple[ListSettings, ...]:
    """Return the lists to be asked: shipped ones first, in their order, then the admin's own."""
    return tuple(one for one in everything(settings) if one.enabled)


def everything(settings: DnsblSettings) -> tuple[ListSettings, ...]:
    """Return all lists, those too that are not to be asked: ``enabled`` tells."""
    known, own = dict(shipped()), {one.name: one for one in settings.lists}
    merged = [_changed(known[name], own.get(name), name in settings.use) for name in known]
    merged += [one for name, one in own.items() if name not in known]
    return tuple(one.model_copy(update={"enabled": False}) if one.name in settings.without else one for one in merged)


def _changed(ours: ListSettings, change: ListSettings | None, used: bool) -> ListSettings:
    said = {name: getattr(change, name) for name in change.model_fields_set} if change else {}
    if "weight" in said and "codes" not in said:
        said["codes"] = dict.fromkeys(ours.codes, said["weight"])
    # To give a list a key, or to change its weight, is to want it.
    enabled = bool(said.get("enabled", used or change is not None or ours.enabled))
    return ours.model_copy(update={**said, "enabled": enabled})
