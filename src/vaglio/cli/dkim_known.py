"""All keys of this host: those of the key directory in any state, and those that the configuration or tables name."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vaglio.checks.dkim.signing.keys import Keys
from vaglio.checks.dkim.signing.record import kind
from vaglio.checks.dkim.signing.settings import DkimSignSettings
from vaglio.checks.dkim.signing.sign import PrivateKey
from vaglio.cli.common import CliError, warn
from vaglio.cli.dkim_folder import folders
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


def known(loaded: Loaded, only: str = "") -> list[Known]:
    """Return all keys, or those of a domain, in the order of domains."""
    settings = loaded.config.dkim.sign
    found = _in_directory(settings, only)
    seen = {(one.domain, one.selector) for one in found}
    for entry, key in Keys(settings, warn).entries():
        if only in ("", entry.domain) and (entry.domain, entry.selector) not in seen:
            named = any(entry.file == one.file for one in settings.keys)
            found.append(Known(entry.domain, entry.selector, kind(key.algorithm), "signing", None, entry.file,
                               "configuration" if named else "table", key))  # fmt: skip
    return sorted(found, key=lambda one: (one.domain, one.since or 0, one.selector))


def _in_directory(settings: DkimSignSettings, only: str) -> list[Known]:
    found: list[Known] = []
    for folder in folders(Path(settings.key_dir)) if settings.key_dir else []:
        if only not in ("", folder.domain):
            continue
        for one in folder.load().keys:
            state = "revoked" if one.revoked else one.state
            row = Known(folder.domain, one.selector, one.algorithm, state, one.since, str(folder.path / one.file),
                        "directory", None)  # fmt: skip
            try:
                found.append(row._replace(key=folder.key(one)))
            except CliError as error:
                found.append(row._replace(trouble=str(error)))
    return found
