"""The check of DKIM signatures: asks for keys as soon as the header is complete, hashes the body as it comes, decides
at the end.

Knows no protocol and opens nothing; the DNS, the clock and the references come through what it is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from vaglio.checks.dkim.decide import basis, decide
from vaglio.checks.dkim.outcome import Flaw, Reason
from vaglio.checks.dkim.replay import Replays
from vaglio.checks.dkim.settings import DkimVerifySettings
from vaglio.checks.dkim.signature import Signature
from vaglio.checks.dkim.text import reply, results
from vaglio.checks.dkim.verify import Hashes, Header, Judged, Manner, choose, judge, screened
from vaglio.examination import Examination, Field, Message, Needs
from vaglio.facts import Facts
from vaglio.ports import Answer, Clock, References, Resolver
from vaglio.verdict import Action, Verdict

NAME = "dkim_verify"
MAX_RESULTS = 10
"""Signatures of which Authentication-Results and journal tell."""

_NO_HEADER = Header(())
_NO_HASHES = Hashes(())


class Context(NamedTuple):
    """What the check works with."""

    clock: Clock
    resolver: Resolver
    references: References
    language: Callable[[str], str]
    replays: Replays | None = None


class DkimVerify:
    """The check behind ``vaglio-dkim-verify``."""

    name = NAME
    methods = ("dkim",)
    needs = Needs.HEADERS | Needs.CHUNKS

    def __init__(self, settings: DkimVerifySettings, context: Context) -> None:
        self.settings, self.context = settings, context
        self.manner = Manner(
            settings.max_signatures,
            settings.clock_slack,
            settings.min_key_bits,
            settings.partial_body == "pass",
            settings.test_mode == "pass",
        )

    def examine(self, facts: Facts) -> Verifying:  # noqa: ARG002  # the same for all
        """Begin with a message."""
        return Verifying(self)


class Verifying(Examination):
    """One message. ``author`` is the domain in From, "" before the header has come, or where there is not one."""

    __slots__ = ("_check", "_chosen", "_flaws", "_hashes", "_header", "_keys", "_now", "author")

    def __init__(self, check: DkimVerify) -> None:
        self._check = check
        self._now = check.context.clock.now()
        self._keys: dict[str, Answer | asyncio.Task[Answer]] = {}
        self._header = _NO_HEADER
        self._flaws: dict[int, tuple[Signature, Flaw]] = {}
        self._chosen: list[tuple[int, Signature]] = []
        self._hashes = _NO_HASHES
        self.author = ""

    def end_of_headers(self, headers: Sequence[Field]) -> None:
        """Choose what is verified, and ask for the keys; from here on, the body is hashed for it."""
        manner = self._check.manner
        self._header = Header(headers)
        sound: list[tuple[int, Signature]] = []
        for place, signature in self._header.signatures():
            if flaw := screened(signature, self._now, manner):
                self._flaws[place] = signature, flaw
            else:
                sound.append((place, signature))
        # Who writes needs no looking up where all are verified, and one alone speaks for the message.
        self.author = self._header.author()
        self._chosen = choose(sound, self.author, manner.most)
        for place, signature in sound:
            self._flaws[place] = signature, Flaw(Reason.PASSED_OVER, f"no more than {manner.most} are verified")
        for place, signature in self._chosen:
            del self._flaws[place]
            self._ask(signature.key_name)
        self._hashes = Hashes(signature for _, signature in self._chosen)

    def body(self, chunk: bytes) -> None:
        """Hash the next piece of the body."""
        self._hashes.feed(chunk)

    async def verdict(self, message: Message) -> Verdict:
        """Return the results, and what comes of them."""
        check, context = self._check, self._check.context
        found = [await self._counted(one) for one in (await self.judged())[:MAX_RESULTS]]
        decision = decide(found, self.author, check.settings)
        ref = context.references()
        told = None
        if decision.action is not Action.PASS:
            recipient = message.recipients[0] if message.recipients else ""
            told = reply(decision, ref, context.language(recipient.rpartition("@")[2].lower()))
        known = basis(decision, found, self._header.count(b"dkim-signature"))
        return Verdict(decision.action, NAME, decision.reason, told, facts=known, ref=ref, results=results(found))

    async def judged(self) -> list[Judged]:
        """Return what became of each signature that was read: those that were verified first, in their order."""
        bodies = self._hashes.finish()
        found = []
        for place, signature in self._chosen:
            answer = await self._answer(signature.key_name)
            found.append(judge(place, signature, self._header, bodies, answer, self._check.manner))
        return found + [Judged(signature, *flaw) for _, (signature, flaw) in sorted(self._flaws.items())]

    async def _counted(self, one: Judged) -> Judged:
        """Count a signature that passes; say so if it comes too often."""
        replays = self._check.context.replays
        if replays is None or one.reason is not Reason.PASS or not (count := await replays.beyond(one.signature)):
            return one
        return one._replace(reason=Reason.REPLAYED, words=f"it came with {count} messages within {replays.window}")

    def close(self) -> None:
        """Give up what is still asked."""
        for one in self._keys.values():
            if isinstance(one, asyncio.Task):
                one.cancel()

    def _ask(self, name: str) -> None:
        """Begin with a look-up, unless it has begun."""
        if name not in self._keys:
            resolver = self._check.context.resolver
            known = resolver.at_hand(name, "TXT")
            self._keys[name] = known or asyncio.get_running_loop().create_task(resolver.lookup(name, "TXT"))

    async def _answer(self, name: str) -> Answer:
        key = self._keys[name]
        return await key if isinstance(key, asyncio.Task) else key
