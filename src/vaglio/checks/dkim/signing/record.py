"""What is put into the DNS for a key (RFC 6376 3.6.1, RFC 8463 4), in the forms in which admins need it. Pure."""

from __future__ import annotations

from vaglio.checks.dkim.signing.sign import PrivateKey

LONGEST_STRING = 255
"""Bytes of one string of a TXT record (RFC 1035 3.3.14): a longer text takes several, which are read as one."""


def record_name(domain: str, selector: str) -> str:
    """Return where the record of a key is."""
    return f"{selector}._domainkey.{domain}"


def record_text(key: PrivateKey) -> str:
    """Return the record of a key."""
    return f"v=DKIM1; k={kind(key.algorithm)}; p={key.public}"


def revoked_text(algorithm: str) -> str:
    """Return the record of a key that is not to be believed any more; ``algorithm`` is k= or a=."""
    return f"v=DKIM1; k={kind(algorithm)}; p="


def kind(algorithm: str) -> str:
    """Return k= for what a= has."""
    return algorithm.removesuffix("-sha256")


def zone_lines(name: str, text: str) -> str:
    """Return a record as a zone file has it (RFC 1035 5.1); name and text are plain ASCII without quotes."""
    strings = [text[start : start + LONGEST_STRING] for start in range(0, len(text), LONGEST_STRING)]
    if len(strings) == 1:
        return f'{name}. IN TXT "{text}"'
    return "\n".join([f"{name}. IN TXT (", *(f'    "{string}"' for string in strings), ")"])
