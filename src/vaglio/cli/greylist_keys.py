"""How an admin names what greylisting stores: pools by domain, network or address, hidden where privacy is on."""

from __future__ import annotations

from pathlib import Path

from vaglio.checks.greylist.keys import Keys
from vaglio.checks.greylist.pool import pool_of
from vaglio.checks.greylist.settings import GreylistSettings
from vaglio.cli.common import CliError, said, state_directory
from vaglio.config.load import Loaded
from vaglio.facts import client_of


def keys_of(loaded: Loaded) -> Keys:
    """Return what makes the keys of the store. Raises CliError when the secret of ``privacy`` can't be read."""
    return Keys(_secret(state_directory(loaded) / "greylist.secret") if loaded.config.greylist.privacy else b"")


def _secret(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        raise CliError(f"there is no {path} yet: has the daemon run with greylist.privacy?") from None
    except OSError as error:
        raise CliError(f"{path}: {said(error)}") from error
    if not key:  # an empty key would veil nothing, and find nothing
        raise CliError(f"{path} is empty: it is damaged")
    return key


def pool_named(text: str, settings: GreylistSettings) -> str:
    """Return the name of a pool as it is stored; an address stands for the network that it is in."""
    client = client_of(text)
    return pool_of(client, settings).name if client.packed else text.strip().lower()
