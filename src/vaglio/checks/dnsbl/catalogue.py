"""The lists that ship with Vaglio for ``vaglio-dnsbl`` (``catalogue.toml``), and what [dnsbl] makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from vaglio.blocklists.catalogue import Catalogue, Misfit, Path, subjects_in_vain
from vaglio.checks.dnsbl.settings import ListSettings

_SERVERS = ("sender_ns", "sender_mx")
_ABLE: Mapping[str, Sequence[str]] = {
    "address": ("client", *_SERVERS),
    "domain": ("client_name", "reverse_name", "helo", "sender", *_SERVERS),
    "hash": ("sender",),
}
"""What a list in the DNS can be asked about, by its kind."""


def _misfits_of(one: ListSettings, ours: ListSettings | None, path: Path) -> Iterator[Misfit]:
    if ours is None and bool(one.zone) == bool(one.file):
        wanted = "a zone, or else a file, for a list that does not ship (vaglio dnsbl lists)"
        yield Misfit(path, f'"{one.name}"', wanted)
    if one.file and one.kind == "hash":
        yield Misfit((*path, "kind"), '"hash"', 'a zone: a file holds addresses ("address") or names ("domain")')
    if not one.file:  # a plain file may hold both
        kind = one.kind if "kind" in one.model_fields_set or ours is None else ours.kind
        yield from subjects_in_vain(one.subjects, kind, _ABLE, path)


CATALOGUE = Catalogue(
    ListSettings, "vaglio.checks.dnsbl", "catalogue.toml", "dnsbl", "vaglio dnsbl lists", _misfits_of
)
shipped, names = CATALOGUE.shipped, CATALOGUE.names
misfits, doubts = CATALOGUE.misfits, CATALOGUE.doubts
effective, everything = CATALOGUE.effective, CATALOGUE.everything
