"""A milter whose checks do what the sender's local part says, in place of real ones; ``daemons.py`` runs it.

Its section is ``[chain.trivial]``. Which checks there are, and what they need, is said in ``greylist.help_url``:
``one:headers+body,two:chunks``. The local part has words with ``+`` between them (see ``Doing``); ``two/defer`` is for
the check "two" alone, any other word for all of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from base64 import b64encode
from collections.abc import Sequence
from functools import reduce
from operator import or_

if "WITHOUT_UVLOOP" in os.environ:
    sys.modules["uvloop"] = None  # type: ignore[assignment]  # importing it fails

from vaglio.config.model import VaglioConfig
from vaglio.daemon.main import run
from vaglio.daemon.service import Daemon, Hosted, Milter, Ports, Service
from vaglio.examination import Examination, Field, Message, Needs
from vaglio.facts import Facts
from vaglio.verdict import Action, AuthResult, Change, Header, Reply, Verdict

NAME = "chain.trivial"
HOSTILE = "100% of it\r\nInjected: yes\0\x07"
"""What nobody should see as it is."""

_ACTIONS = {"reject": Action.REJECT, "defer": Action.DEFER, "hold": Action.HOLD, "discard": Action.DISCARD}
_CODES = {Action.REJECT: (550, "5.7.1"), Action.DEFER: (451, "4.7.1"), Action.HOLD: (250, "2.0.0")}


class Doing(Examination):
    """Does as the sender says.

    "reject", "defer", "hold", "discard"; "header" (X-Trivial), "hostile" (words of an attacker in header and reply),
    "results", "change" (the second Subject), "remove" (the first one), "tell" (all that was seen, in X-Told);
    "raise-WHERE" (examine, recipient, eoh, body, verdict, close), "slow" (a minute), "wait" (until there is a
    file "go"), "nap" (a turn of the loop). Recipients, if it is asked: "reject-", "defer-" or "nap-" in front.
    """

    def __init__(self, check: Trivial, facts: Facts) -> None:
        self._check, self._facts = check, facts
        words = facts.envelope.sender.partition("@")[0].split("+")
        self._words = {word.removeprefix(f"{check.name}/") for word in words}
        self._hash = hashlib.sha256()
        self._complete: Sequence[Field] = ()
        self._maybe("examine")

    def _maybe(self, where: str) -> None:
        if f"raise-{where}" in self._words:
            raise RuntimeError(f"raised in {where}")

    async def recipient(self, recipient: str) -> Verdict | None:
        self._maybe("recipient")
        word = recipient.partition("-")[0]
        if word == "nap":
            await asyncio.sleep(0.001)
        return self._verdict(_ACTIONS[word]) if word in ("reject", "defer") else None

    def end_of_headers(self, headers: Sequence[Field]) -> None:
        self._maybe("eoh")
        self._complete = tuple(headers)

    def body(self, chunk: bytes) -> None:
        self._maybe("body")
        self._hash.update(chunk)

    async def verdict(self, message: Message) -> Verdict:
        self._maybe("verdict")
        ports = self._check.ports
        if "nap" in self._words:
            await asyncio.sleep(0.001)
        if "slow" in self._words:
            ports.warn("judging slowly")
            await ports.clock.sleep(60)
        if "wait" in self._words:
            ports.warn("waiting")
            while not (ports.state / "go").exists():  # it comes from another process
                await asyncio.sleep(0.01)
        actions = [action for word, action in _ACTIONS.items() if word in self._words]
        verdict = self._verdict(actions[0] if actions else Action.PASS)
        return verdict._replace(
            headers=tuple(self._headers(message)), changes=tuple(self._changes()), results=tuple(self._results())
        )

    def close(self) -> None:
        self._maybe("close")

    def _verdict(self, action: Action) -> Verdict:
        if action is Action.PASS:
            return Verdict(action, self._check.name, "nothing")
        code, enhanced = _CODES.get(action, (250, "2.0.0"))
        text = HOSTILE if "hostile" in self._words else f"{self._check.name} says {action}"
        # None where a message is held: the reason has it, and would never be the same twice.
        reference = "" if action is Action.HOLD else self._check.ports.references()
        return Verdict(action, self._check.name, "asked", Reply(code, enhanced, text), ref=reference)

    def _headers(self, message: Message) -> list[Header]:
        headers = []
        if "header" in self._words:
            headers.append(Header("X-Trivial", f"of {self._check.name}"))
        if "hostile" in self._words:
            headers.append(Header("X-Hostile", HOSTILE))
        if "tell" in self._words:
            headers.append(Header(f"X-Told-{self._check.name}", b64encode(self._story(message).encode()).decode()))
        return headers

    def _changes(self) -> list[Change]:
        changes = []
        if "remove" in self._words:
            changes.append(Change("Subject", 1, ""))
        if "change" in self._words:
            changes.append(Change("subject", 2, "another one"))
        return changes

    def _results(self) -> list[AuthResult]:
        if "results" not in self._words:
            return []
        return [AuthResult(self._check.methods[0], "pass", (("smtp.mailfrom", self._facts.envelope.sender),))]

    def _story(self, message: Message) -> str:
        client, envelope, session = message.facts
        heard = _told(self._complete)
        assert heard == _told(message.headers)
        return json.dumps({
            "address": client.address, "name": client.name, "reverse": client.reverse_name, "helo": session.helo,
            "login": session.sasl_username, "queue_id": session.queue_id, "sender": envelope.sender,
            "recipient": envelope.recipient, "count": envelope.recipient_count, "announced": envelope.size,
            "recipients": _digest(repr(message.recipients).encode("ascii", "backslashreplace")),
            "fields": len(message.headers), "headers": _digest(heard), "size": message.size,
            "body": _digest(message.body), "kept": len(message.body), "hashed": self._hash.hexdigest()[:16],
            "earlier": list(message.earlier),
        })  # fmt: skip


def _told(fields: Sequence[Field]) -> bytes:
    return b"".join(name + b":" + value + b"\n" for name, value in fields)


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:16]


class Trivial:
    """A check; its method is its name."""

    def __init__(self, word: str, ports: Ports) -> None:
        self.name, _, needs = word.partition(":")
        self.methods = (self.name,)
        self.needs = reduce(or_, [Needs[one.upper()] for one in needs.split("+") if one], Needs.NOTHING)
        self.ports = ports

    def examine(self, facts: Facts) -> Examination:
        """Begin with a message."""
        return Doing(self, facts)


def build(config: VaglioConfig, ports: Ports) -> Service:
    """Make the milter."""
    words = (config.greylist.help_url or "one:headers+body+chunks").split(",")
    return Service(Milter([Hosted(Trivial(word, ports), config.chain["trivial"]) for word in words]))


MANUAL = "NAME\n  vaglio-chain trivial - for tests\n"
TRIVIAL = Daemon(NAME, None, MANUAL, lambda config: config.chain["trivial"], build)

if __name__ == "__main__":
    sys.exit(run(TRIVIAL))
