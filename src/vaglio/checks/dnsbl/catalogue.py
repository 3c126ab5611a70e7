"""The lists that ship with Vaglio (``catalogue.toml``), and what the configuration makes of them.

A shipped list is asked when it is on by itself or named in ``dnsbl.use``; an entry of ``dnsbl.lists`` with its name
changes what it says and leaves the rest. Reads the shipped file, asks nobody.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from importlib.resources import files

from vaglio.checks.dnsbl.settings import DnsblSettings, ListSettings


@functools.cache
def shipped() -> Mapping[str, ListSettings]:
    """Return the shipped lists by name, in the order of the file."""
    text = files("vaglio.checks.dnsbl").joinpath("catalogue.toml").read_text("utf-8")
    lists = [ListSettings(**entry) for entry in tomllib.loads(text)["list"]]
    return {one.name: one for one in lists}


def unknown_names(settings: DnsblSettings) -> list[tuple[str, int, str]]:
    """Return (key, index, found) for each name that no shipped list has, and for each own list that is none."""
    if not (settings.use or settings.without or settings.lists):
        return []  # the usual one, and the other daemons need not read the shipped file
    known = shipped()
    wrong = [(key, index, name) for key in ("use", "without") for index, name in enumerate(getattr(settings, key))
             if name not in known]  # fmt: skip
    return wrong + [
        ("lists", index, one.name)
        for index, one in enumerate(settings.lists)
        if one.name not in known and bool(one.zone) == bool(one.file)
    ]


def effective(settings: DnsblSettings) -> tuple[ListSettings, ...]:
    """Return the lists to be asked: shipped ones first, in their order, then the admin's own."""
    known, own = dict(shipped()), {one.name: one for one in settings.lists}
    merged = [_changed(known[name], own.get(name), name in settings.use) for name in known]
    merged += [one for name, one in own.items() if name not in known]
    return tuple(one for one in merged if one.enabled and one.name not in settings.without)


def _changed(ours: ListSettings, change: ListSettings | None, used: bool) -> ListSettings:
    said = {name: getattr(change, name) for name in change.model_fields_set} if change else {}
    # To give a list a key, or to change its weight, is to want it.
    enabled = bool(said.get("enabled", used or change is not None or ours.enabled))
    return ours.model_copy(update={**said, "enabled": enabled})
