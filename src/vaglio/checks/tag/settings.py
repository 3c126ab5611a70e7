"""The section ``[tag]``: which marks stand in front of the subject, and when."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from vaglio.checks.tag.conditions import Source, parse, source
from vaglio.checks.tag.subject import misfit
from vaglio.config.entries import AddressEntry, Network
from vaglio.config.types import MilterSection, Section, SocketAddress


def _condition(text: str) -> str:
    parse(text)
    return text


def _tag(text: str) -> str:
    if wanted := misfit(text):
        raise ValueError(wanted)
    return text


Condition = Annotated[str, AfterValidator(_condition)]
Tag = Annotated[str, AfterValidator(_tag)]


class Rule(Section):
    """A mark, and when it is put. Rules are tried in order, and each whose conditions all hold puts its mark; one with
    stop is the last that does."""

    when: Annotated[list[Condition], Field(min_length=1)] = ["spam"]
    """Conditions, all of which must hold: "spam" (vaglio-score says so), "score >= 8", "symbol NO_SUBJECT", "external"
    (always: mail of your own users is not looked at), a result such as "dmarc=fail" or "spf=softfail", or a fact of an
    earlier check, "spf.ip" or "spf.domain=tizio.it"; "not dkim=pass" holds where "dkim=pass" does not."""
    tag: Tag = "[SPAM]"
    """The mark: "[SPAM]", "***SPAM***", "[SPAM {score}]", "[EXTERNAL]"."""
    recipients: list[AddressEntry] = []
    """Holds only if all recipients of the message are among these addresses or domains: they all get one subject."""
    stop: bool = False
    """Where this rule holds, those after it are not tried."""

    def sources(self) -> list[Source | None]:
        """Return who tells of each condition."""
        return [source(text) for text in self.when]


class TagSettings(MilterSection):
    """Marks in the subject, such as [SPAM]. Marks at the front that we did not put there, or that an answer brought
    back, are taken away. Mail of your own users is not touched."""

    listen: Annotated[list[SocketAddress], Field(min_length=1)] = ["unix:/run/vaglio/tag.sock"]
    """Sockets to listen on."""
    rule: list[Rule] = Field(default_factory=lambda: [Rule()])
    """The rules. A [[tag.rule]] of your own replaces the one that ships."""
    remove: list[Tag] = []
    """Other marks that are taken away from the front: those that you, or a filter before this one, put there
    earlier."""
    trusted_networks: list[Network] = ["127.0.0.0/8", "::1/128"]
    """Clients whose mail is yours and not touched, as Postfix's mynetworks, besides those that log in and mail that
    came by no network. Behind a content filter that hands mail back from 127.0.0.1, let it be []."""
    trust_spam_headers: bool = False
    """Believe X-Spam-Flag, X-Spam-Status, X-Spam-Score, X-Spam and X-Spamd-Result, as vaglio-score, SpamAssassin or
    rspamd write them, where no vaglio-score stands before in the same chain. Only where a filter before this one takes
    those of strangers out."""

    def believes(self, source: Source) -> bool:
        """Say whether headers tell of it, where no earlier check does."""
        if source.setting == "remove_forged":
            return not self.remove_forged
        return source.setting == "trust_spam_headers" and self.trust_spam_headers
