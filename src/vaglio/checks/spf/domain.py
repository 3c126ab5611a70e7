"""From HELO and MAIL FROM to what SPF is asked about: the domain in A-labels, or why there is none (RFC 7208 4.3).

Whatever a client says comes in here: literals, garbage, bytes that are no UTF-8, names of any length.
"""

from __future__ import annotations

import re
from functools import lru_cache

from vaglio.checks.spf.outcome import Identity, Question
from vaglio.names import a_labels

MAX_NAME = 253
MAX_LOCAL = 512
"""Longest local part in characters: RFC 5321 4.5.3.1.1 has 64, and macros may repeat it."""
MAX_HELO = 512
MAX_SENDER = 320

_DOMAIN = re.compile(r"(?:[^\x00-\x20\x7f.@\[\]<>]{1,63}\.)+[^\x00-\x20\x7f.@\[\]<>]{1,63}", re.ASCII)


@lru_cache(maxsize=1024)
def domain_of(text: str) -> tuple[str, str]:
    """Return a domain in lower case, A-labels (RFC 8616 4), without a dot at its end; or "" and why it is none."""
    name = text.lower().removesuffix(".")
    if not name:
        return "", "there is no domain"
    if name.startswith("["):
        return "", "an address in brackets is no domain"
    if len(name) <= MAX_NAME:
        try:
            name = a_labels(name)
        except UnicodeError:
            return "", "the domain can't be one of the DNS"
    if len(name) > MAX_NAME:
        return "", "the domain is too long"
    if "." not in name:
        return "", "the domain has a single label"
    if not _DOMAIN.fullmatch(name):
        return "", "the domain has an empty label, one of more than 63 characters, or characters that none has"
    return name, ""


def ask_mail_from(address: str, sender: str, helo: str) -> Question:
    """Return the question about MAIL FROM; for the null sender that about postmaster@HELO (RFC 7208 2.4)."""
    if not sender:
        return ask_helo(address, helo)._replace(identity=Identity.MAIL_FROM)
    local, at, domain = sender.rpartition("@")
    name, why = domain_of(domain) if at else ("", "the sender has no domain")
    if len(local) > MAX_LOCAL:
        name, why = "", "the sender is too long"
    return Question(Identity.MAIL_FROM, address, local or "postmaster", name, helo[:MAX_HELO], why, sender[:MAX_SENDER])


def ask_helo(address: str, helo: str) -> Question:
    """Return the question about HELO."""
    name, why = domain_of(helo)
    return Question(Identity.HELO, address, "postmaster", name, helo[:MAX_HELO], why)
