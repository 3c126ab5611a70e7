"""Which sender addresses belong to which login (Postfix's smtpd_sender_login_maps, postconf(5)).

A login's own are the login itself, with or without an extension (``tizio+news@``), and what the files give to it.
Pure: it opens no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vaglio.lists import MAX_PROBLEMS, Problem


@dataclass(frozen=True, slots=True)
class Logins:
    """Logins by sender address, or by ``@domain``, all in lower case."""

    owners: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.owners)

    def __add__(self, other: Logins) -> Logins:
        """Return the lines of both; for an address that both have, the logins of both."""
        owners = dict(self.owners)
        for address, logins in other.owners.items():
            owners[address] = owners.get(address, frozenset()) | logins
        return Logins(owners)

    def owns(self, login: str, sender: str) -> bool:
        """Tell whether ``login`` may send as ``sender``; the null sender belongs to everybody."""
        local, _, domain = sender.rpartition("@")
        plain = f"{local.partition('+')[0]}@{domain}"
        if not sender or login in (sender, plain):
            return True
        for address in (sender, plain):
            if address in self.owners:  # as Postfix has it: the most special entry counts, not those of the domain
                return login in self.owners[address]
        return login in self.owners.get("@" + domain, ())


def parse_logins(lines: Iterable[str], source: str) -> tuple[Logins, list[Problem]]:
    """Read ``address login login ...`` a line; commas may stand between logins, ``#`` begins a comment line."""
    owners: dict[str, frozenset[str]] = {}
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        address, *logins = line.lower().replace(",", " ").split()
        if "@" not in address or not logins:
            if len(problems) < MAX_PROBLEMS:
                wanted = 'an address or @domain, and the logins that may use it: "info@tizio.it tizio@tizio.it"'
                problems.append(Problem(source, number, f'"{ascii(line[:60])[1:-1]}"', wanted))
            continue
        owners[address] = owners.get(address, frozenset()) | frozenset(logins)
    return Logins(owners), problems
