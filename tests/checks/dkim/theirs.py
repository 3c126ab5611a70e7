"""dkimpy as an oracle: what it says of a signature, with our keys and our time."""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import dkim
import pytest

from tests.checks.dkim.samples import NOW
from vaglio.examination import Field


def set_time(patch: pytest.MonkeyPatch, now: float = NOW) -> None:
    patch.setattr(dkim, "time", SimpleNamespace(time=lambda: now))


def message(header: Sequence[Field], body: bytes) -> bytes:
    lines = [name + b":" + value.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for name, value in header]
    return b"\r\n".join([*lines, b"", body])


def verifies(header: Sequence[Field], body: bytes, keys: Mapping[str, str], index: int = 0) -> bool:
    """Return what dkimpy says; False where it raises one of the errors that it raises for what is wrong."""

    def ask(name: bytes, timeout: int = 5) -> bytes | None:
        found = keys.get(name.decode("latin-1").rstrip(".").lower())
        return None if found is None else found.encode("latin-1")

    try:
        return bool(dkim.DKIM(message(header, body)).verify(index, dnsfunc=ask))
    except (dkim.DKIMException, ValueError, IndexError, TypeError, AssertionError, binascii.Error):
        return False
