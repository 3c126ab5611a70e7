"""The section ``[score]``: what a score leads to, which rules there are, Bayes, and lists of domains in links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vaglio.blocklists.settings import Code, DnsListSettings, ListName
from vaglio.checks.replytext import checked
from vaglio.config.types import Duration, MilterSection, Section, SocketAddress, empty_table
from vaglio.lists import NetworkSet
from vaglio.names import registered_domain

Points = Annotated[float, Field(ge=-1000, le=1000)]
Threshold = Annotated[float, Field(ge=0, le=1000)]
Symbol = Annotated[
    str, Field(pattern=r"^[A-Z][A-Z0-9_]{1,59}$", description='a symbol in capitals such as "NO_SUBJECT"')
]
Language = Annotated[str, Field(pattern=r"^[a-z]{2}$", description='a language such as "en" or "it"')]
Domain = Annotated[str, Field(pattern=r"^[^A-Z\s@]+$", description="a domain of yours, in lower case")]
HeaderName = Literal["flag", "score", "level", "status"]


def _network(text: str) -> str:
    for problem in NetworkSet.parse([text], "")[1]:
        raise ValueError(problem.wanted)
    return text


def _reply(text: str) -> str:
    return checked(text, {"score", "reasons"})


Template = Annotated[str, AfterValidator(_reply), Field(min_length=1, max_length=300)]


class Ladder(Section):
    """What a score leads to for mail to one domain of yours; what is not said here is as for all."""

    tag: Threshold = 5.0
    """As score.tag."""
    hold: Threshold = 0.0
    """As score.hold."""
    reject: Threshold = 15.0
    """As score.reject."""


class BayesSettings(Section):
    """What "vaglio learn" was shown, and what it makes of new mail: words that stood in spam and not in wanted mail, or
    the other way round (Robinson's combination by Fisher's method)."""

    enabled: bool = True
    """false leaves it out."""
    min_learned: Annotated[int, Field(ge=1, le=100_000)] = 200
    """Messages of each kind, spam and wanted mail, that must have been learned before it has a say."""
    autolearn: bool = False
    """Learn by itself what the other rules are sure of. It learns errors, too: look into the journal before you switch
    it on."""
    autolearn_spam: Points = 12.0
    """Score without Bayes from which a message is learned as spam; three rules, of header and body, must agree."""
    autolearn_ham: Points = -0.5
    """Score without Bayes up to which a message is learned as wanted mail, if Bayes has a say and agrees."""
    autolearn_balance: Annotated[float, Field(ge=1, le=100)] = 3.0
    """By itself it does not learn more than this many times as many of one kind as of the other."""
    expire: Annotated[Duration, Field(ge=86400)] = 180 * 86400
    """Words that no learned message had for so long, and that say little, are forgotten."""
    max_tokens: Annotated[int, Field(ge=10_000, le=50_000_000)] = 2_000_000
    """Words that are kept; beyond, the oldest that say little are forgotten earlier."""


def _registered(text: str) -> str:
    if registered_domain(text) != text:
        raise ValueError('a registered domain in lower case such as "caio.it", without "www." before it')
    return text


Subject = Literal["link", "address", "from", "reply_to", "sender"]
"""What a list is asked about: the registered domains that links lead to; addresses that stand in links in place of a
name; the domains of From, of Reply-To and of the envelope sender (in a list of hashes the addresses).
"""


class LinkListSettings(DnsListSettings):
    """One list: a zone in the DNS. An entry with the name of a shipped list changes that list: what it does not say
    stays as shipped.
    """

    kind: Literal["address", "domain", "hash"] = "domain"
    """What is in it: domain names (and perhaps addresses), addresses alone, or hashes of mail addresses."""
    subjects: list[Subject] = []
    """What to ask it about; none means link for domains, address for addresses, from and reply_to for hashes."""
    reasons_it: dict[Code, Annotated[str, Field(max_length=120)]] = {}
    """What a return code means, in Italian; where it is not said, "reasons" stands there."""

    @property
    def asked_about(self) -> Sequence[str]:
        """What it is asked about, also where that is not said."""
        return self.subjects or _SUBJECTS[self.kind]


_SUBJECTS: Mapping[str, Sequence[str]] = {
    "address": ("address",),
    "domain": ("link",),
    "hash": ("from", "reply_to"),
}


class LinksSettings(Section):
    """Lists in the DNS of domains that spam and phishing lead to: each that knows one of a message's domains adds its
    weight, once."""

    enabled: bool = True
    """false asks no list."""
    use: list[ListName] = []
    """Shipped lists to ask besides those that are on by themselves: read their terms first, "vaglio links lists" prints
    them."""
    without: list[ListName] = []
    """Shipped lists not to ask."""
    lists: list[LinkListSettings] = []
    """Lists of your own, and changes to shipped ones."""
    exempt_domains: list[Annotated[str, AfterValidator(_registered)]] = []
    """Registered domains that no list is asked about: yours, those of your friends. A few that everybody links to never
    are, nor is the recipient's."""
    max_domains: Annotated[int, Field(ge=1, le=200)] = 20
    """Domains of a message's links that lists are asked about; of more than that, those of links that hide where they
    lead, the first and the last ones, and others by chance."""
    lookup_timeout: Duration = 3
    """Longest wait for all lists together; what is not known by then counts as no hit."""
    suspend_after: Annotated[int, Field(ge=1, le=1000)] = 10
    """A list that fails to answer for this many messages in a row is not asked for a while."""
    suspend_for: Annotated[Duration, Field(ge=60)] = 300
    """A suspended list is tried again this often, by a probe, and comes back when that goes well."""


class ScoreSettings(MilterSection):
    """Spam: rules, Bayes and lists of links' domains give points; the sum leads to a header, to a refusal, or to
    nothing. No message is accepted and thrown away."""

    listen: Annotated[list[SocketAddress], Field(min_length=1)] = ["unix:/run/vaglio/score.sock"]
    """Sockets to listen on."""
    tag: Threshold = 5.0
    """From this score on the headers say spam (X-Spam-Flag: YES): a Sieve filter files it into Junk, vaglio-tag changes
    the subject; 0 never does."""
    hold: Threshold = 0.0
    """From this score on the mail server keeps the message back until the admin looks; 0 never does."""
    reject: Threshold = 15.0
    """From this score on the message is refused, while its sender can still be told; 0 never does."""
    domains: dict[Domain, Ladder] = {}
    """Other thresholds for mail to a domain of yours: {"caio.it" = {tag = 4, reject = 12}}. A message to several
    domains gets the highest of each, since there is one answer for all its recipients."""
    rules: list[Annotated[str, Field(pattern=r"^/", description="an absolute path")]] = []
    """Files of rules of your own, or folders of such files (*.toml): they are added to those that ship."""
    scores: dict[Symbol, Points] = {}
    """Other points for a rule, by its symbol: {NO_SUBJECT = 0.5}; 0 switches it off."""
    languages: list[Language] = ["en", "it"]
    """Languages of which lists of keywords are looked for."""
    headers: list[HeaderName] = ["flag", "score", "level", "status"]
    """Which headers are put in: X-Spam-Flag, X-Spam-Score, X-Spam-Level, X-Spam-Status. Those that strangers wrote are
    always taken out."""
    own_mail: Literal["skip", "score"] = "skip"
    """What becomes of mail of users who logged in, and of the machine itself: "skip" does not look at it."""
    trusted_networks: list[Annotated[str, AfterValidator(_network)]] = ["127.0.0.0/8", "::1/128"]
    """Clients whose mail is not looked at, as Postfix's mynetworks: of this machine, which is where Postfix says that
    the sendmail command's mail is from, or of yours. Behind a content filter that hands mail back from 127.0.0.1, let
    it be []."""
    reply: Template = "This message looks like spam. {reasons}. If it is not spam, tell the recipient by other means"
    """What the sender hears of a refusal, in English; {score} and {reasons} (the two that weighed most) are filled in,
    and the reference for "vaglio why" is put behind it."""
    reply_it: Template = (
        "Questo messaggio ha l'aspetto di spam. {reasons}. Se non lo e', avvisi il destinatario per altra via"
    )
    """The same in Italian, for recipients whose language that is (identity.languages)."""
    bayes: BayesSettings = empty_table()
    """Bayes."""
    links: LinksSettings = empty_table()
    """Lists of domains in links."""
