"""SPF records for people: what one allows, whether it is that of a domain without mail, what is odd about it.

Strangers write records, so what is quoted here is bounded and printable. Nothing is evaluated (``evaluate`` does).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from vaglio.checks.spf.outcome import Evaluation, Result

_SHOWN = 5
"""Terms that are named; the others are counted."""
_TERM = 80
_AND = {"en": ("{} and {}", "{} more"), "it": ("{} e {}", "altri {}")}
_NOTHING = {"en": "nothing", "it": "niente"}
_MODIFIER = re.compile(r"[a-z][a-z0-9_.-]*=", re.IGNORECASE | re.ASCII)
_PTR = re.compile(r"[+?~-]?ptr(?:[:/]|$)|.*%\{p", re.IGNORECASE | re.ASCII)
_FULL = 450


def clean(text: str, room: int) -> str:
    """Return at most ``room`` characters of a text, printable ASCII, and what else there is as ``?``."""
    text = text[:room]
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if " " <= one <= "~" else "?" for one in text)


def terms(record: str) -> list[str]:
    """Return the terms of a record, without its version."""
    return record.split()[1:]


def allowed(record: str) -> list[str]:
    """Return the terms by which a record lets somebody send."""
    found = []
    for term in terms(record):
        if _MODIFIER.match(term):
            if term.lower().startswith("redirect="):
                found.append(term)
        elif term[0] not in "-~?":
            found.append(term.removeprefix("+"))
    return found


def allows(record: str, language: str = "en") -> str:
    """Return what a record allows: ``mx, ip4:198.51.100.0/24 and include:_spf.example.net``."""
    both, more = _AND.get(language, _AND["en"])
    found = [clean(term, _TERM) for term in allowed(record)]
    if not found:
        return _NOTHING.get(language, _NOTHING["en"])
    if len(found) > _SHOWN:
        found = [*found[:_SHOWN], more.format(len(found) - _SHOWN)]
    return found[0] if len(found) == 1 else both.format(", ".join(found[:-1]), found[-1])


def in_language(allowed: str, language: str) -> str:
    """Return what ``allows`` said in English in another language: terms have no blanks, so the words are known."""
    both, more = _AND.get(language, _AND["en"])
    if allowed == _NOTHING["en"]:
        return _NOTHING.get(language, allowed)
    first, joined, last = allowed.rpartition(" and ")
    number = last.removesuffix(" more")
    last = more.format(number) if number != last else last
    return both.format(first, last) if joined else last


def is_no_mail(found: Evaluation) -> bool:
    """Say whether nobody ever sends in the name of this domain: its own record is ``v=spf1 -all`` and no more."""
    return found.record_domain == found.question.domain and found.record.lower().split() == ["v=spf1", "-all"]


def lets_all(found: Evaluation) -> bool:
    """Say whether it passed only since everybody does (``+all``, or a network of everybody)."""
    term = (found.inner or found.mechanism).lower().removeprefix("+")
    return found.result is Result.PASS and (term == "all" or (term.startswith("ip") and term.endswith("/0")))


def term_for(address: str) -> str:
    """Return the term that would let this address send."""
    return f"ip6:{address}" if ":" in address else f"ip4:{address}"


def lint(found: Evaluation, lookups: int, most: int) -> Iterator[str]:
    """Yield what is odd about the record of an evaluation; ``lookups`` is how many the whole record takes."""
    record = found.record
    if not record:
        return
    last, words = "", [term.lower() for term in terms(record)]
    if len(record) > _FULL:
        yield f"the record has {len(record)} characters: RFC 7208 3.4 wants at most {_FULL}, so that answers stay small"
    if any(term in ("all", "+all") for term in words) or any(re.fullmatch(r"\+?ip[46]:.*/0", term) for term in words):
        yield "it lets everybody send (+all, or a network of everybody): it protects nobody's name"
    if any(_PTR.match(term) for term in words):
        yield "it uses ptr, which is slow, loads the DNS and should not be used (RFC 7208 5.5)"
    if lookups >= most - 1:
        yield f"it takes {lookups} of {most} look-ups: one more provider, and it fails everywhere (RFC 7208 4.6.4)"
    mechanisms = [term for term in words if not _MODIFIER.match(term)]
    ends = [place for place, term in enumerate(mechanisms) if term.lstrip("+-~?") == "all"]
    if ends and ends[0] < len(mechanisms) - 1:
        yield "what stands behind all is never read"
    if ends and any(term.startswith("redirect=") for term in words):
        yield "redirect is never followed, since there is an all (RFC 7208 6.1)"
    if not ends and not any(term.startswith("redirect=") for term in words):
        yield "it has neither all nor redirect at its end: who is not in it gets neutral"
    if "?all" in words:
        yield "?all says nothing of anybody who is not in it: ~all or -all would"
    for term in words:
        if term == last:
            yield f"{clean(term, _TERM)} stands there twice"
        last = term
