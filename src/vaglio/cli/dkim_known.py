"""All keys of this host: those of the key directory in any state, and those that the configuration or tables name. They
are read as the daemon reads them, by its user too where root asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vaglio.checks.dkim.signing.keyfile import KeyTrouble, read_key
from vaglio.checks.dkim.signing.keys import Keys
from vaglio.checks.dkim.signing.record import kind
from vaglio.checks.dkim.signing.settings import DkimSignSettings
from vaglio.checks.dkim.signing.sign import PrivateKey
from vaglio.cli.common import CliError, warn
from vaglio.cli.dkim_folder import folders
from vaglio.cli.dkim_reader import acting_as, reader
from vaglio.config.load import Loaded


class Known(NamedTuple):
    """A key. ``state`` is that of a ring, or "revoked"; what is named elsewhere is "signing". ``key`` is None where it
    can't be read, and ``trouble`` says why. ``source`` is "directory", "configuration" or "table".
    """

    domain: str
    selector: str
    algorithm: str
    state: str
    since: int | None
    file: str
    source: str
    key: PrivateKey | None
    trouble: str = ""

    @property
    def condition(self) -> str:
        """Its state in words for an admin; a credential is the daemon's alone to read."""
        return "broken" if self.trouble and not self.file.startswith("credential:") else self.state


def known(loaded: Loaded, only: str = "") -> list[Known]:
    """Return all keys, or those of a domain, in the order of domains. What can't be read, so that nobody knows
    whose it is, stands there as "?"; where one domain was asked for, it is a warning.
    """
    settings, daemon = loaded.config.dkim.sign, reader(loaded)
    warnings: list[str] = []
    listed = [one for one in (*_in_directory(settings), *_named(settings)) if only in ("", one.domain)]
    with acting_as(daemon):
        entries = Keys(settings, warnings.append).entries()
        found = [one if one.trouble else _read(one) for one in listed]
    seen = {(one.domain, one.selector) for one in found}
    found += [
        Known(entry.domain, entry.selector, kind(key.algorithm), "signing", None, entry.file, "table", key)
        for entry, key in entries
        if only in ("", entry.domain) and (entry.domain, entry.selector) not in seen
    ]
    for text in warnings:
        if any(one.trouble and text.startswith(one.trouble) for one in found):
            continue
        if only:
            warn(text)
        else:
            found.append(Known("?", "?", "?", "signing", None, text.partition(":")[0], "table", None, text))
    return sorted(found, key=lambda one: (one.domain, one.since or 0, one.algorithm != "rsa", one.selector))


def _in_directory(settings: DkimSignSettings) -> Iterator[Known]:
    for folder in folders(Path(settings.key_dir)) if settings.key_dir else []:
        try:
            ring = folder.load()
        except CliError as error:
            yield Known(folder.domain, "?", "?", "signing", None, str(folder.path), "directory", None, str(error))
            continue
        for one in ring.keys:
            state = "revoked" if one.revoked else one.state
            file = str(folder.path / one.file)
            yield Known(folder.domain, one.selector, one.algorithm, state, one.since, file, "directory", None)


def _named(settings: DkimSignSettings) -> Iterator[Known]:
    for one in settings.keys:
        yield Known(one.domain, one.selector, "?", "signing", None, one.file, "configuration", None)


def _read(row: Known) -> Known:
    """Read the key as the daemon does, which wants that nobody else can."""
    try:
        key = read_key(row.file)
    except KeyTrouble as error:
        return row._replace(trouble=str(error))
    return row._replace(key=key, algorithm=kind(key.algorithm))
