"""Warnings about requests, not with each of them: a request comes with every recipient."""

from __future__ import annotations

from collections.abc import Callable

from vaglio.daemon.clock import monotonic
from vaglio.daemon.log import Throttle

SECONDS = 60.0
"""For so long the same text is not repeated."""


def seldom(warn: Callable[[str], None]) -> Callable[[str], None]:
    """Return ``warn`` that keeps quiet about what it has just said."""
    throttle = Throttle(SECONDS, monotonic)

    def warn_seldom(text: str) -> None:
        if throttle(text) is not None:
            warn(text)

    return warn_seldom
