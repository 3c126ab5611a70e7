"""Who is not greylisted, as the settings and the list files of the moment say.

Beside the files that the settings name there are the admin's own, one of each kind in the state directory: these are
what ``vaglio greylist allow`` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from vaglio.checks.greylist.decide import CompiledRule, Lists
from vaglio.checks.greylist.settings import GreylistSettings, Rule
from vaglio.checks.listfiles import ListFiles
from vaglio.lists import AddressList, ClientList, NetworkSet

LOOPBACK = ("127.0.0.0/8", "::1")
KINDS = ("clients", "senders", "recipients")


def allowed_file(state: Path, kind: str) -> Path:
    """Return the file of the state directory that has the allowed ``clients``, ``senders`` or ``recipients``."""
    return state / f"greylist-allow-{kind}"


class Whitelists:
    """Reads the lists, and reads them again when they change; ``current`` is cheap."""

    def __init__(self, settings: GreylistSettings, state: Path, warn: Callable[[str], None]) -> None:
        def paths(named: Sequence[str], kind: str) -> list[Path]:
            return [*map(Path, named), allowed_file(state, kind)]

        self._local = NetworkSet([*LOOPBACK, *settings.trusted_networks])
        self._rules = compile_rules(settings.rule)
        self._clients = ListFiles(paths(settings.whitelist_clients, "clients"), ClientList.parse, warn)
        self._senders = ListFiles(paths(settings.whitelist_senders, "senders"), AddressList.parse, warn)
        self._recipients = ListFiles(paths(settings.whitelist_recipients, "recipients"), AddressList.parse, warn)
        self._current = self._join()

    def current(self) -> Lists:
        """Return the lists of the moment."""
        return self._current

    def refresh(self) -> None:
        """Read again what changed on disk."""
        changed = [files.refresh() for files in (self._clients, self._senders, self._recipients)]
        if any(changed):
            self._current = self._join()

    def _join(self) -> Lists:
        return Lists(self._local, self._rules, self._clients.current, self._senders.current, self._recipients.current)


def compile_rules(rules: Sequence[Rule]) -> tuple[CompiledRule, ...]:
    """Read the lists of each rule; their entries were validated with the settings."""
    return tuple(
        CompiledRule(
            rule,
            ClientList.parse(rule.clients, "")[0] if rule.clients else None,
            AddressList.parse(rule.senders, "")[0] if rule.senders else None,
            AddressList.parse(rule.recipients, "")[0] if rule.recipients else None,
            number,
        )
        for number, rule in enumerate(rules)
    )
