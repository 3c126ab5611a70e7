"""Lists that admins write: client networks and names, sender and recipient addresses.

The syntax is that of postgrey's whitelists (README, "Lists"), one entry a line; ``#`` begins a comment. A line
that is no entry becomes a ``Problem``, is left out, and the rest of the list serves.

Clients (``ClientList``):

- ``192.0.2.1``, ``2001:db8::1``, ``192.0.2.0/24``, ``2001:db8::/32``, or the first octets: ``192.0.2``, ``10.1.``
- ``example.com``: this name and all below it (never ``notexample.com``); ``.example.com``: only those below
- ``/expression/``: searched for in the client's name

Senders and recipients (``AddressList``):

- ``user@example.com``, ``user@``: also with an extension (``user+lists@``)
- ``example.com``: the domain and all below it; ``.example.com``: only those below; ``@example.com``: only itself
- ``<>``: the null sender
- ``/expression/``: searched for in the whole address

Names are compared with *verified* client names only: whoever owns an address can write any PTR record. Letter case
never counts. Expressions are RE2's: linear time on hostile text, so no look-around and no back-references.

This module reads no files (``checks/listfiles.py`` does) and decides nothing.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from vaglio.names import a_labels

if TYPE_CHECKING:
    from vaglio.facts import Client

MAX_LINE = 1024
"""Longest line in characters: a domain has 253, an address at most 320."""
MAX_ENTRIES = 100_000
"""Most entries that one list may have."""
MAX_PROBLEMS = 100
"""Most problems that are named one by one."""
MAX_PATTERN = 500
"""Longest regular expression in characters."""
MAX_PROGRAM = 100_000
"""Most RE2 instructions of all expressions of a list: what they may cost in memory."""
MAX_NAME = 255
MAX_ADDRESS = 1024


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that was left out: where it stands, what was found (printable, shortened), what would have served."""

    source: str
    line: int
    found: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: found {self.found}, wanted {self.wanted}"


class Entry(NamedTuple):
    """A line of a list. ``key`` is its normal form, by which ``kind`` is looked up; ``text`` is as written."""

    kind: str
    key: str
    text: str
    source: str
    line: int


NETWORK, NAME, BELOW, ADDRESS, LOCAL, DOMAIN, EXPRESSION = (
    "network", "name", "below", "address", "local", "domain", "expression",
)  # fmt: skip


# --- networks ---------------------------------------------------------------------------------------------------

_NETWORK = re.compile(r"[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?", re.ASCII)
_PARTIAL = re.compile(r"[0-9]{1,3}(?:\.|(?:\.[0-9]{1,3}){1,2}\.?)", re.ASCII)
_WANTED_NETWORK = 'an address or network such as "192.0.2.1", "192.0.2.0/24" or "2001:db8::/32"'


def parse_network(text: str) -> str:
    """Return the normal form of a network: ``192.0.2.0/24``, ``2001:db8::/32``; a single address is /32 or /128.

    ``192.0.2`` is a /24, ``10.1.`` a /16; bits beyond the prefix are cleared; brackets as in Postfix's mynetworks
    are taken; a mapped IPv4 network (``::ffff:192.0.2.0/120``) is IPv4. Raises ValueError.
    """
    text = text.replace("[", "", 1).replace("]", "", 1) if text.startswith("[") else text
    if _PARTIAL.fullmatch(text):
        octets = text.rstrip(".").split(".")
        text = ".".join(octets + ["0"] * (4 - len(octets))) + f"/{8 * len(octets)}"
    if not _NETWORK.fullmatch(text):
        raise ValueError(_WANTED_NETWORK)
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(_WANTED_NETWORK) from None
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is not None and network.prefixlen >= 96:  # RFC 4291 2.5.5.2
        return f"{mapped}/{network.prefixlen - 96}"
    return str(network)


class NetworkSet:
    """A set of IPv4 and IPv6 networks. Asking costs one dict look-up for each prefix length in use."""

    __slots__ = ("_size", "_tables")

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Take networks as ``parse_network`` reads them; raises ValueError for anything else."""
        tables: dict[int, dict[int, dict[int, str]]] = {4: {}, 16: {}}
        for text in networks:
            network = ipaddress.ip_network(parse_network(text))
            width, shift = network.max_prefixlen // 8, network.max_prefixlen - network.prefixlen
            tables[width].setdefault(shift, {})[int(network.network_address) >> shift] = str(network)
        # The smallest shift is the longest prefix: the narrowest network that holds an address is found first.
        self._tables = {width: sorted(by_shift.items()) for width, by_shift in tables.items()}
        self._size = sum(len(table) for by_shift in tables.values() for table in by_shift.values())

    @classmethod
    def parse(cls, lines: Iterable[str], source: str) -> tuple[NetworkSet, list[Problem]]:
        """Read one network a line, as Postfix's mynetworks has them; ``source`` names the list in problems."""
        entries, problems = read_entries(lines, source, lambda text: (NETWORK, parse_network(text)))
        return cls(entry.key for entry in entries), problems

    def find(self, packed: bytes) -> str:
        """Return the normal form of the narrowest network that holds the 4- or 16-byte address; "" if none does."""
        number = int.from_bytes(packed)
        for shift, table in self._tables.get(len(packed), ()):
            if number >> shift in table:
                return table[number >> shift]
        return ""

    def __contains__(self, packed: bytes) -> bool:
        return self.find(packed) != ""

    def __len__(self) -> int:
        return self._size


# --- expressions ------------------------------------------------------------------------------------------------


class _Expressions:
    """Many RE2 expressions, searched for in one pass. RE2 is imported with the first of them."""

    __slots__ = ("_entries", "_set")

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._set: Any = None
        if entries:
            import re2

            self._set = re2.Set.SearchSet(_re2_options())
            for entry in entries:
                self._set.Add(entry.key)
            self._set.Compile()

    def find(self, text: str) -> Entry | None:
        """Return the first entry (in the order of the list) that is found in ``text``."""
        if self._set is None:
            return None
        # A lone surrogate can't be UTF-8: RE2 gets a "?" in its place.
        found = self._set.Match(text.encode("utf-8", "replace"))
        return self._entries[min(found)] if found else None


def _re2_options() -> Any:
    import re2

    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = 32 << 20  # a bound, not what is taken
    return options


def _expression_size(pattern: str) -> int:
    """Return the number of RE2 instructions; raises ValueError that says what RE2 does not take."""
    import re2

    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"an expression of at most {MAX_PATTERN} characters")
    try:
        return int(re2.compile(pattern, _re2_options()).programsize)
    except re2.error as error:
        detail = error.args[0]
        detail = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
        raise ValueError(f"an expression that RE2 takes ({_shown(detail)})") from None


# --- reading ----------------------------------------------------------------------------------------------------


def _shown(text: str) -> str:
    """Return the text printable, on one line, shortened."""
    return ascii(text[:80])[1:-1] + ("..." if len(text) > 80 else "")


def read_entries(
    lines: Iterable[str], source: str, classify: Callable[[str], tuple[str, str]]
) -> tuple[list[Entry], list[Problem]]:
    """Read a list. ``classify`` returns kind and key of an entry's text, or raises ValueError with what it wants."""
    entries: list[Entry] = []
    problems: list[Problem] = []
    program = 0
    for number, line in enumerate(lines, 1):
        text = line[: MAX_LINE + 1].partition("#")[0].strip()
        if not text:
            continue
        try:
            if len(line) > MAX_LINE:
                raise ValueError(f"a line of at most {MAX_LINE} characters")
            if len(entries) == MAX_ENTRIES:
                raise ValueError(f"at most {MAX_ENTRIES} entries; the rest is left out")
            kind, key = classify(text)
            if kind == EXPRESSION:
                program += _expression_size(key)
                if program > MAX_PROGRAM:
                    raise ValueError("fewer or simpler expressions: all those of the list together are too large")
        except ValueError as error:
            problems.append(Problem(source, number, f'"{_shown(text)}"', str(error)))
            if len(entries) == MAX_ENTRIES:
                break
            continue
        entries.append(Entry(kind, key, text, source, number))
    return entries, _bounded(problems, source)


def _bounded(problems: list[Problem], source: str) -> list[Problem]:
    """Name at most MAX_PROBLEMS of them; the last then says how many there are."""
    if len(problems) <= MAX_PROBLEMS:
        return problems
    shown = problems[:MAX_PROBLEMS]
    rest = len(problems) - MAX_PROBLEMS
    return [*shown, Problem(source, problems[MAX_PROBLEMS].line, f"{rest} more lines like these", "a list")]


_LABELS = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*", re.ASCII)
_LITERAL = re.compile(r"\[[0-9a-z:.]{2,50}\]", re.ASCII)


def _ascii_name(name: str) -> str:
    """Return a domain name in lower case, A-labels for U-labels, no dot at its end; "" if it can't be."""
    name = name.lower().removesuffix(".")
    if len(name) > MAX_NAME:
        return ""
    try:
        return a_labels(name)
    except UnicodeError:
        return ""


def _name_key(text: str, wanted: str) -> str:
    """Return the normal form of a domain name in a list; raises ValueError(wanted)."""
    name = _ascii_name(text)
    if len(name) <= 253 and _LABELS.fullmatch(name):
        return name
    raise ValueError(wanted)


def _expression(text: str) -> str:
    """Return the pattern of ``/pattern/``; raises ValueError if it does not end."""
    if len(text) < 3 or not text.endswith("/"):
        raise ValueError("an expression between two slashes: /expression/")
    return text[1:-1]


def _is_below(name: str, names: dict[str, Entry], below: dict[str, Entry]) -> Entry | None:
    """Return the entry for ``name`` itself or the nearest name above it."""
    found = names.get(name)
    while found is None and name:
        name = name.partition(".")[2]
        found = names.get(name) or below.get(name)
    return found


class _List:
    """What both kinds of list have: entries, found again by their text."""

    __slots__ = ("_by_text", "_expressions", "entries")

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        self.entries = tuple(entries)
        self._expressions = _Expressions(self._keep(EXPRESSION))
        self._by_text = {entry.text: entry for entry in reversed(self.entries)}

    def where(self, entry: str) -> str:
        """Return ``file:line`` of an entry's text as ``matches`` returned it; "" if there is no such entry."""
        found = self._by_text.get(entry)
        return f"{found.source}:{found.line}" if found else ""

    def __len__(self) -> int:
        return len(self.entries)

    def _keep(self, kind: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind == kind]

    def _index(self, kind: str) -> dict[str, Entry]:
        """Map key to entry; of two equal ones the first counts."""
        return {entry.key: entry for entry in reversed(self.entries) if entry.kind == kind}


_WANTED_CLIENT = 'an address, a network, a domain name or "/expression/"'
_NUMERIC = re.compile(r"[0-9./]+|.*:.*|\[.*", re.ASCII)


def _classify_client(text: str) -> tuple[str, str]:
    if text.startswith("/"):
        return EXPRESSION, _expression(text)
    if _NUMERIC.fullmatch(text):
        return NETWORK, parse_network(text)
    if text.startswith("."):
        return BELOW, _name_key(text[1:], _WANTED_CLIENT)
    return NAME, _name_key(text, _WANTED_CLIENT)


class ClientList(_List):
    """Clients by address, network, verified name or expression; see the top of this module."""

    __slots__ = ("_below", "_names", "_networks", "_of_network")

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        super().__init__(entries)
        self._of_network = self._index(NETWORK)
        self._networks = NetworkSet(self._of_network)
        self._names = self._index(NAME)
        self._below = self._index(BELOW)

    @classmethod
    def parse(cls, lines: Iterable[str], source: str) -> tuple[ClientList, list[Problem]]:
        """Read a list, one entry a line; ``source`` names it in problems and in ``where``."""
        entries, problems = read_entries(lines, source, _classify_client)
        return cls(entries), problems

    def __add__(self, other: ClientList) -> ClientList:
        return ClientList(self.entries + other.entries)

    def matches(self, client: Client) -> str:
        """Return the text of the entry that names the client; "" if none does."""
        entry = self._of_network.get(self._networks.find(client.packed))
        name = client.name
        if entry is None and name and len(name) <= MAX_NAME:
            name = name.lower().removesuffix(".")
            entry = _is_below(name, self._names, self._below) or self._expressions.find(name)
        return entry.text if entry else ""


_WANTED_ADDRESS = 'an address, "user@", a domain name or "/expression/"'


def _domain_key(text: str) -> str:
    literal = text.lower()
    return literal if _LITERAL.fullmatch(literal) else _name_key(text, _WANTED_ADDRESS)


def _classify_address(text: str) -> tuple[str, str]:
    if text == "<>":
        return ADDRESS, ""
    if text.startswith("/") and (text.endswith("/") or "@" not in text):
        return EXPRESSION, _expression(text)
    if any(character.isspace() for character in text):
        raise ValueError(_WANTED_ADDRESS)
    local, at, domain = text.rpartition("@")
    if not at:
        kind, domain = (BELOW, text[1:]) if text.startswith(".") else (NAME, text)
        return kind, _domain_key(domain)
    if not local:
        return DOMAIN, _domain_key(domain)
    return (ADDRESS, f"{local.lower()}@{_domain_key(domain)}") if domain else (LOCAL, local.lower())


class AddressList(_List):
    """Senders or recipients by address, local part, domain or expression; see the top of this module."""

    __slots__ = ("_addresses", "_below", "_domains", "_locals", "_names")

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        super().__init__(entries)
        self._addresses = self._index(ADDRESS)
        self._locals = self._index(LOCAL)
        self._domains = self._index(DOMAIN)
        self._names = self._index(NAME)
        self._below = self._index(BELOW)

    @classmethod
    def parse(cls, lines: Iterable[str], source: str) -> tuple[AddressList, list[Problem]]:
        """Read a list, one entry a line; ``source`` names it in problems and in ``where``."""
        entries, problems = read_entries(lines, source, _classify_address)
        return cls(entries), problems

    def __add__(self, other: AddressList) -> AddressList:
        return AddressList(self.entries + other.entries)

    def matches(self, address: str) -> str:
        """Return the text of the entry that names the address ("" is the null sender); "" if none does."""
        if not self.entries or len(address) > MAX_ADDRESS:
            return ""
        entry = self._find(address.lower())
        return entry.text if entry else ""

    def _find(self, address: str) -> Entry | None:
        local, at, domain = address.rpartition("@")
        if not at:  # the null sender, or a local part that no domain was added to
            if not address:
                return self._addresses.get("")
            return self._locals.get(address) or self._expressions.find(address)
        domain = _ascii_name(domain)
        plain = local.partition("+")[0]  # user+extension
        return (
            self._addresses.get(f"{local}@{domain}")
            or self._addresses.get(f"{plain}@{domain}")
            or self._locals.get(local)
            or self._locals.get(plain)
            or self._domains.get(domain)
            or _is_below(domain, self._names, self._below)
            or self._expressions.find(address)
        )
