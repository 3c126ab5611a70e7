"""The section ``[tag]``: which marks stand in front of the subject, and when."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from vaglio.config.types import MilterSection, SocketAddress


class TagSettings(MilterSection):
    """Marks in the subject, such as [SPAM]."""

    listen: Annotated[list[SocketAddress], Field(min_length=1)] = ["unix:/run/vaglio/tag.sock"]
    """Sockets to listen on."""
