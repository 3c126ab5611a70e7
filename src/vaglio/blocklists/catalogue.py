"""The lists that ship with Vaglio for one section of the configuration, and what the configuration makes of them.

A shipped list is asked when it is on by itself or named in ``use``; an entry of ``lists`` with its name changes what it
says and leaves the rest. ``ended.toml`` names zones whose lists have ended, whoever asks. Reads files, asks nobody.
"""

from __future__ import annotations

import functools
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from importlib.resources import files
from typing import Generic, NamedTuple, Protocol, TypeVar

from vaglio.blocklists.settings import KEY, DnsListSettings, parse_bit, parse_codes

One = TypeVar("One", bound=DnsListSettings)
"""The settings of one list, in the words of a section."""


class Lists(Protocol[One]):
    """What a section says of its lists."""

    use: list[str]
    without: list[str]
    lists: list[One]


Path = tuple[str | int, ...]
"""Leads to an entry, or a key of it, from the section."""


class Misfit(NamedTuple):
    """An entry of ``use``, ``without`` or ``lists``, or a key of it, that can't be: ``found`` is in TOML's notation;
    ``unknown`` is the name of a list that there is not.
    """

    path: Path
    found: str
    wanted: str
    unknown: str = ""


class Doubt(NamedTuple):
    """Something at ``path`` that can be, and is probably not meant."""

    path: Path
    text: str


@functools.cache
def ended() -> Mapping[str, str]:
    """Return zones of lists that have ended, with all below them, and what became of each."""
    entries = tomllib.loads(files("vaglio.blocklists").joinpath("ended.toml").read_text("utf-8"))["dead"]
    return {zone: entry["what"] for entry in entries for zone in entry["zones"]}


class Catalogue(Generic[One]):
    """The shipped lists of one section, such as ``dnsbl``: those of a file in ``package``. ``command`` shows them;
    ``misfits_of`` says what is wrong with one entry of ``lists`` by itself, given what it has of the shipped one.
    """

    def __init__(
        self,
        kind: type[One],
        package: str,
        file: str,
        section: str,
        command: str,
        misfits_of: Callable[[One, One | None, Path], Iterator[Misfit]],
    ) -> None:
        self._kind, self._package, self._file = kind, package, file
        self._section, self._command, self._misfits_of_one = section, command, misfits_of
        self._shipped: Mapping[str, One] | None = None

    def shipped(self) -> Mapping[str, One]:
        """Return the shipped lists by name, in the order of the file."""
        if self._shipped is None:
            entries = tomllib.loads(files(self._package).joinpath(self._file).read_text("utf-8"))["list"]
            self._shipped = {entry["name"]: self._kind(**entry) for entry in entries}
        return self._shipped

    def names(self) -> Mapping[str, str]:
        """Return the names of the shipped lists by what an admin may write for them: the name, or the zone."""
        known = self.shipped()
        return {**{_tail(one): name for name, one in known.items()}, **{name: name for name in known}}

    def misfits(self, settings: Lists[One]) -> Iterator[Misfit]:
        """Yield names that no shipped list has, own lists that can't be, and keys that lack."""
        known = self.shipped()
        for key in ("use", "without"):
            for index, name in enumerate(getattr(settings, key)):
                if name not in known:
                    wanted = f"the name of a list that ships ({self._command} --all)"
                    yield Misfit((key, index), f'"{name}"', wanted, name)
        first: dict[str, int] = {}
        for index, one in enumerate(settings.lists):
            if first.setdefault(one.name, index) != index:
                yield Misfit(("lists", index), *self._same_name(one, first[one.name]))
            yield from self._misfits_of_one(one, known.get(one.name), ("lists", index))
            yield from self._shown_key(one, ("lists", index))
        yield from self._keyless(settings)

    def _same_name(self, one: One, first: int) -> tuple[str, str]:
        """Return what was found and what is wanted of a list whose name another has."""
        unnamed = "" if "name" in one.model_fields_set else "a list without a name, which is "
        wanted = f'a name of its own; {self._section}.lists[{first}] is "{one.name}" already'
        return f'{unnamed}"{one.name}"', wanted

    def _shown_key(self, one: One, path: Path) -> Iterator[Misfit]:
        paid = next((ours for ours in self.shipped().values() if KEY in ours.zone and _is_below(one.zone, ours)), None)
        if paid and one.zone != paid.zone:
            instead = f'no zone and key = "..." in an entry with name = "{paid.name}"'
            wanted = f"{instead}; a key within a zone would be shown"
            yield Misfit((*path, "zone"), "a value that is not shown", wanted)

    def _keyless(self, settings: Lists[One]) -> Iterator[Misfit]:
        """Yield the entries that ask a list which wants a key that nobody gave."""
        asked = {one.name for one in self.effective(settings) if KEY in one.zone and not one.key}
        for key in ("use", "lists"):
            for index, entry in enumerate(getattr(settings, key)):
                name = entry if key == "use" else entry.name
                if name in asked:
                    asked.remove(name)
                    wanted = f'an entry of {self._section}.lists with name = "{name}" and its access key'
                    yield Misfit((key, index), f'"{name}"', wanted)

    def doubts(self, settings: Lists[One]) -> Iterator[Doubt]:
        """Yield the entries that ask a list which has ended, or a zone that another list asks for the same."""
        own: dict[str, Path] = {one.name: ("lists", index, "zone") for index, one in enumerate(settings.lists)}
        others: defaultdict[str, list[One]] = defaultdict(list)
        for one in self.effective(settings):
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

    def effective(self, settings: Lists[One]) -> tuple[One, ...]:
        """Return the lists to be asked: shipped ones first, in their order, then the admin's own."""
        return tuple(one for one in self.everything(settings) if one.enabled)

    def everything(self, settings: Lists[One]) -> tuple[One, ...]:
        """Return all lists, those too that are not to be asked: ``enabled`` tells."""
        known, own = self.shipped(), {one.name: one for one in settings.lists}
        merged = [_changed(known[name], own.get(name), name in settings.use) for name in known]
        merged += [self._warned(one) for name, one in own.items() if name not in known]
        off = {"enabled": False}
        return tuple(one.model_copy(update=off) if one.name in settings.without else one for one in merged)

    def _warned(self, one: One) -> One:
        """Let a list of the admin's in the zone of a shipped one know the codes by which that refuses."""
        shipped = self.shipped().values()
        ours = next((ours for ours in shipped if one.zone == _tail(ours) or _is_below(one.zone, ours)), None)
        if ours is None or "blocked" in one.model_fields_set:
            return one
        return one.model_copy(update={"blocked": ours.blocked})


def subjects_in_vain(
    subjects: Sequence[str], kind: str, able: Mapping[str, Sequence[str]], path: Path
) -> Iterator[Misfit]:
    """Yield the subjects of a list in the DNS that one of its kind can't be asked about; ``able`` has those it can."""
    for index, subject in enumerate(subjects):
        if subject not in able[kind]:
            wanted = ", ".join(f'"{one}"' for one in able[kind])
            yield Misfit((*path, "subjects", index), f'"{subject}"', f'for a list of kind "{kind}": {wanted}')


def _tail(ours: DnsListSettings) -> str:
    return ours.zone.removeprefix(f"{KEY}.")


def _is_below(zone: str, ours: DnsListSettings) -> bool:
    """Return whether a zone is that of a shipped list with something (mostly a key) before it."""
    return zone.endswith(f".{_tail(ours)}")


def _say_the_same(one: DnsListSettings, other: DnsListSettings) -> bool:
    """Return whether an entry of a zone may count for both lists. Each may have codes or subjects of its own."""
    if one.kind != other.kind or one.shadow or other.shadow or (one.kind == "hash" and one.hash != other.hash):
        return False
    families = (one.ipv4 and other.ipv4) or (one.ipv6 and other.ipv6) or one.kind != "address"
    subjects = set(one.asked_about).intersection(other.asked_about)
    return bool(families and subjects) and any(_overlap(code, its) for code in _counted(one) for its in _counted(other))


_ANY = ("127.0.0.2-255", "127.0.1-255.0-255")
"""What counts of a list without codes."""


def _counted(one: DnsListSettings) -> list[str]:
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


def _changed(ours: One, change: One | None, used: bool) -> One:
    said = {name: getattr(change, name) for name in change.model_fields_set} if change else {}
    if "weight" in said and "codes" not in said:
        said["codes"] = dict.fromkeys(ours.codes, said["weight"])
    # To give a list a key, or to change its weight, is to want it.
    enabled = bool(said.get("enabled", used or change is not None or ours.enabled))
    return ours.model_copy(update={**said, "enabled": enabled})
