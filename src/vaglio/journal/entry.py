"""A decision as the journal keeps it: who asked, what was answered, on which facts.

It holds what ``vaglio why`` needs to explain a decision long after the log is gone. How it becomes a row, and what
is cut off when it is too long, is in ``schema.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from vaglio.facts import Facts
from vaglio.verdict import Fact, Verdict


class Entry(NamedTuple):
    """One decision that was not a plain pass. Text that nobody gave is empty.

    ``at`` is the Unix time in seconds; ``daemon`` the daemon that was asked, ``check`` the check that decided.
    ``action`` and ``rehearsed`` are values of ``verdict.Action`` as plain text, since an entry may come from another
    version; ``rehearsed`` is empty outside rehearsal. ``reply`` is what the SMTP client was told: code, enhanced
    code, text; a message that is held or discarded is taken, and Postfix says so in its own words. ``host`` is the mail
    server's own name. ``recipient`` is several, parted by commas, where the decision is about a whole message.
    """

    ref: str
    at: float
    daemon: str
    check: str
    action: str
    rehearsed: str = ""
    reason: str = ""
    reply: str = ""
    client: str = ""
    client_name: str = ""
    helo: str = ""
    sender: str = ""
    recipient: str = ""
    queue_id: str = ""
    instance: str = ""
    sasl_username: str = ""
    host: str = ""
    facts: Mapping[str, Fact] = MappingProxyType({})

    @classmethod
    def of(cls, facts: Facts, verdict: Verdict, at: float, daemon: str, host: str = "") -> Entry:
        """Build the entry for the answer ``verdict`` to the question ``facts``."""
        client, envelope, session = facts.client, facts.envelope, facts.session
        return cls(
            verdict.ref,
            at,
            daemon,
            verdict.check,
            verdict.action.value,
            verdict.rehearsed.value if verdict.rehearsed else "",
            verdict.reason,
            verdict.spoken,
            client.address,
            client.name,
            session.helo,
            envelope.sender,
            envelope.recipient,
            session.queue_id,
            session.instance,
            session.sasl_username,
            host,
            verdict.facts,
        )
