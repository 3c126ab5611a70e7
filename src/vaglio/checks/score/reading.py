"""A message as a scorer reads it: header fields decoded, text as a reader sees it, links, attachments. Pure.

What strangers wrote is read within bounds and without an exception; what lies beyond the bounds is left out and named
(``Oddity``). Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vaglio.checks.score.mime import Oddity, Part
from vaglio.examination import Field


class Link(NamedTuple):
    """A link of an HTML part: where it leads, as written (entities undone), and the text that is shown for it."""

    target: str
    shown: str


class Page(NamedTuple):
    """An HTML part. ``shown`` is the text that a reader sees; ``hidden`` what is there and not seen: not displayed, of
    no or tiny size, in the colour of its ground. ``images`` are their sources; ``marks`` what else is in it that
    matters, by name, such as "script", "form", "iframe", "meta-refresh".
    """

    shown: str
    hidden: str
    links: tuple[Link, ...]
    images: tuple[str, ...]
    marks: frozenset[str]


class Url(NamedTuple):
    """A URL of the message, each once. ``host`` is in lower case and A-labels, or an address, in usual notation whatever
    way it was written; ``domain`` the registered domain, "" for an address. ``rest`` is path and query. ``shown`` is
    the text of its link, "" where it stood in text.
    """

    whole: str
    scheme: str
    host: str
    domain: str
    rest: str
    shown: str = ""


class Mailbox(NamedTuple):
    """An address of a header field, with the name in front of it (decoded); either may be empty."""

    name: str
    address: str


class Reading(NamedTuple):
    """What is read of a message.

    ``fields`` is the header as it came; ``values`` its fields by name in lower case: unfolded, decoded (RFC 2047; raw
    UTF-8 as it is), at most 2,000 characters each. ``text`` is all that a reader sees as text, plain parts and pages;
    ``plain`` the plain parts alone. ``parts`` are the leaves, ``attachments`` those with a name or that say to be one.
    ``size`` is that of the whole body in bytes, also where less of it was read.
    """

    fields: Sequence[Field]
    values: Mapping[str, tuple[str, ...]]
    subject: str
    author: Mailbox
    text: str
    plain: tuple[str, ...]
    pages: tuple[Page, ...]
    urls: tuple[Url, ...]
    parts: tuple[Part, ...]
    attachments: tuple[Part, ...]
    oddities: frozenset[Oddity]
    size: int
