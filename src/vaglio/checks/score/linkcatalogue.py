"""The lists of links' domains that ship with Vaglio (``linkcatalogue.toml``), and what [score.links] makes of them."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files

from vaglio.blocklists.catalogue import Catalogue, Misfit, Path, subjects_in_vain
from vaglio.checks.score.settings import LinkListSettings

_PACKAGE, _FILE = "vaglio.checks.score", "linkcatalogue.toml"
_MAIL = ("from", "reply_to", "sender")
_ABLE: Mapping[str, Sequence[str]] = {"address": ("address",), "domain": ("link", "address", *_MAIL), "hash": _MAIL}
"""What a list can be asked about, by its kind."""


def _misfits_of(one: LinkListSettings, ours: LinkListSettings | None, path: Path) -> Iterator[Misfit]:
    if ours is None and not one.zone:
        yield Misfit(path, f'"{one.name}"', "a zone, for a list that does not ship (vaglio links lists)")
    kind = one.kind if "kind" in one.model_fields_set or ours is None else ours.kind
    yield from subjects_in_vain(one.subjects, kind, _ABLE, path)


CATALOGUE = Catalogue(LinkListSettings, _PACKAGE, _FILE, "score.links", "vaglio links lists", _misfits_of)
shipped, names = CATALOGUE.shipped, CATALOGUE.names
misfits, doubts = CATALOGUE.misfits, CATALOGUE.doubts
effective, everything = CATALOGUE.effective, CATALOGUE.everything


@functools.cache
def common() -> frozenset[str]:
    """Return domains that no list is asked about: everybody links to them."""
    return frozenset(tomllib.loads(files(_PACKAGE).joinpath(_FILE).read_text("utf-8"))["common"])
