"""The check that signs: whose message it is shows in the header, the body is hashed as it comes, keys sign at the end.

Knows no protocol and opens nothing; keys, clock and references come through what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from vaglio.checks.dkim.canonical import BodyHash, Form
from vaglio.checks.dkim.signature import ascii_name
from vaglio.checks.dkim.signing.decide import SIGN, Decision, Policy, Reason, too_large, with_trouble
from vaglio.checks.dkim.signing.fields import OVERSIGNED, SIGNED
from vaglio.checks.dkim.signing.keyfile import KeyTrouble
from vaglio.checks.dkim.signing.settings import DkimSignSettings
from vaglio.checks.dkim.signing.sign import Signer, Style, TooLarge, signatures
from vaglio.checks.dkim.signing.text import reply
from vaglio.checks.dkim.verify import is_signature
from vaglio.examination import MAX_FIELDS, MAX_HEADER, Examination, Field, Message, Needs, counted
from vaglio.facts import Facts
from vaglio.mailboxes import Mailbox, mailboxes
from vaglio.ports import Clock, References
from vaglio.verdict import Action, Change, Fact, Header, Verdict

NAME = "dkim_sign"


class Keys(Protocol):
    """Who signs for whom."""

    @property
    def one_organization(self) -> bool:
        """True if all that sign do so for domains of one organization."""

    def signers(self, local: str, domain: str) -> Sequence[Signer]:
        """Return who signs mail of an author; nobody where there is no key. Raises KeyTrouble where there should be one
        and it can't be used.
        """

    def waiting(self, domain: str) -> str:
        """Return the domain whose keys would sign for an author's, but don't yet; "" where there is none."""


class Context(NamedTuple):
    """What the check works with."""

    clock: Clock
    keys: Keys
    references: References
    language: Callable[[str], str]


def style_of(settings: DkimSignSettings) -> Style:
    """Return how messages are signed. What oversign leaves out is signed as often as it is there."""
    left_out = [one for one in settings.sign_headers if one.startswith("-")]
    return Style(
        Form(settings.header_form),
        Form(settings.body_form),
        settings.valid,
        _changed(OVERSIGNED, [*settings.oversign, *left_out]),
        _changed((*OVERSIGNED, *SIGNED), settings.sign_headers),
    )


def _changed(names: Sequence[str], changes: Sequence[str]) -> tuple[str, ...]:
    """Return the names with those of "+Name" put in and those of "-Name" taken out."""
    found = list(names)
    for change in changes:
        name = change[1:].lower()
        if change.startswith("+"):
            found.append(name)
        else:
            found = [one for one in found if one != name]
    return tuple(found)


class DkimSign:
    """The check behind ``vaglio-dkim-sign``."""

    name = NAME
    methods = ()
    needs = Needs.HEADERS | Needs.CHUNKS | Needs.ADDING

    def __init__(self, settings: DkimSignSettings, context: Context) -> None:
        self.settings, self.context = settings, context
        self.policy, self.style = Policy(settings), style_of(settings)

    def examine(self, facts: Facts) -> Examination:
        """Begin with a message; one of strangers is none of our business."""
        return Signing(self, facts) if self.policy.is_ours(facts) else _NOT_OURS


class _NotOurs(Examination):
    """A message that is not looked at, nor told of in the journal."""

    __slots__ = ()

    async def verdict(self, message: Message) -> Verdict:  # noqa: ARG002  # the same for all
        return Verdict(Action.PASS, NAME, Reason.NOT_OURS)


_NOT_OURS = _NotOurs()


class Signing(Examination):
    """One message of ours."""

    __slots__ = ("_author", "_body", "_check", "_decision", "_facts", "_fields", "_problem", "_signers", "_waiting")

    def __init__(self, check: DkimSign, facts: Facts) -> None:
        self._check, self._facts = check, facts
        self._decision = Decision(Action.PASS, Reason.NO_AUTHOR)
        self._author = Mailbox("", "")
        self._signers: Sequence[Signer] = ()
        self._fields: Sequence[Field] = ()
        self._body: BodyHash | None = None
        self._problem = self._waiting = ""

    def end_of_headers(self, headers: Sequence[Field]) -> None:
        """Decide, as far as it depends on the header; only what is to be signed is hashed."""
        self._fields = headers
        self._decision = self._decided()
        if self._decision == SIGN:
            self._decision = self._found()
        if self._decision == SIGN:
            self._body = BodyHash(self._check.style.body_form)

    def _decided(self) -> Decision:
        values = [value for name, value in self._fields if name.rstrip(b" \t").lower() == b"from"]
        authors = [Mailbox(local, ascii_name(domain)) for local, domain in mailboxes(values[0])] if values else []
        if not all(one.domain for one in authors):
            authors = []
        if authors:
            self._author = authors[0]
        size = sum(len(name) + len(value) for name, value in self._fields)
        if len(values) < 2 and (len(self._fields) >= MAX_FIELDS or size >= MAX_HEADER):
            # What is beyond is not seen here: it would break a signature, and may be another From.
            return self._too_large(f"{len(self._fields)} fields, {size} bytes")
        return self._check.policy.decide(self._facts, len(values), authors)

    def _too_large(self, problem: str) -> Decision:
        self._problem = problem
        return too_large(self._check.settings)

    def _found(self) -> Decision:
        """Find the keys."""
        check, keys = self._check, self._check.context.keys
        try:
            self._signers = keys.signers(*self._author)
        except KeyTrouble as error:
            self._problem = str(error)
            return with_trouble(check.settings)
        signing = {one.domain for one in self._signers}
        if not signing:
            self._waiting = keys.waiting(self._author.domain)
        return check.policy.with_keys(self._facts, self._author.domain, signing, keys.one_organization)

    def body(self, chunk: bytes) -> None:
        """Hash the next piece of the body."""
        if self._body:
            self._body.feed(chunk)

    async def verdict(self, message: Message) -> Verdict:
        """Sign, or say why not."""
        check = self._check
        decision = self._decision
        headers: tuple[Header, ...] = ()
        if decision == SIGN:
            decision = check.policy.exempts(message.recipients) or SIGN
        if decision == SIGN:
            try:
                headers = self._signatures()
            except TooLarge as error:
                decision = self._too_large(str(error))
        ref = check.context.references()
        told = None
        if decision.action is not Action.PASS:
            told = reply(decision, self._author.domain, ref, check.context.language(self._author.domain))
        changes = self._removals() if check.settings.remove_signatures and headers else ()
        return Verdict(
            decision.action, NAME, decision.reason, told, headers, self._basis(decision), ref=ref, changes=changes
        )

    def _signatures(self) -> tuple[Header, ...]:
        assert self._body is not None
        digest = self._body.finish()(None)
        style, now = self._check.style, self._check.context.clock.now()
        return tuple(Header(*one) for one in signatures(self._signers, self._fields, digest, style, now))

    def _removals(self) -> tuple[Change, ...]:
        """Return the edits that take out the signatures that the message came with."""
        return tuple(Change(name, nth, "") for name, nth, _ in counted(self._fields, is_signature))

    def _basis(self, decision: Decision) -> dict[str, Fact]:
        """Return what the decision rests on, for log and journal."""
        author = self._author
        known: dict[str, Fact] = {"author": f"{author.local}@{author.domain}"} if author.domain else {}
        if decision == SIGN:
            known["domain"] = ",".join(dict.fromkeys(one.domain for one in self._signers))
            known["selector"] = ",".join(one.selector for one in self._signers)
            known["algorithm"] = ",".join(one.key.algorithm for one in self._signers)
        elif self._author.domain:
            known["domain"] = self._author.domain
        if self._facts.session.sasl_username:
            known["login"] = self._facts.session.sasl_username
        if self._problem:
            known["problem"] = self._problem
        if self._waiting:
            known["waiting"] = self._waiting
        if decision.by:
            known["by"] = decision.by
        return known
