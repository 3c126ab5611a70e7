"""The sections ``[chain.NAME]``: several checks of messages in one process, in an order."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from vaglio.config.types import MilterSection, SocketAddress

Hostable = Literal["spf", "dkim_verify", "dkim_sign", "score", "tag"]
"""The checks that a chain can host."""


def _once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("each check once")
    return names


class ChainSettings(MilterSection):
    """Several checks of messages in one process ("vaglio-chain NAME"): one reading of the message, one
    Authentication-Results, one verdict. Each check is set in its own section, whose on_error, mode and deadline hold
    here too. Two chains ship, with checks of their own unless you set them: "inbound" is for mail from outside and has
    ["spf", "dkim_verify", "score", "tag"], "outbound" for that of your own users and has ["dkim_sign"].
    """

    listen: Annotated[list[SocketAddress], Field(min_length=1)] = ["unix:/run/vaglio/NAME.sock"]
    """Sockets to listen on; NAME is the chain's."""
    checks: Annotated[list[Hostable], AfterValidator(_once)] = []
    """What is asked, in this order: the strongest verdict wins, and of equals the first says why."""


READY: dict[str, dict[str, Any]] = {
    "inbound": {"checks": ["spf", "dkim_verify", "score", "tag"]}, "outbound": {"checks": ["dkim_sign"]},
}  # fmt: skip
"""The chains that ship; the text of ``ChainSettings`` names their checks."""


def is_for_own_mail(name: str, chain: ChainSettings) -> bool:
    """Say whether a chain is for mail of own users: "outbound", and what only signs. Any other is for port 25."""
    return name == "outbound" or chain.checks == ["dkim_sign"]


def shipped(name: str) -> ChainSettings | None:
    """Return a chain as it ships; None where none does."""
    return ChainSettings(**_whole(name, {})) if name in READY else None


def with_ready_chains(chains: Any) -> Any:
    """Return the tables of all chains: those that ship, unless they are set, and each with a socket of its own."""
    if not isinstance(chains, dict):
        return chains
    return {name: _whole(name, table) for name, table in {**READY, **chains}.items()}


def _whole(name: str, table: Any) -> Any:
    if not isinstance(table, dict):
        return table
    return {"listen": [f"unix:/run/vaglio/{name}.sock"], **READY.get(name, {}), **table}
