"""The section ``[dkim]``, and ``[dkim.verify]`` in it: how many signatures are verified, what is asked of them, and
what results lead to.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vaglio.checks.dkim.signing.settings import DkimSignSettings, Domain
from vaglio.config.types import Duration, MilterSection, Section, SocketAddress, empty_table

Policy = Literal["accept", "defer", "reject", "quarantine"]
Milder = Literal["accept", "defer", "quarantine"]


class Policies(Section):
    """What a message leads to of whose signatures none passes: "accept" (no more than the header), "defer" (451, the
    sender tries again), "reject" (550), "quarantine" (taken, and held back by the mail server until the admin looks).
    RFC 6376 6.3 would not have mail refused for a bad signature alone, and mailing lists break good ones: DMARC knows
    better."""

    fail: Policy = "accept"
    """The message was changed on the way, or is forged."""
    policy: Policy = "accept"
    """The signature is one that is not accepted here: expired, by a key that is too short, of a part of the body."""
    neutral: Policy = "accept"
    """The signature can't be read, or is a test."""
    permerror: Policy = "accept"
    """There is no key, or it can't be used."""
    temperror: Milder = "accept"
    """The DNS failed."""
    none: Policy = "accept"
    """There is no signature."""


class Replay(Section):
    """A signed message that is sent again and again, to others than it was written to (DKIM replay)."""

    limit: Annotated[int, Field(ge=0)] = 0
    """Messages with one and the same signature that pass within the window; those beyond get the result "policy". 0
    counts none. Mailing lists whose subscribers with you get a copy each come near it: name them below."""
    window: Annotated[Duration, Field(ge=60, le=30 * 86400)] = 86400
    """How long a signature is remembered, from the first message on."""
    exempt_domains: list[Domain] = []
    """Signing domains that are not counted, such as those of mailing lists."""


class DkimVerifySettings(MilterSection):
    """DKIM: is the message as its signer sent it? Refuses nothing unless you say so here."""

    listen: Annotated[list[SocketAddress], Field(min_length=1)] = ["unix:/run/vaglio/dkim-verify.sock"]
    """Sockets to listen on."""
    max_signatures: Annotated[int, Field(ge=1, le=15)] = 5
    """Signatures of a message that are verified: of more, those of the author's domain first."""
    clock_slack: Annotated[Duration, Field(le=86400)] = 300
    """How far clocks may differ: a signature that expired longer ago (x=), or is of a later time (t=), is not
    accepted."""
    min_key_bits: Annotated[int, Field(ge=1024, le=4096)] = 1024
    """Bits that an RSA key must have; fewer than 1024 are never accepted (RFC 8301), more than 4096 neither."""
    partial_body: Literal["policy", "pass"] = "policy"
    """Result of a good signature that covers only the beginning of the body (l=): anybody may have added the rest."""
    test_mode: Literal["neutral", "pass"] = "neutral"
    """Result of a good signature by a key that is a test (t=y): RFC 6376 3.6.1 wants it no different from none."""
    policies: Policies = empty_table()
    """What it leads to if no signature passes."""
    replay: Replay = empty_table()
    """Signatures that come too often."""


class DkimSettings(Section):
    """DKIM (RFC 6376)."""

    verify: DkimVerifySettings = empty_table()
    """Verifying."""
    sign: DkimSignSettings = empty_table()
    """Signing."""
