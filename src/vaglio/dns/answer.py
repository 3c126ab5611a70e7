"""What a DNS look-up gives: an outcome that has a name, and values as text.

"Not known" is an outcome (TEMPERROR), never an empty answer. Nothing here asks anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Outcome(StrEnum):
    """How a look-up ended (RFC 2308 for the two kinds of "no")."""

    OK = "ok"
    NODATA = "nodata"
    NXDOMAIN = "nxdomain"
    TEMPERROR = "temperror"


@dataclass(frozen=True, slots=True)
class Answer:
    """The values of one name and type, in the order received; none unless ``outcome`` is OK.

    Addresses are in text form; host names in lower case without a dot at their end; an MX is ``"10 mail.caio.it"``;
    the strings of a TXT record are joined without a blank (RFC 7208 3.3), bytes that are no UTF-8 kept as surrogate
    escapes.
    """

    outcome: Outcome
    values: tuple[str, ...] = ()


class Lookup(Protocol):
    """Asks for the records of a name, by type (``A``, ``AAAA``, ``MX``, ``TXT``, ``PTR``, ...)."""

    def __call__(self, name: str, rrtype: str) -> Answer:
        """Return the answer; never raises: what can't be learned is TEMPERROR."""


NXDOMAIN = Answer(Outcome.NXDOMAIN)
NODATA = Answer(Outcome.NODATA)
TEMPERROR = Answer(Outcome.TEMPERROR)
