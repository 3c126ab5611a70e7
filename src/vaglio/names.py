"""What a name says: its registered domain, whether it looks made for a dial-up line, whether it can be one at all.

Pure, but that the Public Suffix List is loaded with the first name (RFC 7489 3.2 for what a registered domain is). All
work is linear in bounded text. It asks no DNS.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

    from vaglio.facts import Client

GENERIC_WORDS = ("adsl", "broadband", "cable", "dhcp", "dial", "dip", "dsl", "dyn", "dynamic", "pool", "ppp", "pppoe",
                 "vdsl", "xdsl")  # fmt: skip
"""Words that mark a host name as generic or dynamic."""

NameState = Literal["none", "unverified", "generic", "proper"]

_MAX_NAME = 253  # RFC 1035 2.3.4, as text
_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9-]{1,63}", re.ASCII)
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"  # "_" is not RFC 5321's, and occurs
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+(?![0-9]+\Z){_LABEL}", re.ASCII)
_SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII | re.IGNORECASE)
_HEX = re.compile(r"[0-9a-f]+", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_WORDS = re.compile(r"[a-z]+", re.ASCII)


@functools.cache
def _suffixes() -> PublicSuffixList:
    from publicsuffixlist import PublicSuffixList  # costs 50 ms, so not before the first name

    return PublicSuffixList()


def a_labels(name: str) -> str:
    """Return a name in A-labels (IDNA 2008, UTS 46, not transitional); one in ASCII as it is. Raises UnicodeError.

    Python's own codec is of 2003, and takes straße.de for strasse.de, which is somebody else's.
    """
    if name.isascii():
        return name
    if len(name) > _MAX_NAME:  # what follows takes time in proportion to the square
        raise UnicodeError("longer than a name can be")
    import idna  # costs 34 ms, so not before the first such name

    labels = idna.uts46_remap(name, std3_rules=False, transitional=False).split(".")
    return ".".join(label if label.isascii() else idna.alabel(label).decode("ascii") for label in labels)


def is_domain(text: str) -> bool:
    """Say whether a text is a domain of two labels or more, in A-labels and lower case, without a dot at its end: no
    address, and nothing that could lead a path elsewhere.
    """
    return len(text) <= _MAX_NAME and bool(_DOMAIN.fullmatch(text))


def is_selector(text: str, domain: str = "") -> bool:
    """Say whether a text can be a selector of DKIM (RFC 6376 3.1): labels, short enough for SELECTOR._domainkey.DOMAIN
    to be a name.
    """
    return len(f"{text}._domainkey.{domain or 'a.b'}") <= _MAX_NAME and bool(_SELECTOR.fullmatch(text))


def domain_of(text: str) -> str:
    """Return the domain that somebody means who writes a name, in A-labels and lower case; "" where it can't be one."""
    try:
        name = a_labels(text.removesuffix(".")).lower()
    except UnicodeError:
        return ""
    return name if is_domain(name) else ""


@functools.lru_cache(maxsize=4096)
def registered_domain(name: str) -> str:
    """Return the registered domain of a host name in lower case: ``caio.it`` for ``mx1.out.caio.it``.

    Empty for a public suffix (``co.uk``, ``eu-west-1.compute.amazonaws.com``), an address, an invalid name.
    """
    name = name.lower().removesuffix(".") if len(name) <= _MAX_NAME + 1 else ""
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name) or name.rpartition(".")[2].isdigit():
        return ""
    return _suffixes().privatesuffix(name) or ""


def is_generic(name: str, packed: bytes, words: Collection[str]) -> bool:
    """Say whether a host name looks made from its address, or carries a word such as ``dyn`` or ``dhcp``.

    Only what stands left of the registered domain counts: ``mail.dynamics.com`` is a proper name. A word must
    stand by itself, between dots, hyphens or digits: ``pppoe12``, ``dyn-3``.
    """
    if len(name) > _MAX_NAME + 1:
        return True  # no DNS name: stands for nobody
    domain = registered_domain(name)
    host = name.lower().removesuffix(".").removesuffix(domain)
    if not host:
        return False
    if not _lowered(tuple(words)).isdisjoint(_WORDS.findall(host)):
        return True
    return _holds_ipv4(host, packed) if len(packed) == 4 else len(packed) == 16 and _holds_ipv6(host, packed)


@functools.lru_cache(maxsize=16)
def _lowered(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word.lower() for word in words)


def _holds_ipv4(host: str, packed: bytes) -> bool:
    """Three neighbouring octets in decimal (two are too common: ``a48-102.smtp-out``), or all four in hex."""
    squeezed = _squeezed(host)
    if packed.hex() in squeezed or packed[::-1].hex() in squeezed:
        return True
    runs = _DIGITS.findall(host)
    for run in runs:
        if len(run) >= 9 and _holds_padded(run, packed):
            return True
    if len(runs) < 3:
        return False
    numbers = [int(run[:9]) for run in runs]
    windows = (tuple(packed[:3]), tuple(packed[1:]), tuple(packed[:-4:-1]), tuple(packed[-2::-1]))
    return any(tuple(numbers[start : start + 3]) in windows for start in range(len(numbers) - 2))


def _holds_padded(run: str, packed: bytes) -> bool:
    """Three octets of three digits each: ``198051100`` or ``007100051``."""
    padded = ("".join(f"{octet:03d}" for octet in order) for order in (packed, packed[::-1]))
    return any(text[:9] in run or text[3:] in run for text in padded)


def _squeezed(host: str) -> str:
    return host.replace("-", "").replace(".", "").replace("_", "")


def _holds_ipv6(host: str, packed: bytes) -> bool:
    """16 neighbouring nibbles in either order, or three neighbouring groups as they are written."""
    squeezed, nibbles = _squeezed(host), packed.hex()
    for order in (nibbles, nibbles[::-1]):
        if order[:16] in squeezed or order[16:] in squeezed:
            return True
    # Zeros are left out on both sides: "::" hides them. Small groups alone (1, 2, 3) prove nothing.
    runs = [run for run in (int(text[:8], 16) for text in _HEX.findall(host)) if run]
    if len(runs) < 3:
        return False
    groups = [group for group in (int(nibbles[start : start + 4], 16) for start in range(0, 32, 4)) if group]
    windows = {
        tuple(groups[start : start + 3]) for start in range(len(groups) - 2) if max(groups[start : start + 3]) > 0xFF
    }
    return any(tuple(runs[start : start + 3]) in windows for start in range(len(runs) - 2))


def name_state(client: Client, words: Collection[str]) -> NameState:
    """Say of the client's name: no PTR; a PTR that does not lead back; a generic name; a proper one."""
    if not client.name:
        return "unverified" if client.reverse_name else "none"
    return "generic" if is_generic(client.name, client.packed, words) else "proper"
