"""Whether a message is signed, and in whose name. No I/O, no clock, no keys, no texts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import NamedTuple

from vaglio.checks.dkim.signature import ascii_name
from vaglio.checks.dkim.signing.settings import DkimSignSettings
from vaglio.facts import Facts
from vaglio.lists import AddressList, NetworkSet
from vaglio.mailboxes import Mailbox
from vaglio.names import registered_domain
from vaglio.verdict import Action


class Reason(StrEnum):
    """Why a message is signed, or is not."""

    SIGNED = "signed"
    NOT_OURS = "not-ours"
    """The client is neither logged in nor one of ours."""
    NO_AUTHOR = "no-author"
    """There is no From, or none that can be read."""
    SEVERAL_FROM = "several-from"
    """There is more than one From."""
    SEVERAL_AUTHORS = "several-authors"
    """From has addresses of several domains."""
    EXEMPT_AUTHOR = "exempt-author"
    EXEMPT_RECIPIENT = "exempt-recipient"
    SENDER_MISMATCH = "sender-mismatch"
    LOGIN_MISMATCH = "login-mismatch"
    NO_KEY = "no-key"
    """There is no key for the author's domain."""
    KEY_TROUBLE = "key-trouble"
    """There is one, and it can't be used."""
    TOO_LARGE = "too-large"
    """The header is larger than what is looked at."""


class Decision(NamedTuple):
    """What is done, and why; ``by`` is the setting that wants it so, "" where none does."""

    action: Action
    reason: Reason
    by: str = ""


SIGN = Decision(Action.PASS, Reason.SIGNED)
NOT_OURS = Decision(Action.PASS, Reason.NOT_OURS)
"""Nothing to do with us: not even told in the journal."""


class Policy:
    """The settings, made ready to be asked."""

    def __init__(self, settings: DkimSignSettings) -> None:
        self.settings = settings
        self._networks = NetworkSet(settings.networks)
        self._daemon_names = frozenset(settings.daemon_names)
        self._exempt_authors, _ = AddressList.parse(settings.exempt_domains, "")
        self._exempt_recipients, _ = AddressList.parse(settings.exempt_recipients, "")
        self._logins: dict[str, frozenset[str]] = {}
        for who, domains in settings.login_domains.items():
            self._logins[who.lower()] = self._logins[ascii_name(who) or who.lower()] = frozenset(domains)

    def is_ours(self, facts: Facts) -> bool:
        """Say whether it is for us to sign what this client sends."""
        client, session = facts.client, facts.session
        return (
            (self.settings.authenticated and bool(session.sasl_username))
            or session.daemon_name in self._daemon_names
            or client.packed in self._networks
            or (client.local and bool(self.settings.networks))
        )

    def decide(self, facts: Facts, count: int, authors: Sequence[Mailbox]) -> Decision:
        """Return whether a message of ours is to be signed, as far as its recipients do not matter. ``count`` is the
        number of From fields, ``authors`` are the addresses in the first one, their domains in A-labels.
        """
        settings = self.settings
        if count > 1:
            return _policy(settings.several_from, Reason.SEVERAL_FROM, "several_from")
        if not authors:
            return Decision(Action.PASS, Reason.NO_AUTHOR)
        if len({one.domain for one in authors}) > 1:
            return Decision(Action.PASS, Reason.SEVERAL_AUTHORS)
        author = authors[0]
        if by := self._exempt_authors.matches(f"{author.local}@{author.domain}"):
            return Decision(Action.PASS, Reason.EXEMPT_AUTHOR, f"dkim.sign.exempt_domains: {by}")
        if not self._may(facts.session.sasl_username, author.domain):
            return self._login_mismatch()
        if not _is_kin(facts.envelope.sender, author.domain):
            return _policy(settings.sender_mismatch, Reason.SENDER_MISMATCH, "sender_mismatch")
        return SIGN

    def exempts(self, recipients: Sequence[str]) -> Decision | None:
        """Return the decision not to sign a message to these recipients; None if there is nothing against it."""
        by = next(filter(None, map(self._exempt_recipients.matches, recipients)), "")
        return Decision(Action.PASS, Reason.EXEMPT_RECIPIENT, f"dkim.sign.exempt_recipients: {by}") if by else None

    def with_keys(self, facts: Facts, domain: str, signing: Collection[str], one_organization: bool) -> Decision:
        """Return whether a message that ``decide`` would sign is signed: ``signing`` are the domains of the keys there
        are for the author's; ``one_organization`` says whether all keys there are belong to one.
        """
        if not signing:
            return _policy(self.settings.no_key, Reason.NO_KEY, "no_key")
        login = facts.session.sasl_username.lower()
        if self._fits_all(login):
            alone = self.settings.login_without_domain == "sign" or one_organization
            return SIGN if not login or alone else self._login_mismatch()
        may = self._domains_of(login, domain)
        # Below a login's domain there may be another customer: one that has keys of its own.
        if domain in may or any(all(_is_within(one, key) for key in signing) for one in may):
            return SIGN
        return self._login_mismatch()

    def _login_mismatch(self) -> Decision:
        return _policy(self.settings.login_mismatch, Reason.LOGIN_MISMATCH, "login_mismatch")

    def _may(self, login: str, domain: str) -> bool:
        """Say whether mail of this author may be signed for a login, as far as it does not matter by which keys."""
        login = login.lower()
        return self._fits_all(login) or bool(self._domains_of(login, domain))

    def _fits_all(self, login: str) -> bool:
        """Say whether a login, in lower case, says nothing of a domain; nor does who has not logged in."""
        if not login:
            return True
        return "@" not in login and login not in self._logins and self.settings.login_without_domain != "mismatch"

    def _domains_of(self, login: str, domain: str) -> list[str]:
        """Return the domains of a login, in lower case, that an author's is, or is within."""
        _, at, theirs = login.rpartition("@")
        ours = ascii_name(theirs) if at else ""
        may = {*self._logins.get(login, ()), *self._logins.get(ours, ())}
        if ours == domain or registered_domain(ours):  # all of a public suffix (anna@it) is nobody's
            may.add(ours)
        return [one for one in may if one and _is_within(domain, one)]


def _policy(word: str, reason: Reason, setting: str) -> Decision:
    if word == "sign":
        return SIGN
    action = Action.REJECT if word == "reject" else Action.PASS
    return Decision(action, reason, f"dkim.sign.{setting}")


def too_large(settings: DkimSignSettings) -> Decision:
    """Return what becomes of a message with more of a header than can be signed."""
    return _policy(settings.too_large, Reason.TOO_LARGE, "too_large")


def with_trouble(settings: DkimSignSettings) -> Decision:
    """Return what becomes of a message whose key can't be used."""
    action = Action.DEFER if settings.on_error == "defer" else Action.PASS
    return Decision(action, Reason.KEY_TROUBLE, "dkim.sign.on_error")


def _is_within(name: str, domain: str) -> bool:
    """Say whether a name is a domain, or below it."""
    return name == domain or name.endswith(f".{domain}")


def _is_kin(sender: str, domain: str) -> bool:
    """Say whether an envelope sender, unless it is the null sender, is of the same organization as a domain."""
    theirs = ascii_name(sender.rpartition("@")[2])
    if not theirs or theirs == domain:
        return True
    return registered_domain(theirs) == (registered_domain(domain) or domain)
