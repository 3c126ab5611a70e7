"""The section ``[dkim.sign]``: whose mail is signed, by which keys, and how."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from vaglio.checks.dkim.signing.fields import NEVER, OVERSIGNED, SIGNED
from vaglio.config.entries import AddressEntry, Network
from vaglio.config.types import Duration, MilterSection, Section, SocketAddress
from vaglio.names import domain_of, is_selector

Mismatch = Literal["sign", "skip", "reject"]

_TABLE = re.compile(r"(?:(?:refile|file):)?/\S+|")
_FILE = re.compile(r"/\S.*|credential:[A-Za-z0-9._-]+")
_DELTA = re.compile(r"[+-][!-9<-~]{1,60}")  # names, but for ";", which would end h=


def _fits(pattern: re.Pattern[str], wanted: str) -> AfterValidator:
    def validate(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(wanted)
        return text

    return AfterValidator(validate)


def _changes(shipped: Sequence[str], which: str) -> AfterValidator:
    """Return what refuses a change that is none, or that would do harm."""

    def validate(text: str) -> str:
        name = text[1:].lower()
        if not _DELTA.fullmatch(text):
            raise ValueError('"+" or "-" and the name of a header field, such as "+X-Mailer" or "-Sender"')
        if name in NEVER:
            raise ValueError("another field: this one changes on the way, and is never signed (RFC 6376 5.4.1)")
        if text.lower() == "-from":
            raise ValueError("another field: RFC 6376 5.4 has From signed always")
        if text.startswith("-") and name not in shipped:
            raise ValueError(f'another field: this one is not {which}, so that "-" changes nothing')
        return text

    return AfterValidator(validate)


def _domain(text: str) -> str:
    if not (found := domain_of(text)):
        raise ValueError('a domain such as "tizio.it"')
    return found


def _selector(text: str) -> str:
    if not is_selector(text):
        raise ValueError('a selector such as "2026a"')
    return text


_WANTED_TABLE = 'a path such as "/etc/opendkim/KeyTable" or "refile:/etc/opendkim/SigningTable", or ""'

TableFile = Annotated[str, _fits(_TABLE, _WANTED_TABLE)]
KeyFile = Annotated[str, _fits(_FILE, 'an absolute path, or "credential:" and its name')]
Domain = Annotated[str, AfterValidator(_domain)]
"""In A-labels and lower case, whatever was written."""
Selector = Annotated[str, AfterValidator(_selector)]
MoreOften = Annotated[str, _changes(OVERSIGNED, "signed once more than it is there")]
AsOften = Annotated[str, _changes((*OVERSIGNED, *SIGNED), "signed as shipped")]


class KeySettings(Section):
    """A key that signs the mail of a domain; several for one domain sign together, RSA and Ed25519 for example."""

    domain: Domain = Field(examples=["tizio.it"])
    """The domain of the authors, and d= of the signature."""
    selector: Selector = Field(examples=["2026a"])
    """The selector: the public key is in the DNS at SELECTOR._domainkey.DOMAIN."""
    file: KeyFile = Field(examples=["/etc/vaglio/tizio.pem"])
    """The private key, PEM: an absolute path, or "credential:NAME" for one that systemd hands over (LoadCredential)."""

    @model_validator(mode="after")
    def _fit_into_a_name(self) -> Self:
        if not is_selector(self.selector, self.domain):
            raise ValueError("a shorter selector or domain: SELECTOR._domainkey.DOMAIN has at most 253 characters")
        return self


class DkimSignSettings(MilterSection):
    """DKIM signing of your own users' mail: of clients that have logged in, or that come from your networks. Mail of
    others is not touched. A message that is to be signed and can't be is deferred."""

    listen: Annotated[list[SocketAddress], Field(min_length=1)] = ["unix:/run/vaglio/dkim-sign.sock"]
    """Sockets to listen on."""
    on_error: Literal["pass", "defer"] = "defer"
    """What becomes of a message that can't be signed since a key or the program fails: "defer" has it tried again,
    "pass" lets it go unsigned, which costs reputation."""
    keys: list[KeySettings] = []
    """Keys that are named here, each as a [[dkim.sign.keys]]: domain, selector, file."""
    key_dir: Annotated[str, Field(pattern=r"^(/\S+)?$", description='an absolute path, or ""')] = "/etc/vaglio/dkim"
    """Directory of the keys that "vaglio dkim new" makes; they sign without being named here. "" for none."""
    key_table: TableFile = ""
    """OpenDKIM's KeyTable: a line is NAME DOMAIN:SELECTOR:FILE."""
    signing_table: TableFile = ""
    """OpenDKIM's SigningTable: a line is ADDRESS NAME, with patterns behind "refile:"."""
    all_matches: bool = False
    """Sign by every line of the signing table that fits, not by the first one alone (OpenDKIM's MultipleSignatures)."""
    subdomains: bool = True
    """Mail of a subdomain without a key of its own is signed by the domain above it."""
    authenticated: bool = True
    """Sign for clients that have logged in."""
    networks: list[Network] = ["127.0.0.0/8", "::1/128"]
    """Sign for clients of these networks, as of Postfix's mynetworks, and for mail that came by no network."""
    daemon_names: list[str] = ["ORIGINATING"]
    """Sign for what came in by a service of this name: milter_macro_daemon_name of Postfix, Name= of Sendmail's
    DaemonPortOptions. Only give it to services where clients must log in."""
    exempt_domains: list[AddressEntry] = []
    """Authors whose mail is not signed: addresses or domains."""
    exempt_recipients: list[AddressEntry] = []
    """A message to any of these is not signed: addresses or domains."""
    several_from: Literal["reject", "skip"] = "reject"
    """A message with more than one From field, which RFC 5322 3.6 does not allow: which of them a reader is shown,
    nobody knows."""
    too_large: Literal["reject", "skip"] = "reject"
    """A message with more of a header than can be signed: 2,000 fields or 2 MB in all, more than 250 names to be
    signed, or more than 256 KiB of fields that are. No mail program writes such a one."""
    sender_mismatch: Mismatch = "sign"
    """A message whose envelope sender is of another organization than its author. The null sender is none."""
    login_mismatch: Mismatch = "skip"
    """A message whose author is not of the domain of the login: "skip" does not sign it, so that no customer speaks for
    another one. What is below that domain fits where the keys that sign are not of a domain below it, too."""
    login_without_domain: Literal["auto", "sign", "mismatch"] = "auto"
    """What a login without "@" may have signed: "sign" is all, "mismatch" is what login_domains names for it, "auto" is
    all as long as the keys are of one organization, so that there is nobody else to speak for; else as "mismatch"."""
    login_domains: dict[str, list[Domain]] = {}
    """Domains of authors that a login, or all of a domain, may have signed besides its own:
    {"tizio@tizio.it" = ["other.it"], "tizio.it" = ["tizio.com"]}."""
    no_key: Literal["skip", "reject"] = "skip"
    """A message of an author for whose domain there is no key."""
    header_form: Literal["relaxed", "simple"] = "relaxed"
    """Canonical form of the header (c=). "simple" breaks when a field is folded anew."""
    body_form: Literal["relaxed", "simple"] = "relaxed"
    """Canonical form of the body (c=)."""
    valid: Annotated[Duration, Field(le=365 * 86400)] = 7 * 86400
    """How long a signature holds (x=): longer than a queue keeps mail (5 days), as short as can be against those who
    send a message again to others. "0s" leaves x= out."""
    oversign: list[MoreOften] = []
    """Changes to the fields that are signed once more than they are there, so that none can be added: "+X-Mailer".
    "-Sender" has it signed as often as it is there. They are From, To, Cc, Subject, Date, Reply-To, Sender, Message-ID,
    MIME-Version, Content-Type and Content-Transfer-Encoding."""
    sign_headers: list[AsOften] = []
    """Changes to the fields that are signed where they are there: "+X-Mailer". "-Autocrypt" leaves a field out, also
    one of oversign: the signature then holds whatever others make of it on the way, or put in its place."""
    identity: Literal["none", "author"] = "none"
    """"author" puts the author's address into the signature (i=) where it is of the signing domain."""
    remove_signatures: bool = False
    """Take signatures out of what is signed here, as made by a mail client or at an earlier pass. What is not signed
    keeps those it has."""
    check_keys: bool = True
    """Compare each key with its record in the DNS at the start and once a day, and warn when they differ."""
